"""COCO JSON and a folder of images, read directly and checked before anything runs.

Errors, each one line with counts and the first case: an annotation file that is missing, empty or no COCO JSON; an
image that is missing, cannot be read, or has another size than declared; an id that stands twice; an unknown image or
category; a box that is not four finite numbers, has a negative side, or lies outside its image; values of a wrong
type; an image with more boxes than `max_instances`.

Counted in the report, and the run goes on: boxes over the border (clipped for training), boxes without area and crowd
boxes (not trained on), annotations that repeat another one word for word (left out). Images without boxes stay.

The classes are the categories in the order of their ids. Boxes are of the pictures as they are stored or as they are
seen upright: see `data.frames`.
"""

import os

import numpy as np
import tensorflow as tf

from fsaf_tf.data import coco_json, frames, images, picture_files
from fsaf_tf.data.examples import FIXED_ORDER, Order, Source, annotation

FEWEST = 12  # classes whose boxes are counted on the terminal


def open_coco(annotation_file: str, image_dir: str, *, max_instances: int, frame: str) -> Source:
    """Opens COCO JSON with its images.

    Args:
        annotation_file: the JSON file.
        image_dir: the folder that its file names start from.
        max_instances: boxes that an image may have, crowd boxes among them.
        frame: which way up boxes take the pictures, `exif_orientation` of the data.

    Raises:
        UserError: see the top of this file.
    """
    table = coco_json.read(annotation_file)
    _check_counts(table, max_instances)
    files = picture_files.check(annotation_file, image_dir, table.file_names, table.sizes, frame)
    boxes = clipped_yxyx(table)

    def examples(order: Order = FIXED_ORDER) -> tf.data.Dataset:
        loaded = _read(table, boxes, image_dir, files.orientations, order)
        return images.add_sizes(loaded).map(lambda example: frames.check_declared(example, frame))

    return Source(
        name=annotation_file,
        classes=table.classes,
        num_images=len(table.image_ids),
        examples=examples,
        ground_truth=lambda: ground_truth(table),
        report=_report(table, boxes) + files.told,
    )


def _check_counts(table: coco_json.Annotations, max_instances: int) -> None:
    counts = np.diff(table.splits)
    findings = coco_json.Findings(table.file, "images", len(counts))
    for i in np.flatnonzero(counts > max_instances):
        findings.add(
            f"more boxes than max_instances, {max_instances}; set it to {counts.max()}",
            f"image {table.image_ids[i]}, {table.file_names[i]}, {counts[i]} boxes",
        )
    findings.raise_any()


def clipped_yxyx(table: coco_json.Annotations) -> np.ndarray:
    """Boxes `[n, 4]` float64 yxyx, clipped to the declared sizes."""
    corners = table.boxes_xywh[:, 1::-1], (table.boxes_xywh[:, :2] + table.boxes_xywh[:, 2:])[:, ::-1]
    limits = np.tile(np.repeat(table.sizes, np.diff(table.splits), axis=0), 2)
    return np.clip(np.concatenate(corners, axis=1), 0, limits)


def _report(table: coco_json.Annotations, clipped: np.ndarray) -> tuple[str, ...]:
    sides = (clipped[:, 2:] - clipped[:, :2])[:, ::-1]
    counts = {
        "annotations that repeat another one, left out": table.repeated,
        "boxes over the border by more than half a pixel, clipped": np.sum(
            np.any(table.boxes_xywh[:, 2:] - sides > 0.5, axis=1)
        ),
        "boxes without area, not trained on": np.sum(np.any(sides <= 0, axis=1)),
        "crowd boxes, not trained on": np.sum(table.crowd),
        "images without boxes": np.sum(np.diff(table.splits) == 0),
    }
    return (_class_counts(table), *(f"{what}: {count}" for what, count in counts.items() if count))


def _class_counts(table: coco_json.Annotations) -> str:
    """How many boxes the classes have; of many classes those with the fewest."""
    counts = np.bincount(table.class_indices, minlength=len(table.classes))
    rows = sorted(zip(counts.tolist(), table.classes.names))
    shown = ", ".join(f"{name} {count}" for count, name in (rows[:FEWEST] if len(rows) > FEWEST else rows[::-1]))
    return f"boxes of the {FEWEST} classes with the fewest: {shown}" if len(rows) > FEWEST else f"boxes: {shown}"


def _read(
    table: coco_json.Annotations, boxes: np.ndarray, image_dir: str, orientations: np.ndarray, order: Order
) -> tf.data.Dataset:
    names, image_ids = tf.constant(table.file_names), tf.constant(table.image_ids)
    paths = tf.constant([os.path.join(image_dir, name) for name in table.file_names])
    sizes, splits, known = tf.constant(table.sizes), tf.constant(table.splits), tf.constant(orientations)
    columns = {
        "boxes": tf.constant(boxes, tf.float32),
        "classes": tf.constant(table.class_indices),
        "crowd": tf.constant(table.crowd),
        "area": tf.constant(table.area, tf.float32),
    }

    def load(i: tf.Tensor) -> dict:
        return {
            "image_bytes": tf.io.read_file(paths[i]),
            "file_name": names[i],
            "image_id": image_ids[i],
            "declared": sizes[i],
            "orientation": known[i],
            **{key: column[splits[i] : splits[i + 1]] for key, column in columns.items()},
        }

    indices = tf.data.Dataset.range(len(image_ids))
    if order.seed is not None:
        indices = indices.shuffle(len(image_ids), seed=order.seed, reshuffle_each_iteration=True)
    indices = indices.shard(order.num_shards, order.shard)
    return indices.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


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
