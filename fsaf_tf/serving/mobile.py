"""The network and the decoding as phones run them: of one size, in operators that XNNPACK takes where there are such.

XNNPACK is the fast path of the TFLite runtime on CPUs. What it does not take splits the network into parts, with copies
between them.
"""

import numpy as np
import tensorflow as tf

from fsaf_tf import boxes as box_ops
from fsaf_tf import pyramid, regions
from fsaf_tf.detect import trained
from fsaf_tf.modeling import fpn
from fsaf_tf.modeling.normalization import Normalization
from fsaf_tf.serving import converter

# The operator's regular suppression, run by T threads (T > 1), never looks at class T: after the first T classes its
# counter is raised once too often. So the first classes are spare ones without scores.
SPARE_CLASSES = 32
MOST_THREADS = SPARE_CLASSES - 1
_LEAST_SIDE = 1e-5  # of a box, in shares of the picture: the operator fails on boxes without any


def network(detector: trained.Detector, size: tuple[int, int], integer: bool) -> tf.Module:
    """Pictures to `logits_<level>` and `offsets_<level>`, in operators that XNNPACK has.

    Args:
        detector: gives the network.
        size: of the pictures.
        integer: to be quantised: the converter makes float32 pictures uint8 ones.
    """
    model, normalization = detector.model, detector.program.normalization
    backbone, neck, heads = (model.get_layer(name) for name in ("backbone", detector.config.model.pyramid, "heads"))
    forms = {"upsample": _upsample, "relu": _relu} if isinstance(neck, fpn.FPN) else {}

    def run(image):
        normalized = _normalize(tf.cast(image, tf.float32), normalization)
        outputs = heads(neck(backbone(normalized, training=False), **forms))
        logits = {f"logits_{level}": maps for level, maps in outputs["anchor_free_logits"].items()}
        offsets = {f"offsets_{level}": maps for level, maps in outputs["anchor_free_offsets"].items()}
        return logits | offsets

    spec = tf.TensorSpec([1, *size, 3], tf.float32 if integer else tf.uint8, name="image")
    return converter.module(run, {"image": spec}, model.variables)


def _normalize(images: tf.Tensor, normalization: Normalization) -> tf.Tensor:
    """The normalisation as a 1x1 convolution: one quantised operator, the order of the channels included."""
    mean, std = np.float32(normalization.mean), np.float32(normalization.std)
    kernel = np.diag(1 / std)
    if normalization.channel_order == "bgr":
        kernel = kernel[::-1]
    return tf.nn.conv2d(images, np.ascontiguousarray(kernel)[None, None], 1, "VALID") - mean / std


def _upsample(x: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """`fpn.upsample_like` for maps of exactly half the size: XNNPACK doubles nothing, but concatenates."""
    _, height, width, channels = x.shape
    assert like.shape[1:3] == (2 * height, 2 * width), "sides are multiples of 32"
    rows = tf.reshape(tf.concat([x, x], axis=-1), [1, height, 2 * width * channels])
    return tf.reshape(tf.concat([rows, rows], axis=-1), [1, 2 * height, 2 * width, channels])


def _relu(x: tf.Tensor) -> tf.Tensor:
    """XNNPACK has no quantised ReLU but those at the end of other operators, such as a pooling of single cells."""
    return tf.nn.relu(tf.nn.max_pool2d(x, 1, 1, "VALID"))


def decoder(detector: trained.Detector, size: tuple[int, int], raw: bool) -> tf.Module:
    """The network's outputs to `a_boxes` and `b_scores`, in the order of their names (section 3.2, inference)."""
    decoding, geometry = detector.program.decoding, detector.program.geometry
    maps = {level: [pyramid.map_size(side, level) for side in size] for level in geometry.levels}

    def run(**outputs):
        logits = [tf.reshape(outputs[f"logits_{level}"], [1, -1, len(detector.classes)]) for level in maps]
        boxes = []
        for level in maps:
            locations = pyramid.locations(*maps[level], level, geometry.location_offset)
            offsets = tf.reshape(outputs[f"offsets_{level}"], [1, -1, 4])
            boxes.append(regions.decode_offsets(offsets, locations, level, geometry.offset_scale))
        boxes = box_ops.clip(tf.concat(boxes, axis=1), size) / tf.constant([*size, *size], tf.float32)
        scores = tf.sigmoid(tf.concat(logits, axis=1))
        if raw:
            return {"a_boxes": boxes, "b_scores": scores}
        return {"a_boxes": _encode(boxes), "b_scores": _candidates(boxes, scores, decoding.multi_label)}

    specs = {}
    for level in maps:
        specs[f"logits_{level}"] = tf.TensorSpec([1, *maps[level], len(detector.classes)], tf.float32)
        specs[f"offsets_{level}"] = tf.TensorSpec([1, *maps[level], 4], tf.float32)
    return converter.module(run, specs)


def _encode(boxes: tf.Tensor) -> tf.Tensor:
    """Boxes `[1, P, 4]` as centre and logarithm of the size, which the operator's decoding turns back."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return tf.concat([(low + high) / 2, tf.math.log(tf.maximum(high - low, _LEAST_SIDE))], axis=-1)


def _candidates(boxes: tf.Tensor, scores: tf.Tensor, multi_label: bool) -> tf.Tensor:
    """Scores `[1, P, SPARE_CLASSES + K]`, -1 for what is none: spare, not the best of a location, no box."""
    is_candidate = (box_ops.area(boxes) > 0)[..., None]
    if not multi_label:
        is_candidate &= scores >= tf.reduce_max(scores, axis=-1, keepdims=True)
    candidates = tf.where(is_candidate, scores, -1.0)
    return tf.pad(candidates, [[0, 0], [0, 0], [SPARE_CLASSES, 0]], constant_values=-1.0)
