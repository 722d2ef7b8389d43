"""What data are, by their content: the same however they lie, other with anything that a figure comes from."""

import copy

import pytest

from fsaf_tf.data import digest

TRUTH = {
    "images": [{"id": i, "file_name": f"{i}.png", "height": 20, "width": 30} for i in (1, 2)],
    "annotations": [
        {"id": i, "image_id": i, "category_id": 3, "bbox": [1.0, 2.0, 3.5, 4.0], "area": 14.0, "iscrowd": 0}
        for i in (1, 2)
    ],
    "categories": [{"id": 3, "name": "dog"}, {"id": 5, "name": "cat"}],
}


def changed(change) -> dict[str, str]:
    truth = copy.deepcopy(TRUTH)
    change(truth)
    return digest.of(truth)


def test_order_numbers_of_annotations_and_classes_without_boxes_change_nothing():
    def change(truth):
        truth["images"].reverse()
        truth["annotations"] = [{**row, "id": 100 + row["id"]} for row in truth["annotations"]]
        truth["categories"].pop()

    assert changed(change) == digest.of(TRUTH)


@pytest.mark.parametrize("key, value", [("id", 7), ("file_name", "x.png"), ("height", 21)])
def test_other_pictures(key, value):
    def change(truth):
        truth["images"][0][key] = value

    assert all(changed(change)[part] != digest.of(TRUTH)[part] for part in ("pictures", "boxes"))


@pytest.mark.parametrize(
    "key, value", [("bbox", [1.0, 2.0, 3.5, 4.1]), ("category_id", 5), ("area", 13.0), ("iscrowd", 1)]
)
def test_other_boxes_of_the_same_pictures(key, value):
    def change(truth):
        truth["annotations"][0][key] = value

    found, before = changed(change), digest.of(TRUTH)
    assert found["pictures"] == before["pictures"] and found["boxes"] != before["boxes"]


def test_a_class_of_another_name():
    assert changed(lambda truth: truth["categories"][0].update(name="fox"))["boxes"] != digest.of(TRUTH)["boxes"]
