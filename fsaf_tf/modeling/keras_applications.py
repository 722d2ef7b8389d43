"""Keras Applications' networks of strides 8, 16 and 32, with the ImageNet weights that Keras has of them.

A network is Keras's own, cut and cloned layer by layer. What differs is what an image classifier of one size need not
do: the image comes normalised, batch normalisation is the library's, and maps of any size have `ceil(H / 2^l)` rows.
Where the sides are multiples of 32 no value differs from Keras's.

A level is the last map of its stride, but not one that a 1x1 convolution has only widened: in mobile networks the next
block begins with such a one in front of its stride, and the classifier with another (320 to 1280 channels). The map
before it holds the same with fewer channels, which the pyramid's convolutions pay for; EfficientNet-Lite and the
Garden's networks are tapped there, too.
"""

import os

import numpy as np
import tensorflow as tf
import tf_keras

from fsaf_tf.config import backbone_keys, plain_values
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths
from fsaf_tf.modeling import batch_norm
from fsaf_tf.modeling.family import Family
from fsaf_tf.modeling.normalization import TORCHVISION, Normalization
from fsaf_tf.terminal import faults
from fsaf_tf.weights import files, table

KEY = "task.model.backbone.keras_applications"
DOWNLOAD = "imagenet"  # in the place of a file: what Keras downloads
# Of 0 to 255, what Keras's own preprocessing does, be it in `preprocess_input` or in the network's first layers.
_FROM_MINUS_ONE = Normalization((127.5,) * 3, (127.5,) * 3, "rgb")
_BY_128 = Normalization((128.0,) * 3, (128.0,) * 3, "rgb")
NORMALIZATIONS = {
    **dict.fromkeys(("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large"), _FROM_MINUS_ONE),
    **{f"EfficientNetB{size}": TORCHVISION for size in range(8)},
    **{f"EfficientNetV2B{size}": TORCHVISION for size in range(4)},
    **{f"EfficientNetV2{size}": _BY_128 for size in "SML"},
    **{f"ConvNeXt{size}": TORCHVISION for size in ("Tiny", "Small", "Base", "Large", "XLarge")},
    **{f"DenseNet{layers}": TORCHVISION for layers in (121, 169, 201)},
}
_WITH_ALPHA = ("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large")
# EfficientNet's Normalization layer has these in the published files: standard deviations where variances belong,
# which Keras mends by a factor behind it. It is in no other network that the layer has weights.
STORED = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_SIDE = 256  # px of the network whose strides are looked at; no two levels have maps of one size


class DepthwiseConvolution(tf_keras.layers.Conv2D):
    """A convolution of as many groups as channels by the kernels for it, which are far faster on CPUs and phones."""

    def call(self, inputs):
        kernel = tf.transpose(self.kernel, [0, 1, 3, 2])  # [k, k, 1, C] as for groups
        outputs = tf.nn.depthwise_conv2d(inputs, kernel, (1, *self.strides, 1), self.padding.upper())
        return tf.nn.bias_add(outputs, self.bias)


def build(config: backbone_keys.KerasApplications) -> tf_keras.Model:
    """Builds one with random values; see `Family.build`.

    Raises:
        UserError: there is no such network, or it has no `alpha`.
    """
    network = _application(config, weights=None, include_top=True, classes=1, input_shape=(_SIDE, _SIDE, 3))
    cut = tf_keras.Model(network.input, _taps(network), name=network.name)
    images = tf_keras.layers.Input([None, None, 3], name="images")
    return tf_keras.models.clone_model(cut, images, clone_function=_changed)


def _application(config: backbone_keys.KerasApplications, **arguments) -> tf_keras.Model:
    """Keras's network itself."""
    normalization(config)  # is there such a network?
    if config.alpha != 1 and config.model_id not in _WITH_ALPHA:
        raise UserError(f"{KEY}.alpha is {config.alpha}, but only these have one: {', '.join(_WITH_ALPHA)}")
    width = {"alpha": config.alpha} if config.model_id in _WITH_ALPHA else {}
    return getattr(tf_keras.applications, config.model_id)(**arguments, **width)


def normalization(config: backbone_keys.KerasApplications) -> Normalization:
    """See `Family.normalization`.

    Raises:
        UserError: there is no such network.
    """
    if config.model_id not in NORMALIZATIONS:
        hint, known = plain_values.hint(config.model_id, [*NORMALIZATIONS]), ", ".join(NORMALIZATIONS)
        raise UserError(f"{KEY}.model_id is {config.model_id!r}{hint}, but must be one of: {known}")
    return NORMALIZATIONS[config.model_id]


# Where the levels are.


def _taps(network: tf_keras.Model) -> dict[str, tf.Tensor]:
    """The maps of levels 2 to 5 of a network of `_SIDE`."""
    sizes, last = {_SIDE >> level: str(level) for level in range(2, 6)}, {}
    for layer in network.layers:
        output = layer.get_output_at(-1)  # of a network inside the network the first is its own
        if output.shape.rank == 4 and output.shape[1] in sizes:
            last[sizes[output.shape[1]]] = output
    return {level: _before_widening(output) for level, output in last.items()}


def _before_widening(x: tf.Tensor) -> tf.Tensor:
    """What a 1x1 convolution with its normalisation and activation has widened to `x`; `x`, if none has."""
    norm = _only_source(x)
    if not isinstance(norm, tf_keras.layers.BatchNormalization):
        return x
    conv = _only_source(norm.input)
    is_pointwise = isinstance(conv, tf_keras.layers.Conv2D) and conv.kernel_size == (1, 1)
    return conv.input if is_pointwise and conv.output.shape[-1] > conv.input.shape[-1] else x


def _only_source(x: tf.Tensor) -> tf_keras.layers.Layer | None:
    """The layer with weights that `x` comes from, if there is one alone."""
    sources, waiting = set(), [x]
    while waiting:
        node = waiting.pop().node
        if node.layer.weights or not node.keras_inputs:
            sources.add(node.layer)
        else:
            waiting += node.keras_inputs
    return sources.pop() if len(sources) == 1 else None


# What is otherwise than in Keras's.


def _changed(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
    """A layer of the clone, of the same name and with the same weights, but for those of Keras's normalisation."""
    kinds, config = tf_keras.layers, layer.get_config()
    if isinstance(layer, tf_keras.Sequential):
        inner = tf_keras.Sequential([_changed(each) for each in layer.layers], name=layer.name)
        inner.build([None, None, None, layer.input_shape[-1]])  # else `clone_model` waits for it for ever
        return inner
    if isinstance(layer, (kinds.Rescaling, kinds.Normalization)) or _is_padding_for_stride(layer):
        return kinds.Activation("linear", name=layer.name)
    if isinstance(layer, kinds.BatchNormalization):
        config |= batch_norm.settings()
    if _pads_for_stride(layer):
        config["padding"] = "same"
    is_grouped = isinstance(layer, kinds.Conv2D) and 1 < layer.groups == layer.filters
    return (DepthwiseConvolution if is_grouped else type(layer)).from_config(config)


def _is_padding_for_stride(layer: tf_keras.layers.Layer) -> bool:
    """Whether it is of those that TensorFlow's "same" does by itself, for odd sides, too: more below than above."""
    return isinstance(layer, tf_keras.layers.ZeroPadding2D) and layer.padding[0][0] != layer.padding[0][1]


def _pads_for_stride(layer: tf_keras.layers.Layer) -> bool:
    """Whether its padding decides how many rows the last map of a level has: then it must be "same".

    It is that of a convolution behind a padding of the kind above, and of what steps by the size of its window, which
    at an even side needs none.
    """
    window = getattr(layer, "kernel_size", getattr(layer, "pool_size", None))
    if window is None or max(layer.strides) == 1:
        return False
    before = layer.inbound_nodes[0].inbound_layers if layer.inbound_nodes else None
    return tuple(window) == tuple(layer.strides) or _is_padding_for_stride(before)


# Published weights.


def load_weights(network: tf_keras.Model, config: backbone_keys.KerasApplications) -> None:
    """Loads them into a fresh network; nothing where it begins with random values.

    Raises:
        UserError: they cannot be had, or they are another network's.
    """
    if not config.weights:
        return
    source = _downloaded(config) if config.weights == DOWNLOAD else _of_file(config)
    _check_normalization(source, config)
    values = {variable.name: variable.numpy() for variable in source.variables}
    entries = [
        table.Entry(layer, {each.name: tuple(each.shape) for each in layer.weights}, lambda *values: list(values))
        for layer in network.layers
        if layer.weights
    ]
    # What Keras has read can only be of this network: what is checked here is that it is finite.
    table.fill(entries, files.Tensors(config.weights, values), config.model_id, unused=lambda name: True)


def _downloaded(config: backbone_keys.KerasApplications) -> tf_keras.Model:
    """Keras keeps the file in `~/.keras/models`."""
    try:
        return _application(config, weights="imagenet", include_top=False, input_shape=(224, 224, 3))
    except UserError:
        raise
    except Exception as error:  # Keras raises a plain Exception when a download fails.
        raise UserError(
            f"{KEY}: the ImageNet weights of {config.model_id} cannot be had; give the path of Keras's .h5 file as"
            f" weights, or '' for random values ({' '.join(str(error).split())})"
        ) from error


def _of_file(config: backbone_keys.KerasApplications) -> tf_keras.Model:
    """By Keras's own reading, which goes by the order of the layers: not all published files have its names."""
    paths.refuse_remote(config.weights, "a file of weights")
    if not os.path.isfile(config.weights):
        raise UserError(f"{KEY}.weights: {config.weights}: there is no such file")
    if not config.weights.endswith(".h5"):
        raise UserError(f"{KEY}.weights: {config.weights}: Keras's weights are read from files ending in .h5")
    try:
        files.check_claims(config.weights)
    except UserError as error:
        raise UserError(f"{KEY}.weights: {error}") from error
    reasons = []
    for include_top in (False, True):
        try:
            return _application(config, weights=config.weights, include_top=include_top)
        except UserError:
            raise
        except Exception as error:  # a damaged file makes h5py raise almost anything
            if faults.is_of_the_machine(error):
                raise UserError(f"{KEY}.weights: {faults.of_file(config.weights, error)}") from error
            reasons.append(" ".join(str(error).split()) or type(error).__name__)
    raise UserError(f"{KEY}.weights: {config.weights} does not fit {config.model_id}: {reasons[0]}")


def _check_normalization(source: tf_keras.Model, config: backbone_keys.KerasApplications) -> None:
    """Images are normalised as for the published weights; others may have been trained with other images."""
    for layer in source.layers:
        if isinstance(layer, tf_keras.layers.Normalization) and layer.weights:
            found = [np.ravel(value) for value in layer.get_weights()[:2]]
            if not np.allclose(found, STORED, rtol=0.01):  # they are bfloat16 in a run of mixed precision
                mean, variance = (", ".join(f"{value:.3g}" for value in values) for values in found)
                raise UserError(
                    f"{KEY}.weights: {config.weights} normalises images by mean {mean} and variance {variance}, not as"
                    " Keras's ImageNet weights do; take those, or weights of another network"
                )


FAMILY = Family(
    build=lambda backbone: build(backbone.keras_applications),
    normalization=lambda backbone: normalization(backbone.keras_applications),
    load_weights=lambda network, backbone: load_weights(network, backbone.keras_applications),
)
