"""Every detection judged: right, wrong or left out, as COCO's AP is made of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fsaf_tf.evaluate import average_precision


class Judged(NamedTuple):
    """The n detections of a class that are counted, by falling score, judged at COCO's 10 IoU thresholds.

    Attributes:
        scores: `[n]`.
        images: `[n]`, the place of each one's image in `ground_truth["images"]`.
        is_right: `[10, n]` bool, on an object that no better one is on.
        is_left_out: `[10, n]` bool, on a crowd: neither right nor wrong.
        objects: `[I]`, how many each image has.
    """

    scores: np.ndarray
    images: np.ndarray
    is_right: np.ndarray
    is_left_out: np.ndarray
    objects: np.ndarray


def judge(ground_truth: dict, results: Sequence[dict], max_detections: int) -> dict[int, Judged]:
    """What COCO's AP is made of, by category id.

    Args:
        ground_truth: see `average_precision.coco_metrics`.
        results: see `average_precision.coco_metrics`.
        max_detections: see `average_precision.coco_metrics`.
    """
    place_of = {image["id"]: place for place, image in enumerate(ground_truth["images"])}
    of_class: dict[int, list[dict]] = {category["id"]: [] for category in ground_truth["categories"]}
    for image in average_precision.matched_images(ground_truth, results, max_detections):
        of_class[image["category_id"]].append(image)
    return {category_id: _judged(images, place_of) for category_id, images in of_class.items()}


def _judged(images: list[dict], place_of: dict[int, int]) -> Judged:
    """What pycocotools says of a class, image by image, as one."""
    counts = [len(image["dtScores"]) for image in images]
    scores = np.concatenate([np.zeros(0), *(image["dtScores"] for image in images)])
    order = np.argsort(-scores, kind="mergesort")  # pycocotools'
    places = np.repeat([place_of[image["image_id"]] for image in images], counts).astype(int)
    nothing = np.zeros([10, 0])
    matches = np.concatenate([nothing, *(image["dtMatches"] for image in images)], axis=1)
    left_out = np.concatenate([nothing, *(image["dtIgnore"] for image in images)], axis=1) > 0
    objects = np.zeros(len(place_of), int)
    for image in images:
        objects[place_of[image["image_id"]]] = np.sum(np.array(image["gtIgnore"]) == 0)
    is_right = (matches > 0) & ~left_out
    return Judged(scores[order], places[order], is_right[:, order], left_out[:, order], objects)
