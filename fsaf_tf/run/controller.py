"""Orbit's outer loop as a run wants it: quiet, evaluated where it left off, every result on disk before the next."""

import math
import time

import orbit
import tensorflow as tf

from fsaf_tf.config import experiment
from fsaf_tf.data.bad_pictures import NONE_ALLOWED
from fsaf_tf.data.findings import listed
from fsaf_tf.files import storage
from fsaf_tf.run import early_stop, init_weights, logbook, memory, on_disk, records, restore
from fsaf_tf.run.level_watch import LevelWatch
from fsaf_tf.run.run import Run
from fsaf_tf.run.task import VALIDATION_LOSS, FSAFTask
from fsaf_tf.terminal import progress as progress_lines

TIMED_LOOPS = 4  # after so many it is said how long the run will take


class Controller(orbit.Controller):
    """Orbit's controller with our lines, checkpoints at round steps, and one before each evaluation.

    Training logs are averaged over `trainer.summary_interval` steps; pictures are written with each evaluation.
    """

    def __init__(self, run: Run, task: FSAFTask, **kwargs):
        """Restores the run's checkpoint, or initialises the model if it has none.

        Args:
            run: what it does.
            task: its task.
            **kwargs: Orbit's.
        """
        self._run = run
        self._params = run.params
        self._task = task
        self._checkpoint = run.checkpoint.prefix if run.checkpoint else None
        self._progress = run.progress
        self._interrupt = run.interrupt
        self._rate = progress_lines.Rate()
        selection = run.params.task.anchor_free().selection
        self._levels = LevelWatch(selection.warmup_steps(run.trainer.train_steps), run.progress.say)
        self._logs = []
        self._evaluation_seconds: float | None = None  # of the last one
        self._has_said_nothing_found = False
        self._bad = task.training_source.bad if run.mode.trains else NONE_ALLOWED
        self._bad_told = len(self._bad.problems)  # the others are told when the data are opened
        self.metrics = run.workers.of_chief(self._known_metrics)
        if run.is_chief:
            kwargs["eval_summary_dir"] = f"{run.results_dir}/{run.trainer.validation_summary_subdir}"
        super().__init__(**kwargs)
        self.logbook = logbook.Logbook(run)
        self._saved_step = self._step
        self.evaluator.on_batch = self._after_batch

    def _known_metrics(self) -> dict:
        metrics = records.read_metrics(self._run.model_dir, self._params)
        is_current = bool(metrics) and self._run.mode.evaluates and records.is_of(metrics, self._task.data_digest())
        return metrics if is_current else {}

    @property
    def _step(self) -> int:
        return int(self.global_step.numpy())

    # Training.

    def train(self, steps: int, checkpoint_at_completion: bool = True) -> None:
        """Trains up to step `steps`; a signal ends it after the present step, with a checkpoint.

        In a cluster after the present loop: a signal may reach one worker, and all must end at the same step.
        """
        with self._interrupt.deferred():
            while (step := self._step) < steps and not self._is_asked_to_stop():
                self._train_n_steps(min(steps - step, self.steps_per_loop))
                self._maybe_save_checkpoint()
            is_asked = self._is_asked_to_stop()
            if is_asked or checkpoint_at_completion:
                self._maybe_save_checkpoint(check_interval=False)
            if self._logs:
                self._write_logs()
        if is_asked or not self._run.in_cluster:  # there a later one waits for the next loop
            self._interrupt.check()

    def _is_asked_to_stop(self) -> bool:
        """Whether a signal waits, for whichever worker it came."""
        signum = self._run.workers.most(self._interrupt.signum)  # one that comes meanwhile waits for the next time
        self._interrupt.request(signum)
        return bool(signum)

    def train_and_evaluate(self, train_steps: int, eval_steps: int = -1, eval_interval: int | None = None) -> dict:
        """Trains up to `train_steps`, evaluating at every multiple of `eval_interval` and at the end.

        A step that was reached but not evaluated before a restart is evaluated first. The run ends before its last step
        as `trainer.early_stop_patience` says.
        """
        interval = eval_interval or train_steps
        while True:
            step = self._step
            if (step >= train_steps or (step and step % interval == 0)) and self.metrics.get("step") != step:
                self.evaluate(eval_steps)
            if step >= train_steps or self._stops_early(step):
                return self.metrics
            self.train(min(train_steps, (step // interval + 1) * interval))

    def _stops_early(self, step: int) -> bool:
        trainer = self._run.trainer
        record = self._run.workers.of_chief(lambda: early_stop.read(self._run.model_dir, step))
        reason = early_stop.reason(record, trainer)
        if reason:
            kept = f"; the best checkpoint is in {self._run.best_dir}" if self._run.best_dir else ""
            self._progress.say(f"Stopped early at step {step} of {trainer.train_steps}: {reason}{kept}.")
        return reason is not None

    def _train_n_steps(self, num_steps: int) -> None:
        start, first = time.monotonic(), self._step
        logs = self.trainer.train(tf.constant(num_steps, tf.int32))
        num_steps = self._step - first  # fewer where a signal came
        if not num_steps:
            return
        for action in self.train_actions:
            action(logs)
        logs = tf.nest.map_structure(orbit.utils.get_value, logs)
        seconds = time.monotonic() - start
        images = num_steps * self._params.task.train_data.global_batch_size
        self._rate.add(images, seconds)
        self._logs.append((num_steps, {**logs, "images_per_second": images / seconds}))
        if self._rate.count == 1:
            self._progress.say(memory.taken(self.trainer.optimizer))
        step = self._step
        self._levels.add(step, num_steps, logs)
        interval = self._run.trainer.summary_interval
        if step // interval > (step - num_steps) // interval:
            self._write_logs()
        self._show(step, float(logs["training_loss"]))

    def _write_logs(self) -> None:
        total = sum(steps for steps, _ in self._logs)
        means = {name: sum(steps * logs[name] for steps, logs in self._logs) / total for name in self._logs[0][1]}
        if self._bad.are_allowed:
            means["bad_pictures"] = len(self._bad.problems)
            self._tell_bad_pictures()
        self.summary_manager.write_summaries(means)
        self.summary_manager.flush()
        self.logbook.add(logbook.TRAIN, self._step, storage.plain(means))
        self._logs.clear()

    def _tell_bad_pictures(self) -> None:
        """Names those that were left out since the last time."""
        cases = self._bad.cases[self._bad_told :]
        if not cases:
            return
        self._bad_told += len(cases)
        self._progress.tell(f"Left out of training, as max_bad_pictures allows: {listed(cases)}.")
        with self.summary_manager.summary_writer().as_default():
            tf.summary.text("bad_pictures", cases, step=self.global_step)

    def _show(self, step: int, loss: float) -> None:
        trainer = self._run.trainer
        levels, ap, rate = self._levels.short, self.metrics.get("AP"), self._rate.per_second
        seconds_left = self._seconds_left(step, rate) if rate else 0.0
        if self._rate.count == TIMED_LOOPS and seconds_left > 60:
            steps, time_left = trainer.train_steps - step, progress_lines.duration(seconds_left)
            self._progress.say(f"By its first steps this machine takes {time_left} for the {steps} that are left.")
        line = progress_lines.training_line(step, trainer.train_steps, loss, levels, ap, rate, seconds_left)
        self._progress.update(line)

    def _seconds_left(self, step: int, images_per_second: float) -> float:
        """Of training and evaluations; the first of these is taken to cost half of what its images do in training."""
        trainer = self._run.trainer
        seconds = (trainer.train_steps - step) * self._params.task.train_data.global_batch_size / images_per_second
        if not self._run.mode.evaluates:
            return seconds
        evaluations = math.ceil(trainer.train_steps / trainer.validation_interval) - step // trainer.validation_interval
        expected = self._task.source.num_images / images_per_second / 2
        return seconds + evaluations * (expected if self._evaluation_seconds is None else self._evaluation_seconds)

    # Checkpoints.

    def restore_checkpoint(self, checkpoint_path: str | None = None) -> None:
        """Restores `checkpoint_path`, else the checkpoint this was made with; else starts as the task says.

        Returns nothing, where the base class returns a path, which Orbit then prints.
        """
        self._checkpoint = checkpoint_path or self._checkpoint
        with self.strategy.scope():
            if self._checkpoint:
                if not self._run.mode.is_one_evaluation:  # the others save, maybe before a step
                    restore.create_variables(self.evaluator.optimizer, self.evaluator.model.trainable_variables)
                left_out = experiment.layers_beside(self._run.branch)
                restore.restore(self.checkpoint_manager.checkpoint, self._checkpoint, left_out)
                if on_disk.is_best(self._checkpoint):
                    self.evaluator.swap_averages()
            elif self._params.task.init_checkpoint:
                init_weights.restore_weights(
                    self.evaluator.model,
                    self._params.task.init_checkpoint,
                    self._task.classes,
                    say=self._progress.say,
                    to_train=self.trainer is not None,
                )
            else:
                self.checkpoint_manager.restore_or_initialize()

    def _maybe_save_checkpoint(self, check_interval: bool = True) -> bool:
        """Saves if the last step is past a multiple of the interval, or in any case; never a step twice."""
        step, interval = self._step, self._run.trainer.checkpoint_interval
        if step == self._saved_step or (check_interval and step // interval == self._saved_step // interval):
            return False
        self._checkpoint = self.checkpoint_manager.save(checkpoint_number=step)
        self._saved_step = step
        return True

    # Evaluation.

    def evaluate(self, steps: int = -1) -> dict:
        """Evaluates all validation images and writes `metrics.json`, `detections.json` and the summaries.

        Returns:
            What `metrics.json` holds.
        """
        self._eval_total = self._task.source.num_images
        self._eval_images, self._eval_rate, self._eval_clock = 0, progress_lines.Rate(), time.monotonic()
        start = time.monotonic()
        logs = self.evaluator.evaluate(tf.constant(steps, tf.int32))
        for action in self.eval_actions:
            action(logs)
        self._evaluation_seconds = time.monotonic() - start
        self._record(self._evaluation_seconds)
        self._write_evaluation(logs)
        return self.metrics

    def _write_evaluation(self, logs: dict) -> None:
        figures = tf.nest.map_structure(orbit.utils.get_value, logs)
        self.eval_summary_manager.write_summaries(figures)
        self.logbook.add(logbook.VALIDATION, self._step, storage.plain(figures))
        with self.eval_summary_manager.summary_writer().as_default():
            for name, pictures in self._task.summary_pictures(self.evaluator.model).items():
                tf.summary.image(name, pictures, step=self.global_step, max_outputs=len(pictures))
        self.eval_summary_manager.flush()

    def evaluate_continuously(self, steps: int = -1, timeout: float | None = None, timeout_fn=None) -> dict:
        """Evaluates each new checkpoint of `model_dir`, until that of the last step or until none comes in time."""
        for prefix in tf.train.checkpoints_iterator(self._run.model_dir, timeout=timeout, timeout_fn=timeout_fn):
            reason = on_disk.problem(prefix)
            if reason:
                self._progress.say(f"Checkpoint {prefix} cannot be read ({reason}); waiting for the next.")
                continue
            self.restore_checkpoint(prefix)
            self.evaluate(steps)
            if self._step >= self._run.trainer.train_steps:
                break
        return self.metrics

    def _after_batch(self) -> None:
        now, batch_size = time.monotonic(), self._params.task.validation_data.global_batch_size
        if self._params.task.tiles.size:
            batch_size = self._run.strategy.num_replicas_in_sync  # a picture each
        images = min(self._eval_images + batch_size, self._eval_total)
        rate = self._eval_rate.add(images - self._eval_images, now - self._eval_clock)
        self._eval_images, self._eval_clock = images, now
        self._progress.update(progress_lines.evaluation_line(images, self._eval_total, rate))

    def _record(self, seconds: float) -> None:
        evaluated = self.evaluator.evaluated
        results = storage.plain(evaluated.results)
        checkpoint = (self._checkpoint or self._params.task.init_checkpoint).removeprefix(f"{self._run.model_dir}/")
        facts = {"step": self._step, "images": self._eval_total, "checkpoint": checkpoint}
        facts |= records.evaluation_keys(self._params) | {records.DIGEST: self._task.data_digest()}
        facts |= {"branch": self._run.branch} if self._run.branch else {}
        self.metrics = {**results, **facts, "seconds": round(seconds, 1)}
        shown = [f"{name} {results[name]:.3f}" for name in ("AP", "AP50") if results.get(name) is not None]
        figures = ", ".join(shown) or "no AP"
        loss = results.get("losses", {}).get(VALIDATION_LOSS)
        figures += "" if loss is None else f", loss {loss:.4g}"
        self._progress.keep(f"step {facts['step']}: {figures} on {self._eval_total} images")
        if not evaluated.detections:
            self._say_nothing_found()
        if self._run.is_chief:
            self._write_figures(evaluated, facts)

    def _write_figures(self, evaluated, facts: dict) -> None:
        results = storage.plain(evaluated.results)
        if self.trainer is not None:
            metric = self._run.trainer.best_checkpoint_eval_metric
            early_stop.add(self._run.model_dir, self._step, facts[records.DIGEST], metric, results[metric])
        if evaluated.is_best:
            self.evaluator.checkpoint_exporter.record(self.metrics, evaluated.detections, results)
        records.write_evaluation(self._run.results_dir, self.metrics, evaluated.detections)

    def _say_nothing_found(self) -> None:
        """What to look at where no detection of an evaluation has a score worth keeping; once."""
        if self._has_said_nothing_found:
            return
        self._has_said_nothing_found = True
        self._progress.say(
            "  Nothing was found on any image: no score is above task.model.postprocess.score_threshold,"
            f" {self._params.task.model.postprocess.score_threshold:g}. If that stays, look at the starting weights and"
            " the rates (first lines), at the loss, and at what is learnt from (visualize --figure=batch)."
        )
