"""Experiments: read, checked and written."""

import contextlib
import math

import tensorflow as tf
from official.core import config_definitions, exp_factory
from official.modeling.hyperparams import params_dict

from fsaf_tf import catalog, configs, strict
from fsaf_tf.errors import UserError


def load(name_or_path: str, config_files=(), overrides: str = "") -> config_definitions.ExperimentConfig:
    """Reads an experiment: the paper's defaults, then its file, then more files, then single keys.

    Args:
        name_or_path: the name of a file in `experiments/`, or the path of a YAML file.
        config_files: paths of YAML files with further differences.
        overrides: `a.b=1,c.d=[1,2]` as the Garden has it, or YAML or JSON text.

    Raises:
        UserError: an unknown name or key, a wrong type or value; the message names the file and the key.
    """
    params = exp_factory.get_exp_config("fsaf")
    layers = [(catalog.read(path), str(path)) for path in (catalog.find(name_or_path), *config_files)]
    layers.append((_parse_overrides(overrides), "--params_override"))
    for values, origin in layers:
        strict.merge(params, values, origin)
    _shorten_warmup(params, [values for values, _ in layers])
    try:
        check(params)
    except UserError as error:
        raise UserError(f"{name_or_path}: {error}") from error
    return params


def read_params(model_dir) -> config_definitions.ExperimentConfig:
    """Reads the experiment that a run wrote to its `model_dir`.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    path = f"{model_dir}/params.yaml"
    try:
        with tf.io.gfile.GFile(path) as file:
            text = file.read()
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: is {model_dir} the folder of a run?") from error
    params = exp_factory.get_exp_config("fsaf")
    strict.merge(params, catalog.parse(text, path), path)
    return params


def to_yaml(params: config_definitions.ExperimentConfig) -> str:
    """Writes an experiment in full; read back it is the same, to the last digit."""
    return catalog.dump(_plain(params.as_dict()))


def rates_report(params: config_definitions.ExperimentConfig) -> list[str]:
    """Lines that tell every learning rate for 16 images and for the batch of this experiment (section 3.4)."""
    batch_size = params.task.train_data.global_batch_size
    given = params.trainer.optimizer_config
    scaled = configs.rates(configs.scale_rates(given, batch_size))
    width = max((len(key) for key in scaled), default=0)
    return [f"learning rates for {configs.REFERENCE_BATCH_SIZE} images a step, and at this batch of {batch_size}:"] + [
        f"  {key:<{width}}  {_digits(rate)}  ->  {_digits(scaled[key])}" for key, rate in configs.rates(given).items()
    ]


def _digits(rate) -> str:
    return ", ".join(f"{value:.6g}" for value in (rate if isinstance(rate, list) else [rate]))


def _plain(value):
    """Mappings, lists and scalars; YAML has no tuples."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _shorten_warmup(params: config_definitions.ExperimentConfig, layers: list[dict]) -> None:
    """The default warm-up is never longer than a tenth of the run; one that a file sets is kept."""
    key = "trainer.optimizer_config.warmup.linear.warmup_steps"
    linear = params.trainer.optimizer_config.warmup.linear
    if not any(_sets(values, key) for values in layers):
        linear.warmup_steps = min(linear.warmup_steps, max(1, params.trainer.train_steps // 10))


def _sets(values, key: str) -> bool:
    for name in key.split("."):
        if not isinstance(values, dict) or name not in values:
            return False
        values = values[name]
    return True


def _parse_overrides(text: str) -> dict:
    with contextlib.suppress(ValueError):  # not the Garden's a.b=1,c=2: then YAML or JSON
        text = params_dict.nested_csv_str_to_json_str(text)
    return catalog.parse(text, "--params_override", "a.b=1,c.d=[1,2] (text with brackets or commas in quotes)")


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
}
_SOURCES = ("tfds_name", "annotation_file", "input_path")


def check(params: config_definitions.ExperimentConfig, mode: str | None = None) -> None:
    """Checks that the values make sense together.

    Args:
        params: an experiment.
        mode: what it is about to be used for, `train`, `eval`, `train_and_eval` or `continuous_eval`: then it must
            also name the data for that.

    Raises:
        UserError: the first that does not; the message names the key.
    """
    for key, (least, greatest) in _LIMITS.items():
        value = _value(params, key)
        if not least <= value <= greatest:
            limits = f"at least {least}" if greatest == math.inf else f"from {least} to {greatest}"
            raise UserError(f"{key} must be {limits}, not {value}")
    _check_model(params.task.model)
    _check_trainer(params.trainer)
    if params.task.input_size.shorter_side > params.task.input_size.longer_side:
        raise UserError("task.input_size.shorter_side must not be above task.input_size.longer_side")
    _check_data(params.task.train_data, "task.train_data", wanted=mode is not None and "train" in mode)
    _check_data(params.task.validation_data, "task.validation_data", wanted=mode is not None and "eval" in mode)


def _value(params, key: str):
    for name in key.split("."):
        params = getattr(params, name)
    return params


def _check_model(model: configs.Model) -> None:
    if not (model.anchor_free.enabled or model.anchor_based.enabled):
        raise UserError("task.model: anchor_free.enabled and anchor_based.enabled are both false; one must be true")
    _check_one_of("task.model.anchor_free.selection", model.anchor_free.selection, configs.SELECTIONS)
    if model.anchor_free.effective > model.anchor_free.ignoring:
        raise UserError("task.model.anchor_free.effective must not be above task.model.anchor_free.ignoring")
    if model.anchor_based.negative_iou > model.anchor_based.positive_iou:
        raise UserError("task.model.anchor_based.negative_iou must not be above task.model.anchor_based.positive_iou")
    for name in ("scales", "aspect_ratios"):
        values = getattr(model.anchor_based, name)
        if not values or min(values) <= 0:
            raise UserError(f"task.model.anchor_based.{name} must be numbers above 0, at least one, not {values}")


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
    for key, rate in configs.rates(trainer.optimizer_config).items():
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


def _check_data(data: configs.Data, prefix: str, *, wanted: bool) -> None:
    given = [name for name in _SOURCES if getattr(data, name)]
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
        raise UserError(f"{key} cannot be {value!r}{catalog.hint(str(value), words)}; there are: {', '.join(words)}")
