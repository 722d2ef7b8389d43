"""The library `shim.c`: made by gcc, put before the C library of a process, armed."""

import ctypes
import os
import pathlib
import shutil
import subprocess
from collections.abc import Mapping

from fsaf_tf.errors import UserError

SOURCE = pathlib.Path(__file__).with_name("shim.c")


def build(folder: pathlib.Path) -> pathlib.Path:
    """Makes the library in a folder, and returns its path; a UserError where there is no gcc, or it fails."""
    library = folder / "shim.so"
    if library.exists() and library.stat().st_mtime >= SOURCE.stat().st_mtime:
        return library
    if not shutil.which("gcc"):
        raise UserError("gcc is not there, which makes the library that counts calls: install it")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"shim.{os.getpid()}.so"
    command = ["gcc", "-O2", "-shared", "-fPIC", str(SOURCE), "-o", str(part), "-ldl"]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        raise UserError(f"{SOURCE} is not compiled: {made.stderr.strip().splitlines()[-1]}")
    part.rename(library)
    return library


def is_loaded() -> bool:
    """Whether this process was started with the library."""
    return hasattr(ctypes.CDLL(None), "soak_arm")


def environment(library: pathlib.Path) -> Mapping[str, str]:
    """What a process that is started with the library has around it."""
    return {**os.environ, "LD_PRELOAD": str(library)}


def arm(folder: pathlib.Path, number: int, error: int = 0, log: pathlib.Path | None = None) -> None:
    """From here on the calls of this process that change files in a folder count.

    Args:
        folder: what is outside does not count.
        number: of the call at which it happens, from 1; 0: never, the calls are only counted.
        error: what the call, and on a disk that is full those after it, fail with; 0: the process is killed.
        log: takes a line of each call, `NUMBER CALL PATH`; outside of the folder.
    """
    if not is_loaded():
        raise RuntimeError("the process was started without shim.so")
    ctypes.CDLL(None).soak_arm(
        os.fsencode(folder.resolve()), ctypes.c_long(number), error, os.fsencode(log) if log else None
    )


def calls(log: pathlib.Path) -> list[str]:
    """The calls of a log, without the paths' folder: `rename ckpt-1.index`."""
    lines = log.read_text(errors="backslashreplace").splitlines() if log.exists() else []
    words = [line.split(" ", 2) for line in lines]
    return [f"{call} {os.path.basename(path)}" for _, call, path in words]
