"""The bootstrap over pictures: AP of a draw is pycocotools' AP of the pictures that it has."""

import numpy as np
import pytest

from fsaf_tf.analysis import bootstrap
from fsaf_tf.evaluate import average_precision

IMAGES, CLASSES = 12, (3, 5, 9)


def objects_and_results(seed: int, quality: float = 0.8):
    """Boxes in a few pictures, a crowd among them, and detections of most, some of them wrong."""
    draws = np.random.default_rng(seed)
    annotations, results = [], []
    for image_id in range(IMAGES - 1):  # the last one has no object
        for _ in range(draws.integers(1, 5)):
            box = [float(x) for x in (*draws.uniform(0, 60, 2), *draws.uniform(10, 40, 2))]
            row = {"image_id": image_id, "category_id": int(draws.choice(CLASSES[:2])), "bbox": box}
            annotations.append(row | {"iscrowd": int(draws.random() < 0.1)})
            if draws.random() < quality:
                moved = [side + float(draws.normal(0, 2)) for side in box]
                results.append({**row, "bbox": moved, "score": round(float(draws.uniform(0.2, 1)), 3)})
    for image_id in draws.integers(0, IMAGES, 15).tolist():
        box = [float(x) for x in (*draws.uniform(0, 60, 2), 20, 20)]
        score = round(float(draws.uniform(0, 0.6)), 3)
        row = {"image_id": image_id, "category_id": int(draws.choice(CLASSES[:2])), "bbox": box, "score": score}
        results.append(row)
    images = [{"id": image_id, "width": 100, "height": 100} for image_id in range(IMAGES)]
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": str(number)} for number in CLASSES],  # the last one has no object
    }, results


def repeated(ground_truth: dict, results: list[dict], times: np.ndarray) -> tuple[dict, list[dict]]:
    """Each picture as often as it was drawn, under new ids."""
    numbers = [(image["id"], copy) for image, count in zip(ground_truth["images"], times) for copy in range(count)]
    copies = {pair: number for number, pair in enumerate(numbers)}

    def of_copies(rows):
        return [{**row, "image_id": copies[pair]} for pair in numbers for row in rows if row["image_id"] == pair[0]]

    images = [{"id": number, "width": 100, "height": 100} for number in copies.values()]
    truth = {**ground_truth, "images": images, "annotations": of_copies(ground_truth["annotations"])}
    return truth, of_copies(results)


@pytest.mark.parametrize("seed", range(3))
def test_a_draw_has_the_ap_of_its_pictures(seed):
    ground_truth, results = objects_and_results(seed)
    drawn = bootstrap.draw(IMAGES, 8, seed)
    assert drawn.shape == (8, IMAGES) and (drawn.sum(axis=1) == IMAGES).all() and drawn.max() > 1
    found = bootstrap.aps(ground_truth, results, drawn, 100)
    expected = [average_precision.coco_metrics(*repeated(ground_truth, results, times))["AP"] for times in drawn]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    once = bootstrap.aps(ground_truth, results, np.ones([1, IMAGES], int), 100)
    assert once[0] == pytest.approx(average_precision.coco_metrics(ground_truth, results)["AP"], abs=1e-9)
    assert 0.1 < once[0] < 0.9


def test_detections_beyond_those_that_are_counted_do_not_count():
    ground_truth, results = objects_and_results(5)
    once = np.ones([1, IMAGES], int)
    few = bootstrap.aps(ground_truth, results, once, 1)[0]
    assert few == pytest.approx(average_precision.coco_metrics(ground_truth, results, 1)["AP"], abs=1e-9)
    assert few < bootstrap.aps(ground_truth, results, once, 100)[0]


def test_the_interval_holds_the_middle_and_knows_the_rest():
    assert bootstrap.interval(np.append(np.linspace(0, 1, 1001), np.nan)) == pytest.approx([0.025, 0.975])
    assert bootstrap.interval(np.array([np.nan])) is None
    ground_truth, results = objects_and_results(2)
    drawn = bootstrap.draw(IMAGES, 300)
    low, high = bootstrap.interval(bootstrap.aps(ground_truth, results, drawn, 100))
    assert low < average_precision.coco_metrics(ground_truth, results)["AP"] < high and high - low > 0.05
    same = bootstrap.aps(ground_truth, results, drawn, 100) - bootstrap.aps(ground_truth, results[::-1], drawn, 100)
    assert bootstrap.interval(same) == pytest.approx([0, 0], abs=0.02)  # but for equal scores


def test_nothing_found_and_nothing_there():
    ground_truth, results = objects_and_results(1)
    drawn = bootstrap.draw(IMAGES, 5)
    assert (bootstrap.aps(ground_truth, [], drawn, 100) == 0).all()
    assert np.isnan(bootstrap.aps({**ground_truth, "annotations": []}, results, drawn, 100)).all()


def test_fewer_draws_of_very_many_detections():
    assert [bootstrap.number_of_draws(count) for count in (0, 10_000, 500_000, 10**9)] == [1000, 1000, 200, 100]
