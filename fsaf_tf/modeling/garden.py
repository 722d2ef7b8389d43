"""The Garden's backbones, from random values; all of them is trained."""

import tf_keras
from official.vision.configs import common
from official.vision.modeling.backbones import factory

from fsaf_tf.config import schema
from fsaf_tf.modeling import batch_norm, normalization
from fsaf_tf.modeling.family import Family

# Those that give levels 3 to 5. Not ViT and the dilated ResNet, which do not, nor SpineNet, which is a pyramid itself
# and takes only images of multiples of 128 pixels.
NAMES = ("mobilenet", "mobiledet", "efficientnet", "revnet")


def build(backbone: schema.Backbone) -> tf_keras.Model:
    """Builds one of them; see `Family.build`."""
    norm = common.NormActivation(norm_momentum=batch_norm.MOMENTUM, use_sync_bn=batch_norm.is_synchronized())
    network = factory.build_backbone(tf_keras.layers.InputSpec(shape=[None, None, None, 3]), backbone, norm)
    # The outputs may hold one more, a classifier's last layer, under the next free level.
    return tf_keras.Model(network.input, {level: network.output[level] for level in network.output_specs})


FAMILY = Family(build, normalization=lambda backbone: normalization.TORCHVISION)
