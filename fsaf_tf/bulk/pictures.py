"""The pictures of a shard: read, checked and decoded as training does, and kept as they are encoded."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fsaf_tf.data import frames, images
from fsaf_tf.data.bad_pictures import BadPictures
from fsaf_tf.data.examples import named_errors
from fsaf_tf.errors import UserError
from fsaf_tf.files import storage
from fsaf_tf.terminal import faults

MISSING, OTHER_SIZE = "is missing", "has height, width"  # how problems begin, beside `images.UNREADABLE`
_ROW = {
    **{key: tf.TensorSpec([], tf.string) for key in ("image_bytes", "problem", "file_name")},
    "place": tf.TensorSpec([], tf.int32),
    "size": tf.TensorSpec([2], tf.int32),
}


class Picture(NamedTuple):
    """A good picture: its place among those of its shard, its file, and the EXIF orientation that is applied to it."""

    place: int
    encoded: bytes
    turn: int


class Reader:
    """Reads the pictures of one shard after the other, by data sets that are made once: that takes a second.

    Args:
        image_dir: the folder that names start from.
        rule: `frames.turn`'s.
    """

    def __init__(self, image_dir: str, rule: str):
        self._image_dir, self._rule, self._turn = image_dir, rule, threading.Lock()
        self._rows: list[tuple[str, np.ndarray]] = []
        self._bad = BadPictures(1.0, 2**53)  # all may be
        self._datasets: dict[int, tf.data.Dataset] = {}  # by how many are decoded at a time

    def go_through(self, names: Sequence[str], sizes: np.ndarray, take: Callable[[Picture], None]) -> dict[str, str]:
        """Reads the pictures of a shard; one thread at a time.

        Args:
            names: I of them, all different.
            sizes: `[I, 2]` int32, declared height and width.
            take: gets each that training could read, one by one.

        Returns:
            What is wrong with the others, by name.

        Raises:
            UserError: the machine cannot read one, which says nothing about the picture.
        """
        with self._turn:
            self._rows, self._bad.problems = list(zip(names, sizes)), {}
            at_once = images.fitting_at_once(sizes)
            if at_once not in self._datasets:
                self._datasets[at_once] = self._dataset(at_once)
            for example in named_errors(self._datasets[at_once]):
                take(Picture(int(example["place"]), example["encoded"], int(example["applied"])))
            return self._bad.problems

    def _dataset(self, at_once: int) -> tf.data.Dataset:
        """Those of the rows that are good, whichever rows there are when it is gone through."""

        def check(decoded: tf.data.Dataset) -> tf.data.Dataset:
            """The small data set of one that is decoded, without its pixels."""
            wanted = ("place", "encoded", "applied")
            return self._bad.leave_out(decoded).map(lambda example: {key: example[key] for key in wanted})

        rows = tf.data.Dataset.from_generator(self._encoded, output_signature=_ROW)
        readable = self._bad.leave_out(frames.check_declared(rows, self._rule))
        # Decoding takes both away.
        kept = readable.map(lambda example: {**example, "encoded": example["image_bytes"], "applied": example["turn"]})
        return images.decode_examples(kept, at_once, check)

    def _encoded(self) -> Iterator[dict]:
        for place, (name, size) in enumerate(self._rows):
            data, problem = _bytes_of(os.path.join(self._image_dir, name))
            yield {"image_bytes": data, "problem": problem, "file_name": name, "place": place, "size": size}


def _bytes_of(path: str) -> tuple[bytes, str]:
    """A file, and what is wrong with it."""
    try:
        return storage.read_bytes(path), ""
    except tf.errors.NotFoundError:
        return b"", MISSING
    except (OSError, tf.errors.OpError) as error:
        line = faults.line(error) or str(error)
        if faults.is_of_the_machine(error):
            raise UserError(line) from error
        return b"", f"{images.UNREADABLE}{line}"
