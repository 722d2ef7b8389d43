"""The page on data: counts, findings, sizes, and pictures with their boxes. It opens without a network."""

import base64
import io
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from fsaf_tf.analysis import data_template, page
from fsaf_tf.data import inspection, kept_boxes
from fsaf_tf.data.examples import Order, named_errors
from fsaf_tf.data.findings import counted
from fsaf_tf.data.inspection import Inspection
from fsaf_tf.errors import UserError
from fsaf_tf.files import storage
from fsaf_tf.run.data_report import DataReport
from fsaf_tf.terminal import commands

CLASSES_SHOWN, OF_A_CLASS, OF_A_KIND = 20, 4, 8  # classes in the table and with pictures; pictures of each gallery
SIDE = 320  # px of a small picture, some 15 kB
EDGES = (0, 1, 4, 8, 16, 32, 64, 128, 256, 512, np.inf)  # px, of the histogram


def check_installed() -> None:
    """Raises a UserError where Jinja2 is not there."""
    try:
        import jinja2  # noqa: F401 (an extra)
    except ImportError:
        raise UserError(f"a page needs Jinja2: {commands.to_install('report')}") from None


def write(report: DataReport, path: str) -> None:
    """Writes the page.

    Args:
        report: of data that could be read; else the page has the error alone.
        path: such as `data.html`.

    Raises:
        UserError: Jinja2 is not there, or a picture that is to be shown is damaged.
    """
    check_installed()
    import jinja2
    import markupsafe

    parts = [(part, is_train) for part, is_train in ((report.train, True), (report.validation, False)) if part]
    values = {
        "title": " and ".join(part.source.name for part, _ in parts) or "Data",
        "style": markupsafe.Markup(page.STYLE),
        "error": report.error,
        "findings": report.findings,
        "parts": [_counts(part, is_train) for part, is_train in parts],
        "galleries": _galleries(parts[0][0]) if parts else [],
    }
    template = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(data_template.TEMPLATE)
    storage.make_folder(os.path.dirname(path) or ".")
    storage.write_text(path, template.render(values))


def _counts(part: Inspection, to_train: bool) -> dict[str, Any]:
    first, *rest = inspection.lines(part, to_train=to_train)
    rows = sorted(((name, *counts) for name, counts in part.of_classes().items()), key=lambda row: -row[1])
    return {
        "name": first,
        "words": "; ".join(rest),
        "verb": "trained on" if to_train else "1 px or more",
        "classes": rows[:CLASSES_SHOWN],
        "more": max(len(rows) - CLASSES_SHOWN, 0),
        "bars": _bars(part),
        "sizing": str(part.sizing),
    }


def _bars(part: Inspection) -> list[dict[str, Any]]:
    """The histogram of the sizes of all boxes."""
    sides = kept_boxes.resized_sides(part.table, part.sizing)
    counts, _ = np.histogram(np.sqrt(np.prod(sides, axis=1)), EDGES)
    labels = [*(f"{low}-{high}" for low, high in zip(EDGES[:-2], EDGES[1:-1])), f"{EDGES[-2]}-"]
    most = max(counts.max(), 1)
    rows = zip(labels, counts.tolist(), EDGES)
    return [
        {"label": label, "count": count, "height": round(96 * count / most, 1), "is_lost": low < kept_boxes.LEAST_SIDE}
        for label, count, low in rows
    ]


class Shown(NamedTuple):
    """A picture of a gallery.

    Attributes:
        place: of the picture.
        rows: of the boxes that it is shown for, in the table of boxes; none if it is for all of them.
    """

    place: int
    rows: np.ndarray


def _galleries(part: Inspection) -> list[dict[str, Any]]:
    wanted = {title: gallery for title, gallery in _wanted(part).items() if gallery}
    places = sorted({shown.place for gallery in wanted.values() for shown in gallery})
    encoded = {place: _encoded(image) for place, image in _images(part, places)}
    return [
        {"title": title, "pictures": [_picture(part, shown, encoded[shown.place]) for shown in gallery]}
        for title, gallery in wanted.items()
    ]


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


def _encoded(image: np.ndarray) -> str:
    """A small JPEG in base64."""
    small, stream = Image.fromarray(image), io.BytesIO()
    small.thumbnail((SIDE, SIDE))
    small.save(stream, "JPEG", quality=80)
    return base64.b64encode(stream.getvalue()).decode()


def _picture(part: Inspection, shown: Shown, jpeg: str) -> dict[str, Any]:
    """What the template shows of a picture; its boxes are clipped to it."""
    table, boxes = part.table, []
    for row in np.flatnonzero(table.image_index == shown.place):
        y1, x1, y2, x2 = table.boxes_yxyx[row].tolist()
        name = part.source.classes.names[table.class_indices[row]]
        size = {"x": round(x1, 1), "y": round(y1, 1), "width": round(x2 - x1, 1), "height": round(y2 - y1, 1)}
        is_meant = not len(shown.rows) or row in shown.rows
        boxes.append({**size, "name": name, "is_trained": bool(part.trained[row]), "is_meant": is_meant})
    height, width = table.sizes[shown.place].tolist()
    meant = [box for box in boxes if box["is_meant"]]
    words = f"{width} x {height}, {counted(len(boxes), 'box', 'boxes')}"
    if len(meant) == 1:
        words += f", this one {meant[0]['width']:g} x {meant[0]['height']:g}"
    elif len(meant) < len(boxes):
        words += f", {len(meant)} of them these"
    return {
        "name": table.file_names[shown.place],
        "width": width,
        "height": height,
        "words": words,
        "boxes": sorted(boxes, key=lambda box: box["is_meant"]),  # those are drawn last, over the others
        "jpeg": jpeg,
    }
