"""What tiles keep: the AP of pictures one by one beside that of a mosaic of them, looked at whole and in tiles.

    python benchmarks/tiles.py --model_dir=runs/bccd --tile=480 --overlap=0.5
    python benchmarks/tiles.py --model_dir=runs/bccd --tile=480 --side=10000      # time and memory of a large picture
    python benchmarks/tiles.py --model_dir=runs/bccd --tile=480 --sahi            # beside SAHI, if it is installed

The mosaic is of the first rows x columns validation pictures of the run that have one size, without gaps, so that
objects at their borders meet others. Its AP counts as many detections as it keeps. What is printed is JSON, a line
each.
"""

import json
import resource
import time

import numpy as np
from absl import flags

from fsaf_tf import cli

FLAGS = flags.FlagValues()
MODEL_DIR = flags.DEFINE_string("model_dir", None, "A run.", FLAGS)
BRANCH = flags.DEFINE_string("branch", None, "One branch of a run with both.", FLAGS)
TILE = flags.DEFINE_integer("tile", 640, "Side of a tile.", flag_values=FLAGS)
OVERLAP = flags.DEFINE_float("overlap", 0.2, "See tools/predict.py.", flag_values=FLAGS)
ROWS = flags.DEFINE_integer("rows", 8, "Rows and columns of the mosaic.", flag_values=FLAGS)
SIDE = flags.DEFINE_integer(
    "side", 0, "Look at one picture of so many pixels in the square instead.", flag_values=FLAGS
)
SAHI = flags.DEFINE_bool("sahi", False, "Slice the mosaic by SAHI around the same detector, too.", flag_values=FLAGS)


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_measure, FLAGS, __doc__)


def _measure() -> None:
    from fsaf_tf.serving import load

    tiles = {"size": TILE.value, "overlap": OVERLAP.value}
    if SIDE.value:
        _large(load.load_detector(MODEL_DIR.value, branch=BRANCH.value, tile=tiles))
        return
    most = {"max_detections": 100 * ROWS.value**2}
    single = load.load_detector(MODEL_DIR.value, branch=BRANCH.value)
    examples, truth = _examples(single)
    singles = [(example, single(example["image"])) for example in examples]
    _say("pictures one by one", truth, singles, single, 100)
    mosaic, whole_truth = _mosaic(examples, truth)
    ways = {"the mosaic whole": {}, "the mosaic in tiles": {"tile": tiles}}
    for name, options in ways.items():
        detector = load.load_detector(MODEL_DIR.value, branch=BRANCH.value, postprocess=most, **options)
        detector(mosaic["image"][: 2 * TILE.value, : 2 * TILE.value])  # traces it
        start = time.monotonic()
        found = detector(mosaic["image"])
        seconds = time.monotonic() - start
        _say(name, whole_truth, [(mosaic, found)], detector, most["max_detections"], seconds=round(seconds, 1))
    if SAHI.value:
        start = time.monotonic()
        found = _by_sahi(single, mosaic["image"])
        seconds = round(time.monotonic() - start, 1)
        _say("the mosaic by SAHI", whole_truth, [(mosaic, found)], single, most["max_detections"], seconds=seconds)


def _by_sahi(detector, image: np.ndarray) -> dict:
    """What SAHI makes of the detections of its slices, by its own defaults."""
    from sahi.models.base import DetectionModel
    from sahi.predict import get_sliced_prediction
    from sahi.prediction import ObjectPrediction

    class Model(DetectionModel):
        def set_device(self, device=None):
            self.device = "cpu"

        def load_model(self):
            self.category_mapping = {str(k): name for k, name in enumerate(detector.class_names)}

        def perform_inference(self, image):
            self._original_predictions = detector(np.ascontiguousarray(image))

        def _create_object_prediction_list_from_original_predictions(
            self, shift_amount_list=None, full_shape_list=None
        ):
            found, names = self._original_predictions, detector.class_names
            shift, full = np.ravel(shift_amount_list).tolist()[:2], np.ravel(full_shape_list).tolist()[:2]
            self._object_prediction_list_per_image = [
                [
                    ObjectPrediction([x1, y1, x2, y2], int(k), names[k], None, float(score), shift, full)
                    for (y1, x1, y2, x2), k, score in zip(found["boxes"].tolist(), found["classes"], found["scores"])
                ]
            ]

    overlap = {"overlap_height_ratio": OVERLAP.value, "overlap_width_ratio": OVERLAP.value}
    found = get_sliced_prediction(
        image, Model(confidence_threshold=0.05), TILE.value, TILE.value, **overlap, verbose=0
    ).object_prediction_list
    boxes = [[each.bbox.miny, each.bbox.minx, each.bbox.maxy, each.bbox.maxx] for each in found]
    return {
        "boxes": np.array(boxes, np.float32),
        "scores": np.array([each.score.value for each in found]),
        "classes": np.array([each.category.id for each in found]),
    }


def _examples(detector) -> tuple[list[dict], dict]:
    """Validation pictures of one size, as many as the mosaic has, and their ground truth."""
    from fsaf_tf.data.source import open_source

    source = open_source(detector.config.validation_data)
    examples, size = [], None
    for example in source.decode(source.examples()):
        example = {key: value.numpy() if hasattr(value, "numpy") else value for key, value in example.items()}
        size = size or example["image"].shape
        if example["image"].shape == size and len(examples) < ROWS.value**2:
            examples.append(example)
    kept, truth = {int(example["image_id"]) for example in examples}, source.ground_truth()
    images = [row for row in truth["images"] if row["id"] in kept]
    annotations = [row for row in truth["annotations"] if row["image_id"] in kept]
    return examples, {**truth, "images": images, "annotations": annotations}


def _mosaic(examples: list[dict], truth: dict) -> tuple[dict, dict]:
    """The pictures as one, and its ground truth."""
    count, (height, width, _) = ROWS.value, examples[0]["image"].shape
    rows = [
        np.concatenate([one["image"] for one in examples[start : start + count]], axis=1)
        for start in range(0, len(examples), count)
    ]
    corner_of = {
        int(example["image_id"]): (place % count * width, place // count * height)
        for place, example in enumerate(examples)
    }
    annotations = []
    for row in truth["annotations"]:
        x, y = corner_of[row["image_id"]]
        annotations.append({**row, "image_id": 1, "bbox": [row["bbox"][0] + x, row["bbox"][1] + y, *row["bbox"][2:]]})
    image = {"id": 1, "file_name": "mosaic", "height": height * count, "width": width * count}
    mosaic = {"image": np.concatenate(rows, axis=0), "image_id": 1}
    return mosaic, {**truth, "images": [image], "annotations": annotations}


def _say(name: str, truth: dict, found: list, detector, most: int, **more) -> None:
    from fsaf_tf.detect.predict_files import to_coco
    from fsaf_tf.evaluate import average_precision

    ids = detector.classes.ids
    results = [row for example, each in found for row in to_coco(each, int(example["image_id"]), ids)]
    figures = {key: round(value, 4) for key, value in average_precision.brief(truth, results, most).items()}
    print(
        json.dumps({"what": name, "objects": len(truth["annotations"]), "detections": len(results), **figures, **more})
    )


def _large(detector) -> None:
    """Time and peak memory of a large picture, beside the model and an ordinary picture."""
    draw = np.random.default_rng(0)
    detector(draw.integers(0, 256, [TILE.value, TILE.value, 3], np.uint8))
    detector(draw.integers(0, 256, [TILE.value * 2, TILE.value * 2, 3], np.uint8))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    blocks = draw.integers(0, 256, [SIDE.value // 50, SIDE.value // 50, 3], np.uint8)
    picture = blocks.repeat(50, axis=0).repeat(50, axis=1)
    start = time.monotonic()
    found = detector(picture)
    seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sizes = {"before_mb": before // 1024, "peak_mb": peak // 1024, "beside_mb": (peak - before) // 1024}
    print(json.dumps({"side": SIDE.value, "detections": len(found["scores"]), "seconds": round(seconds, 1), **sizes}))


if __name__ == "__main__":
    main()
