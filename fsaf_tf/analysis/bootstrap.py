"""How far AP could be from its value on other pictures of the kind: the bootstrap over the pictures.

Pictures are drawn with replacement, as many as there are, again and again, and AP is taken of each draw (Efron, 1979).
Detectors are measured on the same draws, so that the difference of two has an interval of its own, which is narrower
than theirs suggest. A picture that is drawn twice counts twice: its detections and objects have weight 2.
"""

from collections.abc import Sequence

import numpy as np

from fsaf_tf.analysis.judged import Judged, judge

DRAWS = 1000
LEAST_DRAWS = 100
MOST_NUMBERS = 1_000_000_000  # detections times IoU thresholds times draws
LEVEL = 0.95
RECALLS = np.linspace(0, 1, 101)  # COCO's


def draw(images: int, draws: int, seed: int = 0) -> np.ndarray:
    """How often each image is in each draw: `[draws, images]`."""
    return np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=draws)


def number_of_draws(detections: int) -> int:
    """As many as are quickly made, for the detector with the most detections."""
    return int(np.clip(MOST_NUMBERS // (10 * max(detections, 1)), LEAST_DRAWS, DRAWS))


def aps(ground_truth: dict, results: Sequence[dict], drawn: np.ndarray, max_detections: int) -> np.ndarray:
    """COCO's AP of each draw `[S]`; NaN of one without an object.

    Args:
        ground_truth: see `average_precision.coco_metrics`.
        results: see there.
        drawn: how often each image is in each draw, `[S, I]`.
        max_detections: see there.
    """
    classes = judge(ground_truth, results, max_detections).values()
    of_classes = np.array([_class_aps(judged, drawn) for judged in classes])  # [K, S]
    is_known = ~np.isnan(of_classes)
    total = np.where(is_known, of_classes, 0.0).sum(axis=0)
    return np.divide(total, is_known.sum(axis=0), out=np.full(len(drawn), np.nan), where=is_known.any(axis=0))


def _class_aps(judged: Judged, drawn: np.ndarray) -> np.ndarray:
    """AP of a class in each draw `[S]`; NaN where it has no object."""
    objects = drawn @ judged.objects  # [S]
    total = np.zeros(len(drawn))
    for is_right, is_left_out in zip(judged.is_right, judged.is_left_out):
        right_places = np.flatnonzero(is_right)
        for number, weights in enumerate(drawn):
            if objects[number]:
                weight = weights[judged.images]
                wrong = np.cumsum(np.where(is_right | is_left_out, 0, weight))[right_places]
                right = np.cumsum(weight[right_places])
                total[number] += _ap(right, wrong, objects[number])
    return np.where(objects > 0, total / len(judged.is_right), np.nan)


def _ap(right: np.ndarray, wrong: np.ndarray, objects: int) -> float:
    """The mean over COCO's recalls of the best precision from each on, of counts up to each right detection."""
    if not len(right):
        return 0.0
    precision = right / np.maximum(right + wrong, 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(right / objects, RECALLS, side="left")
    return float(np.append(precision, 0.0)[places].mean())


def interval(values: np.ndarray) -> list[float] | None:
    """The middle 95% of the draws: least and greatest; None without any."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    outside = (1 - LEVEL) / 2
    return [float(value) for value in np.quantile(known, [outside, 1 - outside])]
