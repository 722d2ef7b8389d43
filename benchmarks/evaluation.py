"""COCO's figures by hotcoco and by pycocotools: time and memory of both in one run, and whether they are equal.

    python benchmarks/evaluation.py --images=5000 --detections=100

Each evaluates the same drawn objects and detections, in a process of its own, as a training does: all figures, AP of
thin boxes and AP by class. Memory is what the process takes beyond what it has before it evaluates.
"""

import json
import multiprocessing
import resource
import time

import numpy as np
from absl import flags

from fsaf_tf import cli

cli.quiet()

from fsaf_tf.errors import UserError  # noqa: E402
from fsaf_tf.evaluate import average_precision, coco_engine  # noqa: E402
from fsaf_tf.files import storage  # noqa: E402

FLAGS = flags.FlagValues()
IMAGES = flags.DEFINE_integer("images", 5000, "Images.", 1, flag_values=FLAGS)
DETECTIONS = flags.DEFINE_integer("detections", 100, "Detections an image.", 1, flag_values=FLAGS)
CLASSES = flags.DEFINE_integer("classes", 80, "Classes.", 1, flag_values=FLAGS)
OBJECTS = 7  # an image, as in COCO


def drawn(images: int, detections: int, classes: int) -> tuple[dict, list[dict]]:
    """Objects, and detections near them: a moved box of one of the image's objects, two in three of its class."""
    draw = np.random.default_rng(0)
    boxes = np.concatenate([draw.uniform(0, 400, [images, OBJECTS, 2]), draw.uniform(4, 160, [images, OBJECTS, 2])], -1)
    of_class = draw.integers(1, classes + 1, [images, OBJECTS])
    truth, results = [], []
    for image in range(images):
        of_image = zip(boxes[image].round(2).tolist(), of_class[image].tolist())
        truth += [{"image_id": image, "bbox": box, "category_id": category} for box, category in of_image]
        objects = draw.integers(OBJECTS, size=detections)
        near = boxes[image, objects] + draw.normal(0, 6, [detections, 4])  # [D, 4]
        near[:, 2:] = np.maximum(near[:, 2:], 1)
        other = draw.integers(1, classes + 1, detections)
        categories = np.where(draw.random(detections) < 2 / 3, of_class[image, objects], other)
        columns = zip(near.round(3).tolist(), categories.tolist(), draw.random(detections).round(6).tolist())
        of_boxes = [dict(zip(("bbox", "category_id", "score"), column)) for column in columns]
        results += [{"image_id": image, **of_box} for of_box in of_boxes]
    ids = {"images": [{"id": image} for image in range(images)]}
    names = [{"id": number, "name": str(number)} for number in range(1, classes + 1)]
    return {**ids, "annotations": truth, "categories": names}, results


def measure(name: str, sizes: tuple[int, int, int], outcomes: multiprocessing.Queue) -> None:
    """Evaluates by one program: its figures, seconds and megabytes."""
    ground_truth, results = drawn(*sizes)
    if name == "pycocotools":
        coco_engine.fastest = lambda _: coco_engine.PYCOCOTOOLS
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, start_cpu = time.monotonic(), time.process_time()
    metrics = average_precision.coco_metrics(ground_truth, results)
    seconds, cpu = time.monotonic() - start, time.process_time() - start_cpu
    most = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    outcomes.put((json.dumps(storage.plain(metrics)), seconds, cpu, most))


def main():
    """Prints a table, and whether all figures are equal."""
    if coco_engine.fastest({"images": [], "categories": []}).name != "hotcoco":
        raise UserError('hotcoco is not installed; pip install -c constraints.txt -e ".[eval]"')
    sizes = (IMAGES.value, DETECTIONS.value, CLASSES.value)
    context, rows = multiprocessing.get_context("spawn"), {}
    for name in ("pycocotools", "hotcoco"):
        outcomes = context.Queue()
        process = context.Process(target=measure, args=(name, sizes, outcomes))
        process.start()
        rows[name] = outcomes.get()
        process.join()
    (reference, *slow), (figures, *fast) = rows.values()
    print(f"{sizes[0]:,} images, {sizes[1]} detections each, {sizes[2]} classes\n")
    print("| | pycocotools | hotcoco | ratio |\n|---|---|---|---|")
    for label, one, other in zip(("seconds", "CPU seconds", "MB"), slow, fast):
        print(f"| {label} | {one:,.1f} | {other:,.1f} | {other / one:.3f} |")
    print(f"\nAll figures equal to the last bit: {'yes' if reference == figures else 'NO'}")


if __name__ == "__main__":
    cli.run(main, FLAGS, __doc__)
