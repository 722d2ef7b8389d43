"""Training pictures made of several of their batch: mosaic ([Bochkovskiy et al. 2020]) and mixup ([Zhang et al. 2018]).

Both are taken on the canvases, after everything that is drawn for single images, and decode no image twice.
"""

import functools

import tensorflow as tf

from fsaf_tf.config import data_sources
from fsaf_tf.data import augment

CENTRES = (0.3, 0.7)  # where the four parts of a mosaic meet, in shares of the canvas
CHANGED = ("image", "image_size", "boxes", "classes", "valid", "left_out", "not_mixed")


def of_batch(batch: dict, wanted: data_sources.Augmentation, seed: tf.Tensor) -> dict:
    """Puts mosaics and means of two in the place of some images of a batch.

    An image with more boxes than fit stays what it was.

    Args:
        batch: a host batch, see `pipeline.build_dataset`.
        wanted: the shares of both, and how much of a box must be seen.
        seed: `[2]` int64, of this batch.

    Returns:
        The batch with `not_mixed` `[B]` int32: how many of these were drawn for an image and had too many boxes.
    """
    batch = batch | {"not_mixed": tf.zeros_like(batch["left_out"])}
    of = functools.partial(tf.random.experimental.stateless_fold_in, seed)
    if wanted.mosaic:
        make = functools.partial(_mosaic, batch, wanted.least_kept)
        batch = _some(batch, make, wanted.mosaic, of(0), of(1))
    if wanted.mixup:
        batch = _some(batch, functools.partial(_mean, batch), wanted.mixup, of(2), of(3))
    return batch


def _some(batch: dict, make, share: float, of_choice: tf.Tensor, of_images: tf.Tensor) -> dict:
    """The batch with `make(i, seed)` in the place of a share of its images."""
    count, most = tf.shape(batch["image"])[0], batch["boxes"].shape[1]
    chosen = tf.random.stateless_uniform([count], of_choice) < share

    def one(index):
        own = {key: batch[key][index] for key in CHANGED}

        def mixed():
            made = make(index, tf.random.experimental.stateless_fold_in(of_images, index))
            fits = tf.shape(made["boxes"])[0] <= most
            kept = own | {"not_mixed": own["not_mixed"] + 1}
            return tf.cond(fits, lambda: own | _padded(made, most), lambda: kept)

        return tf.cond(chosen[index], mixed, lambda: own)

    types = {key: tf.TensorSpec(batch[key].shape[1:], batch[key].dtype) for key in CHANGED}
    return batch | tf.map_fn(one, tf.range(count), fn_output_signature=types)


def _padded(made: dict, most: int) -> dict:
    rest = most - tf.shape(made["boxes"])[0]
    rows = {key: tf.pad(made[key], [[0, rest]]) for key in ("classes", "valid")}
    return made | rows | {"boxes": tf.pad(made["boxes"], [[0, rest], [0, 0]])}


def _mosaic(batch: dict, least_kept: float, index: tf.Tensor, seed: tf.Tensor) -> dict:
    """An image's part in the upper left, and parts of the three next ones of the batch to the right and below."""
    of = functools.partial(tf.random.experimental.stateless_fold_in, seed)
    canvas = tf.shape(batch["image"])[1:3]
    centre = tf.cast(tf.random.stateless_uniform([2], seed, *CENTRES) * tf.cast(canvas, tf.float32), tf.int32)
    tiles, rows = [], []
    for number in range(4):
        is_below = tf.constant([number // 2, number % 2])
        corner, size = is_below * centre, tf.where(is_below == 1, canvas - centre, centre)
        tile, seen = _tile(batch, (index + number) % tf.shape(batch["image"])[0], corner, size, of(number))
        tiles.append(tile)
        rows.append(seen)
    image = tf.concat([tf.concat(tiles[:2], axis=1), tf.concat(tiles[2:], axis=1)], axis=0)
    boxes, classes, valid, share = (tf.concat(column, axis=0) for column in zip(*rows))
    valid &= (share >= least_kept) & tf.reduce_all(boxes[:, 2:] - boxes[:, :2] >= 1, axis=1)
    return {"image": image, "image_size": canvas} | _rows(boxes, classes, valid, share > 0)


def _tile(batch: dict, index, corner, size, seed) -> tuple[tf.Tensor, tuple]:
    """A part of an image for a place of a mosaic: pixels, and boxes there, classes, which are learnt, what is seen."""
    room = tf.maximum(batch["image_size"][index] - size, 0)
    begin = tf.cast(tf.random.stateless_uniform([2], seed) * tf.cast(room + 1, tf.float32), tf.int32)
    tile, boxes, share = augment.crop(batch["image"][index], batch["boxes"][index], tf.minimum(begin, room), size)
    boxes += tf.cast(tf.tile(corner, [2]), tf.float32)
    return tile, (boxes, batch["classes"][index], batch["valid"][index], share)


def _mean(batch: dict, index: tf.Tensor, seed: tf.Tensor) -> dict:
    """The mean of an image and of another one of the batch, and the boxes of both."""
    count = tf.shape(batch["image"])[0]
    step = 1 + tf.random.stateless_uniform([], seed, 0, tf.maximum(count - 1, 1), tf.int32)
    pair = tf.stack([index, (index + step) % count])
    images, sizes = tf.gather(batch["image"], pair), tf.gather(batch["image_size"], pair)
    boxes, classes, valid = (
        tf.concat(tf.unstack(tf.gather(batch[key], pair)), axis=0) for key in ("boxes", "classes", "valid")
    )
    mean = tf.cast(tf.reduce_sum(tf.cast(images, tf.int32), axis=0) // 2, tf.uint8)
    is_box = tf.reduce_all(boxes[:, 2:] > boxes[:, :2], axis=1)
    return {"image": mean, "image_size": tf.reduce_max(sizes, axis=0)} | _rows(boxes, classes, valid, is_box)


def _rows(boxes: tf.Tensor, classes: tf.Tensor, valid: tf.Tensor, wanted: tf.Tensor) -> dict:
    """The boxes that are wanted, those that are not learnt counted."""
    rows = {"boxes": boxes, "classes": classes, "valid": valid}
    kept = {key: tf.boolean_mask(values, wanted) for key, values in rows.items()}
    return kept | {"left_out": tf.math.count_nonzero(~kept["valid"], dtype=tf.int32)}
