"""One experiment that is small enough to be seen whole: its values, and everything that follows from them.

Values are flat, `{"task.model.min_level": 3, ...}`. `observe` asks the real task, on data of a few pictures and with a
stand-in for the network where numbers are wanted: the real one is slow, and seen by its variables.
"""

import json
import zlib

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import exp_factory

from fsaf_tf.config import plain_values, strict
from fsaf_tf.modeling import heads
from fsaf_tf.run.task import FSAFTask

NAMES, IDS = ("cat", "dog", "bird"), (3, 5, 9)
# What the other values in the rows are compared with: both branches, and the paper's values where they are quick.
BASE = {
    "task.model.backbone.resnet.depth": 14,
    "task.model.backbone.resnet.weights": "nothing.h5",
    "task.model.fpn.channels": 16,
    "task.model.heads.convs": 1,
    "task.model.heads.channels": 16,
    "task.model.anchor_based.enabled": True,
    "task.model.anchor_based.scales": [1.0, 1.5],
    "task.model.anchor_based.aspect_ratios": [0.5, 1.0],
    "task.model.postprocess.score_threshold": 0.1,
    "task.model.postprocess.max_per_level": 30,
    "task.model.postprocess.max_detections": 20,
    "task.train_data.global_batch_size": 2,
    "task.input_size.shorter_side": 64,
    "task.input_size.longer_side": 96,
}


def make_params(values: dict):
    """The experiment of some values, all others as they are by default."""
    params = exp_factory.get_exp_config("fsaf")
    strict.merge(params, plain_values.nest(values), "the row")
    return params


def all_values(values: dict) -> dict:
    """The same with those that are as by default."""
    return plain_values.flatten(make_params(values).as_dict())


# The stand-in for the network.


def stand_in(values: dict, num_classes: int = len(NAMES)) -> tf_keras.Model:
    """A network with the outputs of the detector, whose levels are averages of the picture; the same at each call."""
    images = tf_keras.layers.Input([None, None, 3])
    backbone = tf_keras.layers.Conv2D(6, 1, name="backbone")
    levels = range(values["task.model.min_level"], values["task.model.max_level"] + 1)
    pyramid = {
        str(level): backbone(tf_keras.layers.AveragePooling2D(2**level, padding="same")(images)) for level in levels
    }
    anchors = len(values["task.model.anchor_based.scales"]) * len(values["task.model.anchor_based.aspect_ratios"])
    outputs = heads.Heads(
        num_classes,
        convs=1,
        channels=6,
        anchor_free=values["task.model.anchor_free.enabled"],
        anchors_per_location=anchors if values["task.model.anchor_based.enabled"] else 0,
    )(pyramid)
    model = tf_keras.Model(images, outputs)
    for variable in model.variables:
        variable.assign(_weights(variable))
    return model


def draw(name: str) -> np.random.Generator:
    """Random numbers that are the same for the same name."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def _weights(variable: tf.Variable) -> np.ndarray:
    """Outputs that differ from place to place: scores about 0.2, boxes of a unit or so."""
    layer, kind = variable.name.split("/")[-2:]
    mean, spread = {"kernel:0": (0, 0.15), "bias:0": (0, 0.3)}[kind]
    if layer == "backbone":
        spread /= 10  # its inputs are pixels
    if kind == "bias:0":
        mean = {"logits": -2, "offsets": 0.6}.get(layer.rsplit("_", 1)[-1], 0)
    return draw(variable.name).normal(mean, spread, variable.shape)


# What is observed.


def observe(values: dict) -> dict:
    """Everything, by name: `terms/anchor_free/class_loss`, `step/heads/box_tower_0/bias:0`, ...

    A part is asked anew only if one of the values is another that it can follow from.
    """
    params, seen = make_params(values), {}
    values = plain_values.flatten(params.as_dict())
    for part, sections in FOLLOWS.items():
        own = part, json.dumps({key: value for key, value in values.items() if key.startswith(sections)})
        if own not in _SEEN:
            _SEEN[own] = part(params, values)
        seen |= _SEEN[own]
    return seen


_SEEN = {}


def scene() -> dict[str, tf.Tensor]:
    """A host batch: two pictures of noise in blocks, the second one narrower than the canvas; a row is padding."""
    blocks = draw("scene").integers(0, 256, [2, 4, 6, 3])
    image = np.repeat(np.repeat(blocks, 16, axis=1), 16, axis=2).astype(np.uint8)
    boxes = [
        [[4, 6, 40, 30], [10, 20, 60, 90], [30, 40, 42, 58], [0, 0, 0, 0]],
        [[8, 10, 30, 60], [20, 4, 33, 20], [2, 2, 64, 70], [12, 36, 50, 64]],
    ]
    return {
        "image": tf.constant(image),
        "image_size": tf.constant([[64, 96], [64, 72]]),
        "original_size": tf.constant([[128, 192], [32, 36]]),
        "scale": tf.constant([[0.5, 0.5], [2.0, 2.0]]),
        "image_id": tf.constant([1, 2], tf.int64),
        "boxes": tf.constant(boxes, tf.float32),
        "classes": tf.constant([[0, 1, 2, 0], [1, 0, 2, 2]]),
        "valid": tf.constant([[True, True, True, False], [True, True, True, True]]),
        "left_out": tf.constant([0, 1]),
    }


def learning(params, values: dict) -> dict:
    """The terms of the loss, the rates, and what one step does to the weights."""
    task, model = FSAFTask(params.task), stand_in(values)
    optimizer, metrics = task.create_optimizer(params.trainer.optimizer_config), task.build_metrics()
    before = {variable.name: variable.numpy() for variable in model.trainable_variables}
    seen = {f"rates/{step}": float(optimizer.learning_rate(step)) for step in (0, 500, 70_000, 85_000)}
    seen["terms/total_loss"] = float(task.train_step(scene(), model, optimizer, metrics)[task.loss])
    seen |= {f"terms/{metric.name}": float(metric.result()) for metric in metrics}
    return seen | {f"step/{v.name}": v.numpy() - before[v.name] for v in model.trainable_variables}


GEOMETRY = (
    "task.model.location_offset",
    "task.model.min_level",
    "task.model.max_level",
    "task.model.anchor_free.",
    "task.model.anchor_based.",
)
NORMALISATION = ("task.model.backbone.type", "task.model.backbone.resnet.form")
FOLLOWS = {
    learning: (
        *GEOMETRY,
        *NORMALISATION,
        "task.losses.",
        "task.head_rate_multiplier",
        "task.train_data.global_batch_size",
        "trainer.optimizer_config.",
    )
}
