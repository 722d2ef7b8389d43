"""A share of annotated pictures kept from training, to be evaluated on: by the seed alone, whenever data are opened."""

import dataclasses

import numpy as np

from fsaf_tf.data import groups
from fsaf_tf.data.annotated import Annotated
from fsaf_tf.data.findings import counted, listed
from fsaf_tf.errors import UserError


def parts(annotated: Annotated, fraction: float, seed: int) -> tuple[Annotated, Annotated]:
    """The pictures that are trained on, and those that are held out; see `groups.deal`.

    All of them are annotated, also those that a training leaves out because they cannot be read: what is held out does
    not hang on these.

    Args:
        annotated: read, not checked yet.
        fraction: that is held out.
        seed: another one holds out others.

    Raises:
        UserError: there are too few pictures, or one of the two has no box.
    """
    dealt = groups.deal(annotated, (1 - fraction, fraction), seed)
    is_held_out = dealt.of_image == 1
    names = np.array(annotated.table.file_names, object)
    note = (
        f"{is_held_out.sum():,} of {counted(len(names), 'picture', 'pictures')} are held out for validation"
        f" (task.validation_data.fraction {fraction:g}, seed {seed}){_without(annotated, is_held_out)}"
    )
    whole = dataclasses.replace(
        annotated,
        notes=(*annotated.notes, note, *dealt.lines),
        held_out=tuple(names[is_held_out].tolist()),
    )
    train, held_out = whole.of_images(~is_held_out), whole.of_images(is_held_out)
    for part, words in ((train, "left to train on"), (held_out, "held out")):
        if not len(part.table.crowd):
            key = f"task.validation_data.fraction={fraction:g}"
            raise UserError(f"{annotated.table.file}: no box is {words} with {key}")
    return train, held_out


def _without(annotated: Annotated, is_held_out: np.ndarray) -> str:
    """Words on classes of which no box is held out, such as those with one."""
    table = annotated.table
    kept = np.unique(table.class_indices[is_held_out[table.image_index]])
    lacking = [name for place, name in enumerate(table.classes.names) if place not in kept]
    return f"; none of {listed(lacking)}" if lacking else ""
