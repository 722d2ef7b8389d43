"""COCO's lists written in each form by a few lines each, to be read back."""

import csv
import json
import pathlib
from collections.abc import Callable

import numpy as np


def _rows(coco: dict) -> list[tuple[dict, list[tuple[str, tuple]]]]:
    """Each image with names and corners x1, y1, x2, y2 of its boxes."""
    names = {category["id"]: category["name"] for category in coco["categories"]}
    boxes = {image["id"]: [] for image in coco["images"]}
    for annotation in coco["annotations"]:
        x, y, w, h = annotation["bbox"]
        boxes[annotation["image_id"]].append((names[annotation["category_id"]], (x, y, x + w, y + h)))
    return [(image, boxes[image["id"]]) for image in coco["images"]]


def _write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def voc(coco: dict, folder: pathlib.Path) -> pathlib.Path:
    for image, boxes in _rows(coco):
        size = f"<size><width>{image['width']}</width><height>{image['height']}</height></size>"
        objects = "".join(
            f"<object><name>{name}</name><bndbox>"
            + "".join(f"<{side}>{value!r}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), corners))
            + "</bndbox></object>\n"
            for name, corners in boxes
        )
        text = f"<annotation><filename>{image['file_name']}</filename>{size}\n{objects}</annotation>"
        _write(folder / pathlib.Path(image["file_name"]).with_suffix(".xml"), text)
    return folder


def yolo(coco: dict, folder: pathlib.Path) -> pathlib.Path:
    names = [category["name"] for category in coco["categories"]]
    for image, boxes in _rows(coco):
        lines = []
        for name, (x1, y1, x2, y2) in boxes:
            shares = (x1 + x2) / 2 / image["width"], (y1 + y2) / 2 / image["height"]
            shares += (x2 - x1) / image["width"], (y2 - y1) / image["height"]
            lines.append(" ".join([str(names.index(name)), *(f"{share:.6f}" for share in shares)]))
        _write(folder / pathlib.Path(image["file_name"]).with_suffix(".txt"), "\n".join(lines))
    _write(folder / "classes.txt", "\n".join(names))
    return folder


def labelme(coco: dict, folder: pathlib.Path) -> pathlib.Path:
    for image, boxes in _rows(coco):
        shapes = [
            {"label": name, "points": [[x1, y1], [x2, y2]], "shape_type": "rectangle", "group_id": None}
            for name, (x1, y1, x2, y2) in boxes
        ]
        content = {"shapes": shapes, "imagePath": image["file_name"], "imageData": None}
        content |= {"imageHeight": image["height"], "imageWidth": image["width"]}
        _write(folder / pathlib.Path(image["file_name"]).with_suffix(".json"), json.dumps(content))
    return folder


def cvat(coco: dict, folder: pathlib.Path) -> pathlib.Path:
    lines = ["<annotations>"]
    for image, boxes in _rows(coco):
        lines.append(f'<image name="{image["file_name"]}" width="{image["width"]}" height="{image["height"]}">')
        for name, corners in boxes:
            sides = " ".join(f'{side}="{value!r}"' for side, value in zip(("xtl", "ytl", "xbr", "ybr"), corners))
            lines.append(f'<box label="{name}" {sides}/>')
        lines.append("</image>")
    _write(folder / "parts.xml", "\n".join([*lines, "</annotations>"]))
    return folder / "parts.xml"


def _table(path: pathlib.Path, header: list[str], rows: list[list]) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows] if header else rows)
    return path


def tensorflow_csv(coco: dict, folder: pathlib.Path) -> pathlib.Path:
    header = ["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]
    rows = [
        [image["file_name"], image["width"], image["height"], name, *corners]
        for image, boxes in _rows(coco)
        for name, corners in boxes
    ]
    return _table(folder / "parts.csv", header, rows)


def retinanet_csv(coco: dict, folder: pathlib.Path) -> pathlib.Path:
    rows = [[image["file_name"], *corners, name] for image, boxes in _rows(coco) for name, corners in boxes]
    return _table(folder / "parts.csv", [], rows)


def automl_csv(coco: dict, folder: pathlib.Path) -> pathlib.Path:
    rows = []
    for image, boxes in _rows(coco):
        for name, corners in boxes:
            x1, y1, x2, y2 = np.array(corners) / np.tile([image["width"], image["height"]], 2)
            rows.append(["TRAIN", f"gs://bucket/{image['file_name']}", name, x1, y1, "", "", x2, y2, "", ""])
    return _table(folder / "parts.csv", [], rows)


def open_images(coco: dict, folder: pathlib.Path) -> pathlib.Path:
    header = ["ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax", "IsGroupOf"]
    rows = []
    for image, boxes in _rows(coco):
        for name, corners in boxes:
            x1, y1, x2, y2 = np.array(corners) / np.tile([image["width"], image["height"]], 2)
            rows.append([pathlib.Path(image["file_name"]).stem, "xclick", name, 1, x1, x2, y1, y2, 0])
    return _table(folder / "parts.csv", header, rows)


def via(coco: dict, folder: pathlib.Path) -> pathlib.Path:
    files = {}
    for image, boxes in _rows(coco):
        regions = []
        for name, (x1, y1, x2, y2) in boxes:
            shape = {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
            regions.append({"shape_attributes": shape, "region_attributes": {"class": name}})
        files[image["file_name"]] = {"filename": image["file_name"], "size": 1, "regions": regions}
    _write(folder / "parts.json", json.dumps({"_via_img_metadata": files}))
    return folder / "parts.json"


def label_studio(coco: dict, folder: pathlib.Path) -> pathlib.Path:
    tasks = []
    for image, boxes in _rows(coco):
        result = []
        for name, corners in boxes:
            x1, y1, x2, y2 = 100 * np.array(corners) / np.tile([image["width"], image["height"]], 2)
            value = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "rectanglelabels": [name]}
            size = {"original_width": image["width"], "original_height": image["height"]}
            result.append({"type": "rectanglelabels", "value": value, **size})
        data = {"image": f"/data/upload/1/{image['file_name']}"}
        tasks.append({"id": image["id"], "data": data, "annotations": [{"result": result}]})
    _write(folder / "parts.json", json.dumps(tasks))
    return folder / "parts.json"


# How far a side may be off in pixels after it was written and read: YOLO's six digits of 640 pixels.
WRITERS: dict[str, tuple[Callable[[dict, pathlib.Path], pathlib.Path], float]] = {
    "voc": (voc, 1e-9),
    "yolo": (yolo, 1e-3),
    "labelme": (labelme, 1e-9),
    "cvat": (cvat, 1e-9),
    "tensorflow_csv": (tensorflow_csv, 1e-9),
    "retinanet_csv": (retinanet_csv, 1e-9),
    "automl_csv": (automl_csv, 1e-9),
    "open_images": (open_images, 1e-9),
    "via": (via, 1e-9),
    "label_studio": (label_studio, 1e-9),
}
