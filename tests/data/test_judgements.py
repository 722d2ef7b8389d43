"""What boxes look like: of each kind a case that is found, and one that is not."""

import dataclasses

import box_tables
import numpy as np
import pytest

from fsaf_tf import anchors
from fsaf_tf.data import anchor_fit, box_table, judgements
from fsaf_tf.data.kept_boxes import Sizing

SIDES = [(10, 20, 30, 40), (50, 60, 20, 30), (70, 5, 25, 35), (30, 55, 40, 20)]
CORNERS = [(x, y, x + w, y + h) for x, y, w, h in SIDES]
SHARES = [tuple(number / 100 for number in box) for box in SIDES]
CLEAN = box_tables.of_boxes(SIDES)


def test_a_clean_set_has_none():
    assert box_table.findings(CLEAN, "x") == ()
    judged = (
        judgements.corners(CLEAN, "x"),
        judgements.shares(CLEAN, "x"),
        judgements.repeats(CLEAN, "x"),
        judgements.classes(CLEAN, np.ones(4, bool), ["cat"], "x"),
        judgements.lost_boxes(CLEAN, Sizing(64, 96), "x"),
        judgements.ceiling(CLEAN, ["cat"], 100, "x"),
    )
    assert judged == ([],) * len(judged) and not judgements.are_all_shares(CLEAN)


def test_corners():
    [finding] = judgements.corners(box_tables.of_boxes(CORNERS), "x.json")
    assert (finding.kind, finding.count, finding.of, finding.where) == ("corners", 3, 4, "x.json")
    assert finding.line == (
        "3 of 4 boxes reach past the right or lower border; 4 lie inside as x1, y1, x2, y2: corners where bbox wants"
        " x, y, width, height? (first: 0.png: x, y, w, h [50.0, 60.0, 70.0, 90.0])"
    )
    # One that is small and lies far to the right cannot be a corner; a single one past the border is no sign.
    assert judgements.corners(box_tables.of_boxes([*CORNERS, (80, 80, 5, 5)]), "x") == []
    assert judgements.corners(box_tables.of_boxes([*SIDES, (60, 60, 70, 70)]), "x") == []


def test_shares():
    [finding] = judgements.shares(box_tables.of_boxes([*SIDES, *SHARES[:2]]), "x")
    assert (finding.kind, finding.count, finding.of) == ("shares", 2, 6)
    assert finding.message.startswith("2 of 6 boxes have four numbers from 0 to 1: shares of the picture")
    assert judgements.are_all_shares(box_tables.of_boxes(SHARES))
    assert judgements.shares(box_tables.of_boxes([*SIDES, (0, 0, 1, 1)]), "x") == []  # a speck in the corner
    assert judgements.shares(box_tables.of_boxes(SHARES, sizes=[(8, 8)]), "x") == []


def test_repeats():
    table = box_tables.of_boxes([SIDES[0]] * 4, sizes=[(100, 100)] * 2, classes=[0, 1, 0, 0], images=[0, 0, 0, 1])
    [finding] = judgements.repeats(table, "x")
    assert (finding.kind, finding.count, finding.of) == ("duplicate_boxes", 1, 4)


def test_classes_without_boxes():
    table = box_tables.of_boxes(SIDES, classes=[0, 0, 2, 3])
    empty, lost = judgements.classes(table, np.array([True, False, False, True]), ["a", "b", "c", "d"], "x")
    assert (empty.kind, empty.line) == ("empty_class", "1 of 4 classes has no box: b")
    assert (lost.kind, lost.line) == ("lost_class", "1 of 4 classes loses every box: c")
    [many] = judgements.classes(box_tables.of_boxes(SIDES), np.ones(4, bool), [f"c{n}" for n in range(1203)], "x")
    assert many.examples == tuple(f"c{n}" for n in range(1, 9))
    assert many.line.endswith("c7, c8 and 1,194 more")


def test_lost_boxes_and_the_size_that_keeps_them():
    boxes = [(100 * number, 10, 6, 6) for number in range(3)] + [(100, 100, 60, 60)]
    table = box_tables.of_boxes(boxes, sizes=[(3000, 4000)])
    [finding] = judgements.lost_boxes(table, Sizing(320, 512), "x")
    assert (finding.kind, finding.count, finding.of) == ("lost_boxes", 3, 4)
    assert finding.message == (
        "3 of 4 boxes get under 1 px at 320 x 512; task.input_size.shorter_side=512,task.input_size.longer_side=820"
        " keeps 99% of them, or cut the pictures into tiles (docs/tiles.md)"
    )
    jitter = judgements.lost_boxes(table, Sizing(800, 1280, drawn_sides=(320, 800)), "x")[0].message
    assert jitter.endswith("at 320 x 1280; task.train_data.shorter_sides from 512 px on keep 99% of them")
    jitter = judgements.lost_boxes(table, Sizing(320, 512, drawn_sides=(160, 320)), "x")[0].message
    assert "longer_side=820, and task.train_data.shorter_sides from there on, keeps 99%" in jitter
    assert judgements.lost_boxes(table, Sizing(512, 820), "x") == []
    few = box_tables.of_boxes([boxes[0], *[boxes[-1]] * 20], sizes=[(3000, 4000)])
    assert judgements.lost_boxes(few, Sizing(320, 512), "x") == []  # 1 of 21
    tiny = box_tables.of_boxes([(5, 5, 0.01, 1)], sizes=[(3000, 4000)])
    assert "no size up to 8192 px keeps 99%: cut" in judgements.lost_boxes(tiny, Sizing(320, 512), "x")[0].message
    crowds = dataclasses.replace(table, crowd=np.ones(4, bool))
    assert judgements.lost_boxes(crowds, Sizing(320, 512), "x") == []


@pytest.mark.parametrize("count", [100, 101])
def test_more_boxes_than_the_figures_look_at(count):
    boxes = [SIDES[0]] * (count + 150)
    table = box_tables.of_boxes(boxes, classes=[1] * count + [0] * 150, crowd=[0] * count + [1] * 150)
    found = judgements.ceiling(table, ["cat", "dog"], 100, "x")
    assert len(found) == (count > 100)
    for finding in found:
        assert (finding.kind, finding.count, finding.of) == ("ceiling", 1, 1)
        assert "101 at most" in finding.message and "so that 1 of 101 cannot be found" in finding.message
        assert finding.examples == ("0.png, 101 dog",)


def test_boxes_that_no_anchor_fits():
    branch = anchors.Anchors(anchors.Shapes((1.0,), (1.0,)), 0.5, anchors.Matching(0.5, 0.4))
    size = Sizing(100, 100)  # pictures stay as they are; anchors are squares of 32 and 64 px
    fit, thin = [(0, 0, 32, 32), (0, 0, 60, 60), (0, 0, 23, 23)], [(0, 0, 90, 10), (0, 0, 10, 90), (0, 0, 6, 6)]

    def found(boxes):
        table = box_tables.of_boxes(boxes)
        return judgements.fitting_anchors(table, size, anchor_fit.fit(table, size, branch, (3, 4)), "x")

    assert found(fit + thin) == []
    [finding] = found(fit[1:] + thin)
    assert (finding.kind, finding.count, finding.of) == ("anchors", 3, 5)
    assert finding.message.startswith("3 of 5 boxes have no anchor of IoU 0.5 at 100 x 100; ")
    assert finding.examples[0] == "0.png: x, y, w, h [0.0, 0.0, 90.0, 10.0]"


def test_classes_of_one_set_alone():
    train, validation = (box_tables.of_boxes(SIDES[:2], classes=each) for each in ([0, 1], [1, 2]))
    here, there = judgements.one_set_classes(train, validation, ["a", "b", "c"], ("t.json", "v.json"))
    assert here.line == "1 of 3 classes has boxes in t.json alone: a" and here.where == "t.json and v.json"
    assert there.line == "1 of 3 classes has boxes in v.json alone: c" and there.kind == "one_set_class"
    assert judgements.one_set_classes(train, train, ["a", "b"], ("t.json", "v.json")) == []


def test_what_is_counted_of_every_source():
    table = box_tables.of_boxes(
        [(-5, 0, 20, 20), (99.8, 0, 0.4, 9), (5, 5, 0, 9), (1, 1, 2, 2)], sizes=[(100, 100)] * 2, crowd=[0, 0, 0, 1]
    )
    found = {finding.kind: (finding.count, finding.of) for finding in box_table.findings(table, "x")}
    assert found == {"crowd": (1, 4), "clipped": (1, 4), "no_area": (1, 4), "empty_pictures": (1, 2)}
