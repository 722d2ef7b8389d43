"""ResNet and ResNeXt ([He et al. 2016], [Xie et al. 2017]; section 4), in the two forms that published weights have.

The forms differ in one place: at the start of stages 2 to 4 the Caffe form (MSRA's weights, Detectron's and Keras
Applications') has stride 2 in the first 1x1 convolution of a block, the PyTorch form in the 3x3. Convolutions have no
bias, and padding at stride 2 is explicit and symmetric: TensorFlow's "same" then pads an even map only right and below,
which shifts the grid that the weights were trained on.

Layers have Keras Applications' names, `conv1_conv`, `conv1_bn`, `conv2_block1_0_conv` (the shortcut),
`conv2_block1_1_conv` ..., in both forms: the loaders of weights go by them. Stage s is `conv{s + 1}_*`, the stem is
stage 0.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
import tf_keras

from fsaf_tf.config import backbone_keys, checks
from fsaf_tf.modeling import batch_norm, normalization
from fsaf_tf.modeling.family import Family
from fsaf_tf.weights import imagenet

EPSILON = 1e-5


class Convolution(tf_keras.layers.Conv2D):
    """A convolution without bias, in groups too on any device, and compiled by XLA only if what is around it is.

    Keras always compiles one in groups, which on a CPU makes its gradient hundreds of times slower
    (docs/decisions.md).
    """

    def call(self, inputs):
        if self.groups == 1 or has_grouped_kernels(inputs.dtype.name):
            return self.convolution_op(inputs, self.kernel)
        parts = zip(tf.split(inputs, self.groups, axis=-1), tf.split(self.kernel, self.groups, axis=-1))
        return tf.concat([self.convolution_op(*part) for part in parts], axis=-1)


def has_grouped_kernels(dtype: str) -> bool:
    """Whether TensorFlow has kernels for a convolution in groups here, by trying a gradient where it may not.

    On CPUs only oneDNN has them, for float32 and bfloat16; TensorFlow uses it by default on newer processors only
    (with AVX-512 VNNI or AMX, for instance). Elsewhere gradients fail, and so does the fusion with batch normalisation.
    In a graph of TensorFlow 1 nothing can be tried: then it is taken to have none.
    """
    if any(tf.config.list_logical_devices(kind) for kind in ("GPU", "TPU")):
        return True
    with tf.init_scope():
        return tf.executing_eagerly() and _has_grouped_gradient(dtype)


@functools.cache
def _has_grouped_gradient(dtype: str) -> bool:
    try:
        tf.raw_ops.Conv2DBackpropInput(
            input_sizes=[1, 1, 1, 2],
            filter=tf.ones([1, 1, 1, 2], dtype),
            out_backprop=tf.ones([1, 1, 1, 2], dtype),
            strides=[1, 1, 1, 1],
            padding="VALID",
        )
    except tf.errors.InvalidArgumentError:
        return False
    return True


class FrozenBatchNormalization(tf_keras.layers.Layer):
    """Batch normalisation by stored statistics, in training too; scale and shift are trained if `trainable`.

    The variables are those of `tf_keras.layers.BatchNormalization`, in its order. The normalisation is one multiply
    and add: its gradient does not need the input, which the fused kernel's does. That saves a map a layer in memory.
    """

    def __init__(self, epsilon: float = EPSILON, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape):
        # Without autocast: in half precision the epsilon would vanish beside the variance.
        weight = functools.partial(self.add_weight, shape=input_shape[-1:], experimental_autocast=False)
        self.gamma = weight("gamma", initializer="ones")
        self.beta = weight("beta", initializer="zeros")
        self.moving_mean = weight("moving_mean", initializer="zeros", trainable=False)
        self.moving_variance = weight("moving_variance", initializer="ones", trainable=False)

    def call(self, inputs):
        scale = self.gamma * tf.math.rsqrt(self.moving_variance + self.epsilon)
        shift = self.beta - self.moving_mean * scale
        return inputs * tf.cast(scale, inputs.dtype) + tf.cast(shift, inputs.dtype)


class _Layers(NamedTuple):
    """What makes the convolutions and the batch normalisation of one stage."""

    conv: Callable[..., tf_keras.layers.Layer]
    norm: Callable[..., tf_keras.layers.Layer]


def build_resnet(config: backbone_keys.ResNet) -> tf_keras.Model:
    """Builds a ResNet or ResNeXt with random values.

    Args:
        config: its architecture, and what of it is trained. With `weights` batch normalisation uses stored statistics
            and `frozen_stages` and `train_bn_affine` hold. Without, everything is trained, statistics included.

    Returns:
        A model from images `[B, H, W, 3]` to `{"2": C2, ..., "5": C5}`; level l has `ceil(H / 2^l)` rows and likewise
        columns, and `2^(l + 6)` channels, in the one of depth 14 a quarter of that.

    Raises:
        UserError: there is no such network.
    """
    checks.check_fields(config, f"{imagenet.KEY}.")
    pretrained = bool(config.weights)
    layers = [_layers(pretrained, stage > config.frozen_stages, config.train_bn_affine) for stage in range(5)]
    images = tf_keras.layers.Input([None, None, 3], name="images")
    x = _stem(images, backbone_keys.planes(config.depth), layers[0])
    features = {}
    for stage, blocks in enumerate(backbone_keys.BLOCKS[config.depth], start=1):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            name = f"conv{stage + 1}_block{block}"
            x = _block(x, stage, stride, name, layers[stage], config, project=block == 1)
        features[str(stage + 1)] = x
    return tf_keras.Model(images, features, name=f"resnet{config.depth}")


def _layers(pretrained: bool, trained: bool, train_bn_affine: bool) -> _Layers:
    """The layer makers of a stage. "he_normal" is a name, so that each layer makes an initializer of its own."""
    conv = functools.partial(Convolution, use_bias=False, kernel_initializer="he_normal")
    if pretrained:
        frozen_norm = functools.partial(FrozenBatchNormalization, trainable=trained and train_bn_affine)
        return _Layers(functools.partial(conv, trainable=trained), frozen_norm)
    norm = functools.partial(tf_keras.layers.BatchNormalization, epsilon=EPSILON, **batch_norm.settings())
    return _Layers(conv, norm)


def _stem(images: tf.Tensor, planes: int, layers: _Layers) -> tf.Tensor:
    x = _conv_norm(images, planes, 7, 2, "conv1", layers)
    x = tf_keras.layers.ReLU(name="conv1_relu")(x)
    # After the ReLU a border of zeros is as good as one of minus infinity.
    x = tf_keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
    return tf_keras.layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)


def _block(
    x: tf.Tensor, stage: int, stride: int, name: str, layers: _Layers, config: backbone_keys.ResNet, *, project: bool
) -> tf.Tensor:
    """A bottleneck block: 1x1, 3x3 in groups, 1x1 to four times the planes, and the shortcut."""
    channels = 2 * backbone_keys.planes(config.depth) * 2**stage
    width = config.width_per_group * 2 ** (stage - 1) * config.groups
    shortcut = _conv_norm(x, channels, 1, stride, f"{name}_0", layers) if project else x
    strides = (stride, 1) if config.form == "caffe" else (1, stride)
    x = tf_keras.layers.ReLU(name=f"{name}_1_relu")(_conv_norm(x, width, 1, strides[0], f"{name}_1", layers))
    x = _conv_norm(x, width, 3, strides[1], f"{name}_2", layers, groups=config.groups)
    x = tf_keras.layers.ReLU(name=f"{name}_2_relu")(x)
    x = _conv_norm(x, channels, 1, 1, f"{name}_3", layers)
    x = tf_keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return tf_keras.layers.ReLU(name=f"{name}_out")(x)


def _conv_norm(
    x: tf.Tensor, channels: int, kernel: int, stride: int, name: str, layers: _Layers, *, groups: int = 1
) -> tf.Tensor:
    explicit = kernel > 1 and stride > 1
    if explicit:
        x = tf_keras.layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    padding = "valid" if explicit else "same"
    x = layers.conv(channels, kernel, strides=stride, padding=padding, groups=groups, name=f"{name}_conv")(x)
    return layers.norm(name=f"{name}_bn")(x)


# What the library knows of the family.


def _normalization(backbone: backbone_keys.Backbone) -> normalization.Normalization:
    return normalization.CAFFE if backbone.resnet.form == "caffe" else normalization.TORCHVISION


def _slow_by_xla_on_cpus(backbone: backbone_keys.Backbone) -> str:
    """The gradient of a convolution in groups (docs/decisions.md)."""
    return f"ResNeXt ({imagenet.KEY}.groups above 1)" if backbone.resnet.groups > 1 else ""


FAMILY = Family(
    build=lambda backbone: build_resnet(backbone.resnet),
    normalization=_normalization,
    load_weights=lambda network, backbone: imagenet.load(network, backbone.resnet),
    awaits_checkpoint=lambda backbone: backbone.resnet.weights == imagenet.CHECKPOINT,
    has_frozen_statistics=lambda backbone: bool(backbone.resnet.weights),
    slow_by_xla_on_cpus=_slow_by_xla_on_cpus,
)
