"""Image size (section 4), canvases and flips."""

import numpy as np
import pytest
import tensorflow as tf

from fsaf_tf.data import augment
from fsaf_tf.modeling import normalization


def test_canvases_of_the_paper():
    assert augment.canvas_sizes(800, 1333) == ((800, 1344), (1344, 800))
    assert augment.canvas_sizes(192, 256) == ((192, 256), (256, 192))
    assert augment.canvas_sizes(250, 250) == ((256, 256), (256, 256))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), (800, 1067)),  # COCO's usual size: the shorter side becomes 800
        ((640, 480), (1067, 800)),
        ((300, 1000), (400, 1333)),  # the longer side is the limit: 1333 / 1000 * 300 = 399.9
        ((1, 5000), (1, 1333)),  # never nothing
        ((2000, 2000), (800, 800)),
    ],
)
def test_shorter_side_unless_the_longer_one_is_too_long(size, expected):
    assert augment.resized_size(tf.constant(size), 800, 1333).numpy().tolist() == list(expected)


@pytest.mark.parametrize("size", [(60, 80), (80, 60), (50, 50), (10, 300), (333, 20), (64, 96), (1, 1)])
def test_image_stands_in_the_upper_left_corner_of_its_canvas(size):
    image = np.full((*size, 3), 200, np.uint8)
    canvas, image_size = augment.resize_and_pad(tf.constant(image), 64, 96)
    height, width = image_size.numpy()
    assert canvas.dtype == tf.uint8
    assert canvas.shape == ((96, 64, 3) if size[0] > size[1] else (64, 96, 3))
    assert (canvas[:height, :width] == 200).numpy().all()
    assert not canvas[height:].numpy().any() and not canvas[:, width:].numpy().any()


@pytest.mark.parametrize("size", [(60, 80), (80, 60), (10, 300), (1, 1)])
def test_stretched_image_fills_its_canvas(size):
    image = np.full((*size, 3), 200, np.uint8)
    canvas, image_size = augment.resize_and_pad(tf.constant(image), 64, 90, keep_aspect=False)
    assert canvas.shape[:2] == ((96, 64) if size[0] > size[1] else (64, 96)) == tuple(image_size.numpy())
    assert (canvas == 200).numpy().all()


@pytest.mark.parametrize(("size", "expected"), [((60, 80), (48, 64)), ((80, 60), (64, 48)), ((10, 300), (3, 90))])
def test_drawn_side_on_the_same_canvas(size, expected):
    """Scale jitter; the limit of the longer side holds as before."""
    image = np.full((*size, 3), 200, np.uint8)
    canvas, image_size = augment.resize_and_pad(tf.constant(image), 64, 90, drawn_side=tf.constant(48))
    assert canvas.shape == ((96, 64, 3) if size[0] > size[1] else (64, 96, 3))
    assert tuple(image_size.numpy()) == expected
    assert (canvas[: expected[0], : expected[1]] == 200).numpy().all()


def test_same_size_changes_no_pixel():
    image = np.random.RandomState(0).randint(0, 256, (64, 96, 3)).astype(np.uint8)
    canvas, _ = augment.resize_and_pad(tf.constant(image), 64, 96)
    assert np.array_equal(canvas, image)


def test_shrinking_averages():
    """Stripes of one pixel turn grey; picking single pixels would leave them black or white."""
    image = np.zeros((256, 384, 3), np.uint8)
    image[:, ::2] = 255
    canvas, _ = augment.resize_and_pad(tf.constant(image), 64, 96)
    assert np.abs(canvas.numpy()[:, 4:-4].astype(int) - 128).max() < 10


def test_flip_moves_boxes_with_their_pixels():
    image = np.zeros((8, 10, 3), np.uint8)
    image[2:5, 1:4] = 255
    flipped, boxes = augment.flip(tf.constant(image), tf.constant([[2.0, 1.0, 5.0, 4.0]]))
    y1, x1, y2, x2 = boxes.numpy()[0].astype(int)
    assert (x1, x2) == (6, 9) and (y1, y2) == (2, 5)
    assert (flipped[y1:y2, x1:x2] == 255).numpy().all() and flipped.numpy().sum() == image.sum()
    twice = augment.flip(flipped, boxes)
    assert np.array_equal(twice[0], image) and np.array_equal(twice[1], [[2, 1, 5, 4]])


def marked():
    """An image with one white rectangle, and its box."""
    image = np.zeros((8, 10, 3), np.uint8)
    image[2:5, 1:3] = 255
    return tf.constant(image), tf.constant([[2.0, 1.0, 5.0, 3.0]])


def assert_white_in_box(image, boxes):
    y1, x1, y2, x2 = boxes.numpy()[0].astype(int)
    assert (image[y1:y2, x1:x2] == 255).numpy().all() and image.numpy().sum() == 6 * 3 * 255


@pytest.mark.parametrize(
    ("change", "times", "box"),
    [
        (augment.flip_vertical, 1, (3, 1, 6, 3)),
        (augment.flip_vertical, 2, (2, 1, 5, 3)),
        (augment.quarter_turn, 1, (7, 2, 9, 5)),
        (augment.quarter_turn, 2, (3, 7, 6, 9)),
        (augment.quarter_turn, 3, (1, 3, 3, 6)),
        (augment.quarter_turn, 4, (2, 1, 5, 3)),
    ],
)
def test_boxes_go_with_their_pixels(change, times, box):
    image, boxes = marked()
    for _ in range(times):
        image, boxes = change(image, boxes)
    assert boxes.numpy().tolist() == [list(box)]
    assert_white_in_box(image, boxes)


def test_a_part_has_what_is_in_it_of_the_boxes():
    image, boxes = marked()
    boxes = tf.concat([boxes, [[0.0, 0.0, 2.0, 10.0], [3.0, 1.0, 3.0, 9.0], [0.0, 0.0, 8.0, 10.0]]], axis=0)
    part, clipped, kept = augment.crop(image, boxes, tf.constant([3, 2]), tf.constant([4, 6]))
    assert part.shape == (4, 6, 3) and np.array_equal(part, image[3:7, 2:8])
    assert clipped.numpy().tolist() == [[0, 0, 2, 1], [0, 0, 0, 6], [0, 0, 0, 6], [0, 0, 4, 6]]
    np.testing.assert_allclose(kept, [2 / 6, 0, 0, 24 / 80])


def test_shrunk_image_on_the_same_canvas():
    image = np.full((60, 80, 3), 9, np.uint8)
    canvas, size = augment.resize_and_pad(tf.constant(image), 120, 170, shrink=0.5)
    assert canvas.shape == (128, 192, 3) and size.numpy().tolist() == [60, 80]
    assert canvas.numpy().sum() == image.sum()


def test_padding_is_zero_after_normalising():
    images = np.full((2, 32, 64, 3), 100, np.uint8)
    normalized = augment.normalize(images, tf.constant([[32, 40], [20, 64]]), normalization.CAFFE).numpy()
    assert not normalized[0, :, 40:].any() and not normalized[1, 20:].any()
    np.testing.assert_allclose(normalized[0, 5, 5], 100 - np.array([103.939, 116.779, 123.68]), rtol=1e-6)
    np.testing.assert_allclose(normalized[1, 19, 63], normalized[0, 5, 5])


@pytest.mark.parametrize(
    ("old", "new"),
    [((2, 900), (70, 30)), ((900, 2), (30, 70)), ((1, 900), (1, 13)), ((40, 60), (90, 20)), ((7, 500), (9, 501))],
)
def test_columns_first_are_the_same(old, new, monkeypatch):
    """Of a strip whose rows are made first, many times its bytes would be held."""
    image = tf.constant(np.random.RandomState(0).randint(0, 256, (*old, 3)).astype(np.uint8))
    whole = augment.resize(image, new).numpy()
    monkeypatch.setattr(augment, "MOST_HELD", 0)
    by_columns = augment.resize(image, new).numpy()
    assert by_columns.shape == (*new, 3)
    difference = np.abs(whole.astype(int) - by_columns)
    assert difference.max() <= 1 and np.mean(difference > 0) < 0.01  # of rounding
