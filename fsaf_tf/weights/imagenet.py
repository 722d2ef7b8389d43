"""The ImageNet weights that an experiment names in `task.model.backbone.resnet.weights`."""

import tf_keras

from fsaf_tf.config import backbone_keys
from fsaf_tf.errors import UserError
from fsaf_tf.weights import keras, torchvision

KEY = "task.model.backbone.resnet"
CHECKPOINT = "checkpoint"  # in the place of a file: they come with a checkpoint


def load(backbone: tf_keras.Model, config: backbone_keys.ResNet):
    """Loads them into a fresh ResNet; nothing where it begins with random values or with a checkpoint.

    Raises:
        UserError: there are no such weights, they cannot be had, or they are another network's.
    """
    if config.weights in ("", CHECKPOINT):
        return
    is_keras = config.weights == keras.DOWNLOAD or config.weights.endswith(".h5")
    source, form = ("Keras Applications'", "caffe") if is_keras else ("torchvision's", "pytorch")
    if config.form != form:
        raise UserError(f"{KEY}: the weights {config.weights!r} are {source} and need form {form}, not {config.form}")
    module = keras if is_keras else torchvision
    try:
        module.load(backbone, module.read(config.weights, config), config)
    except UserError as error:
        raise UserError(str(error) if KEY in str(error) else f"{KEY}.weights: {error}") from error
