"""The files of checkpoints: which are there, whether they are whole and can be read; set aside, and listed anew."""

import os
import re
from collections.abc import Sequence

import tensorflow as tf

from fsaf_tf.errors import UserError
from fsaf_tf.files import paths, storage
from fsaf_tf.terminal import faults

NAME, BEST_NAME = "ckpt", "best_ckpt"  # of files, before the step
UNREADABLE, UNFINISHED = "unreadable-", "unfinished-"  # before the names of files that are set aside
_STEP = "global_step/.ATTRIBUTES/VARIABLE_VALUE"
_FILE_END = r"\.(index|data-\d{5}-of-\d{5})"


def prefixes(directory: str, name: str = NAME) -> list[str]:
    """File prefixes of the checkpoints in `directory`, newest step first, whole or not.

    The files count, not the record named `checkpoint` beside them: it may be missing or stale.
    """
    files = tf.io.gfile.listdir(directory) if tf.io.gfile.isdir(directory) else []
    matches = (re.fullmatch(rf"({name}-\d+){_FILE_END}", file) for file in files)
    return [f"{directory}/{each}" for each in sorted({match[1] for match in matches if match}, key=number)[::-1]]


def files_of(prefix: str) -> list[str]:
    """The names of the files of a checkpoint that are there, in order."""
    directory, name = os.path.split(prefix)
    return sorted(
        file for file in tf.io.gfile.listdir(directory) if re.fullmatch(f"{re.escape(name)}{_FILE_END}", file)
    )


def is_complete(prefix: str) -> bool:
    """Whether all files of a checkpoint are there and none is empty: a look that costs nothing, unlike `problem`."""
    files = files_of(prefix)
    parts = {int(file[-5:]) for file in files if not file.endswith(".index")}  # as `.data-00000-of-00002` says
    is_whole = bool(parts) and len(files) == max(parts) + 1 and f"{os.path.basename(prefix)}.index" in files
    return is_whole and all(tf.io.gfile.stat(f"{os.path.dirname(prefix)}/{file}").length for file in files)


def number(prefix: str) -> int:
    """The step in the name of a checkpoint."""
    return int(prefix.rsplit("-", 1)[1])


def problem(prefix: str) -> str | None:
    """Reads every tensor of a checkpoint: None if that works, else why not, in one line.

    Raises:
        UserError: the machine cannot read them now, or this user may not, which says nothing about what is in them.
    """
    try:
        reader = paths.open_checkpoint(prefix)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, IndexError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if faults.is_of_the_machine(error):
            raise UserError(f"{prefix} may not be read: {faults.line(error) or reason}") from None
        return reason
    return None


def first_readable(candidates: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """The first prefix that can be read, and why those before it cannot."""
    broken = {}
    for prefix in candidates:
        reason = problem(prefix)
        if reason is None:
            return prefix, broken
        broken[prefix] = reason
    return None, broken


def is_best(prefix: str) -> bool:
    """Whether it was written as the best of a run: in the middle of an evaluation."""
    return os.path.basename(prefix).startswith(f"{BEST_NAME}-")


def step_of(prefix: str) -> int:
    """The step of training that is in a checkpoint; 0 of imported weights."""
    reader = paths.open_checkpoint(prefix)
    return int(reader.get_tensor(_STEP)) if reader.has_tensor(_STEP) else 0


def existing(path: str) -> str:
    """The prefix that a path names: itself, or that of one of its files.

    Raises:
        UserError: there is no such checkpoint.
    """
    prefix = re.sub(f"{_FILE_END}$", "", path)
    if not tf.io.gfile.exists(f"{prefix}.index"):
        raise UserError(f"{path} is neither a folder nor a checkpoint: there is no {prefix}.index")
    return prefix


def put_aside(prefix: str, mark: str = UNREADABLE) -> str:
    """Renames the files of a checkpoint that cannot be read, and returns their pattern."""
    directory, name = prefix.rsplit("/", 1)
    for file in files_of(prefix):
        tf.io.gfile.rename(f"{directory}/{file}", f"{directory}/{mark}{file}", overwrite=True)
    return f"{mark}{name}.*"


def write_record(directory: str, name: str = NAME) -> None:
    """Writes the file `checkpoint` anew from the files that are there, names relative to it; none where there are none.

    TensorFlow's manager takes the list of what it may delete from it, and `tf.train.latest_checkpoint` the newest.
    """
    record = f"{directory}/checkpoint"
    whole = [prefix for prefix in prefixes(directory, name)[::-1] if tf.io.gfile.exists(f"{prefix}.index")]
    if not whole:
        if tf.io.gfile.exists(record):
            tf.io.gfile.remove(record)
        return
    ages = [tf.io.gfile.stat(f"{prefix}.index").mtime_nsec / 1e9 for prefix in whole]
    names = [os.path.basename(prefix) for prefix in whole]
    lines = [f'model_checkpoint_path: "{names[-1]}"', *(f'all_model_checkpoint_paths: "{each}"' for each in names)]
    lines += [f"all_model_checkpoint_timestamps: {age}" for age in ages]
    lines += [f"last_preserved_timestamp: {min(ages) - 1}"]  # older than all: the manager keeps those before it
    storage.write_text(record, "\n".join(lines) + "\n")
