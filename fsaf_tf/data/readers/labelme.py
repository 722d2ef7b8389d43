"""labelme: a file of JSON for each picture, in a folder, or one alone.

Shapes of one label and one group are parts of one object, as labelme's own converter has it. Points and lines have no
box.
"""

import json
import math
import posixpath
from typing import Any

from fsaf_tf.data.findings import counted, found, short
from fsaf_tf.data.mistakes import Mistake
from fsaf_tf.data.readers import content, files
from fsaf_tf.data.readers.content import Content, Entries
from fsaf_tf.data.readers.pictures import Pictures, first_folder
from fsaf_tf.data.readers.request import Request
from fsaf_tf.files import paths

NAME = "labelme"
NO_BOXES = ("point", "points", "line", "linestrip")
_LOOKED_INTO = 20
_KEYS = {"shapes", "imagePath"}
_FLAGS = ("difficult", "ignore", "iscrowd")


def is_one(given: Any) -> bool:
    """Whether JSON is labelme's."""
    return isinstance(given, dict) and _KEYS <= set(given)


def image_dir(folder: str, names: list[str]) -> str:
    """Where the pictures of a folder's files are, by the paths in the first ones; else the folder, if it has some."""
    for name in names[:_LOOKED_INTO]:
        path = posixpath.join(folder, name)
        try:
            given = json.loads(files.read_bytes(path))
        except ValueError:  # is told when it is read
            continue
        picture = posixpath.join(posixpath.dirname(path), _path(given)) if is_one(given) else ""
        if picture and paths.exists(picture):
            is_beside = posixpath.dirname(_path(given)) in ("", ".")
            return folder if is_beside else paths.absolute(posixpath.dirname(picture))
    return first_folder(folder)


def read(request: Request, folder: str, names: list[str]) -> Content:
    """Reads files of a folder.

    Raises:
        UserError: what is wrong, with the file, and the line or the number of the shape.
    """
    entries, others = Entries(request.file), []
    for name in names:
        with entries.attempt():
            given = _read(posixpath.join(folder, name), name)
            if is_one(given):
                _add(entries, request.pictures, given, name)
            else:
                others.append(name)
    words = "files of JSON are not labelme's; they are not read"
    entries.add_findings(found("other_files", len(others), len(names), words, others, request.file))
    if paths.is_folder(request.file):
        entries.add_findings(request.pictures.unused(entries.names, request.file))
    return entries.content(f"{NAME}, {counted(len(names) - len(others), 'file', 'files')}")


def _read(path: str, name: str) -> Any:
    text = files.text_of(path, files.read_bytes(path))
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        place = f"{name}:{getattr(error, 'lineno', 1)}"
        raise Mistake("JSON that is damaged or cut off", f"{place}: {short(error)}") from None


def _add(entries: Entries, pictures: Pictures, given: dict, name: str) -> None:
    """Adds the picture of a file with its objects."""
    shapes = given["shapes"]
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise Mistake("`shapes` is no list of objects", name)
    size = content.size(given.get("imageHeight"), given.get("imageWidth"), name)
    image_id = entries.image(_picture_of(entries, pictures, given, name), size, name)
    objects: dict[tuple, list[tuple[str, dict]]] = {}
    for place, shape in enumerate(shapes, 1):
        where, kind = f"{name}, shape {place}", shape.get("shape_type") or "polygon"
        group = shape.get("group_id")
        if kind in NO_BOXES:
            entries.leave_out("other_shapes", f"{where}: {kind}")
            continue
        parts = objects.setdefault((str(shape.get("label")), place if group is None else ("group", str(group))), [])
        if parts:
            entries.tally.add("grouped", f"{where}, with shape {parts[0][0].rpartition(' ')[2]}")
        parts.append((where, shape))
    for parts in objects.values():
        with entries.attempt():
            where, first = parts[0]
            flags = {key: shape[key] for _, shape in parts for key in _FLAGS if key in shape}
            entries.box(image_id, first.get("label"), {**_box(parts), "attributes": first.get("flags"), **flags}, where)


def _box(parts: list[tuple[str, dict]]) -> dict:
    """The box around the shapes of an object. Raises `Mistake`."""
    outlines = [_points(shape, where) for where, shape in parts]
    if all(shape.get("shape_type") == "rectangle" for _, shape in parts):
        return {"bbox": content.around([point for outline in outlines for point in outline])}
    return {"segmentation": [[value for point in outline for value in point] for outline in outlines]}


def _points(shape: dict, where: str) -> list[tuple[float, float]]:
    """The outline of a shape; of a circle and of a mask that of the box around it. Raises `Mistake`."""
    kind, given = shape.get("shape_type") or "polygon", shape.get("points")
    is_list = isinstance(given, list) and all(isinstance(point, list) and len(point) == 2 for point in given)
    if not is_list or len(given) < (3 if kind == "polygon" else 2):
        raise Mistake("`points` is no list of x and y, two or more, three of a polygon", f"{where}: {short(given)}")
    points = [tuple(content.numbers({"x": x, "y": y}, where)) for x, y in given]
    if kind == "circle":
        (x, y), radius = points[0], math.dist(*points[:2])
        points = [(x - radius, y - radius), (x + radius, y + radius)]
    if kind in ("circle", "mask"):
        x, y, width, height = content.around(points)
        points = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    return points


def _path(given: dict) -> str:
    """The path of the picture from the file's folder."""
    path = given["imagePath"]
    return path.replace("\\", "/") if isinstance(path, str) else ""


def _picture_of(entries: Entries, pictures: Pictures, given: dict, name: str) -> str:
    """The picture of a file: the one that it names, else the one with the file's own name, which is counted."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), _path(given) or "."))
    while path.startswith("../"):
        path = path[3:]
    ends = (path, posixpath.basename(path))
    there = next((end for end in ends if pictures.has(end)), None)
    own = None if there else pictures.of_stem(posixpath.splitext(name)[0], name)
    if own:
        entries.tally.add("other_filename", f"{name}: {short(path)}, and {own} is taken")
    return there or own or path
