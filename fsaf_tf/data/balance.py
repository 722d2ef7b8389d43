"""Images of rare classes more often: repeat factor sampling ([Gupta et al. 2019], section 5)."""

import functools
import math

import numpy as np
import tensorflow as tf

from fsaf_tf.data.examples import Source


@functools.cache
def shares_of_images(source: Source) -> tuple[float, ...]:
    """For each class the share of the images that have an object of it."""
    truth = source.ground_truth()
    found = {(row["category_id"], row["image_id"]) for row in truth["annotations"]}
    counts = dict.fromkeys(source.classes.ids, 0)
    for category_id, _ in found:
        counts[category_id] += 1
    return tuple(counts[category_id] / source.num_images for category_id in source.classes.ids)


def factors(source: Source, threshold: float) -> np.ndarray:
    """How often an image of each class is to come, `[K]` float32: `max(1, sqrt(threshold / share of the images))`."""
    shares = shares_of_images(source)
    return np.float32([max(1.0, math.sqrt(threshold / share)) if share else 1.0 for share in shares])


def repeat_rare(examples: tf.data.Dataset, source: Source, threshold: float, seed: int) -> tf.data.Dataset:
    """The examples without end, each as often in a round as its rarest class wants, in the mean over the rounds.

    Args:
        examples: those of the source.
        source: whose classes are counted.
        threshold: classes in a smaller share of the images are rare.
        seed: of the parts of a whole: a factor of 1.4 is twice in four of ten rounds.
    """
    of_class = tf.constant(factors(source, threshold))

    def copies(number: tf.Tensor, example: dict) -> tf.data.Dataset:
        factor = tf.reduce_max(tf.concat([[1.0], tf.gather(of_class, example["classes"])], axis=0))
        share = tf.random.stateless_uniform([], tf.stack([tf.constant(seed, tf.int64), number]))
        return tf.data.Dataset.from_tensors(example).repeat(tf.cast(tf.floor(factor + share), tf.int64))

    return examples.repeat().enumerate().flat_map(copies)


def describe(source: Source, threshold: float) -> str:
    """A line that says of which classes images come more often."""
    factor_of = dict(zip(source.classes.names, factors(source, threshold)))
    rare = ", ".join(f"{name} {factor:.1f}" for name, factor in factor_of.items() if factor > 1)
    return f"times that images of rare classes come (repeat_rare {threshold:g}): {rare or 'none is rare'}"
