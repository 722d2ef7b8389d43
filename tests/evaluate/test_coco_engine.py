"""hotcoco gives what pycocotools gives, to the last bit: curves, figures and matches."""

import contextlib
import io
import json

import hotcoco
import numpy as np
import pytest

from fsaf_tf.evaluate import average_precision, coco_engine

HOTCOCO = coco_engine.Engine("hotcoco", hotcoco.COCO, hotcoco.COCOeval)
OF_IMAGES = ("image_id", "dtIds", "gtIds", "dtMatches", "dtScores", "dtIgnore", "gtIgnore")


def drawn(seed: int, images: int, classes: int, detections: int, first_id: int = 0):
    """Ground truth with crowds and areas of masks, and results near it; scores have many ties."""
    draw = np.random.default_rng(seed)
    truth, results = [], []
    for image in range(first_id, first_id + images):
        boxes = np.concatenate([draw.uniform(0, 400, [12, 2]), draw.uniform(2, 160, [12, 2])], axis=1).round(2)
        of_image = boxes[: draw.integers(0, 13)]
        for box in of_image.tolist():
            area, is_crowd = box[2] * box[3] * draw.uniform(0.5, 1), int(draw.random() < 0.1)
            category = int(draw.integers(1, classes + 1))
            truth.append(
                {"image_id": image, "category_id": category, "bbox": box, "area": area, "iscrowd": is_crowd, "id": 0}
            )
        for _ in range(detections):
            box = boxes[draw.integers(12)] + draw.normal(0, 4, 4)
            box[2:] = np.maximum(box[2:], 0.5)
            category, score = int(draw.integers(1, classes + 1)), float(draw.integers(40)) / 40
            results.append({"image_id": image, "category_id": category, "bbox": box.round(3).tolist(), "score": score})
    images = [{"id": image, "height": 500, "width": 500} for image in range(first_id, first_id + images)]
    categories = [{"id": number, "name": str(number)} for number in range(1, classes + 1)]
    return {"images": images, "annotations": truth, "categories": categories}, results


def near(ground_truth: dict):
    """Results near the objects of a file, some twice."""
    draw = np.random.default_rng(0)
    results = []
    for row in ground_truth["annotations"] + ground_truth["annotations"][::3]:
        box = (np.array(row["bbox"]) + draw.normal(0, 3, 4)).clip(0.1).round(3).tolist()
        result = {"image_id": row["image_id"], "category_id": row["category_id"], "bbox": box}
        results.append({**result, "score": float(draw.integers(30)) / 30})
    return ground_truth, results


DRAWN = {
    "classes": drawn(0, images=30, classes=80, detections=40),
    "one": drawn(1, images=20, classes=1, detections=130),
    "large_ids": drawn(2, images=10, classes=3, detections=10, first_id=2**53 - 20),
    "empty": (drawn(3, images=4, classes=2, detections=0)[0], []),
}
FILES = {
    "coco": ("eval_refs/cocoapi100/instances_val2014_100.json", "instances_val2014_fakebbox100_results.json"),
    "bccd": ("bccd/annotations/instances_val.json", None),
    "coco_mini": ("coco_mini/annotations/instances_val2017.json", None),
}


@pytest.fixture(params=[*DRAWN, *FILES])
def data(request):
    """Ground truth and results."""
    if request.param in DRAWN:
        return DRAWN[request.param]
    annotations, results = FILES[request.param]
    path = request.getfixturevalue("shared_data") / annotations
    ground_truth = json.loads(path.read_text())
    return (ground_truth, json.loads((path.parent / results).read_text())) if results else near(ground_truth)


def evaluated(engine, ground_truth, results, **params):
    """As `average_precision` numbers them, and the figures that the program prints."""
    truth = [
        {"iscrowd": 0, "area": row["bbox"][2] * row["bbox"][3], **row, "id": number}
        for number, row in enumerate(ground_truth["annotations"], start=1)
    ]
    results = [
        {**row, "area": row["bbox"][2] * row["bbox"][3], "iscrowd": 0, "id": number}
        for number, row in enumerate(results, start=1)
    ]
    evaluation = coco_engine.evaluate(engine, ground_truth, truth, results, params)
    curves = {name: np.array(evaluation.eval[name]) for name in ("precision", "recall")}
    images = [{key: np.array(row[key]).tolist() for key in OF_IMAGES} for row in evaluation.evalImgs if row]
    order = sorted(range(len(images)), key=lambda place: json.dumps(images[place]))
    return evaluation, curves, [images[place] for place in order]


@pytest.mark.parametrize("most", [100, 7, 300])
def test_the_same_to_the_last_bit(data, most):
    limits = {"maxDets": [min(1, most), min(10, most), most]}
    reference, curves, images = evaluated(coco_engine.PYCOCOTOOLS, *data, **limits)
    fast, fast_curves, fast_images = evaluated(HOTCOCO, *data, **limits)
    for name, values in curves.items():
        np.testing.assert_array_equal(fast_curves[name], values, err_msg=name)
    assert fast_images == images
    stats = []
    for evaluation in (reference, fast):
        evaluation.params.maxDets = [1, 10, 100]
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.summarize()
        stats.append(np.array(evaluation.stats))
    np.testing.assert_array_equal(*stats)


@pytest.mark.parametrize(
    "params",
    [
        {"useCats": 0, "iouThrs": np.array([0.5]), "areaRng": [[0, 1e10]], "areaRngLbl": ["all"]},
        {"areaRng": [[0, 900.0], [900.0, 1e10]], "areaRngLbl": ["0", "1"]},
    ],
    ids=["any_class", "areas"],
)
def test_the_same_with_other_parameters(params):
    reference, fast = (evaluated(engine, *DRAWN["classes"], **params) for engine in (coco_engine.PYCOCOTOOLS, HOTCOCO))
    np.testing.assert_array_equal(fast[1]["precision"], reference[1]["precision"])
    assert fast[2] == reference[2]


def test_negative_ids_are_evaluated_by_pycocotools_with_the_same_figures():
    ground_truth, results = DRAWN["classes"]
    assert coco_engine.fastest(ground_truth).name == "hotcoco"
    images = [{**row, "id": row["id"] - 1000} for row in ground_truth["images"]]
    rows = [
        [{**row, "image_id": row["image_id"] - 1000} for row in table]
        for table in (ground_truth["annotations"], results)
    ]
    moved = {**ground_truth, "images": images, "annotations": rows[0]}
    assert coco_engine.fastest(moved).name == "pycocotools"
    figures = average_precision.coco_metrics(moved, rows[1])
    np.testing.assert_equal(figures, average_precision.coco_metrics(ground_truth, results))
    np.testing.assert_array_equal(
        average_precision.match(moved, rows[1]), average_precision.match(ground_truth, results)
    )
