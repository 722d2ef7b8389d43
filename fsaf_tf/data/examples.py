"""What every kind of data set is turned into: examples that are not decoded yet, and ground truth in COCO form."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from fsaf_tf.classes import Classes
from fsaf_tf.data import images
from fsaf_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Order:
    """Which examples, and in what order.

    Attributes:
        seed: shuffle whole files, or single images where that costs nothing, anew each time the data is gone through;
            None for the fixed order.
        num_shards: of how many parts each example is in exactly one.
        shard: the part wanted.
    """

    seed: int | None = None
    num_shards: int = 1
    shard: int = 0


FIXED_ORDER = Order()


@dataclasses.dataclass(frozen=True)
class Source:
    """An opened data set.

    Attributes:
        name: for messages.
        classes: K of them, their ids those of the annotations.
        num_images: images, those without objects among them.
        examples: `examples()`, or with an `Order`, gives a data set of
            `image_bytes` (the encoded file), `file_name`, `image_id` int64, `size` `[2]` int32 (height, width),
            `boxes` `[n, 4]` float32 (yxyx, pixels of the stored image, clipped to it), `classes` `[n]` int32,
            `crowd` `[n]` bool (not trained on, ignored in evaluation) and `area` `[n]` float32.
        ground_truth: gives COCO's dict (`images`, `annotations`, `categories`) with the same image ids.
        report: lines for the log: what was left out or clipped, with counts.
    """

    name: str
    classes: Classes
    num_images: int
    examples: Callable[..., tf.data.Dataset]
    ground_truth: Callable[[], dict]
    report: tuple[str, ...] = ()


def clip_boxes(example: dict) -> dict:
    """Checks the boxes of an example against its `size` and clips them to it.

    Raises (when the data set runs): a box that is not finite, ends before it starts, or lies outside its image.
    """
    boxes, size = example["boxes"], tf.cast(tf.tile(example["size"], [2]), tf.float32)
    clipped = tf.clip_by_value(boxes, 0.0, size)
    sides, left = boxes[:, 2:] - boxes[:, :2], clipped[:, 2:] - clipped[:, :2]
    # A box without area is left out of training later; one whose area is all outside is a mistake.
    good = tf.reduce_all(tf.math.is_finite(boxes) & (tf.tile(sides, [1, 2]) >= 0), axis=1)
    good &= tf.reduce_any(sides == 0, axis=1) | tf.reduce_all(left > 0, axis=1)  # [n]
    first = tf.strings.reduce_join(tf.strings.as_string(tf.boolean_mask(boxes, ~good)[:1], precision=1), separator=", ")
    check = images.require(
        tf.reduce_all(good),
        example["file_name"],
        ": the box y1, x1, y2, x2 = ",
        first,
        " px is no box inside the image of height, width ",
        tf.strings.reduce_join(tf.strings.as_string(example["size"]), separator=", "),
    )
    with tf.control_dependencies([check]):
        return {**example, "boxes": tf.identity(clipped)}


def collect_ground_truth(examples: tf.data.Dataset, classes: Classes) -> dict:
    """COCO's dict from the examples themselves, for data that has no annotation file.

    Raises:
        UserError: a bad example, or an image id that stands twice.
    """
    found, annotations = {}, []
    without_images = examples.map(lambda example: {key: example[key] for key in example if key != "image_bytes"})
    for example in named_errors(without_images):
        image_id, (height, width) = int(example["image_id"]), example["size"].tolist()
        name = example["file_name"].decode()
        if image_id in found:
            raise UserError(f"image id {image_id} stands twice: {found[image_id]['file_name']} and {name}")
        found[image_id] = {"id": image_id, "file_name": name, "height": height, "width": width}
        corners = example["boxes"].astype(np.float64)
        boxes = np.concatenate([corners[:, 1::-1], (corners[:, 2:] - corners[:, :2])[:, ::-1]], axis=1)  # xywh
        rows = zip(boxes.tolist(), example["classes"], example["area"].tolist(), example["crowd"].tolist())
        for box, label, area, crowd in rows:
            annotations.append(annotation(len(annotations) + 1, image_id, classes.ids[label], box, area, crowd))
    return {
        "images": list(found.values()),
        "annotations": annotations,
        "categories": classes.categories(),
    }


def annotation(number: int, image_id: int, category_id: int, box_xywh: list[float], area: float, crowd: bool) -> dict:
    """One of COCO's annotations. Numbers start at 1: pycocotools takes 0 for no match."""
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": box_xywh,
        "area": area,
        "iscrowd": int(crowd),
    }


def named_errors(dataset: tf.data.Dataset):
    """Goes through a data set as NumPy; a failed check comes out as a `UserError`."""
    try:
        yield from dataset.as_numpy_iterator()
    except tf.errors.InvalidArgumentError as error:
        raise images.user_error(error) or error from None
