"""MediaPipe's `ObjectDetector` beside our own runner: the same TFLite files must give the same boxes.

    python benchmarks/mediapipe_parity.py --mediapipe_python=mediapipe_env/bin/python --images=photos \
        --models=exported/model_float32.tflite,exported/model_int8.tflite

MediaPipe finds out what the file is by its metadata alone; how its environment is set up says `mediapipe_side.py`. Each
model sees each picture `stretched` to the input's size by us, where only MediaPipe's reading of the outputs is left to
differ, and `as it is`, where MediaPipe stretches. `imitated` compares the latter with our runner on a picture stretched
by OpenCV as MediaPipe does it. Detections are matched one to one, by label, greedily by overlap. Figures are printed as
a line of JSON for each model.
"""

import json
import pathlib
import subprocess
import tempfile

import cv2
import numpy as np
from absl import flags

from fsaf_tf import cli
from fsaf_tf.errors import UserError

FLAGS = flags.FlagValues()
PYTHON = flags.DEFINE_string("mediapipe_python", None, "Python of MediaPipe's environment.", flag_values=FLAGS)
MODELS = flags.DEFINE_list("models", [], "`.tflite` files with suppression inside.", flag_values=FLAGS)
IMAGES = flags.DEFINE_string("images", None, "A file, a folder or a glob.", flag_values=FLAGS)
LIMIT = flags.DEFINE_integer("limit", 20, "Pictures at most.", flag_values=FLAGS)
THRESHOLD = flags.DEFINE_float("threshold", 0.3, "Detections of at least this score.", flag_values=FLAGS)
MATCH = 0.5  # IoU of two boxes that may be the same; ours are not whole pixels, and a picture's are small


def main():
    """Compares every model on every picture, stretched and as it is."""
    from fsaf_tf.detect import image_files, predict_files
    from fsaf_tf.serving import exported_models

    if not (PYTHON.value and MODELS.value and IMAGES.value):
        raise UserError("--mediapipe_python, --models and --images are needed (--help says more)")
    pictures = [predict_files.read_image(file) for file in image_files.find(IMAGES.value)[: LIMIT.value]]
    for model in MODELS.value:
        detector = exported_models.TFLite(model).stretching()
        stretched = [detector.canvas.fit(picture)[0] for picture in pictures]
        figures = {"model": model, "pictures": len(pictures)}
        of_stretched, of_pictures = (run_mediapipe(model, images) for images in (stretched, pictures))
        figures["mediapipe"] = of_stretched["mediapipe"]
        figures["stretched"] = compare([ours(detector, image) for image in stretched], of_stretched["found"])
        figures["as it is"] = compare([ours(detector, image) for image in pictures], of_pictures["found"])
        imitated = [ours(detector, imitate(image, detector.canvas.size), image.shape[:2]) for image in pictures]
        figures["imitated"] = compare(imitated, of_pictures["found"])
        print(json.dumps(figures))


def run_mediapipe(model: str, images: list[np.ndarray]) -> dict:
    """What MediaPipe finds in each picture."""
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file.name, **{str(number): image for number, image in enumerate(images)})
        side = pathlib.Path(__file__).with_name("mediapipe_side.py")
        command = [PYTHON.value, side, model, str(THRESHOLD.value), file.name]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="backslashreplace")
    if done.returncode:
        raise UserError(f"MediaPipe failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def imitate(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture stretched to `size` (height, width) as MediaPipe does on a CPU: corners, and not centres, of pixels.

    A pixel of the result is read at its index times the scale: all is moved by half a pixel of the input less half of
    one of the picture.
    """
    scale = np.float64([[size[1] / image.shape[1], 0, 0], [0, size[0] / image.shape[0], 0]])
    return cv2.warpAffine(image, scale, size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def ours(detector, image: np.ndarray, size: tuple[int, int] | None = None) -> list[dict]:
    """Detections in the form of MediaPipe's, but not rounded, in pixels of `image` or of one of another `size`."""
    found, result = detector(image), []
    factors = np.divide(size or image.shape[:2], image.shape[:2])
    for (y1, x1, y2, x2), score, name in zip(found["boxes"] * np.tile(factors, 2), found["scores"], found["names"]):
        if score >= THRESHOLD.value:
            result.append({"label": name, "score": float(score), "box": [x1, y1, x2 - x1, y2 - y1]})
    return result


def compare(expected: list[list[dict]], found: dict[str, list[dict]]) -> dict:
    """Counts, and the greatest and the usual differences of what matches."""
    pixels, scores, counts = [], [], {"ours": 0, "theirs": 0, "matched": 0}
    for mine, theirs in zip(expected, found.values()):
        free = list(theirs)
        for one in mine:
            same = [
                other for other in free if other["label"] == one["label"] and iou(one["box"], other["box"]) >= MATCH
            ]
            if same:
                near = min(
                    same, key=lambda other: difference(one["box"], other["box"]) + abs(one["score"] - other["score"])
                )
                free.remove(near)
                pixels.append(difference(one["box"], near["box"]))
                scores.append(abs(one["score"] - near["score"]))
        counts["ours"] += len(mine)
        counts["theirs"] += len(theirs)
    counts["matched"] = len(pixels)
    return {
        **counts,
        "greatest_px": float(max(pixels, default=0)),
        "median_px": float(np.median(pixels)) if pixels else None,
        "greatest_score": float(max(scores, default=0)),
        "median_score": float(np.median(scores)) if scores else None,
    }


def difference(a: list, b: list) -> float:
    """The greatest of left, top, width and height, in pixels."""
    return float(np.abs(np.subtract(a, b)).max())


def iou(a: list, b: list) -> float:
    """Overlap of two boxes x, y, width, height."""
    sides = np.minimum(np.add(a[:2], a[2:]), np.add(b[:2], b[2:])) - np.maximum(a[:2], b[:2])
    common = float(np.prod(np.maximum(sides, 0)))
    return common / max(a[2] * a[3] + b[2] * b[3] - common, 1e-9)


if __name__ == "__main__":
    cli.run(main, FLAGS, __doc__)
