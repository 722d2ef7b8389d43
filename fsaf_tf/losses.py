"""The losses of sections 3.2 and 3.3: elementwise, without reduction."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from fsaf_tf import boxes as box_ops

LEAST_IOU = 1e-6  # what the IoU loss takes in the place of less: its logarithm stays finite


class Focal(NamedTuple):
    """The focal loss ([22], Eq. 5), called with logits whose targets are all 1 or all 0.

    Attributes:
        alpha: weight of target 1; target 0 has `1 - alpha`.
        gamma: focus; 0 gives weighted cross-entropy.
    """

    alpha: float
    gamma: float

    def __call__(self, logits: tf.Tensor, target: bool) -> tf.Tensor:
        """The loss `-alpha_t (1 - p_t)^gamma log(p_t)`, where `p_t` is the probability of the target.

        A criterion needs both targets of a logit only where there is an object, and one target everywhere else: so it
        is one at a time.

        Args:
            logits: any shape, before the sigmoid.
            target: the target of all of them.

        Returns:
            The shape of `logits`.
        """
        against = -logits if target else logits  # the logit of the probability of being wrong, 1 - p_t
        cross_entropy = tf.math.softplus(against)
        log_wrong = against - cross_entropy  # log(sigmoid(x)) = x - softplus(x)
        return (self.alpha if target else 1 - self.alpha) * tf.exp(self.gamma * log_wrong) * cross_entropy


class Elementwise(NamedTuple):
    """The two losses of a branch.

    Attributes:
        focal: of its logits.
        box: of its boxes: `box(predicted, boxes)` of two tensors `[..., 4]`, which broadcast, gives `[...]`. Of the
            anchor-free branch they are boxes yxyx in pixels, of the anchor-based one deltas.
    """

    focal: Focal
    box: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class IoU(NamedTuple):
    """The IoU loss of UnitBox, `-ln(max(IoU, epsilon))` (section 3.2), called with boxes in pixels."""

    epsilon: float

    def __call__(self, predicted: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
        """The loss `[...]` of boxes `[..., 4]`, which broadcast."""
        return -tf.math.log(tf.maximum(box_ops.aligned_iou(predicted, boxes), self.epsilon))


class SmoothL1(NamedTuple):
    """Smooth L1 ([22], as in Detectron): `error^2 / (2 beta)` under `beta`, `|error| - beta / 2` above."""

    beta: float

    def __call__(self, predicted: tf.Tensor, deltas: tf.Tensor) -> tf.Tensor:
        """The loss `[...]` of deltas `[..., 4]`, summed over the four."""
        size = tf.abs(predicted - deltas)
        quadratic = size * size / (2 * self.beta)
        return tf.reduce_sum(tf.where(size < self.beta, quadratic, size - self.beta / 2), axis=-1)
