"""labelme: folders and single files, shapes, groups, paths of pictures, and mistakes with the file and the shape."""

import json
import re

import form_files
import pytest
from annotation_files import scene

from fsaf_tf.errors import UserError


def content(name: str, path: str = "") -> dict:
    width, height = scene.PICTURES[name]
    shapes = []
    for label, box in scene.boxes_of(name):
        x1, y1, x2, y2 = scene.corners(box)
        # Drawn from the lower right corner.
        points = {"label": label, "points": [[x2, y2], [x1, y1]], "shape_type": "rectangle", "group_id": None}
        shapes.append({**points, "flags": {}})
    size = {"imageHeight": height, "imageWidth": width}
    return {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": path or name, "imageData": "iVBO", **size}


@pytest.fixture
def folder(tmp_path):
    """A folder with pictures and files of JSON."""
    form_files.pictures(tmp_path)
    for name in scene.PICTURES:
        write(tmp_path, name, content(name))
    return tmp_path


def write(folder, name: str, given: dict) -> None:
    (folder / name).with_suffix(".json").write_text(json.dumps(given, indent=1))


def with_shape(name: str, **keys) -> dict:
    given = content(name)
    given["shapes"][0] |= keys
    return given


def test_a_folder_with_its_pictures(folder):
    source = form_files.opened(folder)
    assert form_files.boxes_of(source) == form_files.EXPECTED and source.num_images == 3
    assert source.form == f"labelme, 3 files; pictures in {folder}" and source.classes.ids == (1, 2)
    assert form_files.kinds(source) == ["empty_pictures"]


@pytest.mark.parametrize("path", ["../photos/{}", "..\\photos\\{}", "/home/me/photos/{}"])
def test_pictures_in_another_folder(tmp_path, path):
    form_files.pictures(tmp_path / "photos")
    (tmp_path / "labels").mkdir()
    for name in scene.PICTURES:
        write(tmp_path / "labels", name, content(name, path.format(name)))
    found = {"image_dir": tmp_path / "photos"} if path.startswith("/") else {}
    source = form_files.opened(tmp_path / "labels", **found)
    assert form_files.boxes_of(source) == form_files.EXPECTED
    if path.startswith("/"):
        with pytest.raises(
            UserError, match=r"nothing beside it tells where its pictures are; set image_dir \(--images\)"
        ):
            form_files.opened(tmp_path / "labels")


def test_one_file(folder):
    source = form_files.opened(folder / "a.json", folder)
    assert form_files.boxes_of(source) == form_files.EXPECTED[:2] and form_files.kinds(source) == []


def test_other_json_and_pictures_without_a_file_are_counted(folder):
    (folder / "c.json").write_text("{}")
    source = form_files.opened(folder)
    assert form_files.kinds(source) == ["other_files", "unused_pictures"] and source.num_images == 2


def test_a_picture_of_another_name(folder):
    write(folder, "a.png", content("a.png", "renamed.jpg"))
    source = form_files.opened(folder)
    assert form_files.boxes_of(source) == form_files.EXPECTED
    assert form_files.kinds(source) == ["other_filename", "empty_pictures"]


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ({"shape_type": "polygon", "points": [[20, 70], [45, 70], [45, 95]]}, (20, 70, 25, 25)),
        ({"shape_type": "rotation", "points": [[20, 80], [30, 70], [45, 85], [35, 95]]}, (20, 70, 25, 25)),
        ({"shape_type": "circle", "points": [[30, 80], [30, 90]]}, (20, 70, 20, 20)),
        ({"shape_type": "mask", "points": [[20, 70], [45, 95]], "mask": "iVBO"}, (20, 70, 25, 25)),
    ],
)
def test_shapes_that_are_no_rectangles(folder, shape, box):
    write(folder, "b.png", with_shape("b.png", **shape))
    source = form_files.opened(folder)
    assert form_files.boxes_of(source)[-1] == ("b.png", "nut", box)
    assert form_files.kinds(source) == ["from_polygon", "empty_pictures"]


def test_points_and_lines_are_left_out(folder):
    write(folder, "b.png", with_shape("b.png", shape_type="point", points=[[20, 70]]))
    source = form_files.opened(folder)
    assert form_files.kinds(source) == ["other_shapes", "empty_pictures"]
    assert source.findings[0].line.startswith("1 of 3 shapes is points, lines, tags") and len(source.boxes()) == 2


def test_parts_of_a_group_are_one_object(folder):
    given = content("a.png")
    for shape in given["shapes"]:
        shape |= {"label": "nut", "group_id": 1}
    write(folder, "a.png", given)
    source = form_files.opened(folder)
    assert form_files.boxes_of(source)[0] == ("a.png", "nut", (10, 10, 90.5, 65.5)) and len(source.boxes()) == 2
    assert "grouped" in form_files.kinds(source)
    given["shapes"][1]["label"] = "bolt"  # another thing beside it
    write(folder, "a.png", given)
    assert form_files.boxes_of(form_files.opened(folder)) == form_files.EXPECTED


@pytest.mark.parametrize("keys", [{"difficult": True}, {"flags": {"ignore": True}}])
def test_flags(folder, keys):
    write(folder, "b.png", with_shape("b.png", **keys))
    assert form_files.opened(folder).boxes().ignored.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (
            {"points": [[1, 2]]},
            "`points` is no list of x and y, two or more, three of a polygon (1 of 6 entries, first: b.js",
        ),
        (
            {"points": [[1, "x"], [3, 4]]},
            "a side of a box is no finite number (1 of 6 entries, first: b.json, shape 1: y is",
        ),
        ({"label": ""}, "no name of a class (1 of 6 entries, first: b.json, shape 1)"),
        ({"label": None}, "no name of a class (1 of 6 entries, first: b.json, shape 1)"),
    ],
)
def test_mistakes_are_named_with_the_shape(folder, shape, words):
    write(folder, "b.png", with_shape("b.png", **shape))
    with pytest.raises(UserError) as error:
        form_files.opened(folder)
    assert words in str(error.value) and str(error.value).startswith(f"{folder}: ")


def test_a_file_that_is_cut_off_is_named_with_its_line(folder):
    text = (folder / "b.json").read_text()
    (folder / "b.json").write_text(text[: text.index("points")])
    with pytest.raises(UserError, match=re.escape("damaged or cut off (1 of 5 entries, first: b.json:7: Unterminated")):
        form_files.opened(folder)
