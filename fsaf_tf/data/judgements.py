"""What boxes look like: corners or shares in the place of sides, too small, too many, no anchor that fits.

A judgement gives its findings, none of data that are as they should be. Limits are here; docs/data.md explains them.
"""

from collections.abc import Sequence

import numpy as np

from fsaf_tf.data import kept_boxes
from fsaf_tf.data.anchor_fit import Fit
from fsaf_tf.data.box_table import BoxTable
from fsaf_tf.data.findings import Finding, found, listed
from fsaf_tf.data.kept_boxes import Sizing

MANY_BOXES = "many_boxes"
ROUNDING = 0.5  # px that a box may reach over the border
LEAST_BOXES = 2  # that look like something else
CORNERS_PAST, CORNERS_FIT = 0.1, 0.99  # shares of the boxes past the border, and that lie inside when read as corners
PIXELS_PAST = 2  # times a side of the picture
SHARES = 0.01  # of the boxes whose numbers are all up to 1
LEAST_PICTURE = 16  # px of the shorter side of a picture whose boxes can look like shares
LOST = 0.05  # share of the boxes
FIT = 0.5  # share of the boxes with an anchor


def corners(table: BoxTable, where: str) -> list[Finding]:
    """Boxes whose width and height are the right and lower border."""
    x, y, width, height = table.given_xywh.T
    picture_height, picture_width = table.sizes[table.image_index].T + ROUNDING
    past = (x + width > picture_width) | (y + height > picture_height)
    fit = (width > x) & (height > y) & (width <= picture_width) & (height <= picture_height)
    if past.sum() < max(LEAST_BOXES, CORNERS_PAST * len(table)) or fit.mean() < CORNERS_FIT:
        return []
    words = f"boxes reach past the right or lower border; {fit.sum():,} lie inside as x1, y1, x2, y2"
    words += ": corners where bbox wants x, y, width, height?"
    return found("corners", past.sum(), len(table), words, table.named(past), where)


def in_shares(table: BoxTable) -> np.ndarray:
    """`[n]` bool, boxes whose four numbers are from 0 to 1, in a picture of many pixels."""
    given = table.given_xywh
    mask = np.all((given >= 0) & (given <= 1), axis=1) & np.all(given[:, 2:] > 0, axis=1)
    return mask & (table.sizes.min(axis=1) >= LEAST_PICTURE)[table.image_index]


def are_all_shares(table: BoxTable) -> bool:
    """Whether no box can be in pixels."""
    return len(table) >= LEAST_BOXES and bool(in_shares(table).all())


def shares(table: BoxTable, where: str) -> list[Finding]:
    """Boxes in shares of their picture."""
    mask = in_shares(table)
    if mask.sum() < max(LEAST_BOXES, SHARES * len(table)):
        return []
    words = "boxes have four numbers from 0 to 1: shares of the picture where bbox wants pixels?"
    return found("shares", mask.sum(), len(table), words, table.named(mask), where)


def pixels(table: BoxTable, where: str) -> list[Finding]:
    """Boxes in pixels of data that have them in shares of their picture."""
    ends = (table.given_xywh[:, :2] + table.given_xywh[:, 2:])[:, ::-1]
    mask = np.any(ends > PIXELS_PAST * table.sizes[table.image_index], axis=1)
    if mask.sum() < max(LEAST_BOXES, SHARES * len(table)):
        return []
    words = f"boxes reach past {PIXELS_PAST} times their picture: pixels where shares of it are wanted?"
    return found("pixels", mask.sum(), len(table), words, table.named(mask), where)


def repeats(table: BoxTable, where: str) -> list[Finding]:
    """Boxes that stand there again and are trained on as often, of data whose reader does not join them."""
    columns = [table.image_index, table.class_indices, table.crowd, *table.given_xywh.T]
    _, first = np.unique(np.stack(columns, axis=1), axis=0, return_index=True)
    again = np.ones(len(table), bool)
    again[first] = False
    words = "boxes stand there again; trained on as often"
    return found("duplicate_boxes", again.sum(), len(table), words, table.named(again), where)


def classes(table: BoxTable, is_trained: np.ndarray, names: Sequence[str], where: str) -> list[Finding]:
    """Classes without a box, and those that have lost all of theirs."""
    counts = np.bincount(table.class_indices, minlength=len(names))
    left = np.bincount(table.class_indices[is_trained], minlength=len(names))
    empty = [name for name, count in zip(names, counts) if not count]
    lost = [name for name, count, kept in zip(names, counts, left) if count and not kept]
    return [
        *found("empty_class", len(empty), len(names), f"classes have no box: {listed(empty)}", empty, where),
        *found("lost_class", len(lost), len(names), f"classes lose every box: {listed(lost)}", lost, where),
    ]


def similar_classes(names: Sequence[str], where: str) -> list[Finding]:
    """Classes that differ from an earlier one in case and blanks alone."""
    first_of: dict[str, str] = {}
    pairs = []
    for name in names:
        first = first_of.setdefault(" ".join(name.split()).casefold(), name)
        pairs += [f"{name!r} as {first!r}"] if first != name else []
    words = f"classes have the name of another one but for case and blanks: {listed(pairs)}"
    return found("similar_class", len(pairs), len(names), words, pairs, where)


def lost_boxes(table: BoxTable, sizing: Sizing, where: str) -> list[Finding]:
    """Boxes that get too small, with the size that would keep nearly all."""
    is_wanted = kept_boxes.wanted(table)
    lost = is_wanted & table.has_area & ~kept_boxes.trained(table, sizing)
    if lost.sum() <= LOST * is_wanted.sum():
        return []
    words = f"boxes get under 1 px at {sizing}; {advice(table, sizing)}"
    return found("lost_boxes", lost.sum(), is_wanted.sum(), words, table.named(lost), where)


def advice(table: BoxTable, sizing: Sizing) -> str:
    """What to do about boxes that get too small."""
    if in_shares(table).sum() >= LEAST_BOXES:
        return "see whether they are in pixels"
    larger, share = kept_boxes.keeping_size(table, sizing), f"{kept_boxes.KEPT_SHARE:.0%}"
    if larger is None:
        return (
            f"no size up to {kept_boxes.LARGEST_ADVISED} px keeps {share}: cut the pictures into tiles (docs/tiles.md)"
        )
    if sizing.drawn_sides and larger.shorter_side <= sizing.shorter_side:
        return f"task.train_data.shorter_sides from {larger.shorter_side} px on keep {share} of them"
    keys = f"task.input_size.shorter_side={larger.shorter_side},task.input_size.longer_side={larger.longer_side}"
    jitter = ", and task.train_data.shorter_sides from there on," if sizing.drawn_sides else ""
    or_tiles = "" if sizing.tile else ", or cut the pictures into tiles (docs/tiles.md)"
    return f"{keys}{jitter} keeps {share} of them{or_tiles}"


def ceiling(table: BoxTable, names: Sequence[str], most: int, where: str) -> list[Finding]:
    """Pictures with more boxes of a class than COCO's figures look at."""
    of_class = table.image_index[~table.crowd] * len(names) + table.class_indices[~table.crowd]
    groups, counts = np.unique(of_class, return_counts=True)
    over = counts > most
    pictures = np.unique(groups[over] // len(names))
    words = (
        f"pictures have more than {most} boxes of a class, {counts.max(initial=0):,} at most: COCO's figures look at"
        f" {most} detections of each, so that {np.sum(counts[over] - most):,} of {counts.sum():,} cannot be found;"
        " task.evaluation.max_detections and task.model.postprocess.max_detections raise that"
    )
    examples = (
        f"{table.file_names[g // len(names)]}, {n} {names[g % len(names)]}" for g, n in zip(groups[over], counts[over])
    )
    return found("ceiling", len(pictures), len(table.sizes), words, examples, where)


def many_boxes(table: BoxTable, room: int, is_made: bool, where: str) -> list[Finding]:
    """Pictures with more boxes than a batch has room for, whether or not room is made for them."""
    counts = np.bincount(table.image_index[~table.duplicate], minlength=len(table.sizes))
    over = np.flatnonzero(counts > room)
    remedy = f"room is made for {counts.max(initial=0):,}" if is_made else f"set it to {counts.max(initial=0)}"
    words = f"pictures have more boxes than max_instances, {room}; {remedy}"
    return found(
        MANY_BOXES, len(over), len(counts), words, (f"{table.file_names[i]}, {counts[i]}" for i in over), where
    )


def fitting_anchors(table: BoxTable, sizing: Sizing, of_anchors: Fit, where: str) -> list[Finding]:
    """Boxes that no anchor fits, by shape alone, both centred."""
    if of_anchors.share >= FIT:
        return []
    is_fit = of_anchors.is_fit
    mask = kept_boxes.trained(table, sizing)
    mask[mask] = ~is_fit
    words = f"boxes have no anchor of IoU {of_anchors.branch.matching.positive_iou:g} at {sizing}; the anchor-based"
    words += f" branch learns nothing of them; {of_anchors.advice(sizing)}"
    return found("anchors", mask.sum(), len(is_fit), words, table.named(mask), where)


def one_set_classes(
    train: BoxTable, validation: BoxTable, names: Sequence[str], where: tuple[str, str]
) -> list[Finding]:
    """Classes with boxes in one of the two sets alone."""
    has = [np.bincount(table.class_indices, minlength=len(names)) > 0 for table in (train, validation)]
    listed_classes = []
    for own, other, place in ((has[0], has[1], where[0]), (has[1], has[0], where[1])):
        alone = [name for name, here, there in zip(names, own, other) if here and not there]
        words = f"classes have boxes in {place} alone: {listed(alone)}"
        listed_classes += found("one_set_class", len(alone), len(names), words, alone, " and ".join(where))
    return listed_classes
