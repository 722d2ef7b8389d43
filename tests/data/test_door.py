"""The door: forms told apart by what is in them, classes matched by name, and every tool that takes annotations."""

import json

import form_files
import form_writers
import numpy as np
import pytest
import tensorflow as tf
import test_voc
import test_yolo
from annotation_files import scene

from fsaf_tf.config import schema
from fsaf_tf.data import coco_json
from fsaf_tf.data.examples import with_classes
from fsaf_tf.data.readers import door
from fsaf_tf.data.source import matched, open_source
from fsaf_tf.errors import UserError


@pytest.fixture
def voc(tmp_path):
    return test_voc.make(tmp_path / "voc")


@pytest.fixture
def yolo(tmp_path):
    return test_yolo.make(tmp_path / "yolo")


@pytest.mark.parametrize("name", ["parts", "parts.json", "parts.txt", "parts.csv"])
def test_the_ending_of_a_file_says_nothing(tmp_path, name):
    form_files.pictures(tmp_path / "images")
    (tmp_path / name).write_text(test_voc.xml("a.png"))
    source = form_files.opened(tmp_path / name, tmp_path / "images")
    assert source.form == "Pascal VOC, 1 file" and form_files.boxes_of(source) == form_files.EXPECTED[:2]


def test_a_folder_of_two_forms_is_refused(voc):
    (voc / "Annotations" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(UserError, match="1 file of YOLO and 3 files of Pascal VOC lie there; give a folder with one"):
        form_files.opened(voc / "Annotations", voc / "JPEGImages")


def test_a_readme_is_no_form(voc):
    (voc / "Annotations" / "README.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (voc / "Annotations" / "notes.json").write_text("{}")
    assert form_files.boxes_of(form_files.opened(voc)) == form_files.EXPECTED


def test_cvat_s_file_in_a_folder_is_named(tmp_path):
    (tmp_path / "annotations.xml").write_text("<?xml version='1.0'?>\n<annotations></annotations>")
    with pytest.raises(UserError, match="annotations.xml is CVAT's XML of many pictures; give that file"):
        form_files.opened(tmp_path, tmp_path)


def test_coco_json_tells_no_folder(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(UserError, match=r"x.json: nothing beside it tells where its pictures are; set image_dir"):
        form_files.opened(tmp_path / "x.json")
    with pytest.raises(UserError, match="y.txt: there is no such annotation file"):
        form_files.opened(tmp_path / "y.txt")


def test_a_list_that_lies_elsewhere_is_named(tmp_path):
    (tmp_path / "train.txt").write_text("a\nb\n")
    with pytest.raises(UserError, match="it looks like a list of names: Pascal VOC's lies in ImageSets, beside Annot"):
        form_files.opened(tmp_path / "train.txt", tmp_path)


def test_pictures_without_boxes_alone(voc):
    for name in ("a", "b"):
        (voc / "Annotations" / f"{name}.xml").unlink()
    with pytest.raises(
        UserError, match=r"no box is in it \(Pascal VOC, 1 file\): a training and an evaluation need one"
    ):
        form_files.opened(voc)


def test_the_same_file_is_read_the_same_twice(voc, yolo):
    for path in (voc, yolo / "data.yaml"):
        one, two = (form_files.opened(path).ground_truth() for _ in range(2))
        assert one == two and [image["id"] for image in one["images"]] == [1, 2, 3]


def without(voc, label: str) -> None:
    """Renames the boxes of one class to those of the other."""
    other = {"nut": "bolt", "bolt": "nut"}[label]
    for path in (voc / "Annotations").glob("*.xml"):
        path.write_text(path.read_text().replace(f"<name>{label}<", f"<name>{other}<"))


def classes_in(source) -> dict[str, set[int]]:
    """The ids of the boxes by the name of their class: of the ground truth, whose categories say what an id is."""
    truth = source.ground_truth()
    name_of = {category["id"]: category["name"] for category in truth["categories"]}
    found: dict[str, set[int]] = {}
    for annotation in truth["annotations"]:
        found.setdefault(name_of[annotation["category_id"]], set()).add(annotation["category_id"])
    return found


def test_validation_data_that_lack_a_class_are_matched_by_name(voc, yolo):
    without(voc, "bolt")
    train, validation = form_files.opened(yolo / "data.yaml"), form_files.opened(voc)
    assert validation.classes.ids == (1,) and train.classes.names == ("nut", "bolt", "washer")
    both = matched(train, validation)
    assert both.validation.classes == train.classes and classes_in(both.validation) == {"nut": {0}}
    assert set(both.validation.boxes().class_indices.tolist()) == {0}
    examples = list(both.validation.examples().as_numpy_iterator())
    assert {int(index) for example in examples for index in example["classes"]} == {0}
    assert [each.kind for each in both.validation.findings][-1] == "fewer_classes"


def test_sorted_names_are_moved_to_the_places_of_the_training(voc, yolo):
    """YOLO's 0 is nut, and VOC's 1 is bolt."""
    both = matched(form_files.opened(yolo / "data.yaml"), form_files.opened(voc))
    assert classes_in(both.validation) == {"nut": {0}, "bolt": {1}}
    names = [both.validation.classes.names[index] for index in both.validation.boxes().class_indices]
    assert names == [label for _, label, _ in scene.BOXES]


def of_coco(folder, ids: tuple[int, int]) -> str:
    images = [
        {"id": place, "file_name": name, "width": size[0], "height": size[1]}
        for place, (name, size) in enumerate(scene.PICTURES.items(), 1)
    ]
    place_of = {image["file_name"]: image["id"] for image in images}
    annotations = [
        {"id": number, "image_id": place_of[name], "category_id": ids[scene.CLASSES.index(label)], "bbox": list(box)}
        for number, (name, label, box) in enumerate(scene.BOXES, 1)
    ]
    categories = [{"id": number, "name": name} for number, name in zip(ids, scene.CLASSES)]
    path = folder / f"coco_{ids[0]}.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return str(path)


def test_names_match_ids_on_either_side_but_ids_never_other_ids(voc):
    own = form_files.opened(voc)
    first, second = (form_files.opened(of_coco(voc, ids), voc / "JPEGImages") for ids in ((7, 3), (3, 7)))
    assert classes_in(matched(first, own).validation) == {"nut": {7}, "bolt": {3}}
    assert classes_in(matched(own, first).validation) == {"nut": {2}, "bolt": {1}}
    with pytest.raises(UserError, match="with the same ids"):
        matched(first, second)
    assert not with_classes(own, first.classes, "x").by_name


def test_a_name_that_the_training_lacks_is_refused(voc, yolo):
    text = (voc / "Annotations" / "a.xml").read_text()
    (voc / "Annotations" / "a.xml").write_text(text.replace("bolt", "screw"))
    with pytest.raises(UserError, match="has other classes than the training data .* some of them with the same names"):
        matched(form_files.opened(yolo / "data.yaml"), form_files.opened(voc))


def test_a_config_names_the_split_by_what_it_is_for(yolo):
    train = open_source(schema.TrainData(annotation_file=f"{yolo}/data.yaml"))
    validation = open_source(schema.Data(annotation_file=f"{yolo}/data.yaml"))
    assert len(train.boxes()) == 3 and len(validation.boxes()) == 2


def test_ids_sizes_and_classes_alone(voc, yolo):
    assert coco_json.image_ids(str(voc)) == {"a.png": 1, "b.png": 2, "c.png": 3}
    assert coco_json.sizes(f"{yolo}/data.yaml", split="val") == [(90, 120), (120, 90), (100, 100)]
    assert coco_json.classes_of(str(voc)).names == ("bolt", "nut")
    assert door.image_dir_of(str(voc), "") == f"{voc}/JPEGImages"


def test_annotations_alone_take_the_pictures_beside_them(voc, yolo):
    assert coco_json.read(f"{yolo}/labels/train").file_names == ["a.png", "b.png", "c.png"]
    table = coco_json.read(str(voc / "Annotations"))
    assert table.form == "Pascal VOC, 3 files" and table.by_name


@pytest.mark.parametrize("form", form_writers.WRITERS)
def test_bccd_in_each_form_is_bccd(shared_data, tmp_path, form):
    root = shared_data / "bccd"
    own = form_files.opened(root / "annotations" / "instances_val.json", root / "images")
    write, tolerance = form_writers.WRITERS[form]
    path = write(json.loads((root / "annotations" / "instances_val.json").read_text()), tmp_path)
    # Of YOLO and labelme the folder is that of these pictures alone: others would be background, or not used.
    (tmp_path / "pictures").mkdir()
    for name in own.boxes().file_names:
        (tmp_path / "pictures" / name).symlink_to(root / "images" / name)
    read = with_classes(form_files.opened(path, tmp_path / "pictures"), own.classes, "bccd")
    tables = [source.boxes() for source in (own, read)]
    assert read.form and read.classes == own.classes and len(tables[1]) == len(tables[0]) == 1137
    rows = [
        sorted(
            (
                (table.file_names[image], index, *box)
                for image, index, box in zip(table.image_index, table.class_indices.tolist(), table.given_xywh.tolist())
            ),
            key=lambda row: row[0],
        )
        for table in tables
    ]
    assert [row[:2] for row in rows[0]] == [row[:2] for row in rows[1]]
    np.testing.assert_allclose([row[2:] for row in rows[1]], [row[2:] for row in rows[0]], atol=tolerance, rtol=0)
    judged = {finding.kind for finding in read.findings} - {"first_folders", "file_names"}
    assert judged <= {finding.kind for finding in own.findings}


def test_folders_of_another_file_system(yolo, voc):
    """Texts and XML alone; pictures are local, since their headers are read here."""
    for local in (*(yolo / "labels" / "train").iterdir(), yolo / "data.yaml", *(voc / "Annotations").iterdir()):
        remote = f"ram://{local}"
        tf.io.gfile.makedirs(remote.rpartition("/")[0])
        tf.io.gfile.copy(str(local), remote, overwrite=True)
    for path, images in (
        (yolo / "labels" / "train", yolo / "images" / "train"),
        (voc / "Annotations", voc / "JPEGImages"),
    ):
        source = form_files.opened(f"ram://{path}", images)
        assert form_files.boxes_of(source) == form_files.EXPECTED and source.num_images == 3
