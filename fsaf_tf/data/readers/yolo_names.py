"""The names of YOLO's classes: of a data.yaml, or of a text with a name a line near the texts of the boxes."""

import posixpath
from collections.abc import Mapping
from typing import Any

from fsaf_tf.config import plain_values
from fsaf_tf.data.coco_values import whole
from fsaf_tf.data.findings import short
from fsaf_tf.data.readers import files
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths

TEXTS = ("classes.txt", "obj.names", "_darknet.labels", "predefined_classes.txt", "classes.names", "labels.txt")
_ENDINGS = (".yaml", ".yml", ".names", *TEXTS)
_ABOVE = 3  # folders above the texts, in which names are looked for


def read_yaml(path: str) -> dict:
    """What a YAML of a data set holds.

    Raises:
        UserError: it is none, with the line.
    """
    return plain_values.parse(files.text_of(path, files.read(path)), path)


def of_yaml(path: str, values: Mapping[str, Any]) -> dict[int, str]:
    """The names by their numbers.

    Raises:
        UserError: there are none, or `nc` is another number.
    """
    given = values.get("names")
    given = dict(enumerate(given)) if isinstance(given, list) else given
    pairs = list(given.items()) if isinstance(given, dict) else []
    names = {whole(number): str(name).strip() for number, name in pairs if isinstance(name, str | int | float)}
    if not names or None in names or len(names) < len(pairs) or not all(names.values()):
        raise UserError(
            f"{path}: `names` is no list of the names of the classes, nor such as 0: nut; it names them all"
        )
    if values.get("nc", len(names)) != len(names):
        raise UserError(f"{path}: nc is {short(values['nc'])}, and `names` has {len(names)}; mend one of them")
    return names


def near(folder: str) -> dict[int, str]:
    """The names that lie in a folder, or in the nearest above it that has some.

    Raises:
        UserError: there are none, or two files of one folder say different things.
    """
    place = paths.absolute(folder)
    for _ in range(_ABOVE):
        read = {path: names for path in _files_in(place) if (names := _of_file(path))}
        if read:
            (first, names), *others = read.items()
            for path, other in others:
                if other != names:
                    raise UserError(f"{first} and {path} have different names of the classes; leave one of them")
            return names
        place = posixpath.dirname(place)
    raise UserError(
        f"{folder}: YOLO's texts have numbers of classes, and nothing here has their names: write classes.txt beside"
        " them, a name a line, or give the data.yaml"
    )


def _files_in(folder: str) -> list[str]:
    """Files of a folder that may have the names, without those of its folders."""
    names = [name for name in sorted(paths.names(folder)) if name.lower().endswith(_ENDINGS)]
    return [posixpath.join(folder, name) for name in names]


def _of_file(path: str) -> dict[int, str] | None:
    """The names of a file; None of a YAML that is of something else."""
    if path.lower().endswith((".yaml", ".yml")):
        values = read_yaml(path)
        return of_yaml(path, values) if "names" in values else None
    lines = files.lines_of(path)
    if [number for number, _ in lines] != list(range(1, len(lines) + 1)):
        raise UserError(f"{path}: a blank line stands among the names of the classes, whose numbers are their lines")
    return {number - 1: name for number, name in lines}
