"""Fig. 1 and 7: what two detectors find in the same pictures, side by side."""

import collections
import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from fsaf_tf import boxes as box_ops
from fsaf_tf.analysis import evaluations
from fsaf_tf.data.classes import Classes, in_place_of
from fsaf_tf.data.examples import Source
from fsaf_tf.errors import UserError
from fsaf_tf.evaluate import coco_results
from fsaf_tf.figures import pictures
from fsaf_tf.serving import load
from fsaf_tf.visualize import canvas, legend

MATCH_IOU = 0.5
PANEL_SIDE = 760  # pixels of a picture's longer side
FOUND_BY_BOTH, ONLY_HERE, MATCHES_NOTHING, MISSED = canvas.COMMON, canvas.GOOD, canvas.DOUBTFUL, canvas.BAD


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the two: what to call it, a function from a picture of `pictures.read` to its detections, and of a file of
    results their number."""

    name: str
    detect: Callable[[dict], dict]
    total: int = 0


def of_detector(name: str, detector: Callable) -> Side:
    """A detector of any kind as a side."""
    return Side(name, lambda picture: detector(picture["image"]))


def of_results(name: str, results: Sequence[dict], classes: Classes) -> Side:
    """COCO's results as a side; those with file names go by these, else by image ids.

    Args:
        name: what to call it.
        results: from `coco_results.read`.
        classes: those of their category ids.

    Raises:
        UserError: a result's category has no name. `detect` raises one where names fit two pictures, or boxes none.
    """
    unknown = {row["category_id"] for row in results} - set(classes.ids)
    if unknown:
        raise UserError(f"{name}: category {min(unknown)} has no name in the annotations")
    has_names = coco_results.have_names(results)
    rows_of = collections.defaultdict(list)
    for row in results:
        rows_of[row["file_name" if has_names else "image_id"]].append(row)
    find = coco_results.by_path_end(rows_of if has_names else [])

    def detect(picture: dict) -> dict:
        rows = rows_of.get(find(picture["file_name"]) if has_names else picture["image_id"], [])
        if has_names:
            coco_results.check_inside(name, picture["file_name"], rows, *picture["image"].shape[:2])
        rows = sorted(rows, key=lambda row: -row["score"])
        x, y, width, height = np.array([row["bbox"] for row in rows], np.float32).reshape(-1, 4).T
        return {
            "boxes": np.stack([y, x, y + height, x + width], axis=-1),
            "scores": np.array([row["score"] for row in rows], np.float32),
            "names": [classes.names[classes.index_of(row["category_id"])] for row in rows],
        }

    return Side(name, detect, len(results))


@dataclasses.dataclass(frozen=True)
class Compared:
    """What is compared, before it is known with which pictures: a detector of any kind, or results of one.

    Attributes:
        model: the path that was given.
        name: what to call it.
        folder: what says on which data it was evaluated, inside a run or its folder; None if nothing does.
        detector: None for results.
        results: COCO's, None for a detector.
    """

    model: str
    name: str
    folder: str | None
    detector: Callable | None
    results: list[dict] | None

    @classmethod
    def open(cls, model: str, name: str, checkpoint: str | None) -> "Compared":
        """Reads a `detections.json`, or loads what else `model` names; a UserError if that cannot be."""
        if model.endswith(".json"):
            return cls(model, name, evaluations.folder_of(model), None, coco_results.read(model))
        detector = load.load_detector(model, checkpoint)
        return cls(model, name, evaluations.folder_of(model, detector), detector, None)

    def side(self, source: Source, *, has_ids: bool) -> Side:
        """It as a side.

        Args:
            source: the pictures.
            has_ids: they have the ids of the data that detections were made of.

        Raises:
            UserError: it has no class of the pictures, or its results cannot be told which picture they are of.
        """
        if self.results is None:
            if not set(self.detector.classes.names) & set(source.classes.names):
                raise UserError(other_classes(source, self.detector))
            return of_detector(self.name, self.detector)
        if self.results and not has_ids and not coco_results.have_names(self.results):
            raise UserError(
                f"{self.model} knows pictures by the ids of its data, --images by their names: give --annotations as"
                " COCO JSON, or the detections.json of tools/predict.py"
            )
        if source.by_name:
            raise UserError(
                f"{source.name} has names of classes and no ids, and nothing says which ids {self.model} has; give COCO"
                " JSON with these"
            )
        return of_results(self.name, self.results, source.classes)


def other_classes(source: Source, detector) -> str:
    """That a detector has other classes than the pictures. Names alone: a figure shows no category ids."""
    difference = in_place_of(source.classes.names, detector.classes.names)
    return f"{source.name} has other classes than the model: {difference}; give annotations with the same"


def match(boxes, names: Sequence[str], to_boxes, to_names: Sequence[str]) -> np.ndarray:
    """Gives each box the one of `to_boxes` of its name that it overlaps most, by at least 0.5; each is given once.

    Args:
        boxes: `[D, 4]` by falling score: the first take first, as in COCO's evaluation.
        names: of the D classes.
        to_boxes: `[N, 4]`.
        to_names: of the N classes.

    Returns:
        `[D]` an index into `to_boxes`, N where there is none.
    """
    result = np.full(len(boxes), len(to_boxes))
    if not len(boxes) or not len(to_boxes):
        return result
    iou = box_ops.pairwise_iou(np.asarray(boxes, np.float32), np.asarray(to_boxes, np.float32)).numpy()
    iou[np.array(names)[:, None] != np.array(to_names)] = 0.0
    for index, row in enumerate(iou):
        best = int(np.argmax(row))
        if row[best] >= MATCH_IOU:
            result[index] = best
            iou[:, best] = 0.0
    return result


def draw(sides: Sequence[Side], source: Source, *, has_truth: bool, score_threshold: float, say: Callable = print):
    """Draws pictures one by one, and says at the end how much each side found.

    Args:
        sides: two.
        source: pictures; with `has_truth` their boxes are what is to be found.
        has_truth: without, a detection is compared with those of the other side alone.
        score_threshold: detections of less are left out.
        say: takes that line.

    Yields:
        A picture's id and its figure `[H, W, 3]` uint8.
    """
    found, total = np.zeros(3, int), 0  # both, only the first, only the second
    given = np.zeros(2, int)
    for picture in pictures.read(source):
        detections = [side.detect(picture) for side in sides]
        given += [len(each["scores"]) for each in detections]
        detections = [_shown(each, score_threshold) for each in detections]
        truth, crowds = (_objects(picture, source.classes.names, crowd=crowd) for crowd in (False, True))
        judged = _against_truth(detections, truth, crowds) if has_truth else _against_each_other(detections)
        marks = [each.marks(other) for each, other in zip(judged, judged[::-1])]
        factor = PANEL_SIDE / max(picture["image"].shape[:2])
        panels = [
            canvas.panel(canvas.mark(picture["image"], factor, each), f"{side.name}: {one.summary(other)}")
            for each, side, one, other in zip(marks, sides, judged, judged[::-1])
        ]
        whole = canvas.tile(panels, columns=2)
        has = [each.found for each in judged]
        found += [len(has[0] & has[1]), len(has[0] - has[1]), len(has[1] - has[0])]
        total += len(truth[0])
        line = f"Image {picture['image_id']}, {picture['file_name']}: boxes that score at least {score_threshold:g}."
        heading = legend.heading(f"{sides[0].name} and {sides[1].name}", [line], whole.width)
        strip = [heading, _key(has_truth, whole.width)]
        yield picture["image_id"], np.asarray(canvas.under([*strip, whole]))
    of = f" of {total} objects" if has_truth else ""
    say(f"Found by both {found[0]}{of}, only by {sides[0].name} {found[1]}, only by {sides[1].name} {found[2]}")
    for side, count in zip(sides, given):
        if side.total and not count:
            say(f"None of the {side.total} results of {side.name} is of these pictures: are they of other data?")


def _shown(detections: dict, score_threshold: float) -> dict:
    kept = np.flatnonzero(np.asarray(detections["scores"]) >= score_threshold)
    kept = kept[np.argsort(-np.asarray(detections["scores"])[kept], kind="stable")]
    names = [detections["names"][index] for index in kept]
    return {"boxes": detections["boxes"][kept], "scores": detections["scores"][kept], "names": names}


def _objects(picture: dict, class_names: Sequence[str], *, crowd: bool) -> tuple[np.ndarray, list[str]]:
    """Boxes and names of a picture's objects, or of its crowds."""
    kept = picture["crowd"] == crowd
    return picture["boxes"][kept], [class_names[index] for index in picture["classes"][kept]]


@dataclasses.dataclass(frozen=True)
class _Judged:
    """One side's detections of a picture: `objects` `[D]` is what each has found, -1 if nothing."""

    detections: dict
    objects: np.ndarray
    truth: tuple[np.ndarray, list[str]] | None

    @property
    def found(self) -> set[int]:
        return {int(index) for index in self.objects if index >= 0}

    def marks(self, other: "_Judged") -> list[canvas.Mark]:
        """Frames: what is missed, what only this side has, what matches nothing, and what both have."""
        shown = {FOUND_BY_BOTH: [], ONLY_HERE: [], MATCHES_NOTHING: []}
        rows = zip(self.detections["boxes"], self.detections["names"], self.detections["scores"], self.objects)
        for box, name, score, index in rows:
            colour = MATCHES_NOTHING if index < 0 else FOUND_BY_BOTH if index in other.found else ONLY_HERE
            shown[colour].append(canvas.Mark(box, f"{name} {score:.2f}", colour))
        missed = []
        if self.truth:
            pairs = enumerate(zip(*self.truth))
            missed = [canvas.Mark(box, name, MISSED, dashed=True) for n, (box, name) in pairs if n not in self.found]
        return missed + shown[ONLY_HERE] + shown[MATCHES_NOTHING] + shown[FOUND_BY_BOTH]

    def summary(self, other: "_Judged") -> str:
        """What the marks show, in numbers."""
        only = len(self.found - other.found)
        if not self.truth:
            return f"{len(self.objects)} boxes, {only} only here"
        wrong = int(np.sum(self.objects < 0))
        return f"{len(self.found)} of {len(self.truth[0])} found, {only} only here; {wrong} match no object"


def _against_truth(detections: Sequence[dict], truth: tuple, crowds: tuple) -> list[_Judged]:
    """A box that matches no object but lies by half in a crowd of its class is left out, as COCO does."""
    judged, count = [], len(truth[0])
    for side in detections:
        index = match(side["boxes"], side["names"], *truth)
        kept = np.flatnonzero((index < count) | ~_in_crowds(side, *crowds))
        shown = {key: [side[key][each] for each in kept] for key in side}
        judged.append(_Judged(shown, np.where(index < count, index, -1)[kept], truth))
    return judged


def _in_crowds(side: dict, boxes: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """`[D]` whether at least half of a detection's area is in a crowd of its class."""
    own = np.asarray(side["boxes"], np.float32).reshape(-1, 1, 4)
    common = np.concatenate([np.maximum(own, boxes)[..., :2], np.minimum(own, boxes)[..., 2:]], axis=-1)  # [D, N, 4]
    inside = box_ops.area(common).numpy() >= MATCH_IOU * box_ops.area(own).numpy()
    same = np.array(side["names"], object).reshape(-1, 1) == np.array(names, object)
    return np.any(inside & same, axis=1)


def _against_each_other(detections: Sequence[dict]) -> list[_Judged]:
    """The first side's detections are the objects; what only the second has counts on from there."""
    first, second = detections
    index = match(second["boxes"], second["names"], first["boxes"], first["names"])
    new = index == len(first["boxes"])
    index[new] += np.arange(new.sum())
    return [_Judged(first, np.arange(len(first["boxes"])), None), _Judged(second, index, None)]


def _key(has_truth: bool, width: int):
    entries = [(legend.framed(FOUND_BY_BOTH), "found by both"), (legend.framed(ONLY_HERE), "found only on this side")]
    if has_truth:
        entries += [
            (legend.framed(MISSED, dashed=True), "an object that this side misses"),
            (legend.framed(MATCHES_NOTHING), "matches no object: wrong place or class, or a second box"),
        ]
    return legend.key(entries, width)
