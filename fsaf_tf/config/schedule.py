"""The paper's run, and its learning rates at another batch size (section 3.4)."""

import dataclasses
import math

from official.core import config_definitions
from official.modeling import optimization

from fsaf_tf.config.fields import limited

# Rates in an experiment are for this many images a step; the task scales them to the batch (section 3.4).
REFERENCE_BATCH_SIZE = 16
# The keys of a schedule and of a warm-up that count steps.
_STEPS = {"learning_rate": ("boundaries", "decay_steps", "total_decay_steps"), "warmup": ("warmup_steps",)}
_TO_SET = "  set task.train_data.global_batch_size and trainer.train_steps; the steps of the schedule move along"
# Schedules that end, by their type; one that ends before so much of the run leaves steps that learn next to nothing.
_ENDING, _EARLY = ("cosine", "polynomial", "power_linear"), 0.95


def _optimizer() -> optimization.OptimizationConfig:
    """SGD as in section 3.4; the warm-up is Detectron's."""
    return optimization.OptimizationConfig(
        {
            "optimizer": {"type": "sgd", "sgd": {"momentum": 0.9}},
            "learning_rate": {
                "type": "stepwise",
                "stepwise": {"boundaries": [60_000, 80_000], "values": [0.01, 0.001, 0.0001]},
            },
            "warmup": {"type": "linear", "linear": {"warmup_steps": 500, "warmup_learning_rate": 0.01 / 3}},
        }
    )


@dataclasses.dataclass
class Trainer(config_definitions.TrainerConfig):
    """The Garden's trainer with the paper's run, section 3.4: 90k steps.

    Attributes:
        epochs: the length of the run in rounds over the training images, in the place of `train_steps`; 0 is none.
        early_stop_patience: end the run after so many evaluations without a better `best_checkpoint_eval_metric`; 0
            never does. The best checkpoint is in `best_checkpoint_export_subdir` all the same.
        wandb: a project of Weights & Biases that gets the figures of the training, too (docs/logs.md).
        mlflow: an experiment of MLflow that gets them, too.
    """

    optimizer_config: optimization.OptimizationConfig = dataclasses.field(default_factory=_optimizer)
    steps_per_loop: int = limited(10, 1)
    summary_interval: int = limited(100, 1)
    checkpoint_interval: int = limited(1_000, 1)
    max_to_keep: int = limited(3, 1)
    train_steps: int = limited(90_000, 1)
    epochs: float = limited(0.0, 0)
    validation_interval: int = limited(10_000, 1)
    best_checkpoint_export_subdir: str = "best"
    best_checkpoint_eval_metric: str = "AP"
    early_stop_patience: int = limited(0, 0)
    wandb: str = ""
    mlflow: str = ""


def rates(optimizer_config: optimization.OptimizationConfig) -> dict:
    """The learning rates of the chosen schedule and warm-up: `{"learning_rate.stepwise.values": [...], ...}`."""
    found = {}
    for part in ("learning_rate", "warmup"):
        chosen = getattr(optimizer_config, part)
        for name, value in chosen.get().as_dict().items() if chosen.type else ():
            if (name == "values" or name.endswith("learning_rate")) and value is not None:
                found[f"{part}.{chosen.type}.{name}"] = value
    return found


def scale_rates(optimizer_config: optimization.OptimizationConfig, batch_size: int) -> optimization.OptimizationConfig:
    """The same optimizer for `batch_size` images a step: every rate times `batch_size / 16`; the given one is kept."""
    factor = batch_size / REFERENCE_BATCH_SIZE
    scaled = optimizer_config.replace()
    for key, rate in rates(optimizer_config).items():
        part, chosen, name = key.split(".")
        rate = [factor * value for value in rate] if isinstance(rate, list) else factor * rate
        setattr(getattr(getattr(scaled, part), chosen), name, rate)
    return scaled


def steps(optimizer_config: optimization.OptimizationConfig, part: str) -> dict:
    """What counts steps in the chosen schedule, or warm-up: `{"learning_rate.stepwise.boundaries": [...]}`.

    Args:
        optimizer_config: of an experiment.
        part: `learning_rate` or `warmup`.
    """
    chosen = getattr(optimizer_config, part)
    values = chosen.get().as_dict() if chosen.type else {}
    return {f"{part}.{chosen.type}.{name}": values[name] for name in _STEPS[part] if values.get(name) is not None}


def stretch(optimizer_config: optimization.OptimizationConfig, part: str, factor: float) -> None:
    """Moves the steps of a schedule, or of a warm-up, along with a run that is `factor` times as long.

    Args:
        optimizer_config: changed in place.
        part: see `steps`.
        factor: above 0.
    """
    for key, value in steps(optimizer_config, part).items() if factor != 1 else ():
        name = key.rsplit(".", 1)[-1]
        if isinstance(value, list):  # they increase, in the shortest run too
            moved = []
            for step in value:
                moved.append(max(round(step * factor), moved[-1] + 1 if moved else 1))
        else:
            moved = max(round(value * factor), 1)
        setattr(getattr(optimizer_config, part).get(), name, moved)


def take_epochs(trainer: Trainer, images: int, batch_size: int) -> str:
    """Sets `train_steps` from `epochs`. The steps of the schedule move along, and a long warm-up gets shorter.

    Args:
        trainer: with `epochs`, 0 afterwards; changed in place.
        images: at least one, of the training data.
        batch_size: of a step.

    Returns:
        A line that says how long the run is.
    """
    before, trainer.train_steps = trainer.train_steps, math.ceil(trainer.epochs * images / batch_size)
    stretch(trainer.optimizer_config, "learning_rate", trainer.train_steps / before)
    shorten_warmup(trainer)
    line = f"{trainer.epochs:g} epochs of {images} images are {trainer.train_steps} steps of {batch_size}"
    trainer.epochs = 0.0  # what a run records is its steps
    return line


def shorten_warmup(trainer: Trainer) -> None:
    """The linear warm-up becomes a tenth of the run, if it is longer."""
    linear = trainer.optimizer_config.warmup.linear
    linear.warmup_steps = min(linear.warmup_steps, max(1, trainer.train_steps // 10))


def fill(trainer: Trainer) -> None:
    """A decay without a length is as long as the run."""
    chosen = trainer.optimizer_config.learning_rate.get()
    for name in _STEPS["learning_rate"][1:]:
        if getattr(chosen, name, trainer.train_steps) is None:
            setattr(chosen, name, trainer.train_steps)


def report(trainer: Trainer) -> list[str]:
    """Lines that tell the steps of schedule and warm-up, and whether the rate falls too early, or never."""
    config, total = trainer.optimizer_config, trainer.train_steps
    found = {key: value for part in _STEPS for key, value in steps(config, part).items()}
    if not found:
        return []
    told = [f"{key} {', '.join(map(str, value)) if isinstance(value, list) else value}" for key, value in found.items()]
    lines = [f"  over {total} steps: {'; '.join(told)}"]
    for key, value in steps(config, "learning_rate").items():
        if isinstance(value, list) and value[0] >= total:
            lines.append(f"  the rate never falls: no step of trainer.optimizer_config.{key} comes before {total}")
        elif config.learning_rate.type in _ENDING and value < _EARLY * total:
            lines.append(
                f"  the rate falls until step {value} alone, and the {total - value} steps after it learn next to"
                f" nothing: set trainer.optimizer_config.{key}"
            )
    return lines


def replicas_table(trainer: Trainer, batch_size: int, replicas: int) -> list[str]:
    """What an experiment is on so many replicas, with some numbers of images on each; lines.

    Rates follow the global batch alone (see `scale_rates`): they change with the replicas where the batch does.

    Args:
        trainer: with the rates for 16 images.
        batch_size: the experiment's, of all replicas.
        replicas: how many there are.
    """
    title = ("images on each", "global batch", "peak rate", "steps of as many epochs")
    rows = [title] + [_with_batch(trainer, batch_size, replicas, images) for images in (1, 2, 4, 8, 16)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(title))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows]
    lines = [line + "  <- this experiment" * (row[1] == str(batch_size)) for line, row in zip(lines, rows)]
    if batch_size % replicas:
        first = f"on {replicas} replicas; task.train_data.global_batch_size={batch_size} does not divide by them:"
    else:
        first = (
            f"on {replicas} replica{'s' * (replicas > 1)}, {batch_size // replicas} images of this experiment on each:"
        )
    return [first, *(f"  {line}" for line in lines), _TO_SET]


def _with_batch(trainer: Trainer, batch_size: int, replicas: int, images: int) -> tuple[str, ...]:
    together = replicas * images
    scaled = rates(scale_rates(trainer.optimizer_config, together))
    peak = max(max(rate) if isinstance(rate, list) else rate for rate in scaled.values())
    steps_there = math.ceil(trainer.train_steps * batch_size / together)
    return str(images), str(together), f"{peak:.4g}", f"{steps_there:,}"
