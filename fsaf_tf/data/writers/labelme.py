"""labelme: a JSON of each picture, which names the picture by its path from there."""

import json
import posixpath
from collections.abc import Iterable, Iterator

from fsaf_tf.data.writers.form import IGNORE, Content, Form, check_distinct, path_of

_VERSION = "5.0.0"  # of the form, which has stayed the same since


def text(picture: str, height: int, width: int, rows: Iterable[tuple[str, tuple, str]]) -> str:
    """The file of a picture.

    Args:
        picture: its path from there.
        height: in pixels.
        width: likewise.
        rows: name of the class, box `y1, x1, y2, x2` and a mark, which may be empty, of each box.
    """
    shapes = [
        {
            "label": label,
            "points": [[x1, y1], [x2, y2]],
            "group_id": None,
            "description": "",
            "shape_type": "rectangle",
            "flags": {IGNORE: True} if mark else {},
        }
        for label, (y1, x1, y2, x2), mark in rows
    ]
    content = {"version": _VERSION, "flags": {}, "shapes": shapes, "imagePath": picture, "imageData": None}
    content |= {"imageHeight": height, "imageWidth": width}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _files(content: Content) -> Iterator[tuple[str, str]]:
    """A file of each picture, in the folders that the picture has."""
    paths = ((path_of("", name, ".json"), name) for name in content.table.file_names)
    for path, picture in zip(check_distinct(paths, "give one of them another name"), content.each()):
        place = _from(posixpath.dirname(path), posixpath.join(content.pictures, picture.name))
        yield path, text(place, picture.height, picture.width, picture.rows(content.classes))


def _from(folder: str, path: str) -> str:
    """A path that starts in some folder, from a folder in there; the folder itself is nowhere yet."""
    root = "/-" * (1 + path.count(".."))  # below which both are, wherever `path` leads
    return posixpath.relpath(posixpath.normpath(f"{root}/{path}"), f"{root}/{folder}")


FORM = Form("labelme", _files, shown="", picture_folder="", crowd="get the flag ignore")
