"""Names of what is being written, `metrics.json.part-HOST-PROCESS`, and what a kill left under them.

Such a name says whose it is: a file of the user's is never taken for one, and one of a living process stays. Imports no
TensorFlow.
"""

import os
import platform
import re
import shutil
from collections.abc import Callable, Sequence

PART = ".part-"  # behind the name of what is written, before whose it is
_LONGEST = 255  # bytes of a name, on all file systems of today
_NAMES_SHOWN = 6
_written_to: set[str] = set()  # the folders where this process has written files


def signed(prefix: str) -> str:
    """A name for what this process is writing, which `sweep` knows as such: `out.part-HOST-PROCESS`."""
    return f"{prefix}{platform.node()}-{os.getpid()}"


def of_file(path: str, ending: str = "") -> str:
    """The name of a file while this process writes it. One that is too long with it, and not without, keeps its start.

    Args:
        path: the name that it gets.
        ending: comes last, where a library goes by it: `.mp4`.
    """
    folder, name = os.path.split(path)
    mark = signed(PART) + ending
    if "://" not in path:
        _written_to.add(os.path.abspath(folder))  # whatever becomes of the working directory
    room, length = _LONGEST - len(os.fsencode(mark)), len(os.fsencode(name))
    if room < length <= _LONGEST:
        name = os.fsencode(name)[:room].decode("utf-8", "ignore")
    return os.path.join(folder, f"{name}{mark}")


def sweep(prefix: str, say: Callable[[str], None]) -> None:
    """Takes away what processes of this machine that are dead were writing under names of `signed`.

    Args:
        prefix: as `signed` got it; a path on this machine.
        say: prints a line on what went.
    """
    folder, start = os.path.split(prefix)
    _sweep(folder or ".", re.escape(start + platform.node()), say)


def sweep_written(say: Callable[[str], None]) -> None:
    """The same for files that have the names of `of_file`, in all folders where this process has written some."""
    for folder in sorted(_written_to):
        _sweep(folder, f".+{re.escape(PART + platform.node())}", say)


def _sweep(folder: str, start: str, say: Callable[[str], None]) -> None:
    """No fault in here ends what was asked for: what cannot be taken away is named and stays."""
    pattern = re.compile(rf"{start}-(\d+)(-\w+|\.mp4)?", re.DOTALL)
    try:
        names = os.listdir(folder)
    except OSError:  # there is none, or it may not be looked into
        return
    left = [name for name in names if (match := pattern.fullmatch(name)) and not is_alive(int(match[1]))]
    swept = [name for name in left if _is_removed(os.path.join(folder, name))]
    if swept:
        say(f"Left by a kill and taken away: {listed(swept)}, in {os.path.abspath(folder)}.")
    if len(swept) < len(left):
        kept = listed(sorted({*left} - {*swept}))
        say(f"Left by a kill, and cannot be taken away: {kept}, in {os.path.abspath(folder)}.")


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def listed(names: Sequence[str]) -> str:
    """How many there are, and the first: `2 (a, b)`."""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{len(names)} ({', '.join(sorted(names)[:_NAMES_SHOWN])}{more})"


def _is_removed(path: str) -> bool:
    is_folder = os.path.isdir(path) and not os.path.islink(path)
    try:
        (shutil.rmtree if is_folder else os.remove)(path)
    except OSError:
        return False
    return True
