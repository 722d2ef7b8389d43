"""The regions of VIA: the box around a shape, and the attribute that is the class.

That is the attribute that regions have alone, or the first of `_CLASSES`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fsaf_tf.data.findings import listed, short
from fsaf_tf.data.mistakes import Mistake
from fsaf_tf.data.readers import content
from fsaf_tf.errors import UserError

_CLASSES = ("class", "label", "name", "type", "category", "class_name", "label_id", "object", "object_name")


class Region(NamedTuple):
    """A shape `{"name": "rect", "x": 10, ...}`, its attributes, and where it is."""

    shape: Mapping[str, Any]
    attributes: Mapping[str, Any]
    where: str


def class_of(file: str, regions: Sequence[Region]) -> str:
    """The attribute that is the class."""
    keys = {key for region in regions for key in region.attributes}
    if len(keys) < 2:
        return next(iter(keys), "")
    lower = {key.lower(): key for key in sorted(keys)}
    named = next((lower[word] for word in _CLASSES if word in lower), None)
    if named is None:
        raise UserError(
            f"{file}: regions have the attributes {listed(sorted(keys))}, and none is called class or label: rename the"
            " one that is the class"
        )
    return named


def name_of(region: Region, key: str) -> Any:
    """The name of a region's class; of a checkbox the one that is set."""
    value = region.attributes.get(key)
    if isinstance(value, dict):
        chosen = [name for name, is_set in value.items() if is_set]
        if len(chosen) > 1:
            raise Mistake("a region of several classes", f"{region.where}: {listed(chosen)}")
        value = chosen[0] if chosen else None
    return value


def box_of(region: Region) -> dict:
    """The box of a shape in COCO's form. Raises `Mistake`."""
    shape, where = region.shape, region.where
    kind = shape.get("name")
    if kind == "rect":
        return {"bbox": content.numbers({key: shape.get(key) for key in ("x", "y", "width", "height")}, where)}
    if kind == "circle":
        x, y, width = content.numbers({key: shape.get(key) for key in ("cx", "cy", "r")}, where)
        height = width
    elif kind == "ellipse":
        x, y, a, b = content.numbers({key: shape.get(key) for key in ("cx", "cy", "rx", "ry")}, where)
        [angle] = content.numbers({"theta": shape.get("theta") or 0}, where)
        cos, sin = math.cos(angle), math.sin(angle)
        width, height = math.hypot(a * cos, b * sin), math.hypot(a * sin, b * cos)
    elif kind == "polygon":
        xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
        if not isinstance(xs, list) or not isinstance(ys, list) or not len(xs) == len(ys) > 2:
            raise Mistake("a polygon without three or more points", where)
        points = [content.numbers({"x": x, "y": y}, where) for x, y in zip(xs, ys)]
        return {"segmentation": [[value for point in points for value in point]]}
    else:
        raise Mistake("a shape that is not known", f"{where}: {short(repr(kind))}")
    left, top, right, bottom = x - width, y - height, x + width, y + height
    return {"segmentation": [[left, top, right, top, right, bottom, left, bottom]]}
