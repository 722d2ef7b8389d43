"""A SavedModel beside the checkpoint it was exported from: the same detections, and how much faster.

    python benchmarks/saved_model.py --model_dir=runs/fsaf_r50 --images=photos

exports the detector into a temporary folder, and compares all three signatures with `load_detector` on the same files:
detections of score 0.1 or more are matched one to one, within 0.1 px and 0.001 in score. What has no match is printed
with its nearest counterpart and the nearest threshold. Then both are timed in turns, in this process. The figures are
printed as a line of JSON.
"""

import json
import resource
import tempfile
import time

from absl import flags

from fsaf_tf import cli

cli.quiet()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from fsaf_tf.data.classes import Classes  # noqa: E402
from fsaf_tf.detect import image_files, predict_files  # noqa: E402
from fsaf_tf.errors import UserError  # noqa: E402
from fsaf_tf.serving import load, saved_model, warmup  # noqa: E402

_FLAGS = flags.FlagValues()
_MODEL_DIR = flags.DEFINE_string("model_dir", None, "The folder of a run.", flag_values=_FLAGS)
_IMAGES = flags.DEFINE_list("images", None, "Files, folders or globs.", flag_values=_FLAGS)
_LIMIT = flags.DEFINE_integer("limit", 100, "Images of each of these at most.", flag_values=_FLAGS)
_REPEATS = flags.DEFINE_integer("repeats", 15, "Timed calls of each.", flag_values=_FLAGS)
_BATCH = flags.DEFINE_integer("batch", 3, "Pictures in a request.", flag_values=_FLAGS)

SCORE, PIXELS, SCORES = 0.1, 0.1, 1e-3


def main():
    """Exports, compares, times and prints."""
    if not (_MODEL_DIR.value and _IMAGES.value):
        raise UserError("--model_dir and --images are needed (--help says more)")
    detector = load.load_trained(_MODEL_DIR.value)
    files = [file for pattern in _IMAGES.value for file in image_files.find(pattern)[: _LIMIT.value]]
    with tempfile.TemporaryDirectory() as folder:
        version = saved_model.export(detector, f"{folder}/model")
        serve = session_signatures(version)
        expected = {file: detector(predict_files.read_image(file)) for file in files}
        figures = {"model": _MODEL_DIR.value, "images": len(files)}
        for name in ("serving_default", "image_tensor", "tf_example"):
            found = answers(serve[name], name, files, detector.classes)
            figures[name] = compare(expected, found)
        figures["seconds"] = timed(detector, serve["image_tensor"], files[0])
    figures["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(figures))


def session_signatures(folder: str) -> dict:
    """The signatures as functions from the input to the outputs, NumPy both, in a session, as the server has it."""
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        meta = tf.compat.v1.saved_model.load(session, ["serve"], folder)

    def function(signature):
        outputs = {key: info.name for key, info in signature.outputs.items()}
        return lambda value: session.run(outputs, {signature.inputs["inputs"].name: value})

    return {name: function(signature) for name, signature in meta.signature_def.items() if signature.inputs}


def answers(signature, name: str, files: list[str], classes: Classes) -> dict[str, dict]:
    """Detections of each file in the form of `trained.Detector`; encoded pictures in batches of mixed sizes."""
    size = 1 if name == "image_tensor" else _BATCH.value
    results = {}
    for start in range(0, len(files), size):
        batch = files[start : start + size]
        output = signature(inputs(name, batch))
        for place, file in enumerate(batch):
            count = int(output["num_detections"][place])
            one = {key: value[place, :count] for key, value in output.items() if key != "num_detections"}
            results[file] = {
                "boxes": one["detection_boxes"],
                "scores": one["detection_scores"],
                "classes": np.array([classes.index_of(each) for each in one["detection_classes"]], int),
                "levels": one["detection_levels"],
                "branch": one["detection_branch"],
            }
    return results


def inputs(name: str, files: list[str]):
    """What a signature takes of some files."""
    if name == "image_tensor":
        return np.stack([predict_files.read_image(file) for file in files])
    encoded = [open(file, "rb").read() for file in files]
    return encoded if name == "serving_default" else [warmup.example(each) for each in encoded]


def compare(expected: dict[str, dict], found: dict[str, dict]) -> dict:
    """Matches one to one, greedily by falling score, in both directions; prints what is left over."""
    pixels, scores, total, left = [], [], 0, 0
    for file in expected:
        ours, theirs = dict(expected[file]), dict(found[file])
        free = np.ones(len(theirs["scores"]), bool)
        for i in np.flatnonzero(ours["scores"] >= SCORE):
            total += 1
            near = nearest(ours, i, theirs, free)
            if near is None:
                left += 1
                print(f"{file}: only the checkpoint has {describe(ours, i)}; {reason(ours, i, theirs)}")
                continue
            free[near] = False
            pixels.append(np.abs(ours["boxes"][i] - theirs["boxes"][near]).max())
            scores.append(abs(ours["scores"][i] - theirs["scores"][near]))
        for i in np.flatnonzero(free & (theirs["scores"] >= SCORE + SCORES)):
            left += 1
            print(f"{file}: only the SavedModel has {describe(theirs, i)}; {reason(theirs, i, ours)}")
    most = {"pixels": float(max(pixels, default=0)), "score": float(max(scores, default=0))}
    return {"detections": total, "unmatched": left, **most}


def nearest(ours: dict, i: int, theirs: dict, free: np.ndarray) -> int | None:
    """The free counterpart of the same class, level and branch within the tolerances whose box is nearest."""
    same = free & np.all([theirs[key] == ours[key][i] for key in ("classes", "levels", "branch")], axis=0)
    distance = np.abs(theirs["boxes"] - ours["boxes"][i]).max(axis=-1, initial=0)
    fits = same & (distance <= PIXELS) & (np.abs(theirs["scores"] - ours["scores"][i]) <= SCORES)
    return int(np.argmin(np.where(fits, distance, np.inf))) if fits.any() else None


def describe(detections: dict, i: int) -> str:
    box = ", ".join(f"{side:.1f}" for side in detections["boxes"][i])
    return f"class {detections['classes'][i]} at [{box}], score {detections['scores'][i]:.5f}"


def reason(detections: dict, i: int, others: dict) -> str:
    """The overlap with the other side's boxes of the class that is nearest to the threshold of suppression."""
    same = others["boxes"][(others["classes"] == detections["classes"][i])]
    overlaps = [iou(detections["boxes"][i], box) for box in same]
    closest = min(overlaps, key=lambda value: abs(value - 0.5), default=0.0)
    return f"IoU with another box of its class {closest:.6f}, number {i + 1} of {len(detections['scores'])}"


def iou(a: np.ndarray, b: np.ndarray) -> float:
    y1, x1 = np.maximum(a[:2], b[:2])
    y2, x2 = np.minimum(a[2:], b[2:])
    common = max(y2 - y1, 0) * max(x2 - x1, 0)
    return float(common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common))


def timed(detector, signature, file: str) -> dict[str, float]:
    """Median seconds of each, called in turns with one decoded picture."""
    image = predict_files.read_image(file)
    calls = {
        "checkpoint": lambda: detector(image),
        "saved_model": lambda: signature(image[None]),
    }
    seconds = {name: [] for name in calls}
    for _ in range(_REPEATS.value):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    return {**medians, "ratio": medians["saved_model"] / medians["checkpoint"]}


if __name__ == "__main__":
    cli.run(main, _FLAGS, __doc__)
