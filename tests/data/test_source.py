"""Opening data by its config: the same pictures as TFDS, COCO JSON and TFRecord files are the same data."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from fsaf_tf.config import schema
from fsaf_tf.data import drawing, inspection, shapes, source
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.examples import Order
from fsaf_tf.data.kept_boxes import Sizing
from fsaf_tf.errors import UserError

SEED, PICTURES = 2, 3
CATEGORY_IDS = {name: number for number, name in enumerate(drawing.CLASS_NAMES, 1)}  # as TFDS counts them


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of `shapes` with their COCO JSON, as TFRecord files with their label map, and room for TFDS."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("images", "labels", "tfds"):
        (folder / name).mkdir()
    images, annotations = [], []
    with tf.io.TFRecordWriter(str(folder / "x.tfrecord")) as writer:
        for number in range(1, PICTURES + 1):
            pixels, objects = drawing.draw(SEED, number - 1)
            path = folder / "images" / f"{number}.png"
            Image.fromarray(pixels).save(path, compress_level=1)
            height, width, _ = pixels.shape
            images.append({"id": number, "file_name": path.name, "width": width, "height": height})
            annotations += [annotation(number, item) for item in objects]
            writer.write(record(number, path.read_bytes(), objects, (height, width)))
    categories = [{"id": number, "name": name} for name, number in CATEGORY_IDS.items()]
    annotations = [{"id": number, **item} for number, item in enumerate(annotations)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "x.json").write_text(json.dumps(content))
    (folder / "labels" / "map.json").write_text(
        json.dumps({str(number): name for name, number in CATEGORY_IDS.items()})
    )
    return folder


def annotation(image_id: int, item: dict) -> dict:
    y1, x1, y2, x2 = item["box"]
    box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": item["area"], "iscrowd": 0}
    return {"image_id": image_id, "category_id": CATEGORY_IDS[item["name"]], **box}


def record(image_id: int, encoded: bytes, objects: list[dict], size: tuple[int, int]) -> bytes:
    """A picture in the Garden's keys."""
    feature = tf.train.Feature
    floats = {
        f"image/object/bbox/{side}": [item["box"][place] / size[place % 2] for item in objects]
        for place, side in enumerate(("ymin", "xmin", "ymax", "xmax"))
    }
    floats["image/object/area"] = [float(item["area"]) for item in objects]
    labels = [CATEGORY_IDS[item["name"]] for item in objects]
    values = {
        "image/encoded": feature(bytes_list=tf.train.BytesList(value=[encoded])),
        "image/source_id": feature(bytes_list=tf.train.BytesList(value=[str(image_id).encode()])),
        "image/object/class/label": feature(int64_list=tf.train.Int64List(value=labels)),
        **{key: feature(float_list=tf.train.FloatList(value=value)) for key, value in floats.items()},
    }
    return tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString()


KINDS = {
    "tfds": {"tfds_name": "shapes", "tfds_split": "train", "tfds_data_dir": "tfds"},
    "coco": {"annotation_file": "x.json", "image_dir": "images"},
    "records": {"input_path": "*.tfrecord", "label_map": "labels/map.json"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_data_is_the_same_data(kind, folder, monkeypatch):
    monkeypatch.setattr(shapes, "SPLITS", {"train": (SEED, PICTURES), "validation": (1, 1)})
    monkeypatch.chdir(folder)
    opened = source.open_source(schema.Data(**KINDS[kind]))
    assert opened.classes == Classes(drawing.CLASS_NAMES, tuple(CATEGORY_IDS.values()))
    assert opened.num_images == PICTURES
    truth, examples = opened.ground_truth(), list(opened.examples().as_numpy_iterator())
    assert sorted(example["image_id"] for example in examples) == list(range(1, PICTURES + 1))
    for example in examples:
        pixels, objects = drawing.draw(SEED, example["image_id"] - 1)
        assert np.array_equal(tf.io.decode_png(example["image_bytes"]), pixels)
        np.testing.assert_allclose(example["boxes"], np.reshape([item["box"] for item in objects], [-1, 4]), atol=1e-3)
        assert [opened.classes.names[index] for index in example["classes"]] == [item["name"] for item in objects]
        assert example["area"].tolist() == [item["area"] for item in objects] and not example["crowd"].any()
        wanted = [annotation(example["image_id"], item) for item in objects]
        found = [item for item in truth["annotations"] if item["image_id"] == example["image_id"]]
        for key in ("category_id", "iscrowd", "area"):
            assert [item[key] for item in found] == [item[key] for item in wanted]
        np.testing.assert_allclose([item["bbox"] for item in found], [item["bbox"] for item in wanted], atol=1e-3)
    chosen = [example["file_name"] for example in opened.examples(Order(places=[0, 2])).as_numpy_iterator()]
    assert chosen == [examples[place]["file_name"] for place in (0, 2)]
    inspected = inspection.inspect(opened, Sizing(64, 96), max_detections=100, max_instances=100)
    assert inspected.is_whole and {name: count for name, (count, _) in inspected.of_classes().items()} == {
        name: sum(item["category_id"] == number for item in truth["annotations"])
        for name, number in CATEGORY_IDS.items()
    }


def test_validation_data_may_list_only_some_of_the_classes(folder, monkeypatch):
    monkeypatch.chdir(folder)
    train = source.open_source(schema.Data(**KINDS["coco"]))
    content = json.loads((folder / "x.json").read_text())
    used = {item["category_id"] for item in content["annotations"] if item["image_id"] == 1}
    content["categories"] = [item for item in content["categories"] if item["id"] in used]
    content["annotations"] = [item for item in content["annotations"] if item["category_id"] in used]
    (folder / "some.json").write_text(json.dumps(content))
    own = source.open_source(schema.Data(annotation_file="some.json", image_dir="images"))
    some = source.matched(train, own).validation
    assert some.classes == train.classes != own.classes and 0 < len(used) < len(CATEGORY_IDS)
    listed = next(finding for finding in some.findings if finding.kind == "fewer_classes")
    assert (listed.count, listed.of, listed.where) == (len(used), len(CATEGORY_IDS), "some.json")
    for before, after in zip(own.examples().as_numpy_iterator(), some.examples().as_numpy_iterator()):
        names = [[each.classes.names[k] for k in row["classes"]] for each, row in ((own, before), (some, after))]
        assert names[0] == names[1] and np.array_equal(before["boxes"], after["boxes"])
    assert [own.classes.names[k] for k in own.boxes().class_indices] == [
        some.classes.names[k] for k in some.boxes().class_indices
    ]
    truth = some.ground_truth()
    assert truth["categories"] == train.classes.categories()
    assert truth["annotations"] == own.ground_truth()["annotations"]
    assert source.matched(train, train).validation is train


def test_classes_that_disagree_are_a_short_refusal(folder, monkeypatch):
    monkeypatch.chdir(folder)
    train = source.open_source(schema.Data(**KINDS["coco"]))
    content = json.loads((folder / "x.json").read_text())
    content["categories"] = [{"id": item["id"], "name": f"other {item['name']}"} for item in content["categories"]]
    (folder / "others.json").write_text(json.dumps(content))
    others = source.open_source(schema.Data(annotation_file="others.json", image_dir="images"))
    with pytest.raises(
        UserError, match="others.json has other classes than the training data x.json: 1 other"
    ) as error:
        source.matched(train, others)
    assert str(error.value).count("other ") == 5  # "has other classes", and four names


@pytest.mark.parametrize("values", [{}, {"tfds_name": "shapes", "annotation_file": "x.json"}])
def test_exactly_one_kind_of_data(values):
    with pytest.raises(UserError, match="^data needs exactly one of "):
        source.open_source(schema.Data(**values))
