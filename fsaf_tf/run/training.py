"""The run: checks, devices, then training and evaluation by the Garden's runner."""

import dataclasses

import tensorflow as tf
import tf_keras
from official.core import config_definitions

from fsaf_tf.config import checks, experiment, schedule
from fsaf_tf.data import balance, digest, service
from fsaf_tf.data.classes import LABELS, recorded_classes
from fsaf_tf.data.examples import with_classes
from fsaf_tf.data.source import Sources, open_sources, open_validation
from fsaf_tf.errors import UserError
from fsaf_tf.evaluate import average_precision
from fsaf_tf.files import storage
from fsaf_tf.modeling import backbones, freezing
from fsaf_tf.run import (
    checkpoints,
    closing,
    cluster,
    data_report,
    devices,
    early_stop,
    ending,
    held_out,
    leftovers,
    lock,
    memory,
    non_finite,
    on_disk,
    opening,
    records,
    runner,
    trackers,
)
from fsaf_tf.run.checkpoints import Checkpoint
from fsaf_tf.run.mode import Mode, parse
from fsaf_tf.run.run import Run
from fsaf_tf.run.task import NON_FINITE, FSAFTask
from fsaf_tf.run.workers import Workers
from fsaf_tf.terminal.interrupts import Interrupts


def run(
    params: config_definitions.ExperimentConfig,
    model_dir: str,
    mode: str,
    *,
    checkpoint: str | None = None,
    branch: str | None = None,
    download: bool = False,
) -> dict:
    """Trains, evaluates, or both, and goes on where an earlier run in `model_dir` stopped.

    `model_dir` then holds the checkpoints `ckpt-<step>`, the best one in `best/`, `params.yaml`, `labels.json`,
    `run.json`, TensorBoard's events in `train/` and `validation/`, and the same figures in `train.csv` and
    `validation.csv`. Its `metrics.json` and `detections.json` are of the newest checkpoint, those in `best/` of the
    best one; an evaluation of any other writes to `<prefix>-eval`. A run that has reached its last step evaluates if
    that is missing, else only says so. A resumed run restores weights, optimizer and step, and goes on in the order of
    its data: on one CPU it ends with the same bits as one that was never stopped.

    SIGINT and SIGTERM end it after the present step with a checkpoint, and with SystemExit(128 + signal); in a cluster
    all workers, whichever gets one, after the present loop.

    Args:
        params: the experiment. `runtime.num_gpus` 0 takes all visible GPUs. `trainer.summary_interval` must be a
            multiple of `trainer.steps_per_loop`; the other intervals need not be: evaluation shortens a loop, a
            checkpoint is saved after the loop that passes its multiple.
        model_dir: the folder of the run.
        mode: `train`, `eval` (the checkpoint that `checkpoints.choose` says, else `task.init_checkpoint`),
            `train_and_eval`, or `continuous_eval` (each new checkpoint while another process trains).
        checkpoint: to evaluate; see `checkpoints.choose`.
        branch: to evaluate alone, of a detector that has both; see `experiment.take_branch`.
        download: let TFDS download what is not there.

    Returns:
        What `metrics.json` holds; empty if nothing was evaluated.

    Raises:
        UserError: settings, data or checkpoints do not fit; a loss is not finite; another process writes to the folder.
    """
    mode = parse(mode)
    _check(params, mode, {"checkpoint": checkpoint, "branch": branch})
    workers = cluster.meet(params.runtime, mode)
    with workers.told():
        return _as_one_of(workers, params, mode, model_dir.rstrip("/"), _Asked(checkpoint, branch, download))


@dataclasses.dataclass(frozen=True)
class _Asked:
    """What else a run is asked for; see `run`."""

    checkpoint: str | None
    branch: str | None
    download: bool


def _as_one_of(workers: Workers, params, mode: Mode, model_dir: str, asked: _Asked) -> dict:
    """The run of one of the workers, or of the only one."""
    progress, strategy, is_chief = cluster.progress_of(workers.place), workers.strategy, workers.place.is_chief
    if params.runtime.enable_xla and mode.trains:
        devices.check_xla(params, strategy)
    progress.say(devices.describe(strategy, params, mode))
    if is_chief:
        storage.check_folder(model_dir)
    with Interrupts() as interrupt, ending.told(progress, model_dir, params.task, workers.place):
        cluster.check_alike(workers, params, mode.name)
        this = Run(params, mode, model_dir, None, workers, progress, interrupt)
        with lock.held(model_dir, lock.names_of(mode, is_chief), progress.say):
            cluster.check_folder(workers, model_dir)
            if params.trainer.epochs:
                this = _with_steps(this, asked.download)
            changed = workers.of_chief(lambda: _check_same_run(this))
            if asked.branch:
                this = _with_branch(this, asked.branch)
            chosen = cluster.agreed(workers, _checkpoint(this, asked.checkpoint) if is_chief else None)
            metrics = _run(dataclasses.replace(this, checkpoint=chosen), changed, asked.download)
            workers.gather("done")  # one that is gone early is one that is lost
            return metrics


def _with_steps(run: Run, download: bool) -> Run:
    """The run with its length in steps, which `trainer.epochs` gives it together with the training data."""
    if not run.mode.trains:
        return dataclasses.replace(run, params=run.params.replace(trainer={"epochs": 0.0}))
    params, data = run.params.replace(), run.params.task.train_data
    images = open_sources(run.params.task, train=True, validation=False, download=download).train.num_images
    run.progress.say(schedule.take_epochs(params.trainer, images, data.global_batch_size))
    return dataclasses.replace(run, params=params)


def _with_branch(run: Run, branch: str) -> Run:
    """The run with a branch of its detector alone, if that has both."""
    params = run.params.replace()
    return dataclasses.replace(run, params=params, branch=branch if experiment.take_branch(params, branch) else None)


def _check_same_run(run: Run) -> list[str]:
    """See `records.check_params`. What a start left that came to no checkpoint holds nobody to its settings."""
    if not checkpoints.holds_run(run.model_dir):
        return []
    if not records.recorded_params(run.model_dir):
        run.progress.say(
            f"{run.model_dir}/params.yaml is gone or empty: nothing says whether this is the same experiment."
        )
    return records.check_params(run.model_dir, run.params, to_train=run.mode.trains)


def _check(params: config_definitions.ExperimentConfig, mode: Mode, of_evaluation: dict[str, str | None]) -> None:
    given = [flag for flag, value in of_evaluation.items() if value is not None]
    if given and not mode.is_one_evaluation:
        raise UserError(f"--{given[0]} is for --mode=eval; --mode={mode.name} takes the newest of its run, whole")
    checks.check(params, mode.data)
    if mode.trains:
        trackers.check(params.trainer)
    known = average_precision.names()
    if params.trainer.best_checkpoint_eval_metric not in known:
        raise UserError(
            f"trainer.best_checkpoint_eval_metric is {params.trainer.best_checkpoint_eval_metric!r}; it must be one of"
            f" {', '.join(known)}"
        )
    if params.trainer.validation_steps != -1:
        raise UserError("trainer.validation_steps must be -1: COCO's figures are of all validation images")


def _run(run: Run, changed: list[str], download: bool) -> dict:
    done, ended, has_changed = run.workers.of_chief(lambda: _known_end(run))
    if ended and has_changed:
        run.progress.say("The validation data have changed since the last evaluation; it is made again.")
    elif ended:
        run.progress.tell(f"The run in {run.model_dir} is finished: {ended}.")
        return closing.report(run, done)
    opening.say(run, changed)
    tf_keras.utils.set_random_seed(run.params.task.train_data.seed)
    data = _open_data(run, download)
    cluster.check_same_data(run.workers, data)
    task = _task(run, data)
    if checkpoints.holds_run(run.model_dir):
        records.check_classes(run.model_dir, task.classes)
    if run.mode.trains and run.is_chief:
        _clear_up(run)
    with run.interrupt.deferred():  # raised in TensorFlow's C++ it would be a traceback
        loops = runner.Runner(dataclasses.replace(run, params=_for_the_runner(run.params)), task)
    run.interrupt.check()
    if run.params.task.freeze and run.mode.trains:
        run.progress.say(freezing.report(loops.trainer.model, run.params.task.freeze))
    if run.mode.trains:
        run.progress.say(memory.needs(loops.trainer.model, run.params.task, data.train))
    if run.is_chief and not run.mode.watches:  # there, the run that trains writes them
        _write_records(run, task)
    metrics = _looped(run, loops)
    if data.train is not None and data.train.bad.problems:
        run.progress.tell(data.train.bad.line(data.train.name))
    if not run.is_chief:
        run.progress.tell(f"Ended at step {int(loops.controller.global_step.numpy())}, as all workers.")
    return closing.report(run, metrics)


def _task(run: Run, data: Sources) -> FSAFTask:
    """The task of a run, for the steps that are left."""
    with run.strategy.scope():
        return FSAFTask(
            run.params.task,
            logging_dir=None if run.in_cluster else run.model_dir,  # what a bad step needs to be made again
            runtime=run.params.runtime,
            data=data,
            steps=range(run.step, run.trainer.train_steps),
        )


def _looped(run: Run, loops: runner.Runner) -> dict:
    """Trains and evaluates; closes the logbook however that ends."""
    is_whole = False
    try:
        metrics = loops.run()
        is_whole = True
        return metrics
    except tf.errors.InvalidArgumentError as error:
        if NON_FINITE in str(error) and not run.in_cluster:
            non_finite.keep_weights(run.model_dir, loops.trainer.checkpoint)
        raise
    finally:
        loops.controller.logbook.close(is_whole=is_whole)


def _known_end(run: Run) -> list:
    """The figures that a run has, why it has nothing left to do, and whether the data of its figures have changed."""
    done = records.read_metrics(run.model_dir, run.params)
    ended = _end(run, is_evaluated=done.get("step") == run.step)
    return [done, ended, bool(ended) and _has_changed_data(run, done)]


def _has_changed_data(run: Run, metrics: dict) -> bool:
    """Whether the validation data, by their content, are no longer those that the figures of a run are of."""
    if not (run.mode.evaluates and metrics.get(records.DIGEST)):
        return False
    return not records.is_of(metrics, digest.of(open_validation(run.params.task).ground_truth()))


def _clear_up(run: Run) -> None:
    """What a kill left, also one before the first checkpoint was whole.

    Figures of a checkpoint that is gone would be taken for those of the one that will have its step.
    """
    kept = run.checkpoint.prefix if run.checkpoint else None
    if swept := leftovers.sweep(run.model_dir, on_disk.NAME, kept, figures=run.mode.evaluates):
        run.progress.say(swept)
    if run.checkpoint:
        on_disk.write_record(run.model_dir)
    if records.last_step(run.model_dir) > run.step:
        records.forget_evaluation(run.model_dir)


def _end(run: Run, *, is_evaluated: bool) -> str | None:
    """Why a run has nothing left to do, in words; None if it has."""
    mode, step, trainer = run.mode, run.step, run.trainer
    reached = f"it is at step {step} of {trainer.train_steps}"
    if mode.trains and step >= trainer.train_steps and (is_evaluated or not mode.evaluates):
        return reached
    if mode.trains and mode.evaluates and is_evaluated:
        reason = early_stop.reason(early_stop.read(run.model_dir, step), trainer)
        return f"{reached}, stopped early: {reason}; it goes on with more patience" if reason else None
    return None


def _for_the_runner(params):
    """The experiment as the Garden's runner gets it.

    XLA is the task's: around the whole step, where the Garden has it, it fails on several replicas. The Garden's action
    on preemption restores a checkpoint by itself, and in a cluster only the chief's.
    """
    return params.replace(runtime={"enable_xla": False}, trainer={"preemption_on_demand_checkpoint": False})


def _checkpoint(run: Run, wanted: str | None) -> Checkpoint | None:
    """The checkpoint to start from or to evaluate. Raises a UserError if there is none and the mode needs one."""
    init_checkpoint = run.params.task.init_checkpoint
    if run.mode.watches:
        return None
    if run.mode.is_one_evaluation:
        if wanted or checkpoints.holds_run(run.model_dir):
            return checkpoints.choose(run.model_dir, wanted)
        if not init_checkpoint:
            raise UserError(
                f"{run.model_dir} holds no checkpoint to evaluate; train first, or name one by"
                " --params_override=task.init_checkpoint=PATH"
            )
    elif newest := checkpoints.newest_readable(run.model_dir, set_aside=run.is_chief, say=run.progress.say):
        return newest
    if init_checkpoint:
        checkpoints.choose(init_checkpoint)  # before the data are opened, which may take minutes
        return None
    backbone = run.params.task.model.backbone
    if backbones.family(backbone).awaits_checkpoint(backbone):
        raise UserError(
            f"task.model.backbone.{backbone.type}.weights is checkpoint, but there is none: import published weights by"
            " tools/import_weights.py and give the folder as task.init_checkpoint=DIR"
        )
    return None


def _open_data(run: Run, download: bool) -> Sources:
    """Opens the data that the mode needs, so that what is wrong with them is told before anything is built."""
    mode = run.mode
    data = open_sources(run.params.task, train=mode.trains, validation=mode.evaluates, download=download)
    held_out.check(run.model_dir, data.of_classes)
    recorded = recorded_classes(run.model_dir)
    if recorded and not mode.trains:  # data to evaluate on may list only some of them
        source = with_classes(data.validation, recorded, f"the run in {run.model_dir}, its {LABELS}")
        data = Sources(None, source)
    report = data_report.inspect(run.params.task, data)
    run.progress.say("\n".join(report.lines(data_report.MOST_FINDINGS)))
    if report.error:
        raise UserError(report.error)
    if data.train is not None and run.params.task.train_data.service:
        run.progress.say(service.checked(data.train, run.params.task.train_data.service))
    if data.train is not None and run.params.task.train_data.repeat_rare:
        run.progress.say("  " + balance.describe(data.train, run.params.task.train_data.repeat_rare))
    return data_report.with_sizes(data, report)


def _write_records(run: Run, task: FSAFTask) -> None:
    """What the run is, written only after its checkpoint and data were found to fit."""
    for folder in (run.model_dir, run.results_dir):
        tf.io.gfile.makedirs(folder)
    path = f"{run.model_dir}/params.yaml"
    if run.mode.trains or not tf.io.gfile.exists(path):
        storage.write_text(path, experiment.to_yaml(run.params))
    task.classes.write(f"{run.model_dir}/{LABELS}")
    held_out.write(run.model_dir, task.training_source or task.source)
    data = {"train": task.training_source, "validation": task.source}
    records.record_start(run.model_dir, step=run.step, devices=devices.names(run.strategy), data=data)
