"""Whether the values of an experiment make sense: each by itself, and together."""

import math

from official.core import config_definitions

from fsaf_tf.config import plain_values, schema
from fsaf_tf.errors import UserError

# Key: least and greatest value. The keys of a branch that is off are checked too: they are in the file for a reason.
_LIMITS = {
    "task.model.num_classes": (0, math.inf),
    "task.model.location_offset": (0, 1),
    "task.model.fpn.channels": (1, math.inf),
    "task.model.heads.convs": (0, math.inf),
    "task.model.heads.channels": (1, math.inf),
    "task.model.anchor_free.effective": (0, 1),
    "task.model.anchor_free.ignoring": (0, 1),
    "task.model.anchor_free.offset_scale": (1e-3, math.inf),
    "task.model.anchor_free.loss_weight": (0, math.inf),
    "task.model.anchor_based.positive_iou": (0, 1),
    "task.model.anchor_based.negative_iou": (0, 1),
    "task.model.anchor_based.box_loss_beta": (1e-6, math.inf),
    "task.model.postprocess.score_threshold": (0, 1),
    "task.model.postprocess.max_per_level": (1, math.inf),
    "task.model.postprocess.nms_iou": (0, 1),
    "task.model.postprocess.max_detections": (1, math.inf),
    "task.head_rate_multiplier": (1e-3, math.inf),
    "task.losses.focal_alpha": (0, 1),
    "task.losses.focal_gamma": (0, math.inf),
    "task.losses.weight_decay": (0, math.inf),
    "task.input_size.shorter_side": (1, math.inf),
    "task.input_size.longer_side": (1, math.inf),
    "task.train_data.global_batch_size": (1, math.inf),
    "task.train_data.max_instances": (1, math.inf),
    "task.train_data.shuffle_buffer_size": (1, math.inf),
    "task.validation_data.global_batch_size": (1, math.inf),
    "task.validation_data.max_instances": (1, math.inf),
    "trainer.train_steps": (1, math.inf),
    "trainer.steps_per_loop": (1, math.inf),
    "trainer.summary_interval": (1, math.inf),
    "trainer.checkpoint_interval": (1, math.inf),
    "trainer.validation_interval": (1, math.inf),
    "trainer.max_to_keep": (1, math.inf),
    "trainer.early_stop_patience": (0, math.inf),
}
SOURCES = ("tfds_name", "annotation_file", "input_path")
SIZES = ("shorter_sides", "ratios")  # of test-time augmentation


def check(params: config_definitions.ExperimentConfig, mode: str | None = None) -> None:
    """Checks that the values make sense together.

    Args:
        params: an experiment.
        mode: what it is about to be used for, `train`, `eval`, `train_and_eval` or `continuous_eval`: then it must
            also name the data for that.

    Raises:
        UserError: the first that does not; the message names the key.
    """
    values = plain_values.flatten(params.as_dict())
    for key, (least, greatest) in _LIMITS.items():
        value = values[key]
        if not least <= value <= greatest:
            limits = f"at least {least}" if greatest == math.inf else f"from {least} to {greatest}"
            raise UserError(f"{key} must be {limits}, not {value}")
    _check_model(params.task.model)
    _check_trainer(params.trainer)
    _check_sizes(params.task)
    check_test_augmentation(params.task.test_augmentation)
    _check_data(params.task.train_data, "task.train_data", wanted=mode is not None and "train" in mode)
    _check_data(params.task.validation_data, "task.validation_data", wanted=mode is not None and "eval" in mode)


def _check_model(model: schema.Model) -> None:
    if not (model.anchor_free.enabled or model.anchor_based.enabled):
        raise UserError("task.model: anchor_free.enabled and anchor_based.enabled are both false; one must be true")
    _check_one_of("task.model.pyramid", model.pyramid, schema.PYRAMIDS)
    _check_one_of("task.model.anchor_free.selection", model.anchor_free.selection, schema.SELECTIONS)
    if model.anchor_free.effective > model.anchor_free.ignoring:
        raise UserError("task.model.anchor_free.effective must not be above task.model.anchor_free.ignoring")
    if model.anchor_based.negative_iou > model.anchor_based.positive_iou:
        raise UserError("task.model.anchor_based.negative_iou must not be above task.model.anchor_based.positive_iou")
    for name in ("scales", "aspect_ratios"):
        values = getattr(model.anchor_based, name)
        if not values or min(values) <= 0:
            raise UserError(f"task.model.anchor_based.{name} must be numbers above 0, at least one, not {values}")


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


def check_test_augmentation(augmentation: schema.TestAugmentation) -> None:
    """Raises a UserError if there is not exactly one list of sizes, of possible ones."""
    prefix = "task.test_augmentation"
    given = [name for name in SIZES if getattr(augmentation, name)]
    if len(given) != 1:
        problem = "are both set; leave one, or empty the other with []" if given else "are both empty; set one"
        raise UserError(f"{prefix}: {' and '.join(SIZES)} {problem}")
    values = getattr(augmentation, given[0])
    if min(values) <= 0:
        raise UserError(f"{prefix}.{given[0]} must be numbers above 0, not {values}")


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
    for key, rate in schema.rates(trainer.optimizer_config).items():
        if min(rate if isinstance(rate, list) else [rate]) < 0:
            raise UserError(f"{prefix}.{key} must not be below 0, not {rate}")
    schedule = trainer.optimizer_config.learning_rate
    if schedule.type == "stepwise":
        boundaries, values = schedule.stepwise.boundaries or [], schedule.stepwise.values or []
        key = f"{prefix}.learning_rate.stepwise"
        if boundaries != sorted(set(boundaries)):
            raise UserError(f"{key}.boundaries must increase, not {boundaries}")
        if len(values) != len(boundaries) + 1:
            raise UserError(f"{key}.values must be one more than the {len(boundaries)} boundaries, not {len(values)}")


def _check_data(data: schema.Data, prefix: str, *, wanted: bool) -> None:
    given = [name for name in SOURCES if getattr(data, name)]
    if len(given) > 1:
        raise UserError(f"{prefix}: {' and '.join(given)} are both set; leave one, or empty the other with ''")
    if wanted and not given:
        raise UserError(
            f"{prefix} names no data: set {prefix}.annotation_file (COCO JSON) and {prefix}.image_dir, or "
            f"{prefix}.tfds_name and {prefix}.tfds_split, or {prefix}.input_path (TFRecord files)"
        )
    for source, needed in (("annotation_file", "image_dir"), ("tfds_name", "tfds_split")):
        if given == [source] and not getattr(data, needed):
            raise UserError(f"{prefix}.{source} is set, but {prefix}.{needed} is empty")


def _check_one_of(key: str, value, known) -> None:
    if value not in known:
        words = [str(word) for word in known]
        hint = plain_values.hint(str(value), words)
        raise UserError(f"{key} cannot be {value!r}{hint}; there are: {', '.join(words)}")
