"""Section 3.2: from boxes to cells of the pyramid, and from offsets back to boxes."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from fsaf_tf import pyramid

EFFECTIVE, IGNORING = 0, 1

# Cells that `fold_cells` takes at a time: the memory it needs, whatever the instances.
CHUNK = 16384


class Instances(NamedTuple):
    """The instances of B images, rows that are not valid all zeros: NaN and -1 must not reach a sum or an index.

    Attributes:
        boxes: `[B, N, 4]` float32 yxyx in pixels of the padded image.
        classes: `[B, N]` int32, 0 .. K-1.
        valid: `[B, N]` bool.
        cell_ranges: `[B, N, L, 2, 4]` int32, see `cell_ranges`.
    """

    boxes: tf.Tensor
    classes: tf.Tensor
    valid: tf.Tensor
    cell_ranges: tf.Tensor

    @classmethod
    def of(cls, boxes: tf.Tensor, classes: tf.Tensor, valid: tf.Tensor, cell_ranges: tf.Tensor) -> "Instances":
        """The instances of padded tensors, whose rows that are not valid may hold anything."""
        return cls(
            tf.where(valid[..., None], tf.cast(boxes, tf.float32), 0.0),
            tf.where(valid, tf.cast(classes, tf.int32), 0),
            tf.convert_to_tensor(valid),
            tf.where(valid[..., None, None, None], cell_ranges, 0),
        )

    @classmethod
    def of_batch(cls, batch: dict[str, tf.Tensor]) -> "Instances":
        """Those of a batch that has passed the device stage, which has them under these names."""
        return cls.of(*(batch[name] for name in cls._fields))


def cell_ranges(
    boxes: tf.Tensor,
    valid: tf.Tensor,
    image_size: tuple[pyramid.Size, pyramid.Size],
    geometry: pyramid.Geometry,
) -> tf.Tensor:
    """The cells of each instance's effective and ignoring box on each level (section 3.2).

    A box is shrunk to `effective` and to `ignoring` of its sides about its centre and projected (divided by `2^l`). A
    cell belongs to it when the cell's square, which has the cell's location in its middle, meets it. The range is
    clipped to the map and never empty: a box smaller than a cell, or outside of the map, has the nearest cell.

    Args:
        boxes: `[B, N, 4]` yxyx in pixels of the padded image.
        valid: `[B, N]` bool; the rows that are not may hold anything.
        image_size: height and width of the padded image, ints or scalar tensors.
        geometry: its L levels, where locations stand, epsilon_e and epsilon_i.

    Returns:
        `[B, N, L, 2, 4]` int32, for `EFFECTIVE` and `IGNORING` the half-open range row0, column0, row1, column1; for
            invalid rows the first cell.
    """
    boxes = tf.where(valid[..., None], boxes, 0.0)
    shares = (geometry.effective, geometry.ignoring)
    regions = tf.stack([_shrink(boxes, share) for share in shares], axis=-2)  # [B, N, 2, 4]
    by_level = [_cells(regions, image_size, level, geometry.location_offset) for level in geometry.levels]
    return tf.stack(by_level, axis=-3)


def _shrink(boxes: tf.Tensor, share: float) -> tf.Tensor:
    """Boxes of `share` of the sides about the same centre.

    Moving each side inwards, and not the centre outwards, keeps sides that are whole numbers exact in float32, with or
    without fused multiply-add: there the next `floor` and `ceil` would turn an error of 1e-7 into a cell.
    """
    inset = (1 - share) / 2 * (boxes[..., 2:] - boxes[..., :2])
    return tf.concat([boxes[..., :2] + inset, boxes[..., 2:] - inset], axis=-1)


def _cells(regions: tf.Tensor, image_size, level: int, location_offset: float) -> tf.Tensor:
    """Half-open cell ranges `[..., 4]` of `regions` `[..., 4]` on one level."""
    height, width = (pyramid.map_size(side, level) for side in image_size)
    size = tf.cast(tf.stack([height, width]), tf.float32)  # [2]
    projected = regions / 2**level + (0.5 - location_offset)
    first = tf.clip_by_value(tf.floor(projected[..., :2]), 0.0, size - 1)
    last = tf.clip_by_value(tf.math.ceil(projected[..., 2:]), first + 1, size)
    return tf.cast(tf.concat([first, last], axis=-1), tf.int32)


def decode_offsets(
    offsets: tf.Tensor, locations: tf.Tensor | float, level: tf.Tensor | int, offset_scale: float
) -> tf.Tensor:
    """Boxes from offsets: the inverse of section 3.2's projection (also section 3.2, inference).

    Args:
        offsets: `[..., 4]` (top, left, bottom, right) in units of `offset_scale * 2^level` pixels, not negative.
        locations: `[..., 2]` (y, x) in pixels, broadcast against the offsets; 0 for boxes as their locations see them.
        level: the level of the offsets, an int or int32, broadcast against them.
        offset_scale: S.

    Returns:
        Boxes `[..., 4]` yxyx in pixels.
    """
    distances = offsets * (offset_scale * tf.cast(2**level, offsets.dtype))
    return tf.concat([locations - distances[..., :2], locations + distances[..., 2:]], axis=-1)


def fold_cells(ranges: tf.Tensor, step: Callable, state: tf.Tensor) -> tf.Tensor:
    """Folds `step` over every cell of every range, so many cells at a time; without gradient.

    What `step` takes from outside must have passed `tf.stop_gradient`: a tape that watches what goes into a loop has it
    keep all its turns, and under a persistent tape XLA cannot compile that.

    Time grows with the cells that there are, not with the ranges times the map, and memory with neither; all shapes are
    static, only the number of turns is not.

    Args:
        ranges: `[M, 4]` half-open cell ranges; one without cells is passed over.
        step: `step(state, owner, cells, inside)` gives the next state, where each of `CHUNK` entries is a cell:
            `owner` its range, `cells` `[CHUNK, 2]` its row and column, and `inside` is false past the last cell.
        state: a tensor, the first state; its shape stays.

    Returns:
        The last state.
    """
    if ranges.shape[0] == 0:  # XLA has no scatter into nothing
        return state
    sides = ranges[:, 2:] - ranges[:, :2]  # [M, 2]
    counts = sides[:, 0] * sides[:, 1]
    starts, total = tf.cumsum(counts, exclusive=True), tf.reduce_sum(counts)

    def turn(first, state):
        # A cell's owner is the last range that starts at it or before: mark the starts, then count them.
        marks = tf.scatter_nd(tf.clip_by_value(starts - first, 0, CHUNK)[:, None], tf.ones_like(starts), [CHUNK + 1])
        owner = tf.maximum(tf.cumsum(marks[:CHUNK]) - 1, 0)
        place = first + tf.range(CHUNK)
        width = tf.maximum(tf.gather(sides[:, 1], owner), 1)
        within = place - tf.gather(starts, owner)
        cells = tf.gather(ranges[:, :2], owner) + tf.stack([within // width, within % width], axis=-1)
        return first + CHUNK, step(state, owner, cells, place < total)

    return tf.stop_gradient(tf.while_loop(lambda first, _: first < total, turn, (0, state))[1])
