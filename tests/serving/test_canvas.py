"""How pictures get onto the input of a TFLite file, and boxes back, against what training does with pictures."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from official.core import exp_factory
from PIL import Image

from fsaf_tf import detection
from fsaf_tf.data import augment
from fsaf_tf.errors import UserError
from fsaf_tf.serving import canvas, tflite

SHORT, LONG = 60, 90  # 64 x 96 on the landscape canvas
PICTURES = [(120, 180), (180, 120), (40, 200), (33, 31), (1, 500)]  # height, width


def make_program(keep_aspect: bool = True) -> detection.Program:
    config = exp_factory.get_exp_config("fsaf").task
    config.input_size.override({"shorter_side": SHORT, "longer_side": LONG, "keep_aspect": keep_aspect})
    return detection.program(config, 3)


@pytest.fixture
def square():
    (only,) = canvas.choose(make_program(), None, None)
    return only


def make_picture(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(size[0]).integers(0, 256, (*size, 3), np.uint8)


@pytest.mark.parametrize("size", PICTURES)
def test_a_picture_is_as_large_as_in_training_and_the_rest_is_the_mean(square, size):
    picture, program = make_picture(size), make_program()
    fitted = square.fit(picture)
    assert fitted.shape == (1, 96, 96, 3) and fitted.dtype == np.uint8
    trained, (height, width) = augment.resize_and_pad(tf.constant(picture), SHORT, LONG)
    np.testing.assert_array_equal(fitted[0, :height, :width], trained[:height, :width])
    outside = np.ones((96, 96), bool)
    outside[:height, :width] = False
    normalized = program.normalization.normalize(fitted[0][outside]).numpy()
    assert normalized.size and np.abs(normalized * program.normalization.std).max() <= 0.5  # zero in training


@pytest.mark.parametrize("size", PICTURES)
def test_boxes_come_back_as_those_of_a_detector_do(square, size):
    height, width = square.size_of(size)
    on_canvas = np.float32([[0, 0, height, width], [height / 4, width / 2, height / 2, width], [height, 0, 96, 96]])
    found = square.to_picture(on_canvas / np.float32(96), size)
    expected = [[0, 0, *size], [size[0] / 4, size[1] / 2, size[0] / 2, size[1]]]
    np.testing.assert_allclose(found[:2], expected, rtol=1e-5)
    assert found.dtype == np.float32
    assert (found[2] == [size[0], 0, size[0], size[1]]).all()  # of the padding: no area


def test_a_choice_is_by_the_sides_of_training():
    program = make_program()
    found = {choice: canvas.choose(program, choice, None) for choice in (None, *canvas.CHOICES)}
    shapes = {choice: [(*each.size, each.orientation) for each in several] for choice, several in found.items()}
    landscape, portrait = (64, 96, "landscape"), (96, 64, "portrait")
    assert shapes[None] == shapes["square"] == [(96, 96, "")]
    assert [shapes["landscape"], shapes["portrait"], shapes["both"]] == [[landscape], [portrait], [landscape, portrait]]
    sizes = [(40, 60), (60, 40), (50, 50)]
    chosen = [canvas.of_orientation(found["both"], size).orientation for size in sizes]
    assert chosen == ["landscape", "portrait", "landscape"]
    assert all(canvas.of_orientation(found["square"], size) is found["square"][0] for size in sizes)


def test_what_does_not_fit_at_the_scale_of_training_is_smaller():
    (landscape,) = canvas.choose(make_program(), "landscape", None)
    assert landscape.size_of((120, 180)) == (60, 90)  # as in training
    assert landscape.size_of((180, 120)) == (64, 43)
    (small,) = canvas.choose(make_program(), None, (32, 64))
    assert small.size_of((120, 180)) == (32, 48) and small.fit(make_picture((120, 180))).shape == (1, 32, 64, 3)
    assert "smaller where that does not fit" in small.describe() and "smaller" in landscape.describe()
    (large,) = canvas.choose(make_program(), None, (320, 320))
    assert large.size_of((120, 180)) == (60, 90) and "smaller" not in large.describe()


def test_pictures_that_training_stretches_are_stretched():
    (stretching,) = canvas.choose(make_program(keep_aspect=False), None, None)
    assert stretching.size == (64, 96) and "stretched" in stretching.describe()
    picture = np.zeros((40, 100, 3), np.uint8)
    picture[:, 50:] = 200
    fitted = stretching.fit(picture)
    assert (fitted[0, :, :40] == 0).all() and (fitted[0, :, 56:] == 200).all()
    np.testing.assert_allclose(stretching.to_picture(np.float32([0, 0.5, 1, 1]), (40, 100)), [0, 50, 40, 100])
    (square,) = canvas.choose(make_program(keep_aspect=False), "square", None)
    assert square.size_of((40, 100)) == (96, 96)


def test_a_library_stretches_a_picture_of_another_aspect(square):
    picture = make_picture((120, 180))
    assert not np.array_equal(square.stretching().fit(picture), square.fit(picture))
    assert square.stretching().size_of((120, 180)) == (96, 96)
    assert canvas.greatest_stretch([square], [(120, 180), (120, 240), (50, 50)]) == pytest.approx(2)
    both = canvas.choose(make_program(), "both", None)
    assert canvas.greatest_stretch(both, [(120, 180), (180, 120)]) == pytest.approx(1)
    assert canvas.greatest_stretch(both[:1], [(120, 180), (180, 120)]) == pytest.approx(2.25)


def test_settings_without_a_canvas_are_of_a_file_that_has_pictures_stretched():
    old = canvas.from_settings({"height": 64, "width": 96})
    assert old.size == (64, 96) and old.size_of((300, 20)) == (64, 96)


def test_int8_is_calibrated_with_what_the_file_will_see(square, tmp_path):
    pictures = [make_picture(size) for size in ((180, 120), (120, 180))]
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    files = [str(tmp_path / f"{number}.png") for number in range(2)]
    _, (second,) = tflite._calibration(files, square, lambda line: None)()
    np.testing.assert_array_equal(second, square.fit(pictures[1]))


@pytest.mark.parametrize(
    ("choice", "size", "message"),
    [
        (None, (100, 96), "--height=100: sides are multiples of 32 pixels, such as 96"),
        (None, (96, 16), "--width=16: sides are multiples of 32 pixels, such as 32"),
        ("both", (96, 96), "leave it out, or --height and --width"),
    ],
)
def test_what_is_no_input_is_one_line(choice, size, message):
    with pytest.raises(UserError, match=message):
        canvas.choose(make_program(), choice, size)


@pytest.mark.parametrize(
    "change",
    [
        {"height": "64"},
        {"width": 0},
        {"padding": [1, 2]},
        {"padding": [1, 2, 256]},
        {"keep_aspect": 1},
        {"orientation": None},
        {"depth": 3},
    ],
    ids=str,
)
def test_damaged_settings_are_one_line(square, change):
    settings = dataclasses.asdict(square)
    assert canvas.from_settings({"canvas": settings}) == square
    for damaged in ({"canvas": {**settings, **change}}, {"canvas": [1]}, {"height": 64}):
        with pytest.raises(UserError, match="^canvas is .* which is no input of a file$"):
            canvas.from_settings(damaged)
