"""From which score on a class's detections are worth showing: the threshold with the greatest F1 at IoU 0.5.

A threshold that is chosen on some pictures looks better on these than it is. Choose it on validation data, and look at
what it is worth on others: `of_classes` makes them, `measured` says what given ones come to.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from fsaf_tf.analysis.judged import Judged, judge
from fsaf_tf.errors import UserError
from fsaf_tf.files import storage

ONE = "one for all"  # the row of the threshold that all classes share


class Thresholds(NamedTuple):
    """Thresholds that were chosen on some data.

    Attributes:
        of: by the name of the class, of those for which one was chosen.
        one: the best one for all classes; of a class that has none it is taken.
    """

    of: dict[str, float]
    one: float


def read(path: str) -> Thresholds:
    """The thresholds of a report on one detector, NAME.json of tools/analyze.py.

    Raises:
        UserError: it is no such file, or of several detectors.
    """
    runs = storage.read_dict(path).get("runs")
    if not isinstance(runs, dict) or not runs:
        raise UserError(f"{path} is no report: give the NAME.json that tools/analyze.py wrote on validation data")
    if len(runs) > 1:
        raise UserError(f"{path} is of {len(runs)} detectors: {', '.join(runs)}; give a report of one")
    try:
        chosen = next(iter(runs.values()))["thresholds"]
        of = {row["name"]: row["threshold"] for row in chosen["by_class"] if row["threshold"] is not None}
        one = chosen["one"]["threshold"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} has no thresholds: an older version wrote it; make the report anew") from error
    if one is None:
        raise UserError(f"{path}: its detector found nothing that is right, and no threshold could be chosen")
    return Thresholds(of, one)


def of_classes(ground_truth: dict, results: Sequence[dict], max_detections: int) -> dict:
    """The best threshold of each class, and the best one for all classes together.

    Args:
        ground_truth: see `average_precision.coco_metrics`.
        results: see there.
        max_detections: see there.

    Returns:
        `by_class`, for each class `name`, `objects`, `threshold`, `precision`, `recall`, `F1`, None without objects or
        detections; and `one`, the same of all classes with one threshold.
    """
    classes = _by_name(ground_truth, results, max_detections)
    by_class = [{"name": name, **_best(judged)} for name, judged in classes.items()]
    return {"by_class": by_class, "one": {"name": ONE, **_best(_together(classes.values()))}}


def measured(ground_truth: dict, results: Sequence[dict], max_detections: int, given: Thresholds) -> dict:
    """What given thresholds come to.

    Args:
        ground_truth: see `average_precision.coco_metrics`.
        results: see there.
        max_detections: see there.
        given: thresholds that were chosen on other data.

    Returns:
        `by_class`, rows as those of `of_classes`, with `F1_of_one` beside them, the F1 of the one threshold for all;
        `all`, of all detections together, likewise; `mean`, `F1` and `F1_of_one` in the mean over the classes that have
        objects.
    """
    classes = _by_name(ground_truth, results, max_detections)
    rows, kept = [], []
    for name, judged in classes.items():
        threshold = given.of.get(name, given.one)
        kept.append(_from(judged, threshold))
        of_one = _figures(_from(judged, given.one))["F1"]
        rows.append({"name": name, "threshold": threshold, **_figures(kept[-1]), "F1_of_one": of_one})
    of_one = _figures(_together([_from(judged, given.one) for judged in classes.values()]))["F1"]
    known = [row for row in rows if row["objects"]]
    mean = {key: float(np.mean([row[key] for row in known])) if known else None for key in ("F1", "F1_of_one")}
    return {"by_class": rows, "all": {**_figures(_together(kept)), "F1_of_one": of_one}, "mean": mean}


def _by_name(ground_truth: dict, results: Sequence[dict], max_detections: int) -> dict[str, Judged]:
    names = {row["id"]: row["name"] for row in ground_truth["categories"]}
    judged = judge(ground_truth, results, max_detections)
    return {names[category_id]: of_class for category_id, of_class in judged.items()}


def _together(classes: Iterable[Judged]) -> Judged:
    """The detections of several classes as those of one."""
    classes = list(classes)
    columns = {field: [getattr(judged, field) for judged in classes] for field in Judged._fields}
    scores = np.concatenate(columns["scores"])
    order = np.argsort(-scores, kind="stable")
    flags = {field: np.concatenate(columns[field], axis=1)[:, order] for field in ("is_right", "is_left_out")}
    images = np.concatenate(columns["images"])[order]
    return Judged(scores=scores[order], images=images, objects=np.sum(columns["objects"], axis=0), **flags)


def _from(judged: Judged, threshold: float) -> Judged:
    """The detections that score at least so much."""
    count = int(np.searchsorted(-judged.scores, -threshold, side="right"))
    flags = {field: getattr(judged, field)[:, :count] for field in ("is_right", "is_left_out")}
    return judged._replace(scores=judged.scores[:count], images=judged.images[:count], **flags)


def _figures(judged: Judged) -> dict:
    """Precision, recall and F1 of all the detections, at IoU 0.5."""
    objects, right = int(judged.objects.sum()), int(judged.is_right[0].sum())
    counted = len(judged.scores) - int(judged.is_left_out[0].sum())
    return {
        "objects": objects,
        "precision": right / counted if counted else None,
        "recall": right / objects if objects else None,
        "F1": 2 * right / (counted + objects) if objects else None,
    }


def _best(judged: Judged) -> dict:
    """The threshold of the greatest F1, between two scores, and its figures."""
    objects = int(judged.objects.sum())
    if not objects or not judged.is_right[0].any():
        return {"threshold": None, **_figures(judged)}
    right = np.cumsum(judged.is_right[0])
    counted = np.cumsum(~judged.is_left_out[0])
    f1 = 2 * right / (counted + objects)
    is_last = np.append(judged.scores[1:] < judged.scores[:-1], True)  # equal scores are kept or dropped together
    place = int(np.argmax(np.where(is_last, f1, -1.0)))
    below = judged.scores[place + 1] if place + 1 < len(judged.scores) else 0.0
    threshold = _between(below, judged.scores[place])
    return {"threshold": threshold, **_figures(_from(judged, threshold))}


def _between(low: float, high: float) -> float:
    """A short number above one and up to the other: what is typed and read."""
    middle = (low + high) / 2
    for digits in range(2, 8):
        rounded = round(middle, digits)
        if low < rounded <= high:
            return rounded
    return float(high)
