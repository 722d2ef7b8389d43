"""The frozen network: the model's outputs, without variables and batch normalisation, each kernel once."""

import collections

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from small_run import small_params

from fsaf_tf.modeling import detector, resnet
from fsaf_tf.serving import frozen

GROUPS = {"resnet": {"depth": 14, "weights": "checkpoint", "form": "pytorch", "groups": 4, "width_per_group": 16}}
BACKBONES = {
    "frozen statistics": {"resnet": {"depth": 14, "weights": "imagenet"}},
    "trained statistics": {"resnet": {"depth": 14, "weights": ""}},
    "groups": GROUPS,
    "groups one by one": GROUPS,
    "depthwise": {"type": "mobilenet", "mobilenet": {"model_id": "MobileNetV2", "filter_size_scale": 0.25}},
}


def build(backbone: dict) -> tf_keras.Model:
    """A small detector whose batch normalisation does something."""
    params = small_params()
    params.task.model.backbone.override(backbone)
    model = detector.build_detector(params.task.model, 3)
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if any(word in variable.name for word in ("gamma", "beta", "bias", "moving_mean", "moving_variance")):
            positive = "variance" in variable.name or "gamma" in variable.name
            variable.assign(rng.uniform(0.5 if positive else -0.5, 1.5, variable.shape))
    return model


def operations(function) -> collections.Counter:
    return collections.Counter(node.op for node in function.graph.as_graph_def().node)


@pytest.mark.parametrize("kind", BACKBONES)
def test_the_same_outputs_without_batch_norm(kind, monkeypatch):
    if kind == "groups one by one":  # as on a processor without kernels for groups
        monkeypatch.setattr(resnet, "has_grouped_kernels", lambda _: False)
    model = build(BACKBONES[kind])
    network = frozen.freeze_to_constants(model)
    images = tf.random.normal([2, 33, 95, 3])
    expected, found = model(images, training=False), network(images)
    tf.nest.assert_same_structure(expected, found)
    for one, other in zip(tf.nest.flatten(expected), tf.nest.flatten(found)):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * float(tf.reduce_max(abs(one))))
    shared, variables = frozen.freeze(model)
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(shared(images))):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * float(tf.reduce_max(abs(one))))
    assert len(shared.captured_inputs) == len(variables)
    left = operations(network)
    assert not network.captured_inputs
    assert not {"FusedBatchNormV3", "Rsqrt", "ReadVariableOp"} & set(left)
    assert left["Mul"] == left["Tile"]  # the shapes of what the pyramid repeats
    # A convolution that is split into its groups has one bias behind all of them.
    in_groups = (GROUPS["resnet"]["groups"] - 1) * left["Split"]
    assert left["BiasAdd"] == left["Conv2D"] + left["DepthwiseConv2dNative"] - in_groups
    size = network.graph.as_graph_def().ByteSize()  # a kernel that levels share is there once
    weights = sum(variable.numpy().nbytes for variable in model.variables)
    assert size < weights + 400 * sum(left.values())
    assert shared.graph.as_graph_def().ByteSize() < 400 * sum(left.values())


def folded_operations(function) -> set[str]:
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec([1, 4, 4, 3], tf.float32))
    outputs = [output.op.name for output in concrete.outputs]
    graph = frozen.fold_constants(frozen.variables_to_constants(concrete), outputs)
    return {node.op for node in frozen.fold_batch_norm(graph, outputs).node}


def test_what_is_no_batch_norm_after_a_convolution_stays():
    """A convolution that something else uses too, and a normalisation after a ReLU."""
    kernel, values = tf.ones([1, 1, 3, 3]), [tf.constant([2.0, 3.0, 4.0])] * 4

    def shared(images):
        x = tf.nn.conv2d(images, kernel, 1, "SAME")
        return x, tf.raw_ops.FusedBatchNormV3(
            x=x, scale=values[0], offset=values[1], mean=values[2], variance=values[3], is_training=False
        )[0]

    def after_relu(images):
        x = tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "SAME"))
        return tf.raw_ops.FusedBatchNormV3(
            x=x, scale=values[0], offset=values[1], mean=values[2], variance=values[3], is_training=False
        )[0]

    for function in (shared, after_relu):
        assert "FusedBatchNormV3" in folded_operations(function)


def test_convolutions_side_by_side_are_one_if_nothing_else_sees_them():
    kernel, values = tf.ones([1, 1, 3, 3]), tf.range(1.0, 7.0)

    def beside(images, axis=-1, is_shared=False):
        parts = [tf.nn.conv2d(images, kernel, 1, "SAME"), tf.nn.conv2d(images, 2 * kernel, 1, "SAME")]
        x = tf.concat(parts, axis) * values[: 6 if axis == -1 else 3]
        return (x, parts[1]) if is_shared else x

    assert "Mul" not in folded_operations(beside)
    assert "Mul" in folded_operations(lambda images: beside(images, is_shared=True))
    assert "Mul" in folded_operations(lambda images: beside(images, axis=1))


def test_one_number_for_all_channels_stays():
    def function(images):
        return tf.nn.conv2d(images, tf.ones([1, 1, 3, 3]), 1, "SAME") * tf.constant([2.0]) + tf.constant([1.0])

    assert {"Mul", "AddV2"} <= folded_operations(function)


def test_what_a_function_captures_is_constant():
    captured, variable, spec = tf.range(1.0, 4.0), tf.Variable([2.0]), tf.TensorSpec([1, 3], name="images")
    function = tf.function(lambda images: images * captured + variable).get_concrete_function(spec)
    assert len(function.graph.captures) == 2
    graph = frozen.variables_to_constants(function)
    assert not any(name.startswith("^") for node in graph.node for name in node.input)

    def imported(images):
        return tf.graph_util.import_graph_def(graph, {"images": images}, ["Identity:0"])[0]

    np.testing.assert_allclose(tf.function(imported)(tf.ones([1, 3])), [[3.0, 4.0, 5.0]])


def test_a_normalisation_in_training_stays():
    def function(images):
        x = tf.nn.conv2d(images, tf.ones([1, 1, 3, 3]), 1, "SAME")
        return tf.raw_ops.FusedBatchNormV3(
            x=x, scale=tf.ones([3]), offset=tf.ones([3]), mean=tf.ones([3]), variance=tf.ones([3]), is_training=True
        )[0]

    assert "FusedBatchNormV3" in folded_operations(function)
