"""Batch normalisation that is trained, wherever a network begins with random values."""

import tensorflow as tf

# The Garden's 0.99 needs thousands of steps before the statistics are of use; short runs have hundreds.
MOMENTUM = 0.9


def is_synchronized() -> bool:
    """Whether statistics are of all replicas, so that their number changes nothing; for one the kernel is faster."""
    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def settings() -> dict:
    """Arguments of `tf_keras.layers.BatchNormalization`."""
    return {"momentum": MOMENTUM, "synchronized": is_synchronized()}
