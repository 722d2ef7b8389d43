"""A user's program, for a type checker alone: `test_types.py`. What the README shows is accepted, and has types."""

import pathlib

import numpy as np
import tensorflow as tf

import fsaf_tf
from fsaf_tf import criterion
from fsaf_tf.detect.trained import Detector
from fsaf_tf.evaluate import average_precision

detector = fsaf_tf.load_detector(pathlib.Path("runs/mine"), checkpoint="newest")
print(detector.checkpoint)
found = detector("photo.jpg")
for name, score, box in zip(found["names"], found["scores"], found["boxes"]):
    print(name, score, box)
of_several = detector(["a.jpg", np.zeros([8, 8, 3], np.uint8)])
print(len(of_several), of_several[0]["boxes"])
names: list[str] = detector.class_names
if isinstance(detector, Detector):
    preprocessed = detector.preprocess(np.zeros([8, 8, 3], np.uint8))
    outputs = detector.model(preprocessed)
losses = criterion.anchor_free_losses({}, {}, tf.zeros([1, 1, 4]), tf.zeros([1, 1], tf.int32), tf.ones([1, 1], tf.bool))
total = losses["class_loss"] + losses["box_loss"]
average_precision.coco_metrics({}, [])["AP"]
