"""How anchors fit the boxes of data: against a loop over anchors that are laid on a box, and what would fit better."""

import box_tables
import naive
import numpy as np
import pytest

from fsaf_tf import anchors
from fsaf_tf.data import anchor_fit
from fsaf_tf.data.kept_boxes import Sizing

RETINANET = anchors.Shapes((1.0, 2 ** (1 / 3), 2 ** (2 / 3)), (0.5, 1.0, 2.0))
LEVELS = (3, 4, 5, 6, 7)


def branch(shapes=RETINANET, positive_iou=0.5):
    return anchors.Anchors(shapes, 0.5, anchors.Matching(positive_iou, 0.4))


AS_IS = Sizing(100, 100)  # pictures of that size


def of_sides(sides, sizing=AS_IS, **values):
    """The fit of boxes of these heights and widths."""
    table = box_tables.of_boxes([(0, 0, width, height) for height, width in sides])
    return anchor_fit.fit(table, sizing, branch(**values), LEVELS)


def scales_of(advice):
    """Those that a line names."""
    return tuple(float(number) for number in advice.split("[")[1].split("]")[0].split(","))


def test_best_iou_is_that_of_the_anchor_that_is_laid_on_the_box():
    sides = np.random.default_rng(0).uniform(4, 100, (30, 2)).astype(np.float32)
    corners = np.concatenate([anchors.anchors(1, 1, level, RETINANET, 0.0) for level in LEVELS])
    for (height, width), best in zip(sides, anchor_fit.best_iou(sides, RETINANET, LEVELS)):
        box = (-height / 2, -width / 2, height / 2, width / 2)
        assert best == pytest.approx(max(naive.iou(box, anchor) for anchor in corners), abs=1e-5)


def test_the_share_is_of_the_size_of_the_input_and_the_limit_of_the_branch():
    sides = [(16, 16), (32, 32), (24, 24), (64, 32)]  # IoU 0.25, 1, 0.56 and 1 with an anchor
    assert of_sides(sides).share == 0.75 and of_sides(sides).line() == "75% have an anchor of IoU 0.5 or more"
    assert of_sides(sides, positive_iou=0.6).share == 0.5
    assert of_sides(sides, Sizing(200, 200)).share == 1


def test_small_objects_are_advised_smaller_anchors_or_a_larger_input_at_which_they_fit():
    sizing, sides = Sizing(96, 128), np.random.default_rng(1).uniform(7, 13, (200, 2))
    fit = of_sides(sides)
    assert fit.share < 0.05
    advice = fit.advice(sizing)
    assert advice.startswith("task.model.anchor_based.scales=[")
    scales = scales_of(advice)
    assert len(scales) == 3
    shares = [int(part.rpartition(" ")[2].removesuffix("%")) for part in advice.split(", ")]
    assert min(shares) > 90
    fitting = of_sides(sides, shapes=RETINANET._replace(scales=scales)).share
    assert fitting == pytest.approx(shares[0] / 100, abs=0.03)
    side = int(advice.split("an input of ")[1].split(" ")[0])
    assert side % 32 == 0
    assert of_sides(sides, Sizing(100 * side // 96, 1000)).share == pytest.approx(shares[1] / 100, abs=0.05)


def test_small_objects_among_others_are_advised_smaller_anchors_beside_those_that_the_others_have():
    sides = [(10, 10)] * 60 + [(32, 32)] * 40
    fit = of_sides(sides)
    assert fit.share == 0.4
    scales = scales_of(fit.advice(AS_IS))
    assert scales == (0.4, 0.5, 0.63, 0.79, 1, 1.3, 1.6)
    assert of_sides(sides, shapes=RETINANET._replace(scales=scales)).share == 1


def test_large_objects_are_advised_larger_anchors_alone():
    sizing = Sizing(3000, 3000)  # the largest anchor has 813 px
    advice = of_sides([(90, 90)] * 4, sizing).advice(sizing)
    assert advice == "task.model.anchor_based.scales=[2.5,3.2,4] fit 100%"
    assert of_sides([(90, 90)] * 4, sizing, shapes=RETINANET._replace(scales=(2.5, 3.2, 4.0))).share == 1


def test_thin_objects_are_pointed_to_the_aspect_ratios():
    advice = of_sides([(90, 6), (95, 6), (80, 5), (90, 6)]).advice(AS_IS)
    assert advice == "half of the boxes are 15 to 16 times as high as wide: see anchor_based.aspect_ratios"
