"""Section 3.1: pyramid levels, their map sizes, and where a location stands."""

import dataclasses
from typing import TypeAlias

import tensorflow as tf

Size: TypeAlias = int | tf.Tensor

BACKBONE_TOP = 5  # C5: the last level of a backbone; from P6 on the pyramid makes its own.


def levels(min_level: int, max_level: int) -> list[int]:
    """The pyramid's levels, lowest first: P3 to P7 in the paper. Level l has stride `2^l` pixels."""
    return list(range(min_level, max_level + 1))


@dataclasses.dataclass(frozen=True)
class Geometry:
    """What boxes, cells and offsets have to do with each other (sections 3.1 and 3.2).

    Attributes:
        levels: the L levels, lowest first.
        location_offset: cell (i, j) of level l stands at `((i + location_offset) * 2^l, (j + location_offset) * 2^l)`.
        offset_scale: S, offsets are in units of `S * 2^l` pixels.
        effective: epsilon_e, the effective box's share of an instance's sides.
        ignoring: epsilon_i, the ignoring box's share.
    """

    levels: tuple[int, ...]
    location_offset: float
    offset_scale: float
    effective: float
    ignoring: float


def map_size(size: Size, level: int) -> Size:
    """Cells of level l along a side of `size` pixels: `ceil(size / 2^l)`; an int gives an int, a tensor a tensor."""
    stride = 2**level
    return (size + stride - 1) // stride


def locations(height: Size, width: Size, level: int, location_offset: float) -> tf.Tensor:
    """Where the cells of a `height` x `width` map stand, in pixels of the input.

    Cell (i, j) stands at `((i + location_offset) * 2^l, (j + location_offset) * 2^l)`.

    Returns:
        `[height * width, 2]` float32 (y, x), row by row.
    """
    rows, columns = tf.meshgrid(tf.range(height), tf.range(width), indexing="ij")
    cells = tf.reshape(tf.stack([rows, columns], axis=-1), [-1, 2])
    return (tf.cast(cells, tf.float32) + location_offset) * 2**level


@dataclasses.dataclass(frozen=True)
class Layout:
    """The maps of all levels, one after another as P locations.

    Attributes:
        levels: the L levels, lowest first.
        sizes: for each level the height and width of its map, in cells.
    """

    levels: tuple[int, ...]
    sizes: tuple[tuple[Size, Size], ...]

    @classmethod
    def of_maps(cls, maps: dict[str, tf.Tensor]) -> "Layout":
        """The layout of tensors by level, `{"3": [B, H, W, C], ...}`; sizes that are static stay Python numbers."""
        levels = tuple(sorted(int(key) for key in maps))
        return cls(levels, tuple(_map_size_of(maps[str(level)]) for level in levels))

    @property
    def image_size(self) -> tuple[Size, Size]:
        """Height and width in pixels of the padded image, up to the lowest level's stride."""
        height, width = self.sizes[0]
        return height * 2 ** self.levels[0], width * 2 ** self.levels[0]

    @property
    def num_locations(self) -> Size:
        """P."""
        return sum(height * width for height, width in self.sizes)

    def join(self, maps: dict[str, tf.Tensor], channels: int) -> tf.Tensor:
        """Tensors by level as one: `{"3": [B, H, W, A * channels], ...}` to `[B, P * A, channels]` float32."""
        by_level = [maps[str(level)] for level in self.levels]
        flat = [tf.reshape(tf.cast(m, tf.float32), [tf.shape(m)[0], -1, channels]) for m in by_level]
        return tf.concat(flat, axis=1)

    def locations(self, location_offset: float) -> tf.Tensor:
        """Where the locations stand: `[P, 2]` float32 (y, x) in pixels."""
        by_level = [locations(*size, level, location_offset) for level, size in zip(self.levels, self.sizes)]
        return tf.concat(by_level, axis=0)

    def location_levels(self) -> tf.Tensor:
        """The level of each location: `[P]` int32."""
        by_level = [tf.fill([height * width], level) for level, (height, width) in zip(self.levels, self.sizes)]
        return tf.concat(by_level, axis=0)

    def flat_index(self, image: tf.Tensor, level: tf.Tensor, cells: tf.Tensor) -> tf.Tensor:
        """The place of cells in a `[B * P]` tensor.

        Args:
            image: `[...]` int32, the image of each cell.
            level: `[...]` int32, the number of its level, from 0.
            cells: `[..., 2]` int32 (row, column).

        Returns:
            `[...]` int32.
        """
        heights, widths = (tf.stack(sides) for sides in zip(*self.sizes))
        starts = tf.cumsum(heights * widths, exclusive=True)
        within = cells[..., 0] * tf.gather(widths, level) + cells[..., 1]
        return image * self.num_locations + tf.gather(starts, level) + within


def _map_size_of(level_map: tf.Tensor) -> tuple[Size, Size]:
    static, dynamic = level_map.shape, tf.shape(level_map)
    return tuple(dynamic[axis] if static[axis] is None else static[axis] for axis in (1, 2))
