"""The classes of imported weights: what names them, in which order, and when two files do not agree."""

import json

import pytest

from fsaf_tf.data.classes import Classes
from fsaf_tf.data.coco_classes import COCO
from fsaf_tf.errors import UserError
from fsaf_tf.run.published_classes import find_classes

CATEGORIES = {"categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "bird"}, {"id": 5, "name": "cat"}]}
LABELS = {"names": ["bird", "cat", "dog"], "category_ids": [3, 5, 7]}


@pytest.fixture
def labels(tmp_path):
    """Writes a file for `--labels`."""

    def _labels(content) -> str:
        (tmp_path / "labels.json").write_text(json.dumps(content))
        return str(tmp_path / "labels.json")

    return _labels


def test_without_labels_the_file_names_them_or_they_are_those_of_coco():
    assert find_classes("a.pth", None, None, "").classes == COCO
    assert find_classes("a.pth", COCO.names, 80, "").origin == "COCO's"
    named = find_classes("a.pth", ("cat", "dog"), 2, "")
    assert (named.classes, named.order) == (Classes(("cat", "dog"), (1, 2)), (0, 1))


@pytest.mark.parametrize("content", [CATEGORIES, LABELS], ids=["COCO JSON", "labels.json"])
def test_labels_give_ids_and_the_order_of_ids(labels, content):
    found = find_classes("a.pth", ("cat", "dog", "bird"), 3, labels(content))
    assert (found.classes, found.order) == (Classes(("bird", "cat", "dog"), (3, 5, 7)), (2, 0, 1))
    assert found.names_in_file == ["cat", "dog", "bird"]
    assert find_classes("a.pth", None, 3, labels(content)).order == (0, 1, 2)


def test_names_that_stand_twice_are_an_error():
    with pytest.raises(UserError, match="a.pth does not tell its classes apart: the name 'cat' stands twice"):
        find_classes("a.pth", ("cat", "cat"), 2, "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"names": ["a", "b"], "category_ids": [1, 2]}, "labels.json has 2 classes, a.pth has 3"),
        ({"names": ["x", "cat", "dog"], "category_ids": [1, 2, 3]}, "other classes than a.pth: x in place of bird"),
        ({"names": ["cat"], "category_ids": []}, "labels.json is damaged"),
        ({"categories": []}, "labels.json: not COCO JSON"),
        ({"categories": [{"id": "one", "name": "cat"}]}, "labels.json: the ids of its categories are text"),
        ({"categories": [{"id": None, "name": "cat"}]}, "labels.json: needs an `id`, a whole number or text, and a"),
    ],
)
def test_labels_of_other_weights_and_no_labels_are_errors(labels, content, message):
    with pytest.raises(UserError, match=message):
        find_classes("a.pth", ("cat", "dog", "bird"), 3, labels(content))


@pytest.mark.parametrize("name", ["via.json", "boxes.csv"])
def test_labels_of_other_forms(tmp_path, name):
    region = {"shape_attributes": {"name": "rect", "x": 1, "y": 1, "width": 2, "height": 2}}
    regions = [{**region, "region_attributes": {"class": label}} for label in ("dog", "bird", "cat")]
    (tmp_path / "via.json").write_text(json.dumps({"a.png": {"filename": "a.png", "regions": regions}}))
    rows = "".join(f"a.png,1,1,3,3,{label}\n" for label in ("dog", "bird", "cat"))
    (tmp_path / "boxes.csv").write_text(f"path,x1,y1,x2,y2,class\n{rows}")
    classes = find_classes("a.pth", ("dog", "cat", "bird"), 3, str(tmp_path / name)).classes
    assert classes == Classes(("bird", "cat", "dog"), (1, 2, 3))
