"""TFRecord files in the Garden's keys."""

import json
import pathlib
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from official.vision.dataloaders import tf_example_decoder

from fsaf_tf.config import schema
from fsaf_tf.data import images, pipeline, records
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.examples import Order, named_errors
from fsaf_tf.data.source import open_source
from fsaf_tf.errors import UserError

BOXES = [[0.1, 0.2, 0.5, 0.4], [0.0, 0.0, 1.0, 1.0]]  # ymin, xmin, ymax, xmax


def record(boxes=BOXES, labels=(3, 7), source_id="17", size=(20, 40), **extra) -> bytes:
    """A `tf.train.Example` as the Garden's tools write it; `extra` keys replace or add features."""
    columns = np.reshape(boxes, [-1, 4]).T
    sides = zip(("ymin", "xmin", "ymax", "xmax"), columns)
    values = {
        "image/encoded": tf.io.encode_png(np.full((*size, 3), 50, np.uint8)).numpy(),
        "image/source_id": source_id.encode(),
        "image/filename": b"a.png",
        **{f"image/object/bbox/{side}": column for side, column in sides},
        "image/object/class/label": list(labels),
        **{key.replace("__", "/"): value for key, value in extra.items()},
    }
    return tf.train.Example(
        features=tf.train.Features(feature={k: _feature(v) for k, v in values.items()})
    ).SerializeToString()


def _feature(value) -> tf.train.Feature:
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    if isinstance(value, np.ndarray):
        return tf.train.Feature(float_list=tf.train.FloatList(value=value))
    if all(isinstance(item, int) for item in value):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=value))
    return tf.train.Feature(float_list=tf.train.FloatList(value=value))


def write(folder, *shards: list[bytes], labels=None) -> str:
    """Writes shards and label map; gives their glob."""
    for index, shard in enumerate(shards):
        with tf.io.TFRecordWriter(str(folder / f"x-{index}.tfrecord")) as writer:
            for item in shard:
                writer.write(item)
    names = {"3": "dog", "7": "cat", "90": "owl"} if labels is None else labels
    (folder / "label_map.json").write_text(json.dumps(names))
    return str(folder / "x-*.tfrecord")


EXTRA = {"image__object__is_crowd": [1, 0], "image__object__area": [12.5, 700.0]}


def test_what_is_read(tmp_path):
    path = write(tmp_path, [record(**EXTRA), record([], [], "5")], [record(labels=[90, 3], source_id="08")])
    source = records.open_records(path, "", upright=False)
    assert source.num_images == 3
    assert source.classes == Classes(("dog", "cat", "owl"), (3, 7, 90))
    first, empty, last = source.examples().as_numpy_iterator()
    np.testing.assert_allclose(first["boxes"], [[2, 8, 10, 16], [0, 0, 20, 40]], rtol=1e-6)
    assert first["image_id"] == 17 and first["size"].tolist() == [20, 40]
    assert first["classes"].tolist() == [0, 1] and first["crowd"].tolist() == [True, False]
    assert first["area"].tolist() == [12.5, 700]
    assert empty["boxes"].shape == (0, 4) and empty["crowd"].shape == empty["area"].shape == (0,)
    assert last["image_id"] == 8 and last["classes"].tolist() == [2, 0] and not last["crowd"].any()
    np.testing.assert_allclose(last["area"], [64, 800], rtol=1e-6)


def test_the_gardens_decoder_reads_the_same(tmp_path):
    data = record(**EXTRA)
    theirs = tf_example_decoder.TfExampleDecoder().decode(tf.constant(data))
    ours = next(records.open_records(write(tmp_path, [data]), "", upright=False).examples().as_numpy_iterator())
    np.testing.assert_allclose(ours["boxes"], theirs["groundtruth_boxes"] * [20.0, 40, 20, 40], rtol=1e-6)
    assert np.array_equal(np.array([3, 7, 90])[ours["classes"]], theirs["groundtruth_classes"])
    assert np.array_equal(ours["crowd"], theirs["groundtruth_is_crowd"])
    assert np.array_equal(ours["area"], theirs["groundtruth_area"])
    assert np.array_equal(tf.io.decode_image(ours["image_bytes"]), theirs["image"])


def test_ground_truth(tmp_path):
    source = records.open_records(write(tmp_path, [record(**EXTRA), record([], [], "5")]), "", upright=False)
    truth = source.ground_truth()
    assert [(image["id"], image["height"], image["width"]) for image in truth["images"]] == [(17, 20, 40), (5, 20, 40)]
    assert [item["category_id"] for item in truth["annotations"]] == [3, 7]
    np.testing.assert_allclose(truth["annotations"][0]["bbox"], [8, 2, 8, 8], rtol=1e-6)
    assert [(item["id"], item["iscrowd"], item["area"]) for item in truth["annotations"]] == [(1, 1, 12.5), (2, 0, 700)]
    assert truth["categories"][2] == {"id": 90, "name": "owl"}


def test_image_id_twice_is_an_error_of_the_ground_truth(tmp_path):
    source = records.open_records(write(tmp_path, [record()], [record()]), "", upright=False)
    with pytest.raises(
        UserError, match="image id 17 stands twice: .*x-0.tfrecord record 0 .* and .*x-1.tfrecord record 0"
    ):
        source.ground_truth()


def test_ids_that_are_no_numbers(tmp_path):
    shards = [record(source_id=text) for text in ("a", "b", "", "123456789012345678901")]
    source = records.open_records(write(tmp_path, shards), "", upright=False)
    ids = [int(example["image_id"]) for example in source.examples()]
    assert len(set(ids)) == 4 and min(ids) >= 0


WRONG = {
    "unknown id": (record(labels=[3, 4]), "the label map has no category id 4"),
    "one label too few": (record(labels=[3]), "not a box a label"),
    "crowd of one": (record(image__object__is_crowd=[1]), "not one value of image/object/is_crowd a label"),
    "not finite": (
        record([[0.5, float("nan"), 0.6, 0.3]] * 2),
        "the box .*nan.* px is no box: its numbers are not finite",
    ),
    "no image": (record(image__encoded=b""), "cannot be read: an empty file"),
}


@pytest.fixture(scope="module")
def messages(tmp_path_factory):
    """The error of each wrong record: one pipeline goes on past failed checks."""
    path = write(tmp_path_factory.mktemp("wrong"), [data for data, _ in WRONG.values()])
    examples, found = iter(records.open_records(path, "", upright=False).examples()), {}
    for case in WRONG:
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            next(examples)
        found[case] = str(images.user_error(error.value))
    return found


@pytest.mark.parametrize("case", WRONG)
def test_bad_record_is_named(messages, case):
    number = list(WRONG).index(case)
    assert re.search(f"x-0.tfrecord record {number} a.png.*{WRONG[case][1]}", messages[case])


@pytest.mark.parametrize(
    "data", [b"\xff\xfe", record()[:-9], record(image__encoded=[1, 2])], ids=["none", "cut", "type"]
)
def test_what_is_no_example_is_named(tmp_path, data):
    path = write(tmp_path, [record(source_id="1"), data])
    words = "x-0.tfrecord record 1 : no tf.train.Example, or a key of it has values of another type than it should"
    with pytest.raises(UserError, match=words):
        records.open_records(path, "", upright=False).ground_truth()


def test_an_example_at_which_tensorflow_dies_is_named(tmp_path):
    """Its checksum is right; TensorFlow's parser of examples, given it alone, ends the process."""
    path = write(tmp_path, [record()])
    shutil.copy(pathlib.Path(__file__).parent / "damaged_example.tfrecord", tmp_path / "x-0.tfrecord")
    with pytest.raises(UserError, match="x-0.tfrecord record 0 : no tf.train.Example"):
        records.open_records(path, "", upright=False).ground_truth()


def test_bad_record_is_a_user_error_of_the_ground_truth(tmp_path):
    with pytest.raises(UserError, match="record 0 a.png: the label map has no category id 4"):
        records.open_records(write(tmp_path, [record(labels=[3, 4])]), "", upright=False).ground_truth()


def test_boxes_over_the_border_are_clipped_and_bad_ones_left_out(tmp_path):
    boxes = [[-0.1, 0.5, 0.5, 1.00001], [0.1, 1.1, 0.2, 1.3], [0.5, 0.1, 0.2, 0.3], [0.5, 0.5, 0.5, 0.7]]
    source = records.open_records(write(tmp_path, [record(boxes, labels=(3, 7, 7, 7))]), "", upright=False)
    example = next(iter(source.examples()))
    np.testing.assert_allclose(example["boxes"], [[0, 20, 10, 40], [10, 20, 10, 28]], rtol=1e-6)
    assert example["classes"].numpy().tolist() == [0, 1] and example["area"].shape == example["crowd"].shape == (2,)
    np.testing.assert_allclose(next(iter(source.given()))["boxes"] / [20, 40, 20, 40], boxes, rtol=1e-5)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({}, "not a label map"),
        ({"a": "dog"}, "not a label map"),
        ({"1": 2}, "not a label map"),
        (["dog"], "not a label map"),
        ({"1": "dog", "2": "dog"}, "an id or a name stands twice"),
    ],
)
def test_label_maps_that_are_none(tmp_path, labels, words):
    path = write(tmp_path, [record()], labels=labels)
    with pytest.raises(UserError, match=f"label_map.json: {words}"):
        records.open_records(path, "", upright=False)


PBTXT = """# the classes
item {
  id: 3
  name: 'dog'
}
item: <name: "/m/7" display_name: "cat \\"tom\\"", id: 7 keypoints { id: 1 label: "nose" }>
item { name: 'none_of_the_above' id: 0 display_name: 'background' }
item { id: 90 name: "owl" }
"""


def test_a_label_map_of_the_object_detection_api(tmp_path):
    path = write(tmp_path, [record()])
    (tmp_path / "label_map.json").unlink()
    (tmp_path / "parts.pbtxt").write_text(PBTXT)
    source = records.open_records(path, "", upright=False)
    assert source.classes == Classes(("dog", 'cat "tom"', "owl"), (3, 7, 90))
    assert [len(example["boxes"]) for example in source.examples()] == [2]
    (tmp_path / "other.pbtxt").write_text(PBTXT)
    with pytest.raises(UserError, match=r"other.pbtxt and .*parts.pbtxt: which is the label map\? Set label_map"):
        records.open_records(path, "", upright=False)
    assert records.open_records(path, f"{tmp_path}/parts.pbtxt", upright=False).classes == source.classes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("item {\n id: 1\n name: 'a'\n", "parts.pbtxt:1: this item has no end"),
        ("item {\n id: 1\n}\n", "parts.pbtxt:1: an item needs an `id`, a whole number, and a `name`"),
        ("\nitem { id: x name: 'a' }", "parts.pbtxt:2: an item needs an `id`"),
        ("item id: 1", "parts.pbtxt:1: an item without braces"),
        ("items { id: 1 name: 'a' }", "parts.pbtxt:1: no `item"),
        ("item { id: 1 name: 'a }", "parts.pbtxt:1: no label map: "),
        ("item { id: 1 name: 'a' }\nitem { id: 1 name: 'b' }", "an id or a name stands twice"),
        ("", "not a label map"),
    ],
)
def test_pbtxt_that_is_none(tmp_path, text, words):
    path = write(tmp_path, [record()])
    (tmp_path / "label_map.json").unlink()
    (tmp_path / "parts.pbtxt").write_text(text)
    with pytest.raises(UserError, match=re.escape(words)):
        records.open_records(path, "", upright=False)


def test_what_the_object_detection_api_marks_is_a_crowd(tmp_path):
    marked = {"image__object__difficult": [1, 0], "image__object__group_of": [0, 0], "image__object__is_crowd": [0, 0]}
    path = write(tmp_path, [record(**marked), record(image__object__group_of=[0, 1]), record()])
    crowds = [example["crowd"].numpy().tolist() for example in records.open_records(path, "", upright=False).examples()]
    assert crowds == [[True, False], [False, True], [False, False]]
    with pytest.raises(UserError, match="not one value of image/object/difficult a label"):
        short = write(tmp_path, [record(image__object__difficult=[1])])
        list(named_errors(records.open_records(short, "", upright=False).examples()))


def test_label_map_by_key_and_missing(tmp_path):
    path = write(tmp_path, [record()])
    (tmp_path / "label_map.json").rename(tmp_path / "names.json")
    with pytest.raises(UserError, match="label_map.json: there is no such label map; write"):
        records.open_records(path, "", upright=False)
    assert records.open_records(path, str(tmp_path / "names.json"), upright=False).classes.names == (
        "dog",
        "cat",
        "owl",
    )


def test_no_files_and_cut_files(tmp_path):
    with pytest.raises(UserError, match="no file matches"):
        records.open_records(str(tmp_path / "x-*"), "", upright=False)
    path = write(tmp_path, [record(), record()])
    file = tmp_path / "x-0.tfrecord"
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(UserError, match="x-0.tfrecord: cut off, or no TFRecord file: record 1 ends"):
        records.open_records(path, "", upright=False)
    file.write_bytes(b"")
    with pytest.raises(UserError, match="the files hold no records"):
        records.open_records(path, "", upright=False)


def test_shuffled_files(tmp_path):
    path = write(tmp_path, *([record(source_id=f"{shard}{i}") for i in range(3)] for shard in range(1, 9)))
    source = records.open_records(path, "", upright=False)
    fixed = [int(example["image_id"]) for example in source.examples()]
    assert fixed == [10 * shard + i for shard in range(1, 9) for i in range(3)]
    shuffled = [int(example["image_id"]) for example in source.examples(Order(seed=1)).repeat(2)]
    assert sorted(shuffled[:24]) == sorted(shuffled[24:]) == fixed
    assert shuffled[:24] != shuffled[24:]


@pytest.mark.parametrize(
    "values",
    [
        {"shuffle_buffer_size": 6},
        {"shuffle_buffer_size": 1, "repeat_rare": 1.0},
        {"shuffle_buffer_size": 1, "augmentation": {"mosaic": 1.0}},
    ],
    ids=str,
)
def test_what_is_drawn_of_one_file_follows_the_seed(values, tmp_path):
    """The order of files cannot: the buffer's draws do, how often images of rare classes come, and what is mixed."""
    rare = [record(labels=[7, 7] if number % 3 == 0 else [3, 3], source_id=str(number)) for number in range(12)]
    write(tmp_path, rare)
    drawn = []
    for seed in (1, 2):
        config = schema.TrainData(max_instances=8, seed=seed, random_flip=False)
        config.override({"input_path": f"{tmp_path}/x-0.tfrecord", "label_map": f"{tmp_path}/label_map.json", **values})
        size = schema.InputSize(shorter_side=32, longer_side=64)
        dataset = pipeline.build_dataset(open_source(config), config, size, batch_size=2)
        batches = list(dataset.take(6).as_numpy_iterator())
        drawn.append([batch[key].tolist() for batch in batches for key in ("image_id", "boxes")])
    assert drawn[0] != drawn[1]
