"""What the selection of levels makes of the objects of a trained run: how many cells learn them, and on which levels.

    python benchmarks/selected.py --model_dir=runs/table1/shapes_fsaf_r50_1 --count=100

Looks at the first pictures of the run's validation data as training would, and prints a table, a row for each of COCO's
classes of size and one for each class: objects; positive cells an object; the share of all positive cells; on how many
objects' level each level is; and the mean loss of an object on its level (Eq. 1).
"""

from absl import flags

from fsaf_tf import cli
from fsaf_tf.errors import UserError

_FLAGS = flags.FlagValues()
_MODEL_DIR = flags.DEFINE_string("model_dir", None, "The folder of a run.", flag_values=_FLAGS)
_COUNT = flags.DEFINE_integer("count", 100, "Look at so many pictures.", lower_bound=1, flag_values=_FLAGS)


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_study, _FLAGS, __doc__)


def _study() -> None:
    if not _MODEL_DIR.value:
        raise UserError("--model_dir is missing")
    import numpy as np

    from fsaf_tf import regions
    from fsaf_tf.data.source import open_source
    from fsaf_tf.figures import pictures
    from fsaf_tf.serving import load

    detector = load.load_trained(_MODEL_DIR.value)
    branch, all_levels = detector.config.anchor_free(), detector.config.model.geometry().levels
    source = open_source(detector.config.validation_data)
    found = {key: [] for key in ("side", "class", "cells", "level", "loss")}
    for host, batch, outputs in pictures.as_trained(pictures.select(source, [], _COUNT.value), detector):
        instances = regions.Instances.of_batch(batch)
        targets = {key: value[0].numpy() for key, value in branch.targets(outputs, instances).items()}
        losses = branch.losses(outputs, instances, None)["instance_losses"][0].numpy()
        rows = np.flatnonzero(host["valid"][0])
        levels = targets["levels"][rows]
        sides = host["boxes"][0, rows, 2:] - host["boxes"][0, rows, :2]
        found["side"].append(np.sqrt(sides.prod(axis=1)))
        found["class"].append(host["classes"][0, rows])
        found["cells"].append(np.sum(targets["instance"][targets["positive"]] == rows[:, None], axis=1))
        found["level"].append(levels)
        found["loss"].append(losses[rows, levels - all_levels[0]])
    found = {key: np.concatenate(values) for key, values in found.items()}

    kinds = {"small": (0, 32), "medium": (32, 96), "large": (96, np.inf)}
    groups = {name: (low <= found["side"]) & (found["side"] < high) for name, (low, high) in kinds.items()}
    groups |= {name: found["class"] == index for index, name in enumerate(detector.classes.names)}
    head = ["", "objects", "cells an object", "share of cells", *(f"P{level}" for level in all_levels), "loss"]
    print(f"| {' | '.join(head)} |", "|---" * len(head) + "|", sep="\n")
    for name, kept in groups.items():
        count = int(np.sum(kept))
        if count:
            share = found["cells"][kept].sum() / found["cells"].sum()
            on = [str(np.sum(found["level"][kept] == level)) for level in all_levels]
            cells, loss = found["cells"][kept].mean(), found["loss"][kept].mean()
            print(f"| {name} | {count} | {cells:.1f} | {share:.2f} | {' | '.join(on)} | {loss:.2f} |")


if __name__ == "__main__":
    main()
