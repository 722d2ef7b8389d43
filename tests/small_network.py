"""Small networks in their configuration, for the tests of what detectors do with pictures of 96 x 128 px."""

import numpy as np
import tf_keras
from official.core import exp_factory

from fsaf_tf.config import schema
from fsaf_tf.data.classes import Classes
from fsaf_tf.modeling import detector

CLASSES = Classes(("cat", "dog", "bird"), (1, 2, 3))
BRANCHES = {
    "fsaf": {},
    "ab_fsaf": {"anchor_based": {"enabled": True}},
    "retinanet": {"anchor_based": {"enabled": True}, "anchor_free": {"enabled": False}},
}


def config_of(branches: str, **augmentation) -> schema.Task:
    """A small detector for pictures of 96 x 128 px; `augmentation` turns it on."""
    task = exp_factory.get_exp_config("fsaf").task
    task.override(
        {
            "model": {
                "max_level": 5,
                "backbone": {"resnet": {"depth": 14, "width_per_group": 8, "form": "pytorch"}},
                "fpn": {"channels": 16},
                "heads": {"channels": 16, "convs": 1},
                "postprocess": {"max_detections": 50},
                **BRANCHES[branches],
            },
            "input_size": {"shorter_side": 96, "longer_side": 128},
        }
    )
    off = {"enabled": bool(augmentation), "shorter_sides": [], "ratios": [], "flip": True}
    task.test_augmentation.override(off | augmentation)
    return task


def network(branches: str) -> tf_keras.Model:
    """A network whose random class layers tell one place from another."""
    tf_keras.utils.set_random_seed(1)
    model = detector.build_detector(config_of(branches).model, len(CLASSES))
    numbers = np.random.default_rng(8)
    for layer in model.get_layer("heads").class_outputs.values():
        kernel, bias = layer.get_weights()
        layer.set_weights([numbers.normal(0, 0.2, kernel.shape), np.full_like(bias, -3.0)])
    return model
