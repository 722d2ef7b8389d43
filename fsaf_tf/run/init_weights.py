"""The weights of another run or of an import as the start of this one (`task.init_checkpoint`)."""

from collections.abc import Callable

import tensorflow as tf
import tf_keras

from fsaf_tf.config import experiment
from fsaf_tf.data.classes import Classes, recorded_classes
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths
from fsaf_tf.run import checkpoints, restore

_BRANCHES = ("anchor-free", "anchor-based")


def restore_weights(
    model: tf_keras.Model,
    path: str,
    classes: Classes,
    *,
    say: Callable[[str], None],
    to_train: bool = True,
) -> None:
    """Sets the weights of a detector to those of a checkpoint, but for what has no counterpart there.

    The class convolutions stay as they are, new, where `labels.json` beside the checkpoint has other classes; so does
    a branch that the checkpoint does not have. One that only the checkpoint has is left out.

    Args:
        model: a fresh detector.
        path: prefix of a checkpoint, or a folder; see `checkpoints.choose`.
        classes: the data's.
        say: prints where the weights come from, and a line for each thing that is new or left out.
        to_train: what is new will be trained; if not, there may be nothing new.

    Raises:
        UserError: there is no such checkpoint, it cannot be read, or it is of another model; or something is new and
            will not be trained.
    """
    chosen = checkpoints.choose(path)
    prefix = chosen.prefix
    found = restore.compare(tf.train.Checkpoint(model=model), prefix)
    new = _new(model, found, _other_classes(path, classes))
    new_names = set().union(*new.values())
    restore.complain(_without(found, new_names), prefix)
    _check_new(model, new, path, to_train)
    say(f"Starting with the weights of {chosen.reasoned}.")
    for line in (*new, *_left_out(found)):
        say(f"  {line}")
    reader = paths.open_checkpoint(prefix)
    for variable, key in found.keys:
        if variable.name not in new_names:
            variable.assign(reader.get_tensor(key))


def _new(model: tf_keras.Model, found: restore.Comparison, other_classes: str | None) -> dict[str, set[str]]:
    """The variables that keep their initial values, by a line that says why."""
    new = {}
    if other_classes:
        line = f"{other_classes}: the class convolutions are new, everything else is kept"
        new[line] = {variable.name for variable in model.variables if _is_class_output(variable.name)}
    for branch in _BRANCHES:
        missing = {variable.name for variable in found.missing if _is_of(branch, variable.name)}
        if missing:
            new[f"it has no {branch} branch: the branch's convolutions are new"] = missing
    return new


def _left_out(found: restore.Comparison) -> list[str]:
    return [
        f"its {branch} branch is left out, which task.model does not have"
        for branch in _BRANCHES
        if any(_is_of(branch, name) for name in found.surplus)
    ]


def _without(found: restore.Comparison, new: set[str]) -> restore.Comparison:
    """What differs beside that which is new, and beside a branch that is left out."""
    return found._replace(
        missing=[variable for variable in found.missing if variable.name not in new],
        misshapen=[(variable, shape) for variable, shape in found.misshapen if variable.name not in new],
        surplus=[name for name in found.surplus if not any(_is_of(branch, name) for branch in _BRANCHES)],
    )


def _check_new(model: tf_keras.Model, new: dict[str, set[str]], path: str, to_train: bool) -> None:
    """Nobody wants results of random values."""
    trained = {variable.name for variable in model.trainable_variables}
    for line, names in new.items():
        if not to_train:
            raise UserError(f"task.init_checkpoint {path} cannot be evaluated: {line}")
        if names - trained:
            raise UserError(f"task.freeze would keep {min(names - trained)} at random values: of {path}, {line}")


def _other_classes(path: str, classes: Classes) -> str | None:
    """How the classes of a checkpoint differ from the data's; None if they are the same or nothing tells."""
    folder = experiment.folder_of(path)
    theirs = recorded_classes(folder) if folder else None
    difference = theirs and theirs.difference(classes)
    return f"it has other classes than the data, {difference}" if difference else None


def _is_class_output(name: str) -> bool:
    return any(_is_of(branch, name) for branch in _BRANCHES) and "_logits/" in name


def _is_of(branch: str, name: str) -> bool:
    return name.startswith(f"heads/{branch.replace('-', '_')}_")
