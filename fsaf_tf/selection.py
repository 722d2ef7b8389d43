"""Section 3.3: which pyramid level learns an instance."""

from collections.abc import Sequence

import tensorflow as tf

from fsaf_tf import losses, pyramid, regions

# Eq. 3: an instance of 224 px, ImageNet's size, goes to level 5.
CANONICAL_SIZE, CANONICAL_LEVEL = 224, 5


def instance_losses(
    logits: tf.Tensor,
    background: tf.Tensor,
    predicted: tf.Tensor,
    locations: tf.Tensor,
    boxes: tf.Tensor,
    classes: tf.Tensor,
    cells: tf.Tensor,
    layout: pyramid.Layout,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    epsilon: float = 1e-6,
) -> tf.Tensor:
    """The loss of every instance on every level (Eq. 1), without gradient.

    The focal loss summed over the classes plus the IoU loss, averaged over all the instance's effective cells on the
    level, also those that another instance will win.

    Args:
        logits: `[B, P, K]`, all levels.
        background: `[B, P]` focal loss summed over the classes where every target is 0.
        predicted: `[B, P, 4]` the boxes that the locations predict, yxyx in pixels from the location.
        locations: `[P, 2]` (y, x) in pixels.
        boxes: `[B, N, 4]` yxyx in pixels.
        classes: `[B, N]` int32.
        cells: `[B, N, L, 4]` int32 effective cell ranges, empty for an instance that does not count.
        layout: the levels' maps.
        alpha: of the focal loss.
        gamma: of the focal loss.
        epsilon: of the IoU loss.

    Returns:
        `[B, N, L]` float32; 0 for an instance that does not count.
    """
    shape = tf.shape(cells)[:3]  # B, N, L
    num_classes = tf.shape(logits)[-1]
    ranges = tf.reshape(cells, [-1, 4])
    flat_boxes, flat_classes = tf.reshape(boxes, [-1, 4]), tf.reshape(classes, [-1])
    flat_logits = tf.reshape(logits, [-1])
    flat_background, flat_predicted = tf.reshape(background, [-1]), tf.reshape(predicted, [-1, 4])

    def add_losses(sums, owner, cell, inside):
        instance, level = owner // shape[2], owner % shape[2]
        place = tf.where(inside, layout.flat_index(instance // shape[1], level, cell), 0)
        own = tf.gather(flat_logits, place * num_classes + tf.gather(flat_classes, instance))
        as_positive = losses.focal(own, True, alpha=alpha, gamma=gamma)
        as_negative = losses.focal(own, False, alpha=alpha, gamma=gamma)
        class_loss = tf.gather(flat_background, place) - as_negative + as_positive
        here = tf.tile(tf.gather(locations, place % layout.num_locations), [1, 2])
        box = tf.gather(flat_boxes, instance) - here
        box_loss = losses.iou(tf.gather(flat_predicted, place), box, epsilon=epsilon)
        loss = tf.where(inside, class_loss + box_loss, 0.0)
        return sums + tf.math.unsorted_segment_sum(tf.cast(loss, tf.float64), owner, tf.shape(sums)[0])

    # In float64 the mean of equal losses is that loss, whatever their number, so that a tie of two levels is one.
    sums = regions.fold_cells(ranges, add_losses, tf.zeros([tf.reduce_prod(shape)], tf.float64))
    sides = ranges[:, 2:] - ranges[:, :2]
    count = tf.cast(tf.maximum(sides[:, 0] * sides[:, 1], 1), tf.float64)
    return tf.reshape(tf.cast(sums / count, tf.float32), shape)


def select_online(instance_losses: tf.Tensor, levels: Sequence[int]) -> tf.Tensor:
    """The level with the least loss for each instance (Eq. 2), the lowest of equal ones.

    Args:
        instance_losses: `[B, N, L]`.
        levels: the L levels, lowest first.

    Returns:
        `[B, N]` int32, of `levels`.
    """
    return tf.gather(tf.constant(levels, tf.int32), tf.argmin(instance_losses, axis=-1))


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
