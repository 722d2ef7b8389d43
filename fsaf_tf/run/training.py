"""The run: checks, devices, then training and evaluation by the Garden's runner."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf
import tf_keras
from official.core import config_definitions

from fsaf_tf import detection, storage
from fsaf_tf.classes import LABELS
from fsaf_tf.config import checks, experiment, schema
from fsaf_tf.data import images
from fsaf_tf.data.source import Sources, open_sources
from fsaf_tf.errors import UserError
from fsaf_tf.evaluate import average_precision, metrics_table
from fsaf_tf.modeling import backbones, freezing
from fsaf_tf.run import checkpoints, devices, early_stop, records, runner
from fsaf_tf.run import task as tasks
from fsaf_tf.terminal.interrupts import Interrupted, Interrupts
from fsaf_tf.terminal.progress import Progress

MODES = ("train", "eval", "train_and_eval", "continuous_eval")


def run(params: config_definitions.ExperimentConfig, model_dir: str, mode: str, *, download: bool = False) -> dict:
    """Trains, evaluates, or both, and goes on where an earlier run in `model_dir` stopped.

    `model_dir` then holds the checkpoints `ckpt-<step>`, the best one in `best/`, `params.yaml`, `labels.json`,
    `run.json`, `metrics.json` of the last evaluation, and TensorBoard's events in `train/` and `validation/`. A run
    that has reached its last step evaluates if that is missing, else only says so. A resumed run restores weights,
    optimizer and step; the order of its data starts anew, from another seed.

    SIGINT and SIGTERM end it after the present loop with a checkpoint, and with SystemExit(128 + signal).

    Args:
        params: the experiment. `runtime.num_gpus` 0 takes all visible GPUs. `trainer.summary_interval` must be a
            multiple of `trainer.steps_per_loop`; the other intervals need not be: evaluation shortens a loop, a
            checkpoint is saved after the loop that passes its multiple.
        model_dir: the folder of the run.
        mode: `train`, `eval` (the newest checkpoint, else `task.init_checkpoint`), `train_and_eval`, or
            `continuous_eval` (each new checkpoint while another process trains).
        download: let TFDS download what is not there.

    Returns:
        What `metrics.json` holds; empty if nothing was evaluated.

    Raises:
        UserError: settings, data or checkpoints do not fit; a loss is not finite.
    """
    _check(params, mode)
    strategy = devices.build_strategy(params.runtime)
    if params.runtime.enable_xla and "train" in mode:
        _check_xla(params, strategy)
    progress = Progress()
    progress.say(devices.describe(strategy, params, mode))
    with Interrupts() as interrupt, _ending(progress, model_dir):
        return _run(params, model_dir.rstrip("/"), mode, strategy, progress, interrupt, download)


def _check(params: config_definitions.ExperimentConfig, mode: str) -> None:
    if mode not in MODES:
        raise UserError(f"--mode is {mode!r}; it must be one of {', '.join(MODES)}")
    checks.check(params, mode)
    known = average_precision.names()
    if params.trainer.best_checkpoint_eval_metric not in known:
        raise UserError(
            f"trainer.best_checkpoint_eval_metric is {params.trainer.best_checkpoint_eval_metric!r}; it must be one of"
            f" {', '.join(known)}"
        )
    if params.trainer.validation_steps != -1:
        raise UserError("trainer.validation_steps must be -1: COCO's figures are of all validation images")


def _check_xla(params: config_definitions.ExperimentConfig, strategy: tf.distribute.Strategy) -> None:
    """Two things that XLA cannot do, or not in useful time, in training.

    Statistics that are trained are summed over the replicas within the forward pass, which it cannot compile. On a CPU
    it makes the gradient of a convolution in groups hundreds of times slower (docs/decisions.md).
    """
    backbone, replicas = params.task.model.backbone, strategy.num_replicas_in_sync
    family = backbones.family(backbone)
    if replicas > 1 and not family.has_frozen_statistics(backbone):
        raise UserError(
            f"runtime.enable_xla works on {replicas} replicas only with ImageNet weights, whose batch normalisation is"
            " frozen; leave it off, or take one replica"
        )
    slow = family.slow_by_xla_on_cpus(backbone)
    if slow and any("CPU" in name for name in devices.names(strategy)):
        raise UserError(
            f"runtime.enable_xla makes a step of {slow} hundreds of times slower on a CPU; leave it off there"
        )


def _run(
    params, model_dir: str, mode: str, strategy, progress: Progress, interrupt: Interrupts, download: bool
) -> dict:
    is_training, is_chief = "train" in mode, strategy.extended.should_checkpoint
    changed = records.check_params(model_dir, params, to_train=is_training)
    prefix = _checkpoint(model_dir, mode, params, progress, set_aside=is_training and is_chief)
    step = checkpoints.step_of(prefix)
    done = records.read_metrics(model_dir, params)
    ended = _end(model_dir, mode, params.trainer, step, evaluated=done.get("step") == step)
    if ended:
        progress.say(f"The run in {model_dir} is finished: {ended}.")
        return _report(done, model_dir, progress)
    if is_training:
        progress.say("\n".join(experiment.rates_report(params)))
    if prefix and is_training:
        progress.say("\n".join([f"Going on from step {step}, {prefix}.", *(f"  {line}" for line in changed)]))
    if prefix and is_training and is_chief:
        checkpoints.write_record(model_dir)
    seed = params.task.train_data.seed + step
    tf_keras.utils.set_random_seed(seed)
    data = _open_data(params.task, mode, progress, download)
    with strategy.scope():
        task = tasks.FSAFTask(params.task, logging_dir=model_dir, runtime=params.runtime, data=data)
    if "eval" in mode and (views := detection.views_of(params.task)):
        progress.say(views.describe())
    records.check_classes(model_dir, task.classes)
    loops = runner.Runner(
        strategy=strategy,
        task=task,
        mode=mode,
        params=_for_the_runner(params, seed),
        model_dir=model_dir,
        prefix=prefix,
        progress=progress,
        interrupt=interrupt,
    )
    if params.task.freeze and is_training:
        progress.say(freezing.report(loops.trainer.model, params.task.freeze))
    if is_chief and mode != "continuous_eval":  # there, the run that trains writes them
        _write_records(model_dir, params, is_training, task, step, strategy)
    return _report(loops.run(), model_dir, progress)


def _end(model_dir: str, mode: str, trainer, step: int, *, evaluated: bool) -> str | None:
    """Why a run has nothing left to do, in words; None if it has."""
    place = f"it is at step {step} of {trainer.train_steps}"
    if "train" in mode and step >= trainer.train_steps and (mode == "train" or evaluated):
        return place
    if mode == "train_and_eval" and evaluated:
        reason = early_stop.reason(early_stop.read(model_dir, step), trainer)
        return f"{place}, stopped early: {reason}; it goes on with more patience" if reason else None
    return None


def _for_the_runner(params, seed: int):
    """The experiment as the Garden's runner gets it.

    XLA is the task's: around the whole step, where the Garden has it, it fails on several replicas. The Garden's action
    on preemption restores a checkpoint by itself, and in a cluster only the chief's.
    """
    return params.replace(
        runtime={"enable_xla": False},
        trainer={"preemption_on_demand_checkpoint": False},
        task={"train_data": {"seed": seed}},
    )


def _checkpoint(model_dir: str, mode: str, params, progress: Progress, set_aside: bool) -> str | None:
    """The checkpoint to start from. Raises a UserError if there is none and the mode needs one."""
    if mode == "continuous_eval":
        return None
    prefix = checkpoints.newest_readable(model_dir, set_aside=set_aside, say=progress.say)
    backbone = params.task.model.backbone
    if prefix:
        return prefix
    if params.task.init_checkpoint:
        checkpoints.find(params.task.init_checkpoint)  # before the data are opened, which may take minutes
    elif mode == "eval":
        raise UserError(
            f"{model_dir} holds no checkpoint to evaluate; train first, or name one by"
            " --params_override=task.init_checkpoint=PATH"
        )
    elif backbones.family(backbone).awaits_checkpoint(backbone):
        raise UserError(
            f"task.model.backbone.{backbone.type}.weights is checkpoint, but there is none: import published weights by"
            " tools/import_weights.py and give the folder as task.init_checkpoint=DIR"
        )
    return None


def _open_data(task: schema.Task, mode: str, progress: Progress, download: bool) -> Sources:
    """Opens the data that the mode needs, so that what is wrong with them is told before anything is built."""
    data = open_sources(task, train="train" in mode, validation="eval" in mode, download=download)
    for source in (data.train, data.validation):
        if source is not None:
            lines = [f"{source.name}: {source.num_images} images, {len(source.classes)} classes", *source.report]
            progress.say("\n  ".join(lines))
    return data


def _write_records(model_dir: str, params, is_training: bool, task, step: int, strategy) -> None:
    """What the run is, written only after its checkpoint and data were found to fit."""
    tf.io.gfile.makedirs(model_dir)
    path = f"{model_dir}/params.yaml"
    if is_training or not tf.io.gfile.exists(path):
        storage.write_text(path, experiment.to_yaml(params))
    task.classes.write(f"{model_dir}/{LABELS}")
    records.record_start(model_dir, step=step, devices=devices.names(strategy))


def _report(metrics: dict, model_dir: str, progress: Progress) -> dict:
    """Prints the table of the last evaluation, if there was one, and where everything is."""
    progress.close()
    if "AP" in metrics:
        progress.say(f"Evaluation of {metrics['checkpoint']}, {metrics['images']} images:")
        progress.say(metrics_table.format_table(metrics))
    progress.say(f"Everything is in {model_dir}; curves and pictures: tensorboard --logdir={model_dir}")
    return metrics


@contextlib.contextmanager
def _ending(progress: Progress, model_dir: str) -> Iterator[None]:
    """Turns a signal, a bad image, a loss that blew up and a lost worker into a line that says what to do."""
    try:
        yield
    except Interrupted as stop:
        newest = next(iter(checkpoints.prefixes(model_dir)), "no checkpoint yet")
        progress.say(f"Stopped by {stop} ({newest}). The same command goes on from there: {records.command()}")
        raise SystemExit(128 + stop.signum) from None
    except tf.errors.InvalidArgumentError as error:
        found = re.search(f"{tasks.NON_FINITE}.*", str(error))
        if not found:
            raise images.user_error(error) or error from None
        said = " ".join(re.sub(r"[\[\]\"]", " ", found[0]).split())
        raise UserError(f"{said}; nothing was saved after that. Look at these images, or lower the rate.") from error
    except tf.errors.UnavailableError as error:
        raise UserError("A worker of the cluster was lost; start all of them again to go on.") from error
    finally:
        progress.close()
