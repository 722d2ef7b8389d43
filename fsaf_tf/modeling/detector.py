"""The whole network of Fig. 4: backbone, feature pyramid, subnets; and the input that a backbone wants."""

import tensorflow as tf
import tf_keras

from fsaf_tf.config import backbone_keys, checks, schema
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import backbones, batch_norm, dssd, fpn, heads, nas_fpn, ssd
from fsaf_tf.modeling.normalization import Normalization
from fsaf_tf.pyramid import BACKBONE_TOP

LEAST_SIDE = 32  # px, of the images that the network sees


def normalization(backbone: backbone_keys.Backbone) -> Normalization:
    """The normalisation of the images that a backbone wants."""
    return backbones.family(backbone).normalization(backbone)


@tf.autograph.experimental.do_not_convert  # a quarter of the time, for code that needs none of it
def build_detector(model: schema.Model, num_classes: int) -> tf_keras.Model:
    """Builds the detector with the initial values of section 3.4; published weights are loaded by `backbones`.

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
        normalized_levels=range(model.min_level, model.max_level + 1) if model.heads.batch_norm else (),
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


def _build_backbone(config: backbone_keys.Backbone, min_level: int) -> tf_keras.Model:
    """The part of a backbone that the pyramid uses: a model to its maps of `min_level` to 5."""
    levels = [str(level) for level in range(min_level, BACKBONE_TOP + 1)]
    network = backbones.family(config).build(config)
    missing = [level for level in levels if level not in network.output]
    if missing:
        raise UserError(f"task.model.backbone: {config.type}, as set, has no level {', '.join(missing)}")
    return tf_keras.Model(network.input, {level: network.output[level] for level in levels}, name="backbone")


def _build_pyramid(model: schema.Model, features: dict) -> tf_keras.layers.Layer:
    """What makes the levels that the heads see out of the backbone's, as `model.pyramid` says."""
    levels, channels = (model.min_level, model.max_level), model.fpn.channels
    if model.pyramid == "ssd":
        return ssd.SSD(*levels, channels=channels)
    if model.pyramid == "dssd":
        return dssd.DSSD(*levels, channels=channels, norm=batch_norm.settings())
    if model.pyramid == "nas_fpn":
        depths = {level: x.shape[-1] for level, x in features.items()}
        return nas_fpn.NASFPN(*levels, depths, channels=channels, norm=batch_norm.settings())
    return fpn.FPN(*levels, channels=channels, relu_before_p7=model.fpn.relu_before_p7)
