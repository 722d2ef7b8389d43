"""The elementwise losses: their algebra and their edges."""

import numpy as np
import paper
import pytest
import tensorflow as tf

from fsaf_tf import losses

LOGITS = tf.constant([-80.0, -5.0, -0.3, 0.0, 2.0, 80.0])


@pytest.mark.parametrize("target", [True, False])
def test_focal_with_gamma_0_is_weighted_cross_entropy(target):
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(tf.fill(LOGITS.shape, float(target)), LOGITS)
    weight = 0.3 if target else 0.7
    np.testing.assert_allclose(losses.Focal(0.3, 0.0)(LOGITS, target), weight * cross_entropy, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_focal_over_cross_entropy_is_the_modulating_factor(gamma):
    logits = LOGITS[1:-1]
    ratio = losses.Focal(0.25, gamma)(logits, True) / losses.Focal(0.25, 0.0)(logits, True)
    np.testing.assert_allclose(ratio, (1 - tf.sigmoid(logits)) ** gamma, rtol=1e-5)


def test_focal_of_a_logit_is_focal_of_its_opposite():
    ours = losses.Focal(0.5, 2.0)(LOGITS, True)
    np.testing.assert_allclose(ours, losses.Focal(0.5, 2.0)(-LOGITS, False), rtol=1e-6)


def test_focal_at_the_prior_of_the_paper():
    """pi 0.01: 0.75 * 0.01^2 * -log(0.99)."""
    logit = -np.log((1 - 0.01) / 0.01)
    np.testing.assert_allclose(paper.FOCAL(tf.constant(logit, tf.float32), False), 0.75e-4 * 0.01005034, rtol=1e-5)


def test_focal_and_its_gradient_are_finite_at_extreme_logits():
    logits = tf.constant([-1e4, 1e4])
    for target in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = paper.FOCAL(logits, target)
        assert np.all(np.isfinite(loss)) and np.all(np.isfinite(tape.gradient(loss, logits)))


def test_iou_loss_is_unitbox():
    """Half of a box of 2 x 2 covered by a box of 2 x 1: IoU 1/2."""
    box = tf.constant([0.0, 0.0, 2.0, 2.0])
    np.testing.assert_allclose(paper.IOU(tf.constant([0.0, 0.0, 2.0, 1.0]), box), np.log(2), rtol=1e-6)
    np.testing.assert_allclose(paper.IOU(box, box), 0, atol=1e-6)


def test_iou_loss_without_overlap_is_bounded_and_has_no_gradient():
    predicted = tf.constant([[5.0, 5.0, 5.0, 5.0], [9.0, 9.0, 12.0, 12.0]])
    with tf.GradientTape() as tape:
        tape.watch(predicted)
        loss = paper.IOU(predicted, tf.constant([0.0, 0.0, 2.0, 2.0]))
    np.testing.assert_allclose(loss, -np.log(1e-6), rtol=1e-6)
    np.testing.assert_array_equal(tape.gradient(loss, predicted), tf.zeros_like(predicted))


def test_smooth_l1_is_continuous_with_slope_one_above_beta():
    beta = 1 / 9
    expected = {beta: beta / 2, -2.0: 2 - beta / 2, 2.0: 2 - beta / 2, 0.05: 0.05**2 * 4.5}
    for error, loss in expected.items():
        deltas = tf.constant([[0.3, 0.3, 0.3, 0.3]])
        np.testing.assert_allclose(losses.SmoothL1(beta)(deltas + [error, 0, 0, 0], deltas), [loss], rtol=1e-5)


def test_smooth_l1_sums_the_four_deltas():
    errors = np.array([[0.02, -0.3, 1.5, -0.05]], np.float32)
    one_by_one = [losses.SmoothL1(0.2)(tf.constant([[0, 0, 0, e]]), tf.zeros([1, 4])) for e in errors[0]]
    np.testing.assert_allclose(losses.SmoothL1(0.2)(errors, tf.zeros([1, 4])), np.sum(one_by_one, axis=0))
