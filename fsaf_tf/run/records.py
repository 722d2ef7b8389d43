"""What a run records of itself in its folder: params.yaml, labels.json, run.json, metrics.json."""

import datetime
import importlib.metadata
import pathlib
import platform
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf
from official.core import config_definitions

from fsaf_tf.config import data_sources, plain_values
from fsaf_tf.data.classes import LABELS, Classes, recorded_classes
from fsaf_tf.data.examples import Source
from fsaf_tf.errors import UserError
from fsaf_tf.evaluate import average_precision
from fsaf_tf.files import storage
from fsaf_tf.terminal import commands

PACKAGES = ("fsaf_tf", "tensorflow", "tf_keras", "tf-models-official", "tensorflow-datasets", "numpy")
PACKAGES += ("pycocotools", "hotcoco")
# What makes it another run. Batch size, seed and the like may change when a run goes on; thresholds of
# post-processing touch no weights. Which layers are frozen may not: the optimizer has no state of those.
_IDENTITY = "task.model."
_NOT_IDENTITY = "task.model.postprocess."
_KEYS_SHOWN = 8
DIGEST = "data_digest"  # beside figures: the content of the data that they are of


def data_keys(params: config_definitions.ExperimentConfig) -> dict[str, Any]:
    """Where the validation data come from: see `schema.Task.validation_keys`."""
    return params.task.validation_keys()


def evaluation_keys(params: config_definitions.ExperimentConfig) -> dict[str, Any]:
    """What `metrics.json` records of how figures came about.

    Data, test-time augmentation and tiles if there are any, the fusion of the branches if it is not the paper's, the
    detections that are counted if these are not COCO's number.
    """
    augmentation, most = params.task.test_augmentation.as_dict(), params.task.evaluation.max_detections
    keys = {"data": data_keys(params)} | ({"max_detections": most} if most != average_precision.MOST else {})
    keys |= {"tiles": params.task.tiles.as_dict()} if params.task.tiles.size else {}
    fusion = params.task.model.postprocess.fusion
    keys |= {"fusion": fusion} if fusion != "best" else {}
    return keys | {"test_augmentation": augmentation} if augmentation.pop("enabled") else keys


def read_metrics(model_dir: str, params: config_definitions.ExperimentConfig) -> dict[str, Any]:
    """What `metrics.json` holds; empty if it is not there, or its figures came about otherwise; see above."""
    metrics = storage.read_dict(f"{model_dir}/metrics.json")
    return metrics if is_evaluated_as(metrics, params) else {}


def last_step(model_dir: str) -> int:
    """The step that `metrics.json` is of; 0 if it is not there, of imported weights, or not as we write it."""
    step = storage.read_dict(f"{model_dir}/metrics.json").get("step")
    return step if isinstance(step, int) else 0


def is_of(record: Mapping[str, Any], data_digest: Mapping[str, str]) -> bool:
    """Whether figures are of data of this content (`digest.of`); those that record no digest are taken to be."""
    return record.get(DIGEST) in (None, data_digest)


def is_evaluated_as(metrics: dict[str, Any], params: config_definitions.ExperimentConfig) -> bool:
    """Whether figures came about as an experiment says: on its data, in its views or tiles or without."""
    here = evaluation_keys(params)
    recorded = {"data": here["data"]} | metrics
    return all(
        recorded.get(key) == here.get(key) for key in ("data", "test_augmentation", "tiles", "fusion", "max_detections")
    )


def write_evaluation(folder: str, metrics: dict[str, Any], detections: Iterable[dict]) -> None:
    """Writes `detections.json` and `metrics.json`, which says what both are of.

    After a kill at any moment the figures are of the detections beside them, or are not there.
    """
    tf.io.gfile.makedirs(folder)
    # Not before: on a disk that is full those of before are still there.
    storage.write_results(f"{folder}/detections.json", detections, before=lambda: forget_evaluation(folder))
    storage.write_json(f"{folder}/metrics.json", metrics)


def forget_evaluation(folder: str) -> None:
    """Takes `metrics.json` away, before the detections or the checkpoint that it is of go."""
    if tf.io.gfile.exists(f"{folder}/metrics.json"):
        tf.io.gfile.remove(f"{folder}/metrics.json")


def check_params(model_dir: str, params: config_definitions.ExperimentConfig, *, to_train: bool = True) -> list[str]:
    """Compares the experiment with the one that `model_dir/params.yaml` records, if there is one.

    Args:
        model_dir: the run's folder.
        params: the experiment.
        to_train: if not, but to evaluate, data and input size may be others.

    Returns:
        The other settings that changed, a line each: a run may go on with them.

    Raises:
        UserError: model or data differ, or the file cannot be read.
    """
    recorded = recorded_params(model_dir)
    now = plain_values.flatten(params.as_dict())
    changed = [key for key in now if key in recorded and now[key] != recorded[key]]
    of_training = _of_training(params) if to_train else set()
    another = [key for key in changed if _is_identity(key) or (to_train and _is_of_training(key)) or key in of_training]
    if another:
        shown = "; ".join(
            f"{key} is {plain_values.shown(recorded[key])} there and {plain_values.shown(now[key])} now"
            for key in another[:_KEYS_SHOWN]
        )
        more = f"; and {len(another) - _KEYS_SHOWN} more" if len(another) > _KEYS_SHOWN else ""
        raise UserError(
            f"{model_dir}/params.yaml records another experiment: {shown}{more}; take the recorded values, or another"
            " --model_dir (task.init_checkpoint starts there from this run's weights)"
        )
    return [f"{key}: {plain_values.shown(recorded[key])} before, {plain_values.shown(now[key])} now" for key in changed]


def check_classes(model_dir: str, classes: Classes) -> None:
    """Raises a UserError if `model_dir/labels.json` records other classes than the data's, or is damaged."""
    before = recorded_classes(model_dir)
    difference = before and before.difference(classes)
    if difference:
        raise UserError(
            f"{model_dir}/{LABELS} records other classes than the data now have: {difference}; take data of the same"
            " classes, or another --model_dir"
        )


def path(model_dir: str) -> str:
    """The record of a run's starts, and of its ids at services that log it."""
    return f"{model_dir}/run.json"


def record_start(model_dir: str, *, step: int, devices: list[str], data: Mapping[str, Source | None]) -> None:
    """Adds this start to `run.json`: when, with which command, code, packages and devices, from which step, on what.

    Args:
        model_dir: the run's folder.
        step: that it starts from.
        devices: their names.
        data: by what they are for, `train` and `validation`; None where there are none.
    """
    record = storage.read_dict(path(model_dir))
    starts = record.get("starts")
    starts = starts if isinstance(starts, list) else []
    starts.append(
        {
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "from_step": step,
            "command": commands.this_one(),
            "git": _git_commit(),
            "python": platform.python_version(),
            "packages": versions(),
            "devices": devices,
            "data": {use: {"name": one.name, "images": one.num_images} for use, one in data.items() if one},
        }
    )
    storage.write_json(path(model_dir), {**record, "starts": starts})


def recorded_params(model_dir: str) -> dict[str, Any]:
    """The keys of `params.yaml`, `trainer.train_steps` and so on, as they are; empty if there is none.

    Raises:
        UserError: it is no YAML.
    """
    file = f"{model_dir}/params.yaml"
    if not tf.io.gfile.exists(file):
        return {}
    return plain_values.flatten(plain_values.parse(storage.read_text(file), file))


def _is_identity(key: str) -> bool:
    return key.startswith(_IDENTITY) and not key.startswith(_NOT_IDENTITY)


def _of_training(params: config_definitions.ExperimentConfig) -> set[str]:
    """Keys by which pictures are held out from training; where none are, the seed may change."""
    seed = {"task.train_data.seed"} if params.task.validation_data.fraction else set()
    return {"task.validation_data.fraction", "task.train_data.sources"} | seed


def _is_of_training(key: str) -> bool:
    is_data = (
        key.startswith(("task.train_data.", "task.validation_data."))
        and key.rsplit(".", 1)[1] in data_sources.SOURCE_KEYS
    )
    return is_data or key.startswith(("task.freeze", "task.input_size."))


def _git_commit() -> str | None:
    """The commit of the checkout that this package runs from, `-dirty` if it is changed; None when installed."""
    here = pathlib.Path(__file__)
    try:
        subprocess.run(
            ["git", "ls-files", "--error-unmatch", here.name], cwd=here.parent, check=True, capture_output=True
        )
        described = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(described, cwd=here.parent, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def versions() -> dict[str, str]:
    """Of this package and those that a result depends on, as far as they are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found
