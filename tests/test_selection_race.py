"""The race of the levels: one that had a head start keeps all objects to itself, unless the others learn as well."""

import dataclasses

import numpy as np
import paper
import tensorflow as tf
import tf_keras

from fsaf_tf import criterion, losses, regions

LEVELS = (3, 4, 5)
SIDE, BATCH, OBJECTS = 64, 8, 4
HEAD_START, STEPS = 60, 150
GEOMETRY = dataclasses.replace(paper.GEOMETRY, levels=LEVELS)
ELEMENTWISE = losses.Elementwise(paper.FOCAL, paper.IOU)


class CoarseAlone:
    """A selection that puts every instance on the highest level, where one cell is as large as two objects."""

    def weights(self, class_losses, box_losses, boxes, levels, step):
        return tf.one_hot(tf.fill(tf.shape(boxes)[:2], len(levels) - 1), len(levels))


def scenes(seed):
    """Endless batches of noise with a bright square in each quarter, 10 to 17 px: images and boxes."""
    draw = np.random.default_rng(seed)
    while True:
        images = draw.normal(0, 0.05, [BATCH, SIDE, SIDE, 3]).astype(np.float32)
        boxes = np.zeros([BATCH, OBJECTS, 4], np.float32)
        for image, number in np.ndindex(BATCH, OBJECTS):
            side = draw.integers(10, 18)
            y, x = draw.integers(0, SIDE // 2 - side + 1, 2) + SIDE // 2 * np.array([number // 2, number % 2])
            images[image, y : y + side, x : x + side] += 1
            boxes[image, number] = y, x, y + side, x + side
        yield tf.constant(images), tf.constant(boxes)


def build_network():
    """A few strided convolutions, and on the map of each level logits and offsets of its own."""
    images = features = tf_keras.Input([SIDE, SIDE, 3])
    outputs = {"logits": {}, "offsets": {}}
    for channels in (8, 16):
        features = tf_keras.layers.Conv2D(channels, 3, 2, "same", activation="relu")(features)
    for level in LEVELS:
        features = tf_keras.layers.Conv2D(24, 3, 2, "same", activation="relu")(features)
        prior, least = (tf_keras.initializers.Constant(value) for value in (-4.6, 0.1))
        outputs["logits"][str(level)] = tf_keras.layers.Conv2D(1, 1, bias_initializer=prior)(features)
        offsets = tf_keras.layers.Conv2D(4, 1, activation="relu", bias_initializer=least)(features)
        outputs["offsets"][str(level)] = offsets
    return tf_keras.Model(images, outputs)


def train(network, batches, rule, steps):
    """Trains, and returns the share of the objects on each level and their mean loss there in the last ten steps."""
    optimizer = tf_keras.optimizers.legacy.Adam(3e-3)
    valid, classes = tf.ones([BATCH, OBJECTS], tf.bool), tf.zeros([BATCH, OBJECTS], tf.int32)

    @tf.function
    def step(images, boxes):
        ranges = regions.cell_ranges(boxes, valid, (SIDE, SIDE), GEOMETRY)
        instances = regions.Instances.of(boxes, classes, valid, ranges)
        with tf.GradientTape() as tape:
            maps = network(images)
            result = criterion.anchor_free(
                maps["logits"], maps["offsets"], instances, GEOMETRY, rule, ELEMENTWISE, step=None
            )
            loss = result["class_loss"] + result["box_loss"]
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return result["levels"], result["instance_losses"]

    last = [step(*next(batches)) for _ in range(steps)][-10:]
    chosen, of_levels = (np.concatenate(values) for values in zip(*last))
    return {level: np.mean(chosen == level) for level in LEVELS}, of_levels.mean(axis=(0, 1))


def test_online_selection_stays_on_a_level_with_a_head_start_and_soft_comes_back():
    network, batches = build_network(), scenes(seed=1)
    shares, _ = train(network, batches, CoarseAlone(), HEAD_START)
    assert shares[5] == 1
    started = network.get_weights()
    online, online_losses = train(network, batches, paper.ONLINE, STEPS)
    assert online[5] > 0.8
    network.set_weights(started)
    soft, soft_losses = train(network, batches, dataclasses.replace(paper.ONLINE, rule="soft"), STEPS)
    assert soft[3] > 0.5 and soft[5] < 0.35  # where a cell sees one object
    assert soft_losses.min() < online_losses.min()
