"""Section 3.4: from outputs and instances to the losses."""

import tensorflow as tf

from fsaf_tf import anchors as anchor_ops
from fsaf_tf import losses, pyramid, regions, targets
from fsaf_tf.selection import Predictions, Selection, Step, instance_losses

Maps = dict[str, tf.Tensor]


def anchor_free_losses(
    logits: Maps,
    offsets: Maps,
    boxes: tf.Tensor,
    classes: tf.Tensor,
    valid: tf.Tensor,
    *,
    selection: str = "online",
    soft_levels: int = 3,
    soft_temperature: float = 1.0,
    cell_ranges: tf.Tensor | None = None,
    location_offset: float = 0.5,
    effective: float = 0.2,
    ignoring: float = 0.5,
    offset_scale: float = 4.0,
    alpha: float = 0.25,
    gamma: float = 2.0,
    epsilon: float = losses.LEAST_IOU,
) -> dict[str, tf.Tensor]:
    """The losses of the anchor-free branch (sections 3.2 and 3.3), each instance on the level it selects.

    This is the entry for other people's code: eager, in a graph, compiled by XLA. Its defaults are the paper's, as
    those of the configuration are, and nothing below it has any.

    Args:
        logits: by level `{"3": [B, H, W, K], ...}`, before the sigmoid.
        offsets: by level `{"3": [B, H, W, 4], ...}` (top, left, bottom, right), not negative, in units of
            `offset_scale * 2^l` pixels.
        boxes: `[B, N, 4]` yxyx in pixels of the padded image.
        classes: `[B, N]` int, 0 .. K-1.
        valid: `[B, N]` bool; the rows that are not may hold anything.
        selection: `online` (Eq. 1 and 2), `heuristic` (Eq. 3) or `soft` (`selection.weigh_soft`).
        soft_levels: of `soft`: so many levels learn an instance.
        soft_temperature: of `soft`.
        cell_ranges: `[B, N, L, 2, 4]` int32 from `regions.cell_ranges` with the same values, where they were computed
            before; then `location_offset`, `effective` and `ignoring` must be those.
        location_offset: where a location stands, in cells.
        effective: epsilon_e, the effective box's share of the sides.
        ignoring: epsilon_i, the ignoring box's share of the sides.
        offset_scale: S.
        alpha: of the focal loss.
        gamma: of the focal loss.
        epsilon: the least IoU in the IoU loss.

    Returns:
        What `anchor_free` returns: `class_loss` and `box_loss`, whose sum is weighed by lambda (section 3.4: 0.5), and
            which level each instance has selected.

    Raises:
        ValueError: if `selection` is none of the three, or a map does not have `ceil(size / 2^l)` cells a side.
    """
    layout = _layout(logits)
    geometry = pyramid.Geometry(layout.levels, location_offset, offset_scale, effective, ignoring)
    if cell_ranges is None:
        cell_ranges = regions.cell_ranges(tf.cast(boxes, tf.float32), valid, layout.image_size, geometry)
    instances = regions.Instances.of(boxes, classes, valid, cell_ranges)
    elementwise = losses.Elementwise(losses.Focal(alpha, gamma), losses.IoU(epsilon))  # type: ignore[arg-type]
    rule = Selection(selection, soft_levels, soft_temperature, warmup="heuristic", warmup_share=0.0)
    return anchor_free(logits, offsets, instances, geometry, rule, elementwise, None)


def anchor_free(
    logits: Maps,
    offsets: Maps,
    instances: regions.Instances,
    geometry: pyramid.Geometry,
    selection: Selection,
    elementwise: losses.Elementwise,
    step: Step | None,
) -> dict[str, tf.Tensor]:
    """The losses of the anchor-free branch; see `anchor_free_losses`.

    Args:
        logits: by level `{"3": [B, H, W, K], ...}`, before the sigmoid.
        offsets: by level `{"3": [B, H, W, 4], ...}`, in units of `geometry.offset_scale * 2^l` pixels.
        instances: those to learn.
        geometry: its shares are those of the instances' cell ranges.
        selection: how they get their levels.
        elementwise: the losses of classes and of boxes.
        step: of the training, for the warm-up of the selection; None if there is none.

    Returns:
        class_loss: `[]`, the focal loss of an image over its positive locations, averaged over the images.
        box_loss: `[]`, the box loss, averaged over an image's positive locations and then over the images. In both a
            positive location counts as much as its level learns of its instance.
        weights: `[B, N, L]` float32, what each level learns of an instance (0 for invalid rows).
        levels: `[B, N]` int32, the selected level, which learns the most (the lowest for invalid rows).
        instance_losses: `[B, N, L]`, what the instance would lose on each level: the sum of the next two.
        instance_class_losses: `[B, N, L]`, its focal loss there (Eq. 1; 0 for invalid rows).
        instance_box_losses: `[B, N, L]`, its box loss there (Eq. 1; 0 for invalid rows).
        num_positives: `[B]` int32, the positive locations.
    """
    layout, focal = _layout(logits), elementwise.focal
    num_classes = logits[str(layout.levels[0])].shape[-1]
    flat_logits = layout.join(logits, num_classes)  # [B, P, K]
    # Boxes are compared as their locations see them: near the origin float32 resolves a box of one pixel.
    locations = layout.locations(geometry.location_offset)  # [P, 2]
    levels_of_locations = layout.location_levels()[:, None]  # [P, 1]
    predicted = regions.decode_offsets(layout.join(offsets, 4), 0.0, levels_of_locations, geometry.offset_scale)
    as_negative = focal(flat_logits, False)  # [B, P, K]

    predictions = Predictions(flat_logits, tf.reduce_sum(as_negative, axis=-1), predicted, locations)
    class_losses, box_losses = instance_losses(predictions, instances, layout, elementwise)
    weights = selection.weights(class_losses, box_losses, instances.boxes, layout.levels, step)
    weights = tf.where(instances.valid[..., None], weights, 0.0)  # [B, N, L]
    target = targets.anchor_free_targets(instances, weights > 0, layout, num_classes)
    positive = target["positive"]
    learnt = tf.where(positive, _of_level(weights, target["instance"], layout), 0.0)  # [B, P]
    own_class, own_box = (_of_instance(values, target["instance"]) for values in (instances.classes, instances.boxes))
    as_positive = focal(_pick(flat_logits, own_class), True)  # [B, P]
    box_errors = elementwise.box(predicted, own_box - tf.tile(locations, [1, 2]))  # [B, P]
    class_sums = _sum(as_negative, target["negative"]) + _sum(learnt * as_positive, positive)  # [B]
    return {
        "class_loss": _per_positive(class_sums, learnt),
        "box_loss": _per_positive(_sum(learnt * box_errors, positive), learnt),
        "weights": weights,
        "levels": tf.gather(tf.constant(layout.levels), tf.argmax(weights, axis=-1)),
        "instance_losses": class_losses + box_losses,
        "instance_class_losses": class_losses,
        "instance_box_losses": box_losses,
        "num_positives": _count(positive),
    }


def anchor_based(
    logits: Maps,
    deltas: Maps,
    instances: regions.Instances,
    anchors: anchor_ops.Anchors,
    elementwise: losses.Elementwise,
) -> dict[str, tf.Tensor]:
    """The losses of the anchor-based branch: RetinaNet's as in Detectron ([22]).

    Args:
        logits: by level `{"3": [B, H, W, A * K], ...}`, before the sigmoid, anchor by anchor.
        deltas: by level `{"3": [B, H, W, A * 4], ...}` (dy, dx, dh, dw), anchor by anchor.
        instances: those to learn; their cell ranges are not looked at.
        anchors: which there are, and what they learn.
        elementwise: the losses of classes and of deltas.

    Returns:
        class_loss: `[]`, the focal loss of an image over its positive anchors, averaged over the images.
        box_loss: `[]`, the box loss, likewise.
        num_positives: `[B]` int32, the positive anchors.
    """
    layout, focal = _layout(logits), elementwise.focal
    num_classes = logits[str(layout.levels[0])].shape[-1] // anchors.shapes.per_location
    places = anchors.of_layout(layout)  # [P * A, 4]
    matches = anchor_ops.match(places, instances.boxes, instances.valid, anchors.matching)
    positive, ignored = matches["positive"], ~(matches["positive"] | matches["background"])
    own_class, own_box = (_of_instance(values, matches["instance"]) for values in (instances.classes, instances.boxes))

    flat_logits = layout.join(logits, num_classes)  # [B, P * A, K]
    is_own = positive[..., None] & (own_class[..., None] == tf.range(num_classes))  # [B, P * A, K]
    as_negative, as_positive = focal(flat_logits, False), focal(_pick(flat_logits, own_class), True)
    own_box = tf.where(positive[..., None], own_box, places)  # without a box of no size, whose delta is infinite
    box_errors = elementwise.box(layout.join(deltas, 4), anchor_ops.encode(own_box, places))  # [B, P * A]
    negative = ~(ignored[..., None] | is_own)  # [B, P * A, K]
    counted = tf.cast(positive, tf.float32)
    return {
        "class_loss": _per_positive(_sum(as_negative, negative) + _sum(as_positive, positive), counted),
        "box_loss": _per_positive(_sum(box_errors, positive), counted),
        "num_positives": _count(positive),
    }


def _layout(maps: Maps) -> pyramid.Layout:
    """The maps' layout, checked where the sizes are static."""
    layout = pyramid.Layout.of_maps(maps)
    for level, sizes in zip(layout.levels, layout.sizes):
        expected = tuple(pyramid.map_size(side, level) for side in layout.image_size)
        if all(isinstance(side, int) for side in (*sizes, *expected)) and sizes != expected:
            raise ValueError(f"The map of level {level} has {sizes} cells, not {expected} as the lowest level wants.")
    return layout


def _of_instance(values: tf.Tensor, instance: tf.Tensor) -> tf.Tensor:
    """The values `[B, N, ...]` of each location's instance `[B, M]`: `[B, M, ...]`; one more row serves N of 0."""
    padding = [[0, 0], [0, 1]] + [[0, 0]] * (values.shape.rank - 2)
    return tf.gather(tf.pad(values, padding), instance, batch_dims=1)


def _of_level(weights: tf.Tensor, instance: tf.Tensor, layout: pyramid.Layout) -> tf.Tensor:
    """What each location's level learns of its instance `[B, P]`, out of `[B, N, L]`: `[B, P]`."""
    num_levels = len(layout.levels)
    places = instance * num_levels + (layout.location_levels() - layout.levels[0])  # [B, P]
    flat = tf.reshape(weights, [tf.shape(weights)[0], -1])
    return tf.gather(tf.pad(flat, [[0, 0], [0, num_levels]]), places, batch_dims=1)  # one more row serves N of 0


def _pick(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """The logit `[B, M]` of each location's class, out of `[B, M, K]`."""
    return tf.gather(logits, classes, batch_dims=2)


def _sum(values: tf.Tensor, keep: tf.Tensor) -> tf.Tensor:
    """The sum `[B]` of the values that are kept; the others have no gradient."""
    return tf.reduce_sum(tf.where(keep, values, 0.0), axis=list(range(1, values.shape.rank)))


def _count(positive: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(positive, tf.int32), axis=-1)


def _per_positive(sums: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    """Sums `[B]` of the images over their positives, averaged over the images (section 3.2: "for an image").

    Each location or anchor is `counted` `[B, M]`: 0 if it is not positive, 1 or a part of 1 if it is.
    """
    return tf.reduce_mean(sums / tf.maximum(tf.reduce_sum(counted, axis=-1), 1.0))
