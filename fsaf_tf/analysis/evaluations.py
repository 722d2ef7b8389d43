"""Which evaluation is meant by the folder of a run, of an evaluation, or of an exported model's."""

import os
from collections.abc import Callable
from typing import NamedTuple

from fsaf_tf.config import experiment
from fsaf_tf.detect.trained import Detector
from fsaf_tf.errors import UserError
from fsaf_tf.evaluate.coco_results import DETECTIONS
from fsaf_tf.files import paths, storage
from fsaf_tf.run import checkpoints
from fsaf_tf.terminal import commands


class Evaluation(NamedTuple):
    """The figures and detections of one checkpoint, or of an exported model.

    Attributes:
        asked: the folder that was asked for, from which it has its name.
        folder: of its `metrics.json` and `detections.json`.
        line: which checkpoint it is of, for the terminal; empty for what is no run.
    """

    asked: str
    folder: str
    line: str


def find(model_dir: str, wanted: str | None = None) -> Evaluation:
    """The evaluation of the checkpoint that every tool takes; see `checkpoints.choose`.

    Where there is none, as of the best of a run of an older version, it is the one in the run's folder: the newest's.

    Args:
        model_dir: the folder of a run, or one that an evaluation wrote to.
        wanted: of a run: `best`, `newest` or the path of a checkpoint, which then must have been evaluated.

    Raises:
        UserError: there is no such checkpoint, or no evaluation.
    """
    asked = model_dir.rstrip("/")
    if not paths.exists(f"{asked}/params.yaml"):
        if wanted:
            raise UserError(f"{asked} is not the folder of a run, of which --checkpoint={wanted} says one")
        return Evaluation(asked, asked, "")
    try:
        return _of_checkpoint(asked, wanted)
    except UserError as error:
        if wanted or not paths.exists(f"{asked}/{DETECTIONS}"):
            raise
        return Evaluation(asked, asked, f"Checkpoint: {_recorded_in(asked)}, which was evaluated last: {error}")


def folder_of(path: str, detector: Callable | None = None) -> str | None:
    """The folder that says on which data a model was evaluated; None if nothing does.

    Args:
        path: a model, or a `detections.json`.
        detector: what the model was loaded to.
    """
    if detector is None:
        folder = os.path.dirname(path) or "."
        run = experiment.folder_of(folder)
        return folder if run and paths.exists(f"{folder}/metrics.json") else run
    if isinstance(detector, Detector) and detector.checkpoint.read_metrics():
        return detector.checkpoint.results_dir
    return experiment.folder_of(path)


def _of_checkpoint(run: str, wanted: str | None) -> Evaluation:
    chosen = checkpoints.choose(run, wanted)
    if chosen.read_metrics() and paths.exists(f"{chosen.results_dir}/{DETECTIONS}"):
        return Evaluation(run, chosen.results_dir, chosen.line)
    flag = wanted if wanted in (checkpoints.BEST, checkpoints.NEWEST) else chosen.prefix
    flags = [f"--model_dir={run}", *([f"--checkpoint={flag}"] if wanted else [])]
    raise UserError(
        f"{chosen} has no figures and detections of its own; this makes them:"
        f" {commands.of_tool('train', '--mode=eval', *flags)}"
    )


def _recorded_in(run: str) -> str:
    """What the evaluation in a run's folder was of."""
    metrics = storage.read_dict(f"{run}/metrics.json")
    if "checkpoint" not in metrics:
        return f"not known, of {run}/{DETECTIONS}"
    figure = f", AP {metrics['AP']:.3f}" if metrics.get("AP") is not None else ""
    return f"{run}/{metrics['checkpoint']}, step {metrics['step']}{figure}"
