"""FSAF's criterion in a Keras 3 model, trained by `fit`.

    python examples/keras3/train.py

The criterion takes and returns tensors of TensorFlow, so any model of Keras 3 on its TensorFlow backend can use it. The
layers of fsaf_tf are of Keras 2 (tf_keras) and cannot: the two outputs are convolutions of one's own.
"""

import argparse
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import tensorflow as tf
from keras import layers

from fsaf_tf import criterion, postprocess
from fsaf_tf.data import drawing


class Detector(keras.Model):
    """A network whose outputs are logits and offsets by level, and whose loss is FSAF's."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The losses of section 3.2, each object on the level that it selects."""
        losses = criterion.anchor_free_losses(*y_pred, y["boxes"], y["classes"], y["valid"])
        return losses["class_loss"] + losses["box_loss"]

    @tf.function
    def detect(self, images):
        """The detections of pictures: `boxes`, `scores`, `classes`, `levels` and `num_detections`."""
        logits, offsets = self(images, training=False)
        return postprocess.anchor_free_detections(logits, offsets, image_size=images.shape[1:3])


def build_detector(num_classes):
    """Maps of levels 3 to 6, and two convolutions that all levels share."""
    images = keras.Input([256, 256, 3])
    x, logits, offsets = layers.Rescaling(1 / 127.5, offset=-1)(images), {}, {}
    constant, small = keras.initializers.Constant, keras.initializers.RandomNormal(stddev=0.01)
    form = {"padding": "same", "kernel_initializer": small}  # a score of 0.01 and small offsets to start from
    classify = layers.Conv2D(num_classes, 3, bias_initializer=constant(-4.6), **form)
    regress = layers.Conv2D(4, 3, bias_initializer=constant(0.1), activation="relu", **form)
    for level, channels in enumerate((16, 32, 64, 64, 64, 64), start=1):
        for strides in (2, 1):
            x = layers.Conv2D(channels, 3, strides=strides, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        if level >= 3:
            logits[str(level)], offsets[str(level)] = classify(x), regress(x)
    return Detector(images, [logits, offsets])


def batches(count, size):
    """Pictures and what is on them, forever."""
    batch = drawing.draw_batch(1, range(count))
    images = batch.pop("images")
    return tf.data.Dataset.from_tensor_slices((images, batch)).shuffle(count).repeat().batch(size)


def main():
    """Trains, and says what is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--pictures", type=int, default=64, help="to learn from")
    parser.add_argument("--batch", type=int, default=8, help="pictures a step")
    flags = parser.parse_args()
    keras.utils.set_random_seed(1)
    detector = build_detector(len(drawing.CLASS_NAMES))
    rate = keras.optimizers.schedules.CosineDecay(2e-3, flags.steps)
    detector.compile(optimizer=keras.optimizers.Adam(rate, clipnorm=10.0))
    history = detector.fit(
        batches(flags.pictures, flags.batch),
        epochs=4,
        steps_per_epoch=max(flags.steps // 4, 1),
        shuffle=False,
        verbose=0,
    )
    print("loss by epoch:", *(f"{loss:.3f}" for loss in history.history["loss"]))
    found = detector.detect(tf.constant(drawing.draw_batch(1, range(4))["images"]))
    for row in range(int(found["num_detections"][0])):
        if found["scores"][0, row] > 0.3:
            name = drawing.CLASS_NAMES[int(found["classes"][0, row])]
            print(f"found: {name} {found['scores'][0, row]:.2f} {found['boxes'][0, row].numpy().round().tolist()}")


if __name__ == "__main__":
    main()
