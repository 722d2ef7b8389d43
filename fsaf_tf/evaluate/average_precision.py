"""COCO average precision as pycocotools has it (section 4), for every kind of data set in COCO form."""

import collections
import contextlib
import io
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fsaf_tf.evaluate import coco_engine

NOTHING, LEFT_OUT = -1, -2  # of `match`
_AT_HALF = {"iouThrs": np.array([0.5]), "areaRng": [[0, 1e10]], "areaRngLbl": ["all"]}  # IoU 0.5, boxes of every area
MOST = 100  # detections of a class in an image that COCO's figures count
THIN = 8  # a thin box is more than so many times as long as wide


def detections_to_coco(
    detections: dict[str, np.ndarray], image_ids: Sequence[int], category_ids: Sequence[int]
) -> list[dict]:
    """Detections of a batch in the form of COCO's results.

    Args:
        detections: as from `postprocess.detect`, with `boxes` `[B, D, 4]` yxyx in pixels of the original images.
        image_ids: `[B]`.
        category_ids: the annotations' id of each class index.

    Returns:
        `{"image_id", "category_id", "bbox": [x, y, width, height], "score"}` for each detection.
    """
    results = []
    for image, image_id in enumerate(image_ids):
        count = int(detections["num_detections"][image])
        y1, x1, y2, x2 = np.asarray(detections["boxes"][image, :count], np.float64).T
        boxes = np.stack([x1, y1, x2 - x1, y2 - y1], axis=-1)
        for box, score, index in zip(boxes, detections["scores"][image], detections["classes"][image]):
            results.append(
                {
                    "image_id": int(image_id),
                    "category_id": int(category_ids[int(index)]),
                    "bbox": [round(side, 3) for side in box.tolist()],
                    "score": round(float(score), 6),
                }
            )
    return results


def coco_metrics(ground_truth: dict, results: Sequence[dict], max_detections: int = MOST) -> dict:
    """All `FIGURES`, and AP by class.

    Args:
        ground_truth: COCO annotations: `images`, `annotations` (`image_id`, `category_id`, `bbox`, and where they are
            known `area` and `iscrowd`) and `categories` (`id`, `name`). It is not changed.
        results: COCO results, of these images and categories.
        max_detections: of each class in each image the best so many are counted. Of other classes' detections none is
            taken away by it: it is no limit of an image.

    Returns:
        `FIGURES` by their names, floats in 0 to 1, and `AP_by_class`, `{name: AP}`. A figure without any ground truth,
            which pycocotools gives as -1, is NaN, no value to average or to compare. In JSON it is null.
            `max_detections`, where it is not COCO's 100; `ceiling`, of `beyond_ceiling`, where objects are beyond it.

    Raises:
        ValueError: a result of an unknown image or category.
    """
    return coco_curves(ground_truth, results, max_detections)[0]


def coco_curves(ground_truth: dict, results: Sequence[dict], max_detections: int = MOST) -> tuple[dict, np.ndarray]:
    """`coco_metrics`, and the precision that its AP is the mean of.

    Args:
        ground_truth: see `coco_metrics`.
        results: see `coco_metrics`.
        max_detections: see `coco_metrics`.

    Returns:
        The metrics, and the precision `[10, 101, K]` at COCO's 10 IoU thresholds, at recall 0, 0.01 .. 1, of each
            class in the order of the category ids; -1 for a class without ground truth.
    """
    _check(ground_truth, results)
    evaluation = _evaluate(ground_truth, results, max_detections=max_detections)
    evaluation.params.maxDets = [1, 10, MOST]  # what `summarize` looks them up by
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.summarize()
    outcome = Outcome(ground_truth, results, evaluation.stats, max_detections)
    metrics: dict[str, Any] = {figure.name: figure.of(outcome) for figure in FIGURES}
    names = {category["id"]: category["name"] for category in ground_truth["categories"]}
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # [IoU, recall, K], every area, all that are counted
    metrics["AP_by_class"] = {
        names[category_id]: _mean(precision[..., index]) for index, category_id in enumerate(evaluation.params.catIds)
    }
    if max_detections != MOST:
        metrics["max_detections"] = max_detections
    beyond = beyond_ceiling(ground_truth, max_detections)
    return metrics | ({"ceiling": beyond} if beyond else {}), precision


def beyond_ceiling(ground_truth: dict, max_detections: int) -> dict[str, int]:
    """What no detector can find, since an image has more objects of a class than detections of it are counted.

    Returns:
        `images` of `all_images` that have more; `most`, the most of a class in one; `objects` of `all_objects` that are
        beyond the ceiling. Empty where there are none.
    """
    objects = [row for row in ground_truth["annotations"] if not row.get("iscrowd")]
    counts = collections.Counter((row["image_id"], row["category_id"]) for row in objects)
    over = {key: count for key, count in counts.items() if count > max_detections}
    if not over:
        return {}
    return {
        "images": len({image_id for image_id, _ in over}),
        "all_images": len(ground_truth["images"]),
        "most": max(over.values()),
        "objects": sum(over.values()) - max_detections * len(over),
        "all_objects": len(objects),
    }


def binned_ap(
    ground_truth: dict,
    results: Sequence[dict],
    bin_of: Callable[[list], int],
    bins: Sequence[int],
    max_detections: int = MOST,
) -> list:
    """AP of boxes of one kind at a time, by COCO's own rule for areas out of range, as `AP_thin` of `coco_metrics`.

    Args:
        ground_truth: see `coco_metrics`.
        results: see `coco_metrics`.
        bin_of: the bin of a box `[x, y, width, height]`.
        bins: those wanted.
        max_detections: see `coco_metrics`.

    Returns:
        The AP of each; NaN for one without ground truth.
    """
    ranges = {"areaRng": [[each, each] for each in bins], "areaRngLbl": [str(each) for each in bins]}
    precision = _evaluate(ground_truth, results, bin_of, max_detections, **ranges).eval["precision"]
    return [_mean(precision[:, :, :, index, -1]) for index in range(len(bins))]


def ap50(ground_truth: dict, results: Sequence[dict], max_detections: int = MOST) -> float:
    """The AP50 of `coco_metrics` alone, which takes much less time; NaN without ground truth.

    Args:
        ground_truth: see `coco_metrics`.
        results: see `coco_metrics`.
        max_detections: see `coco_metrics`.
    """
    evaluation = _evaluate(ground_truth, results, max_detections=max_detections, **_AT_HALF)
    return _mean(evaluation.eval["precision"][:, :, :, 0, -1])


def brief(ground_truth: dict, results: Sequence[dict], max_detections: int = MOST) -> dict[str, float]:
    """AP, AP50 and AP75 as `coco_metrics` has them; NaN without ground truth.

    Args:
        ground_truth: see `coco_metrics`.
        results: see `coco_metrics`.
        max_detections: see `coco_metrics`.
    """
    precision = _evaluate(ground_truth, results, max_detections=max_detections).eval["precision"][..., 0, -1]
    return {"AP": _mean(precision), "AP50": _mean(precision[0]), "AP75": _mean(precision[5])}


def match(
    ground_truth: dict, results: Sequence[dict], *, by_class: bool = True, max_detections: int = MOST
) -> np.ndarray:
    """Which object each result is on: COCO's matching at IoU 0.5, the highest score first.

    Args:
        ground_truth: see `coco_metrics`.
        results: see `coco_metrics`.
        by_class: match objects of the result's class only; else of any.
        max_detections: by class, see `coco_metrics`; else all are matched.

    Returns:
        `[n]`: the place of an annotation in `ground_truth["annotations"]`; `NOTHING`, or `LEFT_OUT` of what is not
        judged: on a crowd, or by class not
        among the best of its image and class that are counted.
    """
    most = max_detections if by_class else max(len(results), 1)
    evaluation = _evaluate(ground_truth, results, max_detections=most, useCats=int(by_class), **_AT_HALF)
    matches = np.full(len(results), LEFT_OUT)
    for image in evaluation.evalImgs:
        if image is not None:
            judged = ~np.array(image["dtIgnore"][0], bool)
            numbers = np.array(image["dtIds"], int)[judged] - 1
            matches[numbers] = np.array(image["dtMatches"][0], int)[judged] - 1  # COCO's 0 is nothing
    return matches


def matched_images(ground_truth: dict, results: Sequence[dict], max_detections: int = MOST) -> list[dict]:
    """pycocotools' matches of each class in each image, at COCO's 10 IoU thresholds, boxes of every area.

    Args:
        ground_truth: see `coco_metrics`.
        results: see `coco_metrics`.
        max_detections: see `coco_metrics`.
    """
    every_area = {"areaRng": _AT_HALF["areaRng"], "areaRngLbl": _AT_HALF["areaRngLbl"]}
    evaluation = _evaluate(ground_truth, results, max_detections=max_detections, **every_area)
    return [image for image in evaluation.evalImgs if image is not None]


def _check(ground_truth: dict, results: Sequence[dict]) -> None:
    """pycocotools leaves such results out, or fails on an assertion that does not name them."""
    for key, table in (("image_id", "images"), ("category_id", "categories")):
        unknown = {result[key] for result in results} - {row["id"] for row in ground_truth[table]}
        if unknown:
            raise ValueError(f"The results have {key} {min(unknown)}, which is not in the {table} of the ground truth.")


def _evaluate(ground_truth: dict, results: Sequence[dict], bin_of=None, max_detections: int = MOST, **params) -> Any:
    """A `COCOeval` with these `params`. `bin_of` a box `[x, y, w, h]` takes the place of its area.

    Annotations are numbered anew: pycocotools takes one of id 0 for "no match".
    """
    area_of = bin_of or _area
    truth = [
        {"iscrowd": 0, "area": area_of(row["bbox"]), **row, "id": number}
        for number, row in enumerate(ground_truth["annotations"], start=1)
    ]
    if bin_of:
        truth = [{**row, "area": bin_of(row["bbox"])} for row in truth]
    found = [
        {**row, "area": area_of(row["bbox"]), "iscrowd": 0, "id": number} for number, row in enumerate(results, start=1)
    ]
    limits = {"maxDets": [min(most, max_detections) for most in (1, 10, max_detections)]}
    engine = coco_engine.fastest(ground_truth)
    return coco_engine.evaluate(engine, ground_truth, truth, found, {**limits, **params})


def _area(box: Sequence[float]) -> float:
    """Of a box `[x, y, width, height]`."""
    return box[2] * box[3]


def _mean(precision: np.ndarray) -> float:
    """The mean over what there is ground truth for: the rest is -1."""
    known = precision[precision > -1]
    return float(known.mean()) if known.size else math.nan


# The figures.


class Outcome(NamedTuple):
    """What figures are made from: what `coco_metrics` takes, and pycocotools' 12 figures."""

    ground_truth: dict
    results: Sequence[dict]
    summary: np.ndarray
    max_detections: int


class Figure(NamedTuple):
    """A figure of an evaluation. One more is a row of `FIGURES`, and its function.

    Attributes:
        name: in `metrics.json`; what `trainer.best_checkpoint_eval_metric` may be.
        of: makes it, in 0 to 1; NaN without ground truth.
        row: where it is in the table on the terminal, AP or AR.
        column: its heading there.
        in_report: its heading in a report; empty: not there.
        in_line: whether it is in the line that a report leaves on the terminal.
    """

    name: str
    of: Callable[[Outcome], float]
    row: str
    column: str
    in_report: str = ""
    in_line: bool = False


def _of_coco(index: int) -> Callable[[Outcome], float]:
    """One of pycocotools' summary, where -1 is no ground truth."""
    return lambda outcome: math.nan if outcome.summary[index] < 0 else float(outcome.summary[index])


def _ap_thin(outcome: Outcome) -> float:
    """AP of thin boxes, which is to them what APs is to small ones.

    Ground truth that is not longer than 8 times its width is ignored by COCO's own rule for areas out of range. It
    neither counts as missed nor is a detection of it wrong, and a detection that matches nothing counts as wrong only
    if it is thin itself. Boxes of any area are in it.
    """

    def is_thin(box):
        _, _, width, height = box
        return float(width > THIN * height or height > THIN * width)

    return binned_ap(outcome.ground_truth, outcome.results, is_thin, [True], outcome.max_detections)[0]


FIGURES = (
    Figure("AP", _of_coco(0), "AP", "IoU .5:.95", in_report="AP", in_line=True),
    Figure("AP50", _of_coco(1), "AP", "IoU .5", in_report="AP50", in_line=True),
    Figure("AP75", _of_coco(2), "AP", "IoU .75", in_report="AP75"),
    Figure("APs", _of_coco(3), "AP", "small", in_report="small"),
    Figure("APm", _of_coco(4), "AP", "medium", in_report="medium"),
    Figure("APl", _of_coco(5), "AP", "large", in_report="large"),
    Figure("AR1", _of_coco(6), "AR", "1 an image"),
    Figure("AR10", _of_coco(7), "AR", "10"),
    Figure("AR100", _of_coco(8), "AR", "100", in_report="AR100"),
    Figure("ARs", _of_coco(9), "AR", "small"),
    Figure("ARm", _of_coco(10), "AR", "medium"),
    Figure("ARl", _of_coco(11), "AR", "large"),
    Figure("AP_thin", _ap_thin, "AP", "thin", in_report="thin", in_line=True),
)


def names() -> list[str]:
    """The names of all figures."""
    return [figure.name for figure in FIGURES]


def of_row(row: str) -> list[Figure]:
    """The figures of AP or of AR."""
    return [figure for figure in FIGURES if figure.row == row]
