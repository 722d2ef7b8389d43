"""Section 3.4: the whole loss, `L = L_ab + lambda (L_cls + L_reg)` and weight decay, term by term."""

from collections.abc import Sequence

import tensorflow as tf

from fsaf_tf import regions
from fsaf_tf.branches import Branch, Outputs, Term
from fsaf_tf.selection import Step

_LOSSES = ("class_loss", "box_loss")


def loss_names(branches: Sequence[Branch]) -> list[str]:
    """The losses of each branch, by their names in `terms`."""
    return [f"{branch.name}/{name}" for branch in branches for name in _LOSSES]


def names(branches: Sequence[Branch]) -> list[str]:
    """The terms worth watching, by their names in `terms`."""
    of_branches = [
        f"{branch.name}/{name}" for branch in branches for name in (*_LOSSES, "positives", *branch.watched())
    ]
    return ["weight_decay", "left_out", *of_branches]


def terms(
    batch: dict[str, tf.Tensor],
    outputs: Outputs,
    variables: Sequence[tf.Variable],
    branches: Sequence[Branch],
    weight_decay: float,
    step: Step | None,
) -> dict[str, Term]:
    """The loss of one replica's batch and what it is made of.

    Args:
        batch: one that has passed the device stage.
        outputs: the detector's.
        variables: the trainable ones.
        branches: those of the detector.
        weight_decay: of the kernels among the variables.
        step: of the training, for what is otherwise at its start; None if there is none.

    Returns:
        Scalars. `total_loss`; `weight_decay`; `left_out`, an image's boxes that are not trained on; `not_mixed`, of a
        batch that has it, how often an image stayed what it was because there were too many boxes; for each branch
        its `class_loss` and `box_loss`, not weighed, its `positives`, an image's number of positive locations or
        anchors, and what it wants watched.
    """
    decay = weight_decay * tf.add_n([0.0, *(tf.nn.l2_loss(kernel) for kernel in decayed(variables))])
    total, found = decay, {"weight_decay": Term(decay), "left_out": Term(_mean(batch["left_out"]))}
    if "not_mixed" in batch:
        found["not_mixed"] = Term(_mean(batch["not_mixed"]))
    instances = regions.Instances.of_batch(batch)
    for branch in branches:
        result = branch.losses(outputs, instances, step)
        total += branch.loss_weight * (result["class_loss"] + result["box_loss"])
        of_branch = {name: Term(result[name]) for name in _LOSSES}
        of_branch |= {"positives": Term(_mean(result["num_positives"])), **branch.watch(outputs, instances, result)}
        found |= {f"{branch.name}/{name}": term for name, term in of_branch.items()}
    return {"total_loss": Term(total), **found}


def decayed(variables: Sequence[tf.Variable]) -> list[tf.Variable]:
    """Those that weight decay acts on: kernels; no biases and no batch normalisation."""
    return [variable for variable in variables if "kernel" in variable.name.rsplit("/", 1)[-1]]


def _mean(counts: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(counts, tf.float32))
