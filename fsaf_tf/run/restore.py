"""A checkpoint into a model: all of it, and nothing of another model."""

from collections.abc import Collection
from typing import NamedTuple

import tensorflow as tf
import tf_keras
from tensorflow.core.protobuf import trackable_object_graph_pb2

from fsaf_tf.errors import UserError
from fsaf_tf.files import paths

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_NAMES_SHOWN = 3


def create_variables(optimizer: tf_keras.optimizers.Optimizer, variables: list[tf.Variable]) -> None:
    """Makes what an optimizer itself makes at its first step alone, so that a checkpoint before that step has it, too.

    Args:
        optimizer: its slots, its count of steps and its rates.
        variables: those that it will change.
    """
    if isinstance(optimizer, tf_keras.optimizers.legacy.Optimizer):
        optimizer._create_all_weights(variables)
    else:
        optimizer.build(variables)


def restore(checkpoint: tf.train.Checkpoint, prefix: str, left_out: Collection[str] = ()) -> None:
    """Restores all of `checkpoint`; slots of the optimizer that do not exist yet are filled when they are made.

    Args:
        checkpoint: with the attribute `model`.
        prefix: of a checkpoint that can be read.
        left_out: what the names of variables begin with that the model is made without.

    Raises:
        UserError: a variable of the model is not in the checkpoint, or the other way round, or shapes differ.
    """
    found = compare(checkpoint, prefix)
    surplus = [name for name in found.surplus if not name.startswith(tuple(left_out))]
    complain(found._replace(surplus=surplus), prefix)
    checkpoint.restore(prefix).expect_partial()  # silences warnings: an evaluation needs no optimizer


class Comparison(NamedTuple):
    """A model's variables beside those in a checkpoint, matched by their place in the model.

    Attributes:
        keys: variables that are in it, and their keys.
        missing: variables that it does not have.
        misshapen: variables that it has in another shape, and that shape.
        surplus: names of variables that only it has.
    """

    keys: list[tuple[tf.Variable, str]]
    missing: list[tf.Variable]
    misshapen: list[tuple[tf.Variable, list[int]]]
    surplus: list[str]


def compare(checkpoint: tf.train.Checkpoint, prefix: str) -> Comparison:
    """Compares the model of `checkpoint` with what a checkpoint that can be read has for it.

    Raises:
        UserError: it is not a checkpoint of a run.
    """
    reader = paths.open_checkpoint(prefix)
    shapes = reader.get_variable_to_shape_map()
    if not any(_is_weight(key) for key in shapes):
        raise UserError(f"{prefix} is not a checkpoint of this model: it was not written by a run of these tools")
    saved = _saved_variables(reader)
    matched = tf.train.CheckpointView(prefix).match(checkpoint)
    ours = {id(matched[node]): key for node, (key, _) in saved.items() if node in matched}
    variables = checkpoint.model.variables
    keys = [(variable, ours[id(variable)]) for variable in variables if id(variable) in ours]
    return Comparison(
        keys=keys,
        missing=[variable for variable in variables if id(variable) not in ours],
        misshapen=[(variable, shapes[key]) for variable, key in keys if list(variable.shape) != shapes[key]],
        surplus=[name for node, (key, name) in saved.items() if node not in matched and _is_weight(key)],
    )


def complain(found: Comparison, prefix: str) -> None:
    """Raises a UserError if a checkpoint and a model differ."""
    differences = [f"it has no {variable.name}" for variable in found.missing]
    differences += [
        f"{variable.name} is {shape} in it and {list(variable.shape)} in the model"
        for variable, shape in found.misshapen
    ]
    differences += [f"the model has no {name}" for name in found.surplus]
    if differences:
        shown = "; ".join(differences[:_NAMES_SHOWN])
        more = f"; and {len(differences) - _NAMES_SHOWN} more" if len(differences) > _NAMES_SHOWN else ""
        raise UserError(
            f"{prefix} is not a checkpoint of this model: {shown}{more}; take the experiment it was trained with"
        )


def _is_weight(key: str) -> bool:
    return key.startswith("model/") and "/.OPTIMIZER_SLOT/" not in key


def _saved_variables(reader) -> dict:
    """From the number of a node in the checkpoint's object graph to the key and the name of its variable."""
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(reader.get_tensor(_OBJECT_GRAPH))
    nodes = ((number, node.attributes) for number, node in enumerate(graph.nodes))
    return {number: (each.checkpoint_key, each.full_name) for number, values in nodes for each in values}
