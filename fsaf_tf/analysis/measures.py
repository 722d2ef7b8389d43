"""All that a report says of a detector: AP by size, shape and class, and its errors. AP is pycocotools'."""

import bisect
import collections
import math
from collections.abc import Callable, Sequence

import numpy as np

from fsaf_tf.analysis import errors, suspects, thresholds
from fsaf_tf.evaluate import average_precision

# Where bins begin; what is on an edge is in the bin below. A box's size is the side of a square of its area, as in
# Eq. 3; its shape is the longer over the shorter side.
SIZES = (0, 16, 32, 64, 96, 192)
SHAPES = (1, 1.5, 2, 4, average_precision.THIN)
CURVES = {"0.5": 0, "0.75": 5}  # of COCO's 10 IoU thresholds those that are drawn
STEPS = 7
SUSPECTS = 500  # that a report keeps


def analyze(
    ground_truth: dict,
    results: Sequence[dict],
    *,
    score_threshold: float,
    max_detections: int = average_precision.MOST,
    tell: Callable[[str], None] = lambda text: None,
) -> dict:
    """Measures the results of one detector.

    Args:
        ground_truth: as `average_precision.coco_metrics` takes it, the images with `file_name`, `width` and `height`.
        results: COCO results of these images and categories.
        score_threshold: confusions and the errors in pictures are of detections that score at least this.
        max_detections: see `average_precision.coco_metrics`.
        tell: is given a line before each step.

    Returns:
        A dict of plain values:
        `detections`, their number, and `images`, how many have any;
        `metrics`, of `average_precision.coco_metrics`;
        `precision_recall`, by IoU threshold the precision at recall 0, 0.01 .. 1: `mean` over the classes and
        `by_class`, each a list, None for a class without objects;
        `by_size`, `by_shape`, lists of bins with `from` (exclusive), `to` (inclusive; None: no end), `objects`, `AP`;
        `by_class`, a list of `name`, `objects`, `AP` and `AP50`;
        `errors`, `confusion`, `pictures`: see `costs`, `confusions` and `by_picture` of `errors`;
        `thresholds`: see `thresholds.of_classes`;
        `suspects`: the first of `suspects.find`.
    """
    tell(f"1 of {STEPS}: AP")
    metrics, precision = average_precision.coco_curves(ground_truth, results, max_detections)
    tell(f"2 of {STEPS}: AP by size")
    by_size = _by_bin(ground_truth, results, _side, SIZES, max_detections)
    tell(f"3 of {STEPS}: AP by shape")
    by_shape = _by_bin(ground_truth, results, _elongation, SHAPES, max_detections)
    tell(f"4 of {STEPS}: kinds of errors")
    found = errors.find(ground_truth, results, max_detections)
    tell(f"5 of {STEPS}: what they cost")
    costs = errors.costs(ground_truth, results, found)
    tell(f"6 of {STEPS}: thresholds of the classes")
    best = thresholds.of_classes(ground_truth, results, max_detections)
    tell(f"7 of {STEPS}: labels that may be wrong")
    names = [row["name"] for row in sorted(ground_truth["categories"], key=lambda row: row["id"])]
    return {
        "detections": len(results),
        "images": len({row["image_id"] for row in results}),
        "metrics": metrics,
        "precision_recall": {iou: _curves(precision[index], names) for iou, index in CURVES.items()},
        "by_size": by_size,
        "by_shape": by_shape,
        "by_class": _by_class(ground_truth, metrics["AP_by_class"], precision[0], names),
        "errors": costs,
        "confusion": errors.confusions(ground_truth, results, score_threshold),
        "pictures": errors.by_picture(ground_truth, results, found, score_threshold),
        "thresholds": best,
        "suspects": suspects.find(ground_truth, results)[:SUSPECTS],
    }


def _side(box: list[float]) -> float:
    return math.sqrt(box[2] * box[3])


def _elongation(box: list[float]) -> float:
    shorter, longer = sorted(box[2:])
    return longer / shorter if shorter > 0 else math.inf


def _by_bin(ground_truth, results, measure, edges, max_detections: int) -> list[dict]:
    def bin_of(box):
        return max(bisect.bisect_left(edges, measure(box)) - 1, 0)

    aps = average_precision.binned_ap(ground_truth, results, bin_of, range(len(edges)), max_detections)
    objects = collections.Counter(bin_of(row["bbox"]) for row in _objects(ground_truth))
    ends = [*edges[1:], None]
    return [
        {"from": edge, "to": end, "objects": objects[index], "AP": ap}
        for index, (edge, end, ap) in enumerate(zip(edges, ends, aps))
    ]


def _objects(ground_truth: dict) -> list[dict]:
    return [row for row in ground_truth["annotations"] if not row.get("iscrowd")]


def _curves(precision: np.ndarray, names: Sequence[str]) -> dict:
    """`precision` `[101, K]`; rounded, which no eye sees and a file of 80 classes is half as long for."""
    known = np.all(precision > -1, axis=0)
    rounded = np.round(precision, 4)
    return {
        "mean": np.round(precision[:, known].mean(axis=1), 4).tolist() if known.any() else None,
        "by_class": {name: rounded[:, k].tolist() if known[k] else None for k, name in enumerate(names)},
    }


def _by_class(ground_truth, aps: dict, precision_50: np.ndarray, names: Sequence[str]) -> list[dict]:
    objects = collections.Counter(row["category_id"] for row in _objects(ground_truth))
    ids = sorted(row["id"] for row in ground_truth["categories"])
    return [
        {
            "name": name,
            "objects": objects[category_id],
            "AP": aps[name],
            "AP50": float(precision_50[:, k].mean()) if objects[category_id] else math.nan,
        }
        for k, (name, category_id) in enumerate(zip(names, ids))
    ]
