"""COCO's annotation files: read, checked as a whole, and kept as arrays.

What a person would accept is taken, and counted in `Annotations.findings`; a mistake is one line with counts and the
first case of its kind. docs/data.md lists both.
"""

import dataclasses
from typing import Any

import numpy as np

from fsaf_tf.data import coco_boxes, coco_categories, coco_file, coco_images
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.coco_values import identity, is_number
from fsaf_tf.data.findings import Finding, Tally, short
from fsaf_tf.data.mistakes import Findings, Mistake
from fsaf_tf.errors import UserError

__all__ = ("Annotations", "Findings", "categories", "is_number", "read", "sizes")

COLUMNS = ("boxes_xywh", "class_indices", "crowd", "ignored", "duplicate", "area")  # one value an annotation


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
        crowd: `[n]` bool, also of those that are
        ignored: `[n]` bool.
        duplicate: `[n]` bool, the same box of the same class as an earlier one of the image.
        area: `[n]` float64.
        classes: K of them, in the order of their ids.
        findings: what was taken, joined and left out.
    """

    file: str
    image_ids: np.ndarray
    file_names: list[str]
    sizes: np.ndarray
    splits: np.ndarray
    boxes_xywh: np.ndarray
    class_indices: np.ndarray
    crowd: np.ndarray
    ignored: np.ndarray
    duplicate: np.ndarray
    area: np.ndarray
    classes: Classes
    findings: tuple[Finding, ...]

    @property
    def image_index(self) -> np.ndarray:
        """`[n]` int64, the place of each annotation's image."""
        return np.repeat(np.arange(len(self.image_ids)), np.diff(self.splits))

    def of_images(self, kept: np.ndarray) -> "Annotations":
        """The same of some of the images, `[I]` bool."""
        return self.at(np.flatnonzero(kept))

    def at(self, places: np.ndarray) -> "Annotations":
        """The same of the images at some places `[J]`, in their order."""
        counts = np.diff(self.splits)[places]
        splits = np.concatenate([[0], np.cumsum(counts)])
        of_boxes = np.repeat(self.splits[places] - splits[:-1], counts) + np.arange(splits[-1])  # [m]
        return dataclasses.replace(
            self,
            image_ids=self.image_ids[places],
            file_names=[self.file_names[place] for place in places],
            sizes=self.sizes[places],
            splits=splits,
            **{name: getattr(self, name)[of_boxes] for name in COLUMNS},
        )

    def distinct(self) -> "Annotations":
        """The same without the boxes that stand there a second time."""
        kept = ~self.duplicate
        counts = np.bincount(self.image_index[kept], minlength=len(self.image_ids))
        return dataclasses.replace(
            self,
            splits=np.concatenate([[0], np.cumsum(counts)]),
            **{name: getattr(self, name)[kept] for name in COLUMNS},
        )


def _unknown_size(name: str) -> None:
    """The size of a picture without its folder."""
    del name


def read(file: str, size_of: coco_images.SizeOf = _unknown_size) -> Annotations:
    """Reads and checks an annotation file.

    Args:
        file: its path; it may be compressed by gzip.
        size_of: height and width of the picture of a name, for entries without them; None where it is not known.

    Raises:
        UserError: it is missing, empty or no COCO JSON, or something in it is wrong.
    """
    content, tally = coco_file.read(file), Tally(file)
    images = coco_images.read(file, content["images"], size_of, tally)
    used = (item.get("category_id") for item in content["annotations"])
    read_categories = coco_categories.read(file, content["categories"], used, tally)
    classes = read_categories.classes
    reader = coco_boxes.Reader(images, read_categories, tally)
    rows = _rows(file, content["annotations"], reader, tally)
    pictures = images.distinct()
    place_of = {image["id"]: place for place, image in enumerate(pictures)}
    places = np.array([place_of[row.image_id] for row in rows], np.int64)
    order = np.argsort(places, kind="stable")
    rows = [rows[place] for place in order]
    duplicate = _duplicates(rows, tally)
    return Annotations(
        file=file,
        image_ids=np.array(list(place_of), np.int64),
        file_names=[image["file_name"] for image in pictures],
        sizes=np.array([(image["height"], image["width"]) for image in pictures], np.int32),
        splits=np.concatenate([[0], np.cumsum(np.bincount(places, minlength=len(pictures)))]),
        boxes_xywh=np.array([row.box_xywh for row in rows], np.float64),
        class_indices=np.array([classes.index_of(row.category_id) for row in rows], np.int32),
        crowd=np.array([row.crowd for row in rows]),
        ignored=np.array([row.ignored for row in rows]),
        duplicate=duplicate,
        area=np.array([row.area for row in rows], np.float64),
        classes=classes,
        findings=tally.findings(_totals(content), len(content["annotations"])),
    )


def _totals(content: dict[str, list]) -> dict[str, int]:
    """Of how many there are, what is not counted of the annotations."""
    of_categories = ("repeated_category", "joined_category", "unused_category", "number_names")
    of_images = ("file_names", "no_size", "duplicate_pictures")
    return {
        **dict.fromkeys(of_categories, len(content["categories"])),
        **dict.fromkeys(of_images, len(content["images"])),
        "text_ids": len(content["images"]) + len(content["categories"]),
        "text_numbers": sum(map(len, content.values())),
    }


def sizes(file: str) -> list[tuple[int, int]]:
    """Height and width of each image, as an annotation file declares them.

    Raises:
        UserError: it is missing, empty or no COCO JSON.
    """
    images = coco_images.read(file, coco_file.read(file)["images"], _unknown_size, Tally(file))
    return [(image["height"], image["width"]) for image in images.distinct()]


def categories(file: str, content: Any) -> Classes:
    """The classes of COCO JSON, in the order of their ids.

    Args:
        file: its path, for messages.
        content: what is in it; more than `categories` need not be there.

    Raises:
        UserError: they are not there, something in them is wrong, or their ids are no numbers.
    """
    read_categories = coco_categories.read(file, coco_file.entries(file, content, "categories"), None, Tally(file))
    if read_categories.ids.are_text:
        raise UserError(f"{file}: the ids of its categories are text; number them: detections have these numbers")
    return read_categories.classes


def _rows(file: str, items: list[dict], reader: coco_boxes.Reader, tally: Tally) -> list[coco_boxes.Row]:
    """The annotations that are left. Raises a UserError for mistakes, and where all boxes are bad."""
    mistakes = Findings(file, "annotations", len(items))
    by_id: dict[int, dict] = {}
    rows = []
    for place, item in enumerate(items):
        number = identity(item.get("id"))
        first = by_id.get(number)
        label = f"annotation {short(item.get('id', f'at place {place}'))}"
        if number is not None and first == item:
            tally.add("repeated", label)
            continue
        if first is not None:
            tally.add("repeated_ids", f"{label}, images {first.get('image_id')} and {item.get('image_id')}")
        elif number is not None:
            by_id[number] = item
        try:
            row = reader.read(item, label)
        except Mistake as mistake:
            mistakes.add(mistake.kind, mistake.case)
        else:
            rows += [row] if row else []
    mistakes.raise_any()
    if not rows:
        left_out = "; ".join(
            finding.line for finding in tally.findings({}, len(items)) if finding.kind in coco_boxes.LEFT_OUT
        )
        raise UserError(f"{file}: no box is left: {left_out}")
    return rows


def _duplicates(rows: list[coco_boxes.Row], tally: Tally) -> np.ndarray:
    """Which rows are the same box of the same class as an earlier one."""
    seen: set[tuple] = set()
    duplicate = np.zeros(len(rows), bool)
    for place, row in enumerate(rows):
        key = (row.image_id, row.category_id, row.box_xywh, row.crowd)
        if key in seen:
            duplicate[place] = True
            tally.add("duplicate_boxes", f"image {row.image_id}: x, y, w, h {list(row.box_xywh)}")
        seen.add(key)
    return duplicate
