"""From a source to batches (section 4): the host decodes, flips and resizes; the device stage does the rest.

Images are resized onto one of two canvases, landscape or portrait, and each batch holds one orientation.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from fsaf_tf import pyramid, regions
from fsaf_tf.config import schema
from fsaf_tf.data import augment, balance, draw, images, mix, service
from fsaf_tf.data.examples import Order, Source
from fsaf_tf.modeling.normalization import Normalization


def nothing(image: tf.Tensor) -> dict:
    """No more is wanted of an image than its canvas."""
    return {}


@tf.autograph.experimental.do_not_convert
def build_dataset(
    source: Source,
    config: schema.Data,
    input_size: schema.InputSize,
    *,
    batch_size: int,
    input_context: tf.distribute.InputContext | None = None,
    also: Callable[[tf.Tensor], dict] = nothing,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Host batches: endless, shuffled and flipped for `TrainData`, else every image once.

    The order of `TrainData`, its flips and its sizes follow from its `seed`; all are new in every epoch. They are the
    same from whichever step it begins. Of COCO JSON they are also the same on any number of workers, as far as the
    pictures have one orientation; of other data each worker shuffles a part of its own, all pictures once a round.

    Args:
        source: the opened data.
        config: of the same data.
        input_size: of the images.
        batch_size: images a batch. Training batches are full, the last ones of either orientation else may not be.
        input_context: which part of the data is wanted; without it all.
        also: what else is wanted of each image `[h, w, 3]` uint8, by its keys.
        first_step: of training; the batches of those before it are left out, without reading more files for them than
            the source needs to list its rows.

    Returns:
        A data set of dicts:
            image: `[B, H, W, 3]` uint8, RGB, zero outside of the resized image.
            image_size: `[B, 2]` int32, height and width of the resized image.
            original_size: `[B, 2]` int32, height and width of the stored image.
            image_id: `[B]` int64.
            boxes: `[B, N, 4]` float32, yxyx in pixels of the resized image; N is `max_instances`, or the most boxes of
                an image of the source where these are known and more.
            classes: `[B, N]` int32.
            valid: `[B, N]` bool, False for padding and for boxes that are not trained on.
            not_mixed: of `TrainData` with mosaic or mixup, see `mix.of_batch`.
            left_out: `[B]` int32, boxes that are not trained on: crowd, with a side under 1 px after resizing, or too
                little of them seen in a tile, after a crop, a zoom or in a mosaic.

    Raises (when the data set runs):
        UserError (at once): a tf.data service that does not answer, or cannot read such data.
        tf.errors.InvalidArgumentError: a bad image or box; `images.user_error` gives its one line.
    """
    training = isinstance(config, schema.TrainData)
    shards, shard = (input_context.num_input_pipelines, input_context.input_pipeline_id) if input_context else (1, 0)
    first_batch = first_step * (input_context.num_replicas_in_sync // shards if input_context else 1)
    by_service = training and bool(config.service)
    if by_service:
        service.checked(source, config.service)
        rows, first_batch = service.rows(source, functools.partial(_endless, source, config)), 0
    elif training:
        rows = _training_rows(source, config, shards, shard)
        if first_batch:
            rows = _of_batches(rows, config, input_size, batch_size).skip(first_batch * batch_size)
    else:
        rows = source.rows(Order(None, shards, shard))
    room = max(config.max_instances, source.most_boxes)

    def to_canvas(example: dict) -> dict:
        example = draw.of_image(example, config) if training else example
        return _to_canvas(example, input_size, room) | also(example["image"])

    bytes_of_pixel = draw.bytes_of_pixel(config) if training else images.BYTES_OF_PIXEL
    read = source.read_in_graph if by_service else source.read_pictures
    assert read is not None  # `service.checked` has refused such a source
    canvases = source.decode(read(rows), to_canvas, bytes_of_pixel, in_graph=by_service)
    batches = canvases.group_by_window(
        key_func=lambda example: _is_portrait(tf.shape(example["image"])),
        reduce_func=lambda _, window: window.batch(batch_size, drop_remainder=training),
        window_size=batch_size,
    )
    if training and config.augmentation.mixes:
        batches = _mixed(batches.enumerate(first_batch), config, shards, shard)
    if by_service:
        batches = service.through(batches, config.service)
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF  # done above
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def _mixed(numbered: tf.data.Dataset, config: schema.TrainData, shards: int, shard: int) -> tf.data.Dataset:
    """Batches with their numbers, mixed by draws of their own, and the numbers gone."""

    def mixed(number: tf.Tensor, batch: dict) -> dict:
        return mix.of_batch(batch, config.augmentation, tf.stack([config.seed, number * shards + shard]))

    return numbered.map(mixed, num_parallel_calls=tf.data.AUTOTUNE)


def _training_rows(source: Source, config: schema.TrainData, shards: int, shard: int) -> tf.data.Dataset:
    """The rows of a training with the `seed` of each.

    Those that cost no reading are shared out after they are shuffled: the workers' batches are then those of one.
    """
    if source.boxes is not None:
        rows = _endless(source, config, source.rows(Order(config.seed))).shard(shards, shard)
    else:
        rows = _endless(source, config, source.rows(Order(config.seed, shards, shard)))
    return rows.enumerate().map(lambda number, row: {**row, "seed": tf.stack([config.seed, number * shards + shard])})


def _endless(source: Source, config: schema.TrainData, rows: tf.data.Dataset) -> tf.data.Dataset:
    """The rows of a training, in another order each time they are gone through."""
    if config.repeat_rare:
        rows = balance.repeat_rare(rows, source, config.repeat_rare, config.seed)
    return rows.shuffle(config.shuffle_buffer_size, seed=config.seed, reshuffle_each_iteration=True).repeat()


def _of_batches(
    rows: tf.data.Dataset, config: schema.TrainData, input_size: schema.InputSize, batch_size: int
) -> tf.data.Dataset:
    """The rows in the order in which they get into batches, each of `batch_size` of one orientation."""
    sides = input_size.shorter_side, input_size.longer_side
    return rows.group_by_window(
        key_func=lambda row: _is_portrait(augment.canvas_of(draw.size_of_drawn(row, config), *sides)),
        reduce_func=lambda _, window: window,
        window_size=batch_size,
    )


def _is_portrait(shape: tf.Tensor) -> tf.Tensor:
    return tf.cast(shape[0] > shape[1], tf.int64)


def _to_canvas(example: dict, input_size: schema.InputSize, room: int) -> dict:
    """One image of a host batch."""
    original_size = tf.shape(example["image"])[:2]  # of training, the part's that is seen
    image, image_size = augment.resize_and_pad(
        example["image"],
        **input_size.as_dict(),
        drawn_side=example.get("drawn_side"),
        shrink=example.get("shrink"),
    )
    scale = tf.cast(image_size, tf.float32) / tf.cast(original_size, tf.float32)
    boxes = example["boxes"] * tf.tile(scale, [2])
    valid = ~example["crowd"] & tf.reduce_all(boxes[:, 2:] - boxes[:, :2] >= 1, axis=1)
    valid &= example.get("is_seen", True)
    count = tf.shape(boxes)[0]
    check = images.require(
        count <= room,
        *(example["file_name"], " has ", count, f" boxes, more than max_instances, {room}: raise it"),
    )
    with tf.control_dependencies([check]):
        padding = tf.maximum(room - count, 0)
    return {
        "image": image,
        "image_size": image_size,
        "original_size": original_size,
        "image_id": example["image_id"],
        "boxes": tf.ensure_shape(tf.pad(boxes, [[0, padding], [0, 0]]), [room, 4]),
        "classes": tf.ensure_shape(tf.pad(example["classes"], [[0, padding]]), [room]),
        "valid": tf.ensure_shape(tf.pad(valid, [[0, padding]]), [room]),
        "left_out": tf.math.count_nonzero(~valid, dtype=tf.int32),
    }


def device_stage(
    batch: dict[str, tf.Tensor], normalization: Normalization, geometry: pyramid.Geometry
) -> dict[str, tf.Tensor]:
    """What may run on the training device: normalise, zero the padding, boxes to cells (section 3.2).

    Args:
        batch: a host batch; B may be 0.
        normalization: of the backbone.
        geometry: of the detector.

    Returns:
        images: `[B, H, W, 3]` float32, in the place of `image`.
        cell_ranges: `[B, N, L, 2, 4]` int32 of `regions.cell_ranges`. All else stays as it is.
    """
    height, width = tf.unstack(tf.shape(batch["image"])[1:3])
    ranges = regions.cell_ranges(batch["boxes"], batch["valid"], (height, width), geometry)
    normalized = augment.normalize(batch["image"], batch["image_size"], normalization)
    kept = {key: value for key, value in batch.items() if key != "image"}
    return {**kept, "images": normalized, "cell_ranges": ranges}
