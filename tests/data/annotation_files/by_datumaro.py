"""Datumaro's exporters of COCO, and its own JSON."""

import pathlib
import shutil

import numpy as np
import scene


def datumaro(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    from datumaro.components.annotation import AnnotationType, LabelCategories, PointsCategories
    from datumaro.components.dataset import Dataset
    from datumaro.components.dataset_base import DatasetItem
    from datumaro.components.media import Image

    labels = LabelCategories.from_iterable([("fastener", ""), ("nut", "fastener"), ("bolt", "fastener")])
    points = PointsCategories()
    for label in (1, 2):
        points.add(label, ["left", "right"], {(0, 1)})
    for variant, (make, exporter, options) in _variants().items():
        items = [
            DatasetItem(
                id=pathlib.Path(name).stem,
                subset="train",
                media=Image.from_file(path=str(images / name), size=(height, width)),
                annotations=_annotations(name, make),
            )
            for name, (width, height) in scene.PICTURES.items()
        ]
        kinds = {AnnotationType.label: labels, AnnotationType.points: points}
        folder = work / variant
        Dataset.from_iterable(items, categories=kinds).export(str(folder), exporter, **options)
        [file] = (folder / "annotations").glob("*.json")
        shutil.copy(file, out / f"{variant}.json")


def _variants() -> dict:
    return {
        "instances": (_boxes, "coco_instances", {}),
        "renumbered": (_boxes, "coco_instances", {"reindex": True, "allow_attributes": False}),
        "polygons": (_polygons, "coco_instances", {"segmentation_mode": "polygons"}),
        "masks": (_masks, "coco_instances", {"segmentation_mode": "mask"}),
        "keypoints": (_keypoints, "coco_person_keypoints", {}),
        "stuff": (_masks, "coco_stuff", {}),
        "panoptic": (_masks, "coco_panoptic", {"save_media": True}),
        "captions": (_captions, "coco_captions", {}),
        "image_info": (_boxes, "coco_image_info", {}),
        "labels": (_labels, "coco_labels", {}),
        "own": (_boxes, "datumaro", {}),
    }


def _annotations(picture: str, make) -> list:
    rows = [
        (number, name, 1 + scene.CLASSES.index(label), box) for number, (name, label, box) in enumerate(scene.BOXES, 1)
    ]
    return [annotation for row in rows if row[1] == picture for annotation in make(*row)]


def _boxes(number, name, label, box):
    from datumaro.components.annotation import Bbox

    attributes = {"occluded": number == 1, "rotation": 0.0, "track_id": number, "is_crowd": False}
    return [Bbox(*box, label=label, id=number, group=number, attributes=attributes, z_order=1)]


def _polygons(number, name, label, box):
    from datumaro.components.annotation import Polygon

    return [Polygon(scene.polygon(box), label=label, id=number, group=number)]


def _masks(number, name, label, box):
    from datumaro.components.annotation import Mask

    mask = np.zeros(scene.PICTURES[name][::-1], bool)
    left, top, right, bottom = map(int, scene.corners(box))
    mask[top:bottom, left:right] = True
    return [Mask(mask, label=label, id=number, group=number, attributes={"is_crowd": number == 3})]


def _keypoints(number, name, label, box):
    from datumaro.components.annotation import Points

    points = Points(list(scene.corners(box)), [2, 1], label=label, id=number, group=number)
    return [points, *_boxes(number, name, label, box)]


def _captions(number, name, label, box):
    from datumaro.components.annotation import Caption

    return [Caption(f"a {scene.CLASSES[label - 1]}", id=number)]


def _labels(number, name, label, box):
    from datumaro.components.annotation import Label

    return [Label(label, id=number, group=number)]
