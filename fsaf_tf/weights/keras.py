"""Keras Applications' ImageNet weights into our ResNet of the Caffe form (section 4)."""

import tf_keras

from fsaf_tf.config import backbone_keys
from fsaf_tf.errors import UserError
from fsaf_tf.weights import files, table

SETTINGS = {"model": {"backbone": {"resnet": {"form": "caffe", "weights": "checkpoint"}}}}  # of a task

DOWNLOAD = "imagenet"  # in the place of a file: what Keras downloads
APPLICATIONS = {
    50: tf_keras.applications.ResNet50,
    101: tf_keras.applications.ResNet101,
    152: tf_keras.applications.ResNet152,
}
EPSILON = 1.001e-5  # of batch normalisation in Keras Applications.
_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def read(path: str, config: backbone_keys.ResNet) -> files.Tensors:
    """Reads an `.h5` file of Keras Applications' weights, or downloads it where the path is `imagenet`.

    Raises:
        UserError: there are no such weights, or they cannot be had or read.
    """
    if config.depth not in APPLICATIONS or config.groups > 1:
        known = ", ".join(map(str, APPLICATIONS))
        raise UserError(
            f"task.model.backbone.resnet: Keras Applications have weights of ResNet-{known}, not of depth"
            f" {config.depth} in {config.groups} group{'s' * (config.groups > 1)}"
        )
    return _download(config.depth) if path == DOWNLOAD else files.read(path)


def load(backbone: tf_keras.Model, tensors: files.Tensors, config: backbone_keys.ResNet):
    """Sets every weight of a ResNet of the Caffe form.

    Args:
        backbone: of a detector, or from `resnet.build_resnet`, with all its stages.
        tensors: `conv1_conv/kernel`, `conv1_bn/gamma`, ...; a classifier's are left out.
        config: what the backbone was built from.

    Raises:
        UserError: they are another network's.
    """
    layers = {layer.name: layer for layer in backbone.layers}
    entries = [
        entry
        for name, layer in layers.items()
        if name.endswith("_conv")
        for entry in _conv_and_norm(layer, layers[name.removesuffix("_conv") + "_bn"])
    ]
    what = f"Keras Applications' ResNet-{config.depth}"
    table.fill(entries, tensors, what, unused=lambda name: not name.startswith("conv"))


def _conv_and_norm(conv: tf_keras.layers.Layer, norm: tf_keras.layers.Layer) -> list[table.Entry]:
    """Theirs have biases in the convolutions, and a slightly larger epsilon in the batch normalisation.

    Both go into the statistics, which leaves the function as it was: `(x + b) - mean = x - (mean - b)`, and the
    variance grows by the difference of the epsilons.
    """
    bias = f"{conv.name}/bias"
    sizes = {bias: (conv.filters,), **{f"{norm.name}/{part}": (conv.filters,) for part in _NORM}}

    def convert(bias, gamma, beta, mean, variance):
        return [gamma, beta, mean - bias, variance + (EPSILON - norm.epsilon)]

    kernel = {f"{conv.name}/kernel": tuple(conv.kernel.shape)}
    return [table.Entry(conv, kernel, lambda kernel: [kernel]), table.Entry(norm, sizes, convert)]


def _download(depth: int) -> files.Tensors:
    """Keras keeps the file in `~/.keras/models`."""
    try:
        model = APPLICATIONS[depth](weights="imagenet", include_top=False)
    except Exception as error:  # Keras raises a plain Exception when a download fails.
        raise UserError(
            f"The ImageNet weights of ResNet-{depth} were not downloaded; give the path of the .h5 file as"
            f" task.model.backbone.resnet.weights, or '' for random values ({' '.join(str(error).split())})"
        ) from error
    pairs = [(layer.name, weight) for layer in model.layers for weight in layer.weights]
    values = {f"{name}/{weight.name.rsplit('/', 1)[-1].removesuffix(':0')}": weight.numpy() for name, weight in pairs}
    return files.Tensors(DOWNLOAD, values)
