"""What is fuzzed: a reader of the library, valid inputs, how they are changed, and what a reader checks first."""

import functools
import io
import json
import math
import os
import pathlib
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import h5py
import tensorflow as tf
import yaml
from PIL import Image

from benchmarks.soak import fuzz_mutations as mutations
from benchmarks.soak import fuzz_seeds as seeds
from fsaf_tf.config import catalog, experiment, plain_values
from fsaf_tf.data import coco_json, images, pixels, records
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.examples import named_errors
from fsaf_tf.errors import UserError
from fsaf_tf.evaluate import coco_results
from fsaf_tf.serving import decode, exported_models, flatbuffer
from fsaf_tf.weights import files

MOST_READ = 2**22  # values of a tensor that somebody wants


class Target(NamedTuple):
    """A reader.

    Attributes:
        seeds: makes valid inputs.
        mutate: a new input of one, and of others.
        passes: whether an input gets past the first check, by code that is not the library's.
        act: reads the file of a path; raises a UserError where it refuses it.
        suffix: of the file.
        modules: whose lines are counted, by the starts of their paths in fsaf_tf.
    """

    seeds: Callable[[], list[bytes]]
    mutate: Callable[[random.Random, bytes, Sequence[bytes]], bytes]
    passes: Callable[[bytes], bool]
    act: Callable[[str], object]
    suffix: str
    modules: tuple[str, ...]


def _can(read: Callable[[bytes], object]) -> Callable[[bytes], bool]:
    def attempt(data: bytes) -> bool:
        try:
            return read(data) is not False
        except Exception:  # whatever there is in it
            return False

    return attempt


# Weights.


def _read_weights(path: str) -> None:
    tensors = files.read(path)
    for name, shape in tensors.shapes.items():
        if math.prod(shape) <= MOST_READ:  # others are of no network
            tensors.values[name]


def _safetensors_header(data: bytes) -> object:
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])


def _of_weights(suffix: str, passes: Callable[[bytes], object], mutate: Callable = mutations.raw) -> Target:
    return Target(lambda: seeds.weights()[suffix], mutate, _can(passes), _read_weights, suffix, ("weights/",))


# Pictures.


def _by_pillow(path: str) -> None:
    pixels.read_header(path)
    pixels.read(path, upright=True)


def _picture_seeds() -> list[bytes]:
    return seeds.pictures()


@functools.cache
def _pipeline(path: str) -> tf.data.Dataset:
    """Reads the file anew each time that it is gone through."""
    example = tf.data.Dataset.from_tensors(path).map(
        lambda name: {"image_bytes": tf.io.read_file(name), "file_name": name}
    )
    return images.decode_examples(images.add_headers(example), 1)


@functools.cache
def _served() -> Callable:
    def picture(data: tf.Tensor) -> tf.Tensor:
        size, orientation = decode.read_headers(data)
        return decode.decode(data[0], size[0], orientation[0], tf.constant(0))

    return tf.function(picture, input_signature=[tf.TensorSpec([1], tf.string)])


def _serve(path: str) -> None:
    try:
        _served()([pathlib.Path(path).read_bytes()])
    except tf.errors.InvalidArgumentError as error:
        raise images.user_error(error) or error from None


# TFRecord.


@functools.cache
def _opened(path: str) -> tf.data.Dataset:
    folder = os.path.dirname(path)
    pathlib.Path(f"{folder}/label_map.json").write_text('{"1": "cat", "3": "dog"}')
    return records.open_records(path, "", upright=True).examples()


def _read_records(path: str) -> None:
    records.count_records(path)
    try:
        for _ in named_errors(_opened(path)):
            pass
    except tf.errors.DataLossError as error:
        raise UserError(records.damaged(path) or "damaged") from error


def _label_map(path: str) -> None:
    """Beside one good record."""
    good = f"{os.path.dirname(path)}/good.tfrecord"
    if not os.path.exists(good):
        pathlib.Path(good).write_bytes(seeds.framed(seeds.records()[0]))
    records.open_records(good, path, upright=True)


# The others.


def _of_forms(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Annotations: their values are changed where they are JSON, or their bytes."""
    is_json = data.startswith((b"{", b"["))
    return (mutations.as_json if is_json and rng.random() < 0.8 else mutations.raw)(rng, data, others)


def _of_settings(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A TFLite file: its settings are changed, or its bytes."""
    if rng.random() < 0.6:
        return seeds.packed(mutations.nested(rng, seeds.tflite_settings()))
    return mutations.raw(rng, data, others)


def _is_tflite(data: bytes) -> bool:
    return data[4:8] == b"TFL3" and bool(flatbuffer.read(data).subgraphs)


def _is_bmff(data: bytes) -> bool:
    with Image.open(io.BytesIO(data)) as image:
        return image.width > 0


def _load_experiment(path: str) -> None:
    experiment.to_yaml(experiment.load(str(catalog.find(path))))


_JSON, _YAML = _can(json.loads), _can(lambda data: isinstance(yaml.safe_load(data), dict))
_PICTURE = _can(_is_bmff)
TARGETS: dict[str, Target] = {
    "COCO JSON": Target(
        lambda: seeds.as_json(seeds.COCO), mutations.as_json, _JSON, coco_json.read, ".json", ("data/coco_", "data/m")
    ),
    "annotations of other tools": Target(
        lambda: list(seeds.OTHER_TOOLS),
        mutations.as_json,
        _can(lambda data: bool(data.decode().strip())),
        coco_json.read,
        ".json",
        ("data/other_formats", "data/coco_file"),
    ),
    "annotations of other forms": Target(
        lambda: list(seeds.OTHER_FORMS),
        _of_forms,
        _can(lambda data: bool(data.strip())),
        coco_json.read,
        "",
        ("data/readers",),
    ),
    "label map": Target(
        lambda: seeds.as_json({"1": "cat", "3": "dog"}),
        mutations.as_json,
        _JSON,
        _label_map,
        ".json",
        ("data/label_map",),
    ),
    "labels.json": Target(
        lambda: seeds.as_json(seeds.CLASSES), mutations.as_json, _JSON, Classes.read, ".json", ("classes", "storage")
    ),
    "detections.json": Target(
        lambda: seeds.as_json(seeds.RESULTS, [{**row, "file_name": "a.png"} for row in seeds.RESULTS]),
        mutations.as_json,
        _JSON,
        coco_results.read,
        ".json",
        ("evaluate/coco_results",),
    ),
    "YAML": Target(seeds.experiments, mutations.as_yaml, _YAML, plain_values.read, ".yaml", ("config/plain_values",)),
    "experiments": Target(seeds.experiments, mutations.as_yaml, _YAML, _load_experiment, ".yaml", ("config/",)),
    "TFRecord": Target(
        lambda: [seeds.framed(each) for each in seeds.records()],
        mutations.example,
        _can(lambda data: tf.train.Example.FromString(seeds.payload(data))),
        _read_records,
        ".tfrecord",
        ("data/records", "data/examples"),
    ),
    "pictures by Pillow": Target(_picture_seeds, mutations.raw, _PICTURE, _by_pillow, ".png", ("data/pixels",)),
    "pictures in a pipeline": Target(
        _picture_seeds,
        mutations.raw,
        _PICTURE,
        lambda path: list(named_errors(_pipeline(path))),
        ".png",
        ("data/images", "data/pixels"),
    ),
    "pictures of a served model": Target(
        lambda: [*_picture_seeds()[:3], *_picture_seeds()[7:10]],
        mutations.raw,
        _PICTURE,
        _serve,
        ".png",
        ("serving/decode", "data/headers", "data/exif"),
    ),
    ".npz": _of_weights(".npz", seeds.is_zip),
    ".h5": _of_weights(".h5", lambda data: h5py.File(io.BytesIO(data), "r").close()),
    ".safetensors": _of_weights(".safetensors", _safetensors_header, mutations.safetensors),
    ".pth": _of_weights(".pth", lambda data: seeds.is_zip(data) or data[:1] == b"\x80"),
    "TFLite": Target(
        lambda: [seeds.packed(seeds.tflite_settings())],
        _of_settings,
        _can(_is_tflite),
        exported_models.TFLite,
        ".tflite",
        ("serving/flatbuffer", "serving/metadata", "serving/exported_models", "serving/canvas"),
    ),
}
