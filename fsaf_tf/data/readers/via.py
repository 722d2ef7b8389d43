"""VIA, the VGG Image Annotator: projects and annotations of versions 1 and 2, projects of version 3.

The class is the attribute of regions that all of them have alone, or the first of `_CLASSES`. Points and lines have no
box. VIA keeps no sizes: those of the pictures are taken.
"""

import math
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fsaf_tf.data.findings import counted, listed, short
from fsaf_tf.data.mistakes import Mistake
from fsaf_tf.data.readers import content
from fsaf_tf.data.readers.content import Content, Entries
from fsaf_tf.data.readers.request import Request
from fsaf_tf.errors import UserError

NAME = "VIA"
_CLASSES = ("class", "label", "name", "type", "category", "class_name", "label_id", "object", "object_name")
_OTHERS = ("point", "line", "polyline")
# What the numbers of a shape of version 3 are, by the first of them.
_SHAPES = {
    1: ("point", ("cx", "cy")),
    2: ("rect", ("x", "y", "width", "height")),
    3: ("circle", ("cx", "cy", "r")),
    4: ("ellipse", ("cx", "cy", "rx", "ry")),
    5: ("line", ()),
    6: ("polyline", ()),
    7: ("polygon", ()),
}
_IMAGE = 2  # a file's type in version 3


class Region(NamedTuple):
    """A shape `{"name": "rect", "x": 10, ...}`, its attributes, and where it is."""

    shape: Mapping[str, Any]
    attributes: Mapping[str, Any]
    where: str


def is_one(given: Any) -> bool:
    """Whether JSON is VIA's."""
    if not isinstance(given, dict):
        return False
    first = next(iter(given.values()), None)
    return bool(
        "_via_img_metadata" in given
        or {"project", "file", "metadata", "view"} <= set(given)
        or isinstance(first, dict)
        and {"filename", "regions"} <= set(first)
    )


def read(request: Request, given: Mapping[str, Any]) -> Content:
    """Reads a file.

    Raises:
        UserError: what is wrong, with the picture and the number of the region.
    """
    entries, file = Entries(request.file), posixpath.basename(request.file)
    if "metadata" in given and "_via_img_metadata" not in given:
        words, pictures = f"{NAME} 3", _of_third(entries, given, file)
    else:
        words, pictures = NAME, _of_second(entries, given.get("_via_img_metadata", given), file)
    key = _class_of(request.file, [region for _, regions in pictures for region in regions])
    for name, regions in pictures:
        with entries.attempt():
            where = f"{file}, {name}"
            image_id = entries.image(name, request.pictures.needed_size(name, where), where)
            for region in regions:
                with entries.attempt():
                    if region.shape.get("name") in _OTHERS:
                        entries.leave_out("other_shapes", f"{region.where}: {region.shape['name']}")
                    else:
                        flags = {"attributes": dict(region.attributes)}
                        entries.box(image_id, _name(region, key), {**_box(region), **flags}, region.where)
    return entries.content(f"{words}, {counted(len(pictures), 'picture', 'pictures')}")


def _of_second(entries: Entries, files: Any, file: str) -> list[tuple[str, list[Region]]]:
    """Names and regions of the pictures of versions 1 and 2, whose regions are a list or a dict."""
    pictures = []
    for item in files.values() if isinstance(files, dict) else ():
        with entries.attempt():
            name = item.get("filename") if isinstance(item, dict) else None
            if not isinstance(name, str) or not name:
                raise Mistake("a picture without `filename`", f"{file}: {short(item)}")
            given = item.get("regions") or []
            given = list(given.values()) if isinstance(given, dict) else given
            pictures.append((name, list(_regions(given, f"{file}, {name}"))))
    return pictures


def _regions(given: Any, where: str) -> Iterator[Region]:
    if not isinstance(given, list):
        raise Mistake("`regions` is no list", where)
    for place, region in enumerate(given, 1):
        parts = (
            [region.get(key) for key in ("shape_attributes", "region_attributes")] if isinstance(region, dict) else []
        )
        if not parts or not all(isinstance(part, dict) for part in parts):
            raise Mistake("a region without `shape_attributes` and `region_attributes`", f"{where}, region {place}")
        yield Region(*parts, f"{where}, region {place}")


def _of_third(entries: Entries, given: Mapping[str, Any], file: str) -> list[tuple[str, list[Region]]]:
    """Likewise of version 3: a view is a picture, and metadata with `xy` are its regions."""
    files, known, regions = given.get("file") or {}, given.get("attribute") or {}, {}
    for key, item in (given.get("metadata") or {}).items():
        with entries.attempt():
            where = f"{file}, metadata {key}"
            if not isinstance(item, dict) or not isinstance(item.get("xy"), list):
                raise Mistake("metadata without `xy`", where)
            if item.get("z") or not item["xy"]:
                entries.leave_out("other_shapes", f"{where}: of a time or of a whole picture")
                continue
            attributes = {
                _attribute(known, aid): _option(known, aid, word) for aid, word in (item.get("av") or {}).items()
            }
            regions.setdefault(str(item.get("vid")), []).append(Region(_shape(item["xy"], where), attributes, where))
    pictures = []
    for vid, view in (given.get("view") or {}).items():
        with entries.attempt():
            fids = view.get("fid_list") if isinstance(view, dict) else None
            about = files.get(str(fids[0])) if isinstance(fids, list) and len(fids) == 1 else None
            if not isinstance(about, dict) or not isinstance(about.get("fname"), str):
                raise Mistake("a view that is not of one file", f"{file}, view {vid}")
            if about.get("type", _IMAGE) != _IMAGE:
                raise Mistake("a video or a sound, where pictures are read", f"{file}, {about['fname']}")
            pictures.append((about["fname"], regions.get(str(vid), [])))
    return pictures


def _attribute(known: Mapping[str, Any], aid: str) -> str:
    about = known.get(aid)
    return str(about.get("aname", aid)) if isinstance(about, dict) else aid


def _option(known: Mapping[str, Any], aid: str, word: Any) -> Any:
    """What an option's number stands for."""
    about = known.get(aid)
    options = about.get("options") if isinstance(about, dict) else None
    return options.get(str(word), word) if isinstance(options, dict) else word


def _shape(values: Sequence[Any], where: str) -> dict[str, Any]:
    """A shape of version 3 as one of version 2."""
    kind, *rest = values
    if kind not in _SHAPES:
        raise Mistake("a shape that is not known", f"{where}: {short(values)}")
    name, keys = _SHAPES[kind]
    if name == "polygon":
        return {"name": name, "all_points_x": rest[::2], "all_points_y": rest[1::2]}
    return {"name": name, **dict(zip(keys, rest))}


def _class_of(file: str, regions: Sequence[Region]) -> str:
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


def _name(region: Region, key: str) -> Any:
    """The name of a region's class; of a checkbox the one that is set."""
    value = region.attributes.get(key)
    if isinstance(value, dict):
        chosen = [name for name, is_set in value.items() if is_set]
        if len(chosen) > 1:
            raise Mistake("a region of several classes", f"{region.where}: {listed(chosen)}")
        value = chosen[0] if chosen else None
    return value


def _box(region: Region) -> dict:
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
