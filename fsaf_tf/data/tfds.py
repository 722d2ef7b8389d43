"""Data sets of TensorFlow Datasets by name: COCO, VOC, `shapes`, and others with the same features.

Wanted are `image`, and `objects` with `bbox` and a `label` that has names. Objects that `is_crowd`, or in VOC
`is_difficult`, are not trained on and ignored in evaluation; for the latter that is VOC's own rule.
"""

import functools

import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format

from fsaf_tf.data import frames, images, shapes
from fsaf_tf.data.bad_pictures import BadPictures
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.coco_classes import COCO
from fsaf_tf.data.examples import FIXED_ORDER, Order, Source, at_places, check_finite, clip_boxes, collect_ground_truth
from fsaf_tf.errors import UserError
from fsaf_tf.terminal import faults


def open_tfds(name: str, split: str, data_dir: str, *, download: bool, upright: bool, max_bad: float = 0.0) -> Source:
    """Opens a TFDS data set.

    Args:
        name: such as `coco/2017`.
        split: such as `train` or `validation[:100]`.
        data_dir: where TFDS keeps its data; empty for its own place.
        download: fetch and prepare it when it is not there. `shapes` is drawn without being asked.
        upright: boxes are of the pictures turned by their EXIF orientation, not as they are stored.
        max_bad: the share of pictures that may be left out because they cannot be read.

    Raises:
        UserError: no such data set or split, it is not there, or it lacks the wanted features.
    """
    builder = _prepared(name, data_dir, download)
    labels = _labels(builder, name)
    try:
        num_images = builder.info.splits[split].num_examples
    except (ValueError, KeyError):
        known = ", ".join(sorted(builder.info.splits))
        raise UserError(f"TFDS {name} has no split {split!r}; it has {known}, and parts such as train[:10%]") from None

    bad = BadPictures(max_bad, num_images)

    def given(order: Order = FIXED_ORDER) -> tf.data.Dataset:
        readable = bad.leave_out(images.add_headers(at_places(_read(builder, split, order), order)))
        taken = readable.map(functools.partial(frames.take, upright=upright))
        return taken.map(lambda example: _with_boxes(example, builder.name)).map(check_finite)

    def rows(order: Order) -> tf.data.Dataset:
        return given(order).map(clip_boxes)

    names = tuple(labels.names)
    # TFDS keeps the index of COCO's categories alone.
    ids = COCO.ids if builder.name == "coco" else tuple(range(1, len(names) + 1))
    classes = Classes(names, ids)
    return Source(
        name=f"TFDS {name} {split}",
        classes=classes,
        num_images=num_images,
        rows=rows,
        ground_truth=lambda: collect_ground_truth(rows(FIXED_ORDER), classes),
        bad=bad,
        given=given,
    )


def _builder(name: str, data_dir: str) -> tfds.core.DatasetBuilder:
    try:
        return tfds.builder(name, data_dir=data_dir or None)
    except tfds.core.DatasetNotFoundError:
        raise UserError(f"TFDS has no data set {name!r}; coco/2017, voc/2012 and shapes are some that fit") from None
    except (ValueError, json_format.ParseError) as error:  # the latter is of a damaged dataset_info.json
        raise UserError(f"TFDS cannot open {name!r}: {str(error).splitlines()[0]}") from None


def _prepared(name: str, data_dir: str, download: bool) -> tfds.core.DatasetBuilder:
    """The builder of data that is there, or has just been made."""
    builder = _builder(name, data_dir)
    if builder.is_prepared():
        return builder
    drawn = builder.name == shapes.Shapes.name
    if not (download or drawn):
        raise UserError(
            f"TFDS {name} is not in {builder.data_dir}: prepare it with --download, or give annotation_file and "
            "image_dir (COCO JSON and other forms), or input_path (TFRecord files), in place of tfds_name"
        )
    print(f"{'Drawing' if drawn else 'Preparing'} TFDS {name} in {builder.data_dir}, once", flush=True)
    try:
        if drawn:
            tfds.disable_progress_bar()
        builder.download_and_prepare()
    except Exception as error:  # whatever the network, the disk and the builder raise
        if not builder.is_prepared():  # else another process was faster
            first = (str(error).splitlines() or [""])[0]
            of_machine = faults.line(error) if getattr(error, "errno", 0) is not None else None  # others say only words
            reason = of_machine or f"{type(error).__name__}: {first}"
            raise UserError(f"TFDS {name} could not be prepared: {reason}") from error
    return _builder(name, data_dir)


def _labels(builder: tfds.core.DatasetBuilder, name: str) -> tfds.features.ClassLabel:
    """The labels of the objects, once the features are known to be those that `_read` wants."""
    features = dict(builder.info.features)
    objects = dict(getattr(features.get("objects"), "feature", {}))
    fits = "image" in features and {"bbox", "label"} <= set(objects)
    fits = fits and objects["bbox"].bbox_format == tfds.features.BBoxFeature().bbox_format
    if not (fits and isinstance(objects["label"], tfds.features.ClassLabel) and objects["label"].names):
        raise UserError(
            f"TFDS {name} has no `image` and `objects` with `bbox` and a named `label`; give it as COCO JSON"
        )
    return objects["label"]


def _read(builder: tfds.core.DatasetBuilder, split: str, order: Order) -> tf.data.Dataset:
    config = tfds.ReadConfig(try_autocache=False, add_tfds_id=True, shuffle_seed=order.seed)
    examples = builder.as_dataset(
        split=split,
        shuffle_files=order.seed is not None,
        decoders={"image": tfds.decode.SkipDecoding()},
        read_config=config,
    )
    examples = examples.shard(order.num_shards, order.shard)
    return examples.map(lambda features: _with_names(features, builder.name))


def _with_names(features: dict, builder_name: str) -> dict:
    """Bytes, name and number of an image; the objects come along."""
    file_name = features.get("image/filename", features["tfds_id"])
    if "image/id" in features:
        image_id = features["image/id"]
    elif builder_name == "voc":
        # 000005.jpg and 2008_000002.jpg
        image_id = tf.strings.to_number(tf.strings.regex_replace(file_name, "[^0-9]", ""), tf.int64)
    else:
        image_id = tf.strings.to_hash_bucket_fast(features["tfds_id"], 2**53)
    return {
        "image_bytes": features["image"],
        "file_name": file_name,
        "image_id": tf.cast(image_id, tf.int64),
        "objects": features["objects"],
    }


def _with_boxes(example: dict, builder_name: str) -> dict:
    """Objects as the other sources have them: boxes in pixels, and what is to be ignored as crowd."""
    objects = example.pop("objects")
    boxes = objects["bbox"] * tf.cast(tf.tile(example["size"], [2]), tf.float32)
    if builder_name == "voc":
        # VOC counts pixels from 1 and includes the last one, and TFDS keeps that.
        boxes -= [1.0, 1.0, 0.0, 0.0]
    nothing = tf.zeros_like(objects["label"])
    area = objects.get("area", (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    return {
        **example,
        "boxes": boxes,
        "classes": tf.cast(objects["label"], tf.int32),
        "crowd": tf.cast(objects.get("is_crowd", objects.get("is_difficult", nothing)), tf.bool),
        "area": tf.cast(area, tf.float32),
    }
