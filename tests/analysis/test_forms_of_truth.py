"""Ground truth in forms that have no ids: which class and which picture a detection is of."""

import json

import pytest
from PIL import Image

from fsaf_tf.analysis import inputs
from fsaf_tf.data.classes import LABELS, Classes
from fsaf_tf.detect import predict_files
from fsaf_tf.errors import UserError
from fsaf_tf.figures import write_figures

CLASSES = Classes(("nut", "bolt", "washer"), (7, 3, 5))
BOXES = {"a": ("bolt", 4, 4, 20, 20), "b": ("nut", 8, 8, 30, 28)}


@pytest.fixture
def voc(tmp_path):
    """A folder of Pascal VOC."""
    for folder in ("Annotations", "JPEGImages", "run"):
        (tmp_path / folder).mkdir()
    for name, (label, *sides) in BOXES.items():
        Image.new("RGB", (40, 32)).save(tmp_path / "JPEGImages" / f"{name}.png")
        tags = "".join(f"<{tag}>{side}</{tag}>" for tag, side in zip(("xmin", "ymin", "xmax", "ymax"), sides))
        text = f"<annotation><object><name>{label}</name><bndbox>{tags}</bndbox></object></annotation>"
        (tmp_path / "Annotations" / f"{name}.xml").write_text(text)
    CLASSES.write(f"{tmp_path}/run/{LABELS}")
    return tmp_path


def data_of(voc, image_dir=None) -> inputs.Data:
    return inputs.Data(f"{voc}/Annotations", image_dir, False)


@pytest.mark.parametrize("has_pictures", [True, False])
def test_names_have_the_ids_of_the_run(voc, has_pictures):
    data = data_of(voc)
    if not has_pictures:
        text = (
            "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,40,32,bolt,4,4,20,20\nb.png,40,32,nut,8,8,30,28\n"
        )
        (voc / "boxes.csv").write_text(text)
        data = data._replace(annotations=f"{voc}/boxes.csv")
    for where in ({"folders": [f"{voc}/run"]}, {"folders": [], "results": [f"{voc}/run/detections.json"]}):
        truth = inputs.open_ground_truth(data, **where)
        assert [row["category_id"] for row in truth.dict["annotations"]] == [3, 7]
        assert {row["id"]: row["name"] for row in truth.dict["categories"]} == {7: "nut", 3: "bolt", 5: "washer"}
        assert not truth.has_ids and (truth.source is not None) == has_pictures


def test_without_a_run_nobody_knows_the_ids(voc):
    with pytest.raises(UserError, match="Annotations has names of classes and no ids, and no labels.json beside"):
        inputs.open_ground_truth(data_of(voc), [], [f"{voc}/detections.json"])
    Classes(("nut", "washer"), (1, 2)).write(f"{voc}/run/{LABELS}")
    with pytest.raises(UserError, match="has other classes than the run in .*run"):
        inputs.open_ground_truth(data_of(voc), [f"{voc}/run"])


def test_detections_must_name_pictures_that_have_no_ids(voc):
    truth = inputs.open_ground_truth(data_of(voc), [f"{voc}/run"])
    row = {"image_id": 2, "category_id": 3, "bbox": [4, 4, 16, 16], "score": 0.5}
    (voc / "results.json").write_text(json.dumps([row]))
    with pytest.raises(UserError, match="results.json knows pictures by ids, and the annotations have none"):
        inputs.read_results(f"{voc}/results.json", truth.dict, has_ids=truth.has_ids)
    (voc / "results.json").write_text(json.dumps([{**row, "file_name": "a.png"}]))
    assert inputs.read_results(f"{voc}/results.json", truth.dict, has_ids=truth.has_ids)[0]["image_id"] == 1


def test_pictures_of_figures_have_the_classes_of_the_model(voc):
    images = [f"{voc}/JPEGImages/b.png"]
    source = write_figures.Choice(images, f"{voc}/Annotations").open(None, CLASSES)
    assert source.classes == CLASSES and not source.by_name and source.form == "Pascal VOC, 2 files"
    [example] = source.examples().as_numpy_iterator()
    assert example["classes"].tolist() == [0] and example["boxes"].tolist() == [[8, 8, 28, 30]]
    assert write_figures.Choice(images, f"{voc}/Annotations").open(None).by_name


def test_prediction_takes_the_numbers_of_the_pictures(voc):
    image = f"{voc}/JPEGImages/b.png"
    assert predict_files.read_image_ids(f"{voc}/Annotations", [image]) == {image: 2}
