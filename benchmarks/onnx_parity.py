"""ONNX files of a run beside its checkpoint, on real pictures, upright and turned to the side.

    python benchmarks/onnx_parity.py --model_dir=runs/mine --images=photos

Exports a file for pictures of any size and one for each of training's canvases, and prints of each how many detections
it shares with the checkpoint, and how far boxes and scores are apart. Of the first also with the pictures at the
checkpoint's own pixels, which tells what resizing adds.
"""

import tempfile

from absl import flags

from fsaf_tf import cli

cli.quiet()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from fsaf_tf.detect import image_files, predict_files  # noqa: E402
from fsaf_tf.serving import canvas, load, onnx_export, onnx_model  # noqa: E402

FLAGS = flags.FlagValues()
MODEL_DIR = flags.DEFINE_string("model_dir", None, "The folder of a run.", FLAGS)
IMAGES = flags.DEFINE_string("images", None, "A folder or a glob of pictures.", FLAGS)
COUNT = flags.DEFINE_integer("count", 20, "So many of them, spread evenly.", flag_values=FLAGS)
BRANCH = flags.DEFINE_string("branch", None, "One branch of a detector that has both.", FLAGS)


def differences(found: dict, expected: dict) -> tuple[int, list[float], list[float]]:
    """Detections without a partner on either side, and of the others how far boxes (px) and scores are apart."""
    free, boxes, scores = list(range(len(expected["scores"]))), [], []
    for row in range(len(found["scores"])):
        alike = [other for other in free if found["classes"][row] == expected["classes"][other]]
        if not alike:
            continue
        gaps = [np.abs(found["boxes"][row] - expected["boxes"][other]).max() for other in alike]
        partner = alike[int(np.argmin(gaps))]
        if min(gaps) < 1.0:
            free.remove(partner)
            boxes.append(min(gaps))
            scores.append(abs(found["scores"][row] - expected["scores"][partner]))
    return len(free) + len(found["scores"]) - len(boxes), boxes, scores


def row(name: str, pairs: list[tuple[dict, dict]]) -> str:
    """A line of the table."""
    lonely, boxes, scores = zip(*(differences(*pair) for pair in pairs))
    boxes, scores = np.concatenate(boxes), np.concatenate(scores)
    return f"{name:<28}{len(boxes):>9}{sum(lonely):>9}{boxes.max():>12.2g}{scores.max():>12.2g}"


def study():
    """Exports, looks at the pictures by every file, prints."""
    detector = load.load_trained(MODEL_DIR.value, branch=BRANCH.value)
    print(detector.checkpoint.line)
    files = image_files.find(IMAGES.value)
    chosen = np.linspace(0, len(files) - 1, min(len(files), COUNT.value)).astype(int)
    upright = [predict_files.read_image(files[index]) for index in chosen]
    pictures = {"as they are": upright, "turned": [np.ascontiguousarray(np.rot90(each)) for each in upright]}
    expected = {name: [detector(each) for each in some] for name, some in pictures.items()}
    with tempfile.TemporaryDirectory() as folder:
        free = onnx_model.ONNX(onnx_export.export(detector, folder))
        canvases = canvas.choose(detector.program, canvas.BOTH, None)
        fixed = [onnx_model.ONNX(onnx_export.export(detector, folder, each)) for each in canvases]
    print(f"{'':<28}{'the same':>9}{'others':>9}{'boxes, px':>12}{'scores':>12}")
    for name, some in pictures.items():
        print(row(f"any size, {name}", list(zip(map(free, some), expected[name]))))
        resized = [resized_by_training(detector, each) for each in some]
        print(row(f"  resized before, {name}", [(free(each), detector(each)) for each in resized]))
        of_each = [canvas.of_orientation(fixed, each.shape[:2])(each) for each in some]
        print(row(f"canvas, {name}", list(zip(of_each, expected[name]))))


def resized_by_training(detector, picture: np.ndarray) -> np.ndarray:
    """A picture at the size that the network sees it at, which resizing leaves as it is."""
    fitted, size = detector.program.fit(tf.constant(picture))
    return fitted[: size[0], : size[1]].numpy()


if __name__ == "__main__":
    cli.run(study, FLAGS, __doc__)
