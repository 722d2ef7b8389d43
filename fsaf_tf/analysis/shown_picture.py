"""A picture with boxes as a page shows it: which part, the boxes, and labels that do not lie on each other."""

import base64
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fsaf_tf.analysis.errors import CORRECT, CUT_OFF, MISSED, WRONG

STATES = {CORRECT: "#35c26b", WRONG: "#ff5a4d", MISSED: "#ffd21f", CUT_OFF: "#b9c2cc"}
_ORDER = {CORRECT: 0, CUT_OFF: 1, MISSED: 2, WRONG: 3}  # later ones are drawn over the others
_WIDE, _NARROW = 1.05, 0.66  # of a letter, in its height
_LINE = 1.15  # height of a line, in that of a letter


class Part(NamedTuple):
    """What is shown of a picture, in its pixels."""

    x: float
    y: float
    width: float
    height: float


class Label(NamedTuple):
    """Text on a picture: its place on the left of the baseline, the height of its letters."""

    x: float
    y: float
    size: float
    colour: str
    text: str


def data_uri(jpeg: bytes) -> str:
    """A JPEG file inside of a page."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def of_errors(source: str, size: tuple[int, int], boxes: Sequence[dict], texts: Sequence[str], caption: str) -> dict:
    """A whole picture with its errors.

    Args:
        source: address of its file, which may be smaller.
        size: its width and height.
        boxes: as from `errors.by_picture`.
        texts: the label of each box.
        caption: below it, and in the place of it where it is not seen.
    """
    return show(source, size, Part(0, 0, *size), [_drawn(*each) for each in zip(boxes, texts)], caption, letters=31)


def of_suspect(source: str, size: tuple[int, int], part: Part, boxes: Sequence[dict], caption: str) -> dict:
    """A part of a picture about a label that may be wrong; see `of_errors`."""
    return show(source, size, part, [_drawn(box, words(box)) for box in boxes], caption, letters=17)


def words(box: dict) -> str:
    """The class of a box, and its score if it has one."""
    return box["name"] + (f" {box['score']:.2f}" if "score" in box else "")


def _drawn(box: dict, text: str) -> dict:
    """How a box of `errors.by_picture` is drawn; what is right has no label."""
    state = box["state"]
    is_bold = state in (MISSED, WRONG)
    about = f", on {box['about']}" if box.get("about") else ""
    return {
        "box": box["box"],
        "colour": STATES[state],
        "is_bold": is_bold,
        "is_dashed": state in (MISSED, CUT_OFF),
        "is_faint": False,
        "title": f"{box.get('kind') or state}: {words(box)}{about}",
        "text": text if is_bold else "",
        "rank": (_ORDER[state], box.get("score", 0.0)),
    }


def show(source: str, size: tuple[int, int], part: Part, drawn: Sequence[dict], caption: str, letters: float) -> dict:
    """What the template has of a picture.

    Args:
        source: see `of_errors`.
        size: see there.
        part: what is shown.
        drawn: boxes: `box` `[x, y, width, height]`, `colour`, `is_bold`, `is_dashed`, `is_faint`, `title` under the
            pointer, `text` of its label (may be empty), `rank` (the greatest lies above, and has its label first).
        caption: see `of_errors`.
        letters: so many times its letters' height is the part wide.
    """
    ranked = sorted(drawn, key=lambda box: box["rank"])
    placed = {"left": -part.x / part.width, "top": -part.y / part.height}
    placed |= {"width": size[0] / part.width, "height": size[1] / part.height}
    return {
        "id": "",
        "href": "",
        "source": source,
        "alt": caption,
        "caption": caption,
        "width": f"{part.width:g}",
        "height": f"{part.height:g}",
        "placed": ";".join(f"{side}:{100 * share:.3f}%" for side, share in placed.items()),
        "view": " ".join(f"{number:g}" for number in part),
        "boxes": [{**box, "place": _Place(*box["box"])} for box in ranked],
        "labels": list(_labels(ranked[::-1], part, part.width / letters)),
    }


class _Place(NamedTuple):
    """A box as attributes of a `rect`."""

    x: float
    y: float
    width: float
    height: float

    def __html__(self) -> str:
        return " ".join(f'{name}="{value:.1f}"' for name, value in self._asdict().items())


def _labels(boxes: Sequence[dict], part: Part, size: float) -> Iterator[Label]:
    """Labels of boxes, the first first; one for which there is no place that another has not is left out."""
    taken: list[Part] = []
    for box in boxes:
        width = size * sum(_WIDE if unicodedata.east_asian_width(letter) in "WF" else _NARROW for letter in box["text"])
        free = (place for place in _places(Part(*box["box"]), width, size * _LINE, part) if not _hits(place, taken))
        place = next(free, None) if box["text"] else None
        if place:
            taken.append(place)
            yield Label(place.x, place.y + 0.85 * size, size, box["colour"], box["text"])


def _places(box: Part, width: float, height: float, part: Part) -> Iterator[Part]:
    """Where a label can be: over and under its box, then inside, on the left and on the right; within what is shown."""
    right, bottom = box.x + box.width, box.y + box.height
    rows = (box.y - height, bottom, box.y, bottom - height, box.y + box.height / 2 - height / 2)
    for y in rows:
        for x in (box.x, right - width, box.x + box.width / 2 - width / 2):
            x = min(max(x, part.x), part.x + part.width - width)
            if part.y <= y <= part.y + part.height - height and x >= part.x:
                yield Part(x, y, width, height)


def _hits(place: Part, taken: Sequence[Part]) -> bool:
    return any(
        place.x < other.x + other.width
        and other.x < place.x + place.width
        and place.y < other.y + other.height
        and other.y < place.y + place.height
        for other in taken
    )
