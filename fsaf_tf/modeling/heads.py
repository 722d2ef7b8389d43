"""The subnets of Fig. 4: two towers, and one output convolution a branch on each (section 3.1).

The towers are shared by all levels and by both branches, so FSAF adds two convolutions to RetinaNet's and no more.
"""

import functools
import math

import tensorflow as tf
import tf_keras

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
    """Class and box subnets.

    Sublayers: `class_tower_0` .., `box_tower_0` .., and one layer an output, with the name of its key below.

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
        name: str = "heads",
    ):
        """Makes the layers.

        Args:
            num_classes: K.
            convs: 3x3 convolutions a tower.
            channels: their channels.
            anchor_free: make the anchor-free branch.
            anchors_per_location: A of the anchor-based branch, 0 for none.
            name: the layer's.
        """
        super().__init__(name=name)
        self.num_classes = num_classes
        self.class_tower = [_conv(channels, f"class_tower_{i}", activation="relu") for i in range(convs)]
        self.box_tower = [_conv(channels, f"box_tower_{i}", activation="relu") for i in range(convs)]
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
            By level, without the keys of an absent branch:
                `anchor_free_logits`   `[B, H, W, K]`, before the sigmoid
                `anchor_free_offsets`  `[B, H, W, 4]`, after the ReLU, units of `S * 2^l` px, order t, l, b, r
                `anchor_based_logits`  `[B, H, W, A * K]`, K of the first anchor first
                `anchor_based_deltas`  `[B, H, W, A * 4]`, likewise
        """
        outputs = {key: {} for key in (*self.class_outputs, *self.box_outputs)}
        for level, features in pyramid.items():
            for tower, convs in ((self.class_tower, self.class_outputs), (self.box_tower, self.box_outputs)):
                x = features
                for layer in tower:
                    x = layer(x)
                for key, conv in convs.items():
                    outputs[key][level] = conv(x)
        return outputs
