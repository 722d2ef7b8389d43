"""COCO JSON: what is read, what is an error, what is counted."""

import copy
import json
import re

import numpy as np
import pytest
from PIL import Image

from fsaf_tf.data import coco
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.examples import Order
from fsaf_tf.errors import UserError

# Categories out of order and with gaps; the second image has no boxes.
GOOD = {
    "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}, {"id": 90, "name": "owl"}],
    "images": [
        {"id": 5, "file_name": "a.png", "width": 40, "height": 30},
        {"id": 2, "file_name": "sub/b.png", "width": 30, "height": 40},
        {"id": 9, "file_name": "c.png", "width": 20, "height": 20},
    ],
    "annotations": [
        {"id": 1, "image_id": 9, "category_id": 90, "bbox": [1, 2, 3, 4], "area": 11.5, "iscrowd": 1},
        {"id": 2, "image_id": 5, "category_id": 3, "bbox": [10.5, 5, 20, 10], "area": 150, "iscrowd": 0},
        {"id": 3, "image_id": 5, "category_id": 7, "bbox": [0, 0, 40, 30]},
        {"id": 4, "image_id": 9, "category_id": 3, "bbox": [5, 5, 5, 5], "segmentation": [[1, 2, 3, 4, 5, 6]]},
    ],
}


@pytest.fixture
def folder(tmp_path):
    """The images of `GOOD`."""
    (tmp_path / "sub").mkdir()
    for item in GOOD["images"]:
        Image.new("RGB", (item["width"], item["height"]), (10, 20, 30)).save(tmp_path / item["file_name"])
    return tmp_path


def open_changed(folder, change=None):
    """Opens `GOOD` after a change of its content in place."""
    content = copy.deepcopy(GOOD)
    if change:
        change(content)
    (folder / "x.json").write_text(json.dumps(content))
    return coco.open_coco(str(folder / "x.json"), str(folder), frame="auto")


def test_what_is_read(folder):
    source = open_changed(folder)
    assert source.classes == Classes(("dog", "cat", "owl"), (3, 7, 90))
    assert source.num_images == 3
    examples = list(source.examples().as_numpy_iterator())
    assert [example["image_id"] for example in examples] == [5, 2, 9]
    assert [example["file_name"] for example in examples] == [b"a.png", b"sub/b.png", b"c.png"]
    assert [example["size"].tolist() for example in examples] == [[30, 40], [40, 30], [20, 20]]
    first, empty, last = examples
    assert first["boxes"].tolist() == [[5, 10.5, 15, 30.5], [0, 0, 30, 40]] and first["classes"].tolist() == [0, 1]
    assert first["area"].tolist() == [150, 1200]  # the second one has none in the file
    assert empty["boxes"].shape == (0, 4) and empty["classes"].shape == (0,)
    assert last["crowd"].tolist() == [True, False] and last["classes"].tolist() == [2, 0]
    assert first["image_bytes"] == (folder / "a.png").read_bytes()
    assert [finding.line for finding in source.findings] == [
        "1 of 4 boxes is marked as a crowd; not trained on, ignored in evaluation "
        "(first: c.png: x, y, w, h [1.0, 2.0, 3.0, 4.0])",
        "1 of 3 pictures is without boxes; they are background (first: sub/b.png)",
    ]


def test_ground_truth_is_that_of_the_file(folder):
    truth = open_changed(folder).ground_truth()
    assert [image["id"] for image in truth["images"]] == [5, 2, 9]
    assert truth["categories"] == [{"id": 3, "name": "dog"}, {"id": 7, "name": "cat"}, {"id": 90, "name": "owl"}]
    by_box = {tuple(item["bbox"]): item for item in truth["annotations"]}
    assert by_box[1, 2, 3, 4] == {
        "id": 3, "image_id": 9, "category_id": 90, "bbox": [1, 2, 3, 4], "area": 11.5, "iscrowd": 1
    }  # fmt: skip
    assert by_box[10.5, 5, 20, 10]["category_id"] == 3 and by_box[10.5, 5, 20, 10]["image_id"] == 5
    assert sorted(item["id"] for item in truth["annotations"]) == [1, 2, 3, 4]


def _append(key, **item):
    return lambda content: content[key].append(item)


def _annotation(**changes):
    """A change of the last annotation."""
    return lambda content: content["annotations"][-1].update(changes)


def _image(**changes):
    return lambda content: content["images"][-1].update(changes)


BROKEN = {
    "missing image": (_image(file_name="d.png"), "image missing in .* (1 of 3 images, first: d.png)"),
    "other size": (_image(width=25), "another size .* (1 of 3 images, first: c.png, 20 x 20 and not 25 x 20)"),
    "unknown category": (_annotation(category_id=4), "unknown category (1 of 4 .* image 9: category_id 4)"),
    "unknown image": (_annotation(image_id=6), "unknown image (1 of 4 annotations, first: annotation 4, image_id 6)"),
    "category id twice": (_append("categories", id=3, name="fox"), "id stands twice (1 of 4 categories, first: id 3, "),
    "not a number": (_annotation(bbox=[5, 5, float("nan"), 5]), "bbox is not four finite numbers (1 of 4 annotations"),
    "infinite": (_annotation(bbox=[5, 5, float("inf"), 5]), "bbox is not four finite numbers (1 of 4 annotations"),
    "too large": (_annotation(bbox=[5, 5, 10**400, 5]), "bbox is not four finite numbers (1 of 4 annotations"),
    "three numbers": (_annotation(bbox=[5, 5, 5]), "bbox is not four finite numbers (1 of 4 annotations"),
    "list as id": (_annotation(image_id=[5]), "unknown image (1 of 4 annotations"),
    "image id twice": (_append("images", **GOOD["images"][0] | {"file_name": "c"}), "id stands twice (1 of 4 imag"),
    "file of two sizes": (_append("images", **{**GOOD["images"][0], "id": 6, "width": 41}),
                          "file stands twice with different sizes (1 of 4 images, first: a.png, 40 x 30 and 41 x 30)"),
    "truth as id": (_image(id=True), "needs an `id`, a whole number or text, and a `file_name`, text"),
    "huge id": (_image(id=2**53 + 1), "id is beyond 2^53, .* (1 of 3 images, first: id 9007199254740993"),
    "huge category": (_append("categories", id=-(2**53) - 1, name="fox"), "id is beyond 2^53"),
    "no box, no mask": (lambda content: content["annotations"][2].pop("bbox"), "no bbox, and no polygon or mask (1"),
    "words in a box": (_annotation(bbox=["five", 5, 5, 5]), "bbox is not four finite numbers (1 of 4 annotations"),
    "RLE alone": (_annotation(bbox=[], segmentation={"counts": "a", "size": [20, 20]}), "no bbox, and an RLE mask"),
    "half a pixel": (_image(width=20.5), "needs `height` and `width` in whole pixels"),
    "ignore of 2": (_annotation(ignore=2), "ignore is not 0 or 1 (1 of 4 annotations, first: annotation 4, "),
    "turned by text": (_annotation(attributes={"rotation": "left"}), "attributes.rotation is not a number (1 of 4"),
    "no size, no picture": (_image(width=None, file_name="d.png"), "no `height` and `width`, and no picture"),
    "crowd of 2": (_annotation(iscrowd=2), "iscrowd is not 0 or 1 (1 of 4"),
    "no images": (lambda content: content.update(images=[]), "it needs `images`, a list that is not empty"),
    "empty annotations": (lambda content: content.update(annotations=[]), "no box is in it, `annotations` is empty: a"),
    "no annotations": (lambda content: content.pop("annotations"), "it needs `annotations`, a list that is not empty"),
    "images by name": (lambda content: content.update(images={"a.png": {}}), "it needs `images`, a list"),
    "images as text": (lambda content: content.update(images=["a.png"]), "an entry of `images` is no object"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_content_is_one_line_that_names_it(folder, case):
    change, words = BROKEN[case]
    with pytest.raises(UserError) as error:
        open_changed(folder, change)
    message = str(error.value)
    assert message.startswith(f"{folder}/x.json: ") and "\n" not in message
    assert re.search(re.escape(words).replace(r"\.\*", ".*"), message)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\x1f\x8b\x08\x00", "its gzip compression is damaged"),
        ("größer".encode("latin-1"), "x.json:1: byte 2 is not of utf-8; save it as UTF-8"),
        (b"", "the annotation file is empty"),
        (b" \n", "the annotation file is empty"),
        (b'{"images": [}', "not JSON: Expecting value: line 1"),
        (b'{"images": [{"id": 1, "na', "not JSON: it ends in the middle, as if it was cut off: Unterminated string"),
        (b"\xff\xfe\x00", "x.json:1: byte 2 is not of utf-16-le; save it as UTF-8"),
        (b"[1, 2]", "not COCO JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_files_that_are_no_coco_json(tmp_path, text, words):
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(UserError, match=words):
        coco.open_coco(str(tmp_path / "x.json"), str(tmp_path), frame="auto")


def test_missing_file_and_folder(folder):
    with pytest.raises(UserError, match="y.json: there is no such annotation file"):
        coco.open_coco(str(folder / "y.json"), str(folder), frame="auto")
    with pytest.raises(UserError, match="no annotations of a known form are in this folder; what is read is COCO"):
        coco.open_coco(str(folder), str(folder), frame="auto")
    open_changed(folder)
    with pytest.raises(UserError, match="none: there is no such image folder"):
        coco.open_coco(str(folder / "x.json"), str(folder / "none"), frame="auto")


def test_mistakes_are_counted_by_kind(folder):
    def change(content):
        content["annotations"][0]["category_id"] = 1
        content["annotations"][2]["category_id"] = 2
        content["annotations"][3]["image_id"] = 77

    with pytest.raises(UserError, match=r"unknown category \(2 of 4 .*category_id 1\); unknown image \(1 of 4 .*77\)"):
        open_changed(folder, change)


def test_unreadable_image_is_found_before_the_run(folder):
    (folder / "c.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UserError, match=r"image that cannot be read \(1 of 3 images, first: c.png, not an image"):
        open_changed(folder)


def test_what_goes_on_is_counted(folder):
    def change(content):
        content["annotations"] += [
            {"id": 5, "image_id": 5, "category_id": 3, "bbox": [-4, 20, 10, 20]},
            {"id": 6, "image_id": 5, "category_id": 3, "bbox": [39.9, 29.9, 0.2, 0.2]},  # a rounding error, no news
            {"id": 7, "image_id": 9, "category_id": 3, "bbox": [3, 3, 0, 5]},
            {"id": 8, "image_id": 9, "category_id": 3, "bbox": [20, 20, 0, 0]},
            copy.deepcopy(content["annotations"][1]),
        ]

    source = open_changed(folder, change)
    assert [(finding.kind, finding.count, finding.of) for finding in source.findings] == [
        ("repeated", 1, 9),
        ("crowd", 1, 8),
        ("clipped", 1, 8),
        ("no_area", 2, 8),
        ("empty_pictures", 1, 3),
    ]
    first = next(source.examples().as_numpy_iterator())
    assert first["boxes"][2].tolist() == [20, 0, 30, 6]
    boxes = [item["bbox"] for item in source.ground_truth()["annotations"]]
    assert [-4, 20, 10, 20] in boxes and len(boxes) == 8  # as in the file


def test_shuffled_order(folder):
    def many(content):
        for i in range(1, 31):
            (folder / f"{i}.png").write_bytes((folder / "a.png").read_bytes())
        content["images"] = [dict(GOOD["images"][0], id=i, file_name=f"{i}.png") for i in range(1, 31)]
        content["annotations"] = [dict(GOOD["annotations"][1], image_id=1)]

    source = open_changed(folder, many)

    def ids(dataset):
        return [example["image_id"] for example in dataset.as_numpy_iterator()]

    twice = ids(source.examples(Order(seed=3)).repeat(2))
    assert sorted(twice[:30]) == sorted(twice[30:]) == list(range(1, 31))
    assert twice[:30] != twice[30:] and twice[:30] != sorted(twice[:30])
    shards = [ids(source.examples(Order(seed=3, num_shards=2, shard=shard))) for shard in range(2)]
    assert shards == [twice[:30:2], twice[1:30:2]]  # the same order again, in turn
    assert ids(source.examples(Order(seed=4, num_shards=2))) != shards[0]


def test_real_coco(shared_data):
    root = shared_data / "coco_mini"
    file = root / "annotations/instances_train2017.json"
    source = coco.open_coco(str(file), str(root / "train2017"), frame="auto")
    content = json.loads(file.read_text())
    assert source.num_images == 343 and len(source.classes) == 80
    assert source.classes.ids[:12] == (*range(1, 12), 13) and source.classes.ids[-1] == 90
    truth = source.ground_truth()
    expected = sorted((a["image_id"], a["category_id"], *a["bbox"], a["iscrowd"]) for a in content["annotations"])
    found = sorted((a["image_id"], a["category_id"], *a["bbox"], a["iscrowd"]) for a in truth["annotations"])
    np.testing.assert_allclose(found, expected)
    assert [finding.count for finding in source.findings if finding.kind == "crowd"] == [29]
