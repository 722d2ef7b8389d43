"""Whether the values of an experiment make sense: each by itself, and together."""

import dataclasses
import math
from collections.abc import Sequence

from official.core import config_definitions
from official.modeling import hyperparams

from fsaf_tf.config import data_checks, data_sources, plain_values, schedule, schema
from fsaf_tf.errors import UserError

SIZES = ("shorter_sides", "ratios")  # of test-time augmentation
# Keys of the Garden that nothing reads here, neither ours nor what is used of the Garden, and what to know instead.
# Left as they are they do no harm, and each params.yaml holds them.
UNREAD = {
    "task.name": "a run is known by its --model_dir",
    "task.allow_image_summary": "pictures are written with each evaluation",
    "trainer.preemption_on_demand_checkpoint": "a run that gets SIGTERM saves a checkpoint in any case",
    "runtime.run_eagerly": "trainer.train_tf_function=false with trainer.train_tf_while_loop=false does that",
    "runtime.gpu_thread_mode": "TensorFlow takes it from TF_GPU_THREAD_MODE in the environment",
    "runtime.per_gpu_thread_count": "TensorFlow takes it from TF_GPU_THREAD_COUNT in the environment",
    "runtime.dataset_num_private_threads": "tf.data finds the number of its threads by itself",
    "runtime.batchnorm_spatial_persistent": (
        "TensorFlow takes it from TF_USE_CUDNN_BATCHNORM_SPATIAL_PERSISTENT in the environment"
    ),
    "runtime.tpu": "TPUs are not supported (docs/scaling.md)",
    "runtime.num_cores_per_replica": "a replica is one device",
    "runtime.default_shard_dim": "a replica is one device",
    "runtime.use_tpu_mp_strategy": "a replica is one device",
}
# Keys of the Garden whose values are checked late there, or never.
STRATEGIES = ("mirrored", "multi_worker_mirrored", "one_device")
_NO_TPU = (
    "runtime.distribution_strategy=tpu does not work: a TPU wants the shapes of a step when it is compiled, and batches"
    " here are landscape or portrait; take mirrored or multi_worker_mirrored on GPUs (docs/scaling.md)"
)
CHOICES = {
    "runtime.distribution_strategy": STRATEGIES,
    "runtime.mixed_precision_dtype": ("float32", "float16", "bfloat16", None, ""),
    "trainer.best_checkpoint_metric_comp": ("higher", "lower"),
}


def check(params: config_definitions.ExperimentConfig, data: Sequence[str] = ()) -> None:
    """Checks that the values make sense together.

    Args:
        params: an experiment.
        data: what is about to be read, `train_data` or `validation_data` or both: it must be named.

    Raises:
        UserError: the first that does not; the message names the key.
    """
    if params.runtime.distribution_strategy == "tpu":
        raise UserError(_NO_TPU)
    _check_unread(params)
    for key, known in CHOICES.items():
        section, _, name = key.partition(".")
        _check_one_of(key, getattr(getattr(params, section), name), known)
    check_fields(params)
    check_model(params.task.model)
    _check_trainer(params.trainer)
    _check_sizes(params.task)
    check_test_augmentation(params.task.test_augmentation)
    check_tiles(params.task)
    _check_evaluation(params.task)
    data_checks.check(params.task, data)


def check_fields(config: hyperparams.Config, prefix: str = "") -> None:
    """Checks each value against what stands beside the default of its field; see `fields`.

    The keys of a branch that is off are checked too: they are in the file for a reason.

    Args:
        config: an experiment, or a part of one.
        prefix: the dotted key of that part, with a dot at its end, for messages.

    Raises:
        UserError: the first value that is not allowed.
    """
    for field in dataclasses.fields(config):
        key, value = f"{prefix}{field.name}", getattr(config, field.name)
        if isinstance(value, hyperparams.Config):
            check_fields(value, f"{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], hyperparams.Config):
            for place, item in enumerate(value):
                check_fields(item, f"{key}[{place}].")
        elif "limits" in field.metadata:
            _check_limits(key, value, *field.metadata["limits"])
        elif "choices" in field.metadata:
            _check_one_of(key, value, field.metadata["choices"])
        elif "least_count" in field.metadata:
            _check_above_zero(key, value, field.metadata["least_count"])


def _check_limits(key: str, value: float, least: float, greatest: float) -> None:
    if not least <= value <= greatest:
        limits = f"at least {least}" if greatest == math.inf else f"from {least} to {greatest}"
        raise UserError(f"{key} must be {limits}, not {value}")


def _check_one_of(key: str, value: int | str, known: Sequence[int | str]) -> None:
    if value not in known:
        words = [str(word) for word in known if word not in ("", None)]
        hint = plain_values.hint(str(value), words)
        raise UserError(f"{key} cannot be {value!r}{hint}; there are: {', '.join(words)}")


def _check_above_zero(key: str, values: Sequence[float], least_count: int) -> None:
    if len(values) < least_count or any(value <= 0 for value in values):
        raise UserError(f"{key} must be numbers above 0{', at least one' * bool(least_count)}, not {values}")


def _check_unread(params: config_definitions.ExperimentConfig) -> None:
    values, defaults = (plain_values.flatten(each.as_dict()) for each in (params, schema.fsaf()))
    for key, instead in UNREAD.items():
        if values[key] != defaults[key]:
            raise UserError(f"{key} has no effect: leave it at {plain_values.shown(defaults[key])}; {instead}")


def check_model(model: schema.Model) -> None:
    """Raises a UserError if no detector can be built from these values, whatever else the experiment says."""
    check_fields(model, "task.model.")
    if not (model.anchor_free.enabled or model.anchor_based.enabled):
        raise UserError("task.model: anchor_free.enabled and anchor_based.enabled are both false; one must be true")
    if model.anchor_free.effective > model.anchor_free.ignoring:
        raise UserError("task.model.anchor_free.effective must not be above task.model.anchor_free.ignoring")
    if model.anchor_based.negative_iou > model.anchor_based.positive_iou:
        raise UserError("task.model.anchor_based.negative_iou must not be above task.model.anchor_based.positive_iou")
    if model.pyramid == "nas_fpn" and (model.min_level, model.max_level) != (3, 7):
        raise UserError("task.model.pyramid nas_fpn has the levels 3 to 7; set min_level and max_level to these")


def _check_sizes(task: schema.Task) -> None:
    size, drawn = task.input_size, task.train_data.shorter_sides
    if size.shorter_side > size.longer_side:
        raise UserError("task.input_size.shorter_side must not be above task.input_size.longer_side")
    if drawn and not (1 <= min(drawn) and max(drawn) <= size.shorter_side):
        raise UserError(
            f"task.train_data.shorter_sides must be from 1 to task.input_size.shorter_side ({size.shorter_side}),"
            f" which the canvas is made for, not {drawn}"
        )
    if drawn and not size.keep_aspect:
        raise UserError("task.train_data.shorter_sides needs task.input_size.keep_aspect; empty one or set the other")
    _check_ranges(task.train_data.augmentation)


def _check_ranges(augmentation: data_sources.Augmentation) -> None:
    for name, what in (("zoom", "scale"), ("crop", "share of the area")):
        limits = getattr(augmentation, name)
        if limits and (len(limits) != 2 or limits[0] > limits[1]):
            raise UserError(f"task.train_data.augmentation.{name} must be a least and a greatest {what}, not {limits}")
    if augmentation.crop and augmentation.crop[1] > 1:
        raise UserError(
            f"task.train_data.augmentation.crop: no part has {augmentation.crop[1]} times the area of its image"
        )


def check_test_augmentation(augmentation: schema.TestAugmentation) -> None:
    """Raises a UserError if there is not exactly one list of sizes, of possible ones."""
    prefix = "task.test_augmentation"
    given = [name for name in SIZES if getattr(augmentation, name)]
    if len(given) != 1:
        problem = "are both set; leave one, or empty the other with []" if given else "are both empty; set one"
        raise UserError(f"{prefix}: {' and '.join(SIZES)} {problem}")
    check_fields(augmentation, f"{prefix}.")


def check_tiles(task: schema.Task) -> None:
    """Raises a UserError if tiles are not possible, or not together with test-time augmentation."""
    check_fields(task.tiles, "task.tiles.")
    if task.tiles.size and task.test_augmentation.enabled:
        raise UserError("task.tiles and task.test_augmentation do not go together; leave one of them out")


def _check_evaluation(task: schema.Task) -> None:
    wanted, kept = task.evaluation.max_detections, task.model.postprocess.max_detections
    if wanted > max(kept, schema.Evaluation().max_detections):
        raise UserError(
            f"task.evaluation.max_detections is {wanted}, but a detector keeps {kept} detections of an image; set"
            f" task.model.postprocess.max_detections={wanted} too"
        )


def _check_trainer(trainer: config_definitions.TrainerConfig) -> None:
    if trainer.summary_interval % trainer.steps_per_loop:
        raise UserError(
            f"trainer.summary_interval ({trainer.summary_interval}) must be a multiple of trainer.steps_per_loop "
            f"({trainer.steps_per_loop})"
        )
    prefix = "trainer.optimizer_config"
    for part in ("optimizer", "learning_rate"):
        if getattr(trainer.optimizer_config, part).type is None:
            raise UserError(f"{prefix}.{part}.type must not be null")
    for key, rate in schedule.rates(trainer.optimizer_config).items():
        if min(rate if isinstance(rate, list) else [rate]) < 0:
            raise UserError(f"{prefix}.{key} must not be below 0, not {rate}")
    rate = trainer.optimizer_config.learning_rate
    if rate.type == "stepwise":
        boundaries, values = rate.stepwise.boundaries or [], rate.stepwise.values or []
        key = f"{prefix}.learning_rate.stepwise"
        if boundaries != sorted(set(boundaries)):
            raise UserError(f"{key}.boundaries must increase, not {boundaries}")
        if len(values) != len(boundaries) + 1:
            raise UserError(f"{key}.values must be one more than the {len(boundaries)} boundaries, not {len(values)}")
