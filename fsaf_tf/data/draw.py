"""What training draws for one image: how it is mirrored and turned, which part of it is seen, its size and colours."""

import functools
import math
from collections.abc import Callable

import tensorflow as tf

from fsaf_tf.config import data_sources
from fsaf_tf.data import augment, images

CROP_ASPECTS = (0.5, 2.0)  # width over height of a crop, as in SSD
CROP_COVERS = 0.5  # of one object's box or more
ANYWHERE = 0.2  # share of the tiles that need no object: most of a picture may be background
COLOURS = ("brightness", "contrast", "saturation", "hue")
MOST_RECOLOURED = 2**25  # pixels: while colours change, each takes `BYTES_OF_COLOURS`
BYTES_OF_COLOURS = 31  # measured: its own 6, and two copies of float32


def of_image(example: dict, config: data_sources.TrainData) -> dict:
    """Draws for one image; each draw has a number of its own, which it keeps.

    Args:
        example: a decoded one: its `image` `[h, w, 3]` uint8 and its `boxes` `[n, 4]` yxyx in pixels are changed; its
            `seed` `[2]` int64 is of this image in this epoch.
        config: which draws are wanted.

    Returns:
        The example, with what is drawn of its size: `drawn_side`, `shrink` (see `augment.resize_and_pad`); and
        `is_seen` `[n]` bool, whether enough is left of a box.
    """
    seed = example["seed"]
    of = functools.partial(tf.random.experimental.stateless_fold_in, seed)
    image, boxes, drawn = example["image"], example["boxes"], {}
    if config.random_flip:
        image, boxes = _perhaps(augment.flip, image, boxes, tf.random.stateless_uniform([], seed) < 0.5)
    if config.shorter_sides:
        place = tf.random.stateless_uniform([], of(1), 0, len(config.shorter_sides), tf.int32)
        drawn["drawn_side"] = tf.constant(config.shorter_sides)[place]
    wanted = config.augmentation
    if wanted.vertical_flip:
        is_flipped = tf.random.stateless_uniform([], of(2)) < 0.5
        image, boxes = _perhaps(augment.flip_vertical, image, boxes, is_flipped)
    if wanted.quarter_turns:
        turns = tf.random.stateless_uniform([], of(3), 0, 4, tf.int32)
        for number in range(3):
            image, boxes = _perhaps(augment.quarter_turn, image, boxes, number < turns)
    image, boxes, of_size = _part(image, boxes, wanted, of)
    if _changes_colours(wanted):
        image, boxes = _within(MOST_RECOLOURED, image, boxes)
        image = _recolour(image, wanted, of)
    return {**example, **drawn, **of_size, "image": image, "boxes": boxes}


def bytes_of_pixel(config: data_sources.TrainData) -> int:
    """What a pixel of a picture takes at most until the picture is resized."""
    return BYTES_OF_COLOURS if _changes_colours(config.augmentation) else images.BYTES_OF_PIXEL


def size_of_drawn(row: dict, config: data_sources.TrainData) -> tf.Tensor:
    """Height and width `[2]` int32 of what `of_image` makes of a row whose picture has not been read.

    All that moves pixels is drawn for an image without channels.
    """
    image, no_colours = tf.zeros([*tf.unstack(row["size"]), 0], tf.uint8), data_sources.Augmentation()
    colours = {key: getattr(no_colours, key) for key in COLOURS}
    size = tf.shape(of_image({**row, "image": image}, config.replace(augmentation=colours))["image"])[:2]
    return _size_within(MOST_RECOLOURED, size) if _changes_colours(config.augmentation) else size


def _perhaps(change, image: tf.Tensor, boxes: tf.Tensor, wanted: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.cond(wanted, lambda: change(image, boxes), lambda: (image, boxes))


def _part(image, boxes, wanted: data_sources.Augmentation, of) -> tuple[tf.Tensor, tf.Tensor, dict]:
    """The part of an image that is seen, how much smaller it gets, and which boxes are still to be learnt."""
    kept, of_size = tf.ones_like(boxes[:, 0]), {}
    if wanted.tile:
        image, boxes, kept = augment.crop(image, boxes, *_tile_window(image, boxes, wanted.tile, of))
    if wanted.crop:
        image, boxes, share = augment.crop(image, boxes, *_crop_window(image, boxes, wanted.crop, of(10)))
        kept *= share
    if wanted.zoom:
        scale = tf.exp(tf.random.stateless_uniform([], of(4), *map(math.log, wanted.zoom)))
        image, boxes, share = augment.crop(image, boxes, *_zoom_window(image, scale, of(5)))
        kept, of_size["shrink"] = kept * share, tf.minimum(scale, 1.0)
    if wanted.tile or wanted.crop or wanted.zoom:
        of_size["is_seen"] = kept >= wanted.least_kept
    return image, boxes, of_size


def _tile_window(image, boxes, side: int, of) -> tuple[tf.Tensor, tf.Tensor]:
    """Corner and size `[2]` int32 of a tile with the centre of one of the boxes in it, or anywhere; see `ANYWHERE`."""
    size = tf.shape(image)[:2]
    part, count = tf.minimum(size, side), tf.shape(boxes)[0]
    place = tf.random.stateless_uniform([2], of(11))
    box = tf.random.stateless_uniform([], of(12), 0, tf.maximum(count, 1), tf.int32)
    centre = tf.reduce_sum(tf.where(tf.range(count)[:, None] == box, (boxes[:, :2] + boxes[:, 2:]) / 2, 0.0), axis=0)
    about = centre - place * tf.cast(part, tf.float32)  # [2] - [2] * [2]
    anywhere = place * tf.cast(size - part + 1, tf.float32)
    is_anywhere = (count == 0) | (tf.random.stateless_uniform([], of(13)) < ANYWHERE)
    corner = tf.cast(tf.where(is_anywhere, anywhere, about), tf.int32)
    return tf.clip_by_value(corner, 0, size - part), part


def _crop_window(image, boxes, areas: list[float], seed) -> tuple[tf.Tensor, tf.Tensor]:
    """Corner and size `[2]` int32 of a part, or of all where none such was found; see `Augmentation.crop`."""
    size = tf.shape(image)
    shares = tf.clip_by_value(boxes / tf.cast(tf.tile(size[:2], [2]), tf.float32), 0.0, 1.0)
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        size,
        shares[None],
        seed,
        min_object_covered=tf.where(tf.shape(boxes)[0] > 0, CROP_COVERS, 0.0),  # the image counts as one where none is
        aspect_ratio_range=CROP_ASPECTS,
        area_range=areas,
        use_image_if_no_bounding_boxes=True,
    )
    return begin[:2], tf.concat([extent[:1], tf.where(extent[1:2] < 0, size[1:2], extent[1:2])], axis=0)


def _zoom_window(image, scale, seed) -> tuple[tf.Tensor, tf.Tensor]:
    """Corner and size `[2]` int32 of the part that a scale above 1 shows; all of it for others."""
    size = tf.shape(image)[:2]
    part = tf.cast(tf.math.ceil(tf.cast(size, tf.float32) / tf.maximum(scale, 1.0)), tf.int32)
    share = tf.random.stateless_uniform([2], seed)
    corner = tf.cast(share * tf.cast(size - part + 1, tf.float32), tf.int32)
    return tf.minimum(corner, size - part), part


def _changes_colours(wanted: data_sources.Augmentation) -> bool:
    return any(getattr(wanted, key) for key in COLOURS)


def _within(most: int, image: tf.Tensor, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """An image of more than `most` pixels at about so many, and its boxes there; any other as it is."""
    size = tf.shape(image)[:2]
    new_size = _size_within(most, size)

    def smaller() -> tuple[tf.Tensor, tf.Tensor]:
        return augment.resize(image, new_size), boxes * tf.cast(tf.tile(new_size / size, [2]), boxes.dtype)

    return tf.cond(tf.reduce_any(new_size < size), smaller, lambda: (image, boxes))


def _size_within(most: int, size: tf.Tensor) -> tf.Tensor:
    share = tf.sqrt(most / tf.reduce_prod(tf.cast(size, tf.float32)))
    smaller = tf.maximum(tf.cast(tf.cast(size, tf.float32) * share, tf.int32), 1)
    return tf.where(share < 1, smaller, size)


def _recolour(image: tf.Tensor, wanted: data_sources.Augmentation, of: Callable[[int], tf.Tensor]) -> tf.Tensor:
    """An image of other colours, uint8 as it was."""
    changes = (
        (wanted.brightness, lambda x: tf.image.stateless_random_brightness(x, wanted.brightness, of(6))),
        (wanted.contrast, lambda x: _by_factor(tf.image.adjust_contrast, x, wanted.contrast, of(7))),
        (wanted.saturation, lambda x: _by_factor(tf.image.adjust_saturation, x, wanted.saturation, of(8))),
        (wanted.hue, lambda x: tf.image.stateless_random_hue(x, wanted.hue, of(9))),
    )
    changed = tf.image.convert_image_dtype(image, tf.float32)
    for amount, change in changes:
        if amount:
            changed = tf.clip_by_value(change(changed), 0.0, 1.0)
    return tf.image.convert_image_dtype(changed, tf.uint8, saturate=True)


def _by_factor(adjust, image: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    return adjust(image, tf.random.stateless_uniform([], seed, 1 - amount, 1 + amount))
