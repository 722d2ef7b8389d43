"""COCO average precision: published figures, COCO's rules, data sets without boxes, the table."""

import copy
import json
import math

import numpy as np
import pytest

from fsaf_tf.evaluate import average_precision, metrics_table

CATEGORIES = [{"id": 3, "name": "bar"}, {"id": 7, "name": "disc"}]


def truth(*boxes, images=1):
    """Ground truth of (bbox, category_id[, further keys]) in image 1."""
    return {
        "images": [{"id": image} for image in range(1, images + 1)],
        "annotations": [
            {"id": index, "image_id": 1, "bbox": box, "category_id": category, **dict(*rest)}
            for index, (box, category, *rest) in enumerate(boxes)  # from 0, which pycocotools alone cannot match
        ],
        "categories": CATEGORIES,
    }


def found(*boxes):
    return [
        {"image_id": 1, "bbox": box, "category_id": category, "score": 0.9 - 0.1 * rank}
        for rank, (box, category) in enumerate(boxes)
    ]


def test_equals_the_figures_that_coco_publishes(shared_data):
    folder = shared_data / "eval_refs" / "cocoapi100"
    ground_truth = json.loads((folder / "instances_val2014_100.json").read_text())
    results = json.loads((folder / "instances_val2014_fakebbox100_results.json").read_text())
    expected = json.loads((folder / "expected.json").read_text())
    metrics = average_precision.coco_metrics(ground_truth, results)
    assert {name: metrics[name] for name in expected["pycocotools"]} == pytest.approx(
        expected["pycocotools"], abs=1e-12
    )
    published = {name: round(metrics[name], 3) for name in expected["pycocotools"]}
    assert published | {"source": expected["published"]["source"]} == expected["published"]
    assert list(metrics) == [*expected["pycocotools"], "AP_thin", "AP_by_class"]
    by_class = metrics["AP_by_class"]
    assert len(by_class) == 80 and math.isnan(by_class["toaster"])  # none in these images
    assert np.nanmean(list(by_class.values())) == pytest.approx(metrics["AP"])


def test_is_silent_and_leaves_the_ground_truth_alone(capfd):
    ground_truth, results = truth(([0, 0, 9, 9], 3)), found(([0, 0, 9, 9], 3))
    before = copy.deepcopy((ground_truth, results))
    metrics = average_precision.coco_metrics(ground_truth, results)
    assert metrics["AP"] == pytest.approx(1) and metrics["AP_by_class"]["bar"] == pytest.approx(1)
    assert (ground_truth, results) == before
    assert capfd.readouterr() == ("", "")


def test_a_crowd_is_ignored():
    ground_truth = truth(([0, 0, 9, 9], 3), ([20, 20, 50, 50], 3, {"iscrowd": 1}))
    in_the_crowd = [([20, 20, 10, 10], 3), ([50, 50, 10, 10], 3)]
    assert average_precision.coco_metrics(ground_truth, found(*in_the_crowd, ([0, 0, 9, 9], 3)))["AP"] == pytest.approx(
        1
    )


def test_no_detection_is_zero_and_no_ground_truth_is_nan():
    nothing_found = average_precision.coco_metrics(truth(([0, 0, 9, 9], 3)), [])
    assert nothing_found["AP"] == nothing_found["AR100"] == nothing_found["AP_by_class"]["bar"] == 0
    assert math.isnan(nothing_found["APl"]) and math.isnan(nothing_found["AP_by_class"]["disc"])
    for results in ([], found(([0, 0, 9, 9], 3))):
        nothing_there = average_precision.coco_metrics(truth(), results)
        assert all(math.isnan(nothing_there[name]) for name in average_precision.names())
    empty = average_precision.coco_metrics({"images": [], "annotations": [], "categories": []}, [])
    assert math.isnan(empty["AP"]) and empty["AP_by_class"] == {}


@pytest.mark.parametrize("key, value", [("image_id", 5), ("category_id", 4)])
def test_a_result_of_an_unknown_image_or_category_is_an_error(key, value):
    results = found(([0, 0, 9, 9], 3))
    results[0][key] = value
    with pytest.raises(ValueError, match=f"{key} {value}"):
        average_precision.coco_metrics(truth(([0, 0, 9, 9], 3)), results)


THIN_BOX, WIDE_BOX, EIGHT = [0, 0, 90, 10], [0, 50, 80, 40], [0, 100, 80, 10]


@pytest.mark.parametrize(
    "results, expected",
    [
        ([THIN_BOX], 1.0),
        ([WIDE_BOX, EIGHT, THIN_BOX], 1.0),  # right, but not thin: ignored
        ([[100, 50, 80, 40], THIN_BOX], 1.0),  # wrong, but not thin: ignored
        ([[100, 200, 90, 10], THIN_BOX], 0.5),  # wrong and thin
        ([[0, 0, 78, 10]], 0.8),  # not thin itself, but on a thin box: IoU 0.867, right at 8 of 10 thresholds
        ([WIDE_BOX], 0.0),
    ],
)
def test_thin_boxes(results, expected):
    ground_truth = truth((THIN_BOX, 3), (WIDE_BOX, 3), (EIGHT, 3))
    metrics = average_precision.coco_metrics(ground_truth, found(*((box, 3) for box in results)))
    assert metrics["AP_thin"] == pytest.approx(expected)


def test_detections_become_coco_results():
    detections = {
        "boxes": np.array([[[10, 20, 30, 50], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]], np.float32),
        "scores": np.array([[0.5, 0.0], [0.0, 0.0]], np.float32),
        "classes": np.array([[1, 0], [0, 0]], np.int32),
        "num_detections": np.array([1, 0], np.int32),
    }
    results = average_precision.detections_to_coco(detections, np.array([2**40, 2], np.int64), [3, 7])
    assert results == [{"image_id": 2**40, "category_id": 7, "bbox": [20.0, 10.0, 30.0, 20.0], "score": 0.5}]
    json.dumps(results)


def test_table():
    metrics = dict.fromkeys(average_precision.names(), 0.25)
    metrics.update(APl=math.nan, AP_by_class={"disc": 0.1, "bar": None, "ring": 0.4})  # of JSON
    levels = {"levels": {"3": 0.715, "4": 0.281, "5": 0.004}, "levels_by_size": {"3": 1.0, "4": 0.0, "5": 0.0}}
    assert metrics_table.format_table(metrics | levels).splitlines()[-2:] == [
        "  objects by level   P3 72%, P4 28%",
        "  by size (Eq. 3)    P3 100%",
    ]
    assert metrics_table.format_table(metrics).splitlines() == [
        "              IoU .5:.95   IoU .5  IoU .75    small   medium    large     thin",
        "  AP               0.250    0.250    0.250    0.250    0.250        -    0.250",
        "",
        "              1 an image       10      100    small   medium    large",
        "  AR               0.250    0.250    0.250    0.250    0.250    0.250",
        "",
        "  AP by class",
        "    0.400 ring   0.100 disc       - bar",
    ]


def shelf(count: int, categories=(3,)):
    """Ground truth of so many objects of each class in an image, and results that are just these."""
    boxes = [([20 * place, 0, 9, 9], category) for category in categories for place in range(count)]
    return truth(*boxes), [
        {"image_id": 1, "bbox": box, "category_id": category, "score": 1 - 0.001 * rank}
        for rank, (box, category) in enumerate(boxes)
    ]


def test_the_ceiling_is_of_a_class_in_an_image_and_is_told():
    """COCO counts 100 detections of each class: 90 of two classes are all counted, of 150 of one 100 are."""
    assert average_precision.coco_metrics(*shelf(90, (3, 7)))["AP"] == pytest.approx(1)
    assert average_precision.beyond_ceiling(shelf(100)[0], 100) == {}
    metrics = average_precision.coco_metrics(*shelf(150))
    assert metrics["AP"] == pytest.approx(67 / 101) and metrics["AR100"] == pytest.approx(100 / 150)
    assert metrics["ceiling"] == {"images": 1, "all_images": 1, "most": 150, "objects": 50, "all_objects": 150}
    assert "max_detections" not in metrics
    (line,) = metrics_table.ceiling_lines(metrics)
    assert line.startswith("1 of 1 images have more than 100 objects of a class (up to 150)")
    assert "50 of 150 objects cannot be found; task.evaluation.max_detections and" in line
    assert line in metrics_table.format_table(metrics)


@pytest.mark.parametrize("most", [1, 5, 60, 150, 300])
def test_another_ceiling(most):
    """All figures are at it, those by size and of thin boxes too; fewer than COCO's 10 and 1 are no matter."""
    ground_truth, results = shelf(150)
    metrics = average_precision.coco_metrics(ground_truth, results, most)
    counted = min(most, 150)
    for name in ("AP", "AP50", "APs"):
        assert metrics[name] == pytest.approx((100 * counted // 150 + 1) / 101)
    assert metrics["AR100"] == pytest.approx(counted / 150) and metrics["AR10"] == pytest.approx(min(most, 10) / 150)
    assert average_precision.ap50(ground_truth, results, most) == pytest.approx(metrics["AP50"])
    (small,) = average_precision.binned_ap(ground_truth, results, lambda box: 0, [0], most)
    assert small == pytest.approx(metrics["AP"])
    matches = average_precision.match(ground_truth, results, max_detections=most)
    assert np.sum(matches >= 0) == counted and np.sum(matches == average_precision.LEFT_OUT) == 150 - counted
    assert metrics["max_detections"] == most and ("ceiling" in metrics) == (most < 150)
    table = metrics_table.format_table(metrics)
    assert f"evaluated at {most} detections of a class in an image (COCO: 100)" in table
    assert table.splitlines()[3].split()[4] == str(most)


def test_figures_of_branches():
    """`brief` has those of `coco_metrics`; boxes that are moved have other figures at IoU 0.5 and 0.75."""
    ground_truth, results = shelf(20, (3, 7))
    for move in (0, 1, 2):
        moved = [{**row, "bbox": [row["bbox"][0] + move, *row["bbox"][1:]]} for row in results[: 38 - 10 * move]]
        metrics, brief = (
            average_precision.coco_metrics(ground_truth, moved),
            average_precision.brief(ground_truth, moved),
        )
        assert brief == {name: metrics[name] for name in ("AP", "AP50", "AP75")} and 0 < brief["AP"] < 1
    assert brief["AP75"] < brief["AP50"]
    branches = {"anchor_free": brief, "anchor_based": {"AP": 0.9, "AP50": 0.95, "AP75": math.nan}}
    table = metrics_table.format_table({**metrics, "branches": branches}).splitlines()
    start = [line.split() for line in table].index(["AP", "AP50", "AP75"])
    assert [line.split() for line in table[start + 1 : start + 4]] == [
        ["both", "branches", *(f"{metrics[name]:.3f}" for name in ("AP", "AP50", "AP75"))],
        ["anchor_free", "alone", *(f"{brief[name]:.3f}" for name in ("AP", "AP50", "AP75"))],
        ["anchor_based", "alone", "0.900", "0.950", "-"],
    ]
    better = "  anchor_based is better alone: --branch=anchor_based of predict, export and --mode=eval takes it"
    assert table[start + 4] == better
    del branches["anchor_based"]
    assert not any(
        "better alone" in line for line in metrics_table.format_table({**metrics, "branches": branches}).split()
    )


def test_a_further_figure_is_a_row(monkeypatch):
    share = average_precision.Figure(
        "found", lambda outcome: len(outcome.results) / len(outcome.ground_truth["annotations"]), "AR", "of all"
    )
    monkeypatch.setattr(average_precision, "FIGURES", (*average_precision.FIGURES, share))
    metrics = average_precision.coco_metrics(truth(([0, 0, 9, 9], 3), ([40, 0, 9, 9], 3)), found(([0, 0, 9, 9], 3)))
    assert metrics["found"] == 0.5 and list(metrics)[-2:] == ["found", "AP_by_class"]
    headings, values = metrics_table.format_table(metrics).splitlines()[3:5]
    assert headings.endswith("large   of all") and values.endswith("0.500")
    del metrics["found"]  # of a run that was evaluated before there was such a figure
    assert metrics_table.format_table(metrics).splitlines()[4].endswith("        -")
