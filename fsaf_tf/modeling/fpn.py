"""The feature pyramid (section 3.1; [22] and Lin et al. 2017), without batch normalisation.

Differs from the Garden's FPN, which normalises its levels, takes P6 from P5 and needs maps of even size.
"""

from collections.abc import Callable

import tensorflow as tf
import tf_keras

from fsaf_tf.pyramid import BACKBONE_TOP


class FPN(tf_keras.layers.Layer):
    """Makes P3 to P7 from C3 to C5.

    P3 to P5 are 3x3 convolutions of 1x1 laterals plus the level above, upsampled; P6 is a 3x3 convolution of C5 with
    stride 2, P7 one of P6. Weights are Glorot uniform, biases 0.

    Sublayers: `lateral_3` .. `lateral_5`, `output_3` .. `output_7`.
    """

    def __init__(self, min_level: int, max_level: int, *, channels: int, relu_before_p7: bool, name: str = "fpn"):
        """Makes the layers of levels `min_level` to `max_level`; `relu_before_p7` also holds for levels above 7."""
        super().__init__(name=name)
        merged, extra = range(min_level, BACKBONE_TOP + 1), range(BACKBONE_TOP + 1, max_level + 1)
        self.relu_before_p7 = relu_before_p7
        self.laterals = {str(level): tf_keras.layers.Conv2D(channels, 1, name=f"lateral_{level}") for level in merged}
        self.merged_outputs = {
            str(level): tf_keras.layers.Conv2D(channels, 3, padding="same", name=f"output_{level}") for level in merged
        }
        self.extra_outputs = {
            str(level): tf_keras.layers.Conv2D(channels, 3, strides=2, name=f"output_{level}") for level in extra
        }
        self.pad = tf_keras.layers.ZeroPadding2D(1)

    def call(
        self, features: dict[str, tf.Tensor], upsample: Callable | None = None, relu: Callable = tf.nn.relu
    ) -> dict[str, tf.Tensor]:
        """Takes `{"3": [B, H3, W3, C3], ... "5"}`, gives `{"3": [B, H3, W3, channels], ... "7"}`.

        Args:
            features: a backbone's maps by level.
            upsample: of an exporter: another form of `upsample_like`, with the same values.
            relu: likewise of the ReLU.
        """
        merged = self._merge(features, upsample or upsample_like)
        pyramid = {level: conv(merged[level]) for level, conv in self.merged_outputs.items()}
        x = features[str(BACKBONE_TOP)]
        for level, conv in self.extra_outputs.items():
            if self.relu_before_p7 and int(level) > BACKBONE_TOP + 1:
                x = relu(x)
            pyramid[level] = x = conv(self.pad(x))
        return pyramid

    def _merge(self, features: dict[str, tf.Tensor], upsample) -> dict[str, tf.Tensor]:
        """The laterals, each plus all above it."""
        merged = {level: conv(features[level]) for level, conv in self.laterals.items()}
        for level in range(BACKBONE_TOP - 1, BACKBONE_TOP - len(merged), -1):
            lateral = merged[str(level)]
            merged[str(level)] = lateral + upsample(merged[str(level + 1)], lateral)
        return merged


def upsample_like(x: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Doubles a map by its nearest cells and crops it to the size of another.

    Not the Garden's `nearest_upsampling`, whose tile of rank 6 takes twice the time on a CPU, nor Keras's
    `UpSampling2D`, which XLA does not compile there.

    Args:
        x: `[B, ceil(H / 2), ceil(W / 2), C]`.
        like: `[B, H, W, ...]`.

    Returns:
        `[B, H, W, C]`.
    """
    height, width = tf.shape(like)[1], tf.shape(like)[2]
    doubled = tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)
    return doubled[:, :height, :width]
