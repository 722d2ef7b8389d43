"""What pages are made of, as plain values: sections, tables and their cells, galleries; `templates.py` draws them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

COLOURS = ("#0b6fb8", "#d9730d", "#2a8f4f", "#a23b9e", "#c23b3b", "#6b5d4d")  # of the detectors
_DARKEST = 0.7  # of a shade: text on it can be read, in the light and in the dark


class Link(NamedTuple):
    """Text that leads somewhere."""

    kind = "link"
    text: str
    href: str


class Keys(NamedTuple):
    """Patches of colour and what they stand for, behind a word."""

    kind = "keys"
    title: str
    names: Sequence[tuple[str, str]]  # colour, text


class Shade(NamedTuple):
    """A cell of a matrix, the darker the larger its share of the row."""

    kind = "shade"
    number: str
    share: float
    rgb: str


class Track(NamedTuple):
    """A bar and the words behind it; its width is a percentage."""

    width: float
    colour: str
    text: str


class Bars(NamedTuple):
    """A cell with a bar for each detector; none where there are no objects."""

    kind = "bars"
    tracks: Sequence[Track]


Cell = str | Link | Keys | Shade | Bars


class Table(NamedTuple):
    """A table; the first cell of a row heads it, text that starts with a digit is a number."""

    kind = "table"
    header: Sequence[str | Keys]
    rows: Sequence[Sequence[Cell]]
    css: str = ""

    def is_number(self, column: int) -> bool:
        """Whether a column is one of numbers, by its first cell; it has that heading on the right."""
        first = self.rows[0][column] if self.rows else ""
        return column > 0 and isinstance(first, str) and (first == "-" or first[:1].isdigit())


class Chart(NamedTuple):
    """A picture of curves: where it is, and what it shows in words."""

    kind = "chart"
    source: str
    alt: str


class Meanings(NamedTuple):
    """Words and what they mean."""

    kind = "meanings"
    words: Sequence[tuple[str, str]]


class Bin(NamedTuple):
    """A bar of a histogram: what is in it, how much, how high it is of 96, and whether that is lost."""

    label: str
    number: int
    height: float
    is_lost: bool


class Histogram(NamedTuple):
    """Bars beside each other, with words below."""

    kind = "histogram"
    bins: Sequence[Bin]
    caption: str


class Gallery(NamedTuple):
    """Pictures of `shown_picture` in a grid, `small` or `large`; as many columns as fit, if no number is given."""

    kind = "gallery"
    pictures: Sequence[dict]
    css: str = ""
    columns: int = 0


class Side(NamedTuple):
    """Blocks beside each other, each below its title; `halves` share the width."""

    kind = "side"
    parts: Sequence[tuple[str, "Block"]]
    css: str = ""


Block = str | Table | Chart | Histogram | Keys | Meanings | Link | Gallery | Side  # text is a paragraph


class Section(NamedTuple):
    """A part of a page that its navigation leads to; without an id it gets one by its place."""

    id: str
    title: str
    blocks: Sequence[Block]


def section(title: str, *blocks: Block) -> Section:
    """A section of a page whose titles are ours: its id comes of its title. Empty paragraphs are left out."""
    return Section(title.lower().replace(" ", "-"), title, [block for block in blocks if block != ""])


def figure_of(value: float | None) -> str:
    """An AP, or what there is where there are no objects."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def interval_of(values: Sequence[float] | None) -> str:
    """Two figures with what lies between them."""
    return "-" if values is None else f"{values[0]:.3f} to {values[1]:.3f}"


def bars(values: Sequence[float | None], most: float = 1.0, notes: Sequence[str] = ()) -> Bars:
    """A bar for each detector, as long as its share of `most`, and its figure behind it."""
    if all(value is None or math.isnan(value) for value in values):
        return Bars(())
    tracks = []
    for index, value in enumerate(values):
        note = f" {notes[index]}" if notes else ""
        share = 80 * max(value, 0.0) / most if most > 0 else 0.0  # the rest is for the figure
        tracks.append(Track(share, COLOURS[index], f"{value:.3f}{note}"))
    return Bars(tracks)


def shade(count: int, total: int, is_right: bool) -> Shade:
    """A cell of a confusion matrix; green where it is right, red elsewhere."""
    rgb = "42,143,79" if is_right else "194,59,59"
    return Shade(str(count or ""), _DARKEST * count / (total or 1), rgb)
