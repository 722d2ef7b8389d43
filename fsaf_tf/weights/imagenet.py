"""The ImageNet weights that an experiment names in `task.model.backbone.resnet.weights`."""

import tf_keras

from fsaf_tf.config import schema
from fsaf_tf.errors import UserError
from fsaf_tf.weights import keras, torchvision

KEY = "task.model.backbone.resnet"
LATER = ("", "checkpoint")  # random values, or those that come with a checkpoint: nothing to load here


def initialize(detector: tf_keras.Model, backbone: schema.Backbone):
    """Loads them into a fresh detector.

    Raises:
        UserError: there are no such weights, they cannot be had, or they are another network's.
    """
    config = backbone.resnet
    if backbone.type != "resnet" or config.weights in LATER:
        return
    is_keras = config.weights == keras.DOWNLOAD or config.weights.endswith(".h5")
    source, form = ("Keras Applications'", "caffe") if is_keras else ("torchvision's", "pytorch")
    if config.form != form:
        raise UserError(f"{KEY}: the weights {config.weights!r} are {source} and need form {form}, not {config.form}")
    read, load = (keras.read, keras.load) if is_keras else (torchvision.read, torchvision.load)
    try:
        tensors = read(config.weights, config)
        load(detector.get_layer("backbone"), tensors, config)
    except UserError as error:
        raise UserError(str(error) if KEY in str(error) else f"{KEY}.weights: {error}") from error
