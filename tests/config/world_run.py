"""A whole run of the small world in a second: its network has one weight, and its figures are known beforehand."""

import pathlib
import tempfile
from collections.abc import Mapping

import pytest
import tensorflow as tf
import tf_keras

from fsaf_tf.config import schema
from fsaf_tf.evaluate import average_precision
from fsaf_tf.run import services, training
from fsaf_tf.run.task import FSAFTask


def figures(step: int) -> dict[str, float]:
    """Those of an evaluation: AP falls all the time, the others are best at step 8."""
    values = dict.fromkeys(average_precision.names(), 0.9 - abs(step - 8) / 100)
    return values | {"AP": 0.9 - step / 100, "AP_by_class": {}}


class Known(FSAFTask):
    """The task with nothing to compute: what the run does around it is looked at."""

    def build_model(self):
        """One weight."""
        model = tf_keras.Sequential([tf_keras.layers.Dense(1, use_bias=False)])
        model.build([None, 1])
        return model

    def initialize(self, model):
        """As it is."""

    def build_inputs(self, params, input_context=None):
        """Nothing, of no end for training."""
        return tf.data.Dataset.from_tensors(0).repeat(-1 if isinstance(params, schema.TrainData) else 1)

    def build_metrics(self, training=True):
        """None."""
        return []

    def train_step(self, inputs, model, optimizer, metrics=None):
        """Counts."""
        optimizer.apply_gradients([(tf.zeros_like(v), v) for v in model.trainable_variables])
        return {self.loss: tf.constant(0.0)}

    def validation_step(self, inputs, model, metrics=None):
        """Nothing."""
        return {}

    def aggregate_logs(self, state=None, step_logs=None):
        """No detections."""
        return []

    def reduce_aggregated_logs(self, aggregated_logs, global_step=None):
        """Those of `figures`."""
        return figures(int(global_step.numpy()))

    def summary_pictures(self, model):
        """None."""
        return {}


class Remembered:
    """A service that remembers the steps that it was told of."""

    place = "here"
    all: dict[str, dict] = {}

    def __init__(self, sheet: services.Sheet):
        self._steps = self.all.setdefault(sheet.project, {})

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Remembers it, by what comes before the figures' names."""
        [split] = {name.split("/")[0] for name in figures}
        self._steps.setdefault(split, []).append(step)

    def end(self, is_whole: bool) -> None:
        """Nothing."""


def files(params, values: dict) -> dict:
    """The files of a run by the steps in them: checkpoints, the best one, evaluations and summaries."""
    del values
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "FSAFTask", Known)
        patch.setattr(Remembered, "all", {})
        for key in services.KINDS:
            patch.setitem(services.KINDS, key, services.Kind(key, "json", Remembered))
        training.run(params, name, "train_and_eval")
        folder = pathlib.Path(name)
        return {
            "run/checkpoints": _numbers(folder.glob("ckpt-*.index")),
            "run/best": {path.parent.name: _numbers([path]) for path in folder.glob("*/*ckpt-*.index")},
            "run/evaluations": _summaries(folder / "validation"),
            "run/summaries": _summaries(folder / "train"),
            "run/rows": [_rows(folder / f"{split}.csv") for split in ("train", "validation")],
            "run/services": dict(Remembered.all),
        }


def _numbers(paths) -> list[int]:
    return sorted(int(path.stem.split("-")[1]) for path in paths)


def _rows(path: pathlib.Path) -> list[int]:
    return [int(line.split(",")[0]) for line in path.read_text().splitlines()[1:]]


def _summaries(folder: pathlib.Path) -> list[int]:
    steps = set()
    for path in folder.glob("events*"):
        events = tf.compat.v1.train.summary_iterator(str(path))
        steps |= {event.step for event in events if event.summary.value}
    return sorted(steps)
