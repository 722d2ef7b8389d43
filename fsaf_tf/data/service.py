"""Training data from a tf.data service: its workers read, decode and draw, on other machines than those that train.

They run the graph of the data set, not this program. What Python reads here is not to be had there: headers by Pillow,
formats that TensorFlow does not know, counts of bad pictures. So pictures are read by TensorFlow's ops alone
(`data.headers`, `data.exif`, `data.images`), to the same pixels.

Each worker goes through all pictures in an order of its own (`ShardingPolicy.OFF`): one that dies takes none along, and
with W workers of one speed no picture comes more than about W times more often than another. The other policy,
`DYNAMIC`, shares them out by a call to the dispatcher for every row; what a worker had is lost for a round if it dies.
"""

import socket
from collections.abc import Callable

import tensorflow as tf

from fsaf_tf.data.examples import Order, Source
from fsaf_tf.errors import UserError

_KEY = "task.train_data.service"
_TRY = 10.0  # seconds until a dispatcher counts as away; TensorFlow would try for an hour


def checked(source: Source, address: str) -> str:
    """Checks that a service can read the data as they are wanted, and that it answers.

    Returns:
        A line on what is seen how often.

    Raises:
        UserError: it cannot or does not.
    """
    if source.read_in_graph is None:
        raise UserError(
            f"{_KEY} reads annotation_file alone: the headers of pictures in TFRecord and TFDS files are read by"
            " Python, which the workers of a service do not run; leave it out"
        )
    if source.bad.are_allowed:
        raise UserError(f"{_KEY} cannot count bad pictures: set task.train_data.max_bad_pictures=0, or leave it out")
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_TRY):
            pass
    except (OSError, ValueError) as error:
        raise UserError(
            f"{_KEY}: no dispatcher answers at {address!r} ({error}); it is host:port of one (docs/scaling.md)"
        ) from error
    return (
        f"Training data come from the tf.data service at {address}: each of its workers goes through all"
        " pictures, in an order of its own that is new at every start. task.train_data.seed does not decide it, and a"
        " run that goes on does not see what one without a stop would have."
    )


@tf.autograph.experimental.do_not_convert
def rows(source: Source, endless: Callable[[tf.data.Dataset], tf.data.Dataset]) -> tf.data.Dataset:
    """The rows of a training with the `seed` of each, both new on each worker: they follow from when it began."""

    @tf.autograph.experimental.do_not_convert
    def begin(_: tf.Tensor) -> tf.data.Dataset:
        tf.compat.v1.get_default_graph().seed = None  # a seed of all of TensorFlow's takes none that is a tensor
        start = tf.cast(tf.timestamp() * 1e6, tf.int64)
        of_worker = endless(source.rows(Order(start)))
        return of_worker.enumerate().map(lambda number, row: {**row, "seed": tf.stack([start, number])})

    return tf.data.Dataset.range(1).flat_map(begin)


def through(batches: tf.data.Dataset, address: str) -> tf.data.Dataset:
    """The batches as the workers of a service make them."""
    service = tf.data.experimental.service
    return batches.apply(service.distribute(service.ShardingPolicy.OFF, f"grpc://{address}"))
