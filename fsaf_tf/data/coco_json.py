"""COCO's annotation files: read, checked as a whole, and kept as arrays.

A mistake is one line with counts and the first case of its kind; what counts as one is listed in `data.coco`.
"""

import dataclasses
import json
from typing import Any

import numpy as np
import tensorflow as tf

from fsaf_tf.classes import Classes
from fsaf_tf.errors import UserError

LISTS = ("images", "annotations", "categories")


@dataclasses.dataclass(frozen=True)
class Annotations:
    """A checked file: I images, and n annotations in the order of their images.

    Attributes:
        file: its path.
        image_ids: `[I]` int64.
        file_names: I names, relative to the image folder.
        sizes: `[I, 2]` int32, declared height and width.
        splits: `[I + 1]` int64: image i has the annotations `splits[i]` to `splits[i + 1]`.
        boxes_xywh: `[n, 4]` float64, as in the file.
        class_indices: `[n]` int32, 0 to K - 1.
        crowd: `[n]` bool.
        area: `[n]` float64.
        classes: K of them, in the order of their ids.
        repeated: annotations left out, because they repeat another one word for word.
    """

    file: str
    image_ids: np.ndarray
    file_names: list[str]
    sizes: np.ndarray
    splits: np.ndarray
    boxes_xywh: np.ndarray
    class_indices: np.ndarray
    crowd: np.ndarray
    area: np.ndarray
    classes: Classes
    repeated: int


class Findings:
    """The mistakes in one list of a file: how many of each kind, and the first one."""

    def __init__(self, file: str, noun: str, total: int):
        self._file, self._noun, self._total = file, noun, total
        self._cases: dict[str, list[str]] = {}

    def add(self, kind: str, case: str) -> None:
        """Counts a mistake of a kind; `case` says which one it is."""
        self._cases.setdefault(kind, []).append(case)

    def raise_any(self) -> None:
        """Raises a `UserError` of one line if there are any."""
        if self._cases:
            parts = [
                f"{kind} ({len(cases)} of {self._total} {self._noun}, first: {cases[0]})"
                for kind, cases in self._cases.items()
            ]
            raise UserError(f"{self._file}: {'; '.join(parts)}")


def read(file: str) -> Annotations:
    """Reads and checks an annotation file.

    Raises:
        UserError: it is missing, empty or no COCO JSON, or something in it is wrong.
    """
    content = _load(file)
    classes = categories(file, content)
    images = _images(file, content["images"])
    kept, repeated = _annotations(file, content["annotations"], images, set(classes.ids))

    index_of = {image_id: index for index, image_id in enumerate(images)}
    image_index = np.array([index_of[item["image_id"]] for item in kept], np.int64)
    kept = [kept[i] for i in np.argsort(image_index, kind="stable")]
    boxes = np.array([item["bbox"] for item in kept], np.float64)
    area = [item.get("area", item["bbox"][2] * item["bbox"][3]) for item in kept]
    return Annotations(
        file=file,
        image_ids=np.array(list(images), np.int64),
        file_names=[image["file_name"] for image in images.values()],
        sizes=np.array([(image["height"], image["width"]) for image in images.values()], np.int32),
        splits=np.concatenate([[0], np.cumsum(np.bincount(image_index, minlength=len(images)))]),
        boxes_xywh=boxes,
        class_indices=np.array([classes.index_of(item["category_id"]) for item in kept], np.int32),
        crowd=np.array([bool(item.get("iscrowd", 0)) for item in kept]),
        area=np.array(area, np.float64),
        classes=classes,
        repeated=repeated,
    )


def sizes(file: str) -> list[tuple[int, int]]:
    """Height and width of each image, as an annotation file declares them.

    Raises:
        UserError: it is missing, empty or no COCO JSON.
    """
    images = _images(file, _load(file)["images"])
    return [(image["height"], image["width"]) for image in images.values()]


def _load(file: str) -> dict[str, list[dict]]:
    """The three lists of a file; what is large and not needed is dropped while reading."""
    try:
        with tf.io.gfile.GFile(file, "rb") as stream:
            text = stream.read()
    except (tf.errors.NotFoundError, tf.errors.FailedPreconditionError):  # the latter is a folder
        raise UserError(f"{file}: there is no such annotation file") from None
    if not text.strip():
        raise UserError(f"{file}: the annotation file is empty")
    try:
        content = json.loads(text, object_hook=_without_masks)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: not JSON: {error}") from None
    return {key: _entries(file, content, key) for key in LISTS}


def _entries(file: str, content: Any, key: str) -> list[dict]:
    """One of the three lists of COCO JSON."""
    items = content.get(key) if isinstance(content, dict) else None
    if not isinstance(items, list) or not items:
        raise UserError(f"{file}: not COCO JSON with boxes: it needs `{key}`, a list that is not empty")
    if not all(isinstance(item, dict) for item in items):
        raise UserError(f"{file}: not COCO JSON: an entry of `{key}` is no object")
    return items


def _without_masks(item: dict) -> dict:
    item.pop("segmentation", None)
    return item


def categories(file: str, content: Any) -> Classes:
    """The classes of COCO JSON, in the order of their ids.

    Args:
        file: its path, for messages.
        content: what is in it; more than `categories` need not be there.

    Raises:
        UserError: they are not there, or something in them is wrong.
    """
    items = _entries(file, content, "categories")
    findings = Findings(file, "categories", len(items))
    names: dict[int, str] = {}
    for item in items:
        number, name = item.get("id"), item.get("name")
        if type(number) is not int or not isinstance(name, str) or not name:
            findings.add("needs an `id` that is a whole number and a `name` that is text", f"{item}")
        elif number in names:
            findings.add("id stands twice", f"id {number}, {names[number]!r} and {name!r}")
        elif name in names.values():
            findings.add("name stands twice", f"{name!r}")
        else:
            names[number] = name
    findings.raise_any()
    return Classes.by_id(names.items())


def _images(file: str, items: list[dict]) -> dict[int, dict]:
    """`{image id: entry}` in the order of the file."""
    findings = Findings(file, "images", len(items))
    images: dict[int, dict] = {}
    for item in items:
        number, name = item.get("id"), item.get("file_name")
        if type(number) is not int or not -(2**63) <= number < 2**63 or not isinstance(name, str) or not name:
            findings.add("needs an `id`, a whole number of at most 64 bits, and a `file_name`, text", f"{item}")
        elif not all(type(item.get(key)) is int and item[key] > 0 for key in ("height", "width")):
            findings.add("needs `height` and `width` in whole pixels", f"image {number}, {name}")
        elif number in images:
            findings.add("id stands twice", f"id {number}, {images[number]['file_name']} and {name}")
        else:
            images[number] = item
    findings.raise_any()
    return images


def _annotations(file: str, items: list[dict], images: dict, category_ids: set[int]) -> tuple[list[dict], int]:
    """The annotations without repetitions, and how many those were."""
    findings = Findings(file, "annotations", len(items))
    by_id: dict[int, dict] = {}
    kept, repeated = [], 0
    for position, item in enumerate(items):
        number = item.get("id", f"at place {position}")
        mistake = _mistake(item, images, category_ids)
        first = by_id.get(number) if type(number) is int else None
        if mistake:
            findings.add(mistake[0], f"annotation {number}, {mistake[1]}")
        elif first == item:
            repeated += 1
        elif first is not None:
            findings.add("id stands twice", f"id {number}, images {first['image_id']} and {item['image_id']}")
        else:
            kept.append(item)
            if type(number) is int:
                by_id[number] = item
    findings.raise_any()
    return kept, repeated


def _mistake(item: dict, images: dict, category_ids: set[int]) -> tuple[str, str] | None:
    """What is wrong with an annotation and the value that shows it, or None."""
    image_id, category_id, box = item.get("image_id"), item.get("category_id"), item.get("bbox")
    if type(image_id) is not int or image_id not in images:
        return "unknown image", f"image_id {image_id!r}"
    if type(category_id) is not int or category_id not in category_ids:
        return "unknown category", f"image {image_id}: category_id {category_id!r}"
    if not isinstance(box, list) or len(box) != 4 or not all(is_number(value) for value in box):
        return "bbox is not four finite numbers", f"image {image_id}: {box}"
    x, y, width, height = box
    if width < 0 or height < 0:
        return "box with a negative side", f"image {image_id}: x, y, w, h {box}"
    image = images[image_id]
    inside = x < image["width"] and x + width > 0 and y < image["height"] and y + height > 0
    if not inside and width > 0 and height > 0:
        size = f"{image['width']} x {image['height']}"
        return "box outside its image", f"image {image_id} of {size}: x, y, w, h {box}"
    if item.get("iscrowd", 0) not in (0, 1):
        return "iscrowd is not 0 or 1", f"image {image_id}: {item['iscrowd']!r}"
    if not (is_number(item.get("area", 0)) and item.get("area", 0) >= 0):
        return "area is not a number from 0 on", f"image {image_id}: {item['area']!r}"
    return None


def is_number(value) -> bool:
    """A number that is neither NaN, infinite nor beyond any picture."""
    return type(value) in (int, float) and -1e12 < value < 1e12
