"""Layers that are not trained, by their names (`task.freeze`)."""

import re
from collections.abc import Iterable, Sequence

import tf_keras

from fsaf_tf.config import plain_values
from fsaf_tf.errors import UserError

_NAMES_SHOWN = 16  # of a part of the detector


def freeze(model: tf_keras.Model, patterns: Sequence[str]) -> None:
    """Sets `trainable` of layers and of all below them to False; batch normalisation there uses its statistics.

    Args:
        model: the detector.
        patterns: regular expressions of whole names: a part of the detector, such as `backbone`, or a part's layer,
            such as `heads/class_tower_0`.

    Raises:
        UserError: a pattern that is no regular expression or matches nothing, or nothing is left to train.
    """
    layers = list(_named_layers(model))
    for pattern in patterns:
        matching = [layer for name, layer in layers if _compiled(pattern).fullmatch(name)]
        if not matching:
            names = [name for name, _ in layers]
            raise UserError(
                f"task.freeze: no layer has the name {pattern!r}{plain_values.hint(pattern, names)}; there are: "
                f"{_listed(names)}"
            )
        for layer in matching:
            layer.trainable = False
    if patterns and not model.trainable_variables:
        raise UserError(f"task.freeze: {', '.join(patterns)} leave nothing to train")


def report(model: tf_keras.Model, patterns: Sequence[str]) -> str:
    """A line that tells how much is trained."""
    trained, total = (_size(variables) for variables in (model.trainable_variables, model.variables))
    return f"task.freeze {', '.join(patterns)}: {trained:,} of {total:,} weights are trained"


def _size(variables) -> int:
    return sum(variable.shape.num_elements() for variable in variables)


def _compiled(pattern: str) -> re.Pattern:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UserError(f"task.freeze: {pattern!r} is no regular expression ({error})") from error


def _named_layers(model: tf_keras.Model) -> Iterable[tuple[str, tf_keras.layers.Layer]]:
    """The parts of the detector and their layers, those that hold weights, by name."""
    for part in model.layers:
        if part.weights:
            yield part.name, part
        for layer in part.submodules:
            if isinstance(layer, tf_keras.layers.Layer) and layer.weights:
                yield f"{part.name}/{layer.name}", layer


def _listed(names: list[str]) -> str:
    """The parts, each with its first layers."""
    lines = []
    for part in (name for name in names if "/" not in name):
        inside = [name for name in names if name.startswith(f"{part}/")]
        more = ["..."] if len(inside) > _NAMES_SHOWN else []
        lines.append(f"{part} with {', '.join(inside[:_NAMES_SHOWN] + more)}" if inside else part)
    return "; ".join(lines)
