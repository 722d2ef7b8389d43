"""Which way up a picture is taken, and what the files of a data set are told to be before a run."""

import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from encoded import encode, turned
from PIL import Image

from fsaf_tf.config import schema
from fsaf_tf.data import coco, frames, picture_files
from fsaf_tf.data.source import open_source
from fsaf_tf.errors import UserError

HEIGHT, WIDTH = 24, 40  # as it is meant to be seen
BOX = [4, 2, 10, 6]  # xywh, of the red rectangle in the upright picture
UNDONE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # the orientation that turns upright pixels into stored ones


def upright() -> np.ndarray:
    picture = np.zeros([HEIGHT, WIDTH, 3], np.uint8)
    x, y, width, height = BOX
    picture[y : y + height, x : x + width, 0] = 255
    return picture


def photo(orientation: int, kind: str = "PNG") -> bytes:
    """The picture as a camera that was held otherwise stores it."""
    stored = frames_turn(upright(), UNDONE[orientation])
    return turned(Image.fromarray(stored), orientation, kind)


def frames_turn(picture: np.ndarray, orientation: int) -> np.ndarray:
    turns = {1: (0, 0), 2: (0, 1), 3: (2, 0), 4: (2, 1), 5: (3, 1), 6: (3, 0), 7: (1, 1), 8: (1, 0)}
    quarters, mirrored = turns[orientation]
    picture = np.rot90(picture, quarters)
    return np.ascontiguousarray(picture[:, ::-1] if mirrored else picture)


def write(folder, pictures: dict[str, bytes], size: tuple[int, int] = (HEIGHT, WIDTH), box: list = BOX) -> str:
    """Writes pictures and COCO JSON that has one box in each."""
    for name, data in pictures.items():
        (folder / name).write_bytes(data)
    numbered = list(enumerate(pictures, start=1))
    content = {
        "images": [{"id": i, "file_name": name, "height": size[0], "width": size[1]} for i, name in numbered],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": box} for i, _ in numbered],
        "categories": [{"id": 1, "name": "red"}],
    }
    (folder / "x.json").write_text(json.dumps(content))
    return str(folder / "x.json")


def open_photos(folder, file: str, frame: str = "auto"):
    return coco.open_coco(file, str(folder), frame=frame)


@tf.autograph.experimental.do_not_convert
def assert_boxes_are_red(source) -> list[list[int]]:
    """Each picture's box holds what is red, and nothing else does; returns the sizes of the pictures."""
    sizes = []
    for example in source.decode(source.examples()):
        y1, x1, y2, x2 = map(int, example["boxes"][0])
        expected = np.zeros(example["image"].shape[:2], bool)
        expected[y1:y2, x1:x2] = True
        np.testing.assert_array_equal(example["image"][..., 0] > 128, expected)
        sizes.append(example["size"].numpy().tolist())
        assert sizes[-1] == list(expected.shape)
    return sizes


def test_boxes_of_upright_pictures(tmp_path):
    """Of any orientation."""
    file = write(tmp_path, {f"{number}.png": photo(number) for number in range(1, 9)} | {"t.tif": photo(6, "TIFF")})
    assert assert_boxes_are_red(open_photos(tmp_path, file)) == 9 * [[HEIGHT, WIDTH]]


def test_boxes_of_stored_pictures(tmp_path):
    """Of a quarter turn where the stored size is declared, else by the key."""
    box = [WIDTH - BOX[0] - BOX[2], HEIGHT - BOX[1] - BOX[3], *BOX[2:]]  # turned by 180 degrees
    half = write(tmp_path, {"3.png": photo(3)}, box=box)
    assert_boxes_are_red(open_photos(tmp_path, half, "stored"))
    x, y, width, height = BOX
    quarter = write(tmp_path, {"6.png": photo(6)}, (WIDTH, HEIGHT), [y, WIDTH - x - width, height, width])
    assert assert_boxes_are_red(open_photos(tmp_path, quarter)) == [[WIDTH, HEIGHT]]


def test_a_declared_size_that_fits_no_frame_or_not_the_wanted_one(tmp_path):
    for frame, size in (("auto", (HEIGHT, WIDTH + 1)), ("stored", (HEIGHT, WIDTH)), ("upright", (WIDTH, HEIGHT))):
        file = write(tmp_path, {"6.png": photo(6)}, size, [1, 1, 2, 2])
        with pytest.raises(UserError, match=r"another size than declared \(1 of 1 images, first: 6.png, \d+ x \d+ and"):
            open_photos(tmp_path, file, frame)


def test_the_same_is_said_on_the_way_of_sets_too_large_to_look_at(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_files, "MAX_HEADERS", 0)
    source = open_photos(tmp_path, write(tmp_path, {"6.png": photo(6)}, (HEIGHT, WIDTH + 1)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="6.png has height, width 24, 40 and not as declared"):
        list(source.examples())


def test_one_rule_for_one_and_for_many():
    """Squares fit both frames."""
    stored = np.int32([[24, 40], [24, 40], [24, 40], [30, 30]])
    declared = np.int32([[24, 40], [40, 24], [24, 40], [30, 30]])
    orientations = np.int32([6, 6, 3, 8])
    many = frames.turn(orientations, stored, declared, "auto").numpy().tolist()
    single = [int(frames.turn(*row, "auto")) for row in zip(tf.constant(orientations), stored, declared)]
    assert many == single == [1, 6, 3, 8]


@pytest.mark.parametrize("frame, is_turned", [("auto", False), ("stored", False), ("upright", True)])
def test_records_are_taken_as_they_are_stored_but_by_the_key(tmp_path, frame, is_turned):
    x, y, width, height = BOX
    sides = {"xmin": x / WIDTH, "ymin": y / HEIGHT, "xmax": (x + width) / WIDTH, "ymax": (y + height) / HEIGHT}
    features = {f"image/object/bbox/{side}": _floats(value) for side, value in sides.items()}
    features["image/encoded"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[photo(3)]))
    features["image/object/class/label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    (tmp_path / "label_map.json").write_text('{"1": "red"}')
    source = open_source(schema.Data(input_path=str(tmp_path / "a.tfrecord"), exif_orientation=frame))
    if is_turned:
        assert_boxes_are_red(source)
    else:
        with pytest.raises(AssertionError):
            assert_boxes_are_red(source)


def _floats(value: float) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))


def told(folder, pictures: dict[str, bytes], size: tuple[int, int] = (HEIGHT, WIDTH)) -> str:
    return "\n".join(finding.message for finding in open_photos(folder, write(folder, pictures, size)).findings)


def test_what_the_headers_tell_is_counted(tmp_path):
    plain = {"a.png": photo(1), "b.jpg": photo(1, "JPEG")}
    assert "pictures" not in told(tmp_path, plain)
    lines = told(tmp_path, plain | {"3.png": photo(3), "6.png": photo(6)})
    assert "2 of 4 pictures have an EXIF orientation; boxes are taken to be of the upright picture in 2" in lines
    assert "1 of 3 pictures is no JPEG, PNG, WebP, BMP or GIF" in told(tmp_path, plain | {"c.tif": photo(1, "TIFF")})
    pages = encode(Image.fromarray(upright()), "TIFF", save_all=True, append_images=[Image.fromarray(upright())])
    assert "1 of 3 pictures has several pages or frames" in told(tmp_path, plain | {"c.tif": pages})


def test_deep_pictures_that_use_few_of_their_bits(tmp_path):
    def deep(most):
        return encode(Image.fromarray(np.full([HEIGHT, WIDTH], most, np.uint16)), "PNG")

    assert told(tmp_path, {"a.png": deep(60_000)}).endswith(
        "1 of 1 pictures has more than 8 bits a channel; the upper 8 are taken"
    )
    line = told(tmp_path, {"a.png": deep(4095), "b.png": deep(100)})
    assert "2 of 2 pictures have more than 8 bits" in line and "have at most 15 of 255: save them with 8 bits" in line


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "MPO"])
def test_a_file_that_is_cut_off_is_found_before_a_run(tmp_path, kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, [HEIGHT, WIDTH, 3], np.uint8))
    data = encode(noise, kind)
    with pytest.raises(UserError, match=r"image that cannot be read \(1 of 2 images, first: b, damaged"):
        told(tmp_path, {"a": data, "b": data[: len(data) * 2 // 3]})
    assert "cannot" not in told(tmp_path, {"a": data, "b": data + b"what some cameras add" * 9})


def test_a_picture_beside_those_that_are_named_may_have_any_name(tmp_path):
    """An archive of Windows that was unpacked on Linux has names in Latin-1."""
    file = write(tmp_path, {"a.png": photo(1)})
    pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/gr\xfcn.png")).write_bytes(photo(1))
    assert open_photos(tmp_path, file).num_images == 1
