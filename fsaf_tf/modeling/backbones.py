"""The families of backbones that there are, by `task.model.backbone.type`."""

import tf_keras

from fsaf_tf.config import backbone_keys
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import efficientnet_lite, garden, keras_applications, resnet
from fsaf_tf.modeling.family import Family

FAMILIES = {
    "resnet": resnet.FAMILY,
    "efficientnet_lite": efficientnet_lite.FAMILY,
    "keras_applications": keras_applications.FAMILY,
    **dict.fromkeys(garden.NAMES, garden.FAMILY),
}


def family(backbone: backbone_keys.Backbone) -> Family:
    """The family that the configuration chooses.

    Raises:
        UserError: it is none of them.
    """
    if backbone.type not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise UserError(f"task.model.backbone.type is {backbone.type!r}, but must be one of: {known}")
    return FAMILIES[backbone.type]


def initialize(detector: tf_keras.Model, backbone: backbone_keys.Backbone) -> None:
    """Loads the published weights that the configuration names, if any, into a fresh detector.

    Raises:
        UserError: there are no such weights, they cannot be had, or they are another network's.
    """
    family(backbone).load_weights(detector.get_layer("backbone"), backbone)
