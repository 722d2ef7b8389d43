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


def _targets(boxes, classes, levels, size=64, num_classes=3):
    boxes = tf.constant([boxes], tf.float32)
    valid = tf.ones(boxes.shape[:2], tf.bool)
    layout = pyramid.Layout((3, 4, 5), tuple((pyramid.map_size(size, level),) * 2 for level in (3, 4, 5)))
    geometry = dataclasses.replace(paper.GEOMETRY, levels=layout.levels)
    ranges = regions.cell_ranges(boxes, valid, (size, size), geometry)
    instances = regions.Instances.of(boxes, tf.constant([classes]), valid, ranges)
    result = targets.anchor_free_targets(instances, tf.constant([levels]), layout, num_classes)
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
