"""The Garden's backbones, from random values; all of them is trained."""

import tf_keras
from official.vision.configs import common
from official.vision.modeling.backbones import efficientnet, factory, mobiledet, mobilenet, revnet

from fsaf_tf.config import backbone_keys
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import batch_norm, normalization
from fsaf_tf.modeling.family import Family

# Those that give levels 3 to 5. Not ViT and the dilated ResNet, which do not, nor SpineNet, which is a pyramid itself
# and takes only images of multiples of 128 pixels.
NAMES = ("mobilenet", "mobiledet", "efficientnet", "revnet")
# By name, the Garden's tables of what `model_id` may be.
_MODELS = {
    "mobilenet": mobilenet.SUPPORTED_SPECS_MAP,
    "mobiledet": mobiledet.SUPPORTED_SPECS_MAP,
    "efficientnet": efficientnet.SCALING_MAP,
    "revnet": revnet.REVNET_SPECS,
}


def build(backbone: backbone_keys.Backbone) -> tf_keras.Model:
    """Builds one of them; see `Family.build`.

    Raises:
        UserError: the family has no such model.
    """
    model_id, known = backbone.get().model_id, _MODELS[backbone.type]
    if model_id not in known:
        listed = ", ".join(map(str, known))
        raise UserError(f"task.model.backbone.{backbone.type}.model_id is {model_id!r}, but must be one of: {listed}")
    norm = common.NormActivation(norm_momentum=batch_norm.MOMENTUM, use_sync_bn=batch_norm.is_synchronized())
    network = factory.build_backbone(tf_keras.layers.InputSpec(shape=[None, None, None, 3]), backbone, norm)
    # The outputs may hold one more, a classifier's last layer, under the next free level.
    return tf_keras.Model(network.input, {level: network.output[level] for level in network.output_specs})


FAMILY = Family(build, normalization=lambda backbone: normalization.TORCHVISION)
