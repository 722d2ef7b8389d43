"""Section 3.4: an experiment's whole loss, `L = L_ab + lambda (L_cls + L_reg)` and weight decay, term by term."""

from collections.abc import Sequence

import tensorflow as tf

from fsaf_tf import criterion, pyramid, targets
from fsaf_tf.config import schema

Tensors = dict[str, tf.Tensor]

_OF_A_BRANCH = ("class_loss", "box_loss", "positives")


def names(model: schema.Model) -> list[str]:
    """The terms worth watching, by their names in `terms`."""
    levels = [f"level_{level}" for level in pyramid.levels(model.min_level, model.max_level)]
    anchor_free = [f"anchor_free/{name}" for name in (*_OF_A_BRANCH, "dead_offsets", *levels)]
    anchor_based = [f"anchor_based/{name}" for name in _OF_A_BRANCH]
    enabled = anchor_free * model.anchor_free.enabled + anchor_based * model.anchor_based.enabled
    return ["weight_decay", "left_out", *enabled]


def is_share_of_instances(name: str) -> bool:
    """Whether a term is a share of the batch's instances, so that a mean over steps weighs it by their number."""
    return name.startswith("anchor_free/level_")


def terms(batch: Tensors, outputs: dict, variables: Sequence[tf.Variable], task: schema.Task) -> Tensors:
    """The loss of one replica's batch and what it is made of.

    Args:
        batch: one that has passed the device stage.
        outputs: the detector's.
        variables: the trainable ones.
        task: the experiment's.

    Returns:
        Scalars. `total_loss`; `weight_decay`; `left_out`, an image's boxes that are not trained on; for each branch
        its `class_loss` and `box_loss`, not weighed, and its `positives`, an image's number of positive locations or
        anchors; for the anchor-free branch also `dead_offsets`, the share of offsets that the ReLU cuts to zero, and
        `level_3` to `level_7`, the share of the `instances` that selects a level.
    """
    decay = task.losses.weight_decay * tf.add_n([0.0, *(tf.nn.l2_loss(kernel) for kernel in decayed(variables))])
    left_out = tf.reduce_mean(tf.cast(batch["left_out"], tf.float32))
    terms = {"weight_decay": decay, "total_loss": decay, "left_out": left_out}
    if task.model.anchor_free.enabled:
        result = anchor_free_losses(batch, outputs, task)
        terms |= _branch_terms("anchor_free", result) | _health(batch, outputs, result, task.model)
        branch = terms["anchor_free/class_loss"] + terms["anchor_free/box_loss"]
        terms["total_loss"] += task.model.anchor_free.loss_weight * branch
    if task.model.anchor_based.enabled:
        terms |= _branch_terms("anchor_based", _anchor_based(batch, outputs, task))
        terms["total_loss"] += terms["anchor_based/class_loss"] + terms["anchor_based/box_loss"]
    return terms


def decayed(variables: Sequence[tf.Variable]) -> list[tf.Variable]:
    """Those that weight decay acts on: kernels; no biases and no batch normalisation."""
    return [variable for variable in variables if "kernel" in variable.name.rsplit("/", 1)[-1]]


def anchor_free_targets(batch: Tensors, outputs: dict, task: schema.Task) -> Tensors:
    """What each location would learn: `targets.anchor_free_targets`, and the selected `levels` `[B, N]`."""
    selected = anchor_free_losses(batch, outputs, task)["levels"]
    logits = outputs["anchor_free_logits"]
    instances = [batch[name] for name in ("boxes", "classes", "valid", "cell_ranges")]
    num_classes = logits[str(task.model.min_level)].shape[-1]
    layout = pyramid.Layout.of_maps(logits)
    return targets.anchor_free_targets(*instances, selected, layout, num_classes) | {"levels": selected}


def anchor_free_losses(batch: Tensors, outputs: dict, task: schema.Task) -> Tensors:
    """What `criterion.anchor_free_losses` gives with the experiment's values."""
    return criterion.anchor_free_losses(
        outputs["anchor_free_logits"],
        outputs["anchor_free_offsets"],
        batch["boxes"],
        batch["classes"],
        batch["valid"],
        selection=task.model.anchor_free.selection,
        cell_ranges=batch["cell_ranges"],
        location_offset=task.model.location_offset,
        offset_scale=task.model.anchor_free.offset_scale,
        alpha=task.losses.focal_alpha,
        gamma=task.losses.focal_gamma,
    )


def _anchor_based(batch: Tensors, outputs: dict, task: schema.Task) -> Tensors:
    branch = task.model.anchor_based
    return criterion.anchor_based_losses(
        outputs["anchor_based_logits"],
        outputs["anchor_based_deltas"],
        batch["boxes"],
        batch["classes"],
        batch["valid"],
        scales=branch.scales,
        aspect_ratios=branch.aspect_ratios,
        location_offset=task.model.location_offset,
        positive_iou=branch.positive_iou,
        negative_iou=branch.negative_iou,
        alpha=task.losses.focal_alpha,
        gamma=task.losses.focal_gamma,
        beta=branch.box_loss_beta,
    )


def _branch_terms(branch: str, result: Tensors) -> Tensors:
    positives = tf.reduce_mean(tf.cast(result["num_positives"], tf.float32))
    values = {"class_loss": result["class_loss"], "box_loss": result["box_loss"], "positives": positives}
    return {f"{branch}/{name}": value for name, value in values.items()}


def _health(batch: Tensors, outputs: dict, result: Tensors, model: schema.Model) -> Tensors:
    """What tells whether the selection uses all levels and the ReLU still lets gradients through."""
    valid = tf.cast(batch["valid"], tf.float32)
    instances = tf.reduce_sum(valid)
    shares = {
        f"anchor_free/level_{level}": tf.math.divide_no_nan(
            tf.reduce_sum(tf.cast(result["levels"] == level, tf.float32) * valid), instances
        )
        for level in pyramid.levels(model.min_level, model.max_level)
    }
    offsets = tf.concat([tf.reshape(m, [-1]) for m in outputs["anchor_free_offsets"].values()], axis=0)
    dead = tf.reduce_mean(tf.cast(offsets <= 0, tf.float32))
    return {"instances": instances, "anchor_free/dead_offsets": dead, **shares}
