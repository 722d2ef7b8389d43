"""What a kill left in a folder: files that were being written, and checkpoints that were being written or deleted."""

import os
import re

import tensorflow as tf

from fsaf_tf.data.classes import LABELS
from fsaf_tf.files import parts
from fsaf_tf.run import checkpoints, on_disk

_RECORDS = ("params.yaml", LABELS, "run.json", "evaluations.json", "train.csv", checkpoints.INFO, "checkpoint")
_FIGURES = ("metrics.json", "detections.json", "validation.csv")
# TensorFlow's of its list of checkpoints, and the folders in which `storage.check_folder` tries a disk.
_OF_OTHERS = r"checkpoint\.tmp[0-9a-f]{32}|\.try-\w+"


def sweep(folder: str, name: str, kept: str | None, *, figures: bool) -> str | None:
    """Takes away what a kill left in a folder of checkpoints that no other process writes to.

    Gone are files that were being written, and checkpoints that were being deleted, whose index goes first. Checkpoints
    that lack something else are set aside.

    Args:
        folder: of a run, or of its best checkpoint.
        name: of the checkpoints there, before the step.
        kept: the prefix that is gone on with, which can be read; None if none can, or there is none yet, and all others
            are set aside.
        figures: no other process writes `metrics.json`, `detections.json` and `validation.csv` there.

    Returns:
        A line that says what went; None if nothing did.
    """
    ours = "|".join(map(re.escape, (*_RECORDS, *(_FIGURES if figures else ()))))
    # Of whatever machine: nobody else writes here.
    pattern = re.compile(rf"({ours}){re.escape(parts.PART)}.+-\d+|{_OF_OTHERS}|{name}-\d+_temp")
    files = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
    swept = [file for file in map(_bare, files) if pattern.fullmatch(file)]
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
    gone = [f"taken away: {parts.listed(swept)}"] * bool(swept) + [f"set aside: {parts.listed(aside)}"] * bool(aside)
    return f"Left by a kill and {'; '.join(gone)}, in {folder}." if gone else None


def _bare(name: str) -> str:
    """TensorFlow puts a slash behind the names of folders where storage is remote."""
    return name.rstrip("/")


def _remove(path: str) -> None:
    (tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove)(path)
