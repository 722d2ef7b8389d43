"""TFRecord files in the Garden's keys, with a label map, and with a manifest where they have one.

The Garden's `TfExampleDecoder` reads the same keys; it is not used, as it decodes the picture at once, before its size
can be checked, and cannot say in which record something is wrong.

The Object Detection API's files have these keys, too, and `difficult` and `group_of`, which are read as a crowd.

The label map (`label_map`) has the category ids in the shards and their names. It gives K; the classes are in the order
of the ids. An id outside of it is an error that names file and record.

What `tools/prepare_data.py` writes has two keys more. `image/object/bbox/pixels` are the boxes in pixels, which shares
of 32 bits do not give back exactly; `image/turn` is the EXIF orientation that leads to the frame they are in, while the
Garden's keys are of the picture as it is stored. Its manifest is taken in the place of a scan: see `data.manifest`.
"""

import dataclasses
import functools
import os
from typing import Any

import numpy as np
import tensorflow as tf

from fsaf_tf.data import box_table, coco, frames, images, label_map, manifest
from fsaf_tf.data.bad_pictures import BadPictures
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.examples import FIXED_ORDER, Order, Source, at_places, check_finite, clip_boxes, collect_ground_truth
from fsaf_tf.errors import UserError

_SIDES = tuple(f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax"))
_LABEL, _CROWD, _AREA = "image/object/class/label", "image/object/is_crowd", "image/object/area"
_IGNORED = ("image/object/difficult", "image/object/group_of")  # as crowds, like those of other data
PIXELS, TURN = "image/object/bbox/pixels", "image/turn"
_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature((), tf.string, ""),
    "image/source_id": tf.io.FixedLenFeature((), tf.string, ""),
    "image/filename": tf.io.FixedLenFeature((), tf.string, ""),
    TURN: tf.io.FixedLenFeature((), tf.int64, 0),
    **{key: tf.io.RaggedFeature(tf.float32) for key in (*_SIDES, _AREA, PIXELS)},
    **{key: tf.io.RaggedFeature(tf.int64) for key in (_LABEL, _CROWD, *_IGNORED)},
}


def open_records(input_path: str, label_map_file: str, *, upright: bool, max_bad: float = 0.0) -> Source:
    """Opens TFRecord files.

    Args:
        input_path: a glob; or of files with a manifest that, or their folder.
        label_map_file: the label map; empty for `label_map.json`, or the only `.pbtxt`, beside the files.
        upright: boxes are of the pictures turned by their EXIF orientation, not as they are stored.
        max_bad: the share of pictures that may be left out because they cannot be read.

    Raises:
        UserError: no files, a file that is cut off, a label map that is missing or wrong, or a manifest that does not
            fit the files.
    """
    pattern = manifest.glob(input_path)
    files = sorted(tf.io.gfile.glob(pattern))
    prepared = manifest.of_files(pattern, files)
    if not files:
        raise UserError(f"input_path {input_path}: no file matches")
    classes = label_map.read(label_map.find(label_map_file, os.path.dirname(files[0])))
    known = _of_manifest(*prepared, input_path, classes) if prepared else {}
    num_images = known.get("num_images") or sum(count_records(file) for file in files)
    if not num_images:
        raise UserError(f"input_path {input_path}: the files hold no records")
    bad = BadPictures(max_bad, num_images)

    def given(order: Order = FIXED_ORDER) -> tf.data.Dataset:
        readable = bad.leave_out(images.add_headers(at_places(_read(files, classes.ids, order), order)))
        return readable.map(functools.partial(frames.take, upright=upright)).map(_in_pixels).map(check_finite)

    def rows(order: Order) -> tf.data.Dataset:
        return given(order).map(clip_boxes)

    scanned = {
        "num_images": num_images,
        "ground_truth": lambda: collect_ground_truth(rows(FIXED_ORDER), classes),
        "given": given,
    }
    return Source(name=input_path, classes=classes, rows=rows, bad=bad, **(known or scanned))


def _of_manifest(
    prepared: manifest.Manifest, shards: tuple[manifest.Shard, ...], name: str, classes: Classes
) -> dict[str, Any]:
    """What a manifest knows of shards, as `Source` has it: what it would be of the annotations that they were made of.

    Raises:
        UserError: the label map has other classes.
    """
    other = classes.difference(prepared.classes)
    if other:
        raise UserError(f"{name}: the label map has other classes than {prepared.path}: {other}; leave label_map out")
    table = prepared.table(shards)
    findings = (dataclasses.replace(finding, where=name) for finding in prepared.findings)
    return {
        "num_images": len(table.image_ids),
        "ground_truth": lambda: coco.ground_truth(table),
        "findings": (*findings, *box_table.findings(coco.box_table(table), name)),
        "boxes": lambda: coco.box_table(table),
        "most_boxes": int(np.diff(table.distinct().splits).max(initial=0)),
    }


def count_records(file: str) -> int:
    """The records of a TFRecord file, by their lengths alone: the data is not read.

    Raises:
        UserError: the file ends within a record.
    """
    count, position = 0, 0
    with tf.io.gfile.GFile(file, "rb") as stream:
        size = stream.size()
        while position < size:
            stream.seek(position)
            # Length (8 bytes), its checksum (4), the data, its checksum (4).
            position += 16 + int.from_bytes(stream.read(8), "little")
            if position > size:
                raise UserError(f"{file}: cut off, or no TFRecord file: record {count} ends beyond the file's end")
            count += 1
    return count


def damaged(input_path: str) -> str | None:
    """The first record of the files of an `input_path` whose checksum is wrong, in words; None if there is none."""
    for file in sorted(tf.io.gfile.glob(manifest.glob(input_path))):
        whole = 0
        try:
            for _ in tf.data.TFRecordDataset(file):
                whole += 1
        except tf.errors.DataLossError:
            return f"{file}: record {whole} is damaged (its checksum is wrong); write the file anew"
    return None


def _read(files: list[str], category_ids: tuple[int, ...], order: Order) -> tf.data.Dataset:
    """Examples file by file, or from several shuffled files in turn; boxes are in shares of the picture."""

    def records(file: tf.Tensor) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(file).enumerate().map(lambda number, record: (file, number, record))

    examples = tf.data.Dataset.from_tensor_slices(files)
    if order.seed is not None:
        examples = examples.shuffle(len(files), seed=order.seed, reshuffle_each_iteration=True)
    examples = examples.interleave(
        records,
        cycle_length=1 if order.seed is None else min(16, len(files)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    examples = examples.shard(order.num_shards, order.shard)
    ids = tf.constant(category_ids, tf.int64)
    nothing = tf.data.Dataset.from_tensors(_nothing())

    # A failing op cannot be caught inside one `map`: each record becomes a small data set of its own, which ends early
    # at an error and is followed by an empty example.
    def attempt(file: tf.Tensor, number: tf.Tensor, record: tf.Tensor) -> tf.data.Dataset:
        parsed = tf.data.Dataset.from_tensors(record).map(_parse).ignore_errors(log_warning=False)
        return parsed.concatenate(nothing).take(1).map(lambda values: _example(file, number, values, ids))

    return examples.interleave(attempt, cycle_length=16, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def parse_example(record: tf.Tensor, features: dict) -> dict:
    """`tf.io.parse_single_example` that fails where the record is no example.

    At some damaged ones TensorFlow's own parser ends the process; protobuf's refuses them.
    """
    whole = tf.io.decode_proto(record, "tensorflow.Example", ["features"], [tf.string], sanitize=True)
    record = tf.where(whole.sizes[0] < 0, "", record)  # never; a control dependency alone is optimised away
    return tf.io.parse_single_example(record, features)


def _parse(record: tf.Tensor) -> dict:
    return {**parse_example(record, _FEATURES), "is_example": True}


def _nothing() -> dict:
    """In the place of what is no example."""
    empty = {
        key: tf.zeros([] if isinstance(feature, tf.io.FixedLenFeature) else [0], feature.dtype)
        for key, feature in _FEATURES.items()
    }
    return {**empty, "is_example": False}


def _example(file: tf.Tensor, number: tf.Tensor, parsed: dict, ids: tf.Tensor) -> dict:
    """A record's example, its boxes still in shares of the picture; `file_name` names the record too."""
    name = tf.strings.join([file, " record ", tf.strings.as_string(number), " ", parsed["image/filename"]])
    labels = parsed[_LABEL]
    count = tf.size(labels)
    unknown = tf.boolean_mask(labels, ~tf.reduce_any(labels[:, None] == ids, axis=1))[:1]
    checks = [
        images.require(
            parsed["is_example"],
            name,
            ": no tf.train.Example, or a key of it has values of another type than it should",
        ),
        images.require(tf.reduce_all([tf.size(parsed[side]) == count for side in _SIDES]), name, ": not a box a label"),
        images.require(tf.size(unknown) == 0, name, ": the label map has no category id ", _joined(unknown)),
    ]
    for key, of_one in ((_CROWD, 1), *((key, 1) for key in _IGNORED), (_AREA, 1), (PIXELS, 4)):
        given = tf.size(parsed[key])
        words = f": not {'one value' if of_one == 1 else of_one} of {key} a label"
        checks.append(images.require((given == of_one * count) | (given == 0), name, words))
    with tf.control_dependencies(checks):
        labels = tf.identity(labels)
        boxes = tf.stack([parsed[side] for side in _SIDES], axis=1)
    return {
        "image_bytes": parsed["image/encoded"],
        "file_name": tf.strings.strip(name),
        "image_id": _number(parsed["image/source_id"], name),
        "boxes": boxes,
        "pixels": parsed[PIXELS],
        "turn": tf.cast(parsed[TURN], tf.int32),
        "classes": tf.cast(tf.searchsorted(ids, labels), tf.int32),
        "crowd": tf.reduce_any([_or_zeros(parsed[key], labels) > 0 for key in (_CROWD, *_IGNORED)], axis=0),
        "area": parsed[_AREA],
    }


def _joined(values: tf.Tensor) -> tf.Tensor:
    return tf.strings.reduce_join(tf.strings.as_string(values), separator=", ")


def _or_zeros(values: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    return tf.cond(tf.size(values) > 0, lambda: values, lambda: tf.zeros_like(like, values.dtype))


def _number(source_id: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
    """The image's id: `image/source_id` where it is a whole number, else a hash of it, or of file and record."""
    is_number = tf.strings.regex_full_match(source_id, "[0-9]{1,15}")  # none of them is beyond 2^53
    hashed = tf.strings.to_hash_bucket_fast(tf.where(source_id == "", name, source_id), 2**53)
    return tf.where(is_number, tf.strings.to_number(tf.where(is_number, source_id, "0"), tf.int64), hashed)


def _in_pixels(example: dict) -> dict:
    in_shares, given = example["boxes"] * tf.cast(tf.tile(example["size"], [2]), tf.float32), example.pop("pixels")
    boxes = tf.cond(tf.size(given) > 0, lambda: tf.reshape(given, [-1, 4]), lambda: in_shares)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    given = example["area"]
    return {**example, "boxes": boxes, "area": tf.cond(tf.size(given) > 0, lambda: given, lambda: area)}
