"""EfficientNet-Lite: EfficientNet ([Tan, Le 2019]) without squeeze and excitation and with ReLU6, for CPUs and phones.

Stem, first and last stage are the same in all of them; the others get wider and deeper. Layers have the names of the
published weights' tensors, `conv_stem`, `blocks_0_depthwise_conv` .. (the files': `_conv_stem`,
`_blocks.0._depthwise_conv` ..), and the padding at stride 2 is TensorFlow's "same", for which they were trained.
"""

import math
from typing import NamedTuple

import tf_keras

from fsaf_tf.config import backbone_keys
from fsaf_tf.modeling import batch_norm
from fsaf_tf.modeling.family import Family
from fsaf_tf.modeling.normalization import Normalization
from fsaf_tf.weights import lite

EPSILON = 1e-3


class _Stage(NamedTuple):
    """Blocks of one kind; the first has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
LEVEL_OF_STAGE = {2: "3", 4: "4", 6: "5"}  # the last of each stride
STEM_CHANNELS = 32
# Width and depth as multiples of Lite0's.
SCALES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}


def build(config: backbone_keys.EfficientNetLite) -> tf_keras.Model:
    """Builds one with random values; see `Family.build`."""
    images = tf_keras.layers.Input([None, None, 3], name="images")
    x = _conv(STEM_CHANNELS, 3, 2, "conv_stem")(images)
    x = tf_keras.layers.ReLU(6.0, name="stem_relu")(_norm("bn0")(x))
    features, count = {}, 0
    for index, stage in enumerate(STAGES):
        blocks, channels = _scaled(stage, index, *SCALES[config.model_id])
        for block in range(blocks):
            x = _block(x, stage, channels, stage.stride if block == 0 else 1, f"blocks_{count}")
            count += 1
        if index in LEVEL_OF_STAGE:
            features[LEVEL_OF_STAGE[index]] = x
    return tf_keras.Model(images, features, name=f"efficientnet_{config.model_id}")


def _scaled(stage: _Stage, index: int, width: float, depth: float) -> tuple[int, int]:
    """Blocks and channels of a stage; channels in eights, and not more than a tenth fewer than wanted."""
    wanted = stage.channels * width
    channels = max(8, int(wanted + 4) // 8 * 8)
    channels += 8 if channels < 0.9 * wanted else 0
    is_fixed = index in (0, len(STAGES) - 1)
    return (stage.blocks if is_fixed else math.ceil(stage.blocks * depth)), channels


def _block(x, stage: _Stage, channels: int, stride: int, name: str):
    """An inverted bottleneck ([Sandler et al. 2018]): wider by a 1x1, along the map by itself, narrower by a 1x1."""
    inputs, width = x, x.shape[-1] * stage.expansion
    if stage.expansion > 1:
        x = _norm(f"{name}_bn0")(_conv(width, 1, 1, f"{name}_expand_conv")(x))
        x = tf_keras.layers.ReLU(6.0, name=f"{name}_expand_relu")(x)
    x = tf_keras.layers.DepthwiseConv2D(
        stage.kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_depthwise_conv",
    )(x)
    x = tf_keras.layers.ReLU(6.0, name=f"{name}_depthwise_relu")(_norm(f"{name}_bn1")(x))
    x = _norm(f"{name}_bn2")(_conv(channels, 1, 1, f"{name}_project_conv")(x))
    is_residual = stride == 1 and inputs.shape[-1] == channels
    return tf_keras.layers.Add(name=f"{name}_add")([inputs, x]) if is_residual else x


def _conv(channels: int, kernel: int, stride: int, name: str) -> tf_keras.layers.Layer:
    return tf_keras.layers.Conv2D(
        channels,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )


def _norm(name: str) -> tf_keras.layers.Layer:
    return tf_keras.layers.BatchNormalization(epsilon=EPSILON, name=name, **batch_norm.settings())


FAMILY = Family(
    build=lambda backbone: build(backbone.efficientnet_lite),
    normalization=lambda backbone: Normalization((127.0,) * 3, (128.0,) * 3, "rgb"),
    load_weights=lambda network, backbone: lite.load(network, backbone.efficientnet_lite),
)
