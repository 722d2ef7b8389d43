"""Anchors, their deltas and their instances."""

import numpy as np
import paper
import pytest
import tensorflow as tf

from fsaf_tf import anchors as anchor_ops

ONE = anchor_ops.Shapes((1.0,), (1.0,))


def test_anchors_of_the_paper_by_hand():
    """Level 3: sides 32 px times scale about (4, 4); the fourth is ratio 1, scale 1; ratio 2 is tall."""
    anchors = anchor_ops.anchors(2, 3, 3, paper.SHAPES, 0.5).numpy()
    assert anchors.shape == (2 * 3 * 9, 4)
    np.testing.assert_allclose(anchors[3], [-12, -12, 20, 20], rtol=1e-6)
    np.testing.assert_allclose(anchors[9 + 3], [-12, -4, 20, 28], rtol=1e-6)  # one column on
    sides = anchors[:9, 2:] - anchors[:9, :2]
    np.testing.assert_allclose(sides[:, 0] / sides[:, 1], np.repeat(paper.SHAPES.aspect_ratios, 3), rtol=1e-5)
    np.testing.assert_allclose(sides.prod(axis=1), np.tile(np.square(paper.SHAPES.scales) * 32**2, 3), rtol=1e-5)


def test_sizes_go_from_32_to_512_px():
    sides = [np.ptp(anchor_ops.anchors(1, 1, level, ONE, 0.5).numpy()) for level in range(3, 8)]
    np.testing.assert_allclose(sides, [32, 64, 128, 256, 512])


def test_location_offset_moves_anchors():
    at = [anchor_ops.anchors(1, 1, 3, ONE, location_offset).numpy() for location_offset in (0.5, 0)]
    np.testing.assert_allclose(at[0] - at[1], 4)


def test_decoding_inverts_encoding():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 100, (2, 50, 2))
    first, second = np.concatenate([corner, corner + rng.uniform(1, 80, (2, 50, 2))], axis=-1).astype(np.float32)
    np.testing.assert_allclose(anchor_ops.decode(anchor_ops.encode(first, second), second), first, atol=1e-3)


def test_wild_deltas_stay_finite():
    box = anchor_ops.decode(tf.constant([[0, 0, 1e6, 1e6]], tf.float32), tf.constant([[0, 0, 16, 16]], tf.float32))
    np.testing.assert_allclose(box, [[8 - 500, 8 - 500, 8 + 500, 8 + 500]], rtol=1e-5)


def _match(anchors, boxes, valid=None):
    valid = [True] * len(boxes) if valid is None else valid
    matches = anchor_ops.match(
        tf.constant(anchors, tf.float32),
        tf.constant([boxes], tf.float32),
        tf.constant([valid]),
        paper.MATCHING,
    )
    return {name: values.numpy()[0].tolist() for name, values in matches.items()}


@pytest.mark.parametrize("width, positive, background", [(5, True, False), (4.5, False, False), (3.9, False, True)])
def test_thresholds(width, positive, background):
    """Against an anchor of 10 x 10 a box of 10 x w has IoU w / 10."""
    matches = _match([[0, 0, 10, 10]], [[0, 0, 10, width]])
    assert (matches["positive"], matches["background"]) == ([positive], [background])


def test_no_match_is_forced():
    """RetinaNet in Detectron leaves an instance without an anchor when none overlaps it enough."""
    assert _match([[0, 0, 10, 10], [20, 20, 30, 30]], [[0, 0, 3, 3]])["positive"] == [False, False]


def test_the_most_overlapping_instance_and_the_first_of_equal_ones():
    boxes = [[0, 0, 10, 6], [0, 0, 10, 9], [0, 0, 10, 9]]
    assert _match([[0, 0, 10, 10]], boxes)["instance"] == [1]
    assert _match([[0, 0, 10, 10]], boxes, [True, False, True])["instance"] == [2]


def test_no_instances_at_all():
    none = tf.zeros([1, 0, 4]), tf.zeros([1, 0], tf.bool)
    matches = anchor_ops.match(tf.constant([[0.0, 0, 10, 10]]), *none, paper.MATCHING)
    assert matches["background"].numpy().tolist() == [[True]] and matches["instance"].numpy().tolist() == [[0]]


def test_blocks_make_no_difference():
    count = anchor_ops.BLOCK + 10
    anchors = np.tile([[0, 0, 10, 10]], (count, 1))
    anchors[-1] = [50, 50, 60, 60]
    matches = _match(anchors, [[50, 50, 60, 60]])
    assert matches["positive"] == [False] * (count - 1) + [True]
