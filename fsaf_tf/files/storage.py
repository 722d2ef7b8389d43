"""Files that are written whole or not at all, and JSON with Python's own numbers."""

import contextlib
import errno
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensorflow as tf

from fsaf_tf.errors import UserError
from fsaf_tf.files import parts, paths


def try_writing(path: str) -> None:
    """Makes the folder of a file, and tries one there: before what takes long, not after it.

    Raises:
        UserError: it cannot be written.
    """
    if paths.is_remote(path):
        return
    part = parts.of_file(path)
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(part, "w"):
            os.remove(part)
    except OSError as error:
        raise UserError(f"{path} cannot be written to: {error.strerror}") from error
    if paths.is_folder(path):
        raise UserError(f"{path} is a folder; give --output the name of a file")


def check_folder(path: str) -> None:
    """Raises a UserError where a local folder cannot be made or written to; leaves nothing behind."""
    if paths.is_remote(path):
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
        paths.make_folder(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written to: {error.strerror}") from error


def write_bytes(path: str, data: bytes) -> None:
    """Writes a file in one piece: whoever reads meanwhile, or after a kill, sees the old file or the new one.

    After an error the old one stands, and nothing beside it.
    """
    with whole(path) as file:
        file.write(data)


def write_text(path: str, text: str) -> None:
    """Writes a text as UTF-8, in one piece; see `utf8` for what that does not have."""
    write_bytes(path, utf8(text).encode())


def _nothing() -> None:
    pass


@contextlib.contextmanager
def whole(
    path: str, on_error: Callable[[str], None] | None = None, before: Callable[[], None] = _nothing
) -> Iterator[tf.io.gfile.GFile]:
    """A file to write to, as a context, which gets its name at the end; see `named_at_end`."""
    with named_at_end(path, on_error, before) as part, tf.io.gfile.GFile(_name(part), "wb") as file:
        yield file


@contextlib.contextmanager
def named_at_end(
    path: str, on_error: Callable[[str], None] | None = None, before: Callable[[], None] = _nothing
) -> Iterator[str]:
    """The name to write a file under, as a context, at whose end it gets its own.

    Args:
        path: its own name.
        on_error: takes the name of what an error leaves of it; that is removed if it is not given.
        before: is called when all is written, before it gets its name.
    """
    part = parts.of_file(path)
    try:
        yield part
        _flush_to_disk(part)
        before()
        tf.io.gfile.rename(_name(part), _name(path), overwrite=True)
    except BaseException:
        with contextlib.suppress(tf.errors.OpError):  # there may be none; the first error is the one to tell
            (on_error or _remove)(part)
        raise


def _flush_to_disk(path: str) -> None:
    """Without this a power loss may leave an empty file under the new name. Local files only."""
    if paths.is_remote(path):
        return
    with open(path, "rb") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):  # file systems that do not do this
                error.filename = path
                raise


def _name(path: str) -> bytes:
    """A name as TensorFlow takes it, also one with bytes that are no text."""
    return path.encode("utf-8", "surrogateescape")


def _remove(path: str) -> None:
    tf.io.gfile.remove(_name(path))


def utf8(text: str) -> str:
    """The text with bytes that are none, as in names of files from elsewhere, written out: `gr\\udcfcn.jpg`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def write_json(path: str, value: Any) -> None:
    """Writes JSON in one piece; tensors and NumPy numbers become numbers, NaN and infinity become null."""
    write_text(path, json.dumps(plain(value), indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def results_file(
    path: str, say: Callable[[str], None] | None = None, before: Callable[[], None] = _nothing
) -> Iterator[Callable[[dict], None]]:
    """A file of COCO's results, a line each, as a context: gives what adds a result.

    At the end of the context the file is there in one piece; if an error ends it, the file is as it was before.

    Args:
        path: of the file.
        say: if given, the results that an error leaves are kept in `unfinished(path)`, and this says so. They go when
            all results are written.
        before: is called when all are written, before those of an earlier time go.
    """
    count, is_ended = 0, False

    def keep(part: str) -> None:
        if not (say and count and is_ended):
            _remove(part)
            return
        tf.io.gfile.rename(_name(part), _name(unfinished(path)), overwrite=True)
        say(f"{count} detections up to there are kept in {unfinished(path)}")

    with whole(path, keep, before) as file:

        def add(result: dict) -> None:
            nonlocal count
            file.write(f"{',' * bool(count)}\n{json.dumps(plain(result), allow_nan=False)}".encode())
            count += 1

        file.write(b"[")
        try:
            yield add
        finally:
            file.write(b"\n]\n")
            file.flush()  # a disk without room says so here
            is_ended = True
    if say and tf.io.gfile.exists(_name(unfinished(path))):
        _remove(unfinished(path))


def unfinished(path: str) -> str:
    """Where a file is kept that an error ended: `out/detections.unfinished.json`."""
    root, end = os.path.splitext(path)
    return f"{root}.unfinished{end}"


def write_results(path: str, results: Iterable[dict], before: Callable[[], None] = _nothing) -> None:
    """Writes COCO's results, a line each, in one piece; `before` is called before those of an earlier time go."""
    with results_file(path, before=before) as add:
        for result in results:
            add(result)


def read_bytes(path: str) -> bytes:
    """The content of a file, where TensorFlow reads files. Raises `tf.errors.OpError` if it cannot be read."""
    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read()


def read_text(path: str) -> str:
    """The content of a text file, where TensorFlow reads files.

    Raises:
        UserError: it is not UTF-8.
        tf.errors.OpError: it cannot be read.
    """
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}") from None


def read_json(path: str) -> Any:
    """The content of a JSON file; None if there is none or it cannot be parsed."""
    try:
        return json.loads(read_text(path))
    except (tf.errors.NotFoundError, ValueError, RecursionError):  # a UserError is a ValueError, too
        return None


def read_dict(path: str) -> dict[str, Any]:
    """The content of a JSON file that holds an object; empty if there is none, or it holds something else."""
    content = read_json(path)
    return content if isinstance(content, dict) else {}


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
