"""Encoded pictures of strangers, inside an exported graph: what they claim, whether to decode them, and decoding.

Nothing is decoded before its header was read: a PNG of 17 kB can unpack to hundreds of megabytes. A picture's pixels
are those that `data.pixels` gives of it, upright. All ops are TensorFlow's own.
"""

from collections.abc import Callable

import tensorflow as tf

from fsaf_tf.data import exif, headers, images, records

# 8160 x 6120, the largest that telephones take in practice. Decoding takes 3 bytes a pixel, 6 when the picture is
# turned, and 6 more in a JPEG of many scans.
MAX_PIXELS = 50_000_000
FORMATS = "JPEG, PNG or WebP"
EXAMPLE_KEY = "image/encoded"

_LISTED = 10  # bad pictures of one request that are named


def read_headers(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Checks what pictures claim to be; an error names each bad one by its place, `inputs[2]`.

    Args:
        data: `[B]` strings, encoded pictures.

    Returns:
        Height and width of the stored pictures, `[B, 2]` int32, and their EXIF orientations, `[B]` int32, 1 to 8.
    """
    signature = tf.TensorSpec([3], tf.int32)
    numbers = tf.map_fn(_header, data, fn_output_signature=signature)
    problems = tf.map_fn(_problem, (data, numbers), fn_output_signature=tf.TensorSpec([], tf.string))
    bad = tf.where(problems != "")[:_LISTED, 0]
    lines = tf.strings.join(["inputs[", tf.strings.as_string(bad), "] ", tf.gather(problems, bad)])
    with tf.control_dependencies([images.require(tf.size(bad) == 0, tf.strings.reduce_join(lines, separator="; "))]):
        return tf.identity(numbers[:, :2]), tf.identity(numbers[:, 2])


def decode(data: tf.Tensor, size: tf.Tensor, orientation: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """A picture `[h, w, 3]` uint8, RGB, upright; an error names one that is damaged.

    Args:
        data: scalar string.
        size: `[2]` int32, as its header says.
        orientation: its EXIF orientation.
        place: its index in the request.
    """
    image = attempt(data, images.decode, tf.zeros([0, 0, 3], tf.uint8))
    whole = tf.reduce_all(tf.shape(image)[:2] == size)
    message = tf.strings.join(["inputs[", tf.strings.as_string(place), "] is damaged: decoding fails"])
    with tf.control_dependencies([images.require(whole, message)]):
        image = tf.identity(image)
    return exif.turn_upright(image, orientation)


def examples_to_data(examples: tf.Tensor) -> tf.Tensor:
    """The encoded pictures `[B]` of serialized `tf.train.Example`s; an error names those that have none."""
    features = {EXAMPLE_KEY: tf.io.FixedLenFeature([], tf.string, "")}
    nothing = tf.constant("")

    def parse(example):
        return attempt(example, lambda each: records.parse_example(each, features)[EXAMPLE_KEY], nothing)

    return tf.map_fn(parse, examples, fn_output_signature=tf.TensorSpec([], tf.string))


def attempt(value: tf.Tensor, function: Callable, otherwise: tf.Tensor) -> tf.Tensor:
    """`function(value)`, or `otherwise` where one of its ops fails.

    Only tf.data goes on after an error inside a graph.
    """
    result = tf.data.Dataset.from_tensors(value).map(function).ignore_errors(log_warning=False)
    return result.concatenate(tf.data.Dataset.from_tensors(otherwise)).take(1).get_single_element()


def _header(data: tf.Tensor) -> tf.Tensor:
    """Height, width and orientation `[3]`; zeros if they cannot be read."""

    def read(data):
        return tf.concat([headers.size(data), [exif.orientation(data)]], axis=0)

    return attempt(data, read, tf.zeros(3, tf.int32))


def _problem(data_and_header: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """What is wrong with a picture, "" if nothing is."""
    data, header = data_and_header
    height, width = header[0], header[1]
    pixels = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    size = tf.strings.join([tf.strings.as_string(width), " x ", tf.strings.as_string(height)])
    cases = [
        (tf.strings.length(data) == 0, "is empty"),
        (exif.starts(data, 0, b"GIF8"), f"is a GIF; send {FORMATS}"),
        (exif.starts(data, 0, b"BM"), f"is a BMP; send {FORMATS}"),
        (~headers.is_known(data), f"is no {FORMATS}"),
        (images.is_animated(data), "is an animated WebP; send a still picture"),
        ((height < 1) | (width < 1), "is damaged: its header cannot be read"),
        (pixels > MAX_PIXELS, tf.strings.join(["has ", size, f" pixels; at most {MAX_PIXELS} in all are decoded"])),
    ]
    problem = tf.constant("")
    for condition, words in cases[::-1]:
        problem = tf.where(condition, words, problem)
    return problem
