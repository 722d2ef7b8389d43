"""Which boxes a training learns at a size of its input: the rule of `pipeline`, for all boxes at once."""

import math
from typing import NamedTuple

import numpy as np

from fsaf_tf.data import augment
from fsaf_tf.data.box_table import BoxTable

LEAST_SIDE = 1.0  # px after resizing
KEPT_SHARE = 0.99  # of the boxes, by the size that is advised
LARGEST_ADVISED = 8192  # px of the shorter side; nobody trains at more


class Sizing(NamedTuple):
    """How pictures are resized.

    Attributes:
        shorter_side: what the shorter side becomes in pixels, unless
        longer_side: the longer one would exceed this.
        keep_aspect: if not, pictures are stretched to the whole canvas.
        drawn_sides: of scale jitter: what the shorter side becomes in the place of `shorter_side`; may be empty.
        tile: side in pixels of the squares of pictures that are seen in their place; 0 for whole pictures.
    """

    shorter_side: int
    longer_side: int
    keep_aspect: bool = True
    drawn_sides: tuple[int, ...] = ()
    tile: int = 0

    def __str__(self) -> str:
        size = f"{min(self.drawn_sides or [self.shorter_side])} x {self.longer_side}"
        return f"{size} for tiles of {self.tile} px" if self.tile else size

    def at(self, shorter_side: int) -> "Sizing":
        """The same shape of canvas with another shorter side."""
        longer_side = math.ceil(shorter_side * self.longer_side / self.shorter_side)
        return Sizing(shorter_side, longer_side, self.keep_aspect, tile=self.tile)


def resized_sizes(sizes: np.ndarray, sizing: Sizing) -> np.ndarray:
    """Heights and widths `[I, 2]` float32 of pictures `[I, 2]` after resizing, by the smallest side that is drawn.

    It is `augment.resized_size`, in the same precision. Where tiles are seen, the size that a picture of them has.
    """
    if sizing.tile:
        tiles = np.minimum(sizes, sizing.tile)
        return resized_sizes(tiles, sizing._replace(tile=0)) * (sizes / tiles).astype(np.float32)
    if not sizing.keep_aspect:
        landscape, portrait = augment.canvas_sizes(sizing.shorter_side, sizing.longer_side)
        return np.where(sizes[:, :1] > sizes[:, 1:], portrait, landscape).astype(np.float32)
    sides = sizes.astype(np.float32)
    shorter_side = np.float32(min(sizing.drawn_sides or [sizing.shorter_side]))
    scale = np.minimum(shorter_side / sides.min(axis=1), np.float32(sizing.longer_side) / sides.max(axis=1))
    return np.maximum(np.round(sides * scale[:, None]), 1)


def resized_sides(table: BoxTable, sizing: Sizing) -> np.ndarray:
    """Heights and widths `[n, 2]` float32 of the clipped boxes after resizing."""
    scale = resized_sizes(table.sizes, sizing) / table.sizes.astype(np.float32)  # [I, 2]
    boxes = table.boxes_yxyx * np.tile(scale, 2)[table.image_index]
    return boxes[:, 2:] - boxes[:, :2]


def trained(table: BoxTable, sizing: Sizing) -> np.ndarray:
    """`[n]` bool, the boxes that are trained on: no crowd, no second time, both sides long enough."""
    return wanted(table) & np.all(resized_sides(table, sizing) >= LEAST_SIDE, axis=1)


def wanted(table: BoxTable) -> np.ndarray:
    """`[n]` bool, the boxes that a training wants, whatever their size."""
    return ~table.crowd & ~table.duplicate


def keeping_size(table: BoxTable, sizing: Sizing) -> Sizing | None:
    """The smallest size, in steps of a canvas, at which nearly all boxes are trained on; None if it is too large."""
    goal = KEPT_SHARE * np.sum(wanted(table) & table.has_area)
    low = 0 if sizing.drawn_sides else sizing.shorter_side // augment.MULTIPLE
    high = LARGEST_ADVISED // augment.MULTIPLE

    def keeps(steps: int) -> bool:
        return trained(table, sizing.at(steps * augment.MULTIPLE)).sum() >= goal

    if low >= high or not keeps(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return sizing.at(high * augment.MULTIPLE)
