"""TFDS data sets by name: COCO and VOC as TFDS's own builders store them, and what is said when data is not there."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.object_detection import coco as tfds_coco
from tensorflow_datasets.object_detection import voc as tfds_voc

from fsaf_tf.config import schema
from fsaf_tf.data import coco, source
from fsaf_tf.data.coco_classes import COCO
from fsaf_tf.data.examples import Order
from fsaf_tf.errors import UserError

VOC_OBJECTS = """
<object><name>{name}</name><pose>Left</pose><truncated>0</truncated><difficult>{difficult}</difficult>
<bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>
"""


def prepare(builder_class, folder, config: str, **arguments) -> None:
    """Prepares one split with TFDS's own reader of the originals, which are given in place of downloads."""
    with tfds.core.registered.skip_registration():

        class Local(builder_class):
            name = builder_class.name
            url_infos = None

            def _split_generators(self, dl_manager):
                return [tfds.core.SplitGenerator(name="validation", gen_kwargs=arguments)]

    Local(data_dir=str(folder), config=config).download_and_prepare()


def open_named(folder, name: str, split: str = "validation"):
    return source.open_source(schema.Data(tfds_name=name, tfds_split=split, tfds_data_dir=str(folder)))


def test_coco_equals_the_same_coco_read_from_json(shared_data, tmp_path):
    root = shared_data / "coco_mini"
    kinds = tfds_coco.AnnotationType
    prepare(
        tfds_coco.Coco,
        tmp_path,
        "2017",
        image_dir=str(root),
        annotation_dir=str(root),
        split_name="val2017",
        annotation_type=kinds.BBOXES,
        panoptic_dir=None,
    )
    found = open_named(tmp_path, "coco/2017")
    expected = coco.open_coco(str(root / "annotations/instances_val2017.json"), str(root / "val2017"), frame="auto")
    assert found.num_images == expected.num_images
    assert found.classes == expected.classes

    def rows(truth):
        return sorted((a["image_id"], a["category_id"], a["iscrowd"], *a["bbox"]) for a in truth["annotations"])

    def sizes(truth):
        return sorted((image["id"], image["height"], image["width"]) for image in truth["images"])

    mine, theirs = found.ground_truth(), expected.ground_truth()
    np.testing.assert_allclose(rows(mine), rows(theirs), atol=1e-3)
    assert sizes(mine) == sizes(theirs)
    example = next(found.examples().as_numpy_iterator())
    assert example["image_bytes"] == (root / "val2017" / example["file_name"].decode()).read_bytes()
    part = open_named(tmp_path, "coco/2017", "validation[:10%]")
    assert part.num_images == 21 and sum(1 for _ in part.examples(Order(seed=1))) == 21


def test_coco_ids():
    assert len(COCO) == 80 and (COCO.ids[0], COCO.ids[-1]) == (1, 90)
    assert (COCO.ids[11], COCO.names[11]) == (13, "stop sign") and (COCO.ids[62], COCO.names[62]) == (72, "tv")


def _write_voc(root):
    """A VOC 2007 of two pictures; coordinates count from 1 and include the last pixel."""
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / "VOCdevkit/VOC2007" / folder).mkdir(parents=True)
    base = root / "VOCdevkit/VOC2007"
    (base / "ImageSets/Main/val.txt").write_text("000012\n000005\n")
    objects = {
        "000005": [("cat", 0, (1, 1, 40, 30)), ("person", 1, (11, 6, 20, 10))],
        "000012": [("aeroplane", 0, (5, 5, 5, 9))],
    }
    for name, items in objects.items():
        Image.new("RGB", (40, 30)).save(base / f"JPEGImages/{name}.jpg")
        body = "".join(VOC_OBJECTS.format(name=label, difficult=hard, box=box) for label, hard, box in items)
        size = "<size><width>40</width><height>30</height></size>"
        (base / f"Annotations/{name}.xml").write_text(f"<annotation>{size}{body}</annotation>")


def test_voc(tmp_path):
    _write_voc(tmp_path)
    prepare(tfds_voc.Voc, tmp_path / "tfds", "2007", data_path=str(tmp_path), set_name="val")
    opened = open_named(tmp_path / "tfds", "voc/2007")
    assert opened.num_images == 2 and opened.classes.ids == tuple(range(1, 21))
    examples = {int(example["image_id"]): example for example in opened.examples().as_numpy_iterator()}
    assert sorted(examples) == [5, 12] and examples[5]["file_name"] == b"000005.jpg"
    whole, difficult = examples[5]["boxes"]
    np.testing.assert_allclose(whole, [0, 0, 30, 40], atol=1e-4)
    np.testing.assert_allclose(difficult, [5, 10, 10, 20], atol=1e-4)
    assert [opened.classes.names[label] for label in examples[5]["classes"]] == ["cat", "person"]
    assert examples[5]["crowd"].tolist() == [False, True]
    np.testing.assert_allclose(examples[12]["boxes"], [[4, 4, 9, 5]], atol=1e-4)
    truth = opened.ground_truth()
    by_category = {item["category_id"]: item for item in truth["annotations"]}
    assert by_category[15]["iscrowd"] == 1 and by_category[8]["iscrowd"] == 0
    np.testing.assert_allclose(by_category[15]["bbox"], [10, 5, 10, 5], atol=1e-4)


def test_data_that_is_not_there_is_one_line_with_three_ways(tmp_path):
    with pytest.raises(UserError) as error:
        open_named(tmp_path, "coco/2017")
    message = str(error.value)
    assert "\n" not in message and message.startswith(f"TFDS coco/2017 is not in {tmp_path}/coco/2017/")
    assert all(way in message for way in ("--download", "annotation_file and image_dir", "input_path"))
    assert not list(tmp_path.iterdir())


def test_unknown_names_and_splits(tmp_path):
    with pytest.raises(UserError, match="TFDS has no data set 'no_such'; coco/2017, voc/2012 and shapes"):
        open_named(tmp_path, "no_such")
    with pytest.raises(UserError, match="^TFDS cannot open 'coco/1999'"):
        open_named(tmp_path, "coco/1999")


def test_a_failed_download_is_one_line(tmp_path, monkeypatch):
    def fail(self, **_):
        raise OSError("no route\nto the moon")

    monkeypatch.setattr(tfds_coco.Coco, "download_and_prepare", fail)
    config = schema.Data(tfds_name="coco/2017", tfds_split="train", tfds_data_dir=str(tmp_path))
    with pytest.raises(UserError, match="^TFDS coco/2017 could not be prepared: OSError: no route$"):
        source.open_source(config, download=True)


def test_data_without_boxes(tmp_path):
    with tfds.core.registered.skip_registration():

        class Mnist(tfds.core.GeneratorBasedBuilder):
            """Has `image` and `label`, no objects."""

            VERSION = tfds.core.Version("3.0.1")
            url_infos = None

            def _info(self):
                features = {
                    "image": tfds.features.Image(shape=(28, 28, 1)),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
                return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

            def _split_generators(self, dl_manager):
                return {"train": iter([(0, {"image": np.zeros((28, 28, 1), np.uint8), "label": 1})])}

            def _generate_examples(self):
                raise NotImplementedError

    Mnist(data_dir=str(tmp_path)).download_and_prepare()
    with pytest.raises(UserError, match="TFDS mnist has no `image` and `objects` with `bbox` and a named `label`"):
        open_named(tmp_path, "mnist", "train")
