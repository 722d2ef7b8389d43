"""Files and folders of annotations: their bytes, their text, their names."""

import gzip
import os
import posixpath
import zlib
from collections.abc import Iterable

import tensorflow as tf

from fsaf_tf.data.findings import short
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths

_GZIP = b"\x1f\x8b"
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read(path: str) -> bytes:
    """What is in a file, unpacked if it is compressed by gzip.

    Raises:
        UserError: it is missing, empty or damaged.
    """
    data = read_bytes(path)
    if not data.strip():
        raise UserError(f"{path}: the annotation file is empty")
    try:
        return gzip.decompress(data) if data.startswith(_GZIP) else data
    except (EOFError, OSError, zlib.error) as error:
        raise UserError(f"{path}: its gzip compression is damaged: {short(error)}") from None


def text_of(path: str, data: bytes) -> str:
    """The text that bytes of a file are: UTF-8 with or without a mark, or UTF-16 with one.

    Raises:
        UserError: they are none.
    """
    encoding = next((encoding for mark, encoding in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: byte {error.start} is not of {error.encoding}; save it as UTF-8") from None


def read_bytes(path: str) -> bytes:
    """What is in a file as it is, which may be nothing.

    Raises:
        UserError: it is missing.
    """
    try:
        with tf.io.gfile.GFile(_name(path), "rb") as stream:
            return stream.read()
    except (tf.errors.NotFoundError, tf.errors.FailedPreconditionError):  # the latter is a folder
        raise UserError(f"{path}: there is no such annotation file") from None


def lines_of(path: str) -> list[tuple[int, str]]:
    """The lines of a text that are not blank, with their numbers.

    Raises:
        UserError: it is missing, or no text.
    """
    lines = enumerate(text_of(path, read_bytes(path)).splitlines(), 1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def common(folders: Iterable[str]) -> str:
    """The folder that absolute ones have in common."""
    parts = [folder.rpartition("://") for folder in folders]
    scheme, mark, _ = parts[0]
    return f"{scheme}{mark}{posixpath.commonpath([rest for *_, rest in parts])}"


def names_in(folder: str, endings: tuple[str, ...]) -> list[str]:
    """The files of a folder and its folders with one of these endings: paths from it, sorted; hidden ones not."""
    names, seen = [], {os.path.realpath(folder)}
    for where, folders, files in _walk(folder):
        # A link may lead round in circles.
        inner = {name: os.path.realpath(os.path.join(where, name)) for name in folders if not name.startswith(".")}
        folders[:] = [name for name, path in inner.items() if path not in seen]
        seen |= set(inner.values())
        start = where[len(folder) :].strip("/")
        wanted = (name for name in files if name.lower().endswith(endings) and not name.startswith("."))
        names += [posixpath.join(start, name) for name in wanted]
    return sorted(names)


def _walk(folder: str):
    if not paths.is_remote(folder):  # TensorFlow stops at a name that is not UTF-8
        return os.walk(folder, followlinks=True, onerror=_raise)
    return tf.io.gfile.walk(folder, onerror=_raise)


def _raise(error: Exception) -> None:
    raise error


def _name(path: str) -> bytes:
    """A name as TensorFlow takes it, also one with bytes that are no text."""
    return path.encode("utf-8", "surrogateescape")
