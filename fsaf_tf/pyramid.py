"""Section 3.1: pyramid levels, their map sizes, and where a location stands."""

from typing import Union

import tensorflow as tf

Size = Union[int, tf.Tensor]


def levels(min_level: int, max_level: int) -> list[int]:
    """The pyramid's levels, lowest first: P3 to P7 in the paper. Level l has stride `2^l` pixels."""
    return list(range(min_level, max_level + 1))


def map_size(size: Size, level: int) -> Size:
    """Cells of level l along a side of `size` pixels: `ceil(size / 2^l)`; an int gives an int, a tensor a tensor."""
    stride = 2**level
    return (size + stride - 1) // stride


def locations(height: Size, width: Size, level: int, location_offset: float = 0.5) -> tf.Tensor:
    """Where the cells of a `height` x `width` map stand, in pixels of the input.

    Cell (i, j) stands at `((i + location_offset) * 2^l, (j + location_offset) * 2^l)`.

    Returns:
        `[height * width, 2]` float32 (y, x), row by row.
    """
    rows, columns = tf.meshgrid(tf.range(height), tf.range(width), indexing="ij")
    cells = tf.reshape(tf.stack([rows, columns], axis=-1), [-1, 2])
    return (tf.cast(cells, tf.float32) + location_offset) * 2**level
