"""What a training needs of memory, as far as that can be known before its first step, and what it was found to take."""

import math
import resource
import sys

import numpy as np
import tensorflow as tf
import tf_keras

from fsaf_tf.config import schema
from fsaf_tf.data import augment, draw
from fsaf_tf.data.examples import Source

_CHANNELS, _FLOAT = 3, 4


def needs(model: tf_keras.Model, task: schema.Task, source: Source) -> str:
    """One line: the parts that follow from the experiment, the network and the sizes of the pictures.

    What the layers hold is not among them: it depends on the machine, and is measured (see `taken`).

    Args:
        model: the detector, built.
        task: the experiment's.
        source: the training data.
    """
    size, batch = task.input_size, task.train_data.global_batch_size
    pixels = batch * math.prod(augment.canvas_sizes(size.shorter_side, size.longer_side)[0]) * _CHANNELS
    parts = [
        f"weights {_mb(_bytes(model.variables))}",
        f"their gradients {_mb(_bytes(model.trainable_variables))}",
        f"a batch {_mb(pixels)}, normalised {_mb(_FLOAT * pixels)}",
    ]
    if source.known_sizes() is not None:
        parts.append(f"pictures that are decoded at most {_mb(_decoded(source, task.train_data))}")
    return f"Memory: {', '.join(parts)}; optimizer and layers come on top."


def _decoded(source: Source, config: schema.TrainData) -> int:
    of_pixel = draw.bytes_of_pixel(config)
    areas = np.sort(np.prod(source.known_sizes(), axis=1, dtype=np.int64))
    return int(areas[-source.at_once(of_pixel) :].sum()) * of_pixel


def taken(optimizer: tf_keras.optimizers.Optimizer) -> str:
    """One line after the first steps: the most that was held up to now, by each GPU and by the process."""
    gpus = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices("GPU")]
    most = [f"{name} {_peak(name)}" for name in gpus]
    of_process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    most.append(f"this process {_mb(of_process)}")
    return f"Memory after the first steps: {', '.join(most)} at most; optimizer {_mb(_bytes(_variables(optimizer)))}."


def _peak(gpu: str) -> str:
    try:
        return _mb(tf.config.experimental.get_memory_info(gpu)["peak"])
    except (ValueError, tf.errors.OpError):  # an allocator that does not count
        return "not known"


def _variables(optimizer: tf_keras.optimizers.Optimizer) -> list[tf.Variable]:
    variables = optimizer.variables
    return variables() if callable(variables) else variables  # of Keras's older optimizers


def _bytes(variables: list[tf.Variable]) -> int:
    return sum(variable.shape.num_elements() * variable.dtype.size for variable in variables)


def _mb(size: int) -> str:
    return f"{size / 2**20:,.0f} MB" if size >= 2**20 else "under 1 MB"
