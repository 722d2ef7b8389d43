"""Label Studio's JSON and JSON-MIN: turned boxes, shapes, several people, names of pictures, and mistakes."""

import json

import form_files
import numpy as np
import pytest
from annotation_files import scene

from fsaf_tf.errors import UserError


def region(name: str, label: str, box, **more) -> dict:
    width, height = scene.PICTURES[name]
    x, y, w, h = box
    value = {"x": 100 * x / width, "y": 100 * y / height, "width": 100 * w / width, "height": 100 * h / height}
    size = {"original_width": width, "original_height": height}
    return {"type": "rectanglelabels", "value": {**value, "rectanglelabels": [label], "rotation": 0} | more, **size}


def tasks(address: str = "/data/upload/1/{}", **of_b) -> list[dict]:
    given = []
    for number, name in enumerate(scene.PICTURES, 1):
        more = of_b if name == "b.png" else {}
        result = [region(name, *row, **more) for row in scene.boxes_of(name)]
        annotations = [{"result": result, "was_cancelled": False}]
        given.append(
            {"id": number, "data": {"image": address.format(name)}, "annotations": annotations, "predictions": []}
        )
    return given


@pytest.fixture
def opened(tmp_path):
    """Opens tasks as a file of JSON."""
    form_files.pictures(tmp_path / "images")

    def open_it(given: list):
        (tmp_path / "ls.json").write_text(json.dumps(given))
        return form_files.opened(tmp_path / "ls.json", tmp_path / "images")

    return open_it


def rounded(source) -> list:
    return [(name, label, tuple(np.round(box, 3))) for name, label, box in form_files.boxes_of(source)]


@pytest.mark.parametrize(
    "address",
    ["/data/upload/1/{}", "/data/local-files/?d=parts/{}", "s3://bucket/parts/{}", "https://a.b/c/{}?sig=1", "{}"],
)
def test_the_names_of_pictures(opened, address):
    source = opened(tasks(address))
    assert rounded(source) == form_files.EXPECTED and source.form == "Label Studio, 3 tasks"
    assert source.classes.names == ("bolt", "nut") and "empty_pictures" in form_files.kinds(source)


def test_a_box_is_turned_about_its_upper_left_corner(opened):
    source = opened(tasks(rotation=90))
    assert rounded(source)[-1] == ("b.png", "nut", (-5, 70, 25, 25)) and "rotated" in form_files.kinds(source)


def test_polygons_and_ellipses(opened):
    given = tasks()
    [item] = given[1]["annotations"][0]["result"]
    points = [[100 * x / 90, 100 * y / 120] for x, y in ((20, 70), (45, 70), (45, 95))]
    item |= {"type": "polygonlabels", "value": {"points": points, "polygonlabels": ["nut"]}}
    assert rounded(opened(given)) == form_files.EXPECTED
    shape = {
        "x": 100 * 30 / 90,
        "y": 100 * 80 / 120,
        "radiusX": 100 * 10 / 90,
        "radiusY": 100 * 5 / 120,
        "rotation": 90,
    }
    item |= {"type": "ellipselabels", "value": {**shape, "ellipselabels": ["nut"]}}
    assert rounded(opened(given))[-1] == ("b.png", "nut", (25, 70, 10, 20))


def test_the_label_may_stand_apart_from_its_shape(opened):
    given = tasks()
    [item] = given[1]["annotations"][0]["result"]
    del item["value"]["rectanglelabels"]
    item |= {"id": "x", "type": "rectangle"}
    value = {**item["value"], "labels": ["nut"]}
    given[1]["annotations"][0]["result"].append({**item, "type": "labels", "value": value})
    assert rounded(opened(given)) == form_files.EXPECTED


def test_what_is_cancelled_predicted_or_no_box_is_not_read(opened):
    given = tasks()
    given[0]["annotations"].append({"was_cancelled": True, "result": [region("a.png", "washer", (1, 1, 5, 5))]})
    given[0]["predictions"] = [{"result": [region("a.png", "washer", (1, 1, 5, 5))]}]
    brush = {**region("a.png", "nut", (1, 1, 5, 5)), "type": "brushlabels"}
    given[0]["annotations"][0]["result"] += [{"type": "choices", "value": {"choices": ["good"]}}, brush]
    source = opened(given)
    assert rounded(source) == form_files.EXPECTED and "other_shapes" in form_files.kinds(source)


def test_the_boxes_of_several_people_are_counted(opened):
    given = tasks()
    given[1]["annotations"] *= 2
    source = opened(given)
    assert len(source.boxes()) == 4 and {"annotators", "duplicate_boxes"} <= set(form_files.kinds(source))
    [finding] = [each for each in source.findings if each.kind == "annotators"]
    assert finding.line.startswith("1 of 3 pictures has annotations of several people; the boxes of all are taken")


def test_json_min(opened):
    given = []
    for task in tasks():
        regions = [
            {**item["value"], **{key: item[key] for key in item if "original" in key}}
            for item in task["annotations"][0]["result"]
        ]
        given.append(
            {
                "image": task["data"]["image"],
                "id": task["id"],
                "label": regions,
                "annotator": 1,
                "annotation_id": 3,
                "created_at": "2024",
            }
        )
    source = opened(given)
    assert rounded(source) == form_files.EXPECTED and source.form == "Label Studio (JSON-MIN), 3 tasks"


@pytest.mark.parametrize(
    ("of_b", "words"),
    [
        ({"x": None}, "a side of a box is missing (1 of 6 entries, first: ls.json, task 2, region 1: no x)"),
        (
            {"width": "wide"},
            "a side of a box is no finite number (1 of 6 entries, first: ls.json, task 2, region 1: width",
        ),
        (
            {"rectanglelabels": ["nut", "bolt"]},
            "a region of several classes (1 of 6 entries, first: ls.json, task 2, reg",
        ),
        ({"rectanglelabels": []}, "no name of a class (1 of 6 entries, first: ls.json, task 2, region 1)"),
    ],
)
def test_mistakes_are_named_with_task_and_region(opened, of_b, words):
    with pytest.raises(UserError) as error:
        opened(tasks(**of_b))
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            {"id": 7, "data": {"text": "words"}, "annotations": []},
            "a task without a picture (1 of 7 entries, first: ls.json",
        ),
        ({"id": 7, "data": 1, "annotations": []}, "a task without `data` (1 of 7 entries, first: ls.json, task 7)"),
        (
            {"id": 7, "data": {"image": "c.png"}, "annotations": 3},
            "`annotations` of a task is no list of objects (1 of 7",
        ),
        (3, "a task without `data` (1 of 7 entries, first: ls.json, task 4)"),
    ],
)
def test_tasks_that_are_none(opened, task, words):
    with pytest.raises(UserError) as error:
        opened([*tasks(), task])
    assert words in str(error.value)
