"""A plain COCO JSON file, and what changes it."""

import json
from collections.abc import Callable

import scene

Makers = dict[str, Callable[[], dict | bytes]]


def coco(first_class: int = 1) -> dict:
    """A plain file; ids of categories start at `first_class`, the other ones at 1."""
    names = list(scene.PICTURES)
    images = [
        {"id": 1 + place, "file_name": name, "width": width, "height": height}
        for place, (name, (width, height)) in enumerate(scene.PICTURES.items())
    ]
    annotations = [
        {
            "id": 1 + place,
            "image_id": 1 + names.index(name),
            "category_id": first_class + scene.CLASSES.index(label),
            "bbox": list(box),
            "area": box[2] * box[3],
            "segmentation": [],
            "iscrowd": 0,
        }
        for place, (name, label, box) in enumerate(scene.BOXES)
    ]
    categories = [
        {"id": first_class + place, "name": name, "supercategory": ""} for place, name in enumerate(scene.CLASSES)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def changing(makers: Makers, path: str, first_class: int = 1):
    """Registers a function for a path: it changes a plain file in place, or returns what is to stand in its place."""

    def register(change):
        def make():
            content = coco(first_class)
            return change(content) or content

        makers[path] = make
        return change

    return register


def put_names(content: dict, pattern: str) -> None:
    """Puts each file name into a pattern."""
    for image in content["images"]:
        image["file_name"] = pattern.format(image["file_name"])


def put_boxes(content: dict, change) -> None:
    """Replaces each bbox."""
    for item in content["annotations"]:
        item["bbox"] = change(item["bbox"])


def files(makers: Makers) -> dict[str, bytes]:
    """Contents by path."""
    contents = {path: make() for path, make in makers.items()}
    return {path: item if isinstance(item, bytes) else json.dumps(item).encode() for path, item in contents.items()}
