"""Label Studio's exports: COCO of rectangles (one turned), of polygons, of two annotators, of brushes; its own JSON."""

import json
import pathlib
import shutil

import numpy as np
import scene


def label_studio(images: pathlib.Path, work: pathlib.Path, out: pathlib.Path) -> None:
    from label_studio_sdk.converter import Converter

    def convert(variant: str, tag: str, rows: list, written: str, to: str, **options) -> None:
        labels = "".join(f'<Label value="{name}"/>' for name in scene.CLASSES)
        view = f'<View><Image name="image" value="$image"/><{tag} name="label" toName="image">{labels}</{tag}></View>'
        source = work / f"{variant}.json"
        source.write_text(json.dumps(rows))
        converter = Converter(config=view, project_dir=str(work), download_resources=False)
        converter.convert(str(source), str(work / variant), to, is_dir=False, **options)
        shutil.copy(work / variant / written, out / f"{variant}.json")

    rectangles, polygons = _tasks(_rectangle, "rectanglelabels"), _tasks(_polygon, "polygonlabels")
    convert("rectangles", "RectangleLabels", rectangles, "result.json", "COCO")
    convert("polygons", "PolygonLabels", polygons, "result.json", "COCO")
    convert("annotators", "RectangleLabels", _tasks(_rectangle, "rectanglelabels", 2), "result.json", "COCO")
    convert("brushes", "BrushLabels", _tasks(_brush, "brushlabels"), "result_coco.json", "BRUSH_TO_COCO")
    convert("own", "RectangleLabels", rectangles, "result.json", "JSON")
    convert("own_min", "RectangleLabels", rectangles, "result.json", "JSON_MIN")


def _tasks(make, kind: str, annotators: int = 1) -> list:
    """A project's tasks, the last one without a box."""
    tasks = []
    for number, (name, (width, height)) in enumerate(scene.PICTURES.items(), 1):
        about = {"from_name": "label", "to_name": "image", "type": kind, "image_rotation": 0}
        results = [
            {
                "id": f"r{place}",
                "original_width": width,
                "original_height": height,
                "value": {kind: [label], **make(box, width, height)},
                **about,
            }
            for place, (label, box) in enumerate(scene.boxes_of(name))
        ]
        annotations = [
            {"id": 10 * number + person, "result": results, "was_cancelled": False, "completed_by": person}
            for person in range(annotators)
        ]
        data = {"image": f"/data/upload/1/0c2f-{name}"}
        tasks.append({"id": number, "data": data, "annotations": annotations, "predictions": []})
    return tasks


def _rectangle(box, width, height) -> dict:
    """In hundredths of the picture; the square one is turned."""
    shares = [100 * value / side for value, side in zip(box, (width, height, width, height))]
    return {**dict(zip(("x", "y", "width", "height"), shares)), "rotation": 30 if box[2] == box[3] else 0}


def _polygon(box, width, height) -> dict:
    flat = scene.polygon(box)
    return {"points": [[100 * x / width, 100 * y / height] for x, y in zip(flat[::2], flat[1::2])]}


def _brush(box, width, height) -> dict:
    from label_studio_sdk.converter import brush

    mask = np.zeros((height, width), np.uint8)
    left, top, right, bottom = map(int, scene.corners(box))
    mask[top:bottom, left:right] = 255
    return {"format": "rle", "rle": [int(value) for value in brush.mask2rle(mask)]}
