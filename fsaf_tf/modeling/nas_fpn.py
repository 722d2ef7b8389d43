"""NAS-FPN, the Garden's own (Ghiasi et al. 2019), as a host of the module, for images of any size."""

from collections.abc import Mapping

import tensorflow as tf
import tf_keras
from official.vision.modeling.decoders import nasfpn


class NASFPN(tf_keras.layers.Layer):
    """Makes P3 to P7 from C3 to C5 by the Garden's NAS-FPN: seven merging cells, five times, batch normalised.

    The Garden's doubles maps and adds them, so each must have just half the cells of the one below. The backbone's maps
    get zeros below and to the right for that, and the pyramid is cut back to `ceil(size / 2^l)` cells.
    """

    def __init__(
        self, min_level: int, max_level: int, depths: Mapping[str, int], *, channels: int, norm: dict, name="nas_fpn"
    ):
        """Makes the layers.

        Args:
            min_level: 3: the cells that were searched for are those of P3 to P7.
            max_level: 7.
            depths: channels of the backbone's maps, by level.
            channels: of the pyramid.
            norm: `momentum` and `synchronized` of batch normalisation.
            name: the layer's.
        """
        super().__init__(name=name)
        self.max_level = max_level
        self.pyramid = nasfpn.NASFPN(
            {level: tf.TensorShape([None, None, None, depth]) for level, depth in depths.items()},
            min_level,
            max_level,
            num_filters=channels,
            norm_momentum=norm["momentum"],
            use_sync_bn=norm["synchronized"],
        )

    def call(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Takes `{"3": [B, H3, W3, C3], ... "5"}`, gives `{"3": [B, H3, W3, channels], ... "7"}`."""
        lowest = min(features, key=int)
        size = tf.shape(features[lowest])[1:3]
        top = -(-size // 2 ** (self.max_level - int(lowest)))  # cells of the highest level
        padded = {level: _pad(x, top * 2 ** (self.max_level - int(level))) for level, x in features.items()}
        pyramid = self.pyramid(padded)
        return {level: _cut(x, -(-size // 2 ** (int(level) - int(lowest)))) for level, x in sorted(pyramid.items())}


def _pad(x: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    missing = size - tf.shape(x)[1:3]
    return tf.pad(x, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])


def _cut(x: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    return x[:, : size[0], : size[1]]
