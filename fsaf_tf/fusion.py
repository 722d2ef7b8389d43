"""What a detection is made of where both branches have found it; the paper takes the best candidate (section 3.4)."""

from collections.abc import Mapping

import tensorflow as tf

from fsaf_tf import boxes as box_ops
from fsaf_tf.branches import AnchorBased, AnchorFree


def mean_of_branches(
    candidates: Mapping[str, tf.Tensor],
    apart: tf.Tensor,
    selected: tf.Tensor,
    is_detection: tf.Tensor,
    nms_iou: float,
    score_threshold: float,
) -> dict[str, tf.Tensor]:
    """Detections `[B, D, ...]` of what both branches say of an object, which neither says best of every object.

    A detection's cluster are the candidates over the threshold that it suppressed, itself among them. Its box is the
    mean of each branch's best in the cluster, weighted by their scores; its score the plain mean of these, where that
    of a branch that found nothing is 0.

    Args:
        candidates: `[B, C, ...]`, clipped.
        apart: their boxes, with no overlap between classes.
        selected: indices `[B, D]` of the detections.
        is_detection: `[B, D]`; the rest is padding.
        nms_iou: by which the detections were suppressed.
        score_threshold: of a candidate.

    Returns:
        What the candidates have, `[B, D, ...]` by falling score; the padding has a score of 0.
    """
    overlaps = box_ops.pairwise_iou(tf.gather(apart, selected, batch_dims=1), apart) > nms_iou  # [B, D, C]
    itself = selected[..., None] == tf.range(tf.shape(apart)[1])  # [B, D, 1] == [C]
    overlaps = (overlaps | itself) & is_detection[..., None]  # [B, D, C] & [B, D, 1]
    # [B, C]: the first one, which is the best. As numbers: ONNX has no argmax of bool.
    suppressed_by = tf.argmax(tf.cast(overlaps, tf.int32), axis=1, output_type=tf.int32)
    is_first = suppressed_by[:, None] == tf.range(tf.shape(selected)[1])[:, None]  # [B, 1, C] == [D, 1]
    is_over = candidates["scores"] > score_threshold  # [B, C]
    in_cluster = overlaps & is_first & is_over[:, None]  # [B, D, C] & [B, 1, C]

    def best_of_branch(number: int) -> tuple[tf.Tensor, tf.Tensor]:
        is_of_branch = (candidates["branch"] == number)[:, None]  # [B, 1, C]
        scores = tf.where(in_cluster & is_of_branch, candidates["scores"][:, None], 0.0)  # [B, D, C]
        box = tf.gather(candidates["boxes"], tf.argmax(scores, axis=-1), batch_dims=1)  # [B, D, 4]
        return tf.reduce_max(scores, axis=-1), box

    scores, boxes = zip(best_of_branch(AnchorFree.number), best_of_branch(AnchorBased.number))
    share = tf.math.divide_no_nan(scores[0], scores[0] + scores[1])[..., None]  # [B, D, 1]
    found = {key: tf.gather(candidates[key], selected, batch_dims=1) for key in candidates}  # [B, D, ...]
    found |= {"boxes": share * boxes[0] + (1 - share) * boxes[1], "scores": (scores[0] + scores[1]) / 2}
    order = tf.argsort(found["scores"], axis=-1, direction="DESCENDING", stable=True)  # padding has 0
    return {key: tf.gather(value, order, batch_dims=1) for key, value in found.items()}
