"""The pyramid of SSD as a host of the module (section 3; Liu et al. 2016): no top-down path.

Differs from SSD's own in that every level has the same number of channels, since the heads are shared by the levels.
"""

import tensorflow as tf
import tf_keras

from fsaf_tf.pyramid import BACKBONE_TOP


class SSD(tf_keras.layers.Layer):
    """Makes P3 to P7 from C3 to C5: the backbone's maps, and extra layers on the last of them.

    P3 to P5 are 1x1 convolutions. Each level from P6 on is, as in SSD, a 1x1 convolution to half the channels and a 3x3
    one with stride 2, both with ReLU, on the level before; P6 on C5. Weights are Glorot uniform, biases 0.

    Sublayers: `projection_3` .. `projection_5`, `reduction_6`, `extra_6`, ...
    """

    def __init__(self, min_level: int, max_level: int, *, channels: int, name: str = "ssd"):
        """Makes the layers of levels `min_level` to `max_level`."""
        super().__init__(name=name)
        conv = tf_keras.layers.Conv2D
        self.projections = {
            str(level): conv(channels, 1, name=f"projection_{level}") for level in range(min_level, BACKBONE_TOP + 1)
        }
        self.extras = {
            str(level): (
                conv(max(channels // 2, 1), 1, activation="relu", name=f"reduction_{level}"),
                conv(channels, 3, strides=2, activation="relu", name=f"extra_{level}"),
            )
            for level in range(BACKBONE_TOP + 1, max_level + 1)
        }
        self.pad = tf_keras.layers.ZeroPadding2D(1)

    def call(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Takes `{"3": [B, H3, W3, C3], ... "5"}`, gives `{"3": [B, H3, W3, channels], ... "7"}`."""
        pyramid = {level: conv(features[level]) for level, conv in self.projections.items()}
        x = features[str(BACKBONE_TOP)]
        for level, (reduction, extra) in self.extras.items():
            pyramid[level] = x = extra(self.pad(reduction(x)))
        return pyramid
