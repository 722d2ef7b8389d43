"""Fig. 8: the pyramid level that finds each object, against the level that a rule would have given it."""

import csv
import dataclasses
import functools
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fsaf_tf import anchors, boxes, detection, pyramid, selection
from fsaf_tf.data import augment
from fsaf_tf.data.examples import Source
from fsaf_tf.detect.trained import Detector
from fsaf_tf.figures import compare, pictures
from fsaf_tf.visualize import canvas, charts, detections, legend

# The rules in words, for charts and keys.
RULES = {"size": "Eq. 3 (by size)", "anchor": "RetinaNet's best anchor"}


@dataclasses.dataclass(frozen=True)
class Objects:
    """M found objects.

    Attributes:
        sizes: `[M]` square roots of their areas, in pixels of the network's input.
        found: `[M]` the level that found each.
        size: `[M]` the level that the rule `size` gives.
        anchor: `[M]` the level that the rule `anchor` gives.
    """

    sizes: np.ndarray
    found: np.ndarray
    size: np.ndarray
    anchor: np.ndarray

    @classmethod
    def join(cls, parts: "Sequence[Objects]") -> "Objects":
        """Those of several pictures."""
        columns = ([getattr(part, field.name) for part in parts] for field in dataclasses.fields(cls))
        return cls(*(np.concatenate([[], *column]) for column in columns))

    def of(self, rows: np.ndarray) -> "Objects":
        """Some of them, by index or by `[M]` bool."""
        return Objects(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))


class Seen(NamedTuple):
    """A picture of `pictures.read`, its M detections, these as objects, and `[M]` bool which of them count."""

    picture: dict
    found: dict
    objects: Objects
    counts: np.ndarray


def look(detector: Detector, source: Source, *, has_truth: bool, score_threshold: float) -> Iterator[Seen]:
    """Looks at pictures one by one.

    Args:
        detector: of a run.
        source: pictures.
        has_truth: they have boxes; then only what is there counts, each object once.
        score_threshold: detections of less are left out.
    """
    shapes = detector.config.model.anchor_based.shapes()
    for picture in pictures.read(source):
        found, size = detector(picture["image"]), picture["image"].shape[:2]
        kept = np.flatnonzero(found["scores"] >= score_threshold)
        found = {key: np.asarray(values)[kept] for key, values in found.items()}
        scaled = _at_input(found["boxes"], size, detector.program)
        ruled = rules(scaled, size, detector.program, shapes)
        objects = Objects(np.sqrt(boxes.area(scaled).numpy()), found["levels"], **ruled)
        counts = _is_object(found, picture, source.classes.names) if has_truth else np.ones(len(kept), bool)
        yield Seen(picture, found, objects, counts)


def rules(
    scaled: np.ndarray, size: Sequence[int], program: detection.Program, shapes: anchors.Shapes
) -> dict[str, np.ndarray]:
    """The level of boxes by each of `RULES`.

    Args:
        scaled: `[M, 4]` yxyx in pixels of the network's input.
        size: height and width of the picture before it was resized.
        program: the detector's.
        shapes: of the anchors that RetinaNet would have.

    Returns:
        For each rule `[M]`: `size` is Eq. 3, `anchor` the level of the anchor that overlaps the box most, the lowest of
        equal ones, as RetinaNet assigns it.
    """
    levels, location_offset = program.geometry.levels, program.geometry.location_offset
    height, width = augment.canvas_sizes(*program.sides)[size[0] > size[1]]
    overlap = np.zeros([len(scaled), len(levels)])
    for index, level in enumerate(levels):
        cells = pyramid.map_size(height, level), pyramid.map_size(width, level)
        places = _anchors(*cells, level, shapes, location_offset)
        for row, box in enumerate(scaled):  # one by one: P3 has hundreds of thousands of anchors
            overlap[row, index] = tf.reduce_max(boxes.aligned_iou(tf.constant(box), places))
    by_size = selection.select_heuristic(tf.constant(scaled), levels).numpy()
    return {"size": by_size, "anchor": np.array(levels)[np.argmax(overlap, axis=1)]}


@functools.cache  # pictures have one of two canvases
def _anchors(height: int, width: int, level: int, shapes: anchors.Shapes, location_offset: float) -> tf.Tensor:
    return anchors.anchors(height, width, level, shapes, location_offset)


def _at_input(found: np.ndarray, size, program: detection.Program) -> np.ndarray:
    """Boxes `[M, 4]` of a picture of `size` in pixels of the network's input."""
    if program.keep_aspect:
        resized = augment.resized_size(tf.constant(size), *program.sides).numpy()
    else:
        resized = np.array(augment.canvas_sizes(*program.sides)[size[0] > size[1]])
    return (found * np.tile(resized / np.array(size), 2)).astype(np.float32)


def _is_object(found: dict, picture: dict, class_names: Sequence[str]) -> np.ndarray:
    """`[M]` whether a detection, best first, is the first of an object of the annotations."""
    kept = ~picture["crowd"]
    names = [class_names[index] for index in picture["classes"][kept]]
    return compare.match(found["boxes"], found["names"], picture["boxes"][kept], names) < len(names)


def draw(seen: Seen, name: str, rule: str, score_threshold: float) -> np.ndarray:
    """The picture of what was seen, `[H, W, 3]` uint8.

    Args:
        seen: from `look`.
        name: what to call the detector.
        rule: of `RULES`, for the colours.
        score_threshold: as for `look`.
    """
    picture, found, marks = seen.picture, seen.found, []
    for index, (box, level, other) in enumerate(zip(found["boxes"], found["levels"], getattr(seen.objects, rule))):
        said = f"P{level} {found['names'][index]} {found['scores'][index]:.2f}"
        said += "" if level == other else f" (not P{other})"
        marks.append(canvas.Mark(box, said, canvas.GOOD if level == other else canvas.BAD))
    whole = canvas.mark(picture["image"], detections.enlargement(picture["image"]), marks)
    lines = [
        f"Image {picture['image_id']}, {name}: detections that score at least {score_threshold:g}. Before the class"
        " name is the pyramid level that found the object; P3 has the smallest cells, those of each further level are"
        " twice as large.",
    ]
    entries = [
        (legend.framed(canvas.GOOD), f"{RULES[rule]} gives the same level"),
        (legend.framed(canvas.BAD), f"{RULES[rule]} gives the level in brackets"),
    ]
    strip = [legend.heading("Which level finds which object", lines, whole.width), legend.key(entries, whole.width)]
    return np.asarray(canvas.under([*strip, whole]))


def table(objects: Objects, levels: Sequence[int]) -> dict:
    """Objects by size and level, and how often the rules agree.

    Returns:
        `objects`, their number; `agrees_size` and `agrees_anchor`, shares of them; `levels`, how many each found; and
        `sizes`, the same for each class of size `from` to `to` in pixels. Its edges are those of Eq. 3: 224 px times
        powers of two.
    """
    bounds = edges(objects.sizes)
    kind = np.digitize(np.maximum(objects.sizes, bounds[0]), bounds) - 1
    rows = [
        {"from": low, "to": high, **_row(objects, kind == index, levels)}
        for index, (low, high) in enumerate(zip(bounds, bounds[1:]))
    ]
    return {**_row(objects, np.ones(len(objects.sizes), bool), levels), "sizes": rows}


def edges(sizes: Sequence[float]) -> list[float]:
    """Edges of classes of size in pixels: 224 times powers of two, as Eq. 3 has them; the first has all below it."""
    sizes = sizes if len(sizes) else [selection.CANONICAL_SIZE]
    low, high = (np.floor(np.log2(max(size, 1.0) / selection.CANONICAL_SIZE)) for size in (min(sizes), max(sizes)))
    return [float(selection.CANONICAL_SIZE * 2.0**power) for power in np.arange(low, high + 2)]


def _row(objects: Objects, kept: np.ndarray, levels: Sequence[int]) -> dict:
    found = np.array(objects.found, int)[kept]
    agrees = {
        f"agrees_{rule}": float(np.mean(found == np.array(getattr(objects, rule), int)[kept])) if len(found) else None
        for rule in RULES
    }
    return {"objects": len(found), "levels": {f"P{each}": int(np.sum(found == each)) for each in levels}, **agrees}


def as_csv(rows: dict, levels: Sequence[int]) -> str:
    """`table` as CSV: a line a class of size, and one for all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [f"P{level}" for level in levels]
    writer.writerow(["from_px", "to_px", "objects", *names, *(f"agrees_{rule}" for rule in RULES)])
    for row in [*rows["sizes"], {"from": "all", "to": "", **rows}]:
        shares = ["" if row[f"agrees_{rule}"] is None else f"{row[f'agrees_{rule}']:.3f}" for rule in RULES]
        writer.writerow([row["from"], row["to"], row["objects"], *(row["levels"][each] for each in names), *shares])
    return text.getvalue()


def chart(objects: Objects, levels: Sequence[int], title: str, rule: str):
    """The chart of `table`; see `charts.levels_by_size`."""
    bounds = edges(objects.sizes)
    squares = tf.constant([[0.0, 0.0, side, side] for side in bounds])
    by_size = charts.BySize(
        sizes=np.maximum(objects.sizes, bounds[0]),
        found=np.array(objects.found, int),
        ruled=np.array(getattr(objects, rule), int),
        edges=bounds,
        levels=levels,
        prescribed=selection.select_heuristic(squares, levels).numpy(),
    )
    return charts.levels_by_size(by_size, title=title, rule=RULES[rule])
