"""The detections of pictures in forms that other tools read: COCO with images and categories, YOLO, CSV, labelme."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fsaf_tf.data.classes import Classes
from fsaf_tf.data.writers import coco, labelme, table, yolo
from fsaf_tf.data.writers.form import check_distinct
from fsaf_tf.data.writers.form import path_of as beside
from fsaf_tf.errors import UserError
from fsaf_tf.files import storage

if TYPE_CHECKING:
    import supervision

TOOL = "fsaf-predict"
COCO, CSV = "coco.json", "detections.csv"
CSV_COLUMNS = (*table.COLUMNS, "score")
_SHARE_DIGITS = 6  # detections are no more exact


class Found(NamedTuple):
    """What was found in a picture.

    Attributes:
        file: its path.
        name: its path from the folder that all pictures share.
        image_id: its number.
        height: of the upright picture in pixels.
        width: likewise.
        detections: as a detector gives them, in pixels of the upright picture.
    """

    file: str
    name: str
    image_id: int
    height: int
    width: int
    detections: Mapping[str, np.ndarray]

    def above(self, score: float) -> Iterator[tuple[list[float], int]]:
        """Box `[y1, x1, y2, x2]`, within the picture, and class index of those with at least this score."""
        for box, own, index in zip(self.detections["boxes"], self.detections["scores"], self.detections["classes"]):
            if own >= score:
                limits = [self.height, self.width] * 2
                yield np.clip(np.asarray(box, np.float64), 0, limits).round(3).tolist(), int(index)


Add = Callable[[Found], None]
Writer = contextlib.AbstractContextManager[Add]


@contextlib.contextmanager
def _coco(output: str, classes: Classes, score: float) -> Iterator[Add]:
    """All detections as annotations with a `score`. Images and categories stand after them: each is written at once."""
    images, count = [], 0
    with storage.whole(f"{output}/{COCO}") as file:

        def add(found: Found) -> None:
            nonlocal count
            images.append(coco.image(found.image_id, storage.utf8(found.name), found.height, found.width))
            scores = found.detections["scores"]
            for own, (box, index) in zip(scores, found.above(-1)):
                y1, x1, y2, x2 = box
                sides = [x1, y1, round(x2 - x1, 3), round(y2 - y1, 3)]
                row = {"id": count + 1, "image_id": found.image_id, "category_id": classes.ids[index], "bbox": sides}
                row |= {"area": round(sides[2] * sides[3], 3), "iscrowd": 0, "score": round(float(own), 6)}
                file.write(f"{',' * bool(count)}\n{json.dumps(row)}".encode())
                count += 1

        file.write(coco.head(TOOL).encode())
        yield add
        file.write(coco.tail(images, classes).encode())


@contextlib.contextmanager
def _csv(output: str, classes: Classes, score: float) -> Iterator[Add]:
    """All detections, a row each."""
    with storage.whole(f"{output}/{CSV}") as file:

        def write(row: Sequence) -> None:
            file.write(storage.utf8(table.text([row])).encode())

        def add(found: Found) -> None:
            for own, (box, index) in zip(found.detections["scores"], found.above(-1)):
                y1, x1, y2, x2 = box
                place = x1, y1, x2, y2, round(float(own), 6)
                write((found.name, found.width, found.height, classes.names[index], *place))

        write(CSV_COLUMNS)
        yield add


@contextlib.contextmanager
def _yolo(output: str, classes: Classes, score: float) -> Iterator[Add]:
    """A text of each picture, `class x y width height` in shares of it; the names of the classes above them."""

    def add(found: Found) -> None:
        size = found.height, found.width
        lines = [yolo.line(index, box, *size, _SHARE_DIGITS) for box, index in found.above(score)]
        _write(path_of("yolo", output, found.name), "".join(lines))

    _write(f"{output}/yolo/data.yaml", yolo.names(classes))
    _write(f"{output}/yolo/classes.txt", "".join(f"{name}\n" for name in classes.names))
    yield add


@contextlib.contextmanager
def _labelme(output: str, classes: Classes, score: float) -> Iterator[Add]:
    """A JSON of each picture, which names the picture by its path from there."""

    def add(found: Found) -> None:
        """Writes the file of a picture."""
        path = path_of("labelme", output, found.name)
        picture = os.path.relpath(os.path.abspath(found.file), os.path.abspath(os.path.dirname(path)))
        rows = ((classes.names[index], tuple(box), "") for box, index in found.above(score))
        _write(path, labelme.text(picture, found.height, found.width, rows))

    yield add


FORMS = {"coco": _coco, "yolo": _yolo, "csv": _csv, "labelme": _labelme}
_OF_PICTURES = {"yolo": ("yolo/labels", ".txt"), "labelme": ("labelme", ".json")}


def path_of(form: str, output: str, name: str) -> str:
    """Where the file of a picture goes, of a form that has one for each."""
    folder, ending = _OF_PICTURES[form]
    return beside(f"{output}/{folder}", name, ending)


def check(forms: Sequence[str]) -> None:
    """Raises a UserError if there is no such form."""
    unknown = [form for form in forms if form not in FORMS]
    if unknown:
        raise UserError(f"--forms has {unknown[0]!r}; there are {', '.join(FORMS)}")


def paths(forms: Sequence[str], output: str, names: Sequence[str]) -> list[str]:
    """All files that will be written of pictures of these names.

    Raises:
        UserError: two of the pictures would have one file.
    """
    files = [f"{output}/{file}" for form, file in (("coco", COCO), ("csv", CSV)) if form in forms]
    files += [f"{output}/yolo/{file}" for file in ("data.yaml", "classes.txt") if "yolo" in forms]
    for form in (form for form in _OF_PICTURES if form in forms):
        remedy = f"leave {form} out of --forms, or look at one after the other"
        files += check_distinct(((path_of(form, output, name), name) for name in names), remedy)
    return files


@contextlib.contextmanager
def writer(forms: Sequence[str], output: str, classes: Classes, score_threshold: float) -> Iterator[Add]:
    """Writes forms, as a context: gives what adds a picture.

    At its end `coco.json` and `detections.csv` are there as wholes; an error leaves them as they were before, while the
    files of pictures, of `yolo` and `labelme`, stay as far as they were written.

    Args:
        forms: some of `FORMS`.
        output: the folder.
        classes: of the detector.
        score_threshold: of the detections in `yolo` and `labelme`, which have no scores; the others have all.
    """
    with contextlib.ExitStack() as stack:
        adds = [stack.enter_context(FORMS[form](output, classes, score_threshold)) for form in forms]

        def add(found: Found) -> None:
            for add_to in adds:
                add_to(found)

        yield add


def _write(path: str, text: str) -> None:
    storage.make_folder(os.path.dirname(path))
    storage.write_text(path, text)


def to_supervision(detections: Mapping[str, Any]) -> "supervision.Detections":
    """Detections of a picture as `supervision.Detections`, with `data["class_name"]`.

    Args:
        detections: as a detector of `load_detector` gives them.

    Raises:
        UserError: that library is not there.
    """
    try:
        import supervision
    except ModuleNotFoundError:
        raise UserError("supervision is not there: pip install supervision") from None
    return supervision.Detections(
        xyxy=np.asarray(detections["boxes"], np.float32)[:, [1, 0, 3, 2]],
        confidence=np.asarray(detections["scores"], np.float32),
        class_id=np.asarray(detections["classes"], np.int64),
        data={"class_name": np.array(detections["names"], dtype=str)},
    )
