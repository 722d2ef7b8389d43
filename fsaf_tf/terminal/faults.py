"""What the machine cannot do, of files, disk and memory, on one line each, whoever's exception it is.

docs/reliability.md has the table. An exception that is not among these is a mistake of ours and keeps its traceback.
"""

import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterator

FULL = "the disk is full: free some space, and the same command goes on"
_MEMORY = (
    "out of memory: lower task.train_data.global_batch_size or task.input_size, or raise task.accumulation_steps"
    " (training), task.validation_data.global_batch_size (evaluation)"
)
_NO_MEMORY = -4  # of OpenCV
_WHAT_TO_DO = {
    errno.ENOENT: "it is not there",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.EROFS: "its disk is read-only; give another folder",
    errno.ENOTDIR: "a folder on the way to it is a file",
    errno.EISDIR: "it is a folder where a file is wanted",
    errno.EEXIST: "it is there already",
    errno.ENOSPC: FULL,
    errno.EDQUOT: "the quota of the disk is used up: free some space, and the same command goes on",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EIO: "the disk fails (input/output error)",
    errno.EMFILE: "too many files are open; raise `ulimit -n`",
    errno.ENFILE: "too many files are open on this machine",
    errno.EFBIG: "the file is larger than its disk or `ulimit -f` lets it be",
    errno.ELOOP: "links lead round in a circle",
    errno.EBUSY: "another program uses it",
    errno.ENODEV: "the device is gone",
    errno.ENXIO: "the device is gone",
    errno.ENOTEMPTY: "the folder is not empty",
    errno.ENOMEM: _MEMORY,
    errno.ESTALE: "the network drive has lost it",
    errno.ENOTCONN: "the network drive is gone",
    errno.ETIMEDOUT: "the network drive does not answer",
}
# Those say nothing about what is in the file that is read: it may be whole.
_NOT_OF_THE_CONTENT = (
    *(errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT),
    *(errno.ENOSPC, errno.EDQUOT),
)
_BY_TEXT = {os.strerror(number): number for number in errno.errorcode}
# TensorFlow writes "runs/a/ckpt-1.index; No such file or directory".
_OF_TENSORFLOW = re.compile(rf"(?P<path>[^;\n]*); (?P<reason>{'|'.join(map(re.escape, _BY_TEXT))})")
# What a graph writes before that: where in the code the operation was made.
_BEFORE = re.compile(
    r"\s*|Graph execution error:|Detected at node .*|<stack traces unavailable>|\s+File \".*|Node: .*"
    r"|\d+ root error\(s\) found\."
)
# What it writes around that: the node, the operation, the stage of a data set, the number of the error.
_AROUND = re.compile(
    r"\{\{.*?\}\}|\[Op:.*|Error in user-defined function passed to \S+ transformation with iterator: \S+: "
    r"|Failed to create a NewWriteableFile: |^\s*\(\d\) [A-Z_]+: "
)
# How a lack of memory reads where it is no ResourceExhaustedError: on a GPU, in a transfer to it.
_OF_MEMORY = re.compile(r"dst tensor is not initialized|out.of.memory|failed to allocate", re.IGNORECASE)


def line(error: BaseException) -> str | None:
    """What an exception says of files, disk or memory, and what to do; None of any other exception."""
    opencv, tensorflow = sys.modules.get("cv2"), sys.modules.get("tensorflow")
    if isinstance(error, MemoryError) or opencv and isinstance(error, opencv.error) and error.code == _NO_MEMORY:
        return _MEMORY
    if isinstance(error, RecursionError):
        return "a file is nested too deep to be read, or contains itself"
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, UnicodeError):
        return f"text that is not UTF-8: {error}"
    if tensorflow and isinstance(error, tensorflow.errors.OpError):
        return _of_tensorflow(error, tensorflow.errors)
    return None


def any_line(error: BaseException) -> str:
    """`line`; of any other exception, such as a library's own, the first line of its words."""
    return line(error) or (str(error).splitlines() or [type(error).__name__])[0]


def of_file(path: str, error: BaseException) -> str | None:
    """`line`, with the name of a file in front where it does not have it."""
    words = line(error)
    return words if words is None or path in words else f"{path}: {words}"


@contextlib.contextmanager
def named(path: str | os.PathLike) -> Iterator[None]:
    """Inside, a fault of reading or writing an open file, which Python gives no name, has that of the file."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


def is_of_the_machine(error: BaseException) -> bool:
    """Whether an error of reading a file says nothing about its content: a second try may read it."""
    if isinstance(error, OSError):
        return error.errno in _NOT_OF_THE_CONTENT
    text, tensorflow = str(error).lower(), sys.modules.get("tensorflow")
    kinds = () if tensorflow is None else (tensorflow.errors.ResourceExhaustedError,)
    is_said = any(os.strerror(number).lower() in text for number in _NOT_OF_THE_CONTENT)
    return is_said or isinstance(error, (MemoryError, *kinds))


def _of_system(error: OSError) -> str:
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    said = " ".join(str(error).split())
    reason = _WHAT_TO_DO.get(error.errno, error.strerror or said)
    if names:
        return f"{' to '.join(names)}: {reason}"
    is_bare = error.errno is not None and error.strerror == os.strerror(error.errno)  # HDF5 says more, the name too
    return reason if is_bare else said


def _words(message: str) -> str:
    """The line of a message of TensorFlow that says what is wrong."""
    lines = (line for line in message.splitlines() if not _BEFORE.fullmatch(line))
    return " ".join(_AROUND.sub("", next(lines, "")).split())


def _of_tensorflow(error, kinds) -> str | None:
    first = _words(error.message or "")
    named = _OF_TENSORFLOW.search(first)
    if named:
        reason = _WHAT_TO_DO.get(_BY_TEXT[named["reason"]], named["reason"])
        return f"{named['path']}: {reason}" if named["path"].strip() else reason
    if isinstance(error, kinds.ResourceExhaustedError) and "space" in first:
        return FULL
    if isinstance(error, kinds.ResourceExhaustedError) or _OF_MEMORY.search(first):
        return f"{_MEMORY} ({first})"
    if isinstance(error, (kinds.DataLossError, kinds.OutOfRangeError)):  # the latter: it ends too early
        return f"a file is damaged: {first}"
    if "File system scheme" in first:
        scheme = re.search(r"scheme '(\w+)'", first)
        return f"{scheme[1] if scheme else 'this kind of'}:// paths are not read by this TensorFlow: {first}"
    if isinstance(error, (kinds.NotFoundError, kinds.PermissionDeniedError, kinds.FailedPreconditionError)):
        return first
    if isinstance(error, (kinds.DeadlineExceededError, kinds.UnavailableError, kinds.AbortedError)):
        return f"another machine does not answer: {first}"
    return None
