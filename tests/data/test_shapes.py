"""The drawn data set: the same everywhere, and as hard as it says."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf

from fsaf_tf.config import schema
from fsaf_tf.data import drawing, shapes, source
from fsaf_tf.data.classes import Classes
from fsaf_tf.errors import UserError

TRAINING_SIZE = 256


@pytest.fixture(scope="module")
def validation():
    seed, count = shapes.SPLITS["validation"]
    return [drawing.draw(seed, index) for index in range(count)]


def _sides(pictures) -> np.ndarray:
    """Heights and widths of all boxes at the training size."""
    sides = []
    for picture, objects in pictures:
        scale = TRAINING_SIZE / max(picture.shape)
        sides += [scale * np.subtract(item["box"][2:], item["box"][:2]) for item in objects]
    return np.array(sides)


def test_a_batch_holds_pictures_and_objects_padded():
    batch = drawing.draw_batch(1, [4, 5])
    assert {name: (values.shape, values.dtype.name) for name, values in batch.items()} == {
        "images": ((2, 256, 256, 3), "uint8"),
        "boxes": ((2, drawing.MAX_OBJECTS, 4), "float32"),
        "classes": ((2, drawing.MAX_OBJECTS), "int32"),
        "valid": ((2, drawing.MAX_OBJECTS), "bool"),
    }
    for row, index in enumerate([4, 5]):
        picture, objects = drawing.draw(1, index)
        height, width = picture.shape[:2]
        np.testing.assert_array_equal(batch["images"][row, :height, :width], picture)
        assert not batch["images"][row, height:].any() and not batch["images"][row, :, width:].any()
        valid = batch["valid"][row]
        assert [drawing.CLASS_NAMES[place] for place in batch["classes"][row, valid]] == [x["name"] for x in objects]
        assert batch["boxes"][row, valid].tolist() == [list(each["box"]) for each in objects]


def test_the_pixels_are_these():
    digest = hashlib.sha256()
    for split_seed, index in ((1, 0), (1, 1), (2, 6), (2, 249)):
        picture, objects = drawing.draw(split_seed, index)
        digest.update(picture.tobytes())
        digest.update(repr(objects).encode())
    assert digest.hexdigest() == "6fcad12af9b51c49529d0a90177bd6a6d188918247794cfe105a4decf7241d54"


def test_pictures_do_not_depend_on_those_before():
    first, objects = drawing.draw(1, 5)
    drawing.draw(1, 6)
    again, same = drawing.draw(1, 5)
    assert np.array_equal(first, again) and objects == same
    assert not np.array_equal(first, drawing.draw(2, 5)[0])


def test_validation_is_small_and_thin_enough(validation):
    sides = _sides(validation)
    small = np.sqrt(sides.prod(axis=1)) < 16
    ratio = sides.max(axis=1) / sides.min(axis=1)
    assert len(validation) >= 200
    assert small.mean() >= 0.2
    assert (ratio > 8).mean() >= 0.1
    assert (ratio >= 12).mean() >= 0.1
    assert (small & (ratio > 8)).any()


def test_sizes_go_from_dots_to_most_of_the_picture(validation):
    sides = _sides(validation)
    names = [item["name"] for _, objects in validation for item in objects]
    dots = sides[np.array(names) == "dot"]
    assert dots.min() <= 6 and dots.max() <= 14
    assert sides.prod(axis=1).max() > 0.5 * drawing.LONGER_SIDE * drawing.SHORTER_SIDE
    assert set(names) == set(drawing.CLASS_NAMES) and len(drawing.CLASS_NAMES) >= 6
    assert min(names.count(name) for name in drawing.CLASS_NAMES) > 50


def test_objects_overlap_and_some_pictures_are_empty(validation):
    def overlap(a, b):
        return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])

    boxes = [[item["box"] for item in objects] for _, objects in validation]
    assert sum(any(overlap(a, b) for i, a in enumerate(found) for b in found[:i]) for found in boxes) > 50
    assert any(not found for found in boxes)


def test_boxes_are_tight_around_what_is_visible(validation):
    """An object's area fits its box, and the box is inside of the picture."""
    for picture, objects in validation:
        height, width, _ = picture.shape
        for item in objects:
            y1, x1, y2, x2 = item["box"]
            assert 0 <= y1 < y2 <= height and 0 <= x1 < x2 <= width
            assert max(y2 - y1, x2 - x1) <= item["area"] <= (y2 - y1) * (x2 - x1)


def test_the_dark_rim_of_a_lone_disc_touches_its_box():
    """Seen in pixels: the first row and column of the box hold the object's colour, the ones before do not."""
    for index in range(300):
        picture, objects = drawing.draw(3, index)
        if [item["name"] for item in objects] == ["disc"]:
            break
    y1, x1, y2, x2 = objects[0]["box"]
    red = picture[..., 0].astype(int) - picture[..., 2]
    inside = red[y1:y2, x1:x2]
    assert inside[0].max() > 60 and inside[-1].max() > 60 and inside[:, 0].max() > 60 and inside[:, -1].max() > 60
    outside = red.copy()
    outside[y1:y2, x1:x2] = 0
    assert outside.max() <= 60


def test_builder_stores_what_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(shapes, "SPLITS", {"train": (1, 3), "validation": (2, 4)})
    config = schema.Data(tfds_name="shapes", tfds_split="validation", tfds_data_dir=str(tmp_path))
    opened = source.open_source(config)
    assert opened.num_images == 4
    assert opened.classes == Classes(drawing.CLASS_NAMES, (1, 2, 3, 4, 5, 6, 7))
    seen = set()
    for example in opened.examples():
        picture, objects = drawing.draw(2, int(example["image_id"]) - 1)
        assert np.array_equal(tf.io.decode_image(example["image_bytes"]), picture)
        np.testing.assert_allclose(example["boxes"], np.reshape([item["box"] for item in objects], [-1, 4]), atol=1e-4)
        assert [drawing.CLASS_NAMES[label] for label in example["classes"]] == [item["name"] for item in objects]
        assert example["area"].numpy().tolist() == [item["area"] for item in objects]
        seen.add(int(example["image_id"]))
    assert seen == {1, 2, 3, 4}
    truth = opened.ground_truth()
    assert {image["id"] for image in truth["images"]} == seen
    assert len(truth["annotations"]) == sum(len(drawing.draw(2, index)[1]) for index in range(4))
    with pytest.raises(UserError, match="TFDS shapes has no split 'val'; it has train, validation"):
        source.open_source(schema.Data(tfds_name="shapes", tfds_split="val", tfds_data_dir=str(tmp_path)))
