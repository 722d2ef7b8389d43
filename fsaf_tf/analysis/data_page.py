"""The page on data: counts, findings, sizes, and pictures with their boxes. It opens without a network."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from fsaf_tf.analysis import inputs, shown_picture, templates
from fsaf_tf.analysis.blocks import Bin, Gallery, Histogram, Section, Table, section
from fsaf_tf.data import inspection, kept_boxes
from fsaf_tf.data.examples import Order, named_errors
from fsaf_tf.data.findings import counted
from fsaf_tf.data.inspection import Inspection
from fsaf_tf.files import storage
from fsaf_tf.run.data_report import DataReport

CLASSES_SHOWN, OF_A_CLASS, OF_A_KIND = 20, 4, 8  # classes in the table and with pictures; pictures of each gallery
SIDE = 320  # px of a small picture, some 15 kB
EDGES = (0, 1, 4, 8, 16, 32, 64, 128, 256, 512, np.inf)  # px, of the histogram


def write(report: DataReport, path: str) -> None:
    """Writes the page.

    Args:
        report: of data that could be read; else the page has the error alone.
        path: such as `data.html`.

    Raises:
        UserError: Jinja2 is not there, or a picture that is to be shown is damaged.
    """
    templates.check_installed()
    parts = [(part, is_train) for part, is_train in ((report.train, True), (report.validation, False)) if part]
    counts = [_counts(part, is_train) for part, is_train in parts]
    galleries = _galleries(parts[0][0]) if parts else {}
    shown = [Section("", title, [Gallery(pictures, "small")]) for title, pictures in galleries.items()]
    sections = [_findings(report), *counts, *shown]
    values = {"title": " and ".join(part.source.name for part, _ in parts) or "Data", "tool": "fsaf-data"}
    refused = f"A run would be refused: {report.error}" if report.error else ""
    storage.make_folder(os.path.dirname(path) or ".")
    storage.write_text(path, templates.render({**values, "refused": refused, "sections": sections}))


def _findings(report: DataReport) -> Section:
    """What was found in the data, with examples."""
    rows = [[finding.kind, finding.message, finding.where, "; ".join(finding.examples)] for finding in report.findings]
    return section("Findings", Table(["", "what", "where", "such as"], rows) if rows else "None.")


def _counts(part: Inspection, to_train: bool) -> Section:
    """The lines of the terminal on a source, its classes, and the sizes of its boxes."""
    first, *rest = inspection.lines(part, to_train=to_train)
    counts = sorted(((name, *each) for name, each in part.of_classes().items()), key=lambda row: -row[1])
    rows = [[name, str(count), str(kept)] for name, count, kept in counts[:CLASSES_SHOWN]]
    more = len(counts) - CLASSES_SHOWN
    table = Table(["class", "boxes", "trained on" if to_train else "1 px or more"], rows)
    left_out = f"and {more} classes more, with fewer boxes" if more > 0 else ""
    caption = f"Boxes by the root of their area in pixels at {part.sizing}; red ones are not trained on"
    blocks = ["; ".join(rest), table, *[left_out] * bool(left_out), Histogram(_bins(part), caption)]
    return Section("", first, blocks)


def _bins(part: Inspection) -> list[Bin]:
    """The histogram of the sizes of all boxes."""
    sides = kept_boxes.resized_sides(part.table, part.sizing)
    counts, _ = np.histogram(np.sqrt(np.prod(sides, axis=1)), EDGES)
    labels = [*(f"{low}-{high}" for low, high in zip(EDGES[:-2], EDGES[1:-1])), f"{EDGES[-2]}-"]
    most = max(counts.max(), 1)
    return [
        Bin(label, number, round(96 * number / most, 1), low < kept_boxes.LEAST_SIDE)
        for label, number, low in zip(labels, counts.tolist(), EDGES)
    ]


class Shown(NamedTuple):
    """A picture of a gallery.

    Attributes:
        place: of the picture.
        rows: of the boxes that it is shown for, in the table of boxes; none if it is for all of them.
    """

    place: int
    rows: np.ndarray


def _galleries(part: Inspection) -> dict[str, list[dict]]:
    """The pictures of each gallery, by its title."""
    wanted = {title: gallery for title, gallery in _wanted(part).items() if gallery}
    places = sorted({shown.place for gallery in wanted.values() for shown in gallery})
    images = ((place, Image.fromarray(image)) for place, image in _images(part, places))
    encoded = {place: shown_picture.data_uri(inputs.jpeg(image, SIDE)) for place, image in images}
    return {
        title: [_picture(part, shown, encoded[shown.place]) for shown in gallery] for title, gallery in wanted.items()
    }


def _wanted(part: Inspection) -> dict[str, list[Shown]]:
    """Which pictures are shown, by the title of their gallery."""
    table, names = part.table, part.source.classes.names
    by_size = np.argsort(np.prod(kept_boxes.resized_sides(table, part.sizing), axis=1), kind="stable")
    counts = np.bincount(table.image_index, minlength=len(table.sizes))
    most = np.argsort(-counts, kind="stable")[: min(OF_A_KIND, np.count_nonzero(counts))]
    galleries = {
        "The smallest boxes": _with_first_rows(table.image_index, by_size),
        "The largest boxes": _with_first_rows(table.image_index, by_size[::-1]),
        "The most boxes": [Shown(int(place), np.zeros(0, np.int64)) for place in most],
    }
    of_class = np.bincount(table.class_indices, minlength=len(names))
    for index in np.argsort(-of_class, kind="stable")[:CLASSES_SHOWN]:
        rows = np.flatnonzero(table.class_indices == index)
        places = np.unique(table.image_index[rows])
        spread = np.unique(np.linspace(0, len(places) - 1, min(OF_A_CLASS, len(places))).astype(int))
        galleries[f"{names[index]}, {counted(of_class[index], 'box', 'boxes')}"] = [
            Shown(int(place), rows[table.image_index[rows] == place]) for place in places[spread]
        ]
    return galleries


def _with_first_rows(image_index: np.ndarray, rows: np.ndarray) -> list[Shown]:
    """The pictures in which some rows `[n]` come first, each for the first of its own."""
    _, firsts = np.unique(image_index[rows], return_index=True)
    return [Shown(int(image_index[rows[first]]), rows[first : first + 1]) for first in np.sort(firsts)[:OF_A_KIND]]


def _images(part: Inspection, places: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Place and pixels `[h, w, 3]` uint8 of some of the pictures, as boxes have them."""
    chosen = part.source.examples(Order(places=places))
    return zip(places, (row["image"] for row in named_errors(part.source.decode(chosen))))


def _picture(part: Inspection, shown: Shown, source: str) -> dict[str, Any]:
    """A picture of a gallery; its boxes are clipped to it, and those that it is shown for lie over the others."""
    table, drawn = part.table, []
    for row in np.flatnonzero(table.image_index == shown.place):
        y1, x1, y2, x2 = table.boxes_yxyx[row].tolist()
        is_trained, is_meant = bool(part.trained[row]), not len(shown.rows) or row in shown.rows
        drawn.append(
            {
                "box": [x1, y1, x2 - x1, y2 - y1],
                "colour": "#ffd21f" if is_trained else "#ff5a4d",
                "is_bold": is_meant,
                "is_dashed": not is_trained,
                "is_faint": not is_meant,
                "title": part.source.classes.names[table.class_indices[row]],
                "text": "",
                "rank": is_meant,
            }
        )
    height, width = table.sizes[shown.place].tolist()
    caption = f"{table.file_names[shown.place]}, {width} x {height}, {_words(drawn)}"
    return shown_picture.show(source, (width, height), shown_picture.Part(0, 0, width, height), drawn, caption, 31)


def _words(drawn: Sequence[dict[str, Any]]) -> str:
    """How many boxes a picture has, and which of them it is shown for."""
    meant = [box["box"] for box in drawn if box["is_bold"]]
    words = counted(len(drawn), "box", "boxes")
    if len(meant) == 1:
        return f"{words}, this one {meant[0][2]:.4g} x {meant[0][3]:.4g}"
    return f"{words}, {len(meant)} of them these" if len(meant) < len(drawn) else words
