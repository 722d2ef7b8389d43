"""The pyramid of DSSD as a host of the module (section 3; Fu et al. 2017): SSD's, and back down by deconvolutions."""

import tensorflow as tf
import tf_keras

from fsaf_tf.modeling import ssd


class DSSD(tf_keras.layers.Layer):
    """Makes P3 to P7 from C3 to C5: SSD's levels, each multiplied by what comes down from the level above.

    On the way down is DSSD's deconvolution module: the level above, doubled by a learned 2x2 deconvolution and a 3x3
    convolution, times the level itself after two 3x3 convolutions, cell by cell; then ReLU. Batch normalisation, as
    there, keeps the product of so many levels in bounds. The highest level is SSD's.

    Sublayers: `ssd`, and `module_3` .. for each level below the highest.
    """

    def __init__(self, min_level: int, max_level: int, *, channels: int, norm: dict, name: str = "dssd"):
        """Makes the layers of levels `min_level` to `max_level`; `norm` is what batch normalisation is built with."""
        super().__init__(name=name)
        self.ssd = ssd.SSD(min_level, max_level, channels=channels)
        self.modules = {
            str(level): _Deconvolution(channels, norm, name=f"module_{level}")
            for level in range(max_level - 1, min_level - 1, -1)
        }

    def call(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Takes `{"3": [B, H3, W3, C3], ... "5"}`, gives `{"3": [B, H3, W3, channels], ... "7"}`."""
        pyramid = self.ssd(features)
        for level, module in self.modules.items():
            pyramid[level] = module([pyramid[level], pyramid[str(int(level) + 1)]])
        return pyramid


class _Deconvolution(tf_keras.layers.Layer):
    """One level times the one above it."""

    def __init__(self, channels: int, norm: dict, name: str):
        super().__init__(name=name)

        def conv(name):
            return tf_keras.layers.Conv2D(channels, 3, padding="same", use_bias=False, name=name)

        def normalization(name):
            return tf_keras.layers.BatchNormalization(**norm, name=name)

        self.deconvolution = tf_keras.layers.Conv2DTranspose(channels, 2, strides=2, name="deconvolution")
        self.above, self.above_norm = conv("above"), normalization("above_norm")
        self.own_0, self.own_0_norm = conv("own_0"), normalization("own_0_norm")
        self.own_1, self.own_1_norm = conv("own_1"), normalization("own_1_norm")

    def call(self, levels: list[tf.Tensor]) -> tf.Tensor:
        """Takes `[B, H, W, C]` and `[B, ceil(H / 2), ceil(W / 2), C]`, gives `[B, H, W, C]`."""
        x, above = levels
        height, width = tf.shape(x)[1], tf.shape(x)[2]
        above = self.above_norm(self.above(self.deconvolution(above)[:, :height, :width]))
        x = tf.nn.relu(self.own_0_norm(self.own_0(x)))
        x = self.own_1_norm(self.own_1(x))
        return tf.nn.relu(x * above)
