"""FSAF in a network and a training loop of one's own: its heads, its losses, its suppression.

    python examples/own_model/train.py

A small network learns drawn shapes from random values, and is tried on pictures that it has not seen. The heads are a
layer of tf_keras, that is Keras 2, and so is this network; `examples/keras3` has the same losses in Keras 3.
"""

import argparse

import tensorflow as tf
import tf_keras
from tf_keras import layers

from fsaf_tf import boxes, criterion, postprocess
from fsaf_tf.data import drawing
from fsaf_tf.modeling.heads import Heads

SEED, UNSEEN = 1, 2  # of the pictures of training, and of others


def conv(x, channels, strides=1):
    """Convolution, normalisation, ReLU."""
    x = layers.Conv2D(channels, 3, strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def build_network(num_classes, channels=64):
    """Your own network: all that FSAF wants of it are maps by level, level l with one cell for 2^l pixels a side."""
    images = layers.Input([256, 256, 3])
    x, features = conv(layers.Rescaling(1 / 127.5, offset=-1)(images), 16, strides=2), {}
    for level, width in {2: 32, 3: 64, 4: 96, 5: 128, 6: 128}.items():
        x = conv(conv(x, width, strides=2), width)
        features[level] = x
    pyramid, above = {}, None
    for level in (6, 5, 4, 3):
        lateral = layers.Conv2D(channels, 1)(features[level])
        above = lateral if above is None else lateral + layers.UpSampling2D()(above)
        pyramid[str(level)] = conv(above, channels)
    heads = Heads(
        num_classes, convs=1, channels=channels, anchor_free=True, anchors_per_location=0, normalized_levels=()
    )
    outputs = heads(pyramid)
    return tf_keras.Model(images, [outputs["anchor_free_logits"], outputs["anchor_free_offsets"]])


@tf.function
def train_step(network, optimizer, batch):
    """One step; returns the loss. Each object is learnt on the level where its loss is least (`levels`)."""
    with tf.GradientTape() as tape:
        logits, offsets = network(batch["images"], training=True)
        losses = criterion.anchor_free_losses(logits, offsets, batch["boxes"], batch["classes"], batch["valid"])
        loss = losses["class_loss"] + losses["box_loss"]
    gradients = tape.gradient(loss, network.trainable_variables)
    optimizer.apply_gradients(zip(gradients, network.trainable_variables))
    return loss


@tf.function
def find(network, images):
    """The detections of pictures: `boxes`, `scores`, `classes`, `levels` and `num_detections`."""
    logits, offsets = network(images, training=False)
    return postprocess.anchor_free_detections(logits, offsets, image_size=images.shape[1:3])


def share_found(batch, detections, score=0.3, iou=0.5):
    """The share of the objects that a detection of their class and of this score overlaps so much."""
    overlaps = boxes.pairwise_iou(batch["boxes"], detections["boxes"]) > iou  # [B, N, D]
    is_right = batch["classes"][:, :, None] == detections["classes"][:, None]
    is_found = tf.reduce_any(overlaps & is_right & (detections["scores"] > score)[:, None], axis=-1)
    return tf.reduce_mean(tf.cast(is_found[batch["valid"]], tf.float32))


def main():
    """Trains, and says what is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--pictures", type=int, default=2000, help="to learn from")
    parser.add_argument("--batch", type=int, default=8, help="pictures a step")
    flags = parser.parse_args()
    tf_keras.utils.set_random_seed(SEED)
    network = build_network(len(drawing.CLASS_NAMES))
    optimizer = tf_keras.optimizers.Adam(tf_keras.optimizers.schedules.CosineDecay(2e-3, flags.steps), clipnorm=10.0)
    for step in range(flags.steps):
        first = step * flags.batch
        batch = drawing.draw_batch(SEED, [(first + row) % flags.pictures for row in range(flags.batch)])
        loss = train_step(network, optimizer, {name: tf.constant(values) for name, values in batch.items()})
        if step % 100 == 0 or step == flags.steps - 1:
            print(f"step {step}: loss {loss:.3f}", flush=True)
    for name, seed in (("learnt from", SEED), ("never seen", UNSEEN)):
        batch = drawing.draw_batch(seed, range(min(flags.pictures, 64)))
        detections = find(network, tf.constant(batch["images"]))
        print(f"pictures {name}: {share_found(batch, detections):.0%} of the objects are found")


if __name__ == "__main__":
    main()
