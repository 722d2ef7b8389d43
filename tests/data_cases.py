"""Data as people have them, drawn: what is odd in each, and what is right to say of it. `docs/data.md` shows the first
of each kind; `python tests/data_cases.py` prints that part of the page.

A case is written into the working folder as `train.json`, and where it has validation data `val.json`, with pictures
in `photos`.
"""

import json
import os
import pathlib
import random
import tempfile
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import encoded
import numpy as np
from PIL import Image

SIZE = (160, 120)  # width, height
BOXES = ((10, 20, 40, 30), (70, 50, 36, 44))
ONE = ({"id": 1, "name": "part"},)
PAGE = pathlib.Path(__file__).parent.parent / "docs" / "data.md"


class Case(NamedTuple):
    """One set of data.

    Attributes:
        kind: what it is an example of.
        words: what is odd about it.
        write: writes it into the working folder.
        findings: the counts and totals that are to be told, by kind.
        trained: boxes that are trained on, and all of them; None if the file is refused.
        error: a part of the line that refuses it.
    """

    kind: str
    words: str
    write: Callable[[], None]
    findings: dict[str, tuple[int, int]]
    trained: tuple[int, int] | None
    error: str = ""


def picture(number: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """A flat picture, of another colour for every number."""
    return Image.new("RGB", size, (40 + number, 90, 200 - number))


def save(name: str, data: bytes) -> None:
    """Writes a picture file."""
    path = os.path.join("photos", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    pathlib.Path(path).write_bytes(data)


def content(
    pictures: Sequence[str | tuple[str, tuple[int, int]]], boxes: Sequence = BOXES, categories: Sequence[dict] = ONE
) -> dict:
    """COCO JSON that has the same boxes in each picture; classes take turns."""
    named = [one if isinstance(one, tuple) else (one, SIZE) for one in pictures]
    ids = [category["id"] for category in categories]
    return {
        "images": [
            {"id": number, "file_name": name, "width": size[0], "height": size[1]}
            for number, (name, size) in enumerate(named, start=1)
        ],
        "annotations": [
            {
                "id": place + 1,
                "image_id": 1 + place // len(boxes),
                "category_id": ids[place % len(ids)],
                "bbox": list(box),
            }
            for place, box in enumerate(list(boxes) * len(named))
        ],
        "categories": [dict(category) for category in categories],
    }


def drawn(count: int = 4, boxes: Sequence = BOXES, categories: Sequence[dict] = ONE, size=SIZE, start: int = 0) -> dict:
    """The same with its pictures."""
    names = [f"{number}.png" for number in range(start, start + count)]
    for number, name in enumerate(names, start=start):
        save(name, encoded.encode(picture(number, size), "PNG", compress_level=1))
    return content([(name, size) for name in names], boxes, categories)


def put(data: dict, name: str = "train.json") -> None:
    """Writes the annotations."""
    pathlib.Path(name).write_text(json.dumps(data))


def changed(change: Callable[[int, dict], dict]) -> Callable[[], None]:
    """Writes a set in which every annotation has other values."""

    def write():
        data = drawn()
        rows = enumerate(data["annotations"])
        put(data | {"annotations": [row | change(place, row) for place, row in rows]})

    return write


# Which way up


def exif(orientation: int, declared: tuple[int, int]) -> Callable[[], None]:
    def write():
        for number in range(4):
            save(f"{number}.jpg", encoded.turned(picture(number), orientation, "JPEG"))
        put(content([(f"{number}.jpg", declared) for number in range(4)]))

    return write


# Categories


def categories(*rows: dict) -> Callable[[], None]:
    return lambda: put(drawn() | {"categories": list(rows)})


def root(name: str, supercategory: str = "none") -> dict:
    return {"id": 0, "name": name, "supercategory": supercategory}


def child(number: int, name: str, parent: str) -> dict:
    return {"id": number, "name": name, "supercategory": parent}


CLASSES = tuple({"id": number, "name": f"class {number}"} for number in range(1, 1204))


def many_classes(validation: Callable[[dict], list[dict]] | None = None) -> Callable[[], None]:
    def write():
        put(drawn(categories=CLASSES))
        if validation:
            data = drawn(2, categories=CLASSES, start=10)
            put(data | {"categories": validation(data)}, "val.json")

    return write


def used(data: dict) -> list[dict]:
    ids = {row["category_id"] for row in data["annotations"]}
    return [category for category in CLASSES if category["id"] in ids]


def named(*names: str) -> Callable[[], None]:
    def write():
        rows = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
        put(drawn(count=len(names), categories=rows))

    return write


# Boxes


def as_shares(places: Callable[[int], bool]) -> Callable[[int, dict], dict]:
    def change(place: int, row: dict) -> dict:
        x, y, width, height = row["bbox"]
        return {"bbox": [x / 160, y / 120, width / 160, height / 120]} if places(place) else {}

    return change


def as_corners(place: int, row: dict) -> dict:
    x, y, width, height = row["bbox"]
    return {"bbox": [x, y, x + width, y + height]}


def tiny(size: tuple[int, int], sides: Sequence[int], rows: Sequence[dict] = ONE) -> Callable[[], None]:
    rng = random.Random(0)
    boxes = [(rng.randrange(size[0] - 30), rng.randrange(size[1] - 30), side, side) for side in sides]
    return lambda: put(drawn(2, boxes, rows, size))


def shelf(columns: int, rows: int, kinds: Sequence[dict] = ONE) -> Callable[[], None]:
    boxes = [(8 + 31 * column, 8 + 31 * row, 22, 24) for row in range(rows) for column in range(columns)]
    return lambda: put(drawn(2, boxes, kinds, (640, 480)))


# Files


def files(pictures: dict[str, bytes], *, beside: Sequence[str] = (), missing: Sequence[str] = ()) -> Callable[[], None]:
    def write():
        for name, data in pictures.items():
            save(name, data)
        put(content([name for name in (*pictures, *missing) if name not in beside]))

    return write


def png(number: int = 0) -> bytes:
    return encoded.encode(picture(number), "PNG")


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8))


DEEP = encoded.encode(Image.fromarray(np.arange(120 * 160, dtype=np.uint16).reshape(120, 160) * 3), "PNG")
FRAMES = encoded.encode(picture(0), "GIF", save_all=True, append_images=[picture(5)])
LATIN = os.fsdecode(b"gr\xfcn.png")


def ids(key: Callable[[int], int]) -> Callable[[], None]:
    def write():
        data = drawn()
        for row in data["images"]:
            row["id"] = key(row["id"])
        for row in data["annotations"]:
            row["image_id"] = key(row["image_id"])
        put(data)

    return write


UPSIDE_DOWN = "Photos stored upside down, with an EXIF orientation"
REPEATED = "Categories written again for every region"
ROOT = "A root category, as Roboflow writes it"
SHARES = "Boxes as shares of the picture, or as corners"
TINY = "Objects that get too small"
SHELF = "More objects than COCO's figures look at"
IGNORE = "Boxes that are to be ignored"
FORMATS = "Formats, and damaged files"
MANY = "Very many classes"
NAMES = "Names of classes"
FILE_NAMES = "Names of files"
PALETTE = "Palettes"
LARGE_IDS = "Large ids"

CRC = [{"id": zlib.crc32(name.encode()), "name": name} for name in ("part", "bolt", "nut", "washer")]

CASES = (
    Case(UPSIDE_DOWN, "by 180 degrees", exif(3, SIZE), {"orientation": (4, 4)}, (8, 8)),
    Case(UPSIDE_DOWN, "by 90, declared upright", exif(6, (120, 160)), {"orientation": (4, 4)}, (8, 8)),
    Case(UPSIDE_DOWN, "by 270, declared as stored", exif(8, SIZE), {"orientation": (4, 4)}, (8, 8)),
    Case(REPEATED, "all alike", categories(*ONE * 8), {"repeated_category": (7, 8)}, (8, 8)),
    Case(
        REPEATED,
        "with other parents",
        categories(child(1, "part", "a"), child(1, "part", "b")),
        {"repeated_category": (1, 2)},
        (8, 8),
    ),
    Case(
        REPEATED,
        "one name under two ids",
        lambda: put(drawn(categories=(child(1, "part", "a"), child(2, "part", "b")))),
        {"joined_category": (1, 2)},
        (8, 8),
    ),
    Case(
        ROOT,
        "of another name",
        categories(root("bolts"), child(1, "nut", "bolts")),
        {"unused_category": (1, 2)},
        (8, 8),
    ),
    Case(
        ROOT, "of the same name", categories(root("nut"), child(1, "nut", "nut")), {"unused_category": (1, 2)}, (8, 8)
    ),
    Case(
        ROOT,
        "and a class without a box, which stays",
        categories(root("all"), child(1, "nut", "all"), child(2, "bolt", "all")),
        {"unused_category": (1, 3), "empty_class": (1, 2)},
        (8, 8),
    ),
    Case(
        SHARES,
        "all of them",
        changed(as_shares(lambda _: True)),
        {"shares": (8, 8), "lost_boxes": (4, 8)},
        (4, 8),
        "8 of 8 boxes have four numbers from 0 to 1",
    ),
    Case(
        SHARES,
        "in one file of two",
        changed(as_shares(lambda place: place % 4 < 2)),
        {"shares": (4, 8), "lost_boxes": (2, 8)},
        (6, 8),
    ),
    Case(SHARES, "corners", changed(as_corners), {"corners": (4, 8), "clipped": (4, 8)}, (8, 8)),
    Case(TINY, "photos", tiny((2000, 1500), (2, 2, 3, 3, 12, 30)), {"lost_boxes": (4, 12)}, (8, 12)),
    Case(TINY, "a panorama", tiny((5000, 400), (4, 4, 6, 20)), {"lost_boxes": (4, 8)}, (4, 8)),
    Case(
        TINY,
        "a class of them alone",
        tiny((2000, 1500), (2, 30), ({"id": 1, "name": "pinhole"}, {"id": 2, "name": "part"})),
        {"lost_boxes": (2, 4), "lost_class": (1, 2)},
        (2, 4),
    ),
    Case(SHELF, "a shelf", shelf(20, 15), {"many_boxes": (2, 2), "ceiling": (2, 2)}, (600, 600)),
    Case(SHELF, "just over", shelf(20, 6), {"many_boxes": (2, 2), "ceiling": (2, 2)}, (240, 240)),
    Case(SHELF, "of two classes", shelf(20, 8, CRC[:2]), {"many_boxes": (2, 2)}, (320, 320)),
    Case(
        IGNORE,
        "`ignore: 1`",
        changed(lambda place, _: {"ignore": place % 2}),
        {"ignored": (4, 8)},
        (4, 8),
    ),
    Case(
        IGNORE,
        "`difficult` among CVAT's attributes",
        changed(lambda place, _: {"attributes": {"difficult": place < 2}}),
        {"ignored": (2, 8)},
        (6, 8),
    ),
    Case(
        IGNORE,
        "all of them",
        changed(lambda *_: {"iscrowd": 1}),
        {"crowd": (8, 8), "lost_class": (1, 1)},
        (0, 8),
        "no box is left to train on",
    ),
    Case(
        FORMATS,
        "TIFF and JPEG 2000",
        files(
            {
                "a.png": png(),
                "b.tif": encoded.encode(picture(1), "TIFF"),
                "c.jp2": encoded.encode(picture(2), "JPEG2000"),
            }
        ),
        {"format": (2, 3)},
        (6, 6),
    ),
    Case(
        FORMATS,
        "16 bits, and an animation",
        files({"a.png": png(), "b.png": DEEP, "c.gif": FRAMES}),
        {"bit_depth": (1, 3), "pages": (1, 3)},
        (6, 6),
    ),
    Case(
        FORMATS,
        "a JPEG that ends too early",
        files({"a.png": png(), "b.jpg": encoded.encode(noise(), "JPEG")[:-900]}),
        {},
        None,
        "image that cannot be read (1 of 2 images, first: b.jpg, damaged",
    ),
    Case(MANY, "as LVIS has them", many_classes(), {"empty_class": (1195, 1203)}, (8, 8)),
    Case(
        MANY,
        "validation data that list their own alone",
        many_classes(used),
        {"empty_class": (1195, 1203), "one_set_class": (4, 1203), "fewer_classes": (4, 1203)},
        (8, 8),
    ),
    Case(
        MANY,
        "validation data with other names",
        many_classes(lambda data: [row | {"name": row["name"].upper()} for row in CLASSES]),
        {"empty_class": (1199, 1203)},
        (8, 8),
        "1 CLASS 1, 2 CLASS 2, 3 CLASS 3, 4 CLASS 4 and 1199 more",
    ),
    Case(NAMES, "of any language", named("安全帽", "🚧 cone", "çöp", "bus/coach", "car, parked"), {}, (10, 10)),
    Case(NAMES, "alike but for case or blanks", named("car", "Car", "car ", "bus"), {"similar_class": (2, 4)}, (8, 8)),
    Case(NAMES, "with a line break", named("car", "line\nbreak"), {}, None, r"the name 'line\nbreak' has a line break"),
    Case(
        FILE_NAMES,
        "with quotes, blanks, brackets, percent signs",
        files({'"And you?".JPG.png': png(0), "photo [1].png": png(1), "100%_a.png": png(2), "sub dir/x*.png": png(3)}),
        {},
        (8, 8),
    ),
    Case(
        FILE_NAMES,
        "not of UTF-8, of a picture that is not annotated",
        files({"a.png": png(), LATIN: png(1)}, beside=[LATIN]),
        {},
        (2, 2),
    ),
    Case(
        FILE_NAMES,
        "that are not there",
        files({"a.png": png()}, missing=["IMG.png", "line\nbreak.png"]),
        {},
        None,
        "image missing in photos (2 of 3 images, first: IMG.png)",
    ),
    Case(PALETTE, "BMP", files({"a.bmp": encoded.encode(picture(0).convert("P"), "BMP")}), {}, (2, 2)),
    Case(PALETTE, "BMP of two colours", files({"a.bmp": encoded.encode(noise().convert("1"), "BMP")}), {}, (2, 2)),
    Case(PALETTE, "PNG", files({"a.png": encoded.encode(noise().convert("P"), "PNG")}), {}, (2, 2)),
    Case(LARGE_IDS, "of classes, by CRC-32", lambda: put(drawn(categories=CRC)), {}, (8, 8)),
    Case(LARGE_IDS, "of pictures, to 2^53", ids(lambda number: 2**53 - number), {}, (8, 8)),
    Case(LARGE_IDS, "of pictures, beyond", ids(lambda number: 2**53 + number), {}, None, "beyond 2^53"),
)


def report():
    """The report on the case in the working folder, as `custom` would train on it."""
    from fsaf_tf.config import experiment
    from fsaf_tf.run import data_report

    task = experiment.load("custom", [], "").task
    task.train_data.override({"annotation_file": "train.json", "image_dir": "photos"})
    if os.path.exists("val.json"):
        task.validation_data.override({"annotation_file": "val.json", "image_dir": "photos"})
    return data_report.check(task)


def shown(case: Case) -> str:
    """The case and its report as the page has them; of the file in the working folder."""
    told = report()
    lines = [*told.lines(), *([f"error: {told.error}"] if told.error else [])]
    return "\n".join([f"**{case.kind}**: {case.words}.", "", "```", *lines, "```", ""])


def first_of_each_kind() -> list[Case]:
    """The cases that the page shows."""
    return list({case.kind: case for case in reversed(CASES)}.values())[::-1]


if __name__ == "__main__":
    for one in first_of_each_kind():
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            one.write()
            print(shown(one))
