"""Labels that may be wrong: each kind on a case made by hand, and mistakes that are put into right labels are found."""

import numpy as np
import pytest

from fsaf_tf.analysis import suspects
from fsaf_tf.evaluate import average_precision

CAT, DOG = 3, 7


def truth(*labels, images=1):
    """Labels (image, box, class[, crowd])."""
    return {
        "images": [{"id": number, "file_name": f"{number}.png"} for number in range(images)],
        "annotations": [
            {"image_id": image, "bbox": box, "category_id": label, "iscrowd": int(bool(crowd))}
            for image, box, label, *crowd in labels
        ],
        "categories": [{"id": CAT, "name": "cat"}, {"id": DOG, "name": "dog"}],
    }


def found(*detections):
    """Results (image, box, class, score)."""
    return [
        {"image_id": image, "bbox": box, "category_id": label, "score": score}
        for image, box, label, score in detections
    ]


HERE, BESIDE, AWAY = [10.0, 10.0, 40.0, 20.0], [30.0, 10.0, 40.0, 20.0], [150.0, 60.0, 20.0, 20.0]


@pytest.mark.parametrize(
    ("labels", "detections", "expected"),
    [
        ([(0, HERE, CAT)], [(0, HERE, CAT, 0.9)], []),
        ([], [(0, HERE, CAT, 0.9)], [("not drawn", "cat", HERE, None)]),
        ([], [(0, HERE, CAT, 0.9), (0, HERE, DOG, 0.8)], [("not drawn", "cat", HERE, None)]),
        ([(0, HERE, CAT)], [], [("never found", "cat", HERE, None)]),
        ([(0, HERE, CAT)], [(0, HERE, DOG, 0.9)], [("another class", "cat", HERE, "dog")]),
        ([(0, HERE, CAT)], [(0, HERE, DOG, 0.3), (0, HERE, CAT, 0.9)], []),
        ([(0, HERE, CAT)], [(0, HERE, DOG, 0.9), (0, HERE, CAT, 0.3)], [("another class", "cat", HERE, "dog")]),
        ([(0, HERE, CAT)], [(0, BESIDE, CAT, 0.9)], [("another place", "cat", HERE, "cat")]),
        ([(0, HERE, CAT)], [(0, HERE, CAT, 0.9), (0, BESIDE, CAT, 0.5)], [("not drawn", "cat", BESIDE, None)]),
        ([(0, [0.0, 0.0, 200.0, 100.0], CAT, "crowd")], [(0, HERE, CAT, 0.9)], []),
        ([(0, HERE, CAT)], [(0, HERE, CAT, 0.9), (0, AWAY, CAT, 0.05)], []),  # that is no answer to be asked about
    ],
)
def test_kinds(labels, detections, expected):
    said = suspects.find(truth(*labels), found(*detections))
    assert [(one["kind"], one["name"], one["box"], one.get("found_name")) for one in said] == expected
    assert all(one["file_name"] == "0.png" and "score" in one or one["kind"] == "never found" for one in said)


def test_a_suspicion_is_the_score_times_how_rare_it_is():
    """Of five cats over 0.8 one is on no label, of six over 0.5 two; of five labels of cats one is never found.

    That is less suspicious of cats that are found at 0.72 in the mean, but where a dog is on it.
    """
    places = [[60.0 * place, 0.0, 40.0, 40.0] for place in range(8)]
    labels = [(0, box, CAT) for box in places[:5]]
    detections = [(0, box, CAT, 0.9) for box in places[:4]]
    detections += [(0, places[6], CAT, 0.8), (0, places[7], CAT, 0.5)]
    said = {tuple(one["box"]): one["suspicion"] for one in suspects.find(truth(*labels), found(*detections))}
    expected = {6: 0.8 * (1 - 1 / 5), 7: 0.5 * (1 - 2 / 6), 4: 0.72 * (1 - (1 / 5) / 2)}
    assert said == {tuple(places[place]): pytest.approx(value) for place, value in expected.items()}
    (first, *_) = suspects.find(truth(*labels), found(*detections, (0, places[4], DOG, 0.2)))
    assert (first["kind"], first["suspicion"]) == ("another class", pytest.approx(1 - (1 / 5) * 1.2 / 2))


def test_of_labels_that_are_never_found_those_first_that_nothing_is_near():
    labels, near = [(image, HERE, CAT) for image in range(4)], [10.0, 10.0, 40.0, 8.0]  # IoU 0.4
    detections = [(0, HERE, CAT, 0.9), (1, near, DOG, 0.2), (2, near, DOG, 0.9)]
    said = suspects.find(truth(*labels, images=4), found(*detections))
    assert [one["image_id"] for one in said if one["kind"] == "never found"] == [3, 1, 2]


@pytest.mark.parametrize("seed", range(3))
def test_mistakes_that_are_put_into_labels_come_first(seed):
    """A detector that finds nine of ten objects and little else; 6 labels of 200 are renamed, 6 moved, 6 removed."""
    draw = np.random.default_rng(seed)
    labels, detections = [], []
    for image in range(40):
        for place in range(5):
            box, label = [60.0 * place, 10.0, 40.0, 40.0], int(draw.choice([CAT, DOG]))
            labels.append((image, box, label))
            if draw.random() < 0.9:
                jitter = draw.normal(0, 1, 4)
                detections.append((image, (np.array(box) + jitter).tolist(), label, float(draw.uniform(0.4, 1))))
        if draw.random() < 0.3:
            detections.append((image, [330.0, 60.0, 30.0, 30.0], CAT, float(draw.uniform(0.1, 0.6))))
    known = {
        (d[0], round(d[1][0] / 60)) for d in detections if d[1][1] < 30
    }  # mistakes about what it does not find hide
    chosen = [n for n in draw.permutation(200).tolist() if (labels[n][0], n % 5) in known][:18]
    renamed, moved, removed = chosen[:6], chosen[6:12], chosen[12:]
    wrong = [
        (image, [box[0], box[1] + 25, *box[2:]] if n in moved else box, CAT + DOG - label if n in renamed else label)
        for n, (image, box, label) in enumerate(labels)
        if n not in removed
    ]
    said = suspects.find(truth(*wrong, images=40), found(*detections))[:30]
    places = {(one["image_id"], round(one["box"][0] / 60)) for one in said}
    assert sum((labels[n][0], n % 5) in places for n in chosen) >= 16


def test_nothing_to_compare():
    assert suspects.find(truth(), []) == []
    assert average_precision.coco_metrics(truth((0, HERE, CAT)), [])["AP"] == 0
