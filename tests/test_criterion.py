"""The criterion: fast equals naive, eagerly, in a graph and compiled; and what it must not do."""

import naive
import numpy as np
import paper
import pytest
import tensorflow as tf

from fsaf_tf import anchors as anchor_ops
from fsaf_tf import criterion, losses, regions

LEVELS = range(3, 8)


def _maps(height, width):
    return {str(level): (-(-height // 2**level), -(-width // 2**level)) for level in LEVELS}


def _boxes(rng, kind, count, height, width):
    """Boxes of one kind `[count, 4]`."""
    size = np.array([height, width])
    sides = np.exp(rng.uniform(0, np.log(size), [count, 2]))
    corner = rng.uniform(0, 1, [count, 2]) * (size - sides)
    if kind == "one pixel":
        sides = np.ones([count, 2])
    if kind == "over the border":
        corner = rng.uniform(-0.6, 1, [count, 2]) * size
    if kind == "full image":
        corner, sides = np.zeros([count, 2]), np.tile(size, [count, 1])
    if kind == "whole pixels":
        corner, sides = np.floor(corner), np.ceil(sides)
    if kind == "nested":
        corner, sides = size / 2 - sides / 2, sides
    if kind == "equal":
        corner, sides = np.tile(corner[:1], [count, 1]), np.tile(sides[:1], [count, 1])
    return np.concatenate([corner, corner + sides], axis=-1).astype(np.float32)


KINDS = ("any", "one pixel", "over the border", "full image", "whole pixels", "nested", "equal", "tie", "no instance")


def _case(rng, kind, *, height, width, batch, instances, classes):
    """Random outputs and instances; rows that are not valid hold garbage."""
    spread = rng.choice([0.1, 1.0, 4.0])
    maps = _maps(height, width)
    logits = {k: rng.normal(-2, spread, (batch, *size, classes)).astype(np.float32) for k, size in maps.items()}
    offsets = {k: np.maximum(rng.normal(0.3, 1, (batch, *size, 4)), 0).astype(np.float32) for k, size in maps.items()}
    if kind == "tie":  # every cell of every level loses the same
        logits = {k: np.full_like(values, -1.5) for k, values in logits.items()}
        offsets = {k: np.zeros_like(values) for k, values in offsets.items()}
    boxes = np.stack([_boxes(rng, kind, instances, height, width) for _ in range(batch)])
    own = rng.integers(0, 1 if kind == "nested" else classes, [batch, instances])
    valid = rng.random([batch, instances]) < (0 if kind == "no instance" else 0.8)
    boxes[~valid] = rng.choice([np.nan, np.inf, -1, 1e30], size=[int((~valid).sum()), 4])
    own[~valid] = rng.choice([-1, 99999], size=int((~valid).sum()))
    return logits, offsets, boxes, own, valid


PAPER = dict(
    selection="online",
    soft_levels=3,
    soft_temperature=1.0,
    location_offset=0.5,
    effective=0.2,
    ignoring=0.5,
    offset_scale=4.0,
    alpha=0.25,
    gamma=2.0,
    epsilon=1e-6,
)


def _settings(number):
    """The paper's values, and in every other round of the kinds others for all of them; each round has one rule."""
    turn = number // len(KINDS)
    rule = ("online", "soft", "heuristic")[turn % 3]
    others = dict(
        soft_levels=2,
        soft_temperature=3.0,
        location_offset=0.0,
        effective=0.3,
        ignoring=0.7,
        offset_scale=2.0,
        alpha=0.6,
        gamma=1.5,
        epsilon=1e-3,
    )
    return {**PAPER, **(others if turn % 2 else {}), "selection": rule}


def _fast(logits, offsets, boxes, classes, valid, settings):
    with tf.GradientTape() as tape:
        tape.watch(logits)
        result = criterion.anchor_free_losses(logits, offsets, boxes, classes, valid, **settings)
    return {**result, "logit_gradients": tape.gradient(result["class_loss"], logits)}


def _naive(case, settings):
    """What the loops give, image by image; `logit_gradients` as for the mean over the images."""
    logits, offsets, boxes, classes, valid = case
    images = [
        naive.anchor_free_losses(
            {int(k): v[image] for k, v in logits.items()},
            {int(k): v[image] for k, v in offsets.items()},
            boxes[image],
            classes[image],
            valid[image],
            **settings,
        )
        for image in range(len(boxes))
    ]
    gradients = [image.pop("logit_gradients") for image in images]
    of_levels = {str(level): np.stack([each[level] for each in gradients]) / len(images) for level in LEVELS}
    stacked = {name: np.stack([image[name] for image in images]) for name in images[0]}
    return stacked | {"logit_gradients": of_levels}


def _assert_equal(fast, expected):
    np.testing.assert_array_equal(fast["levels"], expected["levels"])
    np.testing.assert_array_equal(fast["num_positives"], expected["num_positives"])
    np.testing.assert_allclose(fast["weights"], expected["weights"], rtol=1e-4, atol=1e-6)
    for name in ("instance_class_losses", "instance_box_losses"):  # the two terms of Eq. 1
        np.testing.assert_allclose(fast[name], expected[name], rtol=1e-4, atol=1e-5)  # float32 of an IoU near 1
    np.testing.assert_allclose(fast["instance_losses"], expected["instance_losses"], rtol=1e-4)
    np.testing.assert_allclose(fast["class_loss"], expected["class_loss"].mean(), rtol=1e-4)
    np.testing.assert_allclose(fast["box_loss"], expected["box_loss"].mean(), rtol=1e-4)
    for level, of_level in expected["logit_gradients"].items():
        gradient = fast["logit_gradients"][level].numpy()
        np.testing.assert_array_equal(gradient == 0, of_level == 0)  # ignored cells exactly, and only they
        np.testing.assert_allclose(gradient, of_level, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
    "cases, size",
    [
        (54, dict(height=64, width=96, batch=2, instances=8, classes=3)),
        (27, dict(height=256, width=160, batch=1, instances=40, classes=4)),
        (9, dict(height=800, width=1344, batch=1, instances=500, classes=2)),
    ],
    ids=["small", "medium", "800x1344, N 500"],
)
def test_fast_equals_naive(cases, size):
    rng = np.random.default_rng(1)
    # Without AutoGraph, which takes a third of the time; with it are the persistent tapes below.
    graph, compiled = (tf.function(_fast, autograph=False, jit_compile=jit_compile) for jit_compile in (False, True))
    for number in range(cases):
        case = _case(rng, KINDS[number % len(KINDS)], **size)
        settings = _settings(number)
        tensors = tf.nest.map_structure(tf.constant, case)
        expected = _naive(case, settings)
        for way in (_fast, graph, compiled):
            _assert_equal(way(*tensors, settings), expected)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "compiled"])
def test_gradients_of_a_persistent_tape(jit_compile):
    """Each loss by itself, more than once, as whoever weighs gradients of tasks wants it; the loop is in no tape."""
    rng = np.random.default_rng(5)
    logits, offsets, *instances = _case(rng, "any", height=64, width=64, batch=2, instances=6, classes=3)

    def gradients(logits, offsets):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch((logits, offsets))
            result = criterion.anchor_free_losses(logits, offsets, *instances)
        return [tape.gradient(result["class_loss"], logits), tape.gradient(result["box_loss"], offsets)] * 2

    def one_by_one(logits, offsets):
        found = []
        for name, watched in (("class_loss", logits), ("box_loss", offsets)):
            with tf.GradientTape() as tape:
                tape.watch(watched)
                result = criterion.anchor_free_losses(logits, offsets, *instances)
            found.append(tape.gradient(result[name], watched))
        return found * 2

    tensors = tf.nest.map_structure(tf.constant, (logits, offsets))
    ours, expected = tf.function(gradients, jit_compile=jit_compile)(*tensors), one_by_one(*tensors)
    tf.nest.map_structure(lambda *pair: np.testing.assert_allclose(*pair, rtol=1e-4, atol=1e-8), ours, expected)
    tf.nest.map_structure(lambda *pair: np.testing.assert_array_equal(*pair), gradients(*tensors)[:2], expected[:2])


def _single(boxes, classes, *, size=64, num_classes=2):
    """Outputs that say nothing, for the instances of one image."""
    logits = {k: tf.zeros([1, *cells, num_classes]) for k, cells in _maps(size, size).items()}
    offsets = {k: tf.fill([1, *cells, 4], 0.1) for k, cells in _maps(size, size).items()}
    return logits, offsets, tf.constant([boxes], tf.float32), tf.constant([classes]), tf.ones([1, len(boxes)], tf.bool)


def test_no_instance_gives_background_over_one_and_no_box_loss():
    logits, offsets, *_ = _single([[0, 0, 8, 8]], [0])
    none = tf.zeros([1, 0, 4]), tf.zeros([1, 0], tf.int32), tf.zeros([1, 0], tf.bool)
    result = criterion.anchor_free_losses(logits, offsets, *none)
    cells = sum(int(np.prod(size)) for size in _maps(64, 64).values())
    np.testing.assert_allclose(result["class_loss"], cells * 2 * 0.75 * 0.25 * np.log(2), rtol=1e-5)
    assert result["box_loss"] == 0
    assert result["num_positives"].numpy().tolist() == [0]
    assert result["instance_losses"].shape == (1, 0, 5)


def test_batch_is_the_mean_of_its_images():
    rng = np.random.default_rng(2)
    case = _case(rng, "any", height=64, width=64, batch=2, instances=6, classes=3)
    whole = criterion.anchor_free_losses(*case)
    halves = [criterion.anchor_free_losses(*tf.nest.map_structure(lambda x, i=i: x[i : i + 1], case)) for i in (0, 1)]
    for name in ("class_loss", "box_loss"):
        np.testing.assert_allclose(whole[name], np.mean([half[name] for half in halves]), rtol=1e-5)


def test_no_gradient_passes_through_the_selection():
    """Offsets that are not trained have none, though every level's loss was compared."""
    logits, offsets, *instances = _single([[8, 8, 56, 56]], [1])
    with tf.GradientTape() as tape:
        tape.watch(offsets)
        result = criterion.anchor_free_losses(logits, offsets, *instances)
        total = result["box_loss"]
    gradients = tape.gradient(total, offsets, unconnected_gradients="zero")
    chosen = str(result["levels"].numpy()[0, 0])
    assert all(np.any(gradient) == (level == chosen) for level, gradient in gradients.items())
    with tf.GradientTape() as tape:
        tape.watch((logits, offsets))
        total = tf.reduce_sum(criterion.anchor_free_losses(logits, offsets, *instances)["instance_losses"])
    assert tape.gradient(total, (logits, offsets))[0]["3"] is None


def test_wrong_selection_and_wrong_map_are_errors():
    logits, offsets, *instances = _single([[8, 8, 56, 56]], [1])
    with pytest.raises(ValueError, match="one of online, heuristic, soft"):
        criterion.anchor_free_losses(logits, offsets, *instances, selection="random")
    logits["4"] = logits["4"][:, 1:]
    with pytest.raises(ValueError, match=r"level 4 has \(3, 4\) cells, not \(4, 4\)"):
        criterion.anchor_free_losses(logits, offsets, *instances)


def test_two_branches_read_bfloat16():
    logits, offsets, *instances = _single([[8, 8, 56, 56]], [1])
    deltas = {level: tf.fill([*maps.shape[:3], 36], 0.1) for level, maps in offsets.items()}
    anchor_logits = {level: tf.tile(maps, [1, 1, 1, 9]) for level, maps in logits.items()}
    for losses_of, outputs in (
        (criterion.anchor_free_losses, (logits, offsets)),
        (_anchor_based, (anchor_logits, deltas)),
    ):
        halved = tf.nest.map_structure(lambda x: tf.cast(x, tf.bfloat16), outputs)
        of_halved, of_whole = losses_of(*halved, *instances), losses_of(*outputs, *instances)
        for name in ("class_loss", "box_loss"):
            np.testing.assert_allclose(of_halved[name], of_whole[name], rtol=2e-2)


ANCHORS = anchor_ops.Anchors(paper.SHAPES, 0.5, paper.MATCHING)
OTHER_ANCHORS = anchor_ops.Anchors(anchor_ops.Shapes((0.7, 1.4), (1.0, 3.0)), 0.0, anchor_ops.Matching(0.45, 0.3))


def _anchor_based(logits, deltas, boxes, classes, valid, anchors=ANCHORS, focal=paper.FOCAL, beta=1 / 9):
    elementwise = losses.Elementwise(focal, losses.SmoothL1(beta))
    no_cells = tf.zeros([*boxes.shape[:2], 5, 2, 4], tf.int32)  # which this branch does not look at
    instances = regions.Instances.of(boxes, classes, valid, no_cells)
    return criterion.anchor_based(logits, deltas, instances, anchors, elementwise)


@pytest.mark.parametrize("instances", [0, 1, 12])
@pytest.mark.parametrize(
    "anchors, focal, beta",
    [(ANCHORS, paper.FOCAL, 1 / 9), (OTHER_ANCHORS, losses.Focal(0.6, 1.5), 0.5)],
    ids=["the paper", "others"],
)
def test_anchor_based_equals_naive(instances, anchors, focal, beta):
    rng = np.random.default_rng(3)
    maps, per_location = _maps(64, 96), anchors.shapes.per_location
    *_, boxes, classes, valid = _case(rng, "any", height=64, width=96, batch=1, instances=max(instances, 1), classes=3)
    logits = {k: rng.normal(size=(1, *size, 3 * per_location)).astype(np.float32) for k, size in maps.items()}
    deltas = {k: rng.normal(size=(1, *size, 4 * per_location)).astype(np.float32) for k, size in maps.items()}
    valid[:] = instances > 0
    boxes[:] = _boxes(rng, "any", max(instances, 1), 64, 96) * [0.5, 0.5, 1, 1] if instances else np.nan
    flat = [np.concatenate([m.reshape(-1, c) for m in maps.values()]) for maps, c in ((logits, 3), (deltas, 4))]
    classes[:] = rng.integers(0, 3, classes.shape)
    places = [naive.anchors(size, int(k), *anchors.shapes, anchors.location_offset) for k, size in maps.items()]
    truth = boxes[0] if instances else [], classes[0], np.concatenate(places)
    expected = naive.anchor_based_losses(
        *flat, *truth, **anchors.matching._asdict(), **focal._asdict(), box_loss_beta=beta
    )
    for way in (_anchor_based, tf.function(_anchor_based, jit_compile=True)):
        result = way(logits, deltas, tf.constant(boxes), tf.constant(classes), tf.constant(valid), anchors, focal, beta)
        np.testing.assert_allclose(result["class_loss"], expected["class_loss"], rtol=1e-4)
        np.testing.assert_allclose(result["box_loss"], expected["box_loss"], rtol=1e-4)
        assert result["num_positives"][0] == expected["num_positives"]


def test_anchor_based_takes_500_instances_at_full_size():
    maps = _maps(800, 1344)
    logits = {k: tf.zeros([1, *size, 9]) for k, size in maps.items()}
    deltas = {k: tf.zeros([1, *size, 36]) for k, size in maps.items()}
    boxes = np.stack([_boxes(np.random.default_rng(4), "any", 500, 800, 1344)])
    result = tf.function(_anchor_based)(logits, deltas, boxes, tf.zeros([1, 500], tf.int32), tf.ones([1, 500], tf.bool))
    assert np.isfinite(result["class_loss"]) and np.isfinite(result["box_loss"])
    assert result["num_positives"][0] > 100
