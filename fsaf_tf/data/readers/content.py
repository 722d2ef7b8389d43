"""What every reader of a form makes of it: the three lists of COCO JSON, and where each entry of them stands.

`coco_json` checks, counts and judges them once for all forms.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fsaf_tf.data.coco_values import number, whole
from fsaf_tf.data.findings import Finding, Tally, short
from fsaf_tf.data.mistakes import Findings, Mistake

LISTS = ("images", "annotations", "categories")


@dataclasses.dataclass(frozen=True)
class Content:
    """Attributes:
    form: in words, such as "Pascal VOC, 205 files"; empty of COCO JSON.
    lists: `images`, `annotations` and `categories` as in COCO JSON; where fewer were asked for, these alone.
    tally: what was counted on the way, and where further things are.
    totals: of how many, by kind of finding.
    findings: further ones.
    where_images: what names the place of each image; None of COCO JSON.
    where_boxes: likewise of each annotation.
    by_name: the ids of the classes mean nothing: they were made of the names.
    """

    form: str
    lists: dict[str, list[dict]]
    tally: Tally
    totals: Mapping[str, int] = dataclasses.field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    where_images: Sequence[str] | None = None
    where_boxes: Sequence[str] | None = None
    by_name: bool = False


class Entries:
    """Collects pictures and boxes of a form, and the mistakes in it.

    Classes are numbered by their names in sorted order, from 1, so that files with the same names agree; a form that
    numbers them itself keeps its numbers.

    Args:
        file: what was given, for messages.
        numbered: names by the numbers of the form; None where it has names alone.
        listed: names that the form lists, whether a box has them or not.
    """

    def __init__(self, file: str, numbered: Mapping[int, str] | None = None, listed: Iterable[str] = ()):
        self.file, self.tally = file, Tally(file)
        self._numbered, self._names = numbered, set(listed)
        self._images: list[dict] = []
        self._annotations: list[dict] = []
        self._where_images: list[str] = []
        self._where_boxes: list[str] = []
        self._mistakes: list[Mistake] = []
        self._findings: list[Finding] = []
        self._left_out = 0

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """A context in which a `Mistake` is kept, and ends the reading at the end of the form."""
        try:
            yield
        except Mistake as mistake:
            self._mistakes.append(mistake)

    def image(self, name: str, size: Sequence[int] | None, where: str) -> int:
        """Adds a picture, and gives its id.

        Args:
            name: its file.
            size: height and width; None where the form has none.
            where: names the entry in messages.
        """
        sides = dict(zip(("height", "width"), size)) if size else {}
        self._images.append({"id": len(self._images) + 1, "file_name": name, **sides})
        self._where_images.append(where)
        return len(self._images)

    def box(self, image_id: int, name: Any, box: Mapping[str, Any], where: str) -> dict:
        """Adds a box, and gives its entry.

        Args:
            image_id: of its picture.
            name: of its class, or the number where the form numbers them.
            box: `bbox` or `segmentation` as in COCO JSON, and flags.
            where: names it in messages.

        Raises:
            Mistake: the class has no name, or is none of the form's.
        """
        if self._numbered is None:
            name = str(name).strip() if isinstance(name, str | int | float) else ""
            if not name:
                raise Mistake("no name of a class", where)
            self._names.add(name)
        elif name not in self._numbered:
            known = f"{min(self._numbered)} to {max(self._numbered)}"
            raise Mistake(f"unknown class number, where the names have {known}", f"{where}: {short(name)}")
        self._annotations.append({"id": len(self._annotations) + 1, "image_id": image_id, "category_id": name, **box})
        self._where_boxes.append(where)
        return self._annotations[-1]

    def leave_out(self, kind: str, case: str) -> None:
        """Counts a box, or what stands in the place of one, that is left out; `case` says which."""
        self.tally.add(kind, case)
        self._left_out += 1

    def add_findings(self, findings: Iterable[Finding]) -> None:
        """Adds findings that are not counted one by one."""
        self._findings += findings

    @property
    def names(self) -> set[str]:
        """Those of the pictures."""
        return {image["file_name"] for image in self._images}

    def content(self, form: str) -> Content:
        """All that was added.

        Raises:
            UserError: there were mistakes.
        """
        entries = len(self._images) + len(self._annotations) + len(self._mistakes)
        mistakes = Findings(self.file, "entries", entries)
        for mistake in self._mistakes:
            mistakes.add(mistake.kind, mistake.case)
        mistakes.raise_any()
        numbers = self._numbered or dict(enumerate(sorted(self._names), 1))
        if self._numbered is None:
            number_of = {name: place for place, name in numbers.items()}
            for annotation in self._annotations:
                annotation["category_id"] = number_of[annotation["category_id"]]
        categories = [{"id": place, "name": name} for place, name in numbers.items()]
        return Content(
            form=form,
            lists=dict(zip(LISTS, (self._images, self._annotations, categories))),
            tally=self.tally,
            totals={"other_shapes": len(self._annotations) + self._left_out},
            findings=tuple(self._findings),
            where_images=self._where_images,
            where_boxes=self._where_boxes,
            by_name=True,
        )


def numbers(values: Mapping[str, Any], where: str) -> list[float]:
    """Values by their names as numbers, which may be written as text.

    Raises:
        Mistake: one is missing, or no finite number.
    """
    read = [number(value) for value in values.values()]
    if None in read:
        name, value = list(values.items())[read.index(None)]
        if value is None or value == "":
            raise Mistake("a side of a box is missing", f"{where}: no {name}")
        raise Mistake("a side of a box is no finite number", f"{where}: {name} is {short(repr(value))}")
    return read


def of_corners(x1: float, y1: float, x2: float, y2: float) -> list[float]:
    """x, y, width, height."""
    return [x1, y1, x2 - x1, y2 - y1]


def around(points: Sequence[tuple[float, float]]) -> list[float]:
    """x, y, width, height of the box around points."""
    xs, ys = zip(*points)
    return of_corners(min(xs), min(ys), max(xs), max(ys))


def size(height: Any, width: Any, where: str) -> tuple[int, int] | None:
    """Height and width in whole pixels, which may be written as text; None where they are missing or 0.

    Raises:
        Mistake: they are no such numbers.
    """
    if any(side in (None, "", 0, "0", -1, "-1") for side in (height, width)):
        return None
    sides = whole(height), whole(width)
    if not all(side is not None and 0 < side < 2**31 for side in sides):
        raise Mistake("no width and height in whole pixels", f"{where}: {short(repr(width))} x {short(repr(height))}")
    return sides
