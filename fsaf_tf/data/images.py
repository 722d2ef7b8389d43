"""Encoded images in a graph: their headers, decoding, and errors that name the file.

Their pixels are those of `data.pixels`: JPEG, PNG and WebP are decoded by TensorFlow, all else, and what TensorFlow
refuses, by Pillow on the host.
"""

import functools
import io
import os
import re
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from fsaf_tf.data import exif, headers, pixels
from fsaf_tf.errors import UserError
from fsaf_tf.terminal import faults

AT_ONCE = 16  # pictures that are decoded at a time, where their memory allows it
MEMORY = 2**30  # bytes of pictures that are being decoded
BYTES_OF_PIXEL = 6  # one copy as it is decoded, one that is turned or mirrored
UNREADABLE = "cannot be read: "
NO_PYTHON = f"{UNREADABLE}where there is no Python, as in a tf.data service, only whole JPEG, PNG and still WebP are"
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


def is_animated(data: tf.Tensor) -> tf.Tensor:
    """Whether this is a WebP of several frames, at which TensorFlow 2.20 writes past the end of its memory."""
    is_extended = exif.starts(data, 8, exif.WEBP) & exif.starts(data, 12, b"VP8X")
    return is_extended & (exif.bytes_at(data, 20, 1)[0] // 2 % 2 == 1)


def _is_of_tensorflow(data: tf.Tensor) -> tf.Tensor:
    is_known = exif.starts(data, 0, exif.JPEG) | exif.starts(data, 0, exif.PNG) | exif.starts(data, 8, exif.WEBP)
    return is_known & ~is_animated(data)


def _on_host(read: Callable, data: tf.Tensor, shape: list, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
    """`read` of `data`, by Python, and "".

    Zeros, of a side of 0 where none is given, and what is wrong, if it raises a `UserError`.
    """

    def attempt(data: bytes) -> tuple[np.ndarray, bytes]:
        try:
            return np.asarray(read(data), dtype.as_numpy_dtype), b""
        except UserError as error:
            nothing = b"" if dtype == tf.string else 0
            problem = f"{UNREADABLE}{error}".encode()
            return np.full([side or 0 for side in shape], nothing, dtype.as_numpy_dtype), problem

    value, problem = tf.numpy_function(attempt, [data], (dtype, tf.string), stateful=False)
    return tf.ensure_shape(value, shape), tf.ensure_shape(problem, [])


def read_files(rows: tf.data.Dataset, *, may_fail: bool) -> tf.data.Dataset:
    """Puts `image_bytes` in the place of `path`.

    Args:
        rows: with the paths of picture files.
        may_fail: a file that cannot be read is no error: it gets a `problem`, which says what is wrong.
    """

    def read(row: dict) -> dict:
        path = row.pop("path")
        if not may_fail:
            return {**row, "image_bytes": tf.io.read_file(path)}
        data, problem = _on_host(_bytes_of, path, [], tf.string)
        return {**row, "image_bytes": data, "problem": problem}

    return rows.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _bytes_of(path: bytes) -> bytes:
    try:
        with tf.io.gfile.GFile(os.fsdecode(path), "rb") as stream:
            return stream.read()
    except (OSError, tf.errors.OpError) as error:
        raise UserError(faults.line(error) or str(error)) from error


def add_headers(examples: tf.data.Dataset, *, in_graph: bool = False) -> tf.data.Dataset:
    """Adds what the header of `image_bytes` says, and `problem`.

    Args:
        examples: with the encoded pictures.
        in_graph: by TensorFlow's ops alone, which know JPEG, PNG and WebP.

    Returns:
        The examples with `size` `[2]` int32, height and width as stored, EXIF's `orientation`, 1 to 8, and `problem`:
        "", unless it says that the file is no image, or has more than `pixels.MAX_PIXELS`. What is to become of that
        `bad_pictures` says.
    """

    def by_graph(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        numbers = tf.concat([headers.size(data), [exif.orientation(data)]], axis=0)
        return numbers, tf.where(headers.is_known(data), "", NO_PYTHON)

    def by_python(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _on_host(lambda data: pixels.read_header(io.BytesIO(data))[:3], data, [3], tf.int32)

    def add(example: dict) -> dict:
        numbers, problem = (by_graph if in_graph else by_python)(example["image_bytes"])
        problem = first_problem(example, problem)
        return {**example, "size": numbers[:2], "orientation": numbers[2], "problem": problem}

    return examples.map(add, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def first_problem(example: dict, problem: tf.Tensor) -> tf.Tensor:
    """The `problem` that an example has, or else this one."""
    known = example.get("problem", "")
    return tf.where(tf.equal(known, ""), problem, known)


def decode(data: tf.Tensor) -> tf.Tensor:
    """The image `[h, w, 3]` uint8, RGB, as it is stored, of an encoded JPEG, PNG or WebP.

    A JPEG by the accurate transform, as Pillow and OpenCV do it: TensorFlow's default is off by a level in the mean,
    and darker, than what published weights were trained on.
    """
    cases = [
        (exif.starts(data, 0, exif.JPEG), lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")),
        # One with alpha gives no three channels.
        (exif.starts(data, 8, exif.WEBP), lambda: tf.io.decode_image(data, expand_animations=False)[..., :3]),
    ]
    image = tf.case(cases, lambda: tf.io.decode_png(data, channels=3))
    return tf.ensure_shape(image, [None, None, 3])


def fitting_at_once(sizes: np.ndarray, bytes_of_pixel: int = BYTES_OF_PIXEL) -> int:
    """How many pictures `[I, 2]` may be decoded at a time, whichever they are: the largest fit `MEMORY` together."""
    areas = np.sort(np.prod(sizes, axis=1, dtype=np.int64))[::-1][:AT_ONCE]
    fitting = np.count_nonzero(np.cumsum(areas * bytes_of_pixel) <= MEMORY)
    return AT_ONCE if fitting == len(areas) else max(int(fitting), 1)


def decode_examples(
    examples: tf.data.Dataset,
    at_once: int = AT_ONCE,
    then: Callable[[tf.data.Dataset], tf.data.Dataset] = lambda decoded: decoded,
    *,
    in_graph: bool = False,
) -> tf.data.Dataset:
    """Puts `image` `[h, w, 3]` uint8 in the place of `image_bytes`, and `problem`: what is wrong with it, or "".

    The image is as it is stored, or, if examples have `turn`, turned by this EXIF orientation. That of a damaged file
    has no pixels.

    Args:
        examples: with encoded pictures.
        at_once: how many are decoded at a time, `examples.Source.at_once` of their source.
        then: what else becomes of the small data set of one that is decoded.
        in_graph: by TensorFlow's ops alone; what Pillow would read, too, gets a `problem`.
    """
    nothing, as_stored = tf.zeros([0, 0, 3], tf.uint8), functools.partial(pixels.read, upright=False)

    def of_tensorflow(data: tf.Tensor) -> tf.Tensor:
        return tf.cond(_is_of_tensorflow(data), lambda: decode(data), lambda: nothing)

    # A failing op cannot be caught inside one `map`: each image becomes a small data set of its own, which ends early
    # at an error and is followed by an empty image.
    def attempt(example: dict) -> tf.data.Dataset:
        decoded = tf.data.Dataset.from_tensors(example["image_bytes"]).map(of_tensorflow)
        decoded = decoded.ignore_errors(log_warning=False).concatenate(tf.data.Dataset.from_tensors(nothing)).take(1)
        return then(decoded.map(lambda image: finish({**example, "image": image})))

    def finish(example: dict) -> dict:
        data, image, turn = example.pop("image_bytes"), example["image"], example.pop("turn", None)
        image, problem = tf.cond(
            tf.size(image) > 0,
            lambda: (image, tf.constant("")),
            lambda: (
                (nothing, tf.constant(NO_PYTHON))
                if in_graph
                else _on_host(lambda data: as_stored(io.BytesIO(data)), data, [None, None, 3], tf.uint8)
            ),
        )
        image = image if turn is None else exif.turn_upright(image, turn)
        return {**example, "image": image, "problem": problem}

    if at_once == 1:
        return examples.interleave(attempt, cycle_length=1)
    # `interleave` begins with as many that come next as it has in turn.
    turns, calls = (AT_ONCE, tf.data.AUTOTUNE) if at_once == AT_ONCE else (at_once // 2, at_once // 2)
    return examples.interleave(attempt, cycle_length=turns, num_parallel_calls=calls, deterministic=True)
