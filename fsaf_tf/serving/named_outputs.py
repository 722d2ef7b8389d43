"""The outputs of exported models that TensorFlow Serving or ONNX Runtime asks: their names, and back to detections."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from fsaf_tf import postprocess
from fsaf_tf.data.classes import Classes

DETECTIONS = ("boxes", "scores", "classes", "levels", "branch")  # of `detection_boxes` and so on
COUNT = "num_detections"


def id_type(category_ids: Sequence[int]) -> tf.DType:
    """The type of `detection_classes`: int32, as clients know it, or int64 where an id does not fit."""
    return tf.int32 if all(tf.int32.min <= one <= tf.int32.max for one in category_ids) else tf.int64


def of(found: postprocess.Detections, category_ids: tf.Tensor) -> dict[str, tf.Tensor]:
    """Detections as an exported model gives them.

    Args:
        found: of B pictures, from `detection.Program`.
        category_ids: `[K]` int32 or int64, by class.

    Returns:
        `detection_boxes`, `detection_scores`, `detection_levels`, `detection_branch` and `num_detections` as they are,
        and `detection_classes`, the category ids, 0 past the last detection.
    """
    is_detection = tf.range(tf.shape(found["classes"])[1]) < found[COUNT][:, None]
    of_class = tf.gather(category_ids, found["classes"])
    classes = tf.where(is_detection, of_class, tf.zeros([], category_ids.dtype))
    return {
        "detection_boxes": found["boxes"],
        "detection_scores": found["scores"],
        "detection_classes": classes,
        "detection_levels": found["levels"],
        "detection_branch": found["branch"],
        COUNT: found[COUNT],
    }


def to_detections(outputs: dict[str, np.ndarray], classes: Classes | None) -> dict:
    """One picture's outputs in the form of `trained.Detector`.

    Args:
        outputs: `detection_boxes` `[D, 4]` and the others, without the dimension of the batch.
        classes: the model's; None if they are not known, and a category id then is its own index.

    Raises:
        UserError: an output has a category id of no class.
    """
    count = int(outputs[COUNT])
    found = {key: outputs[f"detection_{key}"][:count] for key in DETECTIONS}
    category_ids = [int(each) for each in found["classes"]]
    indices = category_ids if classes is None else [classes.index_of(each) for each in category_ids]
    names = [f"category {index}" if classes is None else classes.names[index] for index in indices]
    return dict(found, classes=np.array(indices, np.int32 if classes else np.int64), names=names)
