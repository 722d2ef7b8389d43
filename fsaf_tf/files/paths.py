"""The one place where a path is looked at: on this machine by Python, on remote storage (`gs://`) by TensorFlow.

Python's own calls take `gs://bucket/run` for a folder named `gs:` beside the program, and would write there. TensorFlow
is imported when the first remote path comes.
"""

import contextlib
import glob as local_glob
import os
import posixpath
import shutil
from collections.abc import Iterator
from typing import IO

from fsaf_tf.errors import UserError

_MARK = "://"
_HOW = {
    "s3": "mount the bucket (mountpoint-s3), or copy it here: aws s3 sync",
    "http": "download it: curl -O",
    "https": "download it: curl -O",
}


def is_remote(path: str | os.PathLike) -> bool:
    """Whether it is on storage that Python's own calls do not reach.

    Raises:
        UserError: on one that TensorFlow does not reach either.
    """
    scheme, mark, _ = os.fspath(path).partition(_MARK)
    if not mark:
        return False
    if scheme not in _schemes():
        read = ", ".join(f"{known}{_MARK}" for known in _schemes())
        how = _HOW.get(scheme, "mount it, or copy it here")
        raise UserError(f"{path}: {scheme}{_MARK} is not read, only {read} are; {how}")
    return True


def _schemes() -> list[str]:
    """The remote storages that this TensorFlow reads."""
    import tensorflow as tf

    return sorted(filter(None, tf.io.gfile.get_registered_schemes()))


def _remote():
    """TensorFlow's file system."""
    import tensorflow as tf

    return tf.io.gfile


def exists(path: str) -> bool:
    """Whether there is something, a broken link too."""
    return _remote().exists(path) if is_remote(path) else os.path.lexists(path)


def is_file(path: str) -> bool:
    """Whether it is a file."""
    return _remote().exists(path) and not _remote().isdir(path) if is_remote(path) else os.path.isfile(path)


def is_folder(path: str) -> bool:
    """Whether it is a folder."""
    return _remote().isdir(path) if is_remote(path) else os.path.isdir(path)


def size(path: str) -> int:
    """Bytes of a file."""
    return _remote().stat(path).length if is_remote(path) else os.path.getsize(path)


def state(path: str) -> list[int]:
    """Size of a file and its time in nanoseconds: others where it has changed."""
    if is_remote(path):
        told = _remote().stat(path)
        return [told.length, told.mtime_nsec]
    told = os.stat(path)
    return [told.st_size, told.st_mtime_ns]


def names(folder: str) -> list[str]:
    """What is in a folder; empty where there is none."""
    if not is_folder(folder):
        return []
    return [name.rstrip("/") for name in _remote().listdir(folder)] if is_remote(folder) else os.listdir(folder)


def glob(pattern: str, *, recursive: bool = False) -> list[str]:
    """The paths that a glob names."""
    return _remote().glob(pattern) if is_remote(pattern) else local_glob.glob(pattern, recursive=recursive)


def files_below(folder: str) -> Iterator[str]:
    """All files in a folder and in those inside of it."""
    walk = _remote().walk(folder) if is_remote(folder) else os.walk(folder)
    return (join(inside, name) for inside, _, names in walk for name in names)


def join(folder: str, name: str) -> str:
    """A name in a folder."""
    return f"{folder.rstrip('/')}/{name}" if _MARK in folder else os.path.join(folder, name)


def absolute(path: str) -> str:
    """From the root of its storage, without `..` in it."""
    scheme, mark, rest = path.rpartition(_MARK)
    return f"{scheme}{mark}{posixpath.normpath(rest)}" if mark else os.path.abspath(path)


def real(path: str) -> str:
    """The same without links, which remote storage has not."""
    return path.rstrip("/") if _MARK in path else os.path.realpath(path)


def open_to_read(path: str) -> IO[bytes]:
    """A file's bytes, as a context."""
    return _remote().GFile(path, "rb") if is_remote(path) else open(path, "rb")


def read_bytes(path: str) -> bytes:
    """All of them."""
    with open_to_read(path) as file:
        return file.read()


def open_checkpoint(prefix: str):
    """What reads the tensors of TensorFlow's checkpoint of a prefix.

    `tf.train.load_checkpoint` takes a prefix for a folder on storage that has none.
    """
    from tensorflow.python.training import py_checkpoint_reader

    return py_checkpoint_reader.NewCheckpointReader(prefix)


def make_folder(path: str) -> None:
    """Makes a folder with those above it; no error where it is there."""
    if is_remote(path):
        _remote().makedirs(path)
    else:
        os.makedirs(path, exist_ok=True)


def remove_folder(path: str) -> None:
    """Removes a folder with all that is in it; no error where that cannot be."""
    if is_remote(path):
        with contextlib.suppress(Exception):  # of many kinds, by the storage
            _remote().rmtree(path)
    else:
        shutil.rmtree(path, ignore_errors=True)


def refuse_remote(path: str, what: str) -> None:
    """Raises a UserError where a path must be on this machine; `what` is in it."""
    if path and is_remote(path):
        raise UserError(f"{path}: {what} must be on this machine; copy it here")
