"""Annotations in every form that is written, read back by what people read them with."""

import contextlib
import io
import json
import pathlib

import numpy as np
import pytest
import written
from encoded import turned
from in_process import call
from PIL import Image

from fsaf_tf.cli import data, data_write
from fsaf_tf.data import annotated, coco_json, frames
from fsaf_tf.data.writers import forms, write

LEAVE_OUT_CROWDS = ("yolo", "label_studio")
REAL = {
    "bccd": ("bccd/annotations/instances_val.json", "bccd/images"),
    "coco_mini": ("coco_mini/annotations/instances_val2017.json", "coco_mini/val2017"),
}


def convert(monkeypatch, file: str, images: str, form: str, output, *flags: str):
    more = ["--link_images"] * (form == "yolo") + list(flags)
    flags = [f"--annotations={file}", f"--images={images}", f"--form={form}", f"--output={output}", *more]
    return call(data, monkeypatch, "convert", *flags)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return written.write(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def outputs(small, tmp_path_factory):
    """The small set in all forms, and what was said of each."""
    folder, said = tmp_path_factory.mktemp("as others"), {}
    with pytest.MonkeyPatch.context() as patch:
        for form in forms.FORMS:
            stream = io.StringIO()
            with contextlib.redirect_stdout(stream):
                assert convert(patch, *small, form, folder / form) == 0
            said[form] = stream.getvalue().splitlines()
    return folder, said


def expected(table: coco_json.Annotations, form: str) -> dict[str, list[tuple]]:
    """What the form should hold, by picture."""
    boxes = {name: [] for name in table.file_names}
    for place, (x, y, width, height) in enumerate(table.boxes_xywh.tolist()):
        image = table.image_index[place]
        if table.crowd[place] and form in LEAVE_OUT_CROWDS:
            continue
        corners = np.array([x, y, x + width, y + height])
        limits = np.tile(table.sizes[image][::-1], 2)
        corners = np.clip(corners, 0, limits) if forms.FORMS[form].is_clipped else corners
        label = table.classes.names[table.class_indices[place]]
        boxes[table.file_names[image]].append((label, *corners.tolist()))
    return boxes


def assert_same(read: dict[str, list[tuple]], wanted: dict[str, list[tuple]]) -> None:
    for name, rows in wanted.items():
        found = read.get(name, [])
        assert [row[0] for row in found] == [row[0] for row in rows], name
        np.testing.assert_allclose([row[1:] for row in found], [row[1:] for row in rows], atol=1e-5)


@pytest.mark.parametrize("form", forms.FORMS)
def test_read_back_by_other_tools(form, small, outputs):
    read = written.READERS[form](outputs[0] / form, small[1])
    assert_same(read, expected(coco_json.read(small[0]), form))
    without = {"empty.png"} if not forms.FORMS[form].has_empty_pictures else set()
    # globox cannot tell a picture without lines in its text from none.
    assert set(read) == set(written.SIZES) - without


@pytest.mark.parametrize("form", forms.FORMS)
@pytest.mark.parametrize("name", REAL)
def test_real_data_read_back_by_other_tools(name, form, shared_data, tmp_path, monkeypatch):
    file, images = (str(shared_data / path) for path in REAL[name])
    assert convert(monkeypatch, file, images, form, tmp_path / form) == 0
    assert_same(written.READERS[form](tmp_path / form, images), expected(coco_json.read(file), form))


def test_the_tool_knows_the_names_of_all_forms():
    """Without importing them: help and wrong flags are told before TensorFlow is there."""
    assert tuple(forms.FORMS) == data_write.FORMS


def test_coco_json_keeps_everything(small, outputs):
    before, after = (coco_json.read(path) for path in (small[0], str(outputs[0] / "coco" / "annotations.json")))
    for name in ("image_ids", "sizes", "splits", "boxes_xywh", "class_indices", "crowd", "ignored", "area"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert before.file_names == after.file_names and before.classes == after.classes


def test_what_a_form_cannot_hold_is_said(outputs):
    words = (" has no ", " is written without ")
    said = {form: [line for line in lines if any(word in line for word in words)] for form, lines in outputs[1].items()}
    numbers = " has no ids of pictures and classes: whoever reads it numbers them anew"
    lost = "has no classes without a box: 1 are left out (no box)"
    area = "has no areas of masks: 1 become width times height"
    assert said == {
        "coco": ["COCO JSON is written without masks and polygons: 1 boxes keep their areas alone"],
        "voc": [
            "Pascal VOC has no crowds: 1 are written as difficult",
            f"Pascal VOC {area}",
            f"Pascal VOC {lost}",
            f"Pascal VOC{numbers}",
        ],
        "yolo": [
            "YOLO has no crowds: 1 are left out",
            "YOLO has no boxes to be ignored: 1 are left out",
            f"YOLO {area}",
            "YOLO has no boxes over the border: 1 end there",
            f"YOLO{numbers}",
        ],
        "labelme": [
            "labelme has no crowds: 1 get the flag ignore",
            f"labelme {area}",
            f"labelme {lost}",
            f"labelme{numbers}",
        ],
        "csv": [f"CSV {area}", f"CSV {lost}", f"CSV{numbers}"],
        "cvat": [f"CVAT XML {area}", f"CVAT XML{numbers}"],
        "via": [
            "VIA JSON has no crowds: 1 get the attribute ignore",
            f"VIA JSON {area}",
            f"VIA JSON {lost}",
            f"VIA JSON{numbers}",
        ],
        "label_studio": [
            "Label Studio JSON has no crowds: 1 are left out",
            "Label Studio JSON has no boxes to be ignored: 1 are left out",
            f"Label Studio JSON {area}",
            f"Label Studio JSON {lost}",
            f"Label Studio JSON{numbers}",
        ],
        "openimages": [
            "OpenImages CSV has no boxes to be ignored: 1 are written as groups (IsGroupOf)",
            f"OpenImages CSV {area}",
            "OpenImages CSV has no boxes over the border: 1 end there",
            "OpenImages CSV has no pictures without a box: 1 are left out",
            f"OpenImages CSV {lost}",
            f"OpenImages CSV{numbers}",
        ],
    }


def test_marks_of_boxes_that_are_not_trained_on(outputs):
    """One crowd, and one to be ignored."""
    folder = outputs[0]

    def text(*path: str) -> str:
        return folder.joinpath(*path).read_text(encoding="utf-8")

    assert "".join(path.read_text() for path in folder.glob("voc/**/*.xml")).count("<difficult>1</difficult>") == 2
    assert text("cvat", "annotations.xml").count('<attribute name="iscrowd">true</attribute>') == 1
    assert text("cvat", "annotations.xml").count('<attribute name="ignore">true</attribute>') == 1
    assert "".join(path.read_text() for path in folder.glob("labelme/**/*.json")).count('"ignore": true') == 2
    assert text("via", "annotations.json").count('"ignore": "true"') == 2
    assert written.columns(folder / "csv" / "annotations.csv")[8:] == ["iscrowd", "ignore"]
    rows = text("openimages", "annotations.csv").splitlines()
    group = written.columns(folder / "openimages" / "annotations.csv").index("IsGroupOf")
    assert sum(row.split(",")[group - 13] == "1" for row in rows[1:]) == 2  # from the end: a class has a comma


def test_the_last_line_says_what_to_give(small, outputs):
    folder, said = outputs
    shown = {form: lines[-1].removeprefix(f"annotation_file={folder}/") for form, lines in said.items()}
    beside = f", image_dir={small[1]}"
    assert shown == {
        "coco": f"coco/annotations.json{beside}",
        "voc": f"voc/Annotations{beside}",
        "yolo": f"yolo/data.yaml, image_dir={folder}/yolo/images",
        "labelme": f"labelme{beside}",
        "csv": f"csv/annotations.csv{beside}",
        "cvat": f"cvat/annotations.xml{beside}",
        "via": f"via/annotations.json{beside}",
        "label_studio": f"label_studio/annotations.json{beside}",
        "openimages": f"openimages/annotations.csv{beside}",
    }


def test_pictures_are_copied_where_the_form_has_them(small, tmp_path, monkeypatch):
    places = {"voc": "JPEGImages", "labelme": "", "coco": "images"}
    for form, place in places.items():
        assert convert(monkeypatch, *small, form, tmp_path / form, "--copy_images") == 0
        for name in written.SIZES:
            copy = tmp_path / form / place / name
            assert copy.read_bytes() == (pathlib.Path(small[1]) / name).read_bytes() and not copy.is_symlink()
    named = json.loads((tmp_path / "labelme" / "deep er" / "b.json").read_text())["imagePath"]
    assert named == "b.png"


def test_two_pictures_of_one_text_are_refused(tmp_path, monkeypatch):
    file, images = written.write(tmp_path)
    content = json.loads(pathlib.Path(file).read_text(encoding="utf-8"))
    content["images"].append({"id": 99, "file_name": "a.jpg", "height": 48, "width": 64})
    pathlib.Path(file).write_text(json.dumps(content), encoding="utf-8")
    pathlib.Path(images, "a.jpg").write_bytes(pathlib.Path(images, "a.png").read_bytes())
    error = convert(monkeypatch, file, images, "voc", tmp_path / "out")
    assert error == "error: a.png and a.jpg would both be Annotations/a.xml; give one of them another name"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out")]


def test_boxes_of_stored_pictures_need_a_form_with_sizes(tmp_path, monkeypatch):
    file, images = written.write(tmp_path)
    pathlib.Path(images, "a.png").write_bytes(turned(Image.new("RGB", (64, 48)), 6, "PNG"))
    error = convert(monkeypatch, file, images, "yolo", tmp_path / "out")
    assert "the boxes of 1 of 4 pictures are of the picture as it is stored, and not as EXIF turns it (a.png)" in error
    assert convert(monkeypatch, file, images, "voc", tmp_path / "out") == 0


def assert_same_table(before: coco_json.Annotations, after: coco_json.Annotations, form: str) -> None:
    """What the form can hold is as it was; crowds that it has no word for are to be ignored, or are not there."""
    form_of = forms.FORMS[form]
    wanted, marks = expected(before, form), {}
    for place, image in enumerate(before.image_index):
        if form not in LEAVE_OUT_CROWDS or not before.crowd[place]:
            marks.setdefault(before.file_names[image], []).append(bool(before.crowd[place]))
    if not form_of.has_empty_pictures:
        wanted = {name: rows for name, rows in wanted.items() if rows}
    assert set(after.file_names) == set(wanted)
    for place, name in enumerate(after.file_names):
        own = slice(after.splits[place], after.splits[place + 1])
        labels = [after.classes.names[index] for index in after.class_indices[own]]
        assert labels == [row[0] for row in wanted[name]], name
        corners = np.concatenate(
            [after.boxes_xywh[own, :2], after.boxes_xywh[own, :2] + after.boxes_xywh[own, 2:]], axis=1
        )
        np.testing.assert_allclose(corners, np.reshape([row[1:] for row in wanted[name]], [-1, 4]), atol=1e-5)
        assert after.crowd[own].tolist() == marks.get(name, [])
        size = before.sizes[before.file_names.index(name)]
        np.testing.assert_array_equal(after.sizes[place], size)


@pytest.mark.parametrize("form", forms.FORMS)
def test_read_back_by_our_own_reader(form, small, outputs):
    file, image_dir = outputs[1][form][-1].removeprefix("annotation_file=").split(", image_dir=")
    after = annotated.check(annotated.read(file, image_dir, frame=frames.AUTO), frame=frames.AUTO).table
    assert_same_table(coco_json.read(small[0]), after, form)
    assert forms.of_title(after.form) is forms.FORMS[form]


@pytest.mark.parametrize("form", forms.FORMS)
@pytest.mark.parametrize("name", REAL)
def test_real_data_read_back_by_our_own_reader(name, form, shared_data, tmp_path, monkeypatch):
    file, images = (str(shared_data / path) for path in REAL[name])
    assert convert(monkeypatch, file, images, form, tmp_path / form) == 0
    form_of = write.Target(str(tmp_path / form), forms.FORMS[form], write.LINK if form == "yolo" else write.LEAVE)
    after = annotated.read(form_of.annotation_file(""), form_of.image_dir("", images), frame=frames.AUTO).table
    assert_same_table(coco_json.read(file), after, form)
