"""The anchor-based branch's geometry ([22], as in Detectron): anchors, their boxes and their instances."""

from typing import NamedTuple

import tensorflow as tf

from fsaf_tf import boxes as box_ops
from fsaf_tf import pyramid

# An anchor of scale 1 has the area of a square of so many strides: 32 px on P3, 512 px on P7.
BASE_SIZE = 4
# Anchors compared with all instances at a time, so that 500 instances need no [anchors, 500] tensor.
BLOCK = 8192
# The largest growth of a side: an untrained branch cannot overflow.
MAX_LOG_GROWTH = 4.135166556742356  # log(1000 / 16), Detectron's bound


class Shapes(NamedTuple):
    """The anchors of a location.

    Attributes:
        scales: sizes in units of `4 * 2^l` pixels.
        aspect_ratios: height over width.
    """

    scales: tuple[float, ...]
    aspect_ratios: tuple[float, ...]

    @property
    def per_location(self) -> int:
        """A: each scale in each aspect ratio."""
        return len(self.scales) * len(self.aspect_ratios)


def anchors(height: pyramid.Size, width: pyramid.Size, level: int, shapes: Shapes, location_offset: float) -> tf.Tensor:
    """Anchors of one level, centred on its locations.

    Args:
        height: rows of the level's map.
        width: columns of the level's map.
        level: l; an anchor of scale 1 has an area of `(4 * 2^l)^2` pixels.
        shapes: of the anchors of a location.
        location_offset: where a location stands, in cells.

    Returns:
        `[height * width * A, 4]` yxyx in pixels: row by row, then by aspect ratio, then by scale.
    """
    sides = [
        (scale * ratio**0.5, scale / ratio**0.5)  # the area does not depend on the ratio
        for ratio in shapes.aspect_ratios
        for scale in shapes.scales
    ]
    half = tf.constant(sides, tf.float32) * (BASE_SIZE * 2**level / 2)  # [A, 2]
    centres = pyramid.locations(height, width, level, location_offset)[:, None]  # [P, 1, 2]
    return tf.reshape(tf.concat([centres - half, centres + half], axis=-1), [-1, 4])


class Matching(NamedTuple):
    """Which anchors learn an instance: those of IoU `positive_iou` or more; those under `negative_iou` are background.

    In between an anchor is ignored.
    """

    positive_iou: float
    negative_iou: float


class Anchors(NamedTuple):
    """The anchors of all levels, and what they learn.

    Attributes:
        shapes: of every location.
        location_offset: where a location stands, in cells.
        matching: which of them learn an instance.
    """

    shapes: Shapes
    location_offset: float
    matching: Matching

    def of_layout(self, layout: pyramid.Layout) -> tf.Tensor:
        """The anchors `[P * A, 4]` yxyx in pixels, in the order of the layout's locations."""
        by_level = zip(layout.levels, layout.sizes)
        return tf.concat([anchors(*size, level, self.shapes, self.location_offset) for level, size in by_level], axis=0)


def encode(boxes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """Deltas `[..., 4]` (dy, dx, dh, dw) that turn anchors `[..., 4]` into boxes `[..., 4]`; sides must be positive."""
    centre, side = _centre_and_side(boxes)
    anchor_centre, anchor_side = _centre_and_side(anchors)
    return tf.concat([(centre - anchor_centre) / anchor_side, tf.math.log(side / anchor_side)], axis=-1)


def decode(deltas: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """Boxes `[..., 4]` yxyx from deltas `[..., 4]` (dy, dx, dh, dw) and anchors `[..., 4]`: the inverse of `encode`."""
    anchor_centre, anchor_side = _centre_and_side(anchors)
    centre = anchor_centre + deltas[..., :2] * anchor_side
    half = anchor_side * tf.exp(tf.minimum(deltas[..., 2:], MAX_LOG_GROWTH)) / 2
    return tf.concat([centre - half, centre + half], axis=-1)


def _centre_and_side(boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]


def match(anchors: tf.Tensor, boxes: tf.Tensor, valid: tf.Tensor, matching: Matching) -> dict[str, tf.Tensor]:
    """Matches each anchor with the instance it overlaps most; no anchor is forced on an instance.

    Args:
        anchors: `[M, 4]` yxyx in pixels.
        boxes: `[B, N, 4]` yxyx in pixels.
        valid: `[B, N]` bool; the rows that are not may hold anything.
        matching: the limits.

    Returns:
        `instance` `[B, M]` int32, the first of equal ones; `positive` and `background` `[B, M]` bool.
    """
    # An empty box has IoU 0 with every anchor; one more at the end serves an image without any.
    boxes = tf.pad(tf.where(valid[..., None], boxes, 0.0), [[0, 0], [0, 1], [0, 0]])
    count = tf.shape(anchors)[0]
    blocks = tf.reshape(tf.pad(anchors, [[0, -count % BLOCK], [0, 0]]), [-1, BLOCK, 4])

    def best_of_block(block):
        iou = box_ops.pairwise_iou(block, boxes)  # [B, BLOCK, N + 1]
        return tf.argmax(iou, axis=-1, output_type=tf.int32), tf.reduce_max(iou, axis=-1)

    signature = (tf.int32, tf.float32)  # [blocks, B, BLOCK] each; one block at a time, for the memory's sake
    instance, iou = tf.map_fn(best_of_block, blocks, fn_output_signature=signature, parallel_iterations=1)
    instance, iou = (
        tf.reshape(tf.transpose(best, [1, 0, 2]), [tf.shape(boxes)[0], -1])[:, :count] for best in (instance, iou)
    )
    return {"instance": instance, "positive": iou >= matching.positive_iou, "background": iou < matching.negative_iou}
