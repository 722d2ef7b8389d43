"""Large pictures with small objects: square tiles that overlap, each of which is detected on as a picture.

An object that is somewhat smaller than the overlap lies whole in one tile at least. The others cut it: their boxes end
at an edge of the tile, and give way to a box that does not.
"""

import dataclasses

import tensorflow as tf

from fsaf_tf import boxes as box_ops

EDGE = 4  # px of the network's input: a box that ends so near to an inner edge of its tile is cut by it
COVERED = 0.5  # of a cut box: if so much lies in one that is not cut, it is of the same object


@dataclasses.dataclass(frozen=True)
class Tiles:
    """How a picture is cut into tiles.

    Attributes:
        size: side of a tile in pixels of the picture.
        overlap: share of a side by which neighbours overlap at least.
        whole: the whole picture is looked at, too, for objects that are larger than the overlap.
    """

    size: int
    overlap: float
    whole: bool

    @property
    def step(self) -> int:
        """Pixels from a tile to the next one, at most."""
        return max(int(self.size * (1 - self.overlap)), 1)

    def describe(self) -> str:
        """A line that tells how a picture is looked at."""
        also = ", and the whole picture" if self.whole else ""
        uncut = f"objects of up to some {self.size - self.step} px are whole in one"
        return f"tiles of {self.size} px that overlap by {self.overlap:.0%}{also}; {uncut}"


def windows(size: tf.Tensor, tiles: Tiles) -> tuple[tf.Tensor, tf.Tensor]:
    """The parts of a picture that are looked at, tiles spread evenly.

    Args:
        size: height and width of the picture `[2]` int32.
        tiles: its tiles. A picture that is no larger than one of them is looked at as a whole, and so only.

    Returns:
        `[T, 4]` int32 yxyx in pixels of the picture, and `[T]` bool, which is the whole picture.
    """
    (tops, bottoms), (lefts, rights) = (_along(length, tiles) for length in tf.unstack(size))
    rows, columns = tf.meshgrid(tf.range(tf.size(tops)), tf.range(tf.size(lefts)), indexing="ij")
    rows, columns = tf.reshape(rows, [-1]), tf.reshape(columns, [-1])
    parts = tf.stack(
        [tf.gather(*each) for each in ((tops, rows), (lefts, columns), (bottoms, rows), (rights, columns))]
    )
    parts, whole = tf.transpose(parts), tf.concat([[0, 0], size], axis=0)[None]  # [T, 4], [1, 4]
    is_one = tf.shape(parts)[0] == 1
    if tiles.whole:
        parts = tf.cond(is_one, lambda: whole, lambda: tf.concat([parts, whole], axis=0))
    is_last = tf.range(tf.shape(parts)[0]) == tf.shape(parts)[0] - 1
    return parts, is_last & (is_one | tiles.whole)


def _along(length: tf.Tensor, tiles: Tiles) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the tiles begin and end on a side of the picture."""
    side = tf.minimum(length, tiles.size)
    rest = length - side
    gaps = -(-rest // tiles.step)
    starts = tf.range(gaps + 1) * rest // tf.maximum(gaps, 1)
    return starts, starts + side


def is_cut(boxes: tf.Tensor, window: tf.Tensor, size: tf.Tensor, edge: tf.Tensor) -> tf.Tensor:
    """Which boxes end at an edge of their tile that is inside of the picture.

    Args:
        boxes: `[n, 4]` yxyx in pixels of the picture.
        window: the tile `[4]`.
        size: height and width of the picture `[2]`.
        edge: `[2]` pixels of height and width that are the edge.

    Returns:
        `[n]` bool.
    """
    window, size = tf.cast(window, boxes.dtype), tf.cast(size, boxes.dtype)
    begins = (boxes[:, :2] <= window[:2] + edge) & (window[:2] > 0)  # [n, 2] <= [2]
    ends = (boxes[:, 2:] >= window[2:] - edge) & (window[2:] < size)  # [n, 2] >= [2]
    return tf.reduce_any(begins | ends, axis=1)


def is_covered(cut: dict[str, tf.Tensor], uncut: dict[str, tf.Tensor]) -> tf.Tensor:
    """`[M]` bool: of which cut boxes the most lies in an uncut one of their class.

    Args:
        cut: `boxes` `[M, 4]` and `classes` `[M]`.
        uncut: the same, N.
    """

    def is_one_covered(one):
        box, of_class = one
        shared = box_ops.intersection(box, uncut["boxes"])  # [N]
        return tf.reduce_any((shared > COVERED * box_ops.area(box)) & (uncut["classes"] == of_class))

    return tf.map_fn(is_one_covered, (cut["boxes"], cut["classes"]), fn_output_signature=tf.TensorSpec([], tf.bool))
