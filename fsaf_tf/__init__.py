"""FSAF (Zhu, He, Savvides; CVPR 2019) in TensorFlow 2.

Letters used for shapes everywhere:

    B  images of a batch
    N  instances of an image, padded to one number for the batch
    L  pyramid levels (3 to 7 in the paper)
    P  locations of all levels together
    K  classes, 0 .. K-1, no background channel
    A  anchors a location

Boxes are `[y1, x1, y2, x2]` in pixels of the network's input; offsets are distances to the (top, left, bottom, right)
sides in units of `S * 2^l` pixels. Tensors by level are dicts with the level as a string key: `{"3": [B, H, W, C]}`.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import supervision

    from fsaf_tf.detect.trained import Detector
    from fsaf_tf.serving.exported_models import SavedModel, TFLite
    from fsaf_tf.serving.onnx_model import ONNX

__version__ = "0.1.0"


def load_detector(
    path: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str] | None = None,
    test_augmentation: dict[str, Any] | str | None = None,
    experiment: str | None = None,
    postprocess: dict[str, Any] | None = None,
    branch: str | None = None,
    tile: int | dict[str, Any] | None = None,
) -> "Detector | SavedModel | TFLite | ONNX":
    """Loads a run's detector, a SavedModel, or a `.tflite` or `.onnx` file; see `fsaf_tf.serving.load.load_detector`.

    That is imported on first use because it is heavy.
    """
    from fsaf_tf.serving import load

    return load.load_detector(path, checkpoint, test_augmentation, experiment, postprocess, branch, tile)


def to_supervision(detections: Mapping[str, Any]) -> "supervision.Detections":
    """What a detector finds in a picture as `supervision.Detections`; see `fsaf_tf.detect.forms.to_supervision`."""
    from fsaf_tf.detect import forms

    return forms.to_supervision(detections)
