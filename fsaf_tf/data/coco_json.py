"""Annotation files of any form, as COCO JSON has them: read, checked as a whole, and kept as arrays.

`readers.door` makes the lists of COCO JSON of other forms. What a person would accept is taken, and counted in
`Annotations.findings`; a mistake is one line with counts and the first case of its kind. docs/data.md lists both.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fsaf_tf.data import coco_boxes, coco_categories, coco_file, coco_images, frames, picture_files
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.coco_values import identity
from fsaf_tf.data.findings import Finding, Tally, short
from fsaf_tf.data.mistakes import Findings, Mistake
from fsaf_tf.data.readers import door
from fsaf_tf.data.readers.content import Content
from fsaf_tf.data.readers.pictures import Pictures, unknown_size
from fsaf_tf.data.readers.request import Request
from fsaf_tf.errors import UserError

__all__ = (
    *("Annotations", "Findings", "categories", "classes_of", "duplicates"),
    *("image_ids", "read", "sizes"),
)

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
        form: what the file is, in words; empty of COCO JSON.
        by_name: the ids of the classes were made of their names, by which other data have to be compared.
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
    form: str = ""
    by_name: bool = False

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

    def of_boxes(self, kept: np.ndarray) -> "Annotations":
        """The same with some of the boxes, `[n]` bool, and all images."""
        counts = np.bincount(self.image_index[kept], minlength=len(self.image_ids))
        return dataclasses.replace(
            self,
            splits=np.concatenate([[0], np.cumsum(counts)]),
            **{name: getattr(self, name)[kept] for name in COLUMNS},
        )

    def distinct(self) -> "Annotations":
        """The same without the boxes that stand there a second time."""
        return self.of_boxes(~self.duplicate)


def read(file: str, size_of: coco_images.SizeOf | None = None, *, image_dir: str = "", split: str = "") -> Annotations:
    """Reads and checks annotations of any form.

    Args:
        file: a file, which may be compressed by gzip, or a folder.
        size_of: height and width of the picture of a name, for entries without them; None where it is not known. If not
            given, the pictures in `image_dir` tell it.
        image_dir: the folder of the pictures; empty for the one that lies beside the annotations of some forms.
        split: `train`, `val` or `test`, of a file that has several.

    Raises:
        UserError: it is missing, empty or of no form that is read, or something in it is wrong.
    """
    pictures = _pictures(file, size_of, image_dir, split)
    content = door.read(Request(file, split, pictures))
    lists, tally = content.lists, content.tally
    _check_not_empty(file, content)
    images = coco_images.read(file, lists["images"], pictures.size_of, tally, content.where_images)
    used = (item.get("category_id") for item in lists["annotations"])
    read_categories = coco_categories.read(file, lists["categories"], used, tally)
    classes = read_categories.classes
    reader = coco_boxes.Reader(images, read_categories, tally)
    rows = _rows(file, lists["annotations"], reader, tally, content.where_boxes)
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
        findings=(*tally.findings(_totals(content), len(lists["annotations"])), *content.findings),
        form=content.form,
        by_name=content.by_name or read_categories.ids.are_text,
    )


def _check_not_empty(file: str, content: Content) -> None:
    for noun, items in (("picture", content.lists["images"]), ("box", content.lists["annotations"])):
        if not items:
            raise UserError(
                f"{file}: no {noun} is in it ({content.form}): a training and an evaluation need one or more"
            )


def _pictures(file: str, size_of: coco_images.SizeOf | None, image_dir: str, split: str) -> Pictures:
    """The pictures of annotations: those that lie beside them where no folder is given."""
    image_dir = image_dir or door.image_dir_of(file, split)
    if size_of is None and image_dir:
        size_of = picture_files.Folder(image_dir, frames.AUTO).size_of
    return Pictures(image_dir, size_of or unknown_size)


def _totals(content: Content) -> dict[str, int]:
    """Of how many there are, what is not counted of the annotations."""
    of_categories = ("repeated_category", "joined_category", "unused_category", "number_names")
    of_images = ("file_names", "no_size", "duplicate_pictures", "other_filename", "annotators")
    count = {name: len(items) for name, items in content.lists.items()}
    return {
        **dict.fromkeys(of_categories, count["categories"]),
        **dict.fromkeys(of_images, count["images"]),
        "text_ids": count["images"] + count["categories"],
        "text_numbers": sum(count.values()),
        **content.totals,
    }


def sizes(file: str, *, image_dir: str = "", split: str = "") -> list[tuple[int, int]]:
    """Height and width of each image of annotations of any form; see `read`, but no boxes are needed of COCO JSON."""
    pictures = _pictures(file, None, image_dir, split)
    return [(image["height"], image["width"]) for image in _images(file, split, pictures, pictures.size_of)]


def image_ids(file: str, *, image_dir: str = "", split: str = "") -> dict[str, int]:
    """Likewise the ids of images by their names; of COCO JSON no sizes are needed."""
    pictures = _pictures(file, None, image_dir, split)
    return {image["file_name"]: image["id"] for image in _images(file, split, pictures, lambda name: (1, 1))}


def _images(file: str, split: str, pictures: Pictures, size_of: coco_images.SizeOf) -> list[dict]:
    content = door.read(Request(file, split, pictures), ("images",))
    read_images = coco_images.read(file, content.lists["images"], size_of, content.tally, content.where_images)
    return read_images.distinct()


def classes_of(file: str) -> Classes:
    """The classes of annotations of any form.

    Raises:
        UserError: it is missing, or something in the classes is wrong.
    """
    pictures = _pictures(file, lambda name: (1, 1), "", "train")  # no class depends on a size
    content = door.read(Request(file, "train", pictures), ("categories",))
    return categories(file, content.lists)


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


def _rows(
    file: str, items: list[dict], reader: coco_boxes.Reader, tally: Tally, where: Sequence[str] | None
) -> list[coco_boxes.Row]:
    """The annotations that are left. Raises a UserError for mistakes, and where all boxes are bad."""
    mistakes = Findings(file, "annotations", len(items))
    by_id: dict[int, dict] = {}
    rows = []
    for place, item in enumerate(items):
        number = identity(item.get("id"))
        first = by_id.get(number)
        label = where[place] if where else f"annotation {short(item.get('id', f'at place {place}'))}"
        if number is not None and first == item:
            tally.add("repeated", label)
            continue
        if first is not None:
            tally.add("repeated_ids", f"{label}, images {first.get('image_id')} and {item.get('image_id')}")
        elif number is not None:
            by_id[number] = item
        try:
            row = reader.read(item, label, names_image=not where)
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
    duplicate = _repeat(((row.image_id, row.category_id, row.box_xywh, row.crowd) for row in rows), len(rows))
    for row in (rows[place] for place in np.flatnonzero(duplicate)):
        tally.add("duplicate_boxes", f"image {row.image_id}: x, y, w, h {list(row.box_xywh)}")
    return duplicate


def duplicates(table: Annotations) -> np.ndarray:
    """`[n]` bool, which boxes of annotations are the same box of the same class as an earlier one of the image."""
    boxes = map(tuple, table.boxes_xywh.tolist())
    keys = zip(table.image_index.tolist(), table.class_indices.tolist(), boxes, table.crowd.tolist())
    return _repeat(keys, len(table.crowd))


def _repeat(keys: Iterable[tuple], count: int) -> np.ndarray:
    """`[count]` bool, which keys stand there before."""
    seen: set[tuple] = set()
    repeat = np.zeros(count, bool)
    for place, key in enumerate(keys):
        repeat[place] = key in seen
        seen.add(key)
    return repeat
