"""Freezing by layer names: what is not trained stays as it is, statistics included."""

import numpy as np
import pytest
import tensorflow as tf
from small_run import NAMES, build_model, small_params

from fsaf_tf.errors import UserError
from fsaf_tf.modeling import detector, freezing


@pytest.fixture(scope="module")
def random_values():
    """A detector all of which is trained, batch normalisation's statistics too."""
    model = small_params().task.model
    model.backbone.resnet.weights = ""
    return detector.build_detector(model, len(NAMES))


@pytest.fixture
def model(random_values):
    random_values.trainable = True
    for layer in random_values.submodules:
        layer.trainable = True
    return random_values


def trained(model):
    return {variable.name.rsplit("/", 1)[0] for variable in model.trainable_variables}


def test_a_part_with_all_below_it(model):
    before = trained(model)
    freezing.freeze(model, ["backbone", "fpn"])
    assert trained(model) == {name for name in before if name.startswith("heads/")}


def test_patterns_are_of_whole_names(model):
    before = trained(model)
    freezing.freeze(model, ["heads/class_tower_.*", "backbone/conv[12]_.*"])
    left_out = before - trained(model)
    assert left_out == {name for name in before if name.startswith(("heads/class_tower_", "conv1_", "conv2_"))}
    assert len(left_out) == 11


def test_no_pattern_changes_nothing(model):
    before = trained(model)
    freezing.freeze(model, [])
    assert trained(model) == before


def test_frozen_batch_normalisation_uses_its_statistics(model):
    images = tf.random.normal([2, 64, 64, 3])
    features = model.get_layer("backbone")
    statistics = [variable for variable in features.variables if "moving" in variable.name]
    assert np.abs(features(images, training=True)["5"] - features(images)["5"]).max() > 1e-2
    freezing.freeze(model, ["backbone"])
    before = [variable.numpy() for variable in statistics]
    np.testing.assert_array_equal(features(images, training=True)["5"], features(images)["5"])
    assert all(np.array_equal(old, new) for old, new in zip(before, statistics))


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["heds"], "no layer has the name 'heds', did you mean 'heads'"),
        (["heads", "class_tower_0"], "no layer has the name 'class_tower_0'.*; heads with class_tower_0|heads/class_t"),
        (["backbone/conv1"], "no layer has the name 'backbone/conv1'.*there are: backbone with backbone/conv1_conv, "),
        (["heads/("], r"'heads/\(' is no regular expression"),
        ([".*"], r"task.freeze: \.\* leave nothing to train"),
    ],
)
def test_a_mistake_lists_what_there_is(model, patterns, message):
    with pytest.raises(UserError, match=message) as caught:
        freezing.freeze(model, patterns)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 2000


def test_the_line_counts_weights():
    model = build_model()
    freezing.freeze(model, ["backbone", "fpn"])
    heads = sum(int(tf.size(variable)) for variable in model.get_layer("heads").trainable_variables)
    total = sum(int(tf.size(variable)) for variable in model.variables)
    said = freezing.report(model, ["backbone", "fpn"])
    assert said == f"task.freeze backbone, fpn: {heads:,} of {total:,} weights are trained"
