"""What an experiment takes over from the one whose weights it starts from (`task.init_checkpoint`).

Weights mean something only together with the architecture and the geometry they were trained with.
"""

from fsaf_tf.config import backbone_keys, plain_values, schema

# Of `task.model`; the backbone says it itself.
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


def architecture(model: schema.Model) -> dict:
    """The values of an experiment that fix what the weights of its checkpoints mean, as a file would set them.

    Not the number of classes, which the data have, nor which branches there are, nor anything of training.
    """
    everything = plain_values.flatten(model.as_dict())
    values = {
        key: value
        for key, value in everything.items()
        if key in _KEYS or any(key.startswith(f"{section}.") for section in _KEYS)
    }
    return plain_values.nest(
        {f"task.model.{key}": value for key, value in (_backbone(model.backbone) | values).items()}
    )


def _backbone(backbone: backbone_keys.Backbone) -> dict:
    values = plain_values.flatten(backbone.architecture())
    return {"backbone.type": backbone.type} | {f"backbone.{backbone.type}.{key}": values[key] for key in values}


def report(init_checkpoint: str, adopted: dict, before: dict, after: dict) -> str | None:
    """A line that tells what an experiment took over; None if it had it all.

    Args:
        init_checkpoint: where from.
        adopted: from `architecture`.
        before: the experiment without it, as a nested dict.
        after: the experiment as it is, where explicit settings may have won.
    """
    before, after = plain_values.flatten(before), plain_values.flatten(after)
    changed = [
        f"{key.removeprefix('task.model.')} {plain_values.shown(value)} (not {plain_values.shown(before.get(key))})"
        for key, value in plain_values.flatten(adopted).items()
        if after.get(key) == value != before.get(key)
    ]
    return f"task.model as in task.init_checkpoint {init_checkpoint}: {', '.join(changed)}" if changed else None
