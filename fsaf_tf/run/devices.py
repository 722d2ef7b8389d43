"""The devices of a run, and how a batch is shared among them."""

import tensorflow as tf
from official.common import distribute_utils
from official.core import config_definitions
from official.modeling import performance

from fsaf_tf.errors import UserError
from fsaf_tf.modeling import backbones
from fsaf_tf.run.mode import Mode


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
        distribute_utils.configure_cluster(runtime.worker_hosts, runtime.task_index)
        return distribute_utils.get_distribution_strategy(
            name,
            num_gpus=num_gpus,
            all_reduce_alg=runtime.all_reduce_alg,
            num_packs=runtime.num_packs,
            tpu_address=runtime.tpu,
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
        UserError: a batch does not divide by the replicas, or a cluster is to evaluate, where each worker would score
            its own share of the images.
    """
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and mode.evaluates:
        raise UserError(
            f"--mode={mode.name} does not work with multi_worker_mirrored; take --mode=train there, and"
            " --mode=continuous_eval with another strategy beside it"
        )
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
