"""Section 4's image size: resize, pad to a canvas, all in uint8; what is drawn; and the last step, normalising."""

import tensorflow as tf

from fsaf_tf.modeling.normalization import Normalization

# Sides of a canvas are multiples of it, as in mmdetection and Detectron2.
MULTIPLE = 32
MOST_HELD = 2**24  # pixels of float32 between the two passes of a resize, 200 MB


def canvas_sizes(shorter_side: int, longer_side: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Height and width of the landscape and of the portrait canvas: 800 and 1333 give 800 x 1344 and 1344 x 800."""
    short, long = (-(-side // MULTIPLE) * MULTIPLE for side in (shorter_side, longer_side))
    return (short, long), (long, short)


def canvas_of(size: tf.Tensor, shorter_side: int, longer_side: int) -> tf.Tensor:
    """Height and width `[2]` int32 of the canvas of an image of this height and width; a square one is landscape."""
    landscape, portrait = canvas_sizes(shorter_side, longer_side)
    return tf.where(size[0] > size[1], portrait, landscape)


def resized_size(size: tf.Tensor, shorter_side: int, longer_side: int) -> tf.Tensor:
    """Height and width `[2]` int32 after resizing: the aspect is kept, and neither side gets longer than its limit."""
    sides = tf.cast(size, tf.float32)
    scale = tf.minimum(shorter_side / tf.reduce_min(sides), longer_side / tf.reduce_max(sides))
    return tf.maximum(tf.cast(tf.round(sides * scale), tf.int32), 1)


def resize(image: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Resizes an image `[h, w, 3]` uint8 to height and width `size`.

    TensorFlow reads the uint8 as it is, rows first: what it holds in float32 is the new height at the old width. Where
    that is much, as of a strip of a million columns, columns come first, if less is held then.
    """
    size = tf.convert_to_tensor(size)
    old, new = tf.cast(tf.shape(image)[:2], tf.int64), tf.cast(size, tf.int64)
    by_rows, by_columns = new[0] * old[1], new[1] * old[0]
    return tf.cond(
        (by_rows > MOST_HELD) & (by_columns < by_rows),
        lambda: tf.transpose(_by_rows(tf.transpose(image, [1, 0, 2]), size[::-1]), [1, 0, 2]),
        lambda: _by_rows(image, size),
    )


def _by_rows(image: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    # Averaging matters when pixels get fewer and costs three times as much.
    resized = tf.cond(
        tf.reduce_any(size < tf.shape(image)[:2]),
        lambda: tf.image.resize(image, size, antialias=True),
        lambda: tf.image.resize(image, size),
    )
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def resize_and_pad(
    image: tf.Tensor,
    shorter_side: int,
    longer_side: int,
    keep_aspect: bool = True,
    drawn_side: tf.Tensor | None = None,
    shrink: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Resizes an image into the upper left corner of the canvas of its orientation.

    Args:
        image: `[h, w, 3]` uint8; a square one is landscape.
        shorter_side: what the shorter side becomes, in pixels, unless
        longer_side: the longer one would exceed this.
        keep_aspect: if not, the image is stretched to the whole canvas, as the libraries of phones do.
        drawn_side: `[]` int32, not above `shorter_side`: what the shorter side becomes instead, on the same canvas.
        shrink: `[]` float32, at most 1: both sides become so much of what they would be.

    Returns:
        The canvas `[H, W, 3]` uint8, zero outside of the image, and the image's height and width on it, `[2]` int32.
    """
    size = tf.shape(image)[:2]
    canvas = canvas_of(size, shorter_side, longer_side)
    wanted_side = shorter_side if drawn_side is None else tf.cast(drawn_side, tf.float32)
    new_size = resized_size(size, wanted_side, longer_side) if keep_aspect else canvas
    if shrink is not None:
        new_size = tf.maximum(tf.cast(tf.round(tf.cast(new_size, tf.float32) * shrink), tf.int32), 1)
    rest = canvas - new_size
    padded = tf.pad(resize(image, new_size), [[0, rest[0]], [0, rest[1]], [0, 0]])
    return tf.ensure_shape(padded, [None, None, 3]), new_size


def flip(image: tf.Tensor, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mirrors an image `[h, w, 3]` and its boxes `[n, 4]` (yxyx, its pixels) left to right."""
    width = tf.cast(tf.shape(image)[1], boxes.dtype)
    y1, x1, y2, x2 = tf.unstack(boxes, axis=1)
    return tf.reverse(image, [1]), tf.stack([y1, width - x2, y2, width - x1], axis=1)


def flip_vertical(image: tf.Tensor, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mirrors an image and its boxes top to bottom; see `flip`."""
    height = tf.cast(tf.shape(image)[0], boxes.dtype)
    y1, x1, y2, x2 = tf.unstack(boxes, axis=1)
    return tf.reverse(image, [0]), tf.stack([height - y2, x1, height - y1, x2], axis=1)


def quarter_turn(image: tf.Tensor, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Turns an image and its boxes by 90 degrees to the left; see `flip`."""
    width = tf.cast(tf.shape(image)[1], boxes.dtype)
    y1, x1, y2, x2 = tf.unstack(boxes, axis=1)
    turned = tf.reverse(tf.transpose(image, [1, 0, 2]), [0])
    return turned, tf.stack([width - x2, y1, width - x1, y2], axis=1)


def crop(
    image: tf.Tensor, boxes: tf.Tensor, corner: tf.Tensor, size: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A part of an image.

    Args:
        image: `[h, w, 3]` uint8.
        boxes: `[n, 4]` yxyx in its pixels.
        corner: y and x of the part's upper left corner, `[2]` int32.
        size: its height and width, `[2]` int32.

    Returns:
        The part, what is in it of the boxes in its own pixels, and which share of each box that is, `[n]` float32: 0 of
        one without area.
    """
    part = tf.slice(image, [*tf.unstack(corner), 0], [*tf.unstack(size), -1])
    moved = boxes - tf.cast(tf.tile(corner, [2]), boxes.dtype)
    clipped = tf.clip_by_value(moved, 0.0, tf.cast(tf.tile(size, [2]), boxes.dtype))
    area, left = (tf.reduce_prod(each[:, 2:] - each[:, :2], axis=1) for each in (boxes, clipped))
    return part, clipped, tf.math.divide_no_nan(left, area)


def normalize(images: tf.Tensor, image_size: tf.Tensor, normalization: Normalization) -> tf.Tensor:
    """Normalises images and makes their padding zero.

    Args:
        images: `[B, H, W, 3]` uint8, RGB.
        image_size: `[B, 2]` int32, height and width without padding.
        normalization: of the backbone.

    Returns:
        `[B, H, W, 3]` float32.
    """
    rows = tf.range(tf.shape(images)[1]) < image_size[:, :1]  # [B, H]
    columns = tf.range(tf.shape(images)[2]) < image_size[:, 1:]  # [B, W]
    inside = rows[:, :, None] & columns[:, None, :]  # [B, H, W]
    return tf.where(inside[..., None], normalization.normalize(images), 0.0)
