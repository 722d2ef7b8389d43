"""Files that are written whole or not at all, and JSON with Python's own numbers."""

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensorflow as tf

from fsaf_tf.errors import UserError


def try_writing(path: str) -> None:
    """Makes the folder of a file, and tries one there: before what takes long, not after it.

    Raises:
        UserError: it cannot be written.
    """
    part = f"{path}.part"
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(part, "w"):
            os.remove(part)
    except OSError as error:
        raise UserError(f"{path} cannot be written to: {error.strerror}") from error
    if os.path.isdir(path):
        raise UserError(f"{path} is a folder; give --output the name of a file")


def check_folder(path: str) -> None:
    """Raises a UserError where a local folder cannot be made or written to; leaves nothing behind."""
    if "://" in path:
        return
    above = os.path.abspath(path)
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise UserError(f"{path} cannot be a folder: {above} is a file")
    try:
        tempfile.TemporaryDirectory(prefix=".try-", dir=above).cleanup()
    except OSError as error:
        raise UserError(f"{path} cannot be written to: {error.strerror}; give another folder") from error


def make_folder(path: str) -> None:
    """Makes a folder with those above it; a UserError if that cannot be."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written to: {error.strerror}") from error


def write_text(path: str, text: str) -> None:
    """Writes a file in one piece: whoever reads meanwhile, or after a kill, sees the old file or the new one.

    It is UTF-8; see `utf8` for what that does not have.
    """
    part = f"{path}.part"
    with tf.io.gfile.GFile(part, "wb") as file:
        file.write(utf8(text).encode())
    tf.io.gfile.rename(part, path, overwrite=True)


def utf8(text: str) -> str:
    """The text with bytes that are none, as in names of files from elsewhere, written out: `gr\\udcfcn.jpg`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def write_json(path: str, value: Any) -> None:
    """Writes JSON in one piece; tensors and NumPy numbers become numbers, NaN and infinity become null."""
    write_text(path, json.dumps(plain(value), indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def results_file(path: str) -> Iterator[Callable[[dict], None]]:
    """A file of COCO's results, a line each, as a context: gives what adds a result.

    At the end of the context the file is there in one piece; if an error ends it, the file is as it was before.
    """
    part, between = f"{path}.part", "\n"
    try:
        with tf.io.gfile.GFile(part, "w") as file:

            def add(result: dict) -> None:
                nonlocal between
                file.write(between + json.dumps(plain(result), allow_nan=False))
                between = ",\n"

            file.write("[")
            yield add
            file.write("\n]\n")
    except BaseException:
        tf.io.gfile.remove(part)
        raise
    tf.io.gfile.rename(part, path, overwrite=True)


def write_results(path: str, results: Iterable[dict]) -> None:
    """Writes COCO's results, a line each, in one piece."""
    with results_file(path) as add:
        for result in results:
            add(result)


def read_json(path: str) -> Any:
    """The content of a JSON file; None if there is none or it cannot be parsed."""
    try:
        with tf.io.gfile.GFile(path) as file:
            return json.loads(file.read())
    except (tf.errors.NotFoundError, ValueError):
        return None


def plain(value: Any) -> Any:
    """`value` with Python's own numbers in it, and None for what is not finite."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if hasattr(value, "numpy"):
        value = value.numpy()
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
