"""Keras Applications' ImageNet weights into our ResNet of the Caffe form (section 4)."""

import h5py
import numpy as np
import tf_keras

from fsaf_tf import configs
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import resnet

APPLICATIONS = {50: tf_keras.applications.ResNet50, 101: tf_keras.applications.ResNet101}
EPSILON = 1.001e-5  # of batch normalisation in Keras Applications.


def initialize(detector: tf_keras.Model, backbone: configs.Backbone):
    """Loads the ImageNet weights that an experiment asks for into a fresh detector; none for random values.

    Raises:
        UserError: there are no such weights, or they cannot be had.
    """
    if backbone.type != "resnet" or not backbone.resnet.weights:
        return
    config = backbone.resnet
    if config.form != "caffe":
        raise UserError(
            f"task.model.backbone.resnet: the weights {config.weights!r} are Keras Applications' and need form caffe,"
            f" not {config.form}"
        )
    load(detector.get_layer("backbone"), config.weights, config.depth)


def load(backbone: tf_keras.Model, weights: str, depth: int):
    """Sets every weight of a ResNet of the Caffe form.

    Keras Applications' convolutions have biases and its batch normalisation a slightly larger epsilon. Both go into
    the statistics, which leaves the function as it was: `(x + b) - mean = x - (mean - b)`, and the variance grows by
    the difference of the epsilons.

    Args:
        backbone: from `resnet.build_resnet`, any stages of it.
        weights: "imagenet", downloaded by Keras once, or the path of an `.h5` file of Keras Applications' weights.
        depth: 50 or 101.

    Raises:
        UserError: no such weights, a file that cannot be read or holds another network, a failed download.
    """
    if depth not in APPLICATIONS:
        known = ", ".join(map(str, APPLICATIONS))
        raise UserError(f"task.model.backbone.resnet: there are ImageNet weights for depth {known}, not {depth}")
    values = _download(depth) if weights == "imagenet" else _read(weights)
    _check_layers(backbone, values, f"{weights} does not hold Keras Applications' weights of ResNet-{depth}")
    for layer in backbone.layers:
        if layer.name.endswith("_conv"):
            layer.set_weights(values[layer.name][:1])
        elif layer.name.endswith("_bn"):
            gamma, beta, mean, variance = values[layer.name]
            _, bias = values[layer.name.removesuffix("_bn") + "_conv"]
            layer.set_weights([gamma, beta, mean - bias, variance + (EPSILON - resnet.EPSILON)])


def _download(depth: int) -> dict[str, list[np.ndarray]]:
    """The values of Keras Applications' layers by name; Keras keeps the file in `~/.keras/models`."""
    try:
        model = APPLICATIONS[depth](weights="imagenet", include_top=False)
    except Exception as error:  # Keras raises a plain Exception when a download fails.
        raise UserError(
            f"The ImageNet weights of ResNet-{depth} were not downloaded; give the path of the .h5 file as"
            f" task.model.backbone.resnet.weights, or '' for random values ({_one_line(error)})"
        ) from error
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def _read(path: str) -> dict[str, list[np.ndarray]]:
    """The same from a file, of the weights alone or of a whole model."""
    try:
        with h5py.File(path, "r") as file:
            layers = file.get("model_weights", file)
            return {
                name: [np.asarray(layer[key]) for key in layer.attrs.get("weight_names", ())]
                for name, layer in layers.items()
            }
    except (OSError, KeyError) as error:
        raise UserError(f"task.model.backbone.resnet.weights: {path} cannot be read ({_one_line(error)})") from error


def _check_layers(backbone: tf_keras.Model, values: dict[str, list[np.ndarray]], message: str):
    """Every layer's values must be there, of its shape, and no other convolution: ResNet-101's hold 50's and more."""
    needed = {}
    for layer in backbone.layers:
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if layer.name.endswith("_conv"):
            needed[layer.name] = [*shapes, (layer.filters,)]  # the bias, which ours has not
        elif shapes:
            needed[layer.name] = shapes
    given = {name: [array.shape for array in arrays] for name, arrays in values.items() if name.startswith("conv")}
    given = {name: shapes for name, shapes in given.items() if shapes}
    wrong = sorted(name for name in needed | given if needed.get(name) != given.get(name))
    if wrong:
        raise UserError(f"{message}: {len(wrong)} layers are missing, unknown or of another shape, such as {wrong[0]}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
