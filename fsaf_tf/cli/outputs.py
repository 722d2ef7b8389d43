"""Whether a tool may write where it is told to: never over what it reads, over files of others only with --overwrite.

What a tool wrote itself at an earlier time it replaces without a word. It is known by what is in it: pages and figures
name their tool, JSON has keys of its own, detections have `file_name` or `frame`. Imports no TensorFlow.
"""

import json
import os
import re
from collections.abc import Callable, Iterable

from absl import flags

from fsaf_tf.errors import UserError
from fsaf_tf.files import parts, paths
from fsaf_tf.terminal import faults

_HEAD = 1 << 16  # bytes at each end of a file that are looked at for the name of its tool
_OF_A_RUN = ("params.yaml", "metrics.json", "info.json", "checkpoint", "train.lock", "evaluate.lock")
DETECTIONS = "detections.json"
_PREDICTED = re.compile(r'\[\s*\{[^{}]*"(file_name|frame)": ')  # an evaluation's results have neither


def define_overwrite(own_flags: flags.FlagValues) -> flags.FlagHolder:
    """Defines --overwrite, of the tools that write files."""
    help_of_it = "Write over files that are there and were not written by this tool; never over what it reads."
    return flags.DEFINE_bool("overwrite", False, help_of_it, flag_values=own_flags)


def check(written: Iterable[str], *, reads: Iterable[str], is_ours: Callable[[str], bool], overwrite: bool) -> None:
    """Raises a UserError where a file would be replaced that must not be.

    Args:
        written: the files that will be.
        reads: of those that are read; in whatever spelling, by whatever link.
        is_ours: whether a file that is there was written by this tool.
        overwrite: others may be replaced, too.
    """
    inputs = {_identity(path): path for path in reads if path}
    others = []
    for path in filter(paths.exists, written):
        if _identity(path) in inputs:
            given = inputs[_identity(path)]
            named = path if os.path.normpath(given) == os.path.normpath(path) else f"{path}, which is {given},"
            raise UserError(f"{named} is read, and would be written over; give another output")
        if not overwrite and paths.is_file(path) and not is_ours(path):
            others.append(path)
    if others:
        more = f", and {len(others) - 1} more" if len(others) > 1 else ""
        raise UserError(
            f"{others[0]} is there and was not written by this tool{more}; give another output, or --overwrite"
        )


def _identity(path: str):
    """What two names of one file have in common."""
    if paths.is_remote(path):
        return paths.real(path)
    try:
        status = os.stat(path)
    except OSError:  # none yet
        return os.path.realpath(path)
    return status.st_dev, status.st_ino


def has_mark(*marks: str) -> Callable[[str], bool]:
    """Of files that name their tool at their start or their end."""
    return lambda path: any(mark.encode() in _ends(path) for mark in marks)


def has_keys(*keys: str) -> Callable[[str], bool]:
    """Of files of JSON with these keys, all of them."""
    return lambda path: set(keys) <= _read_dict(path).keys()


def by_ending(**kinds: Callable[[str], bool]) -> Callable[[str], bool]:
    """Of several kinds of files: `html`, `json`."""
    return lambda path: kinds[os.path.splitext(path)[1][1:].lower()](path)


def in_folder(folder: str, pattern: str) -> list[str]:
    """The files in a folder whose whole names a regular expression matches; none where it is not there."""
    return [paths.join(folder, name) for name in sorted(paths.names(folder)) if re.fullmatch(pattern, name)]


def files_below(*given: str | None) -> list[str]:
    """All files that paths mean that may be folders or globs: what a tool may read of them."""
    files = []
    for path in (match for pattern in given if pattern for match in paths.glob(pattern)):
        files += [*paths.files_below(path), *[path] * paths.is_file(path)]
    return files


def check_predictions(output: str, written: Iterable[str], *, reads: Iterable[str], overwrite: bool) -> None:
    """The same for a folder of detections and what is drawn of them. That of a run is never one.

    Args:
        output: the folder.
        written: the pictures or the video there.
        reads: what is looked at.
        overwrite: as for `check`.
    """
    of_run = [name for name in _OF_A_RUN if paths.exists(f"{output}/{name}")]
    if of_run:
        raise UserError(
            f"{output} is the folder of a run or of an evaluation (it has {of_run[0]}), whose {DETECTIONS} these are"
            " not; give another --output"
        )
    # A full disk may have left pictures alone, without any detections.
    of_prediction, is_drawn = is_of_prediction(output), has_mark("fsaf-predict")

    def is_ours(path: str) -> bool:
        return of_prediction or (not path.endswith(DETECTIONS) and is_drawn(path))

    check([f"{output}/{DETECTIONS}", *written], reads=reads, is_ours=is_ours, overwrite=overwrite)


def is_of_prediction(folder: str) -> bool:
    """Whether predictions were written to a folder: its detections name files or frames, are none, or were cut off."""
    if in_folder(folder, rf"{re.escape(DETECTIONS + parts.PART)}.+-\d+|detections\.unfinished\.json"):
        return True
    text = _text(f"{folder}/{DETECTIONS}")
    return bool(re.fullmatch(r"\[\s*\]\s*", text) or _PREDICTED.match(text))


def check_evaluation(folder: str) -> None:
    """Raises a UserError where an evaluation of an exported model would replace predictions."""
    if _PREDICTED.match(_text(f"{folder}/{DETECTIONS}")):
        raise UserError(f"{folder}/{DETECTIONS} is of tools/predict.py; give another --model_dir")


def _text(path: str) -> str:
    """The start and the end of a file; empty where there is none."""
    return _ends(path).decode("utf-8", "replace") if paths.is_file(path) else ""


def _ends(path: str) -> bytes:
    with faults.named(path), paths.open_to_read(path) as file:
        start = file.read(_HEAD)
        file.seek(max(file.tell(), paths.size(path) - _HEAD))
        return start + file.read()


def _read_dict(path: str) -> dict:
    try:
        with faults.named(path):
            content = json.loads(paths.read_bytes(path))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
