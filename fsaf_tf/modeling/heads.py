"""The subnets of Fig. 4: two towers, and one output convolution a branch on each (section 3.1).

The towers are shared by all levels and by both branches, so FSAF adds two convolutions to RetinaNet's and no more.

Batch normalisation in the towers, which the paper does not have, is each level's own, as in the Garden's heads: what a
shared convolution makes of the maps of two levels has other statistics.
"""

import functools
import math
from collections.abc import Sequence

import tensorflow as tf
import tf_keras

from fsaf_tf.modeling import batch_norm

EPSILON = 1e-3
PRIOR = 0.01  # pi: every cell starts with this score (section 3.4; [22]).
SIGMA = 0.01  # of all initial weights (section 3.4).
OFFSET_BIAS = 0.1  # b: keeps the first offsets above the dead side of the ReLU (section 3.4).


def _conv(channels: int, name: str, *, bias: float = 0.0, **kwargs) -> tf_keras.layers.Layer:
    return tf_keras.layers.Conv2D(
        channels,
        3,
        padding="same",
        kernel_initializer=tf_keras.initializers.RandomNormal(stddev=SIGMA),
        bias_initializer=tf_keras.initializers.Constant(bias),
        name=name,
        **kwargs,
    )


# In mixed precision the outputs are float32 all the same: the losses need it.
_output = functools.partial(_conv, dtype="float32")


class Heads(tf_keras.layers.Layer):
    """Class and box subnets, a layer of tf_keras (Keras 2), as all of the library's are; see docs/library.md.

    Sublayers: `class_tower_0` .., `box_tower_0` .., with batch normalisation `class_tower_0_bn_3` .. of each level, and
    one layer an output, with the name of its key below.

    Attributes:
        num_classes: K.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        convs: int,
        channels: int,
        anchor_free: bool,
        anchors_per_location: int,
        normalized_levels: Sequence[int],
    ):
        """Makes the layers.

        Args:
            num_classes: K.
            convs: 3x3 convolutions a tower.
            channels: their channels.
            anchor_free: make the anchor-free branch.
            anchors_per_location: A of the anchor-based branch, 0 for none.
            normalized_levels: those with batch normalisation after each convolution of the towers: all, or none.
        """
        super().__init__(name="heads")
        self.num_classes = num_classes
        form = {"use_bias": False} if normalized_levels else {"activation": "relu"}
        self.class_tower = [_conv(channels, f"class_tower_{i}", **form) for i in range(convs)]
        self.box_tower = [_conv(channels, f"box_tower_{i}", **form) for i in range(convs)]
        self.norms = {  # by the convolution's name and the level
            f"{conv.name}_bn_{level}": _norm(f"{conv.name}_bn_{level}")
            for conv in (*self.class_tower, *self.box_tower)
            for level in normalized_levels
        }
        prior_bias = -math.log((1 - PRIOR) / PRIOR)
        self.class_outputs, self.box_outputs = {}, {}
        if anchor_free:
            self.class_outputs["anchor_free_logits"] = _output(num_classes, "anchor_free_logits", bias=prior_bias)
            self.box_outputs["anchor_free_offsets"] = _output(
                4, "anchor_free_offsets", bias=OFFSET_BIAS, activation="relu"
            )
        if anchors_per_location:
            anchor_classes = anchors_per_location * num_classes
            self.class_outputs["anchor_based_logits"] = _output(anchor_classes, "anchor_based_logits", bias=prior_bias)
            self.box_outputs["anchor_based_deltas"] = _output(4 * anchors_per_location, "anchor_based_deltas")

    def call(self, pyramid: dict[str, tf.Tensor]) -> dict[str, dict[str, tf.Tensor]]:
        """Runs both subnets on every level.

        Args:
            pyramid: `{"3": [B, H3, W3, C], ... "7"}`.

        Returns:
            anchor_free_logits: by level `{"3": [B, H, W, K], ...}`, before the sigmoid. An absent branch has no
                keys.
            anchor_free_offsets: by level `[B, H, W, 4]`, after the ReLU, top, left, bottom, right in units of
                `S * 2^l` pixels.
            anchor_based_logits: by level `[B, H, W, A * K]`, K of the first anchor first.
            anchor_based_deltas: by level `[B, H, W, A * 4]`, likewise.

        Raises:
            TypeError: the maps are of Keras 3.
        """
        if any(type(features).__module__.startswith("keras.") for features in pyramid.values()):
            raise TypeError(
                "Heads is a layer of tf_keras (Keras 2), and these maps are of Keras 3: build the network with tf_keras"
                " layers, or take the criterion alone (docs/library.md)"
            )
        outputs: dict[str, dict[str, tf.Tensor]] = {key: {} for key in (*self.class_outputs, *self.box_outputs)}
        for level, features in pyramid.items():
            for tower, convs in ((self.class_tower, self.class_outputs), (self.box_tower, self.box_outputs)):
                x = features
                for layer in tower:
                    x = layer(x)
                    if self.norms:
                        x = tf.nn.relu(self.norms[f"{layer.name}_bn_{level}"](x))
                for key, conv in convs.items():
                    outputs[key][level] = conv(x)
        return outputs


def _norm(name: str) -> tf_keras.layers.Layer:
    return tf_keras.layers.BatchNormalization(epsilon=EPSILON, name=name, **batch_norm.settings())
