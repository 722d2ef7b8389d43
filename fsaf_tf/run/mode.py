"""What a run is to do, by the name that `--mode` gives it; no TensorFlow."""

import dataclasses

from fsaf_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Mode:
    """What a run is to do.

    Attributes:
        name: as it is typed.
        trains: it takes steps, and writes checkpoints.
        evaluates: it takes COCO's figures on the validation data.
        watches: it waits for the checkpoints that another process trains.
    """

    name: str
    trains: bool
    evaluates: bool
    watches: bool = False

    @property
    def data(self) -> tuple[str, ...]:
        """The sections of `task` whose data it reads."""
        return ("train_data",) * self.trains + ("validation_data",) * self.evaluates

    @property
    def keeps_best(self) -> bool:
        """It evaluates one checkpoint after another, and so finds out which is the best."""
        return self.evaluates and (self.trains or self.watches)

    @property
    def is_one_evaluation(self) -> bool:
        """It evaluates one checkpoint that is there, and ends."""
        return self.evaluates and not self.keeps_best


MODES = {
    mode.name: mode
    for mode in (
        Mode("train", trains=True, evaluates=False),
        Mode("eval", trains=False, evaluates=True),
        Mode("train_and_eval", trains=True, evaluates=True),
        Mode("continuous_eval", trains=False, evaluates=True, watches=True),
    )
}


def parse(name: str) -> Mode:
    """The mode of a name; a UserError if there is none."""
    if name not in MODES:
        raise UserError(f"--mode is {name!r}; it must be one of {', '.join(MODES)}")
    return MODES[name]
