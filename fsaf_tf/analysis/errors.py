"""A detector's errors by kind, and the AP50 that each kind costs: TIDE (Bolya et al., ECCV 2020).

The kinds and their costs are those of its program tidecv 1.0.1, which has had no release since 2020 and wants masks. Of
the kept libraries hotcoco 1.3.0 has them too, but where the missed objects are all that there is of a class, it takes
the class for one of AP 0, when they are mended, and not out of the mean: the cost of missing a class is lost. Matching
and AP are pycocotools'.
"""

import collections
import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from pycocotools import mask

from fsaf_tf.evaluate import average_precision

MATCH_IOU, BACKGROUND_IOU = 0.5, 0.1
CLASS, LOCALISATION, BOTH, DUPLICATE, BACKGROUND = "class", "localisation", "both", "duplicate", "background"
MISSED, CORRECT, WRONG = "missed", "correct", "wrong"
CUT_OFF = "cut off"  # by the number of detections that COCO's figures count
KINDS = (CLASS, LOCALISATION, BOTH, DUPLICATE, BACKGROUND, MISSED)
MEANINGS = {
    CLASS: "on an object (IoU 0.5 or more), but of another class",
    LOCALISATION: "the right class, but the box fits badly (IoU 0.1 to 0.5)",
    BOTH: "another class, and the box fits badly",
    DUPLICATE: "right, but a detection with a higher score has the object already",
    BACKGROUND: "on nothing (IoU under 0.1 with every object)",
    MISSED: "an object that no detection is on, not even one of another class or a bad fit",
    CUT_OFF: "an object that could not be found: its image has more of its class than detections are counted",
}


@dataclasses.dataclass(frozen=True)
class Errors:
    """The errors among n results.

    Attributes:
        matches: `[n]`, of `average_precision.match`.
        kinds: of each result its kind, None if it is right or not judged.
        mended: annotation that a result is moved to when its kind is mended, by the place of the result; a wrong result
            that is not here is taken away. One for each object that is not matched: the one of the highest score.
        about: annotation that a result of kind class or localisation is about, by the place of the result.
        missed: the places of annotations that nothing matches nor could be mended to match.
        cut_off: those of them that no detector could have found: an image has more objects of their class than
            detections of it are counted, and all that are counted were given.
        max_detections: so many are counted; see `average_precision.coco_metrics`.
    """

    matches: np.ndarray
    kinds: list[str | None]
    mended: dict[int, int]
    about: dict[int, int]
    missed: list[int]
    cut_off: list[int]
    max_detections: int


def find(ground_truth: dict, results: Sequence[dict], max_detections: int = average_precision.MOST) -> Errors:
    """Finds the kind of each error.

    Args:
        ground_truth: as `average_precision.coco_metrics` takes it.
        results: COCO results of these images and categories.
        max_detections: see `average_precision.coco_metrics`.
    """
    matches = average_precision.match(ground_truth, results, max_detections=max_detections)
    matched = set(matches.tolist())
    annotations = ground_truth["annotations"]
    objects, wrong = collections.defaultdict(list), collections.defaultdict(list)
    for place, row in enumerate(annotations):
        if not row.get("iscrowd"):
            objects[row["image_id"]].append(place)
    for place in np.flatnonzero(matches == average_precision.NOTHING).tolist():
        wrong[results[place]["image_id"]].append(place)
    kinds: list[str | None] = [None] * len(results)
    mended: dict[int, int] = {}  # annotation: result
    about: dict[int, int] = {}
    for image_id, places in wrong.items():
        truth = objects[image_id]
        is_matched = np.array([place in matched for place in truth], bool)
        found = _classify([results[place] for place in places], [annotations[place] for place in truth], is_matched)
        for place, (kind, target) in zip(places, found):
            kinds[place] = kind
            if target is not None:
                about[place] = truth[target]
            if target is not None and not is_matched[target]:
                best = mended.setdefault(truth[target], place)
                if results[place]["score"] > results[best]["score"]:
                    mended[truth[target]] = place
    missed = [place for truth in objects.values() for place in truth if place not in matched and place not in mended]
    cut_off = _cut_off(ground_truth, results, missed, max_detections)
    missed = sorted(set(missed) - set(cut_off))
    by_result = {place: target for target, place in mended.items()}
    return Errors(matches, kinds, by_result, about, missed, cut_off, max_detections)


def _cut_off(ground_truth: dict, results: Sequence[dict], missed: Sequence[int], most: int) -> list[int]:
    """Of the objects that are missed those beyond the ceiling of their image and class, first what is found below it.

    Of G objects of a class in an image G - `most` cannot be found, if so many detections were given.
    """
    annotations = ground_truth["annotations"]

    def key(row):
        return row["image_id"], row["category_id"]

    given = collections.Counter(map(key, results))
    counts = collections.Counter(key(row) for row in annotations if not row.get("iscrowd"))
    beyond = {group: count - most for group, count in counts.items() if count > most <= given[group]}
    places = collections.defaultdict(list)
    for place in missed:
        if key(annotations[place]) in beyond:
            places[key(annotations[place])].append(place)
    if not places:
        return []
    matches = average_precision.match(ground_truth, results, max_detections=max(given.values()))
    found_below = set(matches.tolist())
    ranked = {group: sorted(those, key=lambda place: place not in found_below) for group, those in places.items()}
    return sorted(place for group, those in ranked.items() for place in those[: beyond[group]])


def _classify(rows: list[dict], truth: list[dict], is_matched: np.ndarray) -> list[tuple[str, int | None]]:
    """The kind of each wrong result of an image, and which object it is about."""
    if not truth:
        return [(BACKGROUND, None)] * len(rows)
    boxes = (np.array([row["bbox"] for row in each], np.float64) for each in (rows, truth))
    iou = mask.iou(*boxes, [0] * len(truth))  # [D, G]
    classes = (np.array([row["category_id"] for row in each]) for each in (rows, truth))
    same = np.equal.outer(*classes)
    own, other = np.where(same, iou, 0.0), np.where(same, 0.0, iou)
    found = []
    for row in range(len(rows)):
        if BACKGROUND_IOU <= own[row].max() <= MATCH_IOU:
            found.append((LOCALISATION, int(own[row].argmax())))
        elif other[row].max() >= MATCH_IOU:
            found.append((CLASS, int(other[row].argmax())))
        elif np.max(own[row] * is_matched) >= MATCH_IOU:
            found.append((DUPLICATE, None))
        else:
            found.append((BACKGROUND if iou[row].max() <= BACKGROUND_IOU else BOTH, None))
    return found


def costs(ground_truth: dict, results: Sequence[dict], found: Errors) -> dict:
    """What each kind of error costs.

    Returns:
        `AP50`, and `kinds`: for each of `KINDS`, and for `CUT_OFF` where there are such, the `count` of such errors and
        `cost`, the AP50 that would be won if they alone were mended. Costs do not add up to what is missing. NaN
        without objects.
    """
    most = found.max_detections
    base = average_precision.ap50(ground_truth, results, most)
    counts = {**collections.Counter(found.kinds), MISSED: len(found.missed), CUT_OFF: len(found.cut_off)}
    kinds = {}
    for kind in (*KINDS, *[CUT_OFF] * bool(found.cut_off)):
        count = counts.get(kind, 0)
        better = average_precision.ap50(*_mend(ground_truth, results, found, kind), most) if count else base
        if math.isnan(better) and kind in (MISSED, CUT_OFF):
            better = 1.0  # every object was missed, nothing else is wrong
        kinds[kind] = {"count": count, "cost": better - base}
    return {"AP50": base, "kinds": kinds}


def _mend(ground_truth: dict, results: Sequence[dict], found: Errors, kind: str) -> tuple[dict, list[dict]]:
    """Ground truth and results without the errors of a kind; objects missed or cut off are no longer asked for."""
    annotations = ground_truth["annotations"]
    kept = []
    for place, row in enumerate(results):
        if found.kinds[place] != kind:
            kept.append(row)
        elif place in found.mended:
            target = annotations[found.mended[place]]
            kept.append({**row, "bbox": target["bbox"], "category_id": target["category_id"]})
    missed = set({MISSED: found.missed, CUT_OFF: found.cut_off}.get(kind, ()))
    return {**ground_truth, "annotations": [row for place, row in enumerate(annotations) if place not in missed]}, kept


def confusions(ground_truth: dict, results: Sequence[dict], score_threshold: float) -> dict:
    """Which class each object was taken for, matched at IoU 0.5 whatever the classes; nothing on a crowd is counted.

    Returns:
        `names` of the K classes, and `matrix` `[K + 1, K + 1]`: a row for the objects of each class, a column for what
        they were detected as; the last row is detections on no object, the last column objects that none is on.
    """
    categories = sorted(ground_truth["categories"], key=lambda row: row["id"])
    class_of = {row["id"]: k for k, row in enumerate(categories)}
    nothing = len(categories)
    matrix = np.zeros((nothing + 1, nothing + 1), int)
    shown = [row for row in results if row["score"] >= score_threshold]
    annotations = ground_truth["annotations"]
    matches = average_precision.match(ground_truth, shown, by_class=False).tolist()
    for row, target in zip(shown, matches):
        if target != average_precision.LEFT_OUT:
            truth = nothing if target == average_precision.NOTHING else class_of[annotations[target]["category_id"]]
            matrix[truth, class_of[row["category_id"]]] += 1
    for place in set(range(len(annotations))) - set(matches):
        if not annotations[place].get("iscrowd"):
            matrix[class_of[annotations[place]["category_id"]], nothing] += 1
    return {"names": [row["name"] for row in categories], "matrix": matrix.tolist()}


def by_picture(ground_truth: dict, results: Sequence[dict], found: Errors, score_threshold: float) -> list[dict]:
    """The errors in each picture, of results that score at least `score_threshold`, and objects none of which is on.

    Returns:
        For each image, the worst first, `image_id`, `file_name`, `width`, `height`, `cost` and `boxes`: `box`
        `[x, y, width, height]`, `state` (correct, wrong, missed or cut off), `name` and, of results, `score` and
        `kind`; of those on an object of another class `about`, that class. The cost is the number of objects missed and
        the sum of the scores of wrong results.
    """
    names = {row["id"]: row["name"] for row in ground_truth["categories"]}
    boxes, seen, cut_off = collections.defaultdict(list), set(), set(found.cut_off)
    for place, (row, target, kind) in enumerate(zip(results, found.matches.tolist(), found.kinds)):
        if row["score"] >= score_threshold and target != average_precision.LEFT_OUT:
            seen.add(target)
            facts = {"box": row["bbox"], "state": WRONG if kind else CORRECT, "name": names[row["category_id"]]}
            if kind == CLASS:
                facts["about"] = names[ground_truth["annotations"][found.about[place]]["category_id"]]
            boxes[row["image_id"]].append({**facts, "score": row["score"], "kind": kind})
    for place, row in enumerate(ground_truth["annotations"]):
        if place not in seen and not row.get("iscrowd"):
            state = CUT_OFF if place in cut_off else MISSED
            boxes[row["image_id"]].append({"box": row["bbox"], "state": state, "name": names[row["category_id"]]})
    pictures = [_picture(image, boxes[image["id"]]) for image in ground_truth["images"]]
    return sorted(pictures, key=lambda picture: -picture["cost"])


def _picture(image: dict, boxes: list[dict]) -> dict:
    cost = sum(1 if box["state"] == MISSED else box["score"] for box in boxes if box["state"] in (MISSED, WRONG))
    facts = {key: image[key] for key in ("file_name", "width", "height")}
    return {"image_id": image["id"], **facts, "cost": round(cost, 3), "boxes": boxes}
