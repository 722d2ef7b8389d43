"""Pascal VOC: folders and lists, names of pictures, flags, turned boxes, and mistakes with file and line."""

import pathlib
import re

import form_files
import numpy as np
import pytest
from annotation_files import scene

from fsaf_tf.errors import UserError

SIDES = ("xmin", "ymin", "xmax", "ymax")


def xml(name: str, *, more: str = "", source: str = "", filename: str = "") -> str:
    """A file as labelImg writes it, an element a line."""
    width, height = scene.PICTURES[name]
    lines = ["<annotation>", f"<filename>{filename or name}</filename>", source]
    lines += [f"<size><width>{width}</width>", f"<height>{height}</height></size>"]
    for label, box in scene.boxes_of(name):
        lines += ["<object>", f"<name>{label}</name>", "<bndbox>"]
        lines += [f"<{side}>{value}</{side}>" for side, value in zip(SIDES, scene.corners(box))]
        lines += ["</bndbox>", more, "</object>"]
    return "\n".join([*lines, "</annotation>"])


def make(folder: pathlib.Path) -> pathlib.Path:
    """VOC's own folders."""
    form_files.pictures(folder / "JPEGImages")
    (folder / "Annotations").mkdir()
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    for name in scene.PICTURES:
        (folder / "Annotations" / name).with_suffix(".xml").write_text(xml(name))
    (folder / "ImageSets" / "Main" / "train.txt").write_text("a  1\nc -1\n")
    return folder


@pytest.fixture
def root(tmp_path):
    return make(tmp_path)


def change(root, text: str, to: str, name: str = "a") -> None:
    path = root / "Annotations" / f"{name}.xml"
    assert text in path.read_text()
    path.write_text(path.read_text().replace(text, to))


@pytest.mark.parametrize("place", ["", "Annotations"])
def test_a_folder_is_read_with_the_pictures_beside_it(root, place):
    source = form_files.opened(root / place)
    assert form_files.boxes_of(source) == form_files.EXPECTED
    assert source.classes.names == ("bolt", "nut") and source.classes.ids == (1, 2) and source.by_name
    assert source.form == f"Pascal VOC, 3 files; pictures in {root}/JPEGImages"
    assert form_files.kinds(source) == ["empty_pictures"]  # c.xml has no object


def test_a_list_names_some_of_the_files(root):
    source = form_files.opened(root / "ImageSets" / "Main" / "train.txt")
    assert source.num_images == 2 and source.form.startswith("Pascal VOC, 2 files")
    assert form_files.boxes_of(source) == form_files.EXPECTED[:2]


def test_a_list_of_files_that_are_not_there(root):
    (root / "ImageSets" / "Main" / "train.txt").write_text("a\n\nzz\ny\n")
    with pytest.raises(
        UserError, match=r"no such file in .*Annotations \(2 of 2 entries, first: train.txt:3: zz.xml\)"
    ):
        form_files.opened(root / "ImageSets" / "Main" / "train.txt")


def test_pictures_without_a_file_are_counted_and_not_used(root):
    (root / "Annotations" / "c.xml").unlink()
    source = form_files.opened(root)
    assert source.num_images == 2 and form_files.kinds(source) == ["unused_pictures"]
    assert source.findings[0].line == (
        "1 of 3 pictures of the image folder is in no annotation; they are not used (first: c.png)"
    )


@pytest.mark.parametrize("filename", ["b.png", "old/photo.jpg"])
def test_the_picture_of_a_file_has_its_name(root, filename):
    (root / "Annotations" / "a.xml").write_text(xml("a.png", filename=filename))
    source = form_files.opened(root)
    assert form_files.boxes_of(source) == form_files.EXPECTED
    [finding] = [each for each in source.findings if each.kind == "other_filename"]
    assert finding.examples == (f"a.xml: {filename}, and a.png is taken",)


def test_the_name_in_a_file_counts_where_no_picture_has_the_file_s(root):
    (root / "Annotations" / "a.xml").rename(root / "Annotations" / "label_1.xml")
    assert form_files.boxes_of(form_files.opened(root)) == form_files.EXPECTED


def test_flags_are_those_of_coco(root):
    change(root, "<bndbox>", "<difficult>1</difficult><truncated>1</truncated><occluded>1</occluded><bndbox>", "b")
    change(root, "<bndbox>", "<truncated>Unspecified</truncated><difficult>Unspecified</difficult><bndbox>", "a")
    source = form_files.opened(root)
    assert source.boxes().ignored.tolist() == [False, False, True]
    assert form_files.kinds(source) == ["ignored", "empty_pictures"]


def test_parts_of_a_person_are_no_objects(root):
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></part>"
    change(root, "</object>", f"{part}</object>")
    assert form_files.boxes_of(form_files.opened(root)) == form_files.EXPECTED


def test_turned_boxes_and_polygons(root):
    turned = "<robndbox><cx>32.5</cx><cy>82.5</cy><w>25</w><h>25</h><angle>0.7853981633974483</angle></robndbox>"
    text = (root / "Annotations" / "b.xml").read_text()
    (root / "Annotations" / "b.xml").write_text(re.sub("(?s)<bndbox>.*</bndbox>", turned, text))
    points = "<polygon><x1>10</x1><y1>10</y1><x2>40</x2><y2>10</y2><x3>40</x3><y3>30</y3></polygon>"
    text = (root / "Annotations" / "a.xml").read_text()
    (root / "Annotations" / "a.xml").write_text(re.sub("(?s)<bndbox>.*?</bndbox>", points, text, count=1))
    source = form_files.opened(root)
    assert form_files.kinds(source) == ["rotated", "from_polygon", "empty_pictures"]
    boxes = {(name, label): box for name, label, box in form_files.boxes_of(source)}
    assert boxes["a.png", "nut"] == (10, 10, 30, 20)
    side = 25 * np.sqrt(2)
    np.testing.assert_allclose(boxes["b.png", "nut"], [32.5 - side / 2, 82.5 - side / 2, side, side], atol=1e-5)


def test_voc_s_own_data_count_from_1(root):
    its_own = "<source><database>The VOC2007 Database</database><annotation>PASCAL VOC2007</annotation></source>"
    for name in scene.PICTURES:
        (root / "Annotations" / name).with_suffix(".xml").write_text(xml(name, source=its_own))
    source = form_files.opened(root)
    assert form_files.kinds(source) == ["starts_at_one", "empty_pictures"]
    shifted = [(name, label, (x - 1, y - 1, w + 1, h + 1)) for name, label, (x, y, w, h) in form_files.EXPECTED]
    assert form_files.boxes_of(source) == shifted
    change(root, "<xmin>10</xmin>", "<xmin>0</xmin>")  # they cannot be VOC's
    assert "starts_at_one" not in form_files.kinds(form_files.opened(root))


def test_other_encodings(root):
    text = xml("a.png").replace("bolt", "Größe")
    (root / "Annotations" / "a.xml").write_bytes(f'<?xml version="1.0" encoding="latin-1"?>\n{text}'.encode("latin-1"))
    assert form_files.opened(root).classes.names == ("Größe", "nut")


@pytest.mark.parametrize(
    ("text", "to", "words"),
    [
        ("<xmax>40</xmax>\n", "", "a side of a box is missing (1 of 6 entries, first: a.xml:8: no <xmax>)"),
        ("<ymax>30</ymax>", "<ymax>low</ymax>", "no finite number (1 of 6 entries, first: a.xml:12: <ymax> is 'low')"),
        ("<ymax>30</ymax>", "<ymax>nan</ymax>", "no finite number (1 of 6 entries, first: a.xml:12: <ymax> is 'nan')"),
        ("<name>nut</name>", "", "no name of a class (1 of 6 entries, first: a.xml:6)"),
        (
            "<width>120</width>",
            "<width>12.5</width>",
            "no width and height in whole pixels (1 of 4 entries, first: a.xml",
        ),
        ("</bndbox>", "", "XML that is damaged or cut off (1 of 4 entries, first: a.xml:15: mismatched tag)"),
        ("</annotation>", "", "XML that is damaged or cut off (1 of 4 entries, first: a.xml:26: no element found)"),
        ("<annotation>", "<!DOCTYPE a [<!ENTITY b 'c'>]><annotation>", "XML that defines entities (1 of 4 entries, fi"),
        (
            "<name>nut</name>",
            "<difficult>2</difficult><name>nut</name>",
            "difficult is not 0 or 1 (1 of 3 annotations,",
        ),
        (
            "<width>120</width>",
            "<width>121</width>",
            "image of another size than declared (1 of 3 images, first: a.png",
        ),
    ],
)
def test_mistakes_are_named_with_file_and_line(root, text, to, words):
    change(root, text, to)
    with pytest.raises(UserError) as error:
        form_files.opened(root)
    assert str(error.value).startswith(f"{root}: ") and words in str(error.value) and "\n" not in str(error.value)


def test_an_object_without_a_box(root):
    text = (root / "Annotations" / "b.xml").read_text()
    (root / "Annotations" / "b.xml").write_text(re.sub("(?s)<bndbox>.*</bndbox>\n", "", text))
    with pytest.raises(UserError, match=r"an object without <bndbox> \(1 of 6 entries, first: b.xml:6\)"):
        form_files.opened(root)


def test_xml_of_something_else(root, tmp_path):
    (tmp_path / "x.xml").write_text("<?xml version='1.0'?>\n<kml/>")
    with pytest.raises(UserError, match="XML of <kml>, which is neither Pascal VOC's nor CVAT's"):
        form_files.opened(tmp_path / "x.xml", root / "JPEGImages")
