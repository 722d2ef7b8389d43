"""COCO JSON as exporters write it: what a person would accept is taken, and counted with a total."""

import copy
import json
import math

import pytest

from fsaf_tf.data import coco, coco_json
from fsaf_tf.data.classes import Classes
from fsaf_tf.errors import UserError

CLEAN = {
    "categories": [{"id": 1, "name": "nut"}, {"id": 2, "name": "bolt"}],
    "images": [
        {"id": 1, "file_name": "a.png", "width": 100, "height": 80},
        {"id": 2, "file_name": "b.png", "width": 100, "height": 80},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 30], "area": 600, "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 2, "bbox": [40, 10, 20, 30], "area": 500, "iscrowd": False},
        {"id": 3, "image_id": 2, "category_id": 1, "bbox": [10, 40, 20, 30]},
        {"image_id": 2, "category_id": 2, "bbox": [50.5, 40, 20, 30], "ignore": 0, "difficult": False},
    ],
}


@pytest.fixture
def read(tmp_path):
    """Reads `CLEAN` after a change of its content in place."""

    def _read(change=lambda content: None) -> coco_json.Annotations:
        content = copy.deepcopy(CLEAN)
        change(content)
        (tmp_path / "x.json").write_text(json.dumps(content))
        return coco_json.read(str(tmp_path / "x.json"))

    return _read


def kinds(table) -> dict[str, tuple[int, int]]:
    return {finding.kind: (finding.count, finding.of) for finding in table.findings}


def of_box(place: int, **changes):
    """A change of an annotation; None takes a key away."""

    def change(content):
        item = content["annotations"][place]
        item.update(changes)
        for key in [key for key, value in changes.items() if value is None]:
            del item[key]

    return change


def test_a_clean_file_has_no_findings(read):
    table = read()
    assert table.findings == () and not table.crowd.any() and not table.duplicate.any()
    assert table.area.tolist() == [600, 500, 600, 600]  # a mask's smaller area stays; where there is none it is w x h


def categories(*pairs):
    return lambda content: content.update(
        categories=[dict(zip(("id", "name", "supercategory"), each)) for each in pairs]
    )


NUT, BOLT = (1, "nut", "part"), (2, "bolt", "part")


@pytest.mark.parametrize(
    ("given", "expected", "found"),
    [
        ([NUT, BOLT, NUT, NUT], {1: "nut", 2: "bolt"}, {"repeated_category": (2, 4)}),
        ([(0, "nut", "none"), NUT, BOLT], {1: "nut", 2: "bolt"}, {"unused_category": (1, 3)}),
        ([(0, "part", "none"), NUT, BOLT], {1: "nut", 2: "bolt"}, {"unused_category": (1, 3)}),
        ([(1, "nut"), (2, "nut")], {1: "nut"}, {"joined_category": (1, 2)}),
        ([(2, "nut"), (1, "nut")], {2: "nut"}, {"joined_category": (1, 2)}),
        ([("1", "nut"), (2.0, "bolt")], {1: "nut", 2: "bolt"}, {"text_numbers": (2, 8)}),
        # Classes that only have no box yet stay, a parent that has boxes too.
        ([NUT, BOLT, (3, "part", "part"), (4, "washer", "none")], {1: "nut", 2: "bolt", 3: "part", 4: "washer"}, {}),
        ([(1, "part", "none"), BOLT], {1: "part", 2: "bolt"}, {}),
    ],
)
def test_categories(read, given, expected, found):
    table = read(categories(*given))
    assert dict(zip(table.classes.ids, table.classes.names)) == expected and kinds(table) == found
    ids = [table.classes.ids[index] for index in table.class_indices]
    assert ids == [1, 2, 1, 2] if len(expected) > 1 else set(ids) == set(expected)


def test_an_id_of_two_names_is_a_mistake(read):
    with pytest.raises(UserError, match=r"id stands twice \(1 of 3 categories, first: id 2, 'bolt', 'nail'\)"):
        read(categories(NUT, BOLT, (2, "nail")))


TURNED = [10 + 10 - 15, 10 + 15 - 10, 30, 20]  # 20 x 30 by 90 degrees about its centre
BOXES = {
    "text in a box": (of_box(0, bbox=["10", 10, " 20.0 ", 30]), "text_numbers", (1, 8)),
    "text as ids": (of_box(0, image_id="1", category_id=1.0), "text_numbers", (1, 8)),
    "outside": (of_box(0, bbox=[100, 10, 20, 30]), "outside", (1, 4)),
    "above": (of_box(0, bbox=[10, -40, 20, 40]), "outside", (1, 4)),
    "negative side": (of_box(0, bbox=[30, 10, -20, 30]), "negative_side", (1, 4)),
    "ignore": (of_box(0, ignore=1), "ignored", (1, 4)),
    "difficult": (of_box(0, difficult=True), "ignored", (1, 4)),
    "difficult among the attributes": (of_box(0, attributes={"difficult": "true"}), "ignored", (1, 4)),
    "rotation": (of_box(0, attributes={"rotation": 90.0}), "rotated", (1, 4)),
    "area of zero": (of_box(0, area=0), "area", (1, 4)),
    "area below zero": (of_box(0, area=-3), "area", (1, 4)),
    "area too large": (of_box(0, area=652), "area", (1, 4)),
    "area that is no number": (of_box(0, area="large"), "area", (1, 4)),
    "polygon": (of_box(0, bbox=None, segmentation=[[10, 10, 30, 10, 30, 40], [12, 12]]), "from_polygon", (1, 4)),
    "polygon beside an empty box": (of_box(0, bbox=[], segmentation=[10, 10, 30, 40, 10, 40]), "from_polygon", (1, 4)),
    "the same box twice": (of_box(1, bbox=[10, 10, 20, 30], category_id=1), "duplicate_boxes", (1, 4)),
    "the id of another one": (of_box(1, id=1), "repeated_ids", (1, 4)),
    "word for word": (lambda content: content["annotations"].append(content["annotations"][0]), "repeated", (1, 5)),
}  # fmt: skip


@pytest.mark.parametrize("case", BOXES)
def test_odd_boxes_are_taken_or_left_out_and_counted(read, case):
    change, kind, numbers = BOXES[case]
    table = read(change)
    assert kinds(table) == {kind: numbers}
    [finding] = table.findings
    assert finding.line.startswith(f"{numbers[0]} of {numbers[1]} ") and len(finding.examples) == 1
    rows = [[*box, area] for box, area in zip(table.boxes_xywh.tolist(), table.area.tolist())]
    if kind in ("outside", "negative_side"):
        assert len(rows) == 3
    else:
        assert rows[0] == pytest.approx([*(TURNED if kind == "rotated" else [10, 10, 20, 30]), 600]) and len(rows) == 4
    assert table.crowd.tolist() == table.ignored.tolist() == [kind == "ignored", False, False, False][-len(rows) :]
    assert table.duplicate.tolist() == [False, kind == "duplicate_boxes", False, False][-len(rows) :]


NOTHING_ODD = {
    "a sliver inside": of_box(0, bbox=[99.9, 10, 20, 30]),  # clipped, which the source counts
    "area of the pixels that a mask touches": of_box(0, area=651),
    "rounded area of a large box": of_box(0, bbox=[0, 0, 100, 80], area=8070),
    "no rotation": of_box(0, attributes={"rotation": 0.0, "difficult": False, "occluded": True}),
    "half a turn": of_box(0, attributes={"rotation": 180}),
    "an attribute of the user's": of_box(0, attributes={"difficult": "hard"}),
    "crowd as a truth": of_box(0, iscrowd=True),
    "the same box of another class": of_box(1, bbox=[10, 10, 20, 30]),
    "no ids": lambda content: [item.pop("id", None) for item in content["annotations"]],
}


@pytest.mark.parametrize("case", NOTHING_ODD)
def test_what_is_not_odd(read, case):
    table = read(NOTHING_ODD[case])
    assert table.findings == () and len(table.boxes_xywh) == 4
    assert table.crowd.tolist() == [case == "crowd as a truth", False, False, False]


def test_a_turned_box_has_the_upright_box_around_it(read):
    [box, *_] = read(of_box(0, attributes={"rotation": 30})).boxes_xywh.tolist()
    sides = [20 * math.cos(math.pi / 6) + 15, 10 + 30 * math.cos(math.pi / 6)]
    assert box == pytest.approx([20 - sides[0] / 2, 25 - sides[1] / 2, *sides])


def test_all_boxes_bad_is_a_refusal(read):
    def change(content):
        for item in content["annotations"]:
            item["bbox"] = [200, 10, 20, 30]

    with pytest.raises(
        UserError, match=r"x.json: no box is left: 4 of 4 boxes are wholly outside .*\(first: annotation 1"
    ):
        read(change)


def test_one_file_as_two_images_is_one_picture(read):
    def change(content):
        content["images"].append({"id": "7", "file_name": "./a.png", "width": 100.0, "height": 80})
        content["annotations"].append({"id": 9, "image_id": 7, "category_id": 1, "bbox": [60, 60, 10, 10]})

    table = read(change)
    assert table.image_ids.tolist() == [1, 2] and table.file_names == ["a.png", "b.png"]
    assert table.splits.tolist() == [0, 3, 5] and [60, 60, 10, 10] in table.boxes_xywh[:3].tolist()
    assert kinds(table) == {"duplicate_pictures": (1, 3), "text_numbers": (1, 10)}


def test_a_repeated_box_is_trained_on_once_and_stays_in_the_ground_truth(read):
    table = read(lambda content: content["annotations"].append({**content["annotations"][0], "id": 9}))
    assert table.distinct().splits.tolist() == [0, 2, 4] and len(table.distinct().boxes_xywh) == 4
    truth = coco.ground_truth(table)["annotations"]
    assert [item["bbox"] for item in truth].count([10, 10, 20, 30]) == 2 and len(truth) == 5


def test_ids_up_to_2_to_the_53(read):
    def change(content):
        content["images"][0]["id"] = content["annotations"][0]["image_id"] = 2**53
        content["annotations"][1]["image_id"] = str(2**53)

    assert read(change).image_ids.tolist() == [2**53, 2]
    with pytest.raises(UserError, match="id is beyond 2\\^53"):
        read(lambda content: content["images"][0].update(id=str(2**53 + 1)))


def test_a_message_is_short_however_large_an_entry(read):
    with pytest.raises(UserError) as error:
        read(lambda content: content["images"].append({"note": "x" * 30_000}))
    assert len(str(error.value)) < 600


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ('[{"image": "a.png", "annotations": []}]', "CreateML's JSON"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]', "detection results"),
        ('{"type": "FeatureCollection", "features": []}', "GeoJSON"),
        ('{"format": "layers-model", "modelTopology": {}, "weightsManifest": []}', "a model of TensorFlow.js"),
        ('{"images": [{}], "annotations": [{"caption": "a nut"}], "categories": []}', "COCO's captions"),
        ("0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.1 0.1\n", "YOLO's text"),
        ("filename,width,height\na.png,1,2\n", "CSV"),
    ],
)
def test_annotations_of_another_kind_are_named(tmp_path, text, looks):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError) as error:
        coco_json.read(str(tmp_path / "x.json"))
    message = str(error.value)
    assert f"it looks like {looks}" in message and "what is read is COCO JSON, Pascal VOC, " in message


def test_other_json_is_not_named(tmp_path):
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match="it needs `images`, a list that is not empty") as error:
        coco_json.read(str(tmp_path / "x.json"))
    assert "looks like" not in str(error.value)


def test_categories_alone_join_equal_names():
    entries = [{"id": 3, "name": "nut"}, {"id": 1, "name": "bolt"}, {"id": 3, "name": "nut"}, {"id": 4, "name": "bolt"}]
    assert coco_json.categories("x.json", {"categories": entries}) == Classes(("bolt", "nut"), (1, 3))
