"""Sections 3.2 and 3.4, inference: against loops, on edges, eagerly, in a graph and compiled."""

import dataclasses
import inspect
import math

import naive
import numpy as np
import paper
import pytest
import tensorflow as tf

from fsaf_tf import anchors, branches, losses, postprocess, pyramid
from fsaf_tf.config import schema

BRANCHES = ("anchor_free", "anchor_based")
LEVELS = (3, 4, 5)
GEOMETRY = pyramid.Geometry(LEVELS, location_offset=0.5, offset_scale=4.0, effective=0.2, ignoring=0.5)
SHAPES = anchors.Shapes(scales=(1.0, 2 ** (1 / 3)), aspect_ratios=(0.5, 1.0, 2.0))


@dataclasses.dataclass(frozen=True)
class Values:
    """What decoding depends on."""

    geometry: pyramid.Geometry
    shapes: anchors.Shapes
    max_per_level: int
    multi_label: bool

    def decoding(self, outputs) -> postprocess.Decoding:
        """Of the branches that the outputs have."""
        of_anchors = anchors.Anchors(self.shapes, self.geometry.location_offset, paper.MATCHING)
        elementwise = losses.Elementwise(paper.FOCAL, paper.IOU)  # nothing is learned here
        free = branches.AnchorFree(self.geometry, paper.ONLINE, elementwise, loss_weight=0.5)
        every = (free, branches.AnchorBased(of_anchors, elementwise))
        present = tuple(branch for branch in every if branch.logits in outputs)
        return postprocess.Decoding(present, self.max_per_level, self.multi_label)


DECODING = Values(GEOMETRY, SHAPES, max_per_level=1000, multi_label=False)
SUPPRESSION = postprocess.Suppression(score_threshold=0.05, nms_iou=0.5, max_detections=100, fusion="best")


def changed(**changes):
    """Decoding and suppression with other values of some fields, those of the geometry and the shapes among them."""

    def replace(value, **parts):
        own = {key: changes[key] for key in changes if hasattr(value, key)}
        return dataclasses.replace(value, **own, **parts)

    shapes = SHAPES._replace(**{key: changes[key] for key in SHAPES._fields if key in changes})
    return replace(DECODING, geometry=replace(GEOMETRY), shapes=shapes), replace(SUPPRESSION)


def random_outputs(seed, size, batch=2, classes=3, names=BRANCHES, bias=-3.0):
    """Outputs of a detector for a canvas of `size`, by numpy so that they do not depend on TensorFlow's seeds."""
    draw = np.random.default_rng(seed)
    outputs = {}
    for branch in names:
        per_location, boxes = (1, "offsets") if branch == "anchor_free" else (SHAPES.per_location, "deltas")
        for level in LEVELS:
            shape = (batch, math.ceil(size[0] / 2**level), math.ceil(size[1] / 2**level))
            logits = draw.normal(bias, 1.5, (*shape, per_location * classes))
            values = draw.normal(0.0, 0.4, (*shape, per_location * 4))
            values = np.abs(values) if branch == "anchor_free" else values
            outputs.setdefault(f"{branch}_logits", {})[str(level)] = tf.constant(logits, tf.float32)
            outputs.setdefault(f"{branch}_{boxes}", {})[str(level)] = tf.constant(values, tf.float32)
    return outputs


def detect(outputs, image_size, decoding=DECODING, suppression=SUPPRESSION):
    """`postprocess.detect` with as many classes as the outputs have."""
    for branch, per_location in (("anchor_free", 1), ("anchor_based", decoding.shapes.per_location)):
        for logits in outputs.get(f"{branch}_logits", {}).values():
            classes = logits.shape[-1] // per_location
    return postprocess.detect(outputs, image_size, classes, decoding.decoding(outputs), suppression)


def naive_detect(outputs, image_size, image, decoding, suppression):
    """Detections of one image as the definition reads: threshold, limit of a level, clip, suppression, limit."""
    free = {
        "location_offset": decoding.geometry.location_offset,
        "offset_scale": decoding.geometry.offset_scale,
        "multi_label": decoding.multi_label,
    }
    based = {"location_offset": decoding.geometry.location_offset, **decoding.shapes._asdict()}
    found = []
    for branch, boxes, candidates, keys in (
        ("anchor_free", "offsets", naive.anchor_free_candidates, free),
        ("anchor_based", "deltas", naive.anchor_based_candidates, based),
    ):
        for level, logits in outputs.get(f"{branch}_logits", {}).items():
            values = outputs[f"{branch}_{boxes}"][level]
            of_level = candidates(logits[image].numpy(), values[image].numpy(), int(level), **keys)
            limits = {"score_threshold": suppression.score_threshold, "max_per_level": decoding.max_per_level}
            found += naive.best_candidates(of_level, **limits)
    limits = dataclasses.asdict(suppression)
    del limits["score_threshold"]  # it was met level by level
    return naive.suppress(found, image_size, **limits)


def assert_equal(detections, image, expected):
    count = int(detections["num_detections"][image])
    assert count == len(expected)
    np.testing.assert_allclose(detections["scores"][image, :count], [c[0] for c in expected], rtol=1e-5)
    np.testing.assert_allclose(detections["boxes"][image, :count], [c[1] for c in expected], rtol=1e-4, atol=1e-3)
    for key, position in (("classes", 2), ("levels", 3), ("branch", 4)):
        assert detections[key][image, :count].numpy().tolist() == [c[position] for c in expected], key
    for key in ("boxes", "scores", "classes", "levels", "branch"):
        assert not np.any(detections[key][image, count:]), key


@pytest.mark.parametrize("branches", [BRANCHES, BRANCHES[:1], BRANCHES[1:]], ids=["both", "free", "based"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        dict(max_per_level=40, score_threshold=0.01),
        dict(max_detections=7, location_offset=0.0, offset_scale=2.0, nms_iou=0.3),
        dict(multi_label=True, max_per_level=40, score_threshold=0.01),
        dict(fusion="mean", score_threshold=0.01),
        dict(fusion="mean", nms_iou=1.0, max_detections=9),
    ],
    ids=["paper", "limited", "other values", "all classes", "fused", "fused by none"],
)
def test_equals_the_definition_in_loops(branches, changes):
    values, sizes = changed(**changes), [(64, 96), (50, 71)]
    outputs = random_outputs(1, (64, 96), names=branches)
    detections = detect(outputs, tf.constant(sizes), *values)
    for image, size in enumerate(sizes):
        expected = naive_detect(outputs, size, image, *values)
        assert len(expected) >= 7
        assert_equal(detections, image, expected)


@pytest.mark.parametrize(
    "change",
    [
        {"location_offset": 0.0},
        {"offset_scale": 2.0},
        {"scales": (0.5, 1.5)},
        {"aspect_ratios": (0.25, 1.0, 3.0)},
        {"max_per_level": 5},
        {"multi_label": True},
        {"score_threshold": 0.3},
        {"nms_iou": 0.1},
        {"max_detections": 9},
        {"fusion": "mean"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_value_alone_changes_what_the_loops_say(change):
    outputs, size = random_outputs(3, (32, 48), batch=1), (32, 48)
    expected = naive_detect(outputs, size, 0, *changed(**change))
    assert expected != naive_detect(outputs, size, 0, DECODING, SUPPRESSION)
    assert_equal(detect(outputs, tf.constant([size]), *changed(**change)), 0, expected)


@pytest.mark.parametrize("fusion", postprocess.FUSIONS)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_graph_equals_eager(jit_compile, fusion):
    outputs, values = random_outputs(2, (64, 96)), changed(fusion=fusion)
    sizes = tf.constant([(64, 96), (50, 71)])
    eager = detect(outputs, sizes, *values)
    relaxed = tf.nest.map_structure(lambda t: tf.TensorSpec([None, None, None, t.shape[-1]]), outputs)

    @tf.function(input_signature=[relaxed, tf.TensorSpec([None, 2], tf.int32)], jit_compile=jit_compile)
    def graph(outputs, sizes):
        return detect(outputs, sizes, *values)

    for key, value in graph(outputs, sizes).items():
        np.testing.assert_allclose(value, eager[key], rtol=1e-5, atol=1e-4, err_msg=key)
    shapes = {key: tuple(shape) for key, shape in tf.nest.map_structure(tf.shape, graph(outputs, sizes)).items()}
    assert shapes["boxes"] == (2, 100, 4) and shapes["num_detections"] == (2,)
    if not jit_compile:
        nothing = graph(*tf.nest.map_structure(lambda t: t[:0], (outputs, sizes)))
        assert nothing["boxes"].shape == (0, 100, 4) and nothing["num_detections"].shape == (0,)


def test_batch_of_no_image():
    detections = detect(random_outputs(0, (64, 64), batch=0), tf.zeros([0, 2], tf.int32))
    assert {key: tuple(value.shape) for key, value in detections.items()} == {
        "boxes": (0, 100, 4),
        "scores": (0, 100),
        "classes": (0, 100),
        "levels": (0, 100),
        "branch": (0, 100),
        "num_detections": (0,),
    }


def test_nothing_over_the_threshold_is_no_detection():
    detections = detect(random_outputs(0, (64, 64), bias=-30.0), tf.constant([[64, 64]] * 2))
    assert detections["num_detections"].numpy().tolist() == [0, 0]
    assert all(not np.any(value) for value in detections.values())


@pytest.mark.parametrize("branch", BRANCHES)
def test_equal_scores_rank_as_among_all_pairs(branch):
    """Many equal logits: the limit keeps the first pairs, not those of whichever rows were looked at first."""
    outputs = random_outputs(0, (64, 64), names=[branch])
    logits = outputs[f"{branch}_logits"]
    values = changed(max_per_level=8, nms_iou=1.0, multi_label=True)
    outputs[f"{branch}_logits"] = {key: tf.clip_by_value(tf.round(v), -1.0, 0.0) for key, v in logits.items()}
    assert_equal(
        detect(outputs, tf.constant([[64, 64]] * 2), *values),
        0,
        naive_detect(outputs, (64, 64), 0, *values),
    )
    outputs[f"{branch}_logits"] = {key: tf.ones_like(v) for key, v in logits.items()}
    detections = detect(outputs, tf.constant([[64, 64]] * 2), *values)
    assert_equal(detections, 0, naive_detect(outputs, (64, 64), 0, *values))
    assert detections["classes"][0, :8].numpy().tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def one_location(boxes_px, logits):
    """Anchor-free outputs on P3 with the given boxes about (4, 4), (4, 12), ... and all other locations silent."""
    classes = len(logits[0])
    maps = np.full((1, 4, 16, classes), -30.0, np.float32)
    offsets = np.zeros((1, 4, 16, 4), np.float32)
    for column, (box, values) in enumerate(zip(boxes_px, logits)):
        x = column * 8 + 4
        maps[0, 0, column] = values
        offsets[0, 0, column] = np.array([4 - box[0], x - box[1], box[2] - 4, box[3] - x]) / 32
    return {"anchor_free_logits": {"3": tf.constant(maps)}, "anchor_free_offsets": {"3": tf.constant(offsets)}}


def test_boxes_are_clipped_before_suppression():
    """Two boxes that differ outside the image: their IoU is 0.32 with that part, 0.8 without."""
    outputs = one_location([(0, 0, 20, 10), (0, 2, 20, 25)], [[2.0], [1.0]])
    kept = {width: detect(outputs, tf.constant([[32, width]]))["num_detections"][0].numpy() for width in (10, 32)}
    assert kept == {10: 1, 32: 2}


def test_a_box_outside_the_image_is_dropped():
    outputs = one_location([(0, 0, 20, 3), (0, 8, 20, 16)], [[1.0], [2.0]])
    detections = detect(outputs, tf.constant([[32, 6]]))
    assert detections["num_detections"].numpy().tolist() == [1]
    np.testing.assert_allclose(detections["boxes"][0, 0], [0, 0, 20, 3], atol=1e-4)


def test_other_classes_do_not_suppress_and_a_location_has_one():
    box = (0, 0, 20, 24)
    outputs = one_location([box, box, box], [[3.0, 2.9], [1.0, 2.0], [1.5, 0.0]])
    detections = detect(outputs, tf.constant([[32, 128]]))
    assert detections["num_detections"].numpy().tolist() == [2]
    assert detections["classes"][0, :2].numpy().tolist() == [0, 1]
    np.testing.assert_allclose(detections["scores"][0, :2], [naive.sigmoid(3.0), naive.sigmoid(2.0)], rtol=1e-6)
    all_classes = detect(outputs, tf.constant([[32, 128]]), *changed(multi_label=True))
    assert all_classes["classes"][0, :2].numpy().tolist() == [0, 1]
    np.testing.assert_allclose(all_classes["scores"][0, :2], [naive.sigmoid(3.0), naive.sigmoid(2.9)], rtol=1e-6)


def test_a_fused_detection_is_the_mean_of_both_branches_best():
    """Two objects that both find, and a third that the anchors find alone. The order is that of the new scores."""

    def candidate(branch, score, box, level):
        values = {"boxes": [[box]], "scores": [[score]]}
        integers = {"classes": [[0]], "levels": [[level]], "branch": [[branch]]}
        return {key: tf.constant(v) for key, v in values.items()} | {key: tf.constant(v) for key, v in integers.items()}

    candidates = [
        candidate(1, 0.9, [0.0, 0.0, 20.0, 20.0], 5),
        candidate(0, 0.3, [0.0, 0.0, 20.0, 16.0], 3),
        candidate(0, 0.2, [0.0, 0.0, 20.0, 19.0], 4),
        candidate(1, 0.7, [0.0, 40.0, 20.0, 60.0], 5),
        candidate(1, 0.6, [40.0, 0.0, 60.0, 20.0], 5),
        candidate(0, 0.8, [40.0, 0.0, 60.0, 13.0], 4),
        candidate(0, 0.04, [0.0, 40.0, 20.0, 59.0], 4),  # not over the threshold
    ]
    found = postprocess.suppress(candidates, tf.constant([[64, 64]]), 1, changed(fusion="mean")[1])
    assert int(found["num_detections"][0]) == 3
    np.testing.assert_allclose(found["scores"][0, :3], [0.7, 0.6, 0.35], rtol=1e-6)
    expected = [[40, 0, 60, 16], [0, 0, 20, 19], [0, 40, 20, 60]]
    np.testing.assert_allclose(found["boxes"][0, :3], expected, rtol=1e-6)
    assert found["levels"][0, :3].numpy().tolist() == [4, 5, 5] and found["branch"][0, :3].numpy().tolist() == [0, 1, 1]


def test_many_classes_do_not_blur_small_boxes():
    """Boxes of 8 px and class 1199 of 1200 on a 1344 px canvas: the shift of the classes costs no detection."""
    logits = [[-30.0] * 1199 + [value] for value in (3.0, 2.0)]
    boxes = [(0, 0, 8.00, 8.00), (0, 2.60, 8.00, 10.60)]  # IoU 0.509
    outputs = one_location(boxes, logits)
    outputs = tf.nest.map_structure(lambda t: tf.pad(t, [[0, 0], [0, 0], [0, 152], [0, 0]]), outputs)
    outputs["anchor_free_logits"]["3"] -= tf.constant([0.0] * 16 + [30.0] * 152)[:, None]
    detections = detect(outputs, tf.constant([[800, 1344]]))
    assert detections["num_detections"].numpy().tolist() == [1]


def test_the_configuration_gives_the_values():
    task = schema.Task()
    model = task.model
    model.override({"location_offset": 0.25, "max_level": 6, "postprocess": {"multi_label": True, "max_per_level": 9}})
    model.override({"anchor_free": {"offset_scale": 2.0}, "anchor_based": {"scales": [1.5], "aspect_ratios": [3.0]}})
    model.override({"postprocess": {"score_threshold": 0.1, "nms_iou": 0.2}})
    model.override({"postprocess": {"max_detections": 3, "fusion": "mean"}})
    model.override({"anchor_based": {"enabled": True}})
    decoding = task.decoding()
    free, based = decoding.branches
    assert free.geometry == pyramid.Geometry((3, 4, 5, 6), 0.25, 2.0, 0.2, 0.5)
    assert (based.anchors.shapes, based.anchors.location_offset) == (((1.5,), (3.0,)), 0.25)
    assert (decoding.max_per_level, decoding.multi_label) == (9, True)
    assert model.postprocess.suppression() == postprocess.Suppression(0.1, 0.2, 3, "mean")


@pytest.mark.parametrize("size", [[60, 90], [[60, 90], [33, 90]]], ids=["one size", "each its own"])
def test_the_entry_for_other_code_has_the_papers_values_and_equals_detect(size):
    outputs = random_outputs(5, (64, 96), names=BRANCHES[:1])
    maps = outputs["anchor_free_logits"], outputs["anchor_free_offsets"]
    found = postprocess.anchor_free_detections(*maps, size)
    expected = detect(outputs, tf.broadcast_to(size, [2, 2]))
    assert expected["num_detections"].numpy().min() > 5
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)
    values = dict(location_offset=0.0, offset_scale=2.0, max_per_level=30, score_threshold=0.2, nms_iou=0.3)
    found = postprocess.anchor_free_detections(*maps, size, **values, max_detections=7)
    geometry = dataclasses.replace(GEOMETRY, location_offset=0.0, offset_scale=2.0)
    decoding = dataclasses.replace(DECODING, geometry=geometry, max_per_level=30)
    suppression = postprocess.Suppression(score_threshold=0.2, nms_iou=0.3, max_detections=7, fusion="best")
    expected = detect(outputs, tf.broadcast_to(size, [2, 2]), decoding, suppression)
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)


def test_the_defaults_of_that_entry_are_those_of_the_configuration():
    given = {
        key: each.default for key, each in inspect.signature(postprocess.anchor_free_detections).parameters.items()
    }
    model = schema.Model()
    for key in ("max_per_level", "score_threshold", "nms_iou", "max_detections"):
        assert given[key] == getattr(model.postprocess, key)
    geometry = model.geometry()
    assert (given["location_offset"], given["offset_scale"]) == (geometry.location_offset, geometry.offset_scale)


def test_to_original_divides_by_the_scale_and_clips():
    found = {
        "boxes": tf.constant([[[10.0, 20.0, 30.0, 40.0], [0.0, 0.0, 0.0, 0.0]]]),
        "scores": tf.constant([[0.5, 0]]),
    }
    original = postprocess.to_original(found, tf.constant([[28, 35]]), tf.constant([[14, 70]]))
    np.testing.assert_allclose(original["boxes"], [[[5, 40, 14, 70], [0, 0, 0, 0]]])
    assert original["scores"] is found["scores"]
