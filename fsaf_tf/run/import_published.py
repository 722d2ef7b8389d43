"""An import: published weights into a folder that a run can start from."""

import contextlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras
from official.core import config_definitions

from fsaf_tf.config import experiment, plain_values, schema, strict
from fsaf_tf.data.classes import LABELS, Classes, in_place_of
from fsaf_tf.errors import UserError
from fsaf_tf.files import parts, paths, storage
from fsaf_tf.modeling import detector
from fsaf_tf.run import on_disk
from fsaf_tf.run.published_classes import Published, find_classes
from fsaf_tf.terminal import faults
from fsaf_tf.weights import files, keras, mmdet, torchvision


def run(source: str, weights: list[str], name: str, output: str, labels: str = "") -> list[str]:
    """Writes `output` with checkpoint, experiment and labels; whole, or not at all.

    Args:
        source: a key of `SOURCES`.
        weights: the files; two for the joint model from `mmdet`.
        name: of the experiment, or its path.
        output: a folder that is not there yet, or empty.
        labels: a JSON file with names and ids of the classes; empty where the weights name them, or have COCO's.

    Returns:
        What was done, line by line.

    Raises:
        UserError: a file cannot be read or does not fit, classes are not known, or `output` cannot be written.
    """
    params, changed = _resolve(name, source)
    model, published, loaded = SOURCES[source].build(params.task, weights, labels)
    swept = []
    parts.sweep(_part_of(output), swept.append)
    _write(output, params, model, published.classes)
    return [
        *swept,
        f"{name}, with what these weights need:",
        *(f"  {line}" for line in changed),
        *loaded,
        f"Classes: {len(published.classes)}, {published.origin}",
        f"Written: {output}",
    ]


def _resolve(name: str, source: str) -> tuple[config_definitions.ExperimentConfig, list[str]]:
    """The experiment with the settings of the source, and a line for each that changed."""
    params = experiment.load(name)
    kind, wanted = params.task.model.backbone.type, SOURCES[source].settings["model"]["backbone"]
    if kind not in wanted:
        raise UserError(f"{name}: task.model.backbone.type is {kind}, but these weights are for {', '.join(wanted)}")
    before = plain_values.flatten(params.as_dict())
    strict.merge(params, {"task": SOURCES[source].settings}, f"--source={source}")
    after, shown = plain_values.flatten(params.as_dict()), plain_values.shown
    changed = sorted(key for key in after if after[key] != before[key])
    return params, [f"{key}: {shown(before[key])} -> {shown(after[key])}" for key in changed]


# The sources.


def _backbone_alone(module) -> Callable:
    """Of a source of backbones: the rest of the detector has the paper's initial values."""

    def build(task: schema.Task, weights: list[str], labels: str) -> tuple[tf_keras.Model, Published, list[str]]:
        if len(weights) > 1:
            raise UserError("--weights is wanted once: the two files of a joint model are mmdet's")
        resnet = task.model.backbone.get()
        tensors = module.read(weights[0], resnet)
        published = find_classes(weights[0], None, task.model.num_classes or None, labels)
        model = detector.build_detector(task.model, len(published.classes))
        module.load(model.get_layer("backbone"), tensors, resnet)
        loaded = f"Loaded from {weights[0]}: backbone, {torchvision.described(resnet)}"
        return model, published, [loaded, f"New, with random values: {task.model.pyramid}, heads"]

    return build


def _mmdet_detector(task: schema.Task, weights: list[str], labels: str) -> tuple[tf_keras.Model, Published, list[str]]:
    if task.model.pyramid != "fpn":
        raise UserError(f"task.model.pyramid is {task.model.pyramid}, but mmdetection's detectors have the FPN")
    found = [mmdet.checkpoint(files.read(path)) for path in weights]
    found = _for_branches(task.model, found)
    published = [find_classes(each.tensors.path, each.class_names, each.num_classes, labels) for each in found]
    difference = in_place_of(published[0].names_in_file, published[-1].names_in_file)
    if difference:
        raise UserError(f"{' and '.join(weights)} are of other classes: {difference}")
    if task.model.num_classes not in (0, found[0].num_classes):
        raise UserError(
            f"task.model.num_classes is {task.model.num_classes}, but {weights[0]} has {found[0].num_classes} classes"
        )
    model = detector.build_detector(task.model, found[0].num_classes)
    mmdet.load(model, found, task.model, published[0].order)
    lines = [f"Loaded from {found[0].tensors.path}: the whole detector of mmdetection's {found[0].kind}"]
    if len(found) > 1:
        lines += [
            f"Loaded from {found[1].tensors.path}: {mmdet.CLASSES} and {mmdet.BOXES} alone, for the anchor-based branch"
            "; they were trained with other subnets and need fine-tuning before they are of use"
        ]
    return model, published[0], lines


def _for_branches(model: schema.Model, found: list[mmdet.Checkpoint]) -> list[mmdet.Checkpoint]:
    """One checkpoint for each branch, in the order of `mmdet.load`."""
    branches = {"FSAF": model.anchor_free.enabled, "RetinaNet": model.anchor_based.enabled}
    wanted = [kind for kind, enabled in branches.items() if enabled]
    held = sorted(found, key=lambda each: each.kind)  # FSAF first
    if [each.kind for each in held] != wanted:
        given = ", ".join(f"{each.tensors.path} holds {each.kind}" for each in found)
        raise UserError(
            f"this experiment takes {' and '.join(wanted)}, a file each, but {given}; experiments fsaf_* take FSAF,"
            " retinanet_* RetinaNet, ab_fsaf_* both"
        )
    return held


class _Source(NamedTuple):
    settings: dict[str, Any]
    build: Callable[[schema.Task, list[str], str], tuple[tf_keras.Model, Published, list[str]]]


SOURCES = {
    "keras": _Source(keras.SETTINGS, _backbone_alone(keras)),
    "torchvision": _Source(torchvision.SETTINGS, _backbone_alone(torchvision)),
    "mmdet": _Source(mmdet.SETTINGS, _mmdet_detector),
}


# The folder.


def _part_of(output: str) -> str:
    return f"{output.rstrip('/')}{parts.PART}"


def _write(output: str, params, model: tf_keras.Model, classes: Classes) -> None:
    """Writes a folder beside, and gives it its name at the end."""
    part = parts.signed(_part_of(output))
    try:
        tf.io.gfile.makedirs(part)
        storage.write_text(f"{part}/params.yaml", experiment.to_yaml(params))
        classes.write(f"{part}/{LABELS}")
        tf.train.Checkpoint(model=model, global_step=tf.Variable(0, dtype=tf.int64)).write(f"{part}/ckpt-0")
        on_disk.write_record(part)
        # An empty folder is replaced; one that another import has filled meanwhile is not.
        (tf.io.gfile.rename if paths.is_remote(output) else os.rename)(part, output)
    except (OSError, tf.errors.OpError) as error:
        line = faults.line(error)
        if not line:
            raise
        raise UserError(f"{output} cannot be written: {line}") from error
    finally:
        with contextlib.suppress(tf.errors.OpError):  # it is not there, or the first error is the one to tell
            tf.io.gfile.rmtree(part)
