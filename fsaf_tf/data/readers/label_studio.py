"""Label Studio: its JSON, and JSON-MIN.

Boxes are in hundredths of the picture; a turned one is turned about its upper left corner. Annotations that were
cancelled, and predictions, are not read.
"""

import math
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any
from urllib import parse

from fsaf_tf.data.findings import counted, short
from fsaf_tf.data.mistakes import Mistake
from fsaf_tf.data.readers import content
from fsaf_tf.data.readers.content import Content, Entries
from fsaf_tf.data.readers.pictures import ENDINGS
from fsaf_tf.data.readers.request import Request

NAME = "Label Studio"
_LABELS = ("rectanglelabels", "polygonlabels", "ellipselabels", "labels")
_OTHERS = ("keypointlabels", "brushlabels", "brush", "keypoint", "vectorlabels", "bitmask", "bitmasklabels")
_IMAGES = ("image", "img", "picture", "photo", "url")


def is_one(given: Any) -> bool:
    """Whether JSON is Label Studio's."""
    if not (isinstance(given, list) and given and isinstance(given[0], dict)):
        return False
    keys = set(given[0])
    return {"annotation_id", "annotator"} <= keys or "data" in keys and bool({"annotations", "completions"} & keys)


def read(request: Request, given: list) -> Content:
    """Reads a file.

    Raises:
        UserError: what is wrong, with the task and the number of the region.
    """
    entries, file, several = Entries(request.file), posixpath.basename(request.file), set()
    is_short = isinstance(given[0], dict) and "data" not in given[0]
    ids: dict[str, int] = {}
    for place, task in enumerate(given, 1):
        with entries.attempt():
            number = task.get("id", place) if isinstance(task, dict) else place
            where = f"{file}, task {number}"
            name, results = (_of_short if is_short else _of_task)(task, where)
            regions = [region for result in results for region in _joined(result)]
            if name in ids:
                several.add(name)
            else:
                size = _size(regions, where) or request.pictures.needed_size(name, where)
                ids[name] = entries.image(name, size, where)
            several |= {name} if len(results) > 1 else set()
            _add(entries, ids[name], regions, where)
    for name in sorted(several):
        entries.tally.add("annotators", name)
    words = f"{NAME}{' (JSON-MIN)' * is_short}"
    return entries.content(f"{words}, {counted(len(given), 'task', 'tasks')}")


def _add(entries: Entries, image_id: int, regions: list[dict], where: str) -> None:
    for place, region in enumerate(regions, 1):
        with entries.attempt():
            kind, here = str(region.get("type")), f"{where}, region {place}"
            if kind in _OTHERS or any(key in region for key in _OTHERS):
                entries.leave_out("other_shapes", f"{here}: {kind if kind in _OTHERS else 'a brush or a point'}")
            elif any(key in region for key in _LABELS):
                box, is_turned = _box(region, here)
                entries.box(image_id, _label(region, here), box, here)
                if is_turned:
                    entries.tally.add("rotated", here)


def _of_task(task: Any, where: str) -> tuple[str, list[list[dict]]]:
    """The picture of a task, and the results of its annotations."""
    data = task.get("data") if isinstance(task, dict) else None
    if not isinstance(data, dict):
        raise Mistake("a task without `data`", where)
    given = task.get("annotations", task.get("completions")) or []
    if not isinstance(given, list) or not all(isinstance(annotation, dict) for annotation in given):
        raise Mistake("`annotations` of a task is no list of objects", where)
    results = [annotation.get("result") or [] for annotation in given if not annotation.get("was_cancelled")]
    if not all(isinstance(result, list) and all(isinstance(item, dict) for item in result) for result in results):
        raise Mistake("`result` is no list of objects", where)
    return _picture(data, where), results


def _of_short(task: Any, where: str) -> tuple[str, list[list[dict]]]:
    """Likewise of JSON-MIN, in which regions stand beside the picture."""
    if not isinstance(task, dict):
        raise Mistake("a task that is no object", where)
    lists = [value for value in task.values() if isinstance(value, list)]
    regions = [item for value in lists for item in value if isinstance(item, dict) and "original_width" in item]
    return _picture(task, where), [regions]


def _picture(data: Mapping[str, Any], where: str) -> str:
    """The name of a picture: of an address or a path of the server's, what stands for the file in it."""
    words = {key: value for key, value in data.items() if isinstance(value, str)}
    named = [words[key] for key in _IMAGES if key in words]
    like = [value for value in words.values() if _file(value).lower().endswith(ENDINGS)]
    given = next((value for value in (*named, *like) if _file(value)), None)
    if given is None:
        raise Mistake("a task without a picture", f"{where}: {short(dict(data))}")
    return _file(given)


def _file(address: str) -> str:
    """`photos/a.png` of `/data/local-files/?d=photos/a.png`, `a.png` of `s3://bucket/a.png`."""
    parts = parse.urlsplit(address.replace("\\", "/"))
    path = parse.parse_qs(parts.query).get("d", [parse.unquote(parts.path)])[0]
    return path.lstrip("/")


def _joined(result: list[dict]) -> Iterator[dict]:
    """Regions with shape and label in one: results with one id may have the shape and the label apart."""
    of_id: dict[str, dict] = {}
    for place, item in enumerate(result):
        value = item.get("value") if isinstance(item.get("value"), dict) else {}
        flat = {**item, **value}
        before = of_id.setdefault(str(item.get("id", ("at", place))), {})
        before |= flat if flat.get("type") != "labels" or not before else {"labels": flat.get("labels")}
    return iter(of_id.values())


def _size(regions: list[dict], where: str) -> tuple[int, int] | None:
    """Height and width of the picture, which each region has."""
    sized = [region for region in regions if "original_width" in region]
    return content.size(sized[0].get("original_height"), sized[0]["original_width"], where) if sized else None


def _label(region: dict, where: str) -> Any:
    labels = next(region[key] for key in _LABELS if key in region)
    if isinstance(labels, list) and len(labels) > 1:
        raise Mistake("a region of several classes", f"{where}: {short(labels)}")
    return labels[0] if isinstance(labels, list) and labels else None


def _box(region: dict, where: str) -> tuple[dict, bool]:
    """The box of a region in COCO's form, and whether it was turned. Raises `Mistake`."""
    size = content.size(region.get("original_height"), region.get("original_width"), where)
    if size is None:
        raise Mistake("a region without `original_width` and `original_height`", where)
    height, width = (side / 100 for side in size)
    if "points" in region:
        points = region["points"] if isinstance(region["points"], list) else []
        if len(points) < 3 or not all(isinstance(point, list) and len(point) == 2 for point in points):
            raise Mistake("a polygon without three or more points", where)
        pairs = [content.numbers({"x": x, "y": y}, where) for x, y in points]
        return {"segmentation": [[value for x, y in pairs for value in (x * width, y * height)]]}, False
    [degrees] = content.numbers({"rotation": region.get("rotation") or 0}, where)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    if "radiusX" in region:
        names = ("x", "y", "radiusX", "radiusY")
        x, y, a, b = (value * side for value, side in zip(_values(region, names, where), (width, height) * 2))
        right, down = math.hypot(a * cos, b * sin), math.hypot(a * sin, b * cos)
        return {"bbox": [x - right, y - down, 2 * right, 2 * down]}, False
    names = ("x", "y", "width", "height")
    x, y, w, h = (value * side for value, side in zip(_values(region, names, where), (width, height) * 2))
    corners = [(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in ((0, 0), (w, 0), (w, h), (0, h))]
    is_turned = degrees % 360 != 0
    return {"bbox": content.around(corners) if is_turned else [x, y, w, h]}, is_turned


def _values(region: dict, names: tuple[str, ...], where: str) -> list[float]:
    return content.numbers({name: region.get(name) for name in names}, where)
