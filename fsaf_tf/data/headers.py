"""The size of an encoded JPEG, PNG or WebP in a graph, from its header alone, by TensorFlow's own ops."""

import tensorflow as tf

from fsaf_tf.data import exif


def is_known(data: tf.Tensor) -> tf.Tensor:
    """Whether the header is where `size` looks for it, and the decoder too.

    libpng takes its size from the first IHDR wherever that is, libwebp from a frame that follows "WEBP" directly.
    """
    png = exif.starts(data, 0, exif.PNG) & exif.starts(data, 12, b"IHDR")
    frame = tf.reduce_any([exif.starts(data, 12, kind) for kind in (b"VP8 ", b"VP8L", b"VP8X")])
    webp = exif.starts(data, 0, b"RIFF") & exif.starts(data, 8, exif.WEBP) & frame
    return exif.starts(data, 0, exif.JPEG) | png | webp


def size(data: tf.Tensor) -> tf.Tensor:
    """Height and width `[2]` int32 as they are stored; zeros of anything else."""
    head = exif.bytes_at(data, 0, 32)
    png = tf.stack([exif.number(head[20:24], True), exif.number(head[16:20], True)])
    found = tf.where(exif.starts(data, 0, exif.PNG), png, 0)
    found = tf.where(exif.starts(data, 8, exif.WEBP), _webp_size(data, head), found)
    return tf.cond(exif.starts(data, 0, exif.JPEG), lambda: tf.io.extract_jpeg_shape(data)[:2], lambda: found)


def _webp_size(data: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
    """Of the three kinds of WebP: extended, lossless, lossy."""

    def number(start: int, end: int) -> tf.Tensor:
        return exif.number(head[start:end], False)

    packed = number(21, 25)
    extended = tf.stack([number(27, 30) + 1, number(24, 27) + 1])
    lossless = tf.stack([packed // 2**14 % 2**14 + 1, packed % 2**14 + 1])
    lossy = tf.stack([number(28, 30) % 2**14, number(26, 28) % 2**14])
    return tf.where(exif.starts(data, 12, b"VP8X"), extended, tf.where(exif.starts(data, 12, b"VP8L"), lossless, lossy))
