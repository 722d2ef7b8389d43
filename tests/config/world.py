"""One experiment that is small enough to be seen whole: its values, and everything that follows from them.

Values are flat, `{"task.model.min_level": 3, ...}`. `observe` asks the real task, on data of a few pictures and with a
stand-in for the network where numbers are wanted: the real one is slow, and seen by its variables.
"""

import dataclasses
import functools
import json
import zlib

import numpy as np
import tensorflow as tf
import tf_keras
import world_data
import world_run
from official.core import exp_factory

from fsaf_tf.config import checks, plain_values, strict
from fsaf_tf.data.source import Sources, open_sources
from fsaf_tf.detection import ALL
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import fpn, heads
from fsaf_tf.run.task import FSAFTask

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
    "task.train_data.annotation_file": "a.json",
    "task.train_data.image_dir": "pictures_a",
    "task.train_data.global_batch_size": 2,
    "task.train_data.max_instances": 4,
    "task.train_data.random_flip": False,
    "task.validation_data.annotation_file": "b.json",
    "task.validation_data.image_dir": "pictures_b",
    "task.validation_data.global_batch_size": 2,
    "task.validation_data.max_instances": 4,
    "task.input_size.shorter_side": 64,
    "task.input_size.longer_side": 96,
    "trainer.steps_per_loop": 1,
    "trainer.summary_interval": 4,
    "trainer.checkpoint_interval": 3,
    "trainer.max_to_keep": 20,
    "trainer.train_steps": 12,
    "trainer.validation_interval": 4,
}


def make_params(values: dict):
    """The experiment of some values, all others as they are by default."""
    params = exp_factory.get_exp_config("fsaf")
    if values.get("task.model.backbone.type", "resnet") != "resnet":
        values = {key: value for key, value in values.items() if not key.startswith("task.model.backbone.resnet.")}
    strict.merge(params, plain_values.nest(values), "the row")
    return params


def all_values(values: dict) -> dict:
    """The same with those that are as by default; not to be changed."""
    key = json.dumps(values)
    if key not in _ALL_VALUES:
        _ALL_VALUES[key] = plain_values.flatten(make_params(values).as_dict())
    return _ALL_VALUES[key]


_ALL_VALUES = {}


# The stand-in for the network.


def stand_in(values: dict) -> tf_keras.Model:
    """A network with the outputs of the detector, whose levels are averages of the picture; of the same weights."""
    keys = {key.removeprefix("task.model."): value for key, value in values.items()}
    anchors = len(keys["anchor_based.scales"]) * len(keys["anchor_based.aspect_ratios"])
    levels = range(keys["min_level"], keys["max_level"] + 1)
    model = _build_stand_in(levels, keys["anchor_free.enabled"], anchors if keys["anchor_based.enabled"] else 0)
    for variable in model.variables:
        variable.assign(_weights(variable.name, tuple(variable.shape)))
    return model


@functools.cache
def _build_stand_in(levels: range, is_anchor_free: bool, anchors: int) -> tf_keras.Model:
    images = tf_keras.layers.Input([None, None, 3])
    backbone = tf_keras.layers.Conv2D(6, 1, name="backbone")
    pyramid = {
        str(level): backbone(tf_keras.layers.AveragePooling2D(2**level, padding="same")(images)) for level in levels
    }
    outputs = heads.Heads(
        len(world_data.NAMES),
        convs=1,
        channels=6,
        anchor_free=is_anchor_free,
        anchors_per_location=anchors,
        normalized_levels=(),
    )(pyramid)
    return tf_keras.Model(images, outputs)


def draw(name: str) -> np.random.Generator:
    """Random numbers that are the same for the same name."""
    return np.random.default_rng(zlib.crc32(name.encode()))


@functools.cache
def _weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Outputs that differ from place to place: scores about 0.2, boxes of a unit or so."""
    layer, kind = name.split("/")[-2:]
    mean, spread = {"kernel:0": (0, 0.15), "bias:0": (0, 0.3)}[kind]
    if layer == "backbone":
        spread /= 10  # its inputs are pixels
    if kind == "bias:0":
        mean = {"logits": -2, "offsets": 0.6}.get(layer.rsplit("_", 1)[-1], 0)
    return draw(name).normal(mean, spread, shape)


# What is observed.


def observe(values: dict) -> dict:
    """Everything, by name: `terms/anchor_free/class_loss`, `step/heads/box_tower_0/bias:0`, ...

    A part is asked anew only if one of the values is another that it can follow from.
    """
    seen, given = {}, values
    values = all_values(given)
    for part, sections in FOLLOWS.items():
        own = part, json.dumps({key: value for key, value in values.items() if key.startswith(sections)})
        if own not in _SEEN:
            tf_keras.utils.set_random_seed(1)
            _SEEN[own] = part(make_params(given), values)
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
        "image_id": tf.constant([1, 2], tf.int64),
        "boxes": tf.constant(boxes, tf.float32),
        "classes": tf.constant([[0, 1, 2, 0], [1, 0, 2, 2]]),
        "valid": tf.constant([[True, True, True, False], [True, True, True, True]]),
        "left_out": tf.constant([0, 1]),
    }


def large_picture() -> np.ndarray:
    """A picture of noise in blocks that takes several tiles of 64 px."""
    return np.repeat(np.repeat(draw("large").integers(0, 256, [7, 10, 3]), 16, axis=0), 15, axis=1).astype(np.uint8)


def views() -> tuple[dict[str, tf.Tensor], ...]:
    """The pictures of `scene` in their size and in half of it, as the validation data have them if they are wanted."""
    whole = {key: scene()[key] for key in ("image", "image_size")}
    return whole, {"image": whole["image"][:, ::2, ::2], "image_size": whole["image_size"] // 2}


def learning(params, values: dict) -> dict:
    """The terms of the loss, the rates, and what one step does to the weights."""
    task, model = FSAFTask(params.task, steps=range(params.trainer.train_steps)), stand_in(values)
    optimizer, metrics = task.create_optimizer(params.trainer.optimizer_config), task.build_metrics()
    before = {variable.name: variable.numpy() for variable in model.trainable_variables}
    seen = {f"rates/{step}": float(optimizer.learning_rate(step)) for step in (0, 500, 70_000, 85_000)}
    seen["terms/total_loss"] = float(task.train_step(scene(), model, optimizer, metrics)[task.loss])
    seen |= {f"terms/{metric.name}": float(metric.result()) for metric in metrics}
    return seen | {f"step/{v.name}": v.numpy() - before[v.name] for v in model.trainable_variables}


def detections(params, values: dict) -> dict:
    """What an evaluation finds in the scene."""
    task, batch = FSAFTask(params.task), scene()
    if values["task.test_augmentation.enabled"]:
        batch["views"] = views()
    if values["task.tiles.size"]:
        batch = {**{key: value[:1] for key, value in batch.items()}, "picture": tf.constant(large_picture()[None])}
    return {f"detections/{key}": value.numpy() for key, value in task.validation_step(batch, stand_in(values)).items()}


def _with_data(section: str, params):
    """The task with the training or the validation data alone, and these."""
    config = getattr(params.task, section)
    parted = params.task.validation_data.fraction, str(params.task.train_data.source_keys().get("sources"))
    key = section, parted, *(getattr(config, name, None) for name in (*_SOURCE, "max_instances"))
    if key not in _SOURCES:
        is_train = section == "train_data"
        opened = open_sources(params.task, train=is_train, validation=not is_train).of_classes
        read = {name: functools.cache(getattr(opened, name)) for name in ("rows", "read_pictures", "ground_truth")}
        in_order, anew = read["rows"], opened.rows
        # A shuffled data set has another order each time it is gone through: those of another observation are new.
        read["rows"] = lambda order: anew(order) if order.seed is not None else in_order(order)
        once = dataclasses.replace(opened, **read)
        _SOURCES[key] = Sources(once if is_train else None, None if is_train else once)
    return FSAFTask(params.task, data=_SOURCES[key]), _SOURCES[key].of_classes


_SOURCES = {}  # what was opened, with data sets that are built once: that takes half of the time


def train_data(params, values: dict) -> dict:
    """The training data, picture by picture, and their classes."""
    try:
        _, source = _with_data("train_data", params)
    except UserError as error:
        return {"train_data/line": str(error)}
    examples = {int(example["image_id"]): example for example in source.examples().as_numpy_iterator()}
    names = ("boxes", "classes", "image_bytes", "turn")
    seen = {f"train_data/{name}": {n: example.get(name, 1) for n, example in examples.items()} for name in names}
    return seen | {"train_data/categories": [source.classes.names, source.classes.ids]}


def validation_data(params, values: dict) -> dict:
    """The ground truth of the validation data, and the AP of the boxes of variant a."""
    try:
        task, source = _with_data("validation_data", params)
    except UserError as error:
        return {"validation_data/line": str(error)}
    truth, ids = source.ground_truth(), source.classes.ids
    boxes, classes = ({image["id"]: [] for image in truth["images"]} for _ in range(2))
    for row in truth["annotations"]:
        x, y, width, height = row["bbox"]
        boxes[row["image_id"]].append([y, x, y + height, x + width])
        classes[row["image_id"]].append(ids.index(row["category_id"]))
    results = _results(boxes, dict(zip(source.classes.names, ids)))
    figures = {
        "figures/AP": task.reduce_aggregated_logs(results)["AP"],
        "figures/anchor_free/AP": task.branch_figures({ALL: [], "anchor_free": results})["anchor_free"]["AP"],
    }
    seen = {"validation_data/boxes": boxes, "validation_data/classes": classes, **figures}
    return seen | {"validation_data/categories": [source.classes.names, ids]}


def _results(numbers, category_id_of: dict[str, int]) -> list[dict]:
    """The boxes of variant a in the form of COCO's results, and before them one on nothing in picture 1, if there."""
    first = category_id_of[world_data.NAMES[0]]
    found = (
        [] if 1 not in numbers else [{"image_id": 1, "category_id": first, "bbox": [1.0, 1.0, 3.0, 3.0], "score": 0.95}]
    )
    for number in numbers:
        for k, (y1, x1, y2, x2) in zip(*world_data.picture(number)[2:]):
            box = [float(side) for side in (x1, y1, x2 - x1, y2 - y1)]
            row = {"category_id": category_id_of[world_data.NAMES[k]], "bbox": box, "score": 0.9}
            found.append({"image_id": number, **row})
    return found


def inputs(params, values: dict) -> dict:
    """The first four batches of the training data: two epochs of four pictures, or more."""
    return _batches("inputs", "train_data", params)


def validation_inputs(params, values: dict) -> dict:
    """All batches of the validation data."""
    return _batches("validation_inputs", "validation_data", params)


def _batches(prefix: str, section: str, params) -> dict:
    task, _ = _with_data(section, params)
    batches = list(task.build_inputs(getattr(params.task, section)).take(4).as_numpy_iterator())
    return {f"{prefix}/{key}": [batch.get(key, ()) for batch in batches] for key in (*batches[0], "views", "picture")}


@tf.autograph.experimental.do_not_convert  # which takes a third of the time
def network(params, values: dict) -> dict:
    """The variables of the real network, its strides, what its pyramid makes of features, where its weights start."""
    task, _ = _with_data("train_data", params)
    try:
        model = task.build_model()
    except UserError as error:
        return {"network/line": str(error)}
    trained = {id(variable) for variable in model.trainable_variables}
    seen = {f"network/{v.name}": (tuple(v.shape), id(v) in trained) for v in model.variables}
    layers = [layer for layer in model.submodules if isinstance(layer, tf_keras.layers.Conv2D) and layer.weights]
    seen |= {f"strides/{layer.kernel.name}": (layer.strides, layer.groups) for layer in layers}
    try:
        task.initialize(model)
        seen["start/line"] = ""
    except UserError as error:
        seen["start/line"] = str(error)
    return seen | _levels(model.get_layer(values["task.model.pyramid"]))


def _levels(pyramid: tf_keras.layers.Layer) -> dict:
    """The levels above the backbone's that an FPN of known weights makes of `top_features`."""
    if not isinstance(pyramid, fpn.FPN):
        return {}
    for variable in pyramid.variables:
        variable.assign(levels_weights(variable.name, variable.shape))
    channels = {level: conv.kernel.shape[2] for level, conv in pyramid.laterals.items()}
    features = {level: tf.zeros([1, *[3 * 2 ** (5 - int(level))] * 2, count]) for level, count in channels.items()}
    features["5"] = tf.constant(top_features(channels["5"])[None], tf.float32)
    return {f"levels/{level}": pyramid(features)[level][0].numpy() for level in pyramid.extra_outputs}


def top_features(channels: int) -> np.ndarray:
    """A C5 of three by three cells, `[3, 3, channels]`."""
    return draw("C5").normal(0, 1, [3, 3, channels])


def levels_weights(name: str, shape) -> np.ndarray:
    """The weights of that FPN."""
    return draw(name).normal(0, 0.05, shape)


def line(params, values: dict) -> dict:
    """What the checks say."""
    try:
        checks.check(params)
    except UserError as error:
        return {"checks/line": str(error)}
    return {"checks/line": ""}


_GEOMETRY = (
    "task.model.location_offset",
    "task.model.min_level",
    "task.model.max_level",
    "task.model.anchor_free.",
    "task.model.anchor_based.",
)
_NORMALISATION = ("task.model.backbone.type", "task.model.backbone.resnet.form")
_SOURCE = (
    *("tfds_name", "tfds_split", "tfds_data_dir", "annotation_file", "image_dir", "input_path", "label_map"),
    "exif_orientation",
    "images_outside",
    "max_bad_pictures",
)
_BATCH = (
    *("global_batch_size", "max_instances", "random_flip", "shorter_sides", "augmentation."),
    *("repeat_rare", "shuffle_buffer_size", "seed"),
)


def _of(section: str, names) -> tuple[str, ...]:
    return tuple(f"task.{section}.{name}" for name in names)


# What is seen, and from which values it can follow. Which data there are is seen once, not in each batch.
FOLLOWS = {
    line: ("task.name",),
    learning: (
        *_GEOMETRY,
        *_NORMALISATION,
        "task.losses.",
        "task.head_rate_multiplier",
        "task.accumulation_steps",
        "task.train_data.global_batch_size",
    ),
    detections: (
        *_GEOMETRY,
        *_NORMALISATION,
        "task.model.postprocess.",
        *_of("test_augmentation", ("enabled", "flip")),
        "task.tiles.",
        "task.input_size.",
    ),
    train_data: (*_of("train_data", (*_SOURCE, "sources")), "task.validation_data.fraction"),
    validation_data: (*_of("validation_data", (*_SOURCE, "fraction")), "task.evaluation."),
    inputs: (*_of("train_data", _BATCH), "task.train_data.input_path", "task.input_size."),
    validation_inputs: (
        *_of("validation_data", (*_BATCH, "image_dir", "images_outside", "exif_orientation")),
        "task.input_size.",
        *_of("test_augmentation", ("enabled", "shorter_sides", "ratios")),
        "task.tiles.",
    ),
    network: (
        *_of("model", ("num_classes", "min_level", "max_level", "pyramid", "backbone.", "fpn.", "heads.")),
        *_of("model", ("anchor_free.enabled", "anchor_based.enabled")),
        *_of("model", ("anchor_based.scales", "anchor_based.aspect_ratios")),
        "task.freeze",
    ),
    world_run.files: ("trainer.",),
}
