"""The images that a backbone wants, in numbers."""

import dataclasses

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Normalization:
    """What a backbone wants of its images. `mean` and `std` are of 0 to 255, in `channel_order`, "rgb" or "bgr"."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: str

    def normalize(self, images: tf.Tensor) -> tf.Tensor:
        """Turns RGB images `[..., 3]` of 0 to 255, any type, into the backbone's float32 `[..., 3]`."""
        images = tf.cast(images, tf.float32)
        if self.channel_order == "bgr":
            images = tf.reverse(images, axis=[-1])
        # A graph turns a division by a constant into this product, which differs in the last digit.
        return (images - tf.constant(self.mean)) * tf.constant([1 / value for value in self.std])

    def pictures(self, images: np.ndarray) -> np.ndarray:
        """The RGB pictures `[..., 3]` uint8 of which `normalize` makes `images`."""
        values = np.float32(images) * np.float32(self.std) + np.float32(self.mean)
        return np.rint(values[..., ::-1] if self.channel_order == "bgr" else values).clip(0, 255).astype(np.uint8)


CAFFE = Normalization((103.939, 116.779, 123.68), (1.0, 1.0, 1.0), "bgr")
TORCHVISION = Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "rgb")
