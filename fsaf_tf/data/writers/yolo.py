"""YOLO: a text of each picture, `class x y width height` in shares of it, and `data.yaml` with the names."""

import json
import posixpath
from collections.abc import Iterator, Sequence

from fsaf_tf.data.classes import Classes
from fsaf_tf.data.writers.form import LEFT_OUT, Content, Form, check_distinct, path_of

LABELS, IMAGES = "labels", "images"
_DIGITS = 10  # of a share: a millionth of a pixel in the largest pictures


def line(index: int, box_yxyx, height: int, width: int, digits: int = _DIGITS) -> str:
    """The line of a box in pixels of its picture."""
    y1, x1, y2, x2 = box_yxyx
    shares = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
    return " ".join([str(index), *(f"{share:.{digits}f}" for share in shares)]) + "\n"


def names(classes: Classes) -> str:
    """The lines of `data.yaml` on the classes."""
    return f"nc: {len(classes)}\nnames: {json.dumps(classes.names, ensure_ascii=False)}\n"


def _of_all(classes: Classes, parts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """`data.yaml`, with the folders of the pictures."""
    rows = (f"{part or 'train'}: {posixpath.join(IMAGES, part)}\n" for part in parts)
    yield "data.yaml", "".join(rows) + names(classes)


def _files(content: Content) -> Iterator[tuple[str, str]]:
    """A text of each picture, also of those without a box."""
    folder = posixpath.join(LABELS, content.stem)
    paths = ((path_of(folder, name, ".txt"), name) for name in content.table.file_names)
    for path, picture in zip(check_distinct(paths, "give one of them another name"), content.each()):
        size, boxes = (picture.height, picture.width), picture.clipped().boxes_yxyx.tolist()
        yield path, "".join(line(index, box, *size) for index, box in zip(picture.class_indices, boxes))


FORM = Form(
    "YOLO",
    _files,
    shown="data.yaml:{stem}",
    of_all=_of_all,
    needs_pictures=True,
    crowd=LEFT_OUT,
    ignored=LEFT_OUT,
    has_sizes=False,
    has_empty_classes=True,
    is_clipped=True,
)
