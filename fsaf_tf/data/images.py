"""Encoded images in a graph: their size from the header, decoding, and errors that name the file.

Their pixels are those of `data.pixels`: JPEG, PNG and WebP are decoded by TensorFlow, all else, and what TensorFlow
refuses, by Pillow on the host.
"""

import functools
import io
import re
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from fsaf_tf.data import exif, pixels
from fsaf_tf.data.pixels import MAX_PIXELS
from fsaf_tf.errors import UserError

_PREFIX = "Bad input: "


def require(condition: tf.Tensor, *message: str | tf.Tensor) -> tf.Operation:
    """Asserts inside a data pipeline; the parts of the message are joined. `user_error` finds it again."""
    parts = [
        part if part.dtype == tf.string else tf.strings.as_string(part) for part in map(tf.convert_to_tensor, message)
    ]
    return tf.debugging.Assert(condition, [tf.strings.join([_PREFIX, *parts])])


def user_error(error: tf.errors.OpError) -> UserError | None:
    """The one line of a failed `require`, or of a generator's `UserError`, in what a data set or a step raised."""
    found = re.search(re.escape(f"[{_PREFIX}") + r"(.*)\]", error.message)
    if not found:
        raised = re.search(r"\bUserError: (.*)", error.message)
        return UserError(raised[1]) if raised else None
    # TensorFlow escapes what is not ASCII byte by byte.
    return UserError(found[1].encode().decode("unicode_escape").encode("latin-1").decode("utf-8", "replace"))


def _number(head: tf.Tensor, position: int, length: int) -> tf.Tensor:
    """A little-endian whole number among the first bytes of a file."""
    return tf.reduce_sum(head[position : position + length] * [256**i for i in range(length)])


def _has(head: tf.Tensor, position: int, magic: bytes) -> tf.Tensor:
    return tf.reduce_all(head[position : position + len(magic)] == list(magic))


def _head(data: tf.Tensor) -> tf.Tensor:
    """The first 32 bytes of a file as int32, zeros where it has none."""
    start = tf.strings.join([tf.strings.substr(data, 0, tf.minimum(tf.strings.length(data), 32)), "\0" * 32])
    return tf.cast(tf.io.decode_raw(start, tf.uint8)[:32], tf.int32)


def _webp_size(head: tf.Tensor) -> tf.Tensor:
    """Height and width of the three kinds of WebP: extended, lossless, lossy."""
    packed = _number(head, 21, 4)
    extended = tf.stack([_number(head, 27, 3) + 1, _number(head, 24, 3) + 1])
    lossless = tf.stack([packed // 2**14 % 2**14 + 1, packed % 2**14 + 1])
    lossy = tf.stack([_number(head, 28, 2) % 2**14, _number(head, 26, 2) % 2**14])
    return tf.where(_has(head, 12, b"VP8X"), extended, tf.where(_has(head, 12, b"VP8L"), lossless, lossy))


def header_size(data: tf.Tensor) -> tf.Tensor:
    """Height and width `[2]` int32 of an encoded JPEG, PNG or WebP, from its header alone; zeros of anything else."""
    head = _head(data)
    size = tf.zeros(2, tf.int32)
    size = tf.where(_has(head, 0, exif.PNG), [_number(head[::-1], 8, 4), _number(head[::-1], 12, 4)], size)
    size = tf.where(_has(head, 8, exif.WEBP), _webp_size(head), size)
    return tf.cond(_has(head, 0, exif.JPEG), lambda: tf.io.extract_jpeg_shape(data)[:2], lambda: size)


def orientation(data: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation, 1 to 8, of an encoded image; 1 where it says none, or is no image."""

    def by_pillow():
        return tf.maximum(_on_host(lambda stream: pixels.read_header(stream).orientation, data, [], tf.int32), 1)

    return tf.cond(_is_of_tensorflow(data), lambda: exif.orientation(data), by_pillow)


def is_animated(data: tf.Tensor) -> tf.Tensor:
    """Whether this is a WebP of several frames, at which TensorFlow 2.20 writes past the end of its memory."""
    head = _head(data)
    return _has(head, 8, exif.WEBP) & _has(head, 12, b"VP8X") & (head[20] // 2 % 2 == 1)


def _is_of_tensorflow(data: tf.Tensor) -> tf.Tensor:
    head = _head(data)
    is_known = _has(head, 0, exif.JPEG) | _has(head, 0, exif.PNG) | _has(head, 8, exif.WEBP)
    return is_known & ~is_animated(data)


def _on_host(read: Callable, data: tf.Tensor, shape: list, dtype: tf.DType) -> tf.Tensor:
    """`read` of `data` as a file, by Python; zeros, of a side of 0 where none is given, if it raises a `UserError`."""

    def attempt(data: bytes) -> np.ndarray:
        try:
            return np.asarray(read(io.BytesIO(data)), dtype.as_numpy_dtype)
        except UserError:
            return np.zeros([side or 0 for side in shape], dtype.as_numpy_dtype)

    return tf.ensure_shape(tf.numpy_function(attempt, [data], dtype, stateful=False), shape)


def _attempt(examples: tf.data.Dataset, key: str, function: Callable, otherwise: tf.Tensor) -> tf.data.Dataset:
    """Adds `key: function(image_bytes)` to each example, in parallel and in order; `otherwise` where an op fails.

    A failing op cannot be caught inside one `map`: each image becomes a small data set of its own, which ends early at
    an error and is followed by `otherwise`.
    """

    def one(example: dict) -> tf.data.Dataset:
        results = tf.data.Dataset.from_tensors(example["image_bytes"]).map(function).ignore_errors(log_warning=False)
        results = results.concatenate(tf.data.Dataset.from_tensors(otherwise)).take(1)
        return results.map(lambda result: {**example, key: result})

    return examples.interleave(one, cycle_length=16, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def add_sizes(examples: tf.data.Dataset) -> tf.data.Dataset:
    """Adds `size` `[2]` int32, height and width of the stored image, from the header of `image_bytes`.

    A file that is no image, or has more than `MAX_PIXELS`, is an error that names its `file_name`.
    """

    def of_host(stream: io.BytesIO) -> list[int]:
        header = pixels.read_header(stream)
        return [header.height, header.width]

    def check(example: dict) -> dict:
        name, data, size = example["file_name"], example["image_bytes"], example["size"]
        size = tf.cond(tf.reduce_all(size > 0), lambda: size, lambda: _on_host(of_host, data, [2], tf.int32))
        area = tf.reduce_prod(tf.cast(size, tf.int64))
        checks = [
            require(area > 0, name, " is not an image that can be read"),
            require(area <= MAX_PIXELS, name, " has ", area, f" pixels, more than the {MAX_PIXELS} that are read"),
        ]
        with tf.control_dependencies(checks):
            return {**example, "size": tf.identity(size)}

    return _attempt(examples, "size", header_size, tf.zeros(2, tf.int32)).map(check)


def decode(data: tf.Tensor) -> tf.Tensor:
    """The image `[h, w, 3]` uint8, RGB, as it is stored, of an encoded JPEG, PNG or WebP.

    A JPEG by the accurate transform, as Pillow and OpenCV do it: TensorFlow's default is off by a level in the mean,
    and darker, than what published weights were trained on.
    """
    head = _head(data)
    cases = [
        (_has(head, 0, exif.JPEG), lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")),
        # One with alpha gives no three channels.
        (_has(head, 8, exif.WEBP), lambda: tf.io.decode_image(data, expand_animations=False)[..., :3]),
    ]
    image = tf.case(cases, lambda: tf.io.decode_png(data, channels=3))
    return tf.ensure_shape(image, [None, None, 3])


def decode_examples(examples: tf.data.Dataset) -> tf.data.Dataset:
    """Puts `image` `[h, w, 3]` uint8 in the place of `image_bytes`; a damaged file is an error that names it.

    The image is as it is stored, or, if examples have `turn`, turned by this EXIF orientation.
    """

    nothing, as_stored = tf.zeros([0, 0, 3], tf.uint8), functools.partial(pixels.read, upright=False)

    def of_tensorflow(data: tf.Tensor) -> tf.Tensor:
        return tf.cond(_is_of_tensorflow(data), lambda: decode(data), lambda: nothing)

    def finish(example: dict) -> dict:
        data, image = example.pop("image_bytes"), example["image"]
        by_pillow = functools.partial(_on_host, as_stored, data, [None, None, 3], tf.uint8)
        image = tf.cond(tf.size(image) > 0, lambda: image, by_pillow)
        turn = example.pop("turn", None)
        image = image if turn is None else exif.turn_upright(image, turn)
        check = require(tf.size(image) > 0, example["file_name"], " is damaged: decoding fails")
        with tf.control_dependencies([check]):
            return {**example, "image": tf.identity(image)}

    decoded = _attempt(examples, "image", of_tensorflow, nothing)
    return decoded.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
