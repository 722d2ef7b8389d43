"""The Garden's trainer and runner, with our controller, checkpoints and results."""

import dataclasses
import functools
import tempfile
from collections.abc import Callable

import tensorflow as tf
from official.core import base_trainer, train_lib, train_utils
from official.modeling import optimization

from fsaf_tf.run import checkpoints
from fsaf_tf.run.controller import Controller


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """Figures, nested as the task returns them, and detections in the form of COCO's results.

    In an object of their own because a `tf.Module` such as the trainer wraps lists and dicts that are set on it.
    """

    results: dict
    detections: list


class Trainer(base_trainer.Trainer):
    """The Garden's trainer. It tells of each evaluated batch, and keeps its nested results out of the summaries.

    Attributes:
        on_batch: called after each batch of an evaluation.
        evaluated: the last evaluation.
    """

    on_batch: Callable[[], None] = staticmethod(lambda: None)
    evaluated: Evaluated

    def eval_reduce(self, state=None, step_outputs=None):
        """See the base class."""
        state = super().eval_reduce(state, step_outputs)
        self.on_batch()
        return state

    def eval_end(self, aggregated_logs=None) -> dict:
        """Reduces the logs of all batches; unlike the base class also those without a single detection.

        Returns:
            The results, flat: `AP_by_class/<name>`.
        """
        detections = aggregated_logs or []
        results = self.task.reduce_aggregated_logs(detections, global_step=self.global_step)
        name = self.config.trainer.best_checkpoint_eval_metric
        if self.checkpoint_exporter:
            self.checkpoint_exporter.maybe_export_checkpoint(self.checkpoint, results, self.global_step.numpy())
            results = {**results, f"best_{name}": self.checkpoint_exporter.best_ckpt_logs[name]}
        if isinstance(self.optimizer, optimization.ExponentialMovingAverage):
            self.optimizer.swap_weights()
        self.evaluated = Evaluated(results, detections)
        return dict(_flat(results))


def _flat(nested: dict, prefix: str = ""):
    for name, value in nested.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value


class Runner(train_lib.OrbitExperimentRunner):
    """The Garden's runner: our trainer and controller, no count of FLOPs at the end.

    Every worker of a cluster restores from `model_dir`, and only the chief writes there. (The Garden gives the other
    workers an empty folder, so that after a restart they begin at step 0.)
    """

    def __init__(self, *, strategy, task, mode, params, model_dir, prefix, progress, interrupt):
        """Builds the model and restores `prefix`; see `Controller` and the base class."""
        self._is_chief = strategy.extended.should_checkpoint
        self._scratch = tempfile.TemporaryDirectory()  # what is not kept: all workers must take part in saving
        controller = functools.partial(
            Controller,
            params=params,
            task=task,
            model_dir=model_dir,
            prefix=prefix,
            progress=progress,
            interrupt=interrupt,
        )
        super().__init__(
            strategy, task, mode, params, model_dir, save_summary=self._is_chief, controller_cls=controller
        )

    def run(self) -> dict:
        """Runs the mode; the metrics of the last evaluation."""
        trainer = self.params.trainer
        with self.strategy.scope():
            if self._mode == "train":
                self.controller.train(trainer.train_steps)
            elif self._mode == "train_and_eval":
                steps, interval = trainer.validation_steps, trainer.validation_interval
                self.controller.train_and_evaluate(trainer.train_steps, steps, interval)
            elif self._mode == "eval":
                self.controller.evaluate(trainer.validation_steps)
            else:
                self.controller.evaluate_continuously(trainer.validation_steps, trainer.continuous_eval_timeout)
        return self.controller.metrics

    def _build_trainer(self, task, train: bool, evaluate: bool) -> Trainer:
        """As the Garden's `create_trainer`, which adds a line of its own to every error."""
        with self.strategy.scope():
            return Trainer(
                self.params,
                task,
                model=task.build_model(),
                optimizer=train_utils.create_optimizer(task, self.params),
                train=train,
                evaluate=evaluate,
                checkpoint_exporter=self._build_best_checkpoint_exporter(),
            )

    def _build_best_checkpoint_exporter(self) -> checkpoints.BestExporter | None:
        trainer = self.params.trainer
        if self._mode == "eval" or not trainer.best_checkpoint_export_subdir:
            return None
        directory = f"{self._kept_in()}/{trainer.best_checkpoint_export_subdir}"
        return checkpoints.BestExporter(
            directory, trainer.best_checkpoint_eval_metric, trainer.best_checkpoint_metric_comp
        )

    def _maybe_build_checkpoint_manager(self) -> tf.train.CheckpointManager:
        is_training = "train" in self._mode
        return tf.train.CheckpointManager(
            self.trainer.checkpoint,
            directory=self._kept_in() if is_training else self._scratch.name,
            max_to_keep=self.params.trainer.max_to_keep if self._is_chief else 1,
            init_fn=self.trainer.initialize,
        )

    def _kept_in(self) -> str:
        return self.model_dir if self._is_chief else self._scratch.name
