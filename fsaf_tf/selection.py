"""Section 3.3: which pyramid level learns an instance."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from fsaf_tf import losses, pyramid, regions

# Eq. 3: an instance of 224 px, ImageNet's size, goes to level 5.
CANONICAL_SIZE, CANONICAL_LEVEL = 224, 5


class Predictions(NamedTuple):
    """What the P locations of all levels say.

    Attributes:
        logits: `[B, P, K]`.
        background: `[B, P]` focal loss summed over the classes where every target is 0.
        boxes: `[B, P, 4]` yxyx in pixels from their location: near the origin float32 resolves a box of one pixel.
        locations: `[P, 2]` (y, x) in pixels.
    """

    logits: tf.Tensor
    background: tf.Tensor
    boxes: tf.Tensor
    locations: tf.Tensor


def instance_losses(
    predictions: Predictions, instances: regions.Instances, layout: pyramid.Layout, elementwise: losses.Elementwise
) -> tuple[tf.Tensor, tf.Tensor]:
    """The two losses of every instance on every level (Eq. 1), without gradient.

    The focal loss summed over the classes, and the IoU loss, each averaged over all the instance's effective cells on
    the level, also those that another instance will win.

    Args:
        predictions: of the locations.
        instances: theirs are the effective cells.
        layout: the levels' maps.
        elementwise: the losses.

    Returns:
        Class and box loss `[B, N, L]` float32 each; 0 for an instance that is not valid.
    """
    logits, background, predicted, locations = map(tf.stop_gradient, predictions)
    effective = instances.cell_ranges[..., regions.EFFECTIVE, :]
    shape = tf.shape(effective)[:3]  # B, N, L
    num_classes = tf.shape(logits)[-1]
    ranges = tf.reshape(effective, [-1, 4])
    boxes, predicted = (tf.reshape(values, [-1, 4]) for values in (tf.stop_gradient(instances.boxes), predicted))
    logits, background, classes = (tf.reshape(values, [-1]) for values in (logits, background, instances.classes))

    def add_losses(sums, owner, cell, inside):
        instance, level = owner // shape[2], owner % shape[2]
        place = tf.where(inside, layout.flat_index(instance // shape[1], level, cell), 0)
        own = tf.gather(logits, place * num_classes + tf.gather(classes, instance))
        as_positive, as_negative = elementwise.focal(own, True), elementwise.focal(own, False)
        class_loss = tf.gather(background, place) - as_negative + as_positive
        here = tf.tile(tf.gather(locations, place % layout.num_locations), [1, 2])
        box_loss = elementwise.box(tf.gather(predicted, place), tf.gather(boxes, instance) - here)
        both = tf.where(inside[:, None], tf.stack([class_loss, box_loss], axis=-1), 0.0)  # [CHUNK, 2]
        return sums + tf.math.unsorted_segment_sum(tf.cast(both, tf.float64), owner, tf.shape(sums)[0])

    # In float64 the mean of equal losses is that loss, whatever their number, so that a tie of two levels is one.
    sums = regions.fold_cells(ranges, add_losses, tf.zeros([tf.reduce_prod(shape), 2], tf.float64))
    sides = ranges[:, 2:] - ranges[:, :2]
    count = tf.cast(tf.maximum(sides[:, 0] * sides[:, 1], 1), tf.float64)
    means = tf.cast(sums / count[:, None], tf.float32)
    return tf.reshape(means[:, 0], shape), tf.reshape(means[:, 1], shape)


def select_online(class_losses: tf.Tensor, box_losses: tf.Tensor, levels: Sequence[int]) -> tf.Tensor:
    """The level with the least sum of both losses for each instance (Eq. 2), the lowest of equal ones.

    Args:
        class_losses: `[B, N, L]`, of Eq. 1.
        box_losses: `[B, N, L]`, of Eq. 1.
        levels: the L levels, lowest first.

    Returns:
        `[B, N]` int32, of `levels`.
    """
    return tf.gather(tf.constant(levels, tf.int32), tf.argmin(class_losses + box_losses, axis=-1))


def select_heuristic(boxes: tf.Tensor, levels: Sequence[int]) -> tf.Tensor:
    """The level of an instance's size alone (Eq. 3): `floor(5 + log2(sqrt(w h) / 224))`, within the levels.

    Counts the levels whose least size the box reaches: the same as Eq. 3, and exact at powers of two.

    Args:
        boxes: `[B, N, 4]` yxyx in pixels.
        levels: the L levels, lowest first.

    Returns:
        `[B, N]` int32, of `levels`.
    """
    area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    least = [CANONICAL_SIZE**2 * 4.0 ** (level - CANONICAL_LEVEL) for level in levels[1:]]
    reached = area[..., None] >= tf.constant(least, tf.float32)  # [B, N, L - 1]
    return levels[0] + tf.reduce_sum(tf.cast(reached, tf.int32), axis=-1)
