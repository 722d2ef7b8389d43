"""What a kill left in a folder: files that were being written, and checkpoints that were being written or deleted."""

import os
import platform
import re
from collections.abc import Callable, Sequence

import tensorflow as tf

from fsaf_tf import storage
from fsaf_tf.classes import LABELS
from fsaf_tf.run import checkpoints, on_disk

_NAMES_SHOWN = 6
_RECORDS = ("params.yaml", LABELS, "run.json", "evaluations.json", checkpoints.INFO, "checkpoint")
_FIGURES = ("metrics.json", "detections.json")
# TensorFlow's of its list of checkpoints, and the folders in which `storage.check_folder` tries a disk.
_OF_OTHERS = r"checkpoint\.tmp[0-9a-f]{32}|\.try-\w+"


def sweep(folder: str, name: str, kept: str | None, *, figures: bool) -> str | None:
    """Takes away what a kill left in a folder of checkpoints that no other process writes to.

    Gone are files that were being written, and checkpoints that were being deleted, whose index goes first. Checkpoints
    that lack something else are set aside.

    Args:
        folder: of a run, or of its best checkpoint.
        name: of the checkpoints there, before the step.
        kept: the prefix that is gone on with, which can be read; None if none can, and all others are set aside.
        figures: no other process writes `metrics.json` and `detections.json` there.

    Returns:
        A line that says what went; None if nothing did.
    """
    ours = "|".join(re.escape(f"{file}{storage.PART}") for file in (*_RECORDS, *(_FIGURES if figures else ())))
    pattern = re.compile(rf"{ours}|{_OF_OTHERS}|{name}-\d+_temp")
    swept = [file for file in map(_bare, tf.io.gfile.listdir(folder)) if pattern.fullmatch(file)]
    for file in swept:
        _remove(f"{folder}/{file}")
    aside = []
    for prefix in on_disk.prefixes(folder, name):
        if os.path.basename(prefix) == os.path.basename(kept or "") or (kept and on_disk.is_complete(prefix)):
            continue
        if kept and not tf.io.gfile.exists(f"{prefix}.index"):
            swept += on_disk.files_of(prefix)
            for file in on_disk.files_of(prefix):
                _remove(f"{folder}/{file}")
        else:
            aside.append(on_disk.put_aside(prefix))
    gone = [f"taken away: {_listed(swept)}"] * bool(swept) + [f"set aside: {_listed(aside)}"] * bool(aside)
    return f"Left by a kill and {'; '.join(gone)}, in {folder}." if gone else None


def signed(prefix: str) -> str:
    """A name for what this process is writing, which `sweep_dead` knows as such: `out.part-HOST-PID`."""
    return f"{prefix}{platform.node()}-{os.getpid()}"


def sweep_dead(prefix: str, say: Callable[[str], None]) -> None:
    """Takes away what processes of this machine that are dead were writing under names of `signed`.

    Args:
        prefix: as `signed` got it; a path on this machine.
        say: prints a line on what went.
    """
    folder, start = os.path.split(prefix)
    pattern = re.compile(rf"{re.escape(start + platform.node())}-(\d+)(-\w+)?")
    names = tf.io.gfile.listdir(folder or ".") if tf.io.gfile.isdir(folder or ".") else []
    swept = [name for name in map(_bare, names) if (match := pattern.fullmatch(name)) and not is_alive(int(match[1]))]
    for name in swept:
        _remove(os.path.join(folder, name))
    if swept:
        say(f"Left by a kill and taken away: {_listed(swept)}, in {folder or '.'}.")


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _bare(name: str) -> str:
    """TensorFlow puts a slash behind the names of folders where storage is remote."""
    return name.rstrip("/")


def _remove(path: str) -> None:
    (tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove)(path)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{len(names)} ({', '.join(sorted(names)[:_NAMES_SHOWN])}{more})"
