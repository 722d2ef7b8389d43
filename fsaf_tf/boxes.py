"""Boxes `[y1, x1, y2, x2]`: area, clipping, intersection over union."""

import tensorflow as tf

LEAST_UNION = 1e-12  # square pixels: two empty boxes have IoU 0


def area(boxes: tf.Tensor) -> tf.Tensor:
    """Areas of boxes `[..., 4]`: `[...]`, in square pixels; 0 where a side is negative."""
    sides = tf.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def clip(boxes: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Clips boxes `[..., 4]` to images of `size` `[..., 2]` (height, width) that broadcasts against them."""
    size = tf.cast(size, boxes.dtype)
    return tf.clip_by_value(boxes, 0, tf.concat([size, size], axis=-1))


def intersection(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """What boxes `[..., 4]` share with boxes `[..., 4]`, broadcast: `[...]`, in square pixels."""
    top_left = tf.maximum(first[..., :2], second[..., :2])
    bottom_right = tf.minimum(first[..., 2:], second[..., 2:])
    return area(tf.concat([top_left, bottom_right], axis=-1))


def aligned_iou(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Intersection over union of boxes `[..., 4]` with boxes `[..., 4]`, broadcast: `[...]` in 0 to 1."""
    shared = intersection(first, second)
    return shared / tf.maximum(area(first) + area(second) - shared, LEAST_UNION)


def pairwise_iou(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Intersection over union of each of `[..., M, 4]` with each of `[..., N, 4]`: `[..., M, N]`."""
    return aligned_iou(first[..., :, None, :], second[..., None, :, :])
