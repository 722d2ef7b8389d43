"""What a source would train on: counts, findings in one list, and when it is refused."""

import json

import numpy as np
import pytest
import tensorflow as tf
from official.core import exp_factory
from PIL import Image

from fsaf_tf.data import coco, images, inspection
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.examples import Source
from fsaf_tf.data.kept_boxes import Sizing
from fsaf_tf.data.source import Sources
from fsaf_tf.run import data_report

SIZING = Sizing(64, 96)
CATS = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
BOXES = [(1, [10, 10, 20, 20]), (2, [5, 5, 30, 40]), (1, [0, 0, 64, 60])]


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(tmp_path / f"{number}.bmp")
    return tmp_path


def opened(folder, boxes=BOXES, name="x.json", pictures=(0, 1, 2), **changes) -> Source:
    """COCO JSON with one box a picture: category and x, y, w, h."""
    annotations = [
        {"id": place, "image_id": place % len(pictures), "category_id": category, "bbox": box, **changes}
        for place, (category, box) in enumerate(boxes)
    ]
    images = [
        {"id": place, "file_name": f"{number}.bmp", "width": 64, "height": 64} for place, number in enumerate(pictures)
    ]
    (folder / name).write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATS}))
    return coco.open_coco(str(folder / name), str(folder), frame="auto")


def kinds(found) -> list[str]:
    return [finding.kind for finding in found]


def test_a_clean_set(folder):
    found = inspection.inspect(opened(folder), SIZING, max_detections=100, max_instances=100)
    assert found.findings == () and found.is_whole
    assert found.of_classes() == {"cat": (2, 2), "dog": (1, 1)} and found.sizes() == (0, 1)
    assert inspection.lines(found, to_train=True) == [
        f"{folder}/x.json: 3 images, 2 classes",
        "3 of 3 boxes are trained on at 64 x 96: cat 2, dog 1",
        "of these 0 are under 8 px there, 1 over half of their picture",
    ]
    assert inspection.refusal_of_training(found) is inspection.refusal_of_evaluation(found) is None


def test_what_was_found_stands_in_one_list(folder):
    (folder / "2.bmp").write_bytes((folder / "1.bmp").read_bytes())
    boxes = [(1, [10, 10, 20, 20]), (1, [-4, 5, 30, 40]), (1, [5, 5, 5, 0.5]), (1, [10, 10, 20, 20])]
    found = inspection.inspect(opened(folder, boxes), SIZING, max_detections=100, max_instances=100)
    assert kinds(found.findings) == [
        *("lost_boxes", "empty_class", "duplicate_pictures", "duplicate_boxes", "clipped"),
    ]
    assert {finding.where for finding in found.findings} == {f"{folder}/x.json"}
    lines = inspection.lines(found, to_train=False)
    assert lines[1] == "2 of 4 boxes get 1 px or more at 64 x 96: cat 2 of 4"


@pytest.mark.parametrize(
    ("boxes", "changes", "words"),
    [
        (
            [(1, [0.1, 0.2, 0.3, 0.4])] * 2,
            {},
            "2 of 2 boxes have four numbers from 0 to 1: .* Multiply them by its width",
        ),
        ([(1, [10, 10, 0.5, 9])], {}, "all 1 get under 1 px at 64 x 96; task.input_size.shorter_side=128,"),
        ([(1, [10, 10, 0, 9])], {}, "no box is left to train on: all 1 are without area"),
        ([(1, [10, 10, 20, 20])], {"ignore": 1}, "no box is left to train on: all 1 are crowds or to be ignored"),
    ],
)
def test_nothing_to_train_on_is_refused(folder, boxes, changes, words):
    found = inspection.inspect(opened(folder, boxes, **changes), SIZING, max_detections=100, max_instances=100)
    refusal = inspection.refusal_of_training(found)
    assert refusal.startswith(f"{folder}/x.json: ") and "\n" not in refusal
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(refusal)


def test_scale_jitter_counts_the_smallest_side_and_refuses_by_the_largest(folder):
    found = inspection.inspect(
        opened(folder, [(1, [10, 10, 1, 9])]),
        Sizing(64, 96, drawn_sides=(32, 64)),
        max_detections=100,
        max_instances=100,
    )
    assert not found.trained.any() and kinds(found.findings)[0] == "lost_boxes"
    assert inspection.refusal_of_training(found) is None
    found = inspection.inspect(
        opened(folder, [(1, [10, 10, 1, 9])]),
        Sizing(64, 96, drawn_sides=(32, 48)),
        max_detections=100,
        max_instances=100,
    )
    assert "all 1 get under 1 px at 32 x 96" in inspection.refusal_of_training(found)


def test_nothing_to_evaluate_with_is_refused(folder):
    crowds = inspection.inspect(opened(folder, iscrowd=1), SIZING, max_detections=100, max_instances=100)
    assert inspection.refusal_of_evaluation(crowds) == (
        f"{folder}/x.json: no box to evaluate with: all 3 are crowds or to be ignored"
    )


def of_examples(rows: list[tuple[str, list, list]], num_images: int | None = None) -> Source:
    """A source without a table, as TFDS and TFRecord files are: name, boxes yxyx and crowds of pictures of 64 x 64."""

    def examples():
        def each():
            for number, (name, boxes, crowd) in enumerate(rows):
                row = {"image_bytes": b"", "file_name": name, "image_id": number, "size": [64, 64], "crowd": crowd}
                yield row | {"boxes": np.reshape(boxes, [-1, 4]), "classes": [0] * len(boxes), "area": [1] * len(boxes)}

        spec = {"image_bytes": ([], tf.string), "file_name": ([], tf.string), "image_id": ([], tf.int64)}
        spec |= {"size": ([2], tf.int32), "boxes": ([None, 4], tf.float32), "classes": ([None], tf.int32)}
        spec |= {"crowd": ([None], tf.bool), "area": ([None], tf.float32)}
        signature = {key: tf.TensorSpec(*value) for key, value in spec.items()}
        return tf.data.Dataset.from_generator(each, output_signature=signature)

    return Source(
        "records", Classes(("cat",), (1,)), num_images or len(rows), lambda order: examples(), dict, given=examples
    )


def test_data_without_a_table_are_gone_through(monkeypatch):
    box = [0, 0, 20, 30]
    source = of_examples([("a", [box, box, [5, 5, 9, 9]], [False, False, True]), ("b", [], [])])
    found = inspection.inspect(source, SIZING, max_detections=100, max_instances=100)
    assert found.of_classes() == {"cat": (3, 2)}
    counts = {finding.kind: (finding.count, finding.of) for finding in found.findings}
    assert counts == {"crowd": (1, 3), "empty_pictures": (1, 2), "duplicate_boxes": (1, 3)}
    outside, negative, over = [0, 70, 9, 80], [9, 9, 5, 12], [60, 0, 70, 9]
    odd = inspection.inspect(
        of_examples([("a", [box, outside, negative, over], [False] * 4)]), SIZING, max_detections=9, max_instances=100
    )
    assert {finding.kind: (finding.count, finding.of) for finding in odd.findings} == {
        "outside": (1, 4),
        "negative_side": (1, 4),
        "clipped": (1, 2),
    }
    assert odd.of_classes() == {"cat": (2, 2)} and odd.table.boxes_yxyx.tolist() == [box, [60, 0, 64, 9]]
    pixels = [[64 * side for side in (5, 5, 20, 30)]] * 2
    lost = inspection.inspect(of_examples([("a", pixels, [False] * 2)]), SIZING, max_detections=9, max_instances=100)
    assert [finding.kind for finding in lost.findings] == ["empty_class", "pixels", "outside", "empty_pictures"]
    few = inspection.inspect(
        of_examples([("a", [box, box, over], [False, True, False])]), SIZING, max_detections=9, max_instances=2
    )
    line = "records: 1 of 1 pictures has more boxes than max_instances, 2; set it to 3 (first: a, 3)"
    assert inspection.refusal_of_training(few) == inspection.refusal_of_evaluation(few) == line
    assert inspection.refusal_of_training(lost) == "records: no box is left to train on: there is none"
    monkeypatch.setattr(inspection, "MOST_PICTURES", 1)
    crowds = inspection.inspect(
        of_examples([("a", [box], [True]), ("b", [box], [False])]), SIZING, max_detections=100, max_instances=100
    )
    assert (
        "1 boxes are trained on at 64 x 96, of the first 1 pictures: cat 0 of 1"
        in inspection.lines(crowds, to_train=True)[1]
    )
    assert inspection.refusal_of_training(crowds) is inspection.refusal_of_evaluation(crowds) is None


def test_two_sets_of_pictures(folder):
    train = inspection.inspect(
        opened(folder, BOXES[:2], "t.json", pictures=[0, 1]), SIZING, max_detections=100, max_instances=100
    )
    validation = inspection.inspect(
        opened(folder, BOXES[::2], "v.json", pictures=[1, 2]), SIZING, max_detections=100, max_instances=100
    )
    shared, alone = inspection.compare(train, validation)
    assert (shared.kind, shared.count, shared.of, shared.examples) == ("shared_pictures", 1, 2, ("1.bmp",))
    assert alone.line == f"1 of 2 classes has boxes in {folder}/t.json alone: dog"
    assert (
        inspection.compare(
            train,
            inspection.inspect(opened(folder, BOXES[:2], pictures=[2]), SIZING, max_detections=100, max_instances=100),
        )
        == ()
    )


def test_two_sets_of_examples():
    """Numbers serve as names in many sets: the boxes must be the same, too."""
    first = [("1", [[0, 0, 20, 30]], [False]), ("2", [], []), ("3", [[9, 9, 20, 20]], [False])]
    second = [("1", [[0, 0, 20, 31]], [False]), ("2", [], []), ("3", [[9, 9, 20, 20]], [False])]
    [shared] = inspection.compare(
        *(
            inspection.inspect(of_examples(rows), SIZING, max_detections=100, max_instances=100)
            for rows in (first, second)
        )
    )
    assert (shared.kind, shared.count, shared.examples) == ("shared_pictures", 1, ("3",))


def test_pictures_that_were_looked_at_say_how_many_are_decoded_at_a_time(monkeypatch):
    """Of TFDS and TFRecord no size is known before."""
    source = of_examples([("a", [[0, 0, 30, 30]], [False])] * 20)
    task = exp_factory.get_exp_config("fsaf").task
    report = data_report.inspect(task, Sources(source, None))
    known = data_report.with_sizes(Sources(source, None), report)
    monkeypatch.setattr(images, "MEMORY", 3 * images.BYTES_OF_PIXEL * 64 * 64)
    assert (source.at_once(), known.train.at_once(), known.validation) == (images.AT_ONCE, 3, None)
