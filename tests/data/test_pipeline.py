"""From a source to batches, and the device stage."""

import dataclasses
import itertools
import json

import numpy as np
import paper
import pytest
import tensorflow as tf
from PIL import Image

from fsaf_tf import regions
from fsaf_tf.config import schema
from fsaf_tf.data import draw, images, pipeline, source
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import normalization

INPUT_SIZE = schema.InputSize()
INPUT_SIZE.override({"shorter_side": 64, "longer_side": 96})
MAX_INSTANCES = 6
# Height and width of the stored images; those of odd ids are portrait.
SIZES = {image_id: (90, 60) if image_id % 2 else (30, 40) for image_id in range(1, 12)}
STAGE = {"normalization": normalization.CAFFE, "geometry": paper.GEOMETRY}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eleven images; image i has i % 4 boxes, image 3 a crowd box and one that gets too thin."""
    root = tmp_path_factory.mktemp("images")
    annotations = []
    for image_id, (height, width) in SIZES.items():
        Image.new("RGB", (width, height), (image_id, 100, 200)).save(root / f"{image_id}.png")
        for place in range(image_id % 4):
            annotations.append({"image_id": image_id, "category_id": 1 + place % 2, "bbox": [place, 5, 10, 12]})
    annotations[3] |= {"iscrowd": 1}
    annotations[4] |= {"bbox": [20, 30, 1, 20]}  # 0.71 px after resizing
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "height": h, "width": w} for i, (h, w) in SIZES.items()],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    (root / "x.json").write_text(json.dumps(content))
    return root


def data(folder, kind=schema.Data, **values) -> schema.Data:
    config = kind(annotation_file=str(folder / "x.json"), image_dir=str(folder), max_instances=MAX_INSTANCES)
    config.override(values)
    return config


def build(folder, config, batch_size=4, input_context=None) -> tf.data.Dataset:
    return pipeline.build_dataset(
        source.open_source(config), config, INPUT_SIZE, batch_size=batch_size, input_context=input_context
    )


def batches(dataset, count=None) -> list[dict]:
    return list(itertools.islice(dataset.as_numpy_iterator(), count))


@pytest.fixture(scope="module")
def validation(folder):
    return batches(build(folder, data(folder)))


@pytest.fixture(scope="module")
def training(folder):
    """The first 30 batches of a training with seed 1."""
    return batches(build(folder, data(folder, schema.TrainData, seed=1)), 30)


def test_validation_has_every_image_once(validation):
    ids = np.concatenate([batch["image_id"] for batch in validation])
    assert sorted(ids) == sorted(SIZES)
    assert sorted(len(batch["image_id"]) for batch in validation) == [1, 2, 4, 4]


def test_a_batch_holds_one_orientation(validation):
    for batch in validation:
        assert len({image_id % 2 for image_id in batch["image_id"]}) == 1
        assert batch["image"].shape[1:] == ((96, 64, 3) if batch["image_id"][0] % 2 else (64, 96, 3))


def test_square_canvases_are_batched_together(folder):
    size = schema.InputSize()
    size.override({"shorter_side": 64, "longer_side": 64})
    config = data(folder)
    found = batches(pipeline.build_dataset(source.open_source(config), config, size, batch_size=4))
    assert [len(batch["image_id"]) for batch in found] == [4, 4, 3]
    assert {batch["image"].shape[1:] for batch in found} == {(64, 64, 3)}


def test_contents_of_a_batch(validation):
    kinds = {
        "image": (np.uint8, 4),
        "image_size": (np.int32, 2),
        "original_size": (np.int32, 2),
        "image_id": (np.int64, 1),
        "boxes": (np.float32, 3),
        "classes": (np.int32, 2),
        "valid": (np.bool_, 2),
        "left_out": (np.int32, 1),
    }
    for batch in validation:
        assert {key: (value.dtype.type, value.ndim) for key, value in batch.items()} == kinds
        assert batch["boxes"].shape[1:] == (MAX_INSTANCES, 4) and batch["valid"].shape[1] == MAX_INSTANCES
        for i, image_id in enumerate(batch["image_id"]):
            height, width = batch["image_size"][i]
            assert tuple(batch["original_size"][i]) == SIZES[image_id]
            # 40 x 30 grows to 85 x 64, 60 x 90 to 64 x 96.
            assert (height, width) == ((96, 64) if image_id % 2 else (64, 85))
            assert (batch["image"][i, :height, :width] == (image_id, 100, 200)).all()
            assert not batch["image"][i, :, width:].any()


def test_boxes_of_a_batch(validation):
    rows = {int(i): (batch, n) for batch in validation for n, i in enumerate(batch["image_id"])}
    batch, row = rows[10]
    np.testing.assert_allclose(
        batch["boxes"][row, :2],
        [[5 * 64 / 30, 0, 17 * 64 / 30, 10 * 85 / 40], [5 * 64 / 30, 85 / 40, 17 * 64 / 30, 11 * 85 / 40]],
        rtol=1e-6,
    )
    assert batch["valid"][row].tolist() == [True, True, False, False, False, False]
    assert batch["classes"][row, :2].tolist() == [0, 1]
    assert not batch["boxes"][row, 2:].any()


def test_crowd_and_tiny_boxes_are_not_trained_on_and_counted(folder):
    size = schema.InputSize()
    size.override({"shorter_side": 40, "longer_side": 60})
    config = data(folder)
    dataset = pipeline.build_dataset(source.open_source(config), config, size, batch_size=4)
    rows = {int(i): (batch, n) for batch in batches(dataset) for n, i in enumerate(batch["image_id"])}
    batch, row = rows[3]
    assert batch["valid"][row].tolist() == [False, False, True, False, False, False]
    assert batch["left_out"][row] == 2
    batch, row = rows[4]  # an image without boxes
    assert not batch["valid"][row].any() and batch["left_out"][row] == 0


def test_training_is_endless_and_full(folder, training):
    dataset = build(folder, data(folder, schema.TrainData, seed=1))
    assert dataset.element_spec["image"].shape.as_list() == [4, None, None, 3]
    assert len(training) == 30 and all(len(batch["image_id"]) == 4 for batch in training)
    counts = np.bincount(np.concatenate([batch["image_id"] for batch in training]), minlength=12)[1:]
    assert counts.min() >= 9 and counts.max() <= 12  # 120 images are about 11 epochs


def _flipped(batch) -> np.ndarray:
    """Which images are mirrored: their first box, if any, is no longer at the left."""
    return batch["boxes"][:, 0, 1] > 10


def test_seed_gives_order_and_flips_and_epochs_differ(folder, training):
    first, again = training[:20], batches(build(folder, data(folder, schema.TrainData, seed=1)), 20)
    other = batches(build(folder, data(folder, schema.TrainData, seed=2)), 20)
    for a, b in zip(first, again):
        assert all(np.array_equal(a[key], b[key]) for key in a)
    assert any(not np.array_equal(a["image_id"], b["image_id"]) for a, b in zip(first, other))
    flips = {image_id: [] for image_id in SIZES}
    for batch in first:
        for image_id, flipped in zip(batch["image_id"], _flipped(batch)):
            flips[image_id].append(bool(flipped))
    assert all(len(set(flips[image_id])) == 2 for image_id in (1, 2, 5, 6, 9, 10))  # those with a box at x = 0
    assert 0.3 < np.mean(sum((flips[image_id] for image_id in (1, 2, 5, 6, 9, 10)), [])) < 0.7


def test_scale_jitter_draws_each_side_and_keeps_the_canvas(folder, training):
    """Table 3. Boxes go with the pixels; every image meets every side; the flips are those without jitter."""
    config = data(folder, schema.TrainData, seed=1, shorter_sides=[32, 48, 64])
    met = {image_id: set() for image_id in SIZES}
    sides = []
    for batch, other in zip(batches(build(folder, config), 30), training):
        assert batch["image"].shape == other["image"].shape
        for place, image_id in enumerate(batch["image_id"]):
            height, width = batch["image_size"][place]
            met[image_id].add(min(height, width))
            sides.append(min(height, width))
            ratio = np.tile(batch["image_size"][place] / other["image_size"][place], 2)
            np.testing.assert_allclose(batch["boxes"][place], other["boxes"][place] * ratio, rtol=1e-5)
            assert not batch["image"][place, height:].any() and not batch["image"][place, :, width:].any()
    assert all(sizes == {32, 48, 64} for sizes in met.values())
    assert all(0.2 < np.mean(np.array(sides) == side) < 0.5 for side in (32, 48, 64))


def test_evaluation_has_no_scale_jitter(validation):
    assert all((batch["image_size"].min(axis=1) == 64).all() for batch in validation)


def assert_same(batches_of_one, batches_of_other):
    for one, other in zip(batches_of_one, batches_of_other, strict=True):
        for key, value in one.items():
            np.testing.assert_array_equal(value, other[key], err_msg=key)


def from_step(folder, step, count, config, batch_size=2, input_context=None, sides=(32, 64)):
    size = schema.InputSize()
    size.override({"shorter_side": sides[0], "longer_side": sides[1]})
    opened = source.open_source(config)
    return batches(
        pipeline.build_dataset(
            opened, config, size, batch_size=batch_size, input_context=input_context, first_step=step
        ),
        count,
    )


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        ({}, (1, 2)),
        ({"repeat_rare": 0.9, "shorter_sides": [24, 32], "shuffle_buffer_size": 3}, (7, 19)),
        ({"augmentation": {"quarter_turns": True, "crop": [0.2, 0.9], "zoom": [0.5, 2.0], "hue": 0.3}}, (1, 19)),
        ({"augmentation": {"mosaic": 0.5, "mixup": 0.5}}, (2, 7)),
    ],
    ids=str,
)
def test_from_any_step_on_a_training_is_the_same(folder, values, steps):
    config = data(folder, schema.TrainData, seed=5, **values)
    whole = from_step(folder, 0, 30, config)
    for step in steps:
        assert_same(from_step(folder, step, 30 - step, config), whole[step:])


def test_from_a_step_on_a_square_canvas_all_pictures_are_of_one_orientation(folder):
    config = data(folder, schema.TrainData, seed=5)
    whole = from_step(folder, 0, 8, config, sides=(64, 64))
    shapes = [{tuple(size) for size in batch["original_size"].tolist()} for batch in whole]
    assert any(len({height > width for height, width in each}) == 2 for each in shapes)
    assert_same(from_step(folder, 3, 5, config, sides=(64, 64)), whole[3:])


def test_from_a_step_on_two_replicas_and_two_workers_have_the_same(folder):
    """A step of two replicas is two batches of one pipeline; each of two workers has half of the images."""
    config = data(folder, schema.TrainData, seed=5)
    for shards, shard in ((1, 0), (2, 1)):
        context = tf.distribute.InputContext(shards, shard, num_replicas_in_sync=2)
        whole = from_step(folder, 0, 12, config, input_context=context)
        skipped = 3 * 2 // shards
        assert_same(from_step(folder, 3, 12 - skipped, config, input_context=context), whole[skipped:])


@pytest.mark.parametrize("step", [0, 5])
def test_the_batches_of_several_workers_are_those_of_one(folder, step):
    """With their flips and crops, where all pictures have one orientation."""
    values = {"repeat_rare": 0.9, "augmentation": {"crop": [0.2, 0.9]}}
    config = data(folder, schema.TrainData, seed=5, **values)
    alone = from_step(folder, step, 6, config, batch_size=6, sides=(64, 64))
    contexts = [tf.distribute.InputContext(3, shard, num_replicas_in_sync=3) for shard in range(3)]
    shared = [from_step(folder, step, 6, config, 2, context, sides=(64, 64)) for context in contexts]
    for whole, *parts in zip(alone, *shared, strict=True):
        for key in ("image", "image_id", "boxes", "valid"):
            together = np.stack([part[key] for part in parts], axis=1)  # the rows go round the workers
            np.testing.assert_array_equal(together.reshape(whole[key].shape), whole[key], err_msg=key)


def test_pictures_of_steps_that_were_made_are_not_read(folder, tmp_path):
    """400 pictures; some are read ahead of their step."""
    picture, names = (folder / "1.png").read_bytes(), [f"{number}.png" for number in range(400)]
    for name in names:
        (tmp_path / name).write_bytes(picture)
    rows = [{"id": number, "file_name": name, "height": 90, "width": 60} for number, name in enumerate(names)]
    boxes = [{"image_id": number, "category_id": 1, "bbox": [1, 1, 9, 9]} for number in range(400)]
    content = {"images": rows, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "x.json").write_text(json.dumps(content))
    config = data(tmp_path, schema.TrainData, seed=1, shuffle_buffer_size=1)
    first = np.concatenate([batch["image_id"] for batch in from_step(tmp_path, 0, 50, config)])
    dataset = pipeline.build_dataset(source.open_source(config), config, INPUT_SIZE, batch_size=2, first_step=50)
    for image_id in first:
        (tmp_path / names[image_id]).unlink()
    [batch] = batches(dataset, 1)
    assert len(first) == 100 and not set(batch["image_id"]) & set(first)


def test_flips_can_be_switched_off(folder):
    config = data(folder, schema.TrainData, random_flip=False)
    assert not any(_flipped(batch)[batch["image_id"] != 3].any() for batch in batches(build(folder, config), 10))


def test_the_order_of_the_rows_follows_the_seed_too(folder):
    """Not only that of the buffer, which holds one row here."""
    orders = []
    for seed in (1, 2):
        config = data(folder, schema.TrainData, seed=seed, shuffle_buffer_size=1)
        orders.append([int(batch["image_id"][0]) for batch in batches(build(folder, config, batch_size=1), 12)])
    assert orders[0] != orders[1]


# Of the rectangles, by their class.
COLOURS = ((200, 50, 50), (50, 200, 50), (50, 50, 200), (200, 200, 50))


@pytest.fixture(scope="module")
def rectangles(tmp_path_factory):
    """Two pictures, landscape and portrait, and four rectangles of 16 x 24 px or the like in each."""
    root, annotations = tmp_path_factory.mktemp("rectangles"), []
    for image_id, (height, width) in {1: (96, 144), 2: (144, 96)}.items():
        picture = np.zeros((height, width, 3), np.uint8)
        for label, colour in enumerate(COLOURS):
            y, x = (label // 2) * height // 2 + 7, (label % 2) * width // 2 + 11
            picture[y : y + 16 + 4 * label, x : x + 24] = colour
            box = [x, y, 24, 16 + 4 * label]
            annotations.append({"image_id": image_id, "category_id": 1 + label, "bbox": box})
        Image.fromarray(picture).save(root / f"{image_id}.png")
    content = {
        "images": [{"id": 1, "file_name": "1.png", "height": 96, "width": 144}]
        + [{"id": 2, "file_name": "2.png", "height": 144, "width": 96}],
        "annotations": annotations,
        "categories": [{"id": 1 + label, "name": str(label)} for label in range(4)],
    }
    (root / "x.json").write_text(json.dumps(content))
    return root


def augmented_rows(folder, count=40, **augmentation):
    """The first training images one by one."""
    config = data(folder, schema.TrainData, seed=3, augmentation=augmentation)
    found = batches(build(folder, config, batch_size=1), count)
    return [{key: value[0] for key, value in batch.items()} for batch in found]


@pytest.fixture(scope="module")
def plain_rows(rectangles):
    return augmented_rows(rectangles, 8)


class TestAugmentation:
    """Pictures of plain rectangles on black, each of a colour of its own that its class tells."""

    GEOMETRY = {"vertical_flip": True, "quarter_turns": True, "tile": 80, "crop": [0.3, 1.0], "zoom": [0.5, 2.0]}

    @pytest.mark.parametrize("keys", [*((key,) for key in GEOMETRY), tuple(GEOMETRY)], ids=str)
    def test_boxes_go_with_their_pixels(self, rectangles, keys):
        """Each box that is learnt is where its colour is, to the blur of the resizing."""
        met = set()
        for row in augmented_rows(rectangles, **{key: self.GEOMETRY[key] for key in keys}):
            height, width = row["image_size"]
            assert not row["image"][height:].any() and not row["image"][:, width:].any()
            for box, label, valid in zip(row["boxes"], row["classes"], row["valid"]):
                distance = np.abs(row["image"][:height, :width].astype(int) - COLOURS[label]).max(axis=-1)
                ys, xs = np.nonzero(distance < 75)
                if valid:
                    np.testing.assert_allclose(box, (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1), atol=1.6)
            met.add((int(height), int(width), *row["boxes"][0].round().astype(int)))
        assert len(met) > (10 if {"zoom", "crop", "tile"} & set(keys) else 5 if "quarter_turns" in keys else 3)

    def test_a_crop_has_the_area_that_was_asked_for_and_half_of_an_object(self, rectangles):
        areas = []
        for row in augmented_rows(rectangles, crop=[0.2, 0.5], least_kept=0.0):
            height, width = row["original_size"]
            areas.append(height * width / (96 * 144))
            assert 0.49 < width / height < 2.04
            scale = np.prod(row["image_size"] / row["original_size"])
            whole = np.array([24 * (16 + 4 * label) for label in row["classes"][:4]]) * scale
            seen = np.prod(row["boxes"][:4, 2:] - row["boxes"][:4, :2], axis=1)
            assert (seen / whole).max() > 0.49
        assert 0.19 < min(areas) < 0.3 and 0.4 < max(areas) < 0.51

    def test_a_tile_is_a_square_and_has_an_object_in_most_cases(self, rectangles, folder):
        """A picture that is narrower than a tile has a narrower one, one without objects has it anywhere."""
        rows = augmented_rows(rectangles, 60, tile=40, least_kept=0.3)
        assert {tuple(row["original_size"]) for row in rows} == {(40, 40)}
        empty = sum(not row["valid"].any() for row in rows)
        assert 0 < empty < 24  # some anywhere, and some with the corner of an object
        assert {tuple(row["original_size"]) for row in augmented_rows(rectangles, 8, tile=120)} == {
            (96, 120),
            (120, 96),
        }
        config = data(folder, schema.TrainData, augmentation={"tile": 10})
        without = [batch for batch in batches(build(folder, config, batch_size=1), 22) if batch["image_id"][0] % 4 == 0]
        assert len({batch["image"].tobytes() for batch in without}) > 1

    def test_a_crop_needs_no_object(self, folder):
        """Images 4 and 8 have none."""
        config = data(folder, schema.TrainData, augmentation={"crop": [0.2, 0.5]})
        rows = [batch for batch in batches(build(folder, config, batch_size=1), 22) if batch["image_id"][0] % 4 == 0]
        assert len(rows) == 4 and all(0.19 < np.prod(row["original_size"]) / 1200 < 0.53 for row in rows)

    @pytest.mark.parametrize("key", ["zoom", "crop", "tile"])
    def test_what_is_hardly_seen_is_not_learnt_and_counted(self, rectangles, key):
        """By the area of the box beside that of the whole one at the same scale."""
        lost, ranges = 0, {"zoom": [1.5, 2.0], "crop": [0.2, 0.5], "tile": 60}
        for row in augmented_rows(rectangles, **{key: ranges[key]}, least_kept=0.6):
            scale = row["image_size"] / row["original_size"]
            whole = np.array([24 * (16 + 4 * label) for label in row["classes"][:4]]) * np.prod(scale)
            shares = np.prod(row["boxes"][:4, 2:] - row["boxes"][:4, :2], axis=1) / whole
            assert not row["valid"][4:].any() and row["left_out"] == np.sum(~row["valid"][:4])
            assert (shares[row["valid"][:4]] >= 0.59).all() and (shares[~row["valid"][:4]] < 0.61).all()
            lost += row["left_out"]
        assert 0 < lost < 160

    def test_a_zoom_of_one_changes_nothing(self, rectangles, plain_rows):
        for row, zoomed in zip(plain_rows, augmented_rows(rectangles, 8, zoom=[1.0, 1.0])):
            assert all(np.array_equal(row[key], zoomed[key]) for key in row)

    def test_batches_are_mixed_anew_each_time(self, rectangles):
        config = data(rectangles, schema.TrainData, max_instances=20, augmentation={"mosaic": 1.0})
        first, again = (batches(build(rectangles, config, batch_size=2), 3) for _ in range(2))
        assert all(np.array_equal(one["image"], two["image"]) for one, two in zip(first, again))
        assert len({batch["boxes"].tobytes() for batch in first}) == 3
        assert all((batch["image_size"] == batch["image"].shape[1:3]).all() for batch in first)

    @pytest.mark.parametrize("key", ["brightness", "contrast", "saturation", "hue"])
    def test_colours_change_and_nothing_else(self, rectangles, plain_rows, key):
        changed, again = (augmented_rows(rectangles, 8, **{key: 0.3}) for _ in range(2))
        differences = []
        for row, other, same in zip(plain_rows, changed, again):
            assert all(np.array_equal(row[name], other[name]) for name in row if name != "image")
            assert np.array_equal(other["image"], same["image"]) and other["image"].dtype == np.uint8
            height, width = row["image_size"]
            assert not other["image"][height:].any() and not other["image"][:, width:].any()
            differences.append(np.abs(row["image"].astype(int) - other["image"]).mean())
        assert np.mean(differences) > 0.5 and len(set(differences)) > 4

    def test_a_huge_image_is_made_smaller_before_its_colours_change(self, rectangles, plain_rows, monkeypatch):
        """Its boxes go with it: what comes out is the same to the blur of resizing twice."""
        monkeypatch.setattr(draw, "MOST_RECOLOURED", 96 * 144 // 4)
        for row, other in zip(plain_rows, augmented_rows(rectangles, 8, brightness=0.001)):
            assert tuple(other["original_size"]) in ((48, 72), (72, 48))
            assert np.array_equal(other["image_size"], row["image_size"])
            np.testing.assert_allclose(other["boxes"], row["boxes"], atol=1e-3)
            assert np.abs(row["image"].astype(int) - other["image"]).mean() < 6

    def test_fewer_images_are_held_where_colours_change(self, rectangles, monkeypatch):
        opened = source.open_source(data(rectangles, schema.TrainData))
        plain, coloured = (
            draw.bytes_of_pixel(data(rectangles, schema.TrainData, augmentation=augmentation))
            for augmentation in ({"zoom": [1.0, 2.0]}, {"hue": 0.1})
        )
        monkeypatch.setattr(images, "MEMORY", 2 * plain * 96 * 144)
        assert (opened.at_once(plain), opened.at_once(coloured)) == (images.AT_ONCE, 1)

    def test_each_draw_keeps_its_number(self, rectangles):
        """One key more does not change what another one draws."""
        for one, two in zip(
            augmented_rows(rectangles, 8, hue=0.3), augmented_rows(rectangles, 8, hue=0.3, brightness=0.0)
        ):
            assert np.array_equal(one["image"], two["image"])
        flipped = augmented_rows(rectangles, 8, vertical_flip=True)
        coloured = augmented_rows(rectangles, 8, vertical_flip=True, brightness=0.2)
        for one, two in zip(flipped, coloured):
            assert np.array_equal(one["boxes"], two["boxes"])


def test_input_pipelines_share_the_images(folder):
    ids = []
    for pipeline_id in range(2):
        context = tf.distribute.InputContext(2, pipeline_id, 2)
        found = batches(build(folder, data(folder), input_context=context))
        ids.append([int(image_id) for batch in found for image_id in batch["image_id"]])
    assert sorted(sum(ids, [])) == sorted(SIZES) and abs(len(ids[0]) - len(ids[1])) == 1


def test_too_many_boxes_are_named_when_they_come(folder):
    """Of data that are not known before they are gone through; for others there is room."""
    config = data(folder)
    opened = source.open_source(config)
    config.override({"max_instances": 2})
    [batch, *_] = batches(pipeline.build_dataset(opened, config, INPUT_SIZE, batch_size=4))
    assert batch["valid"].shape[1] == opened.most_boxes == 3
    opened = dataclasses.replace(opened, most_boxes=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"3.png has 3 boxes, more than max_instances, 2"):
        batches(pipeline.build_dataset(opened, config, INPUT_SIZE, batch_size=4))


def test_damaged_image_is_named_when_it_comes(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    content = (folder / "7.png").read_bytes()
    (tmp_path / "7.png").write_bytes(content[:45] + bytes(len(content) - 65) + content[-20:])  # its end is whole
    with pytest.raises(tf.errors.InvalidArgumentError, match="7.png cannot be read: damaged: "):
        batches(build(tmp_path, data(tmp_path)))


@pytest.fixture
def eleven(folder, tmp_path):
    """The images, in a folder of their own."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def spoil(path) -> None:
    """Damages the pixels of a PNG, not its header nor its end."""
    content = path.read_bytes()
    path.write_bytes(content[:-60] + bytes(40) + content[-20:])


def test_a_share_of_bad_pictures_is_left_out_of_training_and_counted(eleven):
    config = data(eleven, schema.TrainData, seed=1, max_bad_pictures=0.4)
    (eleven / "1.png").unlink()
    (eleven / "2.png").write_bytes(b"no picture")
    opened = source.open_source(config)
    assert opened.num_images == 9 and list(opened.bad.problems) == ["1.png", "2.png"]
    dataset = pipeline.build_dataset(opened, config, INPUT_SIZE, batch_size=2)
    (eleven / "3.png").unlink()  # in the middle of the training
    spoil(eleven / "4.png")
    ids = np.concatenate([batch["image_id"] for batch in batches(dataset, 25)])
    assert set(ids) == {5, 6, 7, 8, 9, 10, 11}
    assert list(opened.bad.problems)[2:] in (["3.png", "4.png"], ["4.png", "3.png"])
    assert opened.bad.problems["3.png"] == f"cannot be read: {eleven}/3.png: it is not there"
    assert opened.bad.problems["4.png"].startswith("cannot be read: damaged")
    [finding] = opened.bad.finding("x.json")
    assert (finding.count, finding.of) == (4, 11) and finding.examples[0].startswith("1.png is an image missing in ")
    spoil(eleven / "6.png")  # one more than 0.4 of 11
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        batches(dataset, 25)
    assert "5 pictures of 11 cannot be read, more than max_bad_pictures, 0.4, allows" in str(
        images.user_error(caught.value)
    )


def test_no_bad_picture_is_left_out_of_an_evaluation_or_unasked(eleven):
    spoil(eleven / "4.png")
    for kind, values in ((schema.Data, {}), (schema.TrainData, {"seed": 1})):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"4.png cannot be read"):
            batches(build(eleven, data(eleven, kind, **values)), 12)


def test_that_all_pictures_are_bad_is_an_error_whatever_is_allowed(eleven):
    for image_id in SIZES:
        (eleven / f"{image_id}.png").unlink()
    with pytest.raises(UserError, match=r"11 pictures of 11 cannot be read, more than max_bad_pictures, 1, allows"):
        source.open_source(data(eleven, schema.TrainData, max_bad_pictures=1.0))


def test_device_stage(validation):
    batch = validation[0]
    staged = pipeline.device_stage(batch, **STAGE)
    assert set(staged) == set(batch) - {"image"} | {"images", "cell_ranges"}
    images, height, width = staged["images"].numpy(), *batch["image"].shape[1:3]
    assert images.dtype == np.float32 and images.shape == batch["image"].shape
    for i, (rows, columns) in enumerate(batch["image_size"]):
        expected = batch["image"][i, :rows, :columns, ::-1] - np.array([103.939, 116.779, 123.68])
        np.testing.assert_allclose(images[i, :rows, :columns], expected, rtol=1e-5)
        assert not images[i, rows:].any() and not images[i, :, columns:].any()
    ranges = regions.cell_ranges(batch["boxes"], batch["valid"], (height, width), paper.GEOMETRY)
    assert np.array_equal(staged["cell_ranges"], ranges) and ranges.shape[1:] == (MAX_INSTANCES, 5, 2, 4)


@pytest.mark.parametrize("canvas", [(64, 96), (1, 1)])
def test_device_stage_of_no_image(validation, canvas):
    """What a replica without images gets: zero rows, and 1 for unknown sides."""
    batch = {key: value[:0] for key, value in validation[0].items()} | {"image": np.zeros((0, *canvas, 3), np.uint8)}
    staged = pipeline.device_stage(batch, **STAGE)
    assert staged["images"].shape == (0, *canvas, 3)
    assert staged["cell_ranges"].shape == (0, MAX_INSTANCES, 5, 2, 4)


def test_device_stage_is_the_same_in_the_pipeline_on_another_device_and_compiled(folder, validation):
    def stage(batch):
        return pipeline.device_stage(batch, **STAGE)

    mapped = batches(build(folder, data(folder)).map(stage))
    device = tf.config.list_logical_devices("CPU")[-1].name
    assert device.endswith("CPU:1")
    on_device = tf.function(stage)
    for batch, expected in zip(validation, mapped):
        with tf.device(device):
            moved = {key: tf.identity(value) for key, value in batch.items()}
            staged = on_device(moved)
        assert staged["images"].device.endswith("CPU:1") and staged["cell_ranges"].device.endswith("CPU:1")
        compiled = tf.function(stage, jit_compile=True)(batch) if batch is validation[0] else staged
        for key in expected:
            np.testing.assert_allclose(staged[key], expected[key], atol=1e-5)
            np.testing.assert_allclose(compiled[key], expected[key], atol=1e-5)


def test_two_replicas_get_every_image_once_and_then_none(folder):
    """As the trainer reads validation data: the replica that runs out first gets batches of zero images."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    dataset = strategy.distribute_datasets_from_function(
        lambda context: build(folder, data(folder), batch_size=5, input_context=context)
    )
    ids, empty = [], 0

    @tf.function
    def step(batch):
        return strategy.run(lambda batch: pipeline.device_stage(batch, **STAGE)["image_id"], args=(batch,))

    iterator = iter(dataset)
    while (batch := iterator.get_next_as_optional()).has_value():
        for found in strategy.experimental_local_results(step(batch.get_value())):
            ids += found.numpy().tolist()
            empty += not len(found)
    assert sorted(ids) == sorted(SIZES) and empty == 1  # 5 landscape, 5 and 1 portrait images


def test_real_images(shared_data):
    root = shared_data / "coco_mini"
    config = schema.Data(
        annotation_file=str(root / "annotations/instances_val2017.json"), image_dir=str(root / "val2017")
    )
    opened = source.open_source(config)
    found = batches(pipeline.build_dataset(opened, config, INPUT_SIZE, batch_size=16), 4)
    truth = {image["id"]: image for image in opened.ground_truth()["images"]}
    for batch in found:
        assert batch["image"].shape[1:3] in ((64, 96), (96, 64))
        for i, image_id in enumerate(batch["image_id"]):
            image, (height, width) = truth[image_id], batch["image_size"][i]
            assert batch["original_size"][i].tolist() == [image["height"], image["width"]]
            assert (batch["boxes"][i][batch["valid"][i]] <= [height + 1e-3, width + 1e-3] * 2).all()
            stored = Image.open(root / "val2017" / image["file_name"]).convert("RGB")
            small = np.asarray(stored.resize((width, height), Image.BILINEAR), np.float32)
            assert np.abs(batch["image"][i, :height, :width] - small).mean() < 2
