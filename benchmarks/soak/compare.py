"""Whether two folders of results are the same, and whether a file is whole."""

import hashlib
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

# Not of the result: how long it took, when and by which command it was made, where it lies.
_PASSING = ("seconds", "starts", "checkpoint", "data", "labels", "title", "written", "version")
_TIMES = re.compile(rb"20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\+\d\d:\d\d)?")
_ASIDE = ("unreadable-", "unfinished-")  # what a run sets aside
_OF_CHECKPOINTS = re.compile(r"\.(index|data-\d{5}-of-\d{5})$")


def unwhole(folder: pathlib.Path) -> list[str]:
    """The files under names of results that cannot be read to their end, each with the reason."""
    return [f"{path.relative_to(folder)}: {reason}" for path in _files(folder) if (reason := _problem(path))]


def is_temporary(path: pathlib.Path) -> bool:
    """Whether a name, or one above it, is that of what is being written."""
    return any(re.search(r"\.part|^\.export-|_temp$|^\.try-|\.tmp", part) for part in path.parts)


def left_over(folder: pathlib.Path) -> list[pathlib.Path]:
    """What is there under the name of what is being written, or is unfinished, or a lock; relative to the folder."""
    paths = [path.relative_to(folder) for path in sorted(folder.rglob("*"))]
    return [path for path in paths if is_temporary(path) or ".unfinished" in path.name or path.suffix == ".lock"]


def _files(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    paths = sorted(folder.rglob("*")) if folder.is_dir() else [folder] * folder.is_file()
    return (path for path in paths if path.is_file() and not is_temporary(path.relative_to(folder)))


def _problem(path: pathlib.Path) -> str | None:
    ending = path.suffix.lower()
    try:
        if ending == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif ending in (".png", ".jpg", ".jpeg"):
            with Image.open(path) as picture:
                picture.load()
        elif ending == ".html" and not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
            return "cut short"
        elif ending == ".mp4":
            return None if _frames(path) else "no frame can be read"
        elif ending == ".tflite":
            _invoke(path)
    except Exception as error:  # whatever a reader raises of a file that is cut short
        return f"{type(error).__name__}: {str(error)[:100]}"
    return None


def _frames(path: pathlib.Path) -> int:
    import cv2

    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


def _invoke(path: pathlib.Path) -> None:
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()


def content(folder: pathlib.Path) -> dict[str, str]:
    """What the files of a folder hold, by their names, without what is of the moment: a digest of each.

    Checkpoints count by their tensors, SavedModels by their variables and signatures' names; events of TensorBoard and
    locks do not count.
    """
    names = {}
    for path in _files(folder):
        name = path.relative_to(folder).as_posix() if path != folder else path.name
        if _OF_CHECKPOINTS.search(name) or "events.out" in name or path.suffix in (".lock", ".pb"):
            continue
        if path.name in ("checkpoint", "params.yaml", "run.json", "evaluations.json", "train.csv"):
            continue
        names[name] = digest(_bare(path))
    for index in sorted(folder.rglob("*.index")) if folder.is_dir() else ():
        prefix = index.with_suffix("")
        if not (is_temporary(prefix.relative_to(folder)) or prefix.name.startswith(_ASIDE)):
            names |= {f"{prefix.relative_to(folder)} {key}": value for key, value in tensors(prefix).items()}
    return names


def tensors(prefix: pathlib.Path) -> dict[str, str]:
    """A digest of each tensor of a checkpoint, but for its count of saves."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(prefix))
    names = [name for name in reader.get_variable_to_shape_map() if not name.startswith(("_", "save_counter"))]
    return {name: digest(np.ascontiguousarray(reader.get_tensor(name)).tobytes()) for name in names}


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """The names whose contents are not the same, or are in one alone; the first few."""
    names = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    more = [f"{len(names) - 3} more"] * (len(names) > 3)
    return [*names[:3], *more]


def _bare(path: pathlib.Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".json":
        return json.dumps(_without(json.loads(data)), sort_keys=True).encode()
    return _TIMES.sub(b"", data) if path.suffix in (".html", ".csv", ".yaml") else data


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(each) for key, each in value.items() if key not in _PASSING}
    return [_without(each) for each in value] if isinstance(value, list) else value


def digest(data: bytes) -> str:
    """The start of the SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]
