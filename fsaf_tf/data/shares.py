"""Which pictures are drawn from several files, each of them by its weight: the places of all, without end."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from fsaf_tf.data.findings import counted
from fsaf_tf.errors import UserError


def drawn(origin: np.ndarray, weights: Sequence[float], seed: int) -> tf.data.Dataset:
    """Places of pictures in an order that follows from the seed: of each file all before any comes again.

    The file is drawn anew for each picture and not in turns, so that every shard has the same shares.

    Args:
        origin: `[I]` int, of which file each picture is.
        weights: of the files.
        seed: of files and orders.

    Returns:
        A data set of int64 without end.
    """
    streams = []
    for number in range(len(weights)):
        places = np.flatnonzero(origin == number)
        shuffled = tf.data.Dataset.from_tensor_slices(places.astype(np.int64)).shuffle(
            len(places), seed=seed + number, reshuffle_each_iteration=True
        )
        streams.append(shuffled.repeat())
    return tf.data.Dataset.sample_from_datasets(streams, list(of(weights)), seed=seed)


def of(weights: Sequence[float]) -> np.ndarray:
    """Weights as shares, which are 1 together."""
    return np.float64(weights) / np.sum(weights)


def lines(files: Sequence[str], origin: np.ndarray, boxes: np.ndarray, weights: Sequence[float]) -> list[str]:
    """What each file adds, and how often its pictures are drawn.

    Args:
        files: their names.
        origin: `[I]` int, of which file each picture is.
        boxes: `[I]` int, how many boxes it has.
        weights: of the files; none where each picture is drawn as often.

    Raises:
        UserError: a file with a weight has no picture to draw.
    """
    counts = np.bincount(origin, minlength=len(files))
    all_shares = of(weights) if len(weights) else counts / len(origin)
    rows = []
    for number, (file, count, share) in enumerate(zip(files, counts, all_shares)):
        if not count and len(weights):
            raise UserError(f"{file}: no picture of it is left to train on; take it out of task.train_data.sources")
        often = f", each {share * len(origin) / count:.3g} times an epoch" if len(weights) else ""
        what = f"{counted(count, 'picture', 'pictures')}, {counted(boxes[origin == number].sum(), 'box', 'boxes')}"
        rows.append(f"{file}: {what}; {share:.1%} of the pictures drawn{often}")
    return rows
