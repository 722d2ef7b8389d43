"""The page on data: counts, findings, sizes, and pictures with their boxes. It opens without a network."""

import base64
import io
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from fsaf_tf import storage
from fsaf_tf.analysis import data_template, page
from fsaf_tf.data import images, inspection, kept_boxes
from fsaf_tf.data.examples import named_errors
from fsaf_tf.data.inspection import Inspection
from fsaf_tf.errors import UserError
from fsaf_tf.run.data_report import DataReport

CLASSES_SHOWN, OF_A_CLASS, OF_A_KIND = 20, 4, 8  # classes in the table and with pictures; pictures of each gallery
SIDE = 320  # px of a small picture, some 15 kB
EDGES = (0, 1, 4, 8, 16, 32, 64, 128, 256, 512, np.inf)  # px, of the histogram


def check_installed() -> None:
    """Raises a UserError where Jinja2 is not there."""
    try:
        import jinja2  # noqa: F401 (an extra)
    except ImportError:
        raise UserError('a page needs Jinja2: pip install -c constraints.txt -e ".[report]"') from None


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


def _galleries(part: Inspection) -> list[dict[str, Any]]:
    wanted = {title: places for title, places in _places(part).items() if len(places)}
    shown = sorted({int(place) for places in wanted.values() for place in places})
    pictures = {place: _picture(part, place, image) for place, image in _images(part, shown)}
    return [
        {"title": title, "pictures": [pictures[int(place)] for place in places]} for title, places in wanted.items()
    ]


def _places(part: Inspection) -> dict[str, Sequence[int]]:
    """Which pictures are shown, by the title of their gallery."""
    table, names = part.table, part.source.classes.names
    counts = np.bincount(table.image_index, minlength=len(table.sizes))
    areas = np.prod(kept_boxes.resized_sides(table, part.sizing), axis=1)
    smallest, largest = np.full(len(table.sizes), np.inf), np.zeros(len(table.sizes))
    np.minimum.at(smallest, table.image_index, areas)
    np.maximum.at(largest, table.image_index, areas)
    has_boxes = np.flatnonzero(counts)
    galleries = {
        "The smallest boxes": has_boxes[np.argsort(smallest[has_boxes], kind="stable")][:OF_A_KIND],
        "The largest boxes": has_boxes[np.argsort(-largest[has_boxes], kind="stable")][:OF_A_KIND],
        "The most boxes": has_boxes[np.argsort(-counts[has_boxes], kind="stable")][:OF_A_KIND],
    }
    of_class = np.bincount(table.class_indices, minlength=len(names))
    for index in np.argsort(-of_class, kind="stable")[:CLASSES_SHOWN]:
        places = np.unique(table.image_index[table.class_indices == index])
        spread = np.unique(np.linspace(0, len(places) - 1, min(OF_A_CLASS, len(places))).astype(int))
        galleries[f"{names[index]}, {of_class[index]:,} boxes"] = places[spread]
    return galleries


def _images(part: Inspection, places: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Place and pixels `[h, w, 3]` uint8 of some of the pictures."""
    source, wanted = part.source, tf.constant(places, tf.int64)
    if source.image_dir:
        names = [part.table.file_names[place] for place in places]
        paths = [os.path.join(source.image_dir, name) for name in names]
        rows = tf.data.Dataset.from_tensor_slices({"place": wanted, "file_name": names, "path": paths})
        chosen = rows.map(lambda row: {**row, "image_bytes": tf.io.read_file(row["path"])})
    else:
        numbered = source.examples().take(len(part.table.sizes)).enumerate()
        chosen = numbered.filter(lambda place, _: tf.reduce_any(place == wanted)).map(
            lambda place, row: {"place": place, "file_name": row["file_name"], "image_bytes": row["image_bytes"]}
        )
    for row in named_errors(images.decode_examples(chosen)):
        yield int(row["place"]), row["image"]


def _picture(part: Inspection, place: int, image: np.ndarray) -> dict[str, Any]:
    """What the template shows of a picture; its boxes are clipped to it."""
    small, encoded = Image.fromarray(image), io.BytesIO()
    small.thumbnail((SIDE, SIDE))
    small.save(encoded, "JPEG", quality=80)
    table, boxes = part.table, []
    for row in np.flatnonzero(table.image_index == place):
        y1, x1, y2, x2 = table.boxes_yxyx[row].tolist()
        name = part.source.classes.names[table.class_indices[row]]
        size = {"x": round(x1, 1), "y": round(y1, 1), "width": round(x2 - x1, 1), "height": round(y2 - y1, 1)}
        boxes.append({**size, "name": name, "is_trained": bool(part.trained[row])})
    height, width = table.sizes[place].tolist()
    jpeg = base64.b64encode(encoded.getvalue()).decode()
    return {"name": table.file_names[place], "width": width, "height": height, "boxes": boxes, "jpeg": jpeg}
