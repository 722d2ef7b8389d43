"""The threshold of a class: against trying every score, on other data than it was chosen on, and from a file."""

import json

import numpy as np
import pytest

from fsaf_tf.analysis import thresholds
from fsaf_tf.errors import UserError

CLASSES = {3: "cat", 7: "dog", 9: "owl"}


def world(seed: int):
    """Objects of two classes; cats are found with high scores and dogs with low ones, and there are no owls."""
    draw = np.random.default_rng(seed)
    annotations, results = [], []
    for image in range(20):
        for place in range(4):
            label = int(draw.choice([3, 7]))
            row = {"image_id": image, "category_id": label, "bbox": [50.0 * place, 0.0, 30.0, 30.0]}
            annotations.append(row)
            top = {3: 1.0, 7: 0.4}[label]
            if draw.random() < 0.8:
                results.append({**row, "score": round(float(draw.uniform(0.5, 1) * top), 2)})
            if draw.random() < 0.6:
                away = [50.0 * place, 60.0, 30.0, 30.0]
                results.append({**row, "bbox": away, "score": round(float(draw.uniform(0, 0.6) * top), 2)})
    images = [{"id": image, "file_name": f"{image}.png", "width": 200, "height": 100} for image in range(20)]
    categories = [{"id": key, "name": name} for key, name in CLASSES.items()]
    return {"images": images, "annotations": annotations, "categories": categories}, results


def f1(ground_truth, results, category_id, threshold) -> float:
    """By counting: boxes lie on an object or nowhere near one."""
    objects = [row for row in ground_truth["annotations"] if row["category_id"] == category_id]
    kept = [row for row in results if row["category_id"] == category_id and row["score"] >= threshold]
    right = sum(row["bbox"][1] == 0 for row in kept)
    return 2 * right / (len(kept) + len(objects))


@pytest.mark.parametrize("seed", range(3))
def test_no_other_threshold_is_better(seed):
    ground_truth, results = world(seed)
    found = thresholds.of_classes(ground_truth, results, 100)
    for row, category_id in zip(found["by_class"][:2], (3, 7)):
        every = [f1(ground_truth, results, category_id, threshold) for threshold in np.arange(0, 1.01, 0.005)]
        assert row["F1"] == pytest.approx(max(every)) and row["F1"] > 0.6
        assert row["F1"] == pytest.approx(f1(ground_truth, results, category_id, row["threshold"]))
        assert row["F1"] == pytest.approx(2 / (1 / row["precision"] + 1 / row["recall"]))
        assert row["threshold"] == round(row["threshold"], 3)
    cat, dog, owl = found["by_class"]
    assert (cat["name"], dog["name"]) == ("cat", "dog") and cat["threshold"] > dog["threshold"] + 0.1
    assert owl == {"name": "owl", "threshold": None, "objects": 0, "precision": None, "recall": None, "F1": None}
    one = found["one"]
    assert min(cat["threshold"], dog["threshold"]) <= one["threshold"] <= max(cat["threshold"], dog["threshold"])


def test_what_was_chosen_is_tried_on_other_data():
    found = thresholds.of_classes(*world(0), 100)
    given = thresholds.Thresholds({row["name"]: row["threshold"] for row in found["by_class"][:2]}, 0.45)
    ground_truth, results = world(1)
    tried = thresholds.measured(ground_truth, results, 100, given)
    for row, category_id in zip(tried["by_class"][:2], (3, 7)):
        assert row["threshold"] == given.of[row["name"]]
        assert row["F1"] == pytest.approx(f1(ground_truth, results, category_id, row["threshold"]))
        assert row["F1_of_one"] == pytest.approx(f1(ground_truth, results, category_id, 0.45))
    assert tried["by_class"][2]["threshold"] == 0.45  # none was chosen for owls
    mean = np.mean([row["F1"] for row in tried["by_class"][:2]])
    assert tried["mean"]["F1"] == pytest.approx(mean) and mean > tried["mean"]["F1_of_one"]
    kept = [row for row in results if row["score"] >= given.of[CLASSES[row["category_id"]]]]
    right = sum(row["bbox"][1] == 0 for row in kept)
    assert tried["all"]["F1"] == pytest.approx(2 * right / (len(kept) + 80)) and tried["all"]["objects"] == 80


def test_equal_scores_are_kept_or_left_out_together():
    ground_truth, _ = world(0)
    first, second = ground_truth["annotations"][:2]
    same = [{**first, "score": 0.5}, {**first, "bbox": [0, 60, 30, 30], "score": 0.5}, {**second, "score": 0.5}]
    rows = thresholds.of_classes(ground_truth, same, 100)["by_class"]
    assert all(row["threshold"] in (None, 0.25) for row in rows)


def test_nothing_right_has_no_threshold():
    ground_truth, results = world(0)
    wrong = [row for row in results if row["bbox"][1] > 0]
    found = thresholds.of_classes(ground_truth, wrong, 100)
    assert [row["threshold"] for row in (*found["by_class"], found["one"])] == [None] * 4
    assert found["one"]["F1"] == 0 and thresholds.of_classes(ground_truth, [], 100)["one"]["F1"] == 0


def report(**runs):
    return {"runs": {name: {"thresholds": found} for name, found in runs.items()}}


def test_the_file_of_a_report(tmp_path):
    found = thresholds.of_classes(*world(0), 100)
    path = tmp_path / "val.json"
    path.write_text(json.dumps(report(mine=found)))
    cat, dog, _ = found["by_class"]
    read = thresholds.read(str(path))
    assert read == ({"cat": cat["threshold"], "dog": dog["threshold"]}, found["one"]["threshold"])
    nothing = thresholds.of_classes(world(0)[0], [], 100)
    for content, message in (
        ({"AP": 1}, "is no report: give the NAME.json that tools/analyze.py wrote on validation data"),
        (report(a=found, b=found), "is of 2 detectors: a, b; give a report of one"),
        ({"runs": {"a": {}}}, "has no thresholds: an older version wrote it"),
        (report(a=nothing), "its detector found nothing that is right"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(UserError, match=message):
            thresholds.read(str(path))
