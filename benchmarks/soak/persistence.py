"""What a training writes to its folder, in the controller's order, with a few numbers in the place of a network.

All numbers of a checkpoint are its step, so that what is restored says which step it is of.
"""

import os
import pathlib
from collections.abc import Callable

from absl import flags

from fsaf_tf import cli
from fsaf_tf.data.classes import Classes
from fsaf_tf.files import storage
from fsaf_tf.run import best, checkpoints, early_stop, leftovers, lock, on_disk, records

STEPS, EVALUATED, KEPT = 6, 2, 2  # of one start: its length, how often it is evaluated, how many checkpoints are kept
# AP by the number of the evaluation: better, worse, better.
FIGURES = (0.3, 0.2, 0.4)
_NUMBERS = 500


def _saved():
    """The step, and what a checkpoint holds."""
    import tensorflow as tf

    step, numbers = tf.Variable(0, dtype=tf.int64), tf.Variable(tf.zeros([_NUMBERS]))
    return step, tf.train.Checkpoint(model=numbers, global_step=step)


def train(folder: pathlib.Path, last: int, note: pathlib.Path) -> None:
    """A start of a run, as `run.training` and `run.controller` make it, up to step `last`.

    Args:
        folder: of the run.
        last: the step that it ends at.
        note: takes the steps as they are reached: `from 4`, `saved 5`, and each line that the run says.
    """
    tell = _teller(note)
    with lock.held(str(folder), [lock.TRAINING, lock.EVALUATION], tell):
        from_checkpoint = checkpoints.newest_readable(str(folder), set_aside=True, say=tell)
        step, saved = _saved()
        prefix, begun = (from_checkpoint.prefix, from_checkpoint.step) if from_checkpoint else (None, 0)
        tell(leftovers.sweep(str(folder), on_disk.NAME, prefix, figures=True) or "nothing was left")
        if from_checkpoint:
            on_disk.write_record(str(folder))
        if records.last_step(str(folder)) > begun:
            records.forget_evaluation(str(folder))
        kept = best.BestExporter(f"{folder}/best", "AP", "higher", {}, tell)
        manager = _manager(saved, folder)
        _write_records(folder, begun)
        if prefix:
            saved.read(from_checkpoint.prefix).expect_partial()
        tell(f"from {int(step)} {'whole' if _is_of_step(saved.model, int(step)) else 'MIXED'}")
        _loop(folder, step, saved, manager, kept, last, tell)


def main(folder: pathlib.Path, last: int, note: pathlib.Path) -> None:
    """The same as a tool, whose faults are a line each."""
    cli.run(lambda: train(folder, last, note), flags.FlagValues(), "What a training writes.")


def _loop(folder, step, saved, manager, kept, last: int, tell: Callable[[str], None]) -> None:
    """An evaluation that a kill cost first, then steps, each saved."""
    while True:
        now = int(step)
        if now and now % EVALUATED == 0 and records.last_step(str(folder)) != now:
            _evaluate(folder, now, saved, kept)
            tell(f"evaluated {now}")
        if now >= last:
            return
        step.assign_add(1)
        saved.model.assign(saved.model * 0 + float(now + 1))
        manager.save(checkpoint_number=now + 1)
        tell(f"saved {now + 1}")


def _manager(saved, folder: pathlib.Path):
    import tensorflow as tf

    return tf.train.CheckpointManager(saved, str(folder), max_to_keep=KEPT)


def _write_records(folder: pathlib.Path, step: int) -> None:
    storage.write_text(f"{folder}/params.yaml", "task: {}\n")
    Classes(("one", "two"), (1, 2)).write(f"{folder}/labels.json")
    records.record_start(str(folder), step=step, devices=["CPU"], data={})


def figure(step: int) -> float:
    """The AP of an evaluation."""
    return FIGURES[step // EVALUATED % len(FIGURES)] + step / 1000


def _evaluate(folder: pathlib.Path, step: int, saved, kept: best.BestExporter) -> None:
    """The weights of a better one, the list of evaluations, figures of the best, figures of the newest."""
    results = {"AP": figure(step)}
    is_best = kept.maybe_export_checkpoint(saved, results, step)
    metrics = {**results, "step": step, records.DIGEST: {}, "checkpoint": f"ckpt-{step}"}
    detections = [{"image_id": step, "score": 0.5}] * 3
    early_stop.add(str(folder), step, {}, "AP", results["AP"])
    if is_best:
        kept.record(metrics, detections, results)
    records.write_evaluation(str(folder), metrics, detections)


def _is_of_step(numbers, step: int) -> bool:
    return bool((numbers.numpy() == step).all())


def _teller(note: pathlib.Path) -> Callable[[str], None]:
    file = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return lambda line: os.write(file, f"{line}\n".encode()) and None
