"""The losses of sections 3.2 and 3.3: elementwise, without reduction."""

import tensorflow as tf

from fsaf_tf import boxes as box_ops


def focal(logits: tf.Tensor, target: bool, *, alpha: float = 0.25, gamma: float = 2.0) -> tf.Tensor:
    r"""Focal loss of logits whose targets are all 1 (`target` true) or all 0 ([22], Eq. 5).

    With the probability of the target :math:`p_t`: :math:`-\alpha_t (1 - p_t)^\gamma \log p_t`, where
    :math:`\alpha_t` is `alpha` for target 1 and `1 - alpha` for target 0.

    Args:
        logits: any shape, before the sigmoid.
        target: the target of all of them.
        alpha: weight of target 1.
        gamma: focus; 0 gives weighted cross-entropy.

    Returns:
        The loss, shape of `logits`.
    """
    against = -logits if target else logits  # the logit of the probability of being wrong, 1 - p_t
    cross_entropy = tf.math.softplus(against)
    log_wrong = against - cross_entropy  # log(sigmoid(x)) = x - softplus(x)
    return (alpha if target else 1 - alpha) * tf.exp(gamma * log_wrong) * cross_entropy


def iou(predicted: tf.Tensor, boxes: tf.Tensor, *, epsilon: float = 1e-6) -> tf.Tensor:
    """The IoU loss of UnitBox, `-ln(max(IoU, epsilon))` (section 3.2), of boxes `[..., 4]` in pixels: `[...]`."""
    return -tf.math.log(tf.maximum(box_ops.aligned_iou(predicted, boxes), epsilon))


def smooth_l1(error: tf.Tensor, *, beta: float = 1 / 9) -> tf.Tensor:
    """Smooth L1 of an error: `error^2 / (2 beta)` under `beta`, `|error| - beta / 2` above ([22], as in Detectron)."""
    size = tf.abs(error)
    return tf.where(size < beta, size * size / (2 * beta), size - beta / 2)
