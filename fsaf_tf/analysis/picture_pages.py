"""Pages beside a report on every picture with all its errors, the worst first, some to a page, and a table of them."""

import collections
import os
import re
import urllib.parse
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from fsaf_tf.analysis import errors, shown_picture, templates
from fsaf_tf.analysis.blocks import Gallery, Keys, Link, Section, Side, Table, section
from fsaf_tf.files import paths, storage

OF_A_PAGE = 20  # pictures
SIDE = 720  # px, of a picture there at most
OWN_FILES = r"index\.html|page-\d+\.html|\d+\.jpg"
_INDEX = "index.html"


class Pages(NamedTuple):
    """The pages beside a report.

    Attributes:
        folder: where they are; the report is beside it.
        number_of: by image id the number of the page that it is on, in the order of the pages.
        images: so many were evaluated.
    """

    folder: str
    number_of: Mapping[int, int]
    images: int

    def address(self, image_id: int) -> str:
        """Of a picture, from the report; empty if there is no page of it."""
        if image_id not in self.number_of:
            return ""
        return f"{self._address}/{_page(self.number_of[image_id])}#{_anchor(image_id)}"

    def links(self) -> list[Link]:
        """What leads from the report to them."""
        return [Link("All pictures", f"{self._address}/{_INDEX}")] if self.number_of else []

    def line(self) -> Link | str:
        """The same in a sentence, which says how many there are."""
        return Link(f"{_sentence(self.said())}.", f"{self._address}/{_INDEX}") if self.number_of else ""

    def said(self) -> str:
        """How many pictures have a page, and how to get the rest."""
        count = len(self.number_of)
        if count == self.images:
            return f"all {count} pictures with all their errors"
        return (
            f"{count} of {self.images} pictures with all their errors, those whose errors cost most (--browse=N makes"
            " pages of N)"
        )

    @property
    def _address(self) -> str:
        return urllib.parse.quote(os.path.basename(self.folder))


def plan(output: str, ranked: Sequence[int], count: int) -> Pages:
    """Which pictures have a page.

    Args:
        output: the report, NAME.html; the pages are in NAME_pictures.
        ranked: all image ids, the worst first.
        count: so many at most.
    """
    return Pages(folder_of(output), _numbered(ranked[:count]), len(ranked))


def of_those(pages: Pages, there: Collection[int]) -> Pages:
    """The pages of some of the pictures alone: of those whose files are there."""
    return pages._replace(number_of=_numbered([image_id for image_id in pages.number_of if image_id in there]))


def _numbered(image_ids: Sequence[int]) -> dict[int, int]:
    return {image_id: place // OF_A_PAGE + 1 for place, image_id in enumerate(image_ids)}


def folder_of(output: str) -> str:
    """The folder of the pages of a report."""
    return f"{output.removesuffix('.html')}_pictures"


def file_of(pages: Pages, image_id: int) -> str:
    """Where the JPEG file of a picture is to be."""
    return f"{pages.folder}/{image_id}.jpg"


def begin(pages: Pages) -> None:
    """Makes the folder, and takes away what an earlier report of this name left in it."""
    for name in paths.names(pages.folder):
        if re.fullmatch(OWN_FILES, name):
            tf.io.gfile.remove(f"{pages.folder}/{name}")
    if pages.number_of:
        storage.make_folder(pages.folder)


def write(pages: Pages, report: dict, output: str) -> None:
    """Writes the pages, if there are any.

    Args:
        pages: of pictures whose files are there.
        report: see `report.render`.
        output: the report.
    """
    shown = list(pages.number_of)
    if not shown:
        return
    found = {
        name: {picture["image_id"]: picture for picture in run["pictures"]} for name, run in report["runs"].items()
    }
    back = Link("Report", f"../{urllib.parse.quote(os.path.basename(output))}")
    values = {"tool": "fsaf-analyze", "note": report["title"]}
    index = section(_sentence(pages.said()), _table(pages, shown, found))
    text = templates.render({**values, "title": "All pictures", "sections": [index], "links": [back]})
    storage.write_text(f"{pages.folder}/{_INDEX}", text)
    last = max(pages.number_of.values())
    for number in range(1, last + 1):
        on_page = [image_id for image_id in shown if pages.number_of[image_id] == number]
        sections = [_of_picture(image_id, found, report["score_threshold"]) for image_id in on_page]
        links = [back, Link("All pictures", _INDEX), *_neighbours(number, last)]
        title = f"Pictures, page {number} of {last}"
        text = templates.render({**values, "title": title, "sections": sections, "links": links})
        storage.write_text(f"{pages.folder}/{_page(number)}", text)


def keys(runs: Mapping[str, dict]) -> Keys:
    """What the colours of boxes stand for."""
    states = {box["state"] for run in runs.values() for picture in run["pictures"] for box in picture["boxes"]}
    colours = shown_picture.STATES.items()
    return Keys("", [(colour, state) for state, colour in colours if state != errors.CUT_OFF or state in states])


def said(picture: dict) -> str:
    """The cost of a picture, and how many errors of which kind it is made of."""
    counts = _counts(picture)
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in errors.MEANINGS if counts[kind])
    return f"cost {picture['cost']:.1f}: {kinds or 'no errors'}"


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def _counts(picture: dict) -> collections.Counter:
    """How many of its boxes are of which kind of error, or of which state."""
    return collections.Counter(box.get("kind") or box["state"] for box in picture["boxes"])


def _page(number: int) -> str:
    return f"page-{number}.html"


def _anchor(image_id: int) -> str:
    return f"picture-{image_id}"


def _neighbours(number: int, last: int) -> Iterator[Link]:
    """The page before and the one after."""
    if number > 1:
        yield Link("Worse pictures", _page(number - 1))
    if number < last:
        yield Link("Better pictures", _page(number + 1))


def _table(pages: Pages, shown: Sequence[int], found: Mapping[str, dict]) -> Table:
    """A row a picture: of one detector a column for each kind of error, of several what is said of each."""
    kinds = (*errors.MEANINGS, errors.CORRECT)
    several = len(found) > 1
    rows = []
    for image_id in shown:
        of_runs = [pictures[image_id] for pictures in found.values()]
        link = Link(of_runs[0]["file_name"], f"{_page(pages.number_of[image_id])}#{_anchor(image_id)}")
        counts = _counts(of_runs[0])
        cells = [f"{of_runs[0]['cost']:.1f}", *(str(counts[kind]) for kind in kinds)]
        rows.append([link, *(list(map(said, of_runs)) if several else cells)])
    return Table(["picture", *(found if several else ("cost", *kinds))], rows)


def _of_picture(image_id: int, found: Mapping[str, dict], score_threshold: float) -> Section:
    """A picture as each detector sees it, and a table of its errors, whose numbers are those on the picture."""
    figures, rows, several = [], [], len(found) > 1
    for name, pictures in found.items():
        one = pictures[image_id]
        wrong = _wrong(one["boxes"])
        numbers = {id(box): str(number) for number, box in enumerate(wrong, start=1)}
        texts = [numbers.get(id(box), "") for box in one["boxes"]]
        caption = f"{f'{name}, ' * several}{said(one)}"
        size = (one["width"], one["height"])
        figures.append(shown_picture.of_errors(f"{image_id}.jpg", size, one["boxes"], texts, caption))
        rows += [[numbers[id(box)], *[name] * several, *_facts(box)] for box in wrong]
    file_name = next(iter(found.values()))[image_id]["file_name"]
    head = ["", *["detector"] * several, "error", "class", "score", "x, y, width, height"]
    table = Table(head, rows) if rows else f"No errors of detections that score at least {score_threshold:g}."
    gallery = Gallery(figures, "large", len(found) if several else 0)
    beside = [gallery, table] if several else [Side([("", gallery), ("", table)], "halves")]
    return Section(_anchor(image_id), file_name, beside)


def _wrong(boxes: Sequence[dict]) -> list[dict]:
    """Wrong detections, the surest first, then the objects that are missed."""
    kept = [box for box in boxes if box["state"] in (errors.WRONG, errors.MISSED)]
    return sorted(kept, key=lambda box: (box["state"] == errors.MISSED, -box.get("score", 0.0)))


def _facts(box: dict) -> list[str]:
    """The cells of an error: its kind, class, score and place."""
    kind = box.get("kind") or box["state"]
    about = f"{box['name']}, on {box['about']}" if box.get("about") else box["name"]
    score = f"{box['score']:.2f}" if "score" in box else "-"
    return [kind, about, score, ", ".join(f"{side:.0f}" for side in box["box"])]
