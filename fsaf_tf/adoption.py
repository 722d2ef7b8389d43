"""What an experiment takes over from the one whose weights it starts from (`task.init_checkpoint`).

Weights mean something only together with the architecture and the geometry they were trained with.
"""

import tensorflow as tf

from fsaf_tf import catalog, configs

# Of `task.model`; the backbone has a function of its own.
_KEYS = (
    "location_offset",
    "min_level",
    "max_level",
    "pyramid",
    "fpn",
    "heads",
    "anchor_free.offset_scale",
    "anchor_based.scales",
    "anchor_based.aspect_ratios",
    "postprocess.multi_label",
)
_FREE = ("weights", "frozen_stages", "train_bn_affine")  # of a ResNet: how it is trained, not what it is


def folder(init_checkpoint: str) -> str | None:
    """The folder with the `params.yaml` of a checkpoint: a run's or an import's. None if there is none.

    Args:
        init_checkpoint: that folder, the folder of its best checkpoint, or the file prefix of a checkpoint in either.
    """
    parents = [init_checkpoint.rstrip("/")]
    while len(parents) < (2 if tf.io.gfile.isdir(init_checkpoint) else 3):
        parents.append(parents[-1].rpartition("/")[0] or ".")
    return next((path for path in parents if tf.io.gfile.exists(f"{path}/params.yaml")), None)


def architecture(model: configs.Model) -> dict:
    """The values of an experiment that fix what the weights of its checkpoints mean, as a file would set them.

    Not the number of classes, which the data have, nor which branches there are, nor anything of training.
    """
    everything = catalog.flatten(model.as_dict())
    values = {
        key: value
        for key, value in everything.items()
        if key in _KEYS or any(key.startswith(f"{section}.") for section in _KEYS)
    }
    return catalog.nest({f"task.model.{key}": value for key, value in (_backbone(model.backbone) | values).items()})


def _backbone(backbone: configs.Backbone) -> dict:
    kind, values = backbone.type, catalog.flatten(backbone.get().as_dict())
    if kind == "resnet":
        values = {key: value for key, value in values.items() if key not in _FREE} | {"weights": "checkpoint"}
    return {"backbone.type": kind} | {f"backbone.{kind}.{key}": value for key, value in values.items()}


def report(init_checkpoint: str, adopted: dict, before: dict, after: dict) -> str | None:
    """A line that tells what an experiment took over; None if it had it all.

    Args:
        init_checkpoint: where from.
        adopted: from `architecture`.
        before: the experiment without it, as a nested dict.
        after: the experiment as it is, where explicit settings may have won.
    """
    before, after = catalog.flatten(before), catalog.flatten(after)
    changed = [
        f"{key.removeprefix('task.model.')} {catalog.shown(value)} (not {catalog.shown(before.get(key))})"
        for key, value in catalog.flatten(adopted).items()
        if after.get(key) == value != before.get(key)
    ]
    return f"task.model as in task.init_checkpoint {init_checkpoint}: {', '.join(changed)}" if changed else None
