"""Experiments: read and written."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from official.core import config_definitions, exp_factory
from official.modeling.hyperparams import params_dict

from fsaf_tf import branches
from fsaf_tf.config import catalog, checks, data_sources, init_architecture, plain_values, schedule, strict
from fsaf_tf.errors import UserError
from fsaf_tf.files import storage

OVERRIDE = "--params_override"
# What names data beside the keys of `data_sources.SOURCES`, with its value where it does not.
_OTHER_DATA = {"train_data": {"sources": []}, "validation_data": {"fraction": 0.0}}
BOTH = "both"
BRANCHES = branches.AnchorFree.name, branches.AnchorBased.name


def load(
    name_or_path: str, config_files: Sequence[str] = (), overrides: str = "", say: Callable[[str], None] = print
) -> config_definitions.ExperimentConfig:
    """Reads an experiment: the paper's defaults, then its file, then more files, then single keys.

    With `task.init_checkpoint`, the architecture of that checkpoint comes after the experiment's own file.

    Args:
        name_or_path: the name of a file in `experiments/`, or the path of a YAML file.
        config_files: paths of YAML files with further differences.
        overrides: `a.b=1,c.d=[1,2]` as the Garden has it, or YAML or JSON text.
        say: prints a line that tells which architecture was taken over.

    Raises:
        UserError: an unknown name or key, a wrong type or value; the message names the file and the key.
    """
    path = catalog.find(name_or_path)
    base, explicit = (plain_values.read(path), str(path)), _explicit(config_files, overrides)
    adopted = _adopted([base, *explicit])
    layers = [base, *adopted, *explicit]
    params = _merge(layers)
    for values, init_checkpoint in adopted:
        line = init_architecture.report(init_checkpoint, values, _merge([base]).as_dict(), params.as_dict())
        if line:
            say(line)
    return _checked(params, name_or_path)


def load_run(model_dir: str, config_files=(), overrides: str = "") -> config_definitions.ExperimentConfig:
    """Reads the experiment that a run wrote to its `model_dir`, then more files, then single keys; see `load`.

    Raises:
        UserError: there is none, or what is to be changed in it is wrong.
    """
    layers = [_recorded(model_dir), *_explicit(config_files, overrides)]
    return _checked(_merge(layers), layers[0][1])


def read_params(model_dir) -> config_definitions.ExperimentConfig:
    """Reads the experiment that a run wrote to its `model_dir`.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    return _merge([_recorded(model_dir)])


def folder_of(checkpoint: str) -> str | None:
    """The folder with the `params.yaml` of a checkpoint: a run's or an import's. None if there is none.

    Args:
        checkpoint: that folder, the folder of its best checkpoint, or the file prefix of a checkpoint in either.
    """
    parents = [checkpoint.rstrip("/")]
    while len(parents) < (2 if tf.io.gfile.isdir(checkpoint) else 3):
        parents.append(parents[-1].rpartition("/")[0] or ".")
    return next((path for path in parents if tf.io.gfile.exists(f"{path}/params.yaml")), None)


def _recorded(model_dir) -> tuple[dict, str]:
    path = f"{model_dir}/params.yaml"
    try:
        text = storage.read_text(path)
    except (tf.errors.NotFoundError, tf.errors.FailedPreconditionError) as error:  # the latter is a folder
        raise UserError(f"{path} cannot be read: is {model_dir} the folder of a run?") from error
    return plain_values.parse(text, path), path


def _explicit(config_files, overrides: str) -> list[tuple[dict, str]]:
    return [*((plain_values.read(path), str(path)) for path in config_files), (_parse_overrides(overrides), OVERRIDE)]


def _adopted(layers: list[tuple[dict, str]]) -> list[tuple[dict, str]]:
    """The layer of what `task.init_checkpoint` brings, none if no layer sets it or nothing is recorded beside it."""
    paths = [plain_values.flatten(values).get("task.init_checkpoint") for values, _ in layers]
    path = next((path for path in reversed(paths) if path is not None), "")
    folder = folder_of(path) if path and isinstance(path, str) else None
    return [(init_architecture.architecture(read_params(folder).task.model), path)] if folder else []


def _merge(layers: list[tuple[dict, str]]) -> config_definitions.ExperimentConfig:
    """The paper's defaults with each layer over those before it; `[(values, where they come from), ...]`.

    A layer that makes the run longer or shorter moves the steps of the schedule along, and those of the warm-up, unless
    it sets them itself.
    """
    params, own_warmup = exp_factory.get_exp_config("fsaf"), False
    for values, origin in layers:
        before, flat = params.trainer.train_steps, plain_values.flatten(values)
        _add(params, values, origin)
        after = params.trainer.train_steps
        for part in ("learning_rate", "warmup") if min(before, after) > 0 else ():
            is_set = _sets_steps(params, flat, part)
            if not is_set and (own_warmup or part != "warmup"):  # the default warm-up is shortened at the end
                schedule.stretch(params.trainer.optimizer_config, part, after / before)
        own_warmup |= _sets_steps(params, flat, "warmup")
    if not own_warmup:
        schedule.shorten_warmup(params.trainer)
    return params


def _sets_steps(params, flat: dict, part: str) -> bool:
    keys = schedule.steps(params.trainer.optimizer_config, part)
    return any(f"trainer.optimizer_config.{key}" in flat for key in keys)


def _add(params: config_definitions.ExperimentConfig, values: dict, origin: str) -> None:
    strict.merge(params, values, origin)
    flat = plain_values.flatten(values)
    for section in ("train_data", "validation_data"):
        nothing = dict.fromkeys(data_sources.SOURCES, "") | _OTHER_DATA[section]
        _replace(getattr(params.task, section), flat, f"task.{section}", nothing)
    _replace(params.task.test_augmentation, flat, "task.test_augmentation", {name: [] for name in checks.SIZES})
    if "trainer.train_steps" in flat:  # the newest word on the length holds
        if flat.get("trainer.epochs"):
            raise UserError(f"{origin} sets trainer.epochs and trainer.train_steps, which say the same; leave one")
        params.trainer.epochs = 0.0


def _replace(config, values: dict, prefix: str, nothing: Mapping[str, Any]) -> None:
    """A layer that names other data or test sizes replaces those of the layers before it, not adds to them.

    `nothing` has the keys of which one names data, each with its value where it does not.
    """
    named = {name for name in nothing if values.get(f"{prefix}.{name}")}
    for name in set(nothing) - named if named else ():
        setattr(config, name, nothing[name])


def _checked(params, name: str) -> config_definitions.ExperimentConfig:
    schedule.fill(params.trainer)
    try:
        checks.check(params)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    return params


def augment_tests(params: config_definitions.ExperimentConfig, keys: dict | str) -> None:
    """Turns `task.test_augmentation` of an experiment on, or off.

    Args:
        params: changed in place.
        keys: those of its keys that are wanted otherwise, `{"ratios": [0.5, 1.0, 1.5]}` or `ratios=[0.5,1.0,1.5]`; or
            `on` or `off`.

    Raises:
        UserError: an unknown key, a wrong type or value.
    """
    if isinstance(keys, str):
        if not keys.strip():
            raise UserError("test_augmentation is empty; give `on`, `off`, or keys such as ratios=[0.5,1.0,1.5]")
        if keys == "off":
            params.task.test_augmentation.enabled = False
            return
        keys = _parse_overrides("" if keys == "on" else keys, "test_augmentation")
    if "enabled" in keys:
        raise UserError("test_augmentation.enabled is set by asking for it; give `on` or `off` instead")
    _add(params, {"task": {"test_augmentation": {"enabled": True, **keys}}}, "test_augmentation")
    checks.check_test_augmentation(params.task.test_augmentation)
    checks.check_tiles(params.task)


def cut_into_tiles(params: config_definitions.ExperimentConfig, keys: dict | int) -> None:
    """Sets keys of `task.tiles`, or the size of a tile alone; a UserError if one is unknown or wrong."""
    _add(params, {"task": {"tiles": keys if isinstance(keys, dict) else {"size": keys}}}, "tile")
    checks.check_tiles(params.task)


def change_postprocess(params: config_definitions.ExperimentConfig, keys: dict) -> None:
    """Sets keys of `task.model.postprocess`, `{"max_detections": 300}`; a UserError if one is unknown or wrong."""
    _add(params, {"task": {"model": {"postprocess": keys}}}, "postprocess")
    checks.check_fields(params.task.model.postprocess, "task.model.postprocess.")


def take_branch(params: config_definitions.ExperimentConfig, branch: str) -> bool:
    """Turns the other branch off, or none for `both`; a UserError if the experiment does not have that one.

    Returns:
        Whether there was another one.
    """
    model = params.task.model
    enabled = [name for name in BRANCHES if getattr(model, name).enabled]
    wanted = list(BRANCHES) if branch == BOTH else [branch]
    if not set(wanted) <= set(BRANCHES):
        raise UserError(f"the branch is {branch!r}; it must be one of {BOTH}, {', '.join(BRANCHES)}")
    if not set(wanted) <= set(enabled):
        raise UserError(f"the branch is {branch}, but the detector has {' and '.join(enabled)} alone")
    for name in BRANCHES:
        getattr(model, name).enabled = name in wanted
    return wanted != enabled


def layers_beside(branch: str | None) -> list[str]:
    """What the variables' names begin with that a detector of one branch does without; none of a whole one."""
    return [f"heads/{name}_" for name in BRANCHES if branch not in (None, name)]


def to_yaml(params: config_definitions.ExperimentConfig) -> str:
    """Writes an experiment in full; read back it is the same, to the last digit."""
    return plain_values.dump(_plain(params.as_dict()))


def rates_report(params: config_definitions.ExperimentConfig) -> list[str]:
    """Lines that tell every learning rate for 16 images and for this batch (section 3.4), and its steps."""
    batch_size = params.task.train_data.global_batch_size
    given = params.trainer.optimizer_config
    scaled = schedule.rates(schedule.scale_rates(given, batch_size))
    width = max((len(key) for key in scaled), default=0)
    lines = [f"learning rates for {schedule.REFERENCE_BATCH_SIZE} images a step, and at this batch of {batch_size}:"]
    for key, rate in schedule.rates(given).items():
        lines.append(f"  {key:<{width}}  {_digits(rate)}  ->  {_digits(scaled[key])}")
    if params.task.head_rate_multiplier != 1:
        lines.append(f"  of the heads: {params.task.head_rate_multiplier:g} times as much (task.head_rate_multiplier)")
    return lines + schedule.report(params.trainer)


def _digits(rate) -> str:
    return ", ".join(f"{value:.6g}" for value in (rate if isinstance(rate, list) else [rate]))


def _plain(value):
    """Mappings, lists and scalars; YAML has no tuples."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _parse_overrides(text: str, origin: str = OVERRIDE) -> dict:
    with contextlib.suppress(ValueError):  # not the Garden's a.b=1,c=2: then YAML or JSON
        text = params_dict.nested_csv_str_to_json_str(text)
    return plain_values.parse(text, origin, "a.b=1,c.d=[1,2] (text with brackets or commas in quotes)")
