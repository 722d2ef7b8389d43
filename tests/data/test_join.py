"""Several annotation files as one, in merge and in training: pictures, classes, ids, shares."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from fsaf_tf.config import schema, strict
from fsaf_tf.data import annotated, coco_json, frames, join, pipeline, select, shares
from fsaf_tf.data.examples import Order
from fsaf_tf.data.source import open_source, open_train
from fsaf_tf.errors import UserError


def write(folder: pathlib.Path, name: str, categories: dict[int, str], pictures: dict[str, list], images="") -> None:
    """Writes an annotation file and its pictures; `pictures` has the boxes of each, `(category, x, y, w, h)`."""
    content = {"images": [], "annotations": [], "categories": [{"id": i, "name": n} for i, n in categories.items()]}
    for number, (picture, boxes) in enumerate(pictures.items(), start=1):
        path = folder / images / picture
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), (number, len(images), 0)).save(path)
        content["images"].append({"id": number, "file_name": picture, "height": 48, "width": 64})
        for label, *box in boxes:
            row = {"id": len(content["annotations"]), "image_id": number, "category_id": label, "bbox": box}
            content["annotations"].append(row)
    (folder / name).write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """a.json and b.json with pictures of one name in two folders, c.json with other boxes of a picture of a.json."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "a.json", {1: "nut", 2: "bolt"}, {"1.png": [(1, 1, 1, 9, 9)], "2.png": [(2, 2, 2, 9, 9)]}, "one")
    b = {"1.png": [(1, 3, 3, 9, 9), (7, 4, 4, 9, 9)], "in/3.png": [(2, 5, 5, 9, 9)]}
    write(tmp_path, "b.json", {1: "washer", 2: "nut", 7: "bolt"}, b, "two")
    c = {"2.png": [(2, 2, 2, 9, 9), (5, 6, 6, 9, 9)], "4.png": []}
    write(tmp_path, "c.json", {2: "bolt", 5: "clip"}, c, "one")
    return tmp_path


def read(*pairs: tuple[str, str]) -> list[annotated.Annotated]:
    return [annotated.read(file, images, frame=frames.AUTO) for file, images in pairs]


def rows(table: coco_json.Annotations) -> dict[str, list[tuple]]:
    """By picture the boxes: name of the class and x."""
    found = {name: [] for name in table.file_names}
    for place, image in enumerate(table.image_index):
        found[table.file_names[image]].append(
            (table.classes.names[table.class_indices[place]], table.boxes_xywh[place][0])
        )
    return found


def test_pictures_of_one_name_are_kept_apart_by_their_folders(folder):
    joined = join.join(read(("a.json", "one"), ("b.json", "two")))
    assert joined.image_dir == str(folder)
    assert rows(joined.table) == {
        "one/1.png": [("nut", 1)],
        "one/2.png": [("bolt", 2)],
        "two/1.png": [("washer", 3), ("bolt", 4)],
        "two/in/3.png": [("nut", 5)],
    }
    assert joined.table.image_ids.tolist() == [1, 2, 3, 4]
    assert annotated.check(joined, frame=frames.AUTO).table.file_names == joined.table.file_names


def test_classes_are_joined_by_name_and_those_of_the_first_keep_their_ids(folder):
    classes, findings = join.join_classes([each.table for each in read(("a.json", "one"), ("b.json", "two"))], "both")
    assert dict(zip(classes.names, classes.ids)) == {"nut": 1, "bolt": 2, "washer": 3}
    assert [finding.message for finding in findings] == [
        "3 of 3 classes have another id in some of the files; joined by name",
        "1 of 3 classes is not in all files; where one is not listed, its objects are background",
    ]
    assert findings[0].examples[0] == "washer, 1 in b.json, is 3" and findings[1].examples == ("washer not in a.json",)


def test_a_picture_of_two_files_has_the_boxes_of_both(folder):
    joined = join.join(read(("a.json", "one"), ("c.json", "one")))
    assert joined.image_dir == "one"
    assert rows(joined.table)["2.png"] == [("bolt", 2), ("bolt", 2), ("clip", 6)]
    assert joined.table.duplicate.tolist() == [False, False, True, False]
    kinds = {finding.kind: finding.message for finding in joined.findings}
    assert kinds["duplicate_pictures"].startswith("1 of 4 image entries names the file of an earlier one")
    assert kinds["duplicate_boxes"].startswith("1 of 4 boxes stands there again")


def test_a_picture_of_two_sizes_is_refused(folder):
    content = json.loads((folder / "c.json").read_text())
    content["images"][0]["width"] = 65
    (folder / "c.json").write_text(json.dumps(content))
    with pytest.raises(
        UserError, match="^c.json: 2.png has another size than in an earlier file: 64 x 48 and 65 x 48$"
    ):
        join.join(read(("a.json", "one"), ("c.json", "one")))


def test_a_folder_that_is_not_there_is_named(folder):
    with pytest.raises(UserError, match="^tow: there is no such image folder$"):
        join.join(read(("a.json", "one"), ("b.json", "tow")))


@pytest.mark.parametrize(
    "folders, wanted",
    [
        (["x/y", "x/y"], "x/y"),
        (["/a/b", "/a/c"], "/a"),
        (["/a/b", "/a/b/c"], "/a/b"),
        (["/ab", "/ac"], "/"),
        (["gs://one/a", "gs://one/b"], "gs://one"),
    ],
)
def test_the_common_folder(folders, wanted):
    assert join.common_folder(folders) == wanted


def test_no_common_folder():
    with pytest.raises(UserError, match="gs://one/a and s3://two/b are in no common folder"):
        join.common_folder(["gs://one/a", "s3://two/b"])


def test_rename_and_subset(folder):
    (one,) = read(("b.json", "two"))
    table, lines = select.renamed(one.table, {"washer": "ring", "nut": "part", "bolt": "part"})
    assert dict(zip(table.classes.names, table.classes.ids)) == {"ring": 1, "part": 2}
    assert lines == ["nut, bolt are one class now: part"]
    left, lines = select.of_classes(table, ["ring"])
    assert rows(left) == {"1.png": [("ring", 3)], "in/3.png": []} and left.classes.ids == (1,)
    assert lines == ["2 of 3 boxes are of other classes and left out; 1 of 2 pictures have none any more: background"]
    with pytest.raises(UserError, match="^b.json has no class 'rings', did you mean 'ring'\\?; there are: ring, part$"):
        select.of_classes(table, ["rings"])


# Training on several files.


def config(*sources: tuple, **values) -> schema.TrainData:
    data = schema.TrainData()
    keys = [dict(zip(("annotation_file", "image_dir", "weight"), source)) for source in sources]
    strict.merge(data, {"sources": keys, **values}, "test")
    return data


def test_sources_are_one_file_with_all(folder):
    """Batch by batch, bit by bit: those of the merged file."""
    joined = join.join(read(("a.json", "one"), ("b.json", "two")))
    from fsaf_tf.data.writers import forms, write

    write.write(write.Target("merged", forms.FORMS["coco"]), {"": joined.table}, joined, print)
    several = config(("a.json", "one"), ("b.json", "two"), global_batch_size=2, seed=3)
    one = schema.TrainData(annotation_file="merged/annotations.json", image_dir=".", global_batch_size=2, seed=3)
    size = schema.InputSize(shorter_side=64, longer_side=96)
    batches = [
        list(pipeline.build_dataset(open_source(each), each, size, batch_size=2).take(6).as_numpy_iterator())
        for each in (several, one)
    ]
    tf.nest.map_structure(np.testing.assert_array_equal, *batches)


def test_what_is_said_of_sources(folder):
    task = schema.Task()
    task.train_data = config(("a.json", "one", 1.0), ("b.json", "two", 3.0))
    assert open_train(task).notes == (
        "a.json: 2 pictures, 2 boxes; 25.0% of the pictures drawn, each 0.5 times an epoch",
        "b.json: 2 pictures, 3 boxes; 75.0% of the pictures drawn, each 1.5 times an epoch",
    )
    task.train_data = config(("a.json", "one"), ("b.json", "two"))
    assert [note.split("; ")[1] for note in open_train(task).notes] == ["50.0% of the pictures drawn"] * 2


def drawn(source, order: Order, count: int) -> list[int]:
    return [int(row["image_id"]) for row in source.rows(order).take(count).as_numpy_iterator()]


def test_weights_are_shares_of_what_is_drawn_and_each_file_is_gone_through(folder):
    source = open_source(config(("a.json", "one", 1.0), ("b.json", "two", 3.0)))
    numbers = drawn(source, Order(seed=4), 4000)
    counts = np.bincount(numbers, minlength=5)[1:] / 4000
    np.testing.assert_allclose(counts, [1 / 8, 1 / 8, 3 / 8, 3 / 8], atol=0.02)
    of_b = [number for number in numbers if number > 2]
    assert all(set(pair) == {3, 4} for pair in zip(of_b[::2], of_b[1::2]))  # all of a file before any comes again
    assert numbers[:50] == drawn(source, Order(seed=4), 50) != drawn(source, Order(seed=5), 50)


def test_shards_part_the_same_order(folder):
    source = open_source(config(("a.json", "one", 1.0), ("b.json", "two", 1.0)))
    whole = drawn(source, Order(seed=1), 60)
    parts = [drawn(source, Order(seed=1, num_shards=3, shard=shard), 20) for shard in range(3)]
    assert [number for three in zip(*parts) for number in three] == whole
    assert all({*part} == {1, 2, 3, 4} for part in parts)
    fixed = [row["image_id"] for row in source.rows(Order()).as_numpy_iterator()]
    assert fixed == [1, 2, 3, 4]  # evaluation and reports see each once


def test_a_training_on_weighted_sources_goes_on_where_it_was(folder):
    data = config(("a.json", "one", 1.0), ("b.json", "two", 2.0), global_batch_size=2)
    size = schema.InputSize(shorter_side=64, longer_side=96)

    def batches(first: int, count: int) -> list[dict]:
        found = pipeline.build_dataset(open_source(data), data, size, batch_size=2, first_step=first)
        return list(found.take(count).as_numpy_iterator())

    tf.nest.map_structure(np.testing.assert_array_equal, batches(0, 8)[5:], batches(5, 3))


def test_a_source_without_pictures_cannot_be_drawn():
    with pytest.raises(UserError, match="^b.json: no picture of it is left to train on"):
        shares.lines(["a.json", "b.json"], np.array([0, 0]), np.array([1, 1]), [1.0, 1.0])
