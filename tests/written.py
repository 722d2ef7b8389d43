"""Annotations that are written in the forms of other tools: a small set with all that forms differ in, real ones, and
what people read each form with."""

import csv
import json
import pathlib
from collections.abc import Callable

import globox
import numpy as np
import pandas
from PIL import Image
from pycocotools.coco import COCO

CLASSES = {3: "nut", 7: "bolt, small", 9: "安全帽", 12: "no box"}
SIZES = {"a.png": (48, 64), "deep er/b.png": (96, 40), "ü c.png": (50, 50), "empty.png": (32, 32)}
# Picture, class, box x, y, w, h, and what else stands in the annotation.
BOXES = (
    ("a.png", 3, (5, 6, 20, 30), {}),
    ("a.png", 7, (0.5, 1.25, 10.125, 8), {}),
    ("a.png", 7, (40, 30, 30, 10), {}),  # over the border
    ("deep er/b.png", 9, (1, 2, 30, 80), {"area": 1000}),  # of a mask
    ("deep er/b.png", 3, (2, 2, 8, 8), {"iscrowd": 1}),
    ("ü c.png", 9, (10, 10, 30, 30), {"ignore": 1}),
    ("ü c.png", 3, (1 / 3, 2 / 3, 12, 13), {}),
)


def write(folder: pathlib.Path) -> tuple[str, str]:
    """Writes the small set: its annotation file and its folder."""
    images = []
    for number, (name, (height, width)) in enumerate(SIZES.items(), start=11):
        path = folder / "photos of 2026" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, height), (number, 0, 0)).save(path)
        images.append({"id": number, "file_name": name, "height": height, "width": width})
    ids = {image["file_name"]: image["id"] for image in images}
    annotations = [
        {"id": place, "image_id": ids[name], "category_id": label, "bbox": box, **more}
        for place, (name, label, box, more) in enumerate(BOXES)
    ]
    categories = [{"id": number, "name": name} for number, name in CLASSES.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations ü.json").write_text(json.dumps(content), encoding="utf-8")
    return str(folder / "annotations ü.json"), str(folder / "photos of 2026")


# What was read: by the name of a picture its boxes `(class, x1, y1, x2, y2)`, in their order.
Read = dict[str, list[tuple]]


def _of_globox(found: globox.AnnotationSet) -> Read:
    return {each.image_id: [(b.label, b.xmin, b.ymin, b.xmax, b.ymax) for b in each.boxes] for each in found}


def _coco(output: pathlib.Path, images: str) -> Read:
    found = COCO(str(output / "annotations.json"))
    names = {row["id"]: row["name"] for row in found.loadCats(found.getCatIds())}
    boxes = {}
    for image in found.loadImgs(found.getImgIds()):
        rows = found.loadAnns(found.getAnnIds(imgIds=[image["id"]]))
        corners = [(row["category_id"], *row["bbox"]) for row in rows]
        boxes[image["file_name"]] = [(names[label], x, y, x + w, y + h) for label, x, y, w, h in corners]
    return boxes


def _yolo(output: pathlib.Path, images: str) -> Read:
    """globox reads one ending at a time, and knows pictures by their last name."""
    names = json.loads((output / "data.yaml").read_text(encoding="utf-8").split("names: ")[1])
    pictures = [path for path in (output / "images").rglob("*") if path.is_file()]
    path_of = {path.name: path.relative_to(output / "images").as_posix() for path in pictures}
    found = globox.AnnotationSet.from_yolo_darknet(
        output / "labels", image_folder=output / "images", image_extension=pictures[0].suffix, recursive=True
    )
    read = _of_globox(found)
    return {path_of[name]: [(names[int(row[0])], *row[1:]) for row in rows] for name, rows in read.items()}


def _labelme(output: pathlib.Path, images: str) -> Read:
    read = _of_globox(globox.AnnotationSet.from_labelme(output, recursive=True))
    files = list(output.rglob("*.json"))
    named = {json.loads(path.read_text(encoding="utf-8"))["imagePath"]: path for path in files}
    there = {name: (named[name].parent / name).resolve() for name in read}
    folder = pathlib.Path(images).resolve()
    return {there[name].relative_to(folder).as_posix(): rows for name, rows in read.items()}


def _csv(output: pathlib.Path, images: str) -> Read:
    rows = pandas.read_csv(output / "annotations.csv", keep_default_na=False)
    boxes = {name: [] for name in rows["filename"]}
    for row in rows[rows["class"] != ""].itertuples():
        boxes[row.filename].append((row[4], *map(float, (row.xmin, row.ymin, row.xmax, row.ymax))))
    return boxes


def _label_studio(output: pathlib.Path, images: str) -> Read:
    """By the words of its documentation: nothing that is kept well reads it."""
    boxes = {}
    for task in json.loads((output / "annotations.json").read_text(encoding="utf-8")):
        rows = boxes.setdefault(task["data"]["image"], [])
        for result in task["annotations"][0]["result"]:
            value, sides = result["value"], np.array([result["original_width"], result["original_height"]]) / 100
            x, y = (value["x"], value["y"]) * sides
            width, height = (value["width"], value["height"]) * sides
            rows.append((value["rectanglelabels"][0], x, y, x + width, y + height))
    return boxes


def _via(output: pathlib.Path, images: str) -> Read:
    file = output / "annotations.json"
    return _of_globox(globox.AnnotationSet.from_via_json(file, image_folder=images, label_key="class"))


READERS: dict[str, Callable[[pathlib.Path, str], Read]] = {
    "coco": _coco,
    "voc": lambda output, images: _of_globox(
        globox.AnnotationSet.from_pascal_voc(output / "Annotations", recursive=True)
    ),
    "yolo": _yolo,
    "labelme": _labelme,
    "csv": _csv,
    "cvat": lambda output, images: _of_globox(globox.AnnotationSet.from_cvat(output / "annotations.xml")),
    "via": _via,
    "label_studio": _label_studio,
    "openimages": lambda output, images: _of_globox(
        globox.AnnotationSet.from_openimage(output / "annotations.csv", image_folder=images)
    ),
}


def columns(file: pathlib.Path) -> list[str]:
    """The first row of a CSV."""
    with open(file, newline="", encoding="utf-8") as stream:
        return next(csv.reader(stream))
