"""Detections in the forms of other tools, read back by what people read them with."""

import csv
import json
import sys

import globox
import numpy as np
import pandas
import pytest
import supervision
from in_process import call
from PIL import Image
from pycocotools.coco import COCO
from small_run import CLASSES, IDS, NAMES, build_model, write_run

import fsaf_tf
from fsaf_tf.cli import predict
from fsaf_tf.detect import forms, predict_files
from fsaf_tf.errors import UserError

SIZES = {"a.png": (60, 90), "deep/b.jpg": (96, 48), "c.jpeg": (64, 64)}  # height, width
ALL = tuple(forms.FORMS)
THRESHOLD = 0.65


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), build_model())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number, (name, size) in enumerate(SIZES.items()):
        (folder / name).parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(noise).save(folder / name)
    images = [{"id": 70 + number, "file_name": name} for number, name in enumerate(SIZES)]
    (folder / "images.json").write_text(json.dumps({"images": images}))
    return folder


@pytest.fixture(scope="module")
def output(run, pictures, tmp_path_factory):
    """What the tool writes of the three pictures, with the ids of `images.json`."""
    folder = tmp_path_factory.mktemp("out")
    flags = ["--recursive", f"--score_threshold={THRESHOLD}", f"--forms={','.join(ALL)}"]
    flags += [f"--image_ids={pictures}/images.json"]
    with pytest.MonkeyPatch.context() as patch:
        assert call(predict, patch, f"--model={run}", f"--images={pictures}", f"--output={folder}", *flags) == 0
    return folder


@pytest.fixture(scope="module")
def results(output):
    """`detections.json`, by file name."""
    rows = json.loads((output / "detections.json").read_text())
    found = {name: [row for row in rows if row["file_name"] == name] for name in SIZES}
    assert sum(map(len, found.values())) == len(rows) and all(found.values())
    assert {row["image_id"] for row in rows} == {70, 71, 72}
    assert {row["score"] >= THRESHOLD for row in rows} == {True, False}
    return found


def test_coco_has_all_detections_with_images_and_categories(output, results):
    found = COCO(output / "coco.json")
    assert found.loadCats(found.getCatIds()) == [{"id": i, "name": name} for name, i in zip(NAMES, IDS)]
    sizes = {row["file_name"]: (row["height"], row["width"]) for row in found.loadImgs(found.getImgIds())}
    assert sizes == SIZES and sorted(found.getImgIds()) == [70, 71, 72]
    rows = found.loadAnns(found.getAnnIds())
    expected = [row for name in SIZES for row in results[name]]
    for key in ("image_id", "category_id", "score"):
        assert sorted(row[key] for row in rows) == sorted(row[key] for row in expected)
    by_place = {(row["image_id"], row["score"], row["category_id"]): row for row in rows}
    for row in expected:
        own = by_place[row["image_id"], row["score"], row["category_id"]]
        np.testing.assert_allclose(own["bbox"], row["bbox"], atol=0.002)
        assert own["area"] == pytest.approx(own["bbox"][2] * own["bbox"][3], abs=0.01) and own["iscrowd"] == 0
    assert len({row["id"] for row in rows}) == len(rows)
    assert found.loadRes(str(output / "detections.json")).getAnnIds()  # and evaluates beside it


def test_csv_has_a_row_each(output, results):
    with open(output / "detections.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == forms.CSV_COLUMNS
    for name, (height, width) in SIZES.items():
        own = [row for row in rows if row["filename"] == name]
        assert {(int(row["height"]), int(row["width"])) for row in own} == {(height, width)}
        assert [row["class"] for row in own] == [NAMES[IDS.index(row["category_id"])] for row in results[name]]
        boxes = [[float(row[key]) for key in ("xmin", "ymin", "xmax", "ymax")] for row in own]
        np.testing.assert_allclose(boxes, corners(results[name]), atol=0.002)
        assert [float(row["score"]) for row in own] == [row["score"] for row in results[name]]
    table = pandas.read_csv(output / "detections.csv")
    assert len(table) == len(rows) and table["score"].dtype == float


def corners(rows) -> np.ndarray:
    """x1, y1, x2, y2 of COCO's results."""
    boxes = np.array([row["bbox"] for row in rows])
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


@pytest.fixture(scope="module")
def drawn(results):
    """Class index and corners of the detections that have the score to be drawn."""
    kept = {name: [row for row in rows if row["score"] >= THRESHOLD] for name, rows in results.items()}
    return {name: ([IDS.index(row["category_id"]) for row in rows], corners(rows)) for name, rows in kept.items()}


def test_yolo_has_a_text_of_each_picture(output, drawn):
    for name, (height, width) in SIZES.items():
        text = (output / "yolo" / "labels" / name).with_suffix(".txt").read_text()
        rows = np.array([[float(value) for value in line.split(" ")] for line in text.splitlines()])
        indices, boxes = drawn[name]
        assert rows[:, 0].tolist() == indices
        centres, sides = rows[:, 1:3] * [width, height], rows[:, 3:] * [width, height]
        found = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
        np.testing.assert_allclose(found, boxes, atol=0.002)
    assert (output / "yolo" / "classes.txt").read_text().splitlines() == NAMES
    assert (output / "yolo" / "data.yaml").read_text() == 'nc: 3\nnames: ["cat", "dog", "bird"]\n'


def test_yolo_by_globox(output, drawn):
    for name, (height, width) in SIZES.items():
        path = (output / "yolo" / "labels" / name).with_suffix(".txt")
        found = globox.Annotation.from_yolo_v5(path, image_size=(width, height)).boxes
        indices, boxes = drawn[name]
        assert [int(box.label) for box in found] == indices
        np.testing.assert_allclose([box.ltrb for box in found], boxes, atol=0.002)


def test_labelme_has_a_json_of_each_picture(output, pictures, drawn):
    for name, (height, width) in SIZES.items():
        path = (output / "labelme" / name).with_suffix(".json")
        content = json.loads(path.read_text())
        assert (path.parent / content["imagePath"]).resolve() == (pictures / name).resolve()
        assert (content["imageHeight"], content["imageWidth"], content["imageData"]) == (height, width, None)
        indices, boxes = drawn[name]
        assert [shape["label"] for shape in content["shapes"]] == [NAMES[index] for index in indices]
        assert {shape["shape_type"] for shape in content["shapes"]} == {"rectangle"}
        np.testing.assert_allclose([sum(shape["points"], []) for shape in content["shapes"]], boxes, atol=0.002)


def test_labelme_by_globox(output, drawn):
    found = globox.AnnotationSet.from_labelme(output / "labelme", recursive=True)
    boxes = np.concatenate([np.array([box.ltrb for box in each.boxes]) for each in found])
    expected = np.concatenate([each for _, each in drawn.values()])
    np.testing.assert_allclose(np.sort(boxes, axis=0), np.sort(expected, axis=0), atol=0.002)


def test_supervision_by_one_call(run, pictures, monkeypatch):
    found = fsaf_tf.load_detector(run)(predict_files.read_image(pictures / "a.png"))
    detections = fsaf_tf.to_supervision(found)
    assert isinstance(detections, supervision.Detections) and len(detections) == len(found["scores"]) > 0
    np.testing.assert_array_equal(detections.xyxy, found["boxes"][:, [1, 0, 3, 2]])
    assert detections.data["class_name"].tolist() == found["names"]
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UserError, match="pip install supervision"):
        fsaf_tf.to_supervision(found)


def test_a_picture_without_detections_has_its_files(tmp_path):
    none = {"boxes": np.zeros([0, 4]), "scores": np.zeros([0]), "classes": np.zeros([0], int)}
    with forms.writer(ALL, str(tmp_path), CLASSES, 0.3) as add:
        add(forms.Found("in/a.png", "a.png", 1, 10, 20, none))
    assert (tmp_path / "yolo" / "labels" / "a.txt").read_text() == ""
    assert json.loads((tmp_path / "labelme" / "a.json").read_text())["shapes"] == []
    content = json.loads((tmp_path / "coco.json").read_text())
    assert content["annotations"] == [] and len(content["images"]) == 1
    assert (tmp_path / "detections.csv").read_text() == ",".join(forms.CSV_COLUMNS) + "\n"


def test_boxes_end_within_the_picture(tmp_path):
    over = {"boxes": np.array([[-2.0, 3.0, 11.0, 25.0]]), "scores": np.ones([1]), "classes": np.zeros([1], int)}
    with forms.writer(["labelme"], str(tmp_path), CLASSES, 0.3) as add:
        add(forms.Found("in/a.png", "a.png", 1, 10, 20, over))
    (shape,) = json.loads((tmp_path / "labelme" / "a.json").read_text())["shapes"]
    assert shape["points"] == [[3.0, 0.0], [20.0, 10.0]]


def test_an_error_leaves_the_wholes_of_before(tmp_path):
    for name in (forms.COCO, forms.CSV):
        (tmp_path / name).write_text("of before")
    with pytest.raises(OSError, match="the disk"), forms.writer(("coco", "csv"), str(tmp_path), CLASSES, 0.3):
        raise OSError("the disk")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        (forms.COCO, forms.CSV), "of before"
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--forms=coco,voc"], "--forms has 'voc'; there are coco, yolo, csv, labelme"),
        (["--video=x.mp4", "--forms=coco"], "--forms is for --images"),
        (["--image_ids=PICTURES/images.json", "--camera=0"], "--image_ids is for --images"),
        (["--image_ids=PICTURES/a.png", "--images=PICTURES"], "a.png:1: byte 0 is not of utf-8"),
    ],
)
def test_wrong_flags(run, pictures, tmp_path, monkeypatch, flags, message):
    flags = [flag.replace("PICTURES", str(pictures)) for flag in flags]
    flags += [f"--images={pictures}"] * (flags[0] == "--forms=coco,voc")
    assert message in call(predict, monkeypatch, f"--model={run}", f"--output={tmp_path}/out", *flags)


def test_files_of_the_user_are_kept(run, pictures, tmp_path, monkeypatch):
    (tmp_path / "coco.json").write_text("{}")
    flags = [f"--model={run}", f"--images={pictures}/a.png", f"--output={tmp_path}", "--forms=coco"]
    assert f"{tmp_path}/coco.json is there and was not written by this tool" in call(predict, monkeypatch, *flags)


def test_two_pictures_of_one_name(tmp_path):
    with pytest.raises(UserError, match=r"a.jpg and a.png would both be .*/yolo/labels/a.txt"):
        forms.paths(["yolo"], str(tmp_path), ["a.jpg", "a.png"])
    assert forms.paths(["coco"], "out", ["a.jpg", "a.png"]) == ["out/coco.json"]


def test_pictures_that_the_file_of_ids_does_not_have(pictures, tmp_path):
    file = f"{pictures}/images.json"
    with pytest.raises(UserError, match=r"images.json has no .*other.png \(1 of 2 pictures\)"):
        predict_files.read_image_ids(file, [f"{pictures}/a.png", f"{tmp_path}/other.png"])
    with pytest.raises(UserError, match="are both a.png of"):
        predict_files.read_image_ids(file, [f"{pictures}/a.png", f"{tmp_path}/a.png"])
