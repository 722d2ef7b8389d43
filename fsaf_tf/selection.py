"""Section 3.3: which pyramid level learns an instance; and two ways beside the paper's that no level starves in."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from fsaf_tf import losses, pyramid, regions

# Eq. 3: an instance of 224 px, ImageNet's size, goes to level 5.
CANONICAL_SIZE, CANONICAL_LEVEL = 224, 5
RULES = ("online", "heuristic", "soft")
WARMUPS = ("heuristic", "random")


class Step(NamedTuple):
    """Where a training is: `number` `[]` int64, the steps taken, of `total`."""

    number: tf.Tensor
    total: int


@dataclasses.dataclass(frozen=True)
class Selection:
    """How instances get their levels.

    Attributes:
        rule: `online` (Eq. 1 and 2), `heuristic` (Eq. 3) or `soft` (see `weigh_soft`).
        soft_levels: of `soft`: so many levels learn an instance.
        soft_temperature: of `soft`.
        warmup: the rule at the start of a training: `heuristic`, or `random`, a level drawn anew for each instance in
            each step.
        warmup_share: of the training's steps, which have that rule.
    """

    rule: str
    soft_levels: int
    soft_temperature: float
    warmup: str
    warmup_share: float

    def weights(
        self,
        class_losses: tf.Tensor,
        box_losses: tf.Tensor,
        boxes: tf.Tensor,
        levels: Sequence[int],
        step: Step | None,
    ) -> tf.Tensor:
        """What each level learns of each instance.

        Args:
            class_losses: `[B, N, L]`, of Eq. 1.
            box_losses: `[B, N, L]`, of Eq. 1.
            boxes: `[B, N, 4]` yxyx in pixels.
            levels: the L levels, lowest first.
            step: of the training; without it there is no warm-up.

        Returns:
            `[B, N, L]` float32 with the sum 1 for each instance. Only `soft` gives to more than one level.

        Raises:
            ValueError: an unknown rule.
        """
        if self.rule == "soft":
            weights = weigh_soft(class_losses + box_losses, self.soft_levels, self.soft_temperature)
        elif self.rule == "online":
            weights = only(select_online(class_losses, box_losses, levels), levels)
        elif self.rule == "heuristic":
            weights = only(select_heuristic(boxes, levels), levels)
        else:
            raise ValueError(f"selection must be one of {', '.join(RULES)}, not {self.rule!r}.")
        if step is None or not self.warmup_share:
            return weights
        if self.warmup == "random":
            at_first = select_random(tf.shape(boxes)[:2], levels, step)
        else:
            at_first = select_heuristic(boxes, levels)
        is_first = step.number < self.warmup_steps(step.total)
        return tf.where(is_first, only(at_first, levels), weights)

    def warmup_steps(self, total: int) -> int:
        """How many of `total` steps have the warm-up."""
        return round(self.warmup_share * total)


def only(level: tf.Tensor, levels: Sequence[int]) -> tf.Tensor:
    """All weight on one level: `[B, N, L]` of `[B, N]`."""
    return tf.cast(level[..., None] == tf.constant(levels), tf.float32)


class Predictions(NamedTuple):
    """What the P locations of all levels say.

    Attributes:
        logits: `[B, P, K]`.
        background: `[B, P]` focal loss summed over the classes where every target is 0.
        boxes: `[B, P, 4]` yxyx in pixels from their location: near the origin float32 resolves a box of one pixel.
        locations: `[P, 2]` (y, x) in pixels.
    """

    logits: tf.Tensor
    background: tf.Tensor
    boxes: tf.Tensor
    locations: tf.Tensor


def instance_losses(
    predictions: Predictions, instances: regions.Instances, layout: pyramid.Layout, elementwise: losses.Elementwise
) -> tuple[tf.Tensor, tf.Tensor]:
    """The two losses of every instance on every level (Eq. 1), without gradient.

    `1 / n * sum(FL(cell))` and `1 / n * sum(IoU_loss(cell))` over the n effective cells that the instance has on the
    level, also those that another instance will win; FL is the focal loss summed over the classes.

    Args:
        predictions: of the locations.
        instances: theirs are the effective cells.
        layout: the levels' maps.
        elementwise: the losses.

    Returns:
        Class and box loss `[B, N, L]` float32 each; 0 for an instance that is not valid.
    """
    logits, background, predicted, locations = map(tf.stop_gradient, predictions)
    effective = instances.cell_ranges[..., regions.EFFECTIVE, :]
    shape = tf.shape(effective)[:3]  # B, N, L
    num_classes = tf.shape(logits)[-1]
    ranges = tf.reshape(effective, [-1, 4])
    boxes, predicted = (tf.reshape(values, [-1, 4]) for values in (tf.stop_gradient(instances.boxes), predicted))
    logits, background, classes = (tf.reshape(values, [-1]) for values in (logits, background, instances.classes))

    def add_losses(sums, owner, cell, inside):
        instance, level = owner // shape[2], owner % shape[2]
        place = tf.where(inside, layout.flat_index(instance // shape[1], level, cell), 0)
        own = tf.gather(logits, place * num_classes + tf.gather(classes, instance))
        as_positive, as_negative = elementwise.focal(own, True), elementwise.focal(own, False)
        class_loss = tf.gather(background, place) - as_negative + as_positive
        here = tf.tile(tf.gather(locations, place % layout.num_locations), [1, 2])
        box_loss = elementwise.box(tf.gather(predicted, place), tf.gather(boxes, instance) - here)
        both = tf.where(inside[:, None], tf.stack([class_loss, box_loss], axis=-1), 0.0)  # [CHUNK, 2]
        return sums + tf.math.unsorted_segment_sum(tf.cast(both, tf.float64), owner, tf.shape(sums)[0])

    # In float64 the mean of equal losses is that loss, whatever their number, so that a tie of two levels is one.
    sums = regions.fold_cells(ranges, add_losses, tf.zeros([tf.reduce_prod(shape), 2], tf.float64))
    sides = ranges[:, 2:] - ranges[:, :2]
    count = tf.cast(tf.maximum(sides[:, 0] * sides[:, 1], 1), tf.float64)
    means = tf.cast(sums / count[:, None], tf.float32)
    return tf.reshape(means[:, 0], shape), tf.reshape(means[:, 1], shape)


def select_online(class_losses: tf.Tensor, box_losses: tf.Tensor, levels: Sequence[int]) -> tf.Tensor:
    """The level with the least sum of both losses for each instance (Eq. 2), the lowest of equal ones.

    `argmin over l of class_loss(l) + box_loss(l)`.

    Args:
        class_losses: `[B, N, L]`, of Eq. 1.
        box_losses: `[B, N, L]`, of Eq. 1.
        levels: the L levels, lowest first.

    Returns:
        `[B, N]` int32, of `levels`.
    """
    return tf.gather(tf.constant(levels, tf.int32), tf.argmin(class_losses + box_losses, axis=-1))


def select_heuristic(boxes: tf.Tensor, levels: Sequence[int]) -> tf.Tensor:
    """The level of an instance's size alone (Eq. 3): `floor(5 + log2(sqrt(w h) / 224))`, within the levels.

    Counts the levels whose least size the box reaches: the same as Eq. 3, and exact at powers of two.

    Args:
        boxes: `[B, N, 4]` yxyx in pixels.
        levels: the L levels, lowest first.

    Returns:
        `[B, N]` int32, of `levels`.
    """
    area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    least = [CANONICAL_SIZE**2 * 4.0 ** (level - CANONICAL_LEVEL) for level in levels[1:]]
    reached = area[..., None] >= tf.constant(least, tf.float32)  # [B, N, L - 1]
    return levels[0] + tf.reduce_sum(tf.cast(reached, tf.int32), axis=-1)


def select_random(shape: tf.Tensor, levels: Sequence[int], step: Step) -> tf.Tensor:
    """A level for each instance, each as often, the same in each run: drawn by the number of the step.

    Args:
        shape: `[2]` int32, B and N.
        levels: the L levels, lowest first.
        step: of the training.

    Returns:
        `[B, N]` int32, of `levels`.
    """
    return tf.random.stateless_uniform(shape, [0, step.number], levels[0], levels[-1] + 1, tf.int32)


def weigh_soft(losses: tf.Tensor, count: int, temperature: float) -> tf.Tensor:
    """What the levels with the least losses learn of an instance: a softmax of their negative losses.

    The weights of Soft Anchor-Point Object Detection (ECCV 2020) are of a network of their own, which is trained to
    tell the level of the least loss; these are of the losses themselves.

    Args:
        losses: `[B, N, L]`, the sum of both of Eq. 1.
        count: so many levels share an instance; of equal ones the lowest.
        temperature: what the losses are divided by: near 0 the level of the least loss has it all (Eq. 2).

    Returns:
        `[B, N, L]` float32.
    """
    mine, other = losses[..., :, None], losses[..., None, :]
    index = tf.range(tf.shape(losses)[-1])
    is_before = (other < mine) | ((other == mine) & (index < index[:, None]))  # [B, N, L, L]
    is_least = tf.reduce_sum(tf.cast(is_before, tf.int32), axis=-1) < count
    return tf.nn.softmax(tf.where(is_least, losses / -temperature, -float("inf")))
