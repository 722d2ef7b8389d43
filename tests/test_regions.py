"""Boxes, levels, locations and the cells of regions."""

import dataclasses

import numpy as np
import paper
import pytest
import tensorflow as tf

from fsaf_tf import boxes as box_ops
from fsaf_tf import pyramid, regions


def _ranges(box, size=(64, 64), levels=(3, 4), **values):
    boxes, geometry = tf.constant([[box]], tf.float32), dataclasses.replace(paper.GEOMETRY, levels=levels, **values)
    return regions.cell_ranges(boxes, tf.ones([1, 1], tf.bool), size, geometry).numpy()[0, 0]


def test_a_box_of_64_px_by_hand():
    """(0, 0)-(64, 64): effective 25.6 to 38.4, ignoring 16 to 48; on level 3 cells 3.2 to 4.8 and 2 to 6."""
    expected = [[[3, 3, 5, 5], [2, 2, 6, 6]], [[1, 1, 3, 3], [1, 1, 3, 3]]]
    np.testing.assert_array_equal(_ranges([0, 0, 64, 64]), expected)


def test_sides_on_the_border_of_a_cell_take_no_further_cell():
    """Height 80 from 0: effective 32 to 48, whole cells 4 to 6 of level 3 for every shift by whole cells."""
    for shift in range(0, 400, 8):
        effective = _ranges([shift, 0, shift + 80, 80], size=(512, 512), levels=(3,))[0, 0]
        np.testing.assert_array_equal(effective[[0, 2]], [4 + shift / 8, 6 + shift / 8])


@pytest.mark.parametrize(
    "box, cell",
    [
        ([16, 16, 17, 17], (2, 2)),  # one pixel
        ([16, 16, 16, 16], (2, 2)),  # no size, on the border of a cell
        ([-90, -90, -50, -50], (0, 0)),  # outside, before the map
        ([900, 900, 950, 950], (7, 7)),  # outside, after it
    ],
)
def test_a_box_always_has_a_cell(box, cell):
    for row0, column0, row1, column1 in _ranges(box, levels=(3,))[0]:
        assert (row0, column0, row1, column1) == (*cell, cell[0] + 1, cell[1] + 1)


def test_location_offset_moves_the_cells_with_their_locations():
    """With locations at i * 8 the cell of a small box at 20 px is the one whose location, 16 or 24, is nearest."""
    assert _ranges([19, 19, 19.9, 19.9], levels=(3,), location_offset=0.0)[0, 0].tolist() == [2, 2, 3, 3]
    assert _ranges([20.1, 20.1, 21, 21], levels=(3,), location_offset=0.0)[0, 0].tolist() == [3, 3, 4, 4]


def test_effective_lies_within_ignoring_on_any_box():
    rng = np.random.default_rng(0)
    corner = rng.uniform(-40, 200, (1, 500, 2))
    boxes = np.concatenate([corner, corner + np.exp(rng.uniform(-2, 6, (1, 500, 2)))], axis=-1).astype(np.float32)
    ranges = regions.cell_ranges(boxes, np.ones([1, 500], bool), (160, 224), paper.GEOMETRY).numpy()
    effective, ignoring = ranges[..., 0, :], ranges[..., 1, :]
    assert np.all(effective[..., :2] >= ignoring[..., :2]) and np.all(effective[..., 2:] <= ignoring[..., 2:])
    assert np.all(effective[..., :2] < effective[..., 2:])


def test_invalid_rows_may_hold_anything():
    boxes = tf.constant([[[np.nan] * 4, [-1, -1, -1, -1], [np.inf] * 4, [0, 0, 1e30, 1e30]]], tf.float32)
    ranges = regions.cell_ranges(boxes, tf.zeros([1, 4], tf.bool), (64, 64), paper.GEOMETRY)
    np.testing.assert_array_equal(ranges, np.tile([0, 0, 1, 1], (1, 4, 5, 2, 1)))
    instances = regions.Instances.of(boxes, tf.fill([1, 4], -1), tf.zeros([1, 4], tf.bool), ranges)
    assert all(not np.any(values) for values in instances)


def test_fold_visits_every_cell_once_over_several_chunks():
    rng = np.random.default_rng(1)
    low = rng.integers(0, 50, (200, 2))
    ranges = np.concatenate([low, low + rng.integers(0, 20, (200, 2))], axis=1).astype(np.int32)  # some are empty
    assert np.prod(ranges[:, 2:] - ranges[:, :2], axis=1).sum() > regions.CHUNK
    expected = np.zeros([200, 70, 70], np.int32)
    for index, (row0, column0, row1, column1) in enumerate(ranges):
        expected[index, row0:row1, column0:column1] = 1

    def visit(count, owner, cells, inside):
        places = tf.concat([owner[:, None], cells], axis=1)
        return tf.tensor_scatter_nd_add(count, tf.where(inside[:, None], places, 0), tf.cast(inside, tf.int32))

    start = tf.zeros(expected.shape, tf.int32)
    np.testing.assert_array_equal(regions.fold_cells(tf.constant(ranges), visit, start), expected)


def test_decoding_inverts_the_projection():
    """d = side / (S * 2^l): a location at (20, 12) of level 3, a box 12 up, 4 left, 20 down, 36 right."""
    offsets = tf.constant([[12, 4, 20, 36]], tf.float32) / (4 * 8)
    boxes = regions.decode_offsets(offsets, tf.constant([[20.0, 12.0]]), 3, 4.0)
    np.testing.assert_array_equal(boxes, [[8, 8, 40, 48]])


def test_map_sizes_and_locations_of_the_paper():
    """800 x 1344: 100 x 168 cells on P3 to 7 x 11 on P7."""
    sizes = [(pyramid.map_size(800, level), pyramid.map_size(1344, level)) for level in pyramid.levels(3, 7)]
    assert sizes == [(100, 168), (50, 84), (25, 42), (13, 21), (7, 11)]
    np.testing.assert_array_equal(pyramid.locations(1, 2, 3, 0.5), [[4, 4], [4, 12]])
    np.testing.assert_array_equal(pyramid.locations(1, 2, 3, 0.0), [[0, 0], [0, 8]])


def test_layout_joins_what_it_indexes():
    maps = {"3": tf.random.normal([2, 3, 5, 4]), "4": tf.random.normal([2, 2, 3, 4])}
    layout = pyramid.Layout.of_maps(maps)
    joined = tf.reshape(layout.join(maps, 4), [-1, 4])
    place = layout.flat_index(tf.constant([1, 0]), tf.constant([1, 0]), tf.constant([[1, 2], [2, 3]]))
    np.testing.assert_array_equal(tf.gather(joined, place), [maps["4"][1, 1, 2], maps["3"][0, 2, 3]])
    assert layout.num_locations == 21 and layout.location_levels().numpy().tolist() == [3] * 15 + [4] * 6


def test_iou_of_boxes():
    first = tf.constant([[0, 0, 2, 2], [0, 0, 0, 0]], tf.float32)
    second = tf.constant([[1, 1, 3, 3], [0, 0, 2, 2], [5, 5, 6, 6]], tf.float32)
    np.testing.assert_allclose(box_ops.pairwise_iou(first, second), [[1 / 7, 1, 0], [0, 0, 0]], rtol=1e-6)


def test_clip_to_each_image():
    boxes = tf.constant([[[-5, -5, 50, 50]], [[3, 4, 50, 50]]], tf.float32)
    clipped = box_ops.clip(boxes, tf.constant([[[10, 20]], [[30, 40]]]))
    np.testing.assert_array_equal(clipped, [[[0, 0, 10, 20]], [[3, 4, 30, 40]]])
