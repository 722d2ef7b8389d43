"""A table of names: which tensors of a file make which layer of ours. The one check of names and shapes is here."""

from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np
import tf_keras

from fsaf_tf.errors import UserError
from fsaf_tf.weights.files import Tensors

NAMES_SHOWN = 6


class Entry(NamedTuple):
    """A layer of ours and what makes it.

    Attributes:
        layer: built.
        shapes: the shape of each tensor, by its name in the file.
        convert: from those tensors, in that order, to the layer's weights.
    """

    layer: tf_keras.layers.Layer
    shapes: dict[str, tuple[int, ...]]
    convert: Callable[..., list[np.ndarray]]


def fill(entries: list[Entry], tensors: Tensors, what: str, *, unused: Callable[[str], bool] = lambda name: False):
    """Sets the weights of all layers of a table, or of none.

    Args:
        entries: the table.
        tensors: what the file holds.
        what: the table's network, for messages.
        unused: whether a name that the table has not is left out; any other is an error.

    Raises:
        UserError: a tensor is missing, too many, of another shape or not finite; the message lists them.
    """
    wanted = {name: shape for entry in entries for name, shape in entry.shapes.items()}
    found = tensors.shapes
    other = [name for name in wanted if name in found and found[name] != wanted[name]]
    # Only what has the shape that is wanted is read: another may be of any size.
    values = {name: tensors.values[name] for name in wanted if found.get(name) == wanted[name]}
    problems = {
        "missing": [name for name in wanted if name not in found],
        "too many": [name for name in found if name not in wanted and not unused(name)],
        "of another shape": [f"{name} {list(found[name])} in the place of {list(wanted[name])}" for name in other],
        "not finite": [name for name, value in values.items() if not np.isfinite(value).all()],
    }
    if any(problems.values()):
        raise UserError(f"{tensors.path} does not fit {what}: {_listed(problems)}")
    for entry in entries:
        entry.layer.set_weights(entry.convert(*(values[name] for name in entry.shapes)))


def _listed(problems: dict[str, Collection[str]]) -> str:
    parts = []
    for problem, names in problems.items():
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        parts += [f"{len(names)} {problem}: {', '.join(names[:NAMES_SHOWN])}{more}"] if names else []
    return "; ".join(parts)
