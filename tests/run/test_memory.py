"""What is said of memory: parts that are known before a training, and what was taken."""

import re
import resource

import box_tables
import numpy as np
import small_run
import tensorflow as tf
import tf_keras

from fsaf_tf.data.examples import Source
from fsaf_tf.run import memory


def test_what_is_known_before_the_first_step():
    network = tf_keras.Sequential([tf_keras.layers.Dense(2**20, use_bias=False), tf_keras.layers.Dense(1)])
    network.build([None, 2])  # 8 MB, 4 MB and a bias
    network.layers[1].trainable = False
    task = small_run.small_params().task
    task.override({"input_size": {"shorter_side": 1024, "longer_side": 1024}, "train_data": {"global_batch_size": 2}})
    table = box_tables.of_boxes([], sizes=[[1000, 1000]] * 50 + [[3000, 4000]] * 3)
    source = Source("made", small_run.CLASSES, 53, lambda order: None, dict, boxes=lambda: table)
    line = memory.needs(network, task, source)
    assert line.startswith("Memory: weights 12 MB, their gradients 8 MB, a batch 6 MB, normalised 24 MB, ")
    assert f"pictures that are decoded at most {6 * (3 * 12 + 13) * 10**6 / 2**20:.0f} MB; " in line
    task.override({"train_data": {"augmentation": {"hue": 0.1}}})
    assert f"decoded at most {31 * 2 * 12 * 10**6 / 2**20:.0f} MB; " in memory.needs(network, task, source)


def test_what_was_taken_is_measured():
    optimizer = tf_keras.optimizers.Adam()
    optimizer.build([tf.Variable(np.zeros(2**20, np.float32))])  # two slots of 4 MB
    line = memory.taken(optimizer)
    found = re.fullmatch(r"Memory after the first steps: .*this process ([\d,]+) MB at most; optimizer 8 MB\.", line)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    assert abs(int(found[1].replace(",", "")) - most) < 100
