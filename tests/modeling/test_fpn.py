import numpy as np
import pytest
import tensorflow as tf

from fsaf_tf.modeling import fpn


def features(height, width, channels=(4, 6, 8)):
    """C3 to C5 of an image."""
    maps = {}
    for level, depth in zip((3, 4, 5), channels):
        shape = [1, -(-height // 2**level), -(-width // 2**level), depth]
        maps[str(level)] = tf.random.stateless_normal(shape, seed=(level, 0))
    return maps


def build(maps, **kwargs):
    layer = fpn.FPN(3, 7, **{"channels": 5, "relu_before_p7": True, **kwargs})
    return layer, layer(maps)


def strided(x, conv):
    """A 3x3 convolution at stride 2 with one zero on every side, by other means than the layer's."""
    pads = [[0, 0], [1, 1], [1, 1], [0, 0]]
    return tf.nn.conv2d(x, conv.kernel, strides=2, padding=pads) + conv.bias


@pytest.mark.parametrize(("height", "width"), [(256, 384), (800, 1344), (97, 131), (9, 8)])
def test_levels_have_ceil_of_size_over_stride_cells(height, width):
    _, pyramid = build(features(height, width))
    assert list(pyramid) == ["3", "4", "5", "6", "7"]
    for level, cells in pyramid.items():
        stride = 2 ** int(level)
        assert cells.shape == (1, -(-height // stride), -(-width // stride), 5)


def test_p6_is_made_from_c5_with_symmetric_padding_on_even_maps():
    maps = features(256, 256)
    layer, pyramid = build(maps)
    p6 = strided(maps["5"], layer.extra_outputs["6"])
    np.testing.assert_allclose(pyramid["6"], p6, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("relu", [True, False])
def test_relu_before_p7_is_a_choice(relu):
    layer, pyramid = build(features(256, 256), relu_before_p7=relu)
    assert np.min(pyramid["6"]) < 0
    p6 = tf.nn.relu(pyramid["6"]) if relu else pyramid["6"]
    np.testing.assert_allclose(pyramid["7"], strided(p6, layer.extra_outputs["7"]), rtol=1e-4, atol=1e-4)


def test_levels_are_merged_from_the_top_before_their_own_convolution():
    maps = features(97, 131)
    layer, pyramid = build(maps)
    lateral = {level: conv(maps[level]) for level, conv in layer.laterals.items()}
    merged4 = lateral["4"] + fpn.upsample_like(lateral["5"], lateral["4"])
    merged3 = lateral["3"] + fpn.upsample_like(merged4, lateral["3"])
    np.testing.assert_allclose(pyramid["3"], layer.merged_outputs["3"](merged3), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(pyramid["5"], layer.merged_outputs["5"](lateral["5"]), rtol=1e-4, atol=1e-4)


def test_upsampling_repeats_cells_and_crops_to_the_lateral():
    x = tf.reshape([1.0, 2.0, 3.0, 4.0], [1, 2, 2, 1])
    upsampled = fpn.upsample_like(x, tf.zeros([1, 3, 4, 7]))
    np.testing.assert_array_equal(upsampled[0, ..., 0], [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4]])


def test_convolutions_are_glorot_uniform_with_zero_biases_and_no_normalisation():
    layer, _ = build(features(64, 64), channels=128)
    assert sorted(v.name.split("/")[1] for v in layer.weights if "kernel" in v.name) == [
        *(f"lateral_{level}" for level in (3, 4, 5)),
        *(f"output_{level}" for level in (3, 4, 5, 6, 7)),
    ]
    assert {v.name.split("/")[2] for v in layer.weights} == {"kernel:0", "bias:0"}
    for variable in layer.weights:
        if "bias" in variable.name:
            assert np.all(variable == 0)
        else:
            height, width, inputs, outputs = variable.shape
            limit = np.sqrt(6 / (height * width * (inputs + outputs)))
            assert 0.9 * limit < np.max(np.abs(variable)) <= limit


def test_levels_can_begin_lower_and_end_earlier():
    maps = {"2": tf.zeros([1, 16, 16, 3]), **features(64, 64)}
    layer = fpn.FPN(2, 5, channels=5, relu_before_p7=True)
    assert {level: cells.shape[1] for level, cells in layer(maps).items()} == {"2": 16, "3": 8, "4": 4, "5": 2}
