"""The devices of a run, and how a batch is shared among them."""

import os

import tensorflow as tf
from official.common import distribute_utils
from official.core import config_definitions
from official.modeling import performance

from fsaf_tf.errors import UserError
from fsaf_tf.modeling import backbones
from fsaf_tf.run import tf_config
from fsaf_tf.run.mode import Mode
from fsaf_tf.run.tf_config import Place

CLUSTER = "multi_worker_mirrored"


def place(runtime: config_definitions.RuntimeConfig, mode: Mode) -> Place:
    """Where this process stands among the workers of `TF_CONFIG`, or of `runtime.worker_hosts`, which becomes that.

    Raises:
        UserError: `TF_CONFIG` is wrong or missing, it and the strategy disagree, or a cluster is to watch.
    """
    is_cluster = runtime.distribution_strategy == CLUSTER
    try:
        if is_cluster and runtime.worker_hosts and not tf_config.is_set():
            os.environ.pop(tf_config.KEY, None)  # the Garden reads an empty one
            distribute_utils.configure_cluster(runtime.worker_hosts, runtime.task_index)
    except ValueError as error:
        raise UserError(f"runtime.worker_hosts: {error}") from error
    here = tf_config.read()
    if problem := _in_cluster(runtime, mode, here) if is_cluster else _beside_cluster(runtime, mode, here):
        raise UserError(problem)
    return here if is_cluster else tf_config.ALONE


def _in_cluster(runtime: config_definitions.RuntimeConfig, mode: Mode, here: Place | None) -> str | None:
    """What is wrong with a run of several workers, in words."""
    if here is None:
        return (
            f"runtime.distribution_strategy={CLUSTER} needs {tf_config.KEY} in the environment of each worker, such as"
            f" {tf_config.EXAMPLE}; on one machine take mirrored"
        )
    if mode.watches:
        return (
            f"--mode={mode.name} is for one process beside the cluster: take another runtime.distribution_strategy"
            f" there, without {tf_config.KEY}"
        )
    if runtime.num_gpus:
        return (
            f"runtime.num_gpus has no effect with {CLUSTER}: leave it at 0; CUDA_VISIBLE_DEVICES says which GPUs count"
        )
    return None


def _beside_cluster(runtime: config_definitions.RuntimeConfig, mode: Mode, here: Place | None) -> str | None:
    """What is wrong with a run of one process, in words."""
    if runtime.worker_hosts:
        return f"runtime.worker_hosts has no effect without runtime.distribution_strategy={CLUSTER}"
    if here and not here.is_alone and mode.trains:
        return (
            f"{tf_config.KEY} names {len(here.addresses)} workers, each of which would train alone: set"
            f" runtime.distribution_strategy={CLUSTER}, or unset {tf_config.KEY}"
        )
    return None


def build_strategy(runtime: config_definitions.RuntimeConfig) -> tf.distribute.Strategy:
    """The Garden's strategy over all visible GPUs, or the first `num_gpus` of them; one CPU where there are none.

    Sets the precision of the Keras layers too (`runtime.mixed_precision_dtype`).

    Raises:
        UserError: more GPUs wanted than there are, or what the strategy cannot do.
    """
    name = runtime.distribution_strategy
    num_gpus = _num_gpus(runtime) if name in ("mirrored", "one_device") else 0
    try:
        performance.set_mixed_precision_policy(runtime.mixed_precision_dtype or "float32")
        return distribute_utils.get_distribution_strategy(
            name,
            num_gpus=num_gpus,
            all_reduce_alg=runtime.all_reduce_alg,
            num_packs=runtime.num_packs,
        )
    except (ValueError, TypeError) as error:
        raise UserError(f"runtime: {error}") from error


def _num_gpus(runtime: config_definitions.RuntimeConfig) -> int:
    visible = len(tf.config.list_logical_devices("GPU"))
    if runtime.num_gpus > visible:
        raise UserError(f"runtime.num_gpus is {runtime.num_gpus}, but {visible} GPUs are visible")
    if runtime.num_gpus:
        return runtime.num_gpus
    return min(visible, 1) if runtime.distribution_strategy == "one_device" else visible


def names(strategy: tf.distribute.Strategy) -> list[str]:
    """Short names of this worker's devices, such as `GPU:0`."""
    return [":".join(name.split(":")[-2:]) for name in strategy.extended.worker_devices]


def describe(strategy: tf.distribute.Strategy, params: config_definitions.ExperimentConfig, mode: Mode) -> str:
    """One line: the devices, and how many images each takes a step.

    Raises:
        UserError: a batch does not divide by the replicas.
    """
    replicas = strategy.num_replicas_in_sync
    shares = []
    for key in mode.data:
        batch_size = getattr(params.task, key).global_batch_size
        if batch_size % replicas:
            raise UserError(
                f"task.{key}.global_batch_size is {batch_size}, which does not divide by {replicas} replicas; take"
                f" a multiple of {replicas}"
            )
        word = {"train_data": "train", "validation_data": "eval"}[key]
        shares.append(f"{word} {batch_size} images a step, {batch_size // replicas} on each")
        if key == "train_data" and params.task.accumulation_steps > 1:
            shares[-1] += _parts(batch_size // replicas, params.task.accumulation_steps)
    number = f"{replicas} {'replica' if replicas == 1 else 'replicas'}"
    workers = replicas // len(names(strategy))
    number += f" on {workers} workers, on this one" if workers > 1 else ""
    return f"Devices: {number} ({', '.join(names(strategy))}); {'; '.join(shares)}"


def _parts(images: int, parts: int) -> str:
    if images % parts:
        raise UserError(
            f"task.accumulation_steps is {parts}, which does not divide the {images} images of a step on each replica"
        )
    return f" in {parts} parts of {images // parts}"


def check_xla(params: config_definitions.ExperimentConfig, strategy: tf.distribute.Strategy) -> None:
    """Raises a UserError for two things that XLA cannot do, or not in useful time, in training.

    Statistics that are trained are summed over the replicas within the forward pass, which it cannot compile. On a CPU
    it makes the gradient of a convolution in groups hundreds of times slower (docs/decisions.md).
    """
    backbone, replicas = params.task.model.backbone, strategy.num_replicas_in_sync
    family = backbones.family(backbone)
    is_frozen = family.has_frozen_statistics(backbone) and not params.task.model.heads.batch_norm
    if replicas > 1 and not is_frozen:
        raise UserError(
            f"runtime.enable_xla works on {replicas} replicas only where no batch normalisation is trained: a ResNet"
            " from ImageNet weights, without task.model.heads.batch_norm; leave it off, or take one replica"
        )
    slow = family.slow_by_xla_on_cpus(backbone)
    if slow and any("CPU" in name for name in names(strategy)):
        raise UserError(
            f"runtime.enable_xla makes a step of {slow} hundreds of times slower on a CPU; leave it off there"
        )
