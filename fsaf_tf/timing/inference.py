"""Every form of one detector: size, warm-up, latency, images a second, memory."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from fsaf_tf.data import augment
from fsaf_tf.detect import image_files, predict_files, trained
from fsaf_tf.errors import UserError
from fsaf_tf.serving import canvas, frozen, load, onnx_export, saved_model, tflite
from fsaf_tf.timing import measure_model

BASE = "SavedModel"  # of the ratios
COLUMNS = {
    "size MB": ("size_mb", ".1f"),
    "warm-up s": ("warm_up_s", ".2f"),
    "median ms": ("median_ms", ".1f"),
    "p90 ms": ("p90_ms", ".1f"),
    "CPU ms": ("cpu_ms", ".1f"),
    "of SavedModel": ("cpu_share", ".2f"),
    "images/s": ("images_per_second", ".1f"),
    "peak MB": ("peak_mb", ".0f"),
}


def run(
    model_dir: str,
    sizes: list[tuple[int, int]],
    threads: list[int],
    repeats: int,
    rounds: int = 1,
    images: str | None = None,
    wanted: Sequence[str] = (),
) -> list[dict]:
    """Exports a run's detector in every form and size, and measures each in a process of its own.

    Args:
        model_dir: the folder of a run or an import.
        sizes: height and width of the picture, which are those of the network's input: multiples of 32.
        threads: how many, each in turn.
        repeats: timed calls of each.
        rounds: processes of each form, all forms in turn; the median of each figure counts.
        images: pictures for the calibration of int8, which is left out without, and the first of them to look at;
            without, noise is looked at.
        wanted: these forms alone, and the SavedModel; if none is named, all.

    Returns:
        A row for each form, size and number of threads.
    """
    files = image_files.find(images) if images else []
    rows = []
    for height, width in sizes:
        with tempfile.TemporaryDirectory() as folder:
            picture = _stretched(predict_files.read_image(files[0]), height, width) if files else _noise(height, width)
            np.save(f"{folder}/image.npy", picture)
            forms = _export(model_dir, folder, (height, width), files, wanted)
            for count in threads:
                measured = _in_turn(forms, f"{folder}/image.npy", count, repeats, rounds)
                for form, figures in measured.items():
                    rows.append({"form": form, "height": height, "width": width, "threads": count, **figures})
                    print(_line(rows[-1]), flush=True)
    return rows


def _in_turn(forms: dict[str, tuple[str, str]], image: str, threads: int, repeats: int, rounds: int) -> dict[str, dict]:
    """The figures of each form, medians over the rounds; a slow minute of the machine meets all forms."""
    of_each = [
        {form: _measure(*place, image, threads, repeats) for form, place in forms.items()} for _ in range(rounds)
    ]
    measured = {
        form: {key: statistics.median(figures[form][key] for figures in of_each) for key in of_each[0][form]}
        for form in forms
    }
    base = measured[BASE]["cpu_ms"]
    return {form: {**figures, "cpu_share": figures["cpu_ms"] / base} for form, figures in measured.items()}


def header() -> str:
    """The first line of the table."""
    return f"{'form':<16}{'input':>10}{'threads':>9}" + "".join(f"{name:>15}" for name in COLUMNS)


def _line(row: dict) -> str:
    start = f"{row['form']:<16}{row['height']:>6}x{row['width']:<4}{row['threads']:>8}"
    return start + "".join(f"{row[key]:>15{form}}" for key, form in COLUMNS.values())


def _stretched(image: np.ndarray, height: int, width: int) -> np.ndarray:
    return augment.resize(tf.constant(image), tf.constant([height, width])).numpy()


def _noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _export(model_dir: str, folder: str, size: tuple[int, int], files: list[str], wanted: Sequence[str]) -> dict:
    """Kind and path of each form that is wanted and that this detector has."""
    detector = measure_model.at_size(load.load_trained(model_dir), size)
    print(detector.checkpoint.line)
    (sized,) = canvas.choose(detector.program, None, size)
    makers = {
        "checkpoint": ("checkpoint", lambda: model_dir),
        BASE: ("saved_model", lambda: saved_model.export(detector, f"{folder}/saved_model")),
        "frozen graph": ("frozen_graph", lambda: write_frozen_graph(detector, f"{folder}/frozen_graph.pb")),
        "ONNX": ("onnx", lambda: onnx_export.export(detector, folder, sized)),
        "ONNX any size": ("onnx", lambda: onnx_export.export(detector, folder)),
        "TFLite float32": ("tflite", lambda: tflite.export(detector, folder, sized)),
        "TFLite float16": ("tflite", lambda: tflite.export(detector, folder, sized, quantize="float16")),
        "TFLite int8": ("tflite", lambda: tflite.export(detector, folder, sized, quantize="int8", images=files)),
    }
    unknown = [form for form in wanted if form not in makers]
    if unknown:
        raise UserError(f"--forms: there is no {unknown[0]!r}, only {', '.join(makers)}")
    forms = {}
    for form, (kind, make) in makers.items():
        if not wanted or form in (BASE, *wanted):
            try:
                forms[form] = (kind, make())
            except UserError as error:
                print(f"{form} is left out: {error}")
    return forms


def write_frozen_graph(detector: trained.Detector, path: str) -> str:
    """The detector for one decoded picture, as it is, as a GraphDef of constants: from `image` to `num_detections`."""
    network = frozen.freeze_to_constants(detector.model)

    def detect(image):
        size = tf.shape(image)[None, 1:3]
        found = detector.program.detect(network, image, size, size)
        return {key: tf.identity(value, name=key) for key, value in found.items()}

    function = tf.function(detect, input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8, name="image")])
    constant = convert_to_constants.convert_variables_to_constants_v2(function.get_concrete_function())
    pathlib.Path(path).write_bytes(constant.graph.as_graph_def().SerializeToString())
    return path


def _measure(kind: str, path: str, image: str, threads: int, repeats: int) -> dict:
    request = {"kind": kind, "path": path, "image": image, "threads": threads, "repeats": repeats}
    root = str(pathlib.Path(measure_model.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", measure_model.__name__, json.dumps(request)]
    # Whatever the locale is: an error may name a file in any letters.
    options = {"capture_output": True, "encoding": "utf-8", "errors": "backslashreplace"}
    done = subprocess.run(command, env=environment, **options)
    if done.returncode:
        raise UserError(f"{kind} failed: {(done.stderr.strip() or 'killed').splitlines()[-1]}")
    row = json.loads(done.stdout.splitlines()[-1])
    return {**row, "warm_up_s": row["load_s"] + row["first_s"], "size_mb": _bytes(kind, path) / 1e6}


def _bytes(kind: str, path: str) -> int:
    """Of a checkpoint all of its files, which hold the state of the optimizer too."""
    if kind == "checkpoint":
        from fsaf_tf.run import checkpoints

        prefix = checkpoints.choose(path).prefix
        return sum(file.stat().st_size for file in pathlib.Path(prefix).parent.glob(f"{pathlib.Path(prefix).name}.*"))
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(file.stat().st_size for file in pathlib.Path(path).rglob("*") if file.is_file())
