"""Labels that may be wrong, the likeliest first: where a detector that is mostly right is sure of something else.

How much a score says, and how rare a disagreement is, differ from class to class and from detector to detector. So
suspicions are measured by the data themselves. Of a detection it is its score, times 1 less the share of the detections
of its class, of those that are at least as sure, that disagree with the labels in the same way. Of a label that nothing
of its class is on it is 1 less the share of such labels in the class (half of it where nothing at all is near), times
the mean score by which the class is found; without the latter where a detection says what it is instead, if that is
more than the detection's own suspicion. (Confident Learning, Northcutt et al., JAIR 2021, likewise lets each class set
its thresholds.)
"""

import collections
from collections.abc import Iterable, Sequence

import numpy as np
from pycocotools import mask

from fsaf_tf.analysis.errors import MATCH_IOU

NOT_DRAWN, NEVER_FOUND, OTHER_CLASS, MOVED = "not drawn", "never found", "another class", "another place"
MEANINGS = {
    NOT_DRAWN: "a detection where no label is",
    OTHER_CLASS: "a detection of another class on a label",
    MOVED: "a detection beside a label of its class that nothing is on",
    NEVER_FOUND: "a label that no detection of its class is on",
}
NEAR_IOU = 0.1  # a detection that overlaps a label by more may be of the same object
LEAST_SCORE = 0.1  # of a detection that is asked at all


def find(ground_truth: dict, results: Sequence[dict]) -> list[dict]:
    """What labels and detections disagree on, the likeliest mistakes of the labels first.

    Args:
        ground_truth: see `average_precision.coco_metrics`, the images with `file_name`.
        results: see there.

    Returns:
        For each `kind`, `suspicion`, `image_id`, `file_name`, `name` of the class and `box` `[x, y, width, height]` as
        drawn, or of what was not drawn; where a detection says so its `score`, and of another class or place its
        `found_name` and `found_box`. Of each label one at most.
    """
    images = list(_images(ground_truth, results))
    found = _of_detections(images)
    told = {suspect["about"]: suspect for suspect in reversed(found)}  # of each label, or detection, the likeliest
    for label in _never_found(images):
        if label["about"] in told:
            told[label["about"]]["suspicion"] = max(told[label["about"]]["suspicion"], label["rarity"])
        else:
            told[label["about"]] = label
    names = {row["id"]: row["name"] for row in ground_truth["categories"]}
    return [_shown(suspect, names) for suspect in sorted(told.values(), key=lambda suspect: -suspect["suspicion"])]


def _of_detections(images: Sequence["_Image"]) -> list[dict]:
    """What detections say against labels, the likeliest first."""
    scores, disagreeing = collections.defaultdict(list), collections.defaultdict(list)
    for image in images:
        for row in image.detections:
            scores[row["category_id"]].append(row["score"])
    found = [suspect for image in images for suspect in image.of_detections()]
    for suspect in found:
        disagreeing[suspect["kind"], suspect["category_id"]].append(suspect["score"])
    for suspect in found:
        category_id, score = suspect["category_id"], suspect["score"]
        alike = _at_least(disagreeing[suspect["kind"], category_id], score)
        suspect["suspicion"] = score * (1 - alike / _at_least(scores[category_id], score))
    return sorted(found, key=lambda suspect: -suspect["suspicion"])


def _at_least(scores: Sequence[float], score: float) -> int:
    return int(np.sum(np.array(scores) >= score))


def _never_found(images: Sequence["_Image"]) -> Iterable[dict]:
    """The labels that no detection of their class is on, with how rare that is in the class."""
    fits = collections.defaultdict(list)
    for image in images:
        for label, fit in zip(image.labels, image.fits()):
            fits[label["category_id"]].append(fit)
    for image in images:
        for label, fit, near in zip(image.labels, image.fits(), image.nearness()):
            if not fit:
                of_class = np.array(fits[label["category_id"]])
                rarity = 1 - float(np.mean(of_class == 0)) * (1 + near) / 2  # first those that nothing is near
                suspicion = rarity * float(of_class.mean())
                yield image.facts(NEVER_FOUND, label, label) | {"rarity": rarity, "suspicion": suspicion}


def _shown(suspect: dict, names: dict[int, str]) -> dict:
    """What a report has of one."""
    kept = {key: suspect[key] for key in ("kind", "suspicion", "image_id", "file_name", "box")}
    kept |= {"name": names[suspect["drawn_id"]]}
    if suspect["kind"] != NEVER_FOUND:
        kept["score"] = suspect["score"]
    if suspect["kind"] in (OTHER_CLASS, MOVED):
        kept |= {"found_name": names[suspect["category_id"]], "found_box": suspect["found_box"]}
    return kept


class _Image:
    """The labels and the detections of an image, and how they overlap."""

    def __init__(self, image: dict, labels: list[dict], crowds: list[dict], detections: list[dict]):
        self.image, self.labels = image, labels
        self.detections = sorted(detections, key=lambda row: -row["score"])
        self.iou = _iou(self.detections, labels)  # [D, G]
        self.scores = np.array([row["score"] for row in self.detections])  # [D]
        self.is_same = np.equal.outer(*(_classes(rows) for rows in (self.detections, labels)))  # [D, G]
        self.is_on_crowd = (_iou(self.detections, crowds, crowd=True) > MATCH_IOU).any(axis=1)  # [D]

    def fits(self) -> np.ndarray:
        """How well each label is found, in its place and of its class `[G]`: the score of the best such detection."""
        is_fit = self.is_same & (self.iou >= MATCH_IOU)
        return np.where(is_fit, self.scores[:, None], 0.0).max(axis=0, initial=0)

    def nearness(self) -> np.ndarray:
        """The score of the best detection of any class that touches each label `[G]`."""
        return np.where(self.iou >= NEAR_IOU, self.scores[:, None], 0.0).max(axis=0, initial=0)

    def of_detections(self) -> Iterable[dict]:
        """What detections say against labels: each says one thing at most, and none repeats a better one."""
        fits, is_on = self.fits(), self.iou >= MATCH_IOU
        for place, row in enumerate(self.detections):
            if self.is_on_crowd[place] or (is_on[place] & self.is_same[place]).any() or self._repeats(place):
                continue
            if is_on[place].any():
                target, kind = int(self.iou[place].argmax()), OTHER_CLASS
            else:
                near = np.where(self.is_same[place] & (fits == 0), self.iou[place], 0.0)
                target, kind = int(near.argmax()) if len(near) else 0, MOVED
                if near.max(initial=0) < NEAR_IOU:
                    yield self.facts(NOT_DRAWN, row, row)
                    continue
            if row["score"] > fits[target]:
                yield self.facts(kind, self.labels[target], row)

    def facts(self, kind: str, drawn: dict, row: dict) -> dict:
        """A suspect: what was drawn, and the detection that says so."""
        facts = {"kind": kind, "about": id(drawn), "drawn_id": drawn["category_id"], "box": drawn["bbox"]}
        facts |= {"category_id": row["category_id"], "found_box": row["bbox"], "score": row.get("score")}
        return facts | {"image_id": self.image["id"], "file_name": self.image["file_name"]}

    def _repeats(self, place: int) -> bool:
        return bool((_iou(self.detections[:place], [self.detections[place]]) >= MATCH_IOU).any())


def _images(ground_truth: dict, results: Sequence[dict]) -> Iterable[_Image]:
    labels, crowds, detections = (collections.defaultdict(list) for _ in range(3))
    for row in ground_truth["annotations"]:
        (crowds if row.get("iscrowd") else labels)[row["image_id"]].append(row)
    for row in results:
        if row["score"] >= LEAST_SCORE:
            detections[row["image_id"]].append(row)
    for image in ground_truth["images"]:
        key = image["id"]
        yield _Image(image, labels[key], crowds[key], detections[key])


def _classes(rows: Sequence[dict]) -> np.ndarray:
    return np.array([row["category_id"] for row in rows], int)


def _iou(rows: Sequence[dict], others: Sequence[dict], crowd: bool = False) -> np.ndarray:
    """`[len(rows), len(others)]`; with `crowd` the share of each of the rows that lies in the other."""
    if not (rows and others):
        return np.zeros([len(rows), len(others)])
    boxes = (np.array([row["bbox"] for row in each], np.float64) for each in (rows, others))
    return mask.iou(*boxes, [int(crowd)] * len(others))
