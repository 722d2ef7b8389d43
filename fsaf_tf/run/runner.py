"""The Garden's trainer and runner, with our controller, checkpoints and results."""

import dataclasses
import functools
import tempfile
from collections.abc import Callable

import tensorflow as tf
from official.core import base_trainer, train_lib, train_utils
from official.modeling import optimization

from fsaf_tf import objective
from fsaf_tf.detection import ALL
from fsaf_tf.run import level_watch
from fsaf_tf.run.best import BestExporter
from fsaf_tf.run.controller import Controller
from fsaf_tf.run.run import Run
from fsaf_tf.run.task import VALIDATION_LOSS, FSAFTask
from fsaf_tf.run.workers import Workers


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """Figures, nested as the task returns them, detections in the form of COCO's results, and whether it is a new best.

    In an object of their own because a `tf.Module` such as the trainer wraps lists and dicts that are set on it.
    """

    results: dict
    detections: list
    is_best: bool


class Trainer(base_trainer.Trainer):
    """The Garden's trainer. It tells of each evaluated batch, and keeps its nested results out of the summaries.

    Attributes:
        on_batch: called after each batch of an evaluation.
        evaluated: the last evaluation.
        is_stopped: a variable; once it is True, a loop of steps ends after the present one.
        workers: of the cluster. An evaluation's detections are those of all, its figures the chief's.
    """

    on_batch: Callable[[], None] = staticmethod(lambda: None)
    evaluated: Evaluated
    is_stopped: tf.Variable
    workers: Workers

    def create_train_loop_fn(self):
        """A loop of at most so many steps; see the base class."""
        options = self._train_options
        step_fn = self.train_step
        if options.use_tf_function and not options.use_tf_while_loop:
            step_fn = tf.function(step_fn)

        def loop(iterator, num_steps):
            step = tf.constant(0)
            while step < num_steps and not self.is_stopped:
                with tf.name_scope(""):  # else the names of the steps' ops begin with that of the loop
                    step_fn(iterator)
                step += 1

        return tf.function(loop) if options.use_tf_while_loop else loop

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
        rows = self._of_all_workers(aggregated_logs or {})
        detections = rows.get(ALL, [])
        counted = self._losses() | self._levels()  # sums over the workers, which all must ask for
        results = self.workers.of_chief(lambda: self._figures(rows)) | counted
        name, best, is_best = self.config.trainer.best_checkpoint_eval_metric, self.checkpoint_exporter, False
        if best:
            is_best = best.maybe_export_checkpoint(self.checkpoint, results, self.global_step.numpy())
            results = {**results, f"best_{name}": self.workers.of_chief(lambda: best.best_ckpt_logs[name])}
        self.swap_averages()
        self.evaluated = Evaluated(results, detections, is_best)
        losses = results.get("losses", {})  # with the names that they have in training
        return dict(_flat({name: value for name, value in results.items() if name != "losses"})) | losses

    def _of_all_workers(self, rows: dict[str, list[dict]]) -> dict[str, list[dict]]:
        """The results of all workers, each of whom has some of the images."""
        together = {}
        for of_worker in self.workers.gather(rows):
            for branch, found in of_worker.items():
                together.setdefault(branch, []).extend(found)
        return together

    def _figures(self, rows: dict[str, list[dict]]) -> dict:
        figures = self.task.reduce_aggregated_logs(rows.get(ALL, []), global_step=self.global_step)
        return figures | self._branches(rows)

    def _losses(self) -> dict:
        """`losses` of the validation data; empty where none were counted, as in an evaluation in several views."""
        names = (VALIDATION_LOSS, *objective.loss_names(self.config.task.branches()))
        counted = {metric.name: metric for metric in self.validation_metrics if metric.count.numpy()}
        losses = {name: float(counted[name].result()) for name in names if name in counted}
        return {"losses": losses} if losses else {}

    def _levels(self) -> dict:
        """`levels` and `levels_by_size`: the shares of the objects, by level; empty where none were counted."""
        pair = level_watch.of_levels({metric.name: float(metric.result()) for metric in self.validation_metrics})
        names = ("levels", "levels_by_size")
        found = {name: {str(level): share for level, share in shares.items()} for name, shares in zip(names, pair)}
        return found if any(found["levels"].values()) else {}

    def _branches(self, rows: dict[str, list[dict]]) -> dict:
        """`branches`: figures of each branch alone; empty of a detector that has one."""
        return {"branches": self.task.branch_figures(rows)} if len(rows) > 1 else {}

    def swap_averages(self) -> None:
        """Swaps the weights with their moving averages, if the optimizer has these: the best checkpoint is swapped."""
        if isinstance(self.optimizer, optimization.ExponentialMovingAverage):
            self.optimizer.swap_weights()


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

    def __init__(self, run: Run, task: FSAFTask):
        """Builds the model and restores the run's checkpoint; see `Controller` and the base class."""
        self._run = run
        self._scratch = tempfile.TemporaryDirectory()  # what is not kept: all workers must take part in saving
        with tf.device("CPU:0"):
            self._is_stopped = tf.Variable(False, trainable=False)
        if not run.in_cluster:  # there all must take as many steps
            run.interrupt.on_signal = lambda: self._is_stopped.assign(True)
        controller = functools.partial(Controller, run, task)
        super().__init__(
            run.strategy,
            task,
            run.mode.name,
            run.params,
            run.model_dir,
            save_summary=run.is_chief,
            controller_cls=controller,
        )

    def run(self) -> dict:
        """Runs the mode; the metrics of the last evaluation."""
        trainer, mode = self._run.trainer, self._run.mode
        with self.strategy.scope():
            if mode.watches:
                self.controller.evaluate_continuously(trainer.validation_steps, trainer.continuous_eval_timeout)
            elif mode.is_one_evaluation:
                self.controller.evaluate(trainer.validation_steps)
            elif mode.evaluates:
                steps, interval = trainer.validation_steps, trainer.validation_interval
                self.controller.train_and_evaluate(trainer.train_steps, steps, interval)
            else:
                self.controller.train(trainer.train_steps)
        return self.controller.metrics

    def _build_trainer(self, task, train: bool, evaluate: bool) -> Trainer:
        """As the Garden's `create_trainer`, which adds a line of its own to every error."""
        with self.strategy.scope():
            trainer = Trainer(
                self.params,
                task,
                model=task.build_model(),
                optimizer=train_utils.create_optimizer(task, self.params),
                train=train,
                evaluate=evaluate,
                checkpoint_exporter=self._build_best_checkpoint_exporter(task),
            )
        trainer.is_stopped, trainer.workers = self._is_stopped, self._run.workers
        return trainer

    def _build_best_checkpoint_exporter(self, task: FSAFTask) -> BestExporter | None:
        trainer, folder = self._run.trainer, self._run.best_dir
        if not (self._run.mode.keeps_best and folder):
            return None
        kept = folder if self._run.is_chief else f"{self._scratch.name}/best"
        metric, comp = trainer.best_checkpoint_eval_metric, trainer.best_checkpoint_metric_comp
        return BestExporter(kept, metric, comp, task.data_digest(), self._run.progress.say, self._run.workers.of_chief)

    def _maybe_build_checkpoint_manager(self) -> tf.train.CheckpointManager:
        is_kept = self._run.mode.trains and self._run.is_chief
        return tf.train.CheckpointManager(
            self.trainer.checkpoint,
            directory=self._run.model_dir if is_kept else self._scratch.name,
            max_to_keep=self._run.trainer.max_to_keep if self._run.is_chief else 1,
            init_fn=self.trainer.initialize,
        )
