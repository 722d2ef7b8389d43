"""Which level an instance selects, and what the locations then learn."""

import dataclasses

import naive
import numpy as np
import paper
import pytest
import tensorflow as tf

from fsaf_tf import pyramid, regions, selection, targets

LEVELS = [3, 4, 5, 6, 7]


def test_online_takes_the_least_loss_and_the_lowest_of_equal_ones():
    class_losses = tf.constant([[[3, 2, 0, 2, 3], [1, 1, 0, 1, 2], [0, 0, 0, 0, 0]]], tf.float32)
    box_losses = tf.constant([[[0, 0, 1, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]]], tf.float32)
    assert selection.select_online(class_losses, box_losses, LEVELS).numpy().tolist() == [[5, 4, 3]]


@pytest.mark.parametrize(
    "height, width, level",
    [
        (224, 224, 5),  # Eq. 3: floor(5 + log2(1))
        (223, 224, 4),
        (448, 448, 6),
        (447, 447, 5),
        (112, 448, 5),  # only the area counts
        (111, 448, 4),
        (56, 56, 3),
        (1, 1, 3),  # clipped
        (0, 10, 3),
        (896, 896, 7),
        (4000, 4000, 7),  # clipped
    ],
)
def test_heuristic_is_equation_3(height, width, level):
    box = [10, 10, 10 + height, 10 + width]
    assert selection.select_heuristic(tf.constant([[box]], tf.float32), LEVELS).numpy() == level
    assert naive.heuristic_level(box, LEVELS) == level


LOSSES = tf.constant([[[1, 4, 3, 3, 3], [2, 2, 2, 2, 2], [0, 9, 900, 9, 1]]], tf.float32)


def test_soft_shares_an_instance_among_the_least_losses_and_the_lowest_of_equal_ones():
    weights = selection.weigh_soft(LOSSES, 2, 2.0).numpy()[0]
    expected = [[1, 0, np.exp(-1), 0, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, np.exp(-0.5)]]
    np.testing.assert_allclose(weights, [np.divide(row, np.sum(row)) for row in expected], rtol=1e-6)


@pytest.mark.parametrize("count, temperature", [(1, 1.0), (5, 1e-3)])
def test_soft_with_one_level_or_near_no_temperature_is_online(count, temperature):
    weights = selection.weigh_soft(LOSSES[:, ::2], count, temperature)
    online = selection.select_online(LOSSES[:, ::2], tf.zeros_like(LOSSES[:, ::2]), LEVELS)
    np.testing.assert_allclose(weights, tf.one_hot(online - LEVELS[0], len(LEVELS)), atol=1e-6)


def test_random_levels_are_each_as_frequent_and_those_of_their_step():
    def levels(number):
        return selection.select_random([4, 500], LEVELS, selection.Step(tf.constant(number, tf.int64), 10)).numpy()

    first = levels(0)
    assert np.abs(np.bincount(first.ravel(), minlength=8)[3:] / first.size - 0.2).max() < 0.04
    np.testing.assert_array_equal(levels(0), first)
    assert 0.1 < np.mean(levels(1) == first) < 0.3
    for jit_compile in (False, True):
        np.testing.assert_array_equal(tf.function(levels_of, jit_compile=jit_compile)(tf.constant(0, tf.int64)), first)


def levels_of(number):
    return selection.select_random([4, 500], LEVELS, selection.Step(number, 10))


@pytest.mark.parametrize("warmup", selection.WARMUPS)
def test_a_warm_up_ends_after_its_share(warmup):
    """Of 10 steps 3; without a step, as where nothing is trained, there is none."""
    rule = selection.Selection("online", 3, 1.0, warmup, warmup_share=0.3)
    boxes = tf.constant([[[0, 0, 500, 500]] * 3], tf.float32)

    def level(step):
        def weights_at(number):
            at = None if number is None else selection.Step(number, 10)
            return rule.weights(LOSSES, tf.zeros_like(LOSSES), boxes, LEVELS, at)

        number = None if step is None else tf.constant(step, tf.int64)
        weights = weights_at(number).numpy()
        np.testing.assert_array_equal(tf.function(weights_at, jit_compile=True)(number), weights)
        np.testing.assert_array_equal(np.sort(weights, axis=-1), [[[0, 0, 0, 0, 1]] * 3])
        return (np.argmax(weights, axis=-1) + LEVELS[0])[0].tolist()

    usual = [3, 3, 3]
    assert level(None) == level(3) == level(9) == usual
    at_first = [level(step) for step in range(3)]
    assert usual not in at_first
    assert (at_first == [[6, 6, 6]] * 3) == (warmup == "heuristic")


def _targets(boxes, classes, levels, size=64, num_classes=3):
    boxes = tf.constant([boxes], tf.float32)
    valid = tf.ones(boxes.shape[:2], tf.bool)
    layout = pyramid.Layout((3, 4, 5), tuple((pyramid.map_size(size, level),) * 2 for level in (3, 4, 5)))
    geometry = dataclasses.replace(paper.GEOMETRY, levels=layout.levels)
    ranges = regions.cell_ranges(boxes, valid, (size, size), geometry)
    instances = regions.Instances.of(boxes, tf.constant([classes]), valid, ranges)
    learns = tf.constant([[[level == each for each in layout.levels] for level in levels]])
    result = targets.anchor_free_targets(instances, learns, layout, num_classes)
    starts = np.cumsum([0] + [height * width for height, width in layout.sizes])

    def by_level(name):
        values = result[name].numpy()[0]
        return {
            level: values[start:end].reshape(*size, *values.shape[1:])
            for level, start, end, size in zip(layout.levels, starts, starts[1:], layout.sizes)
        }

    return {name: by_level(name) for name in result}


def _area(rows, columns, size=8):
    area = np.zeros([size, size], bool)
    area[slice(*rows), slice(*columns)] = True
    return area


def test_areas_of_one_instance():
    """A box of 64 px on level 4: Fig. 5's white, grey and black areas, and the same grey next to it."""
    found = _targets([[0, 0, 64, 64]], [1], [4])
    np.testing.assert_array_equal(found["positive"][4], _area((1, 3), (1, 3), 4))
    assert not found["positive"][3].any() and not found["positive"][5].any()
    np.testing.assert_array_equal(found["negative"][3][..., 1], ~_area((2, 6), (2, 6)))
    np.testing.assert_array_equal(found["negative"][4][..., 1], ~_area((1, 3), (1, 3), 4))
    np.testing.assert_array_equal(found["negative"][5][..., 1], ~_area((0, 2), (0, 2), 2))
    assert all(found["negative"][level][..., other].all() for level in (3, 4, 5) for other in (0, 2))


def test_levels_two_away_are_plain_negatives():
    found = _targets([[0, 0, 64, 64]], [1], [3])
    assert found["negative"][5].all() and not found["negative"][4][..., 1].all()


def test_the_smaller_instance_wins_whatever_the_order_and_the_larger_stays_ignored():
    large, small = [0, 0, 64, 64], [24, 24, 40, 40]
    for boxes, classes, winner in (([large, small], [0, 1], 1), ([small, large], [1, 0], 0)):
        found = _targets(boxes, classes, [3, 3])
        contested = found["positive"][3] & (found["instance"][3] == winner)
        np.testing.assert_array_equal(contested, _area((3, 5), (3, 5)))  # cells 3 and 4 of each side
        assert not found["negative"][3][3:5, 3:5, 0].any()  # the larger one's class is ignored there


def test_equal_instances_go_to_the_first():
    found = _targets([[0, 0, 64, 64], [0, 0, 64, 64]], [2, 1], [3, 3])
    assert np.all(found["instance"][3][found["positive"][3]] == 0)
    assert not found["negative"][3][3:5, 3:5, 1].any()


def test_same_class_nesting_keeps_the_small_instance():
    found = _targets([[0, 0, 64, 64], [28, 28, 36, 36]], [0, 0], [3, 3])
    assert (found["positive"][3] & (found["instance"][3] == 1)).sum() == 4


def test_a_neighbours_ignoring_area_erases_no_positive_of_another_instance():
    found = _targets([[0, 0, 64, 64], [24, 24, 40, 40]], [0, 0], [4, 3])
    assert found["positive"][3][3:5, 3:5].all()
