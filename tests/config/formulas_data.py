"""Which data follow from the values of an experiment, and in what form they come; see `formulas`."""

import collections

import formulas
import numpy as np
import pytest
import world_data


def _data(section: str, values: dict) -> dict:
    """The values of a section; of validation data that are a part of the training data with those of these."""
    own, train = (formulas.part(values, f"task.{name}.") for name in (section, "train_data"))
    if values["task.validation_data.fraction"] and section == "validation_data":
        return {**own, **{key: train[key] for key in ("annotation_file", "image_dir", "input_path")}}
    return {**own, **own["sources"][0]} if own.get("sources") else own


def _variant(data: dict) -> tuple[str, str]:
    """Of which variant the colours and the boxes are."""
    if data["annotation_file"]:
        leads_out = data["annotation_file"].startswith("outside_") and data["images_outside"]
        return "a" if leads_out else data["image_dir"][-1], data["annotation_file"].removesuffix(".json")[-1]
    if data["input_path"]:
        return "a", data["input_path"].removesuffix(".tfrecord")
    return data["tfds_name"][-1], "a"


def _turn(data: dict) -> int:
    """The EXIF orientation by which pictures are turned."""
    is_turned = data["image_dir"] == "turned_a" and data["exif_orientation"] != "stored"
    return world_data.UPSIDE_DOWN if is_turned else 1


def _picture(data: dict, number: int) -> world_data.Picture:
    """As it is to be seen: upside down, the left half of a picture is the right one."""
    picture = world_data.picture(number, *_variant(data))
    return picture if _turn(data) == 1 else picture._replace(colours=picture.colours[::-1])


def _numbers(data: dict) -> tuple[int, ...]:
    numbers = world_data.SPLITS[data["tfds_split"] or "every"]
    return numbers[1:] if data["image_dir"] == "few_a" else numbers


def check_source(section: str, values: dict, seen: dict) -> None:
    """The boxes and, of training data, the pictures that are named, or a line that says where they were looked for."""
    data = _data(section, values)
    found = formulas.seen_under(seen, f"{section}/")
    if data["tfds_name"] and data["tfds_data_dir"] != "tfds":
        assert found["line"].startswith(f"TFDS {data['tfds_name']} is not in {data['tfds_data_dir']}/")
        return
    if data["tfds_name"] == "none":
        assert found["line"].startswith("TFDS has no data set 'none'")
        return
    if data["image_dir"] == "few_a" and not data["max_bad_pictures"]:
        assert "image missing in few_a (1 of 4 images, first: 1.png)" in found["line"]
        return
    colours, boxes = _variant(data)
    extra = data["label_map"] == "other_map.json"  # whose first class is in no picture
    ids = tuple(range(1, 4)) if data["tfds_name"] else (1,) * extra + world_data.IDS
    assert found["categories"] == [("ant",) * extra + world_data.NAMES, ids]
    numbers, fraction = _numbers(data), values["task.validation_data.fraction"]
    if fraction:  # which of them, tests/data/test_hold_out.py has
        share = fraction if section == "validation_data" else 1 - fraction
        assert len(found["boxes"]) == share * len(numbers) and set(found["boxes"]) <= set(numbers)
        numbers = tuple(found["boxes"])
    assert sorted(found["boxes"]) == sorted(numbers)
    for number in numbers:
        picture = world_data.picture(number, colours, boxes)
        np.testing.assert_allclose(found["boxes"][number], picture.boxes, atol=1e-4)
        np.testing.assert_array_equal(found["classes"][number], picture.classes + extra)
        if section == "train_data":
            orientation = world_data.UPSIDE_DOWN if data["image_dir"] == "turned_a" else 1
            assert found["image_bytes"][number] == world_data.encoded(picture, orientation)
            assert found["turn"][number] == _turn(data)


def check_figures(values: dict, seen: dict) -> None:
    """The boxes of variant a are all that there is in it, and nothing of the other.

    Before those of the first class is one on nothing in picture 1, which takes a place of the `max_detections` there:
    with t of n objects found, the precision is t / (t + 1) at recall 0, 0.01 .. t / n.
    """
    data, most = _data("validation_data", values), values["task.evaluation.max_detections"]
    first = int(data["label_map"] == "other_map.json") if 1 in seen["validation_data/classes"] else None
    objects, right = collections.Counter(), collections.Counter()
    for number, classes in seen["validation_data/classes"].items():
        for label, count in collections.Counter(classes).items():
            objects[label] += count
            right[label] += min(count, most - (number == 1 and label == first))
    aps = [
        (100 * right[label] // objects[label] + 1) / 101 * right[label] / (right[label] + (label == first))
        for label in objects
    ]
    expected = pytest.approx(np.mean(aps) if _variant(data)[1] == "a" else 0.0, abs=1e-6)
    assert seen["figures/AP"] == expected and seen["figures/anchor_free/AP"] == expected


def check_inputs(section: str, values: dict, seen: dict) -> None:
    """Batches of one orientation: pictures resized, mirrored or not, padded to the canvas, with their boxes."""
    data, prefix = formulas.part(values, f"task.{section}."), SECTIONS[section]
    columns = formulas.seen_under(seen, f"{prefix}/")
    rows = [
        {key: column[place][index] for key, column in columns.items() if key not in ("views", "picture")}
        for place, ids in enumerate(columns["image_id"])
        for index in range(len(ids))
    ]
    if any(data.get(f"augmentation.{name}") for name in DRAWN):
        for row in rows:
            _check_drawn(values, row)
        return
    mirrored = [_check_example(values, data, row) for row in rows]
    wanted = {False, True} if data.get("random_flip") else {False}
    assert set(mirrored) == wanted
    sides = {min(row["image_size"]) for row in rows}
    assert sides == set(data.get("shorter_sides") or [min(rows[0]["image_size"])])
    portrait = [{bool(h > w) for h, w in sizes} for sizes in columns["original_size"]]
    assert all(len(each) == 1 for each in portrait) and len(set.union(*portrait)) == 2
    numbers = [row["image_id"] for row in rows]
    if section == "train_data":
        _check_order(data, columns["image_id"])
    else:
        assert sorted(numbers) == list(_numbers(data))
        is_tiled = values["task.tiles.size"] > 0
        assert max(map(len, columns["image_id"])) == (1 if is_tiled else min(data["global_batch_size"], 2))
        _check_views(values, data, columns)
        for numbers, pictures in zip(columns["image_id"], columns["picture"]):
            assert len(pictures) == is_tiled
            for number, found in zip(numbers, pictures):
                picture = _picture(data, int(number))
                _check_halves(found.astype(int), picture.size, *picture.colours, picture.size[1] // 2)


# What is drawn of an image, see tests/data/test_pipeline.py.
COLOURS = ("brightness", "contrast", "saturation", "hue")
DRAWN = (*COLOURS, "vertical_flip", "quarter_turns", "tile", "crop", "zoom", "mosaic", "mixup")


def _check_drawn(values: dict, row: dict) -> None:
    """One picture of a batch: on one of the canvases, nothing and no box outside of it."""
    (height, width), shape = row["image_size"], row["images"].shape
    assert shape[:2] in [canvas(values, is_portrait) for is_portrait in (False, True)]
    assert not row["images"][height:].any() and not row["images"][:, width:].any()
    boxes = row["boxes"][row["valid"]]
    assert (boxes >= 0).all() and (boxes <= np.tile((height, width), 2) + 1e-3).all()


SECTIONS = {"train_data": "inputs", "validation_data": "validation_inputs"}


def _check_order(data: dict, numbers: list) -> None:
    """Full batches; as they stand in one file where one picture at a time is held for shuffling, else not."""
    assert all(len(each) == data["global_batch_size"] for each in numbers)
    first = [number for each in numbers[:2] for number in each]
    if data["input_path"]:
        assert (first == [1, 2, 3, 4]) == (data["shuffle_buffer_size"] == 1)


def canvas(values: dict, is_portrait: bool) -> tuple[int, int]:
    """Sides are multiples of 32."""
    short, long = (-(-values[f"task.input_size.{side}_side"] // 32) * 32 for side in ("shorter", "longer"))
    return (long, short) if is_portrait else (short, long)


def resized(values: dict, size, shorter_side: int, longer_side: int) -> tuple[int, int]:
    """Height and width of a picture: the shorter side becomes one number, unless the longer would exceed the other."""
    scale = min(shorter_side / min(size), longer_side / max(size))
    return tuple(round(side * scale) for side in size)


def _check_example(values: dict, data: dict, row: dict) -> bool:
    """One picture of a batch; whether it is mirrored."""
    picture = _picture(data, int(row["image_id"]))
    whole = canvas(values, picture.size[0] > picture.size[1])
    size = tuple(row["image_size"])
    sides = data.get("shorter_sides") or [values["task.input_size.shorter_side"]]
    fitting = [resized(values, picture.size, side, values["task.input_size.longer_side"]) for side in sides]
    assert size in (fitting if values["task.input_size.keep_aspect"] else [whole])
    assert row["images"].shape == (*whole, 3) and tuple(row["original_size"]) == picture.size
    is_mirrored = _mirrored(row["images"], size, picture, values)
    boxes = picture.boxes.copy()
    if is_mirrored:
        boxes[:, [1, 3]] = picture.size[1] - boxes[:, [3, 1]]
    boxes *= np.tile(np.array(size) / picture.size, 2)
    count = len(boxes)
    valid = np.all(boxes[:, 2:] - boxes[:, :2] >= 1, axis=1)
    assert len(row["boxes"]) == data["max_instances"] and not row["valid"][count:].any()
    np.testing.assert_allclose(row["boxes"][:count], boxes, atol=1e-4)
    np.testing.assert_array_equal(row["valid"][:count], valid)
    np.testing.assert_array_equal(row["classes"][:count], picture.classes)
    assert row["left_out"] == np.sum(~valid)
    return is_mirrored


def _mirrored(image: np.ndarray, size, picture, values: dict) -> bool:
    """Whether an image as the network sees it is a mirrored picture; asserts that it is that or the picture itself."""
    is_mirrored = not np.allclose(image[0, 0], _colour(picture.colours[0], values), atol=1)
    left, right = picture.colours[:: -1 if is_mirrored else 1]
    middle = size[1] // 2
    _check_halves(image, size, _colour(left, values), _colour(right, values), middle)
    return is_mirrored


def _check_halves(image, size, left, right, middle: int) -> None:
    """Two colours, but for what resizing does where they meet, and nothing outside."""
    height, width = size
    assert (
        np.abs(image[:height, : middle - 4] - left).max() < 1
        and np.abs(image[:height, middle + 4 : width] - right).max() < 1
    )
    assert not image[height:].any() and not image[:, width:].any()


def _colour(rgb: np.ndarray, values: dict) -> np.ndarray:
    return formulas.normalised(rgb.astype(float)[None, None], (1, 1), values)[0, 0]


def _check_views(values: dict, data: dict, columns: dict) -> None:
    """The further sizes of test-time augmentation, on a canvas of their own each."""
    augmentation, size = formulas.part(values, "task.test_augmentation."), formulas.part(values, "task.input_size.")
    short, long = size["shorter_side"], size["longer_side"]
    ratios = augmentation["ratios"] or [side / short for side in augmentation["shorter_sides"]]
    sides = [(round(ratio * short), round(ratio * long)) for ratio in ratios] if augmentation["enabled"] else []
    for numbers, views in zip(columns["image_id"], columns["views"]):
        assert len(views) == len(sides)
        for view, (shorter, longer) in zip(views, sides):
            for index, number in enumerate(numbers):
                picture = _picture(data, int(number))
                expected = resized(values, picture.size, shorter, longer)
                assert tuple(view["image_size"][index]) == expected
                _check_halves(view["image"][index].astype(int), expected, *picture.colours, expected[1] // 2)
