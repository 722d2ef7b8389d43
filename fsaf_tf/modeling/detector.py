"""The whole network of Fig. 4: backbone, feature pyramid, subnets; and the input that a backbone wants."""

import tensorflow as tf
import tf_keras
from official.vision.configs import common
from official.vision.modeling.backbones import factory

from fsaf_tf.config import checks, schema
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import dssd, fpn, heads, nas_fpn, resnet, ssd
from fsaf_tf.modeling import normalization as normalizations
from fsaf_tf.pyramid import BACKBONE_TOP

# Those of the Garden that give levels 3 to 5. Not ViT and the dilated ResNet, which do not, nor SpineNet, which is a
# pyramid itself and takes only images of multiples of 128 pixels.
GARDEN_BACKBONES = ("mobilenet", "mobiledet", "efficientnet", "revnet")

LEAST_SIDE = 32  # px, of the images that the network sees

# The Garden's 0.99 needs thousands of steps before the statistics are of use; short runs have hundreds.
GARDEN_NORM_MOMENTUM = 0.9


def normalization(backbone: schema.Backbone) -> normalizations.Normalization:
    """The normalisation of a backbone: our Caffe form has its own, all others torchvision's (and the Garden's)."""
    caffe = backbone.type == "resnet" and backbone.resnet.form == "caffe"
    return normalizations.CAFFE if caffe else normalizations.TORCHVISION


def build_detector(model: schema.Model, num_classes: int) -> tf_keras.Model:
    """Builds the detector with the initial values of section 3.4; ImageNet weights are loaded by `weights.imagenet`.

    Its layers are `backbone`, the pyramid (`fpn`, or what `model.pyramid` is) and `heads`.

    Args:
        model: the configuration.
        num_classes: K; `model.num_classes` is not looked at.

    Returns:
        A model from normalised images `[B, H, W, 3]` of any size to the dict of `heads.Heads`, by output and level.

    Raises:
        UserError: a value of the configuration that no network can be built from.
    """
    checks.check_model(model)
    if num_classes < 1:
        raise UserError(f"A detector needs at least one class, not {num_classes}")
    anchors = model.anchor_based
    images = tf_keras.layers.Input([None, None, 3], name="images")
    features = _build_backbone(model.backbone, model.min_level)(images)
    pyramid = _build_pyramid(model, features)(features)
    outputs = heads.Heads(
        num_classes,
        convs=model.heads.convs,
        channels=model.heads.channels,
        anchor_free=model.anchor_free.enabled,
        anchors_per_location=anchors.shapes().per_location if anchors.enabled else 0,
    )(pyramid)
    return tf_keras.Model(images, outputs, name="detector")


def infer(model: tf_keras.Model, images: tf.Tensor) -> dict[str, dict[str, tf.Tensor]]:
    """Outputs of a detector for any number of images, none among them, in inference mode.

    A replica may get no image of the last batch, of no height and width, and oneDNN's convolution of none (on CPUs, in
    TensorFlow 2.20) passes its input's shape on. So the network always sees one image of some size at least.
    """
    count = tf.shape(images)[0]
    missing = tf.maximum([1, LEAST_SIDE, LEAST_SIDE, 0] - tf.shape(images), 0)
    at_least_one = tf.pad(images, tf.stack([tf.zeros_like(missing), missing], axis=1))
    return tf.nest.map_structure(lambda output: output[:count], model(at_least_one, training=False))


def _build_backbone(config: schema.Backbone, min_level: int) -> tf_keras.Model:
    """The part of a backbone that the pyramid uses: a model to its maps of `min_level` to 5."""
    levels = [str(level) for level in range(min_level, BACKBONE_TOP + 1)]
    backbone = resnet.build_resnet(config.resnet) if config.type == "resnet" else _build_garden(config, levels)
    return tf_keras.Model(backbone.input, {level: backbone.output[level] for level in levels}, name="backbone")


def _build_pyramid(model: schema.Model, features: dict) -> tf_keras.layers.Layer:
    """What makes the levels that the heads see out of the backbone's, as `model.pyramid` says."""
    levels, channels = (model.min_level, model.max_level), model.fpn.channels
    if model.pyramid == "ssd":
        return ssd.SSD(*levels, channels=channels)
    if model.pyramid == "dssd":
        return dssd.DSSD(*levels, channels=channels, norm=_norm())
    if model.pyramid == "nas_fpn":
        depths = {level: x.shape[-1] for level, x in features.items()}
        return nas_fpn.NASFPN(*levels, depths, channels=channels, norm=_norm())
    return fpn.FPN(*levels, channels=channels, relu_before_p7=model.fpn.relu_before_p7)


def _norm() -> dict:
    """Of batch normalisation that is trained from random values."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return {"momentum": GARDEN_NORM_MOMENTUM, "synchronized": replicas > 1}


def _build_garden(config: schema.Backbone, levels: list[str]) -> tf_keras.Model:
    """One of the Garden's, with random values; all of it is trained, batch normalisation's statistics too."""
    if config.type not in GARDEN_BACKBONES:
        known = ", ".join(("resnet", *GARDEN_BACKBONES))
        raise UserError(f"task.model.backbone.type is {config.type!r}, but must be one of: {known}")
    norm = _norm()
    norm = common.NormActivation(norm_momentum=norm["momentum"], use_sync_bn=norm["synchronized"])
    backbone = factory.build_backbone(tf_keras.layers.InputSpec(shape=[None, None, None, 3]), config, norm)
    # The outputs may hold one more, a classifier's last layer, under the next free level.
    missing = sorted(set(levels) - set(backbone.output_specs))
    if missing:
        raise UserError(f"task.model.backbone: {config.type}, as set, has no level {', '.join(missing)}")
    return backbone
