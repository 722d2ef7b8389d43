"""Faults that are put into one call of the library: which exceptions a call can raise, and how it is made to."""

import builtins
import contextlib
import errno
import functools
import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import io_calls
import pytest
import tensorflow as tf
from absl import flags

from fsaf_tf import cli
from fsaf_tf.files import paths

_OURS = (f"{io_calls.ROOT}/fsaf_tf/", f"{io_calls.ROOT}/tools/")
Error = Callable[[str], BaseException]  # of the path that the call was given


def system(*numbers: int) -> tuple[Error, ...]:
    """OSErrors as calls that take a path raise them."""
    return tuple(
        functools.partial(lambda number, path: OSError(number, os.strerror(number), path), one) for one in numbers
    )


def nameless(*numbers: int) -> tuple[Error, ...]:
    """OSErrors as reading and writing an open file raises them: they do not say which."""
    return tuple(functools.partial(lambda number, path: OSError(number, os.strerror(number)), one) for one in numbers)


def of_tensorflow(**numbers: tuple[int, ...]) -> tuple[Error, ...]:
    """TensorFlow's errors by the end of their names, with its words for what the system says."""

    def make(kind: str, number: int, path: str):
        words = f"{{{{function_node __wrapped__X}}}} {path}; {os.strerror(number)} [Op:X]"
        return getattr(tf.errors, f"{kind}Error")(None, None, words)

    return tuple(functools.partial(make, kind, number) for kind, each in numbers.items() for number in each)


def says(kind: str, words: str) -> Error:
    """An error of TensorFlow that does not name a file."""
    return lambda path: getattr(tf.errors, f"{kind}Error")(None, None, words)


def simply(error: BaseException) -> Error:
    """An error that is the same whatever the path."""
    return lambda path: error


_GONE = (errno.ENOENT, errno.EACCES, errno.EIO, errno.EMFILE, errno.ENOTDIR, errno.ESTALE, errno.ETIMEDOUT)
_GONE += (errno.ENFILE, errno.ELOOP, errno.ENOMEM, errno.ENOTCONN, errno.ENXIO)
MEMORY = simply(MemoryError())
LOOK = system(*_GONE, errno.ENAMETOOLONG)
OPEN = (*LOOK, *system(errno.EISDIR), MEMORY)
READ = (*nameless(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EISDIR), MEMORY)
CREATE = (*OPEN, *system(errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EBUSY, errno.EPERM))
WRITE = nameless(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EFBIG)
_TF = {
    "NotFound": (errno.ENOENT,),
    "PermissionDenied": (errno.EACCES, errno.EPERM),
    "FailedPrecondition": (errno.EISDIR, errno.ENOTDIR),
    "Unknown": (errno.EIO, errno.ESTALE, errno.ELOOP),
    "ResourceExhausted": (errno.EMFILE,),
    "DeadlineExceeded": (errno.ETIMEDOUT,),
    "InvalidArgument": (errno.ENAMETOOLONG,),
}
_REMOTE = (
    says("Unimplemented", "File system scheme 's3' not implemented (file: 's3://x')"),
    says("Unavailable", "Error executing an HTTP request: libcurl code 6"),
    says("Aborted", "All 10 retry attempts failed"),
    says("DeadlineExceeded", "Deadline Exceeded"),
)
TF_OPEN = (*of_tensorflow(**_TF), *_REMOTE, MEMORY)
_DAMAGED = (says("DataLoss", "truncated record at 0"), says("OutOfRange", "Read less bytes than requested"))
_OF_MEMORY = (
    says("ResourceExhausted", "OOM when allocating tensor with shape[9]"),
    says(
        "Internal", "Failed copying input tensor from CPU:0 to GPU:0 in order to run X: Dst tensor is not initialized."
    ),
)
TF_READ = (*of_tensorflow(Unknown=(errno.EIO, errno.ESTALE)), *_DAMAGED, *_OF_MEMORY, MEMORY)
TF_WRITE = of_tensorflow(
    ResourceExhausted=(errno.ENOSPC, errno.EDQUOT),
    Unknown=(errno.EIO,),
    OutOfRange=(errno.EFBIG,),
    PermissionDenied=(errno.EROFS, errno.EACCES),
)
TF_CREATE = (*TF_OPEN, *TF_WRITE)
# A data set that runs, or a step: what reads, decodes and copies. Also no message of our own in it.
TF_RUN = (*of_tensorflow(**_TF), *TF_READ, *_REMOTE)


class Case(NamedTuple):
    """What is done to a place: `act(folder)` comes to it, and `errors` are what it can raise there.

    Attributes:
        act: takes a new folder; what it writes goes there.
        errors: from above.
        owner, attribute: of what is replaced, where the call is not of a module; `via` is what returns its owner.
        goes_on: the fault ends nothing, which is meant so.
        names: what the line has in it, where the fault says no path.
        leaves: what would take away a file that is half written is what fails.
    """

    act: Callable[[Any], Any]
    errors: tuple[Error, ...]
    owner: Any = None
    attribute: str = ""
    via: str = ""
    goes_on: bool = False
    names: str = ""
    leaves: bool = False


class _Handle:
    """An open file, or the like, of which one method fails."""

    def __init__(self, real, method: str, function: Callable):
        self._real, self._method, self._function = real, method, function

    def __getattr__(self, name: str):
        return self._function if name == self._method else getattr(self._real, name)

    def __enter__(self):
        self._real.__enter__()
        return self

    def __exit__(self, *error):
        return self._real.__exit__(*error)

    def __iter__(self):
        return iter(self._real)


def _failing(real: Callable, place: io_calls.Place, error: Error) -> Callable:
    """`real`, but for calls from the place."""

    def call(*args, **kwargs):
        frame = sys._getframe(1)
        while frame.f_back and not frame.f_code.co_filename.startswith(_OURS):
            frame = frame.f_back
        # What is mentioned outside of all functions is called anywhere in the file.
        if frame.f_code.co_filename == str(place.file) and (not place.lines or frame.f_lineno in place.lines):
            paths = [arg for arg in (*args, *kwargs.values()) if _is_path(arg)]
            name = getattr(args[0], "name", None) if args else None
            raise error(os.fsdecode(paths[0]) if paths else name if isinstance(name, str) else "some file")
        return real(*args, **kwargs)

    return call


def _is_path(value) -> bool:
    return isinstance(value, (str, os.PathLike)) or isinstance(value, bytes) and value.startswith(b"/")


@contextlib.contextmanager
def fault(place: io_calls.Place, case: Case, error: Error) -> Iterator[None]:
    """Inside, the call of a place raises an error."""
    owner, attribute = (case.owner, case.attribute) if case.owner is not None else _of_name(case.via or place.call)
    real = owner[attribute] if isinstance(owner, dict) else getattr(owner, attribute)
    method = place.call.rsplit(".", 1)[-1]

    def opened(*args, **kwargs):
        handle = real(*args, **kwargs)
        return _Handle(handle, method, _failing(getattr(handle, method), place, error))

    with pytest.MonkeyPatch.context() as patch:
        replace = patch.setitem if isinstance(owner, dict) else patch.setattr
        replace(owner, attribute, opened if case.via else _failing(real, place, error))
        yield


def _of_name(call: str) -> tuple[Any, str]:
    """The owner of a call of a module, and its name there."""
    if call == "open":
        return builtins, call
    root, *names = call.split(".")
    owner = tf if root == "tf" else _MODULES.get(root) or __import__(root)
    for name in names[:-1]:
        owner = getattr(owner, name)
    return owner, names[-1]


def _modules() -> dict[str, Any]:
    import pathlib

    import numpy as np
    from PIL import Image, ImageFont

    return {
        "Image": Image,
        "ImageFont": ImageFont,
        "np": np,
        "pathlib": pathlib,
        "importlib": importlib,
        "paths": paths,
    }


_MODULES = _modules()


def outcome(act: Callable[[], Any]) -> int | str:
    """The exit status of a tool that does this: 0, or the line of its error; a traceback is the exception itself."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as done:
        patch.setattr(sys, "argv", ["tool"])
        cli.run(act, flags.FlagValues(), "A tool.")
    return done.value.code
