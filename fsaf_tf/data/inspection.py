"""What a run would train on and be evaluated on: boxes counted at its input size, by class, and what they look like."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from fsaf_tf import anchors
from fsaf_tf.data import anchor_fit, box_table, judgements, kept_boxes, same_pictures
from fsaf_tf.data.box_table import BoxTable
from fsaf_tf.data.examples import Source, named_errors, without_images
from fsaf_tf.data.findings import SHOWN, Finding, counted
from fsaf_tf.data.kept_boxes import Sizing

MOST_PICTURES = 10_000  # that are gone through, where boxes are among the pictures
SMALL_SIDE = 8.0  # px: what is smaller after resizing is hard to find
LARGE_SHARE = 0.5  # of a picture


@dataclasses.dataclass(frozen=True)
class Inspection:
    """A source at the size of an input.

    Attributes:
        source: what was looked at.
        sizing: the size.
        table: its boxes; of a long source without a table the first ones.
        trained: `[n]` bool, those that a training at this size learns.
        findings: what was found, those of the source first.
        of_anchors: how the anchors fit those that are trained on; None without that branch, or without such boxes.
    """

    source: Source
    sizing: Sizing
    table: BoxTable
    trained: np.ndarray
    findings: tuple[Finding, ...]
    of_anchors: anchor_fit.Fit | None

    @property
    def is_whole(self) -> bool:
        """Whether all pictures were looked at."""
        return len(self.table.sizes) + len(self.source.bad.problems) >= self.source.num_images

    def of_classes(self) -> dict[str, tuple[int, int]]:
        """Boxes of each class, and how many of them are trained on."""
        names, indices = self.source.classes.names, self.table.class_indices
        counts = (np.bincount(each, minlength=len(names)).tolist() for each in (indices, indices[self.trained]))
        return dict(zip(names, zip(*counts)))

    def sizes(self) -> tuple[int, int]:
        """How many of the boxes that are trained on are small after resizing, and how many are large."""
        sides = kept_boxes.resized_sides(self.table, self.sizing)[self.trained]
        places = self.table.image_index[self.trained]
        areas = np.prod(kept_boxes.resized_sizes(self.table.sizes, self.sizing), axis=1)[places]
        small, large = sides.max(axis=1, initial=0) < SMALL_SIDE, np.prod(sides, axis=1) > LARGE_SHARE * areas
        return int(small.sum()), int(large.sum())


def inspect(
    source: Source,
    sizing: Sizing,
    *,
    max_detections: int,
    max_instances: int,
    branch: anchors.Anchors | None = None,
    levels: Sequence[int] = (),
) -> Inspection:
    """Counts and judges the boxes of a source; no picture is decoded.

    Args:
        source: the opened data.
        sizing: the size of the input.
        max_detections: of a class and picture, that the figures look at.
        max_instances: boxes of a picture that a batch has room for.
        branch: the anchor-based branch, where there is one.
        levels: of the pyramid.

    Raises:
        UserError: a bad example, of data that are read on the way.
    """
    where = source.name
    table, findings = (source.boxes(), []) if source.boxes else _gone_through(source)
    is_trained = kept_boxes.trained(table, sizing)
    of_anchors = anchor_fit.fit(table, sizing, branch, levels) if branch and is_trained.any() else None
    judged = (
        judgements.shares(table, where),
        judgements.corners(table, where),
        judgements.lost_boxes(table, sizing, where),
        judgements.classes(table, is_trained, source.classes.names, where),
        judgements.similar_classes(source.classes.names, where),
        judgements.many_boxes(table, max_instances, source.most_boxes > 0, where),
        judgements.ceiling(table, source.classes.names, max_detections, where),
        judgements.fitting_anchors(table, sizing, of_anchors, where) if of_anchors else (),
        same_pictures.repeated(_pictures(source, table), where) if source.image_dir else (),
        source.bad.finding(where),
    )
    every = (*itertools.chain(*judged), *source.findings, *findings)
    return Inspection(source, sizing, table, is_trained, every, of_anchors)


def _gone_through(source: Source) -> tuple[BoxTable, list[Finding]]:
    """The boxes of a source without a table, and what there is to say of them."""
    rows = list(named_errors(without_images(source.given().take(MOST_PICTURES))))
    given, where = box_table.of_rows(rows), source.name
    table, left_out = box_table.without_bad(given, where)
    others = (*box_table.findings(table, where), *judgements.repeats(table, where))
    return table, [*judgements.pixels(given, where), *left_out, *others]


def _pictures(source: Source, table: BoxTable) -> same_pictures.Pictures:
    return same_pictures.Pictures(source.image_dir, table.file_names)


def compare(train: Inspection, validation: Inspection) -> tuple[Finding, ...]:
    """What two sets have that they should not share, and lack that they should."""
    names, where = train.source.classes.names, (train.source.name, validation.source.name)
    both, sources = " and ".join(where), (train.source, validation.source)
    alone = (
        judgements.one_set_classes(train.table, validation.table, names, where) if _are_whole(train, validation) else []
    )
    if all(source.image_dir for source in sources):
        pictures = [_pictures(each.source, each.table) for each in (train, validation)]
        return (*same_pictures.shared(*pictures, both), *alone)
    same = [] if any(source.image_dir for source in sources) else _same_examples(train.table, validation.table)
    return (*same_pictures.shared_names(same, [], len(validation.table.sizes), both), *alone)


def _same_examples(train: BoxTable, validation: BoxTable) -> list[str]:
    """Names of pictures of which name, size and boxes are the same in both; numbers alone often serve as names."""

    def keys(table: BoxTable) -> list[tuple]:
        splits = np.searchsorted(table.image_index, np.arange(len(table.sizes) + 1))
        parts = (table.boxes_yxyx[start:end].tobytes() for start, end in itertools.pairwise(splits))
        return list(zip(table.file_names, map(tuple, table.sizes.tolist()), parts))

    known = set(keys(train))
    return [key[0] for key in keys(validation) if key[-1] and key in known]


def _are_whole(*inspections: Inspection) -> bool:
    return all(inspection.is_whole for inspection in inspections)


def refusal_of_training(inspection: Inspection) -> str | None:
    """Why training would be senseless, on one line; None if it is not."""
    table, sizing = inspection.table, inspection.sizing
    largest = sizing._replace(drawn_sides=(max(sizing.drawn_sides),)) if sizing.drawn_sides else sizing
    is_wanted, name = kept_boxes.wanted(table), inspection.source.name
    if _lacks_room(inspection):
        return _lacks_room(inspection)
    if judgements.are_all_shares(table):
        return f"{name}: {judgements.shares(table, name)[0].message} Multiply them by its width and height"
    if not inspection.is_whole or kept_boxes.trained(table, largest).any():
        return None
    start = f"{name}: no box is left to train on: "
    if not len(table):
        return f"{start}there is none"
    if not is_wanted.any():
        return f"{start}all {len(table):,} are crowds or to be ignored"
    if not (is_wanted & table.has_area).any():
        return f"{start}all {is_wanted.sum():,} are without area"
    return f"{start}all {is_wanted.sum():,} get under 1 px at {sizing}; {judgements.advice(table, sizing)}"


def refusal_of_evaluation(inspection: Inspection) -> str | None:
    """Why an evaluation would be senseless, on one line; None if it is not."""
    if _lacks_room(inspection) or not inspection.is_whole or (~inspection.table.crowd).any():
        return _lacks_room(inspection)
    boxes = f"all {len(inspection.table):,} are crowds or to be ignored" if len(inspection.table) else "there is none"
    return f"{inspection.source.name}: no box to evaluate with: {boxes}"


def _lacks_room(inspection: Inspection) -> str | None:
    """The line on pictures with more boxes than a batch has room for, of data for which no room is made."""
    many = [finding for finding in inspection.findings if finding.kind == judgements.MANY_BOXES]
    return f"{inspection.source.name}: {many[0].line}" if many and not inspection.source.most_boxes else None


def lines(inspection: Inspection, *, to_train: bool) -> list[str]:
    """The counts in words."""
    source, boxes, kept = inspection.source, len(inspection.table), int(inspection.trained.sum())
    of_pictures = "" if inspection.is_whole else f", of the first {len(inspection.table.sizes):,} pictures"
    small, large = inspection.sizes()
    is_one = kept == 1
    verb = f"{'is' if is_one else 'are'} trained on" if to_train else f"{'gets' if is_one else 'get'} 1 px or more"
    of_boxes = f"{kept:,} of {boxes:,} boxes {verb} at {inspection.sizing}{of_pictures}"
    parts = [f"{of_boxes}: {_class_counts(inspection)}"]
    if kept:
        parts.append(f"of these {small:,} are under {SMALL_SIDE:g} px there, {large:,} over half of their picture")
    if inspection.of_anchors:
        parts[-1] += f"; {inspection.of_anchors.line()}"
    images, classes = source.num_images, len(source.classes)
    form = f"{source.form}; " if source.form else ""
    counts = f"{counted(images, 'image', 'images')}, {counted(classes, 'class', 'classes')}"
    return [f"{source.name}: {form}{counts}", *source.notes, *parts]


def _class_counts(inspection: Inspection) -> str:
    """Of many classes those with the fewest boxes."""
    rows = sorted((kept, count, name) for name, (count, kept) in inspection.of_classes().items() if count)
    shown = rows[:SHOWN] if len(rows) > SHOWN else rows[::-1]
    words = ", ".join(f"{name} {kept:,}" + (f" of {count:,}" if count > kept else "") for kept, count, name in shown)
    return f"the {SHOWN} classes with the fewest: {words}" if len(rows) > SHOWN else words
