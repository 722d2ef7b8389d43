"""What the machine cannot do, of files, disk and memory, on one line each, whoever's exception it is.

docs/reliability.md has the table. An exception that is not among these is a mistake of ours and keeps its traceback.
"""

import errno
import os
import re
import sys

FULL = "the disk is full: free some space, and the same command goes on"
_MEMORY = (
    "out of memory: lower task.train_data.global_batch_size or task.input_size, or raise task.accumulation_steps"
    " (training), task.validation_data.global_batch_size (evaluation)"
)
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
    errno.ESTALE: "the network drive has lost it",
    errno.ETIMEDOUT: "the network drive does not answer",
}
_BY_TEXT = {os.strerror(number): number for number in _WHAT_TO_DO}
# TensorFlow writes "runs/a/ckpt-1.index; No such file or directory".
_OF_TENSORFLOW = re.compile(rf"(?P<path>[^;\n]+); (?P<reason>{'|'.join(map(re.escape, _BY_TEXT))})")
# What it writes around that: the node, the operation, the stage of a data set.
_AROUND = re.compile(
    r"\{\{.*?\}\}|\[Op:.*|Error in user-defined function passed to \S+ transformation with iterator: \S+: "
    r"|Failed to create a NewWriteableFile: "
)


def line(error: BaseException) -> str | None:
    """What an exception says of files, disk or memory, and what to do; None of any other exception."""
    if isinstance(error, MemoryError):
        return _MEMORY
    if isinstance(error, RecursionError):
        return "a file is nested too deep to be read, or contains itself"
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, UnicodeError):
        return f"text that is not UTF-8: {error}"
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow and isinstance(error, tensorflow.errors.OpError):
        return _of_tensorflow(error, tensorflow.errors)
    return None


def _of_system(error: OSError) -> str:
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    said = " ".join(str(error).split())
    reason = _WHAT_TO_DO.get(error.errno, error.strerror or said)
    if names:
        return f"{' to '.join(names)}: {reason}"
    return FULL if error.errno == errno.ENOSPC else said


def _of_tensorflow(error, kinds) -> str | None:
    first = " ".join(_AROUND.sub("", ((error.message or "").splitlines() or [""])[0]).split())
    named = _OF_TENSORFLOW.search(first)
    if named:
        return f"{named['path']}: {_WHAT_TO_DO[_BY_TEXT[named['reason']]]}"
    if isinstance(error, kinds.ResourceExhaustedError):
        return FULL if "space" in first else f"{_MEMORY} ({first})"
    if isinstance(error, kinds.DataLossError):
        return f"a file is damaged: {first}"
    if "File system scheme" in first:
        scheme = re.search(r"scheme '(\w+)'", first)
        return f"{scheme[1] if scheme else 'this kind of'}:// paths are not read by this TensorFlow: {first}"
    if isinstance(error, (kinds.NotFoundError, kinds.PermissionDeniedError, kinds.FailedPreconditionError)):
        return first
    if isinstance(error, (kinds.DeadlineExceededError, kinds.UnavailableError, kinds.AbortedError)):
        return f"another machine does not answer: {first}"
    return None
