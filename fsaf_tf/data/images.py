"""Encoded images: their size from the header, decoding, and errors that name the file.

Formats are those of TensorFlow: JPEG, PNG, GIF and WebP (of an animation the first frame), BMP. Grey, palette, CMYK,
RGBA and 16-bit pictures become three channels of 8 bits. Pixels stay as they are stored: EXIF rotation is not applied,
as boxes of COCO refer to stored pixels.
"""

import re
from collections.abc import Callable

import tensorflow as tf

from fsaf_tf.errors import UserError

# A picture is refused by its header when it holds more pixels: a 17 kB PNG can unpack to hundreds of megabytes.
MAX_PIXELS = 100_000_000
FORMATS = "JPEG, PNG, GIF, BMP or WebP"

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
    """Height and width `[2]` int32 of an encoded image, from its header alone; zeros if the format is not known."""
    head = _head(data)
    size = tf.zeros(2, tf.int32)
    size = tf.where(_has(head, 0, b"\x89PNG"), [_number(head[::-1], 8, 4), _number(head[::-1], 12, 4)], size)
    size = tf.where(_has(head, 0, b"GIF8"), [_number(head, 8, 2), _number(head, 6, 2)], size)
    size = tf.where(_has(head, 0, b"BM"), [tf.abs(_number(head, 22, 4)), _number(head, 18, 4)], size)
    size = tf.where(_has(head, 8, b"WEBP"), _webp_size(head), size)
    return tf.cond(_has(head, 0, b"\xff\xd8\xff"), lambda: tf.io.extract_jpeg_shape(data)[:2], lambda: size)


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

    def check(example: dict) -> dict:
        name, pixels = example["file_name"], tf.reduce_prod(tf.cast(example["size"], tf.int64))
        checks = [
            require(pixels > 0, name, f" is not an image that can be read ({FORMATS})"),
            require(pixels <= MAX_PIXELS, name, " has ", pixels, f" pixels, more than the {MAX_PIXELS} that are read"),
        ]
        with tf.control_dependencies(checks):
            return {**example, "size": tf.identity(example["size"])}

    return _attempt(examples, "size", header_size, tf.zeros(2, tf.int32)).map(check)


def decode(data: tf.Tensor) -> tf.Tensor:
    """The image `[h, w, 3]` uint8, RGB.

    A JPEG by the accurate transform, as Pillow and OpenCV do it: TensorFlow's default is off by a level in the mean,
    and darker, than what published weights were trained on.
    """
    head = _head(data)
    cases = [
        (_has(head, 0, b"\xff\xd8\xff"), lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")),
        # One with alpha gives no three channels.
        (_has(head, 8, b"WEBP"), lambda: tf.io.decode_image(data, expand_animations=False)[..., :3]),
    ]
    image = tf.case(cases, lambda: tf.io.decode_image(data, channels=3, expand_animations=False))
    return tf.ensure_shape(image, [None, None, 3])


def decode_examples(examples: tf.data.Dataset) -> tf.data.Dataset:
    """Puts `image` `[h, w, 3]` uint8 in the place of `image_bytes`; a damaged file is an error that names it."""

    def check(example: dict) -> dict:
        image = example["image"]
        with tf.control_dependencies(
            [require(tf.size(image) > 0, example["file_name"], " is damaged: decoding fails")]
        ):
            return {**{key: example[key] for key in example if key != "image_bytes"}, "image": tf.identity(image)}

    return _attempt(examples, "image", decode, tf.zeros([0, 0, 3], tf.uint8)).map(check)
