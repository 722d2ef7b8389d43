"""Images of rare classes come more often."""

import collections
import math

import numpy as np
import pytest
import tensorflow as tf

from fsaf_tf.data import balance
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.examples import Source

# By image: its classes. Of ten images nine have a cat, one a dog, none an owl; one has no object.
CLASSES = {0: [0, 0, 1], **{number: [0] for number in range(1, 9)}, 9: []}


def source() -> Source:
    rows = [{"image_id": number, "category_id": 5 + label} for number, found in CLASSES.items() for label in found]
    return Source(
        "ten", Classes(("cat", "dog", "owl"), (5, 6, 7)), 10, lambda order: examples(), lambda: {"annotations": rows}
    )


def examples() -> tf.data.Dataset:
    of_images = [
        tf.data.Dataset.from_tensors({"image_id": number, "classes": np.int32(found)})
        for number, found in CLASSES.items()
    ]
    joined = of_images[0]
    for one in of_images[1:]:
        joined = joined.concatenate(one)
    return joined


def counts(threshold: float, rounds: int) -> collections.Counter:
    dataset = balance.repeat_rare(examples(), source(), threshold, seed=3)
    found, last, passed = collections.Counter(), -1, 0
    for example in dataset.as_numpy_iterator():
        passed += example["image_id"] < last
        last = example["image_id"]
        if passed == rounds:
            return found
        found[int(last)] += 1


def test_factors_are_the_roots_of_threshold_over_share():
    assert balance.shares_of_images(source()) == (0.9, 0.1, 0.0)
    np.testing.assert_allclose(balance.factors(source(), 0.5), [1, math.sqrt(5), 1], rtol=1e-6)
    np.testing.assert_allclose(balance.factors(source(), 0.05), [1, 1, 1])


@pytest.mark.parametrize(("threshold", "factor"), [(0.05, 1), (0.4, 2), (0.5, math.sqrt(5))])
def test_an_image_comes_as_often_as_its_rarest_class_wants(threshold, factor):
    found = counts(threshold, rounds=100)
    assert {found[number] for number in range(1, 10)} == {100}
    assert found[0] == pytest.approx(100 * factor, abs=10 * (factor % 1 > 0))


def test_it_is_said_which_classes_are_rare():
    assert balance.describe(source(), 0.5).endswith("(repeat_rare 0.5): dog 2.2")
    assert balance.describe(source(), 0.05).endswith("none is rare")
