"""VIA: versions 1 to 3, which attribute is the class, shapes, and mistakes with the picture and the region."""

import json

import form_files
import numpy as np
import pytest
from annotation_files import scene

from fsaf_tf.errors import UserError


def rect(box) -> dict:
    return dict(zip(("name", "x", "y", "width", "height"), ("rect", *box)))


def of_second(**of_b) -> dict:
    """A project of version 2; `of_b` changes the region of b.png."""
    files = {}
    for name in scene.PICTURES:
        regions = [
            {"shape_attributes": rect(box), "region_attributes": {"label": label}}
            for label, box in scene.boxes_of(name)
        ]
        files[f"{name}12"] = {"filename": name, "size": 12, "regions": regions, "file_attributes": {}}
    files["b.png12"]["regions"][0] |= of_b
    return {"_via_settings": {}, "_via_img_metadata": files, "_via_attributes": {}}


def of_first() -> dict:
    """Annotations of version 1, whose regions are a dict."""
    files = of_second()["_via_img_metadata"]
    for item in files.values():
        item["regions"] = {str(place): region for place, region in enumerate(item["regions"])}
    return files


def of_third(shape=lambda box: [2, *box]) -> dict:
    fids = {name: str(place) for place, name in enumerate(scene.PICTURES, 1)}
    return {
        "project": {"pname": "parts"},
        "attribute": {"1": {"aname": "type", "type": 4, "options": {"0": "nut", "1": "bolt"}}},
        "file": {fid: {"fid": fid, "fname": name, "type": 2, "src": name} for name, fid in fids.items()},
        "metadata": {
            f"{fids[name]}_{place}": {
                "vid": fids[name],
                "z": [],
                "xy": shape(box),
                "av": {"1": str(scene.CLASSES.index(label))},
            }
            for place, (name, label, box) in enumerate(scene.BOXES)
        },
        "view": {fid: {"fid_list": [fid]} for fid in fids.values()},
    }


@pytest.fixture
def opened(tmp_path):
    """Opens a value as a file of JSON."""
    form_files.pictures(tmp_path / "images")

    def open_it(given: dict):
        (tmp_path / "via.json").write_text(json.dumps(given))
        return form_files.opened(tmp_path / "via.json", tmp_path / "images")

    return open_it


@pytest.mark.parametrize(
    ("given", "form"),
    [(of_first(), "VIA, 3 pictures"), (of_second(), "VIA, 3 pictures"), (of_third(), "VIA 3, 3 pictures")],
)
def test_the_versions(opened, given, form):
    source = opened(given)
    assert source.form == form and source.classes.names == ("bolt", "nut") and source.num_images == 3
    assert form_files.boxes_of(source) == form_files.EXPECTED and form_files.kinds(source) == ["empty_pictures"]


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ({"name": "circle", "cx": 30, "cy": 80, "r": 10}, (20, 70, 20, 20)),
        ({"name": "ellipse", "cx": 30, "cy": 80, "rx": 10, "ry": 5, "theta": np.pi / 2}, (25, 70, 10, 20)),
        ({"name": "polygon", "all_points_x": [20, 45, 45], "all_points_y": [70, 70, 95]}, (20, 70, 25, 25)),
    ],
)
def test_shapes_that_are_no_rectangles(opened, shape, box):
    source = opened(of_second(shape_attributes=shape))
    np.testing.assert_allclose(form_files.boxes_of(source)[-1][2], box, atol=1e-6)
    assert form_files.kinds(source) == ["from_polygon", "empty_pictures"]


def test_polygons_of_version_3_and_points(opened):
    assert form_files.boxes_of(opened(of_third(lambda box: [7, *scene.polygon(box)]))) == form_files.EXPECTED
    given = of_third()
    given["metadata"]["2_2"]["xy"] = [1, 30, 80]
    given["metadata"]["3_3"] = {"vid": "3", "z": [], "xy": [], "av": {}}
    source = opened(given)
    assert form_files.kinds(source) == ["other_shapes", "empty_pictures"]
    assert source.findings[0].line.startswith("2 of 4 shapes are points")


@pytest.mark.parametrize("attributes", [{"Class": "nut", "colour": "red"}, {"colour": "red", "type": {"nut": True}}])
def test_the_attribute_that_is_the_class(opened, attributes):
    given = of_second()
    for item in given["_via_img_metadata"].values():
        for region in item["regions"]:
            region["region_attributes"] = attributes
    assert opened(given).classes.names == ("nut",)


def test_attributes_none_of_which_is_the_class(opened):
    with pytest.raises(UserError, match="regions have the attributes colour, label2, size, and none is called class"):
        given = of_second(region_attributes={"colour": "red", "size": 1})
        opened(json.loads(json.dumps(given).replace('"label"', '"label2"')))


@pytest.mark.parametrize(
    ("of_b", "words"),
    [
        ({"region_attributes": {}}, "no name of a class (1 of 6 entries, first: via.json, b.png, region 1)"),
        ({"region_attributes": {"label": {"nut": True, "bolt": True}}}, "a region of several classes (1 of 6 entries"),
        (
            {"shape_attributes": rect([1, 2, 3])},
            "a side of a box is missing (1 of 6 entries, first: via.json, b.png, regi",
        ),
        (
            {"shape_attributes": rect([1, 2, 3, "x"])},
            "no finite number (1 of 6 entries, first: via.json, b.png, region 1: ",
        ),
        (
            {"shape_attributes": {"name": "star"}},
            "a shape that is not known (1 of 6 entries, first: via.json, b.png, reg",
        ),
        ({"shape_attributes": None}, "a region without `shape_attributes` and `region_attributes` (1 of 5 entries"),
    ],
)
def test_mistakes_are_named_with_the_region(opened, of_b, words):
    with pytest.raises(UserError) as error:
        opened(of_second(**of_b))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_video_is_refused(opened):
    given = of_third()
    given["file"]["1"]["type"] = 4
    with pytest.raises(UserError, match="a video or a sound, where pictures are read"):
        opened(given)


def test_a_project_without_pictures(opened):
    with pytest.raises(UserError, match=r"no picture is in it \(VIA, 0 pictures\)"):
        opened({"_via_img_metadata": {}})
