"""The pictures of a shard: read, checked and decoded as training does, and kept as they are encoded."""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fsaf_tf.data import frames, images
from fsaf_tf.data.bad_pictures import BadPictures
from fsaf_tf.data.examples import named_errors
from fsaf_tf.errors import UserError
from fsaf_tf.terminal import faults

MISSING, OTHER_SIZE = "is missing", "has height, width"  # how problems begin, beside `images.UNREADABLE`


class Picture(NamedTuple):
    """A good picture: its place among those of its shard, its file, and the EXIF orientation that is applied to it."""

    place: int
    encoded: bytes
    turn: int


def good(image_dir: str, names: Sequence[str], sizes: np.ndarray, rule: str, bad: BadPictures) -> Iterator[Picture]:
    """The pictures that training could read, one by one.

    Args:
        image_dir: the folder that names start from.
        names: I of them, all different.
        sizes: `[I, 2]` int32, declared height and width.
        rule: `frames.turn`'s.
        bad: gets those that are wrong; it must allow all.

    Raises:
        UserError: the machine cannot read one, which says nothing about the picture.
    """
    shape = {"image_bytes": tf.string, "problem": tf.string, "file_name": tf.string, "place": tf.int32}
    signature = {key: tf.TensorSpec([], dtype) for key, dtype in shape.items()} | {"size": tf.TensorSpec([2], tf.int32)}

    def read() -> Iterator[dict]:
        for place, (name, size) in enumerate(zip(names, sizes)):
            data, problem = _read(os.path.join(image_dir, name))
            yield {"image_bytes": data, "problem": problem, "file_name": name, "place": place, "size": size}

    def check(decoded: tf.data.Dataset) -> tf.data.Dataset:
        """The small data set of one that is decoded, without its pixels."""
        return bad.leave_out(decoded).map(lambda example: {key: example[key] for key in ("place", "encoded", "applied")})

    rows = tf.data.Dataset.from_generator(read, output_signature=signature)
    readable = bad.leave_out(frames.check_declared(rows, rule))
    # Decoding takes both away.
    kept = readable.map(lambda example: {**example, "encoded": example["image_bytes"], "applied": example["turn"]})
    for example in named_errors(images.decode_examples(kept, images.fitting_at_once(sizes), check)):
        yield Picture(int(example["place"]), example["encoded"], int(example["applied"]))


def _read(path: str) -> tuple[bytes, str]:
    """A file, and what is wrong with it."""
    try:
        with tf.io.gfile.GFile(path, "rb") as stream:
            return stream.read(), ""
    except tf.errors.NotFoundError:
        return b"", MISSING
    except (OSError, tf.errors.OpError) as error:
        line = faults.line(error) or str(error)
        if faults.is_of_the_machine(error):
            raise UserError(line) from error
        return b"", f"{images.UNREADABLE}{line}"
