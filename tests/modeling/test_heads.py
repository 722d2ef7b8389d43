import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from fsaf_tf.modeling import heads

BOTH = {"anchor_free": True, "anchors_per_location": 9}


def build(num_classes=3, convs=2, channels=16, normalized_levels=(), **branches):
    layer = heads.Heads(
        num_classes, convs=convs, channels=channels, normalized_levels=normalized_levels, **(branches or BOTH)
    )
    pyramid = {"3": tf.random.stateless_normal([2, 6, 8, 16], seed=(1, 2)), "4": tf.zeros([2, 3, 4, 16])}
    return layer, pyramid, layer(pyramid)


def count(layer):
    return sum(int(np.prod(v.shape)) for v in layer.weights)


def test_outputs_by_branch_and_level():
    _, _, outputs = build()
    assert {key: (maps["3"].shape, maps["4"].shape) for key, maps in outputs.items()} == {
        "anchor_free_logits": ((2, 6, 8, 3), (2, 3, 4, 3)),
        "anchor_free_offsets": ((2, 6, 8, 4), (2, 3, 4, 4)),
        "anchor_based_logits": ((2, 6, 8, 27), (2, 3, 4, 27)),
        "anchor_based_deltas": ((2, 6, 8, 36), (2, 3, 4, 36)),
    }


def test_absent_branches_leave_no_key_and_no_layer():
    free, _, outputs = build(anchor_free=True, anchors_per_location=0)
    assert set(outputs) == {"anchor_free_logits", "anchor_free_offsets"}
    assert not any("anchor_based" in v.name for v in free.weights)
    based, _, outputs = build(anchor_free=False, anchors_per_location=9)
    assert set(outputs) == {"anchor_based_logits", "anchor_based_deltas"}
    assert not any("anchor_free" in v.name for v in based.weights)


def test_branches_and_levels_share_the_towers():
    both, pyramid, outputs = build()
    free, _, _ = build(anchor_free=True, anchors_per_location=0)
    based, _, _ = build(anchor_free=False, anchors_per_location=9)
    towers = 2 * 2 * (3 * 3 * 16 * 16 + 16)
    assert count(both) == count(free) + count(based) - towers

    x = pyramid["3"]
    for layer in both.class_tower:
        x = tf.nn.relu(tf.nn.conv2d(x, layer.kernel, 1, "SAME") + layer.bias)
    for key in ("anchor_free_logits", "anchor_based_logits"):
        np.testing.assert_allclose(outputs[key]["3"], both.class_outputs[key](x), rtol=1e-4, atol=1e-5)


def test_initial_values_of_section_3_4():
    layer, pyramid, _ = build(num_classes=80, channels=64)
    kernels = [v for v in layer.weights if "kernel" in v.name]
    for kernel in kernels:
        np.testing.assert_allclose([np.mean(kernel), np.std(kernel)], [0, 0.01], atol=5e-4)
    first, second = (layer.class_tower[1].kernel.numpy(), layer.box_tower[1].kernel.numpy())
    assert not np.allclose(first, second)  # one unseeded initializer for both would make them equal
    biases = {v.name.split("/")[1]: np.unique(v) for v in layer.weights if "bias" in v.name}
    prior_bias = -math.log((1 - 0.01) / 0.01)
    assert biases.pop("anchor_free_logits") == pytest.approx(prior_bias)
    assert biases.pop("anchor_based_logits") == pytest.approx(prior_bias)
    assert biases.pop("anchor_free_offsets") == pytest.approx(0.1)
    assert all(bias == 0 for bias in biases.values()) and "anchor_based_deltas" in biases
    # Without features only the bias speaks: every score starts at pi.
    logits = layer({"3": tf.zeros_like(pyramid["3"])})["anchor_free_logits"]["3"]
    np.testing.assert_allclose(tf.sigmoid(logits), 0.01, rtol=1e-5)


def test_offsets_pass_a_relu_and_deltas_do_not():
    layer, pyramid, _ = build()
    for conv in layer.box_outputs.values():
        conv.kernel.assign(100 * conv.kernel)
    outputs = layer(pyramid)
    assert np.min(outputs["anchor_free_offsets"]["3"]) == 0 < np.max(outputs["anchor_free_offsets"]["3"])
    assert np.min(outputs["anchor_based_deltas"]["3"]) < 0


def test_outputs_are_float32_in_mixed_precision():
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        layer, _, outputs = build()
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    assert layer.class_tower[0].compute_dtype == "bfloat16"
    assert {x.dtype for x in tf.nest.flatten(outputs)} == {tf.float32}


@pytest.mark.parametrize("run", [lambda function: function, tf.function], ids=["eager", "graph"])
def test_each_level_is_normalised_by_its_own_statistics(run):
    """As the formula of batch normalisation says, in training and, with the statistics kept, afterwards."""
    layer, pyramid, _ = build(convs=1, normalized_levels=(3, 4))
    pyramid |= {"4": tf.random.stateless_normal([2, 3, 4, 16], seed=(3, 4), stddev=5.0)}
    (conv,) = layer.box_tower
    for level in pyramid:
        norm = layer.norms[f"box_tower_0_bn_{level}"]
        norm.gamma.assign(tf.linspace(0.5, 2.0, 16))
        norm.beta.assign(tf.linspace(-1.0, 1.0, 16))
    raw = {level: tf.nn.conv2d(x, conv.kernel, 1, "SAME").numpy() for level, x in pyramid.items()}

    def expected(level, mean, variance):
        norm = layer.norms[f"box_tower_0_bn_{level}"]
        maps = np.maximum((raw[level] - mean) / np.sqrt(variance + 1e-3) * norm.gamma + norm.beta, 0)
        return tf.nn.relu(layer.box_outputs["anchor_free_offsets"](maps))

    trained = run(lambda: layer(pyramid, training=True))()["anchor_free_offsets"]
    kept = run(lambda: layer(pyramid, training=False))()["anchor_free_offsets"]
    for level, x in raw.items():
        mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
        np.testing.assert_allclose(trained[level], expected(level, mean, variance), rtol=1e-3, atol=1e-4)
        norm = layer.norms[f"box_tower_0_bn_{level}"]
        np.testing.assert_allclose(norm.moving_mean, 0.1 * mean, rtol=1e-3, atol=1e-6)
        now = expected(level, norm.moving_mean, norm.moving_variance)
        np.testing.assert_allclose(kept[level], now, rtol=1e-3, atol=1e-4)


def test_frozen_normalisation_keeps_its_statistics():
    layer, pyramid, _ = build(normalized_levels=(3, 4))
    layer.trainable = False
    kept = [norm.moving_mean.numpy() for norm in layer.norms.values()]
    trained, at_rest = (layer(pyramid, training=training)["anchor_free_logits"]["3"] for training in (True, False))
    np.testing.assert_allclose(trained, at_rest, rtol=1e-5, atol=1e-6)
    assert len(kept) == 8 and np.array_equal([norm.moving_mean.numpy() for norm in layer.norms.values()], kept)


def test_maps_of_keras_3_are_refused_with_what_to_do():
    maps = keras.Input([8, 8, 16])
    layer = heads.Heads(3, convs=1, channels=16, normalized_levels=(), **BOTH)
    with pytest.raises(TypeError, match=r"is a layer of tf_keras \(Keras 2\), and these maps are of Keras 3: build"):
        layer({"3": maps})
