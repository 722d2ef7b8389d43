"""The pictures that figures are made of: files with or without annotations, or data that a run validates on."""

import dataclasses
import io
import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from fsaf_tf.data import coco, coco_json, examples, frames, images, pipeline
from fsaf_tf.data.bad_pictures import NONE_ALLOWED
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.examples import FIXED_ORDER, Order, Source
from fsaf_tf.data.findings import Finding, found
from fsaf_tf.data.readers import door
from fsaf_tf.detect import predict_files
from fsaf_tf.detect.trained import Detector
from fsaf_tf.errors import UserError
from fsaf_tf.evaluate import coco_results
from fsaf_tf.files import paths, storage
from fsaf_tf.terminal import faults

MOST_BOXES = 1000  # of a picture, where the experiment does not allow more

_SIGNATURE = {
    "image_bytes": tf.TensorSpec([], tf.string),
    "file_name": tf.TensorSpec([], tf.string),
    "image_id": tf.TensorSpec([], tf.int64),
    "size": tf.TensorSpec([2], tf.int32),
    "boxes": tf.TensorSpec([None, 4], tf.float32),
    "classes": tf.TensorSpec([None], tf.int32),
    "crowd": tf.TensorSpec([None], tf.bool),
    "area": tf.TensorSpec([None], tf.float32),
}


def of_files(files: Sequence[str], classes: Classes) -> Source:
    """Pictures without annotations, turned upright as for prediction.

    Args:
        files: of pictures; one that cannot be read is an error when its turn comes.
        classes: of what is to look for.
    """
    names = predict_files.shared_names(files)

    def rows():
        for number, (file, name) in enumerate(names.items(), start=1):
            try:
                image = predict_files.read_image(file)
            except UserError as error:
                raise UserError(f"{file}: {error}") from error
            encoded = io.BytesIO()
            Image.fromarray(image).save(encoded, "png", compress_level=1)
            nothing = np.zeros([0])
            columns = {"boxes": np.zeros([0, 4]), "classes": nothing, "crowd": nothing, "area": nothing}
            yield _row(encoded.getvalue(), storage.utf8(name), number, image.shape[:2], columns)

    return _source(os.path.commonpath(files), classes, len(names), rows)


def of_annotated_files(files: Sequence[str], annotation_file: str) -> Source:
    """Pictures with the boxes that annotations have for them.

    Args:
        files: of pictures; those that the annotations do not name are left out, and counted in the source's findings.
        annotation_file: of any form. A file is known by its name, with as many folders before it as are given there.

    Raises:
        UserError: it cannot be read, names none of the files, or one as two images.
    """
    shared = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])
    beside = door.image_dir_of(annotation_file, "val")
    table = coco_json.read(annotation_file, image_dir=beside or shared, split="val")
    find = coco_results.by_path_end(table.file_names)
    index_of = {name: index for index, name in enumerate(table.file_names)}
    names = {file: find(os.path.abspath(file)) for file in files}
    named = [(file, index_of[name]) for file, name in names.items() if name is not None]
    if not named:
        raise UserError(f"{annotation_file} names none of the {len(files)} files in --images, such as {files[0]}")
    unnamed = [file for file, name in names.items() if name is None]
    words = f"files are left out: {annotation_file} does not name them"
    findings = found("unnamed_files", len(unnamed), len(files), words, unnamed, annotation_file)
    distinct = table.distinct()
    boxes = coco.clipped_yxyx(distinct)

    def rows():
        """The pictures that are named, each with its boxes."""
        for file, index in named:
            part = slice(distinct.splits[index], distinct.splits[index + 1])
            columns = {
                "boxes": boxes,
                "classes": distinct.class_indices,
                "crowd": distinct.crowd,
                "area": distinct.area,
            }
            columns = {key: column[part] for key, column in columns.items()}
            try:
                data = paths.read_bytes(file)
            except OSError as error:
                raise UserError(faults.line(error)) from error
            yield _row(data, distinct.file_names[index], distinct.image_ids[index], distinct.sizes[index], columns)

    source = _source(annotation_file, table.classes, len(named), rows, [*table.findings, *findings])
    return dataclasses.replace(source, form=table.form, by_name=table.by_name)


def _row(data: bytes, name: str, image_id: int, size, columns: dict) -> dict:
    picture = {"image_bytes": data, "file_name": name, "image_id": image_id, "size": size}
    row = {**picture, **columns}
    return {key: np.asarray(value, _SIGNATURE[key].dtype.as_numpy_dtype) for key, value in row.items()}


def _source(name: str, classes: Classes, count: int, rows, findings: Sequence[Finding] = ()) -> Source:
    def read(order: Order) -> tf.data.Dataset:
        del order  # figures take pictures as they come
        encoded = tf.data.Dataset.from_generator(rows, output_signature=_SIGNATURE)
        return NONE_ALLOWED.leave_out(frames.check_declared(encoded, frames.AUTO))

    return Source(
        name=name,
        classes=classes,
        num_images=count,
        rows=read,
        ground_truth=lambda: examples.collect_ground_truth(read(FIXED_ORDER), classes),
        findings=tuple(findings),
    )


def select(source: Source, image_ids: Sequence[int], count: int) -> Source:
    """The pictures with these ids, in the order of the data, or the first `count`; all if neither is given."""
    if image_ids:
        wanted = tf.constant(image_ids, tf.int64)
        return dataclasses.replace(
            source,
            num_images=len(set(image_ids)),
            rows=lambda order: source.rows(order).filter(lambda row: tf.reduce_any(row["image_id"] == wanted)),
        )
    if count and count < source.num_images:
        return dataclasses.replace(source, num_images=count, rows=lambda order: source.rows(order).take(count))
    return source


def read(source: Source) -> Iterator[dict]:
    """The pictures one by one as NumPy: `image` `[H, W, 3]` uint8 and what else a source's examples have.

    Raises:
        UserError: one cannot be read, or one of the ids is not there.
    """
    count = 0
    for row in examples.named_errors(source.decode(source.examples())):
        count += 1
        yield {**row, "file_name": row["file_name"].decode(), "image_id": int(row["image_id"])}
    _check_count(source, count)


def as_trained(source: Source, detector: Detector) -> Iterator[tuple[dict, dict, dict]]:
    """Pictures one by one as training sees them.

    Args:
        source: the pictures.
        detector: of a run.

    Yields:
        The host batch of one as NumPy, the batch that has passed the device stage, and the detector's outputs.

    Raises:
        UserError: as `read`.
    """
    task, program, count = detector.config, detector.program, 0
    config = task.validation_data.replace(max_instances=max(task.validation_data.max_instances, MOST_BOXES))
    try:
        for host in pipeline.build_dataset(source, config, task.input_size, batch_size=1):
            count += 1
            batch = pipeline.device_stage(host, program.normalization, program.geometry)
            yield {key: value.numpy() for key, value in host.items()}, batch, detector.model(batch["images"])
    except tf.errors.InvalidArgumentError as error:
        raise images.user_error(error) or error from None
    _check_count(source, count)


def _check_count(source: Source, count: int) -> None:
    if count < source.num_images:
        raise UserError(f"{source.name} has only {count} of the {source.num_images} images of --image_ids")
