"""COCO JSON and a folder of images, read directly and checked before anything runs.

Errors, each one line with counts and the first case: an annotation file that is missing, empty or no COCO JSON; an
image that is missing, cannot be read, or has another size than declared; an id of two things; an unknown image or
category; a box that is not four finite numbers; no box that is left.
What a person would accept is taken and counted in the source's findings; docs/data.md lists both.

The classes are the categories in the order of their ids. Boxes are of the pictures as they are stored or as they are
seen upright: see `data.frames`.
"""

import dataclasses
import functools
import os

import numpy as np
import tensorflow as tf

from fsaf_tf.data import coco_json, frames, picture_files
from fsaf_tf.data.bad_pictures import BadPictures
from fsaf_tf.data.box_table import BoxTable
from fsaf_tf.data.box_table import findings as box_findings
from fsaf_tf.data.examples import Order, Source, annotation


def open_coco(
    annotation_file: str, image_dir: str, *, frame: str, outside: bool = False, max_bad: float = 0.0
) -> Source:
    """Opens COCO JSON with its images.

    Args:
        annotation_file: the JSON file.
        image_dir: the folder that its file names start from.
        frame: which way up boxes take the pictures, `exif_orientation` of the data.
        outside: names may lead out of the folder, `images_outside` of the data.
        max_bad: the share of pictures that may be left out because they are missing or cannot be read.

    Raises:
        UserError: see the top of this file.
    """
    folder = picture_files.Folder(image_dir, frame, outside)
    table = read(annotation_file, folder)
    names = table.file_names
    bad = BadPictures(max_bad, len(names))
    of_files = picture_files.check(annotation_file, folder, names, table.sizes, bad)
    if bad.problems:
        table = table.of_images(np.array([name not in bad.problems for name in names]))
    distinct = table.distinct()
    boxes = clipped_yxyx(distinct)
    return Source(
        name=annotation_file,
        classes=table.classes,
        num_images=len(table.image_ids),
        rows=lambda order: _rows(distinct, boxes, image_dir, order),
        read_pictures=functools.partial(frames.read_declared, bad=bad, rule=frame),
        bad=bad,
        ground_truth=lambda: ground_truth(table),
        findings=(*table.findings, *box_findings(box_table(table), annotation_file), *of_files),
        boxes=lambda: box_table(table),
        most_boxes=int(np.diff(distinct.splits).max(initial=0)),
        image_dir=image_dir if os.path.isdir(image_dir) else "",
    )


def read(annotation_file: str, folder: picture_files.Folder) -> coco_json.Annotations:
    """An annotation file, its pictures under the names that they have in a folder; none is opened.

    Raises:
        UserError: see the top of this file.
    """
    table = coco_json.read(annotation_file, folder.size_of)
    names, moved = picture_files.find(annotation_file, folder, table.file_names)
    return dataclasses.replace(table, file_names=names, findings=(*table.findings, *moved))


def clipped_yxyx(table: coco_json.Annotations) -> np.ndarray:
    """Boxes `[n, 4]` float64 yxyx, clipped to the declared sizes."""
    corners = table.boxes_xywh[:, 1::-1], (table.boxes_xywh[:, :2] + table.boxes_xywh[:, 2:])[:, ::-1]
    limits = np.tile(np.repeat(table.sizes, np.diff(table.splits), axis=0), 2)
    return np.clip(np.concatenate(corners, axis=1), 0, limits)


def box_table(table: coco_json.Annotations) -> BoxTable:
    """All boxes of a file."""
    return BoxTable(
        file_names=table.file_names,
        sizes=table.sizes,
        image_index=table.image_index,
        boxes_yxyx=clipped_yxyx(table).astype(np.float32),
        given_xywh=table.boxes_xywh,
        class_indices=table.class_indices,
        crowd=table.crowd,
        ignored=table.ignored,
        duplicate=table.duplicate,
    )


def _rows(table: coco_json.Annotations, boxes: np.ndarray, image_dir: str, order: Order) -> tf.data.Dataset:
    names, image_ids = tf.constant(table.file_names), tf.constant(table.image_ids)
    paths = tf.constant([os.path.join(image_dir, name) for name in table.file_names])
    sizes, splits = tf.constant(table.sizes), tf.constant(table.splits)
    columns = {
        "boxes": tf.constant(boxes, tf.float32),
        "classes": tf.constant(table.class_indices),
        "crowd": tf.constant(table.crowd),
        "area": tf.constant(table.area, tf.float32),
    }

    def row(i: tf.Tensor) -> dict:
        return {
            "path": paths[i],
            "file_name": names[i],
            "image_id": image_ids[i],
            "size": sizes[i],
            **{key: column[splits[i] : splits[i + 1]] for key, column in columns.items()},
        }

    chosen = range(len(image_ids)) if order.places is None else order.places
    indices = tf.data.Dataset.from_tensor_slices(tf.constant(chosen, tf.int64))
    if order.seed is not None:
        indices = indices.shuffle(len(image_ids), seed=order.seed, reshuffle_each_iteration=True)
    indices = indices.shard(order.num_shards, order.shard)
    return indices.map(row)


def ground_truth(table: coco_json.Annotations) -> dict:
    """The file's own boxes, not clipped, so that figures are those of COCO's tools on the file."""
    numbers = np.repeat(table.image_ids, np.diff(table.splits)).tolist()
    category_ids = np.array(table.classes.ids)[table.class_indices].tolist()
    columns = (numbers, category_ids, table.boxes_xywh.tolist(), table.area.tolist(), table.crowd.tolist())
    rows = zip(table.image_ids.tolist(), table.file_names, table.sizes.tolist())
    return {
        "images": [{"id": i, "file_name": name, "height": size[0], "width": size[1]} for i, name, size in rows],
        "annotations": [annotation(i + 1, *row) for i, row in enumerate(zip(*columns))],
        "categories": table.classes.categories(),
    }
