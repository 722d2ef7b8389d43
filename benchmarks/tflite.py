"""TFLite files of a run beside its checkpoint: AP, size, latency, parity, and what XNNPACK runs.

    python benchmarks/tflite.py --model_dir=runs/my_edge

Exports float32, float16 and int8 files, calibrated with pictures of the run's training data, and evaluates them and the
checkpoint on its validation data. Latencies are of the files in turn, in one process. Writes `tflite.json` beside them.
"""

import itertools
import json
import os
import pathlib
import statistics
import time

from absl import flags

from fsaf_tf import cli

cli.quiet()

import numpy as np  # noqa: E402
from ai_edge_litert import interpreter as litert  # noqa: E402

from fsaf_tf.cli import outputs  # noqa: E402
from fsaf_tf.data import images  # noqa: E402
from fsaf_tf.data.source import open_source  # noqa: E402
from fsaf_tf.detect import trained  # noqa: E402
from fsaf_tf.serving import canvas, delegation, evaluate_exported, exported_models, load, tflite  # noqa: E402
from fsaf_tf.terminal.progress import Progress  # noqa: E402

FLAGS = flags.FlagValues()
MODEL_DIR = flags.DEFINE_string("model_dir", None, "The folder of a run.", FLAGS)
OUTPUT = flags.DEFINE_string("output", None, "A folder; MODEL_DIR/tflite if not given.", FLAGS)
HEIGHT = flags.DEFINE_integer("height", None, "Of the input.", flag_values=FLAGS)
WIDTH = flags.DEFINE_integer("width", None, "Of the input.", flag_values=FLAGS)
REPEATS = flags.DEFINE_integer("repeats", 50, "Timed runs of each file.", flag_values=FLAGS)
CALIBRATION = 200


class File:
    """A `.tflite` file as a function from its input to its outputs."""

    def __init__(self, path: str, threads: int = 2):
        self.interpreter = litert.Interpreter(path, num_threads=threads)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]
        self.outputs = [detail["index"] for detail in self.interpreter.get_output_details()]

    def run(self, fitted: np.ndarray) -> list[np.ndarray]:
        self.interpreter.set_tensor(self.input["index"], fitted)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(index)[0] for index in self.outputs]


def pictures(source):
    """The pictures of a source."""
    for example in source.examples():
        yield images.decode(example["image_bytes"]).numpy()


def parity(path: str, detector: trained.Detector, source, limit: int = 20, least: float = 0.1) -> dict:
    """Greatest differences from the checkpoint on the same fitted pictures, scores above `least`."""
    file, fit = File(path), exported_models.TFLite(path).canvas.fit
    boxes, scores, matched, total = 0.0, 0.0, 0, 0
    sides = np.tile(file.input["shape"][1:3], 2)
    for image in itertools.islice(pictures(source), limit):
        fitted = fit(image)
        expected = detector(fitted[0], resize=False)
        found = file.run(fitted)
        total += int((expected["scores"] > least).sum())
        for box, index, score in zip(expected["boxes"], expected["classes"], expected["scores"]):
            distance = np.abs(found[0] * sides - box).max(1) + np.where(found[1] == index, 0, 1e9)
            nearest = int(np.argmin(distance))
            if score > least and distance[nearest] <= 0.1 and abs(found[2][nearest] - score) <= 1e-3:
                matched += 1
                boxes, scores = max(boxes, distance[nearest]), max(scores, abs(found[2][nearest] - score))
    return {"detections": total, "matched": matched, "box_px": float(boxes), "score": float(scores)}


def latencies(paths: dict[str, str], image: np.ndarray, threads: int) -> dict:
    """Median and 90th percentile in ms, the files in turn."""
    files = {kind: File(path, threads) for kind, path in paths.items()}
    fitted = {kind: exported_models.TFLite(path).canvas.fit(image) for kind, path in paths.items()}
    seconds = {kind: [] for kind in files}
    for number in range(REPEATS.value + 3):  # the first three warm up
        for kind, file in files.items():
            start = time.perf_counter()
            file.run(fitted[kind])
            seconds[kind] += [time.perf_counter() - start] if number >= 3 else []
    return {
        kind: {"median_ms": 1e3 * statistics.median(each), "p90_ms": 1e3 * float(np.quantile(each, 0.9))}
        for kind, each in seconds.items()
    }


def calibration_pictures(source, folder: pathlib.Path) -> list[str]:
    """The first training pictures, as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, example in enumerate(source.examples()):
        if number == CALIBRATION:
            break
        (folder / f"{number:04}.png").write_bytes(example["image_bytes"].numpy())
    return sorted(map(str, folder.iterdir()))


def main():
    cli.run(study, FLAGS, __doc__)


def study():
    """Exports, measures, prints and writes."""
    detector = load.load_trained(MODEL_DIR.value)
    output = OUTPUT.value or f"{MODEL_DIR.value}/tflite"
    is_ours = outputs.has_keys("checkpoint", *tflite.QUANTIZATIONS)
    outputs.check([f"{output}/tflite.json"], reads=(), is_ours=is_ours, overwrite=False)
    models = outputs.in_folder(output, r"model_(float32|float16|int8)(_\w+)?\.tflite")
    outputs.check(models, reads=(), is_ours=outputs.has_mark("canvas.json"), overwrite=False)
    calibration = calibration_pictures(open_source(detector.config.train_data), pathlib.Path(output, "calibration"))
    size = (HEIGHT.value, WIDTH.value) if HEIGHT.value and WIDTH.value else None
    (input_canvas,) = canvas.choose(detector.program, None, size)
    paths = {}
    for kind in tflite.QUANTIZATIONS:
        files = calibration if kind == "int8" else ()
        paths[kind] = tflite.export(detector, output, input_canvas, quantize=kind, images=files)
    source = evaluate_exported.open_validation(detector)
    image = next(pictures(source))
    detectors = {"checkpoint": detector} | {kind: exported_models.TFLite(path) for kind, path in paths.items()}
    metrics = evaluate_exported.figures(detectors, source, detector.classes, Progress())
    result = {name: {figure: each[figure] for figure in ("AP", "AP50", "AP75")} for name, each in metrics.items()}
    for kind, path in paths.items():
        result[kind] |= {"bytes": os.path.getsize(path), "parity": parity(path, detector, source)}
        result[kind]["operators"] = delegation.report(path)
    for threads in (1, 2):
        result[f"latency_{threads}_threads"] = latencies(paths, image, threads)
    pathlib.Path(output, "tflite.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
