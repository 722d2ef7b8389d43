"""Section 3.4: from outputs and instances to the losses."""

from collections.abc import Sequence

import tensorflow as tf

from fsaf_tf import anchors as anchor_ops
from fsaf_tf import losses, pyramid, regions, targets
from fsaf_tf import selection as level_selection

Maps = dict[str, tf.Tensor]


def anchor_free_losses(
    logits: Maps,
    offsets: Maps,
    boxes: tf.Tensor,
    classes: tf.Tensor,
    valid: tf.Tensor,
    *,
    selection: str = "online",
    cell_ranges: tf.Tensor | None = None,
    location_offset: float = 0.5,
    effective: float = 0.2,
    ignoring: float = 0.5,
    offset_scale: float = 4.0,
    alpha: float = 0.25,
    gamma: float = 2.0,
    epsilon: float = 1e-6,
) -> dict[str, tf.Tensor]:
    """The losses of the anchor-free branch (sections 3.2 and 3.3), each instance on the level it selects.

    Args:
        logits: by level `{"3": [B, H, W, K], ...}`, before the sigmoid.
        offsets: by level `{"3": [B, H, W, 4], ...}` (top, left, bottom, right), not negative, in units of
            `offset_scale * 2^l` pixels.
        boxes: `[B, N, 4]` yxyx in pixels of the padded image.
        classes: `[B, N]` int, 0 .. K-1.
        valid: `[B, N]` bool; the rows that are not may hold anything.
        selection: `online` (Eq. 1 and 2) or `heuristic` (Eq. 3).
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
        class_loss: `[]`, the focal loss of an image over its positive locations, averaged over the images.
        box_loss: `[]`, the IoU loss, averaged over an image's positive locations and then over the images.
        levels: `[B, N]` int32, the selected level (the lowest for invalid rows).
        instance_losses: `[B, N, L]`, what the instance would lose on each level (Eq. 1; 0 for invalid rows).
        num_positives: `[B]` int32, the positive locations.

    Raises:
        ValueError: if `selection` is neither of the two, or a map does not have `ceil(size / 2^l)` cells a side.
    """
    layout = _layout(logits)
    num_classes = logits[str(layout.levels[0])].shape[-1]
    boxes, classes = _only_valid(boxes, classes, valid)
    if cell_ranges is None:
        shares = {"location_offset": location_offset, "effective": effective, "ignoring": ignoring}
        cell_ranges = regions.cell_ranges(boxes, valid, layout.image_size, levels=layout.levels, **shares)
    flat_logits = layout.join(logits, num_classes)  # [B, P, K]
    # Boxes are compared as their locations see them: near the origin float32 resolves a box of one pixel.
    locations = layout.locations(location_offset)  # [P, 2]
    levels_of_locations = layout.location_levels()[:, None]
    predicted = regions.decode_offsets(layout.join(offsets, 4), 0.0, levels_of_locations, offset_scale)  # [B, P, 4]
    as_negative = losses.focal(flat_logits, False, alpha=alpha, gamma=gamma)  # [B, P, K]

    instance_losses = level_selection.instance_losses(
        flat_logits,
        tf.reduce_sum(as_negative, axis=-1),
        predicted,
        locations,
        boxes,
        classes,
        tf.where(valid[..., None, None], cell_ranges[..., regions.EFFECTIVE, :], 0),
        layout,
        alpha=alpha,
        gamma=gamma,
        epsilon=epsilon,
    )
    chosen = _select(selection, instance_losses, boxes, layout.levels)
    target = targets.anchor_free_targets(boxes, classes, valid, cell_ranges, chosen, layout, num_classes)
    positive = target["positive"]
    own_class, own_box = (_of_instance(values, target["instance"]) for values in (classes, boxes))
    as_positive = losses.focal(_pick(flat_logits, own_class), True, alpha=alpha, gamma=gamma)  # [B, P]
    box_losses = losses.iou(predicted, own_box - tf.tile(locations, [1, 2]), epsilon=epsilon)  # [B, P]
    return {
        "class_loss": _per_positive(_sum(as_negative, target["negative"]) + _sum(as_positive, positive), positive),
        "box_loss": _per_positive(_sum(box_losses, positive), positive),
        "levels": chosen,
        "instance_losses": instance_losses,
        "num_positives": _count(positive),
    }


def anchor_based_losses(
    logits: Maps,
    deltas: Maps,
    boxes: tf.Tensor,
    classes: tf.Tensor,
    valid: tf.Tensor,
    *,
    scales: Sequence[float],
    aspect_ratios: Sequence[float],
    location_offset: float = 0.5,
    positive_iou: float = 0.5,
    negative_iou: float = 0.4,
    alpha: float = 0.25,
    gamma: float = 2.0,
    beta: float = 1 / 9,
) -> dict[str, tf.Tensor]:
    """The losses of the anchor-based branch: RetinaNet's as in Detectron ([22]).

    Args:
        logits: by level `{"3": [B, H, W, A * K], ...}`, before the sigmoid, anchor by anchor.
        deltas: by level `{"3": [B, H, W, A * 4], ...}` (dy, dx, dh, dw), anchor by anchor.
        boxes: `[B, N, 4]` yxyx in pixels of the padded image.
        classes: `[B, N]` int, 0 .. K-1.
        valid: `[B, N]` bool; the rows that are not may hold anything.
        scales: of the anchors; see `anchors.anchors`.
        aspect_ratios: of the anchors, height over width.
        location_offset: where a location stands, in cells.
        positive_iou: an anchor is positive from this IoU on.
        negative_iou: an anchor is background under this IoU.
        alpha: of the focal loss.
        gamma: of the focal loss.
        beta: of smooth L1.

    Returns:
        class_loss: `[]`, the focal loss of an image over its positive anchors, averaged over the images.
        box_loss: `[]`, smooth L1 summed over the four deltas, likewise.
        num_positives: `[B]` int32, the positive anchors.
    """
    layout = _layout(logits)
    shapes = anchor_ops.Shapes(tuple(scales), tuple(aspect_ratios))
    num_classes = logits[str(layout.levels[0])].shape[-1] // shapes.per_location
    boxes, classes = _only_valid(boxes, classes, valid)
    by_level = [
        anchor_ops.anchors(*size, level, shapes, location_offset) for level, size in zip(layout.levels, layout.sizes)
    ]
    anchors = tf.concat(by_level, axis=0)  # [P * A, 4]
    matches = anchor_ops.match(anchors, boxes, valid, positive_iou=positive_iou, negative_iou=negative_iou)
    positive, ignored = matches["positive"], ~(matches["positive"] | matches["background"])
    own_class, own_box = (_of_instance(values, matches["instance"]) for values in (classes, boxes))

    flat_logits = layout.join(logits, num_classes)  # [B, P * A, K]
    is_own = positive[..., None] & (own_class[..., None] == tf.range(num_classes))
    as_negative = losses.focal(flat_logits, False, alpha=alpha, gamma=gamma)
    as_positive = losses.focal(_pick(flat_logits, own_class), True, alpha=alpha, gamma=gamma)
    own_box = tf.where(positive[..., None], own_box, anchors)  # without a box of no size, whose delta is infinite
    error = layout.join(deltas, 4) - anchor_ops.encode(own_box, anchors)
    box_losses = tf.reduce_sum(losses.smooth_l1(error, beta=beta), axis=-1)
    return {
        "class_loss": _per_positive(
            _sum(as_negative, ~(ignored[..., None] | is_own)) + _sum(as_positive, positive), positive
        ),
        "box_loss": _per_positive(_sum(box_losses, positive), positive),
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


def _only_valid(boxes, classes, valid):
    """Boxes and classes with all that is not valid set to 0: NaN and -1 must not reach a sum or an index."""
    return tf.where(valid[..., None], tf.cast(boxes, tf.float32), 0.0), tf.where(valid, tf.cast(classes, tf.int32), 0)


def _select(selection: str, instance_losses: tf.Tensor, boxes: tf.Tensor, levels: Sequence[int]) -> tf.Tensor:
    if selection == "online":
        return level_selection.select_online(instance_losses, levels)
    if selection == "heuristic":
        return level_selection.select_heuristic(boxes, levels)
    raise ValueError(f"selection must be online or heuristic, not {selection!r}.")


def _of_instance(values: tf.Tensor, instance: tf.Tensor) -> tf.Tensor:
    """The values `[B, N, ...]` of each location's instance `[B, M]`: `[B, M, ...]`; one more row serves N of 0."""
    padding = [[0, 0], [0, 1]] + [[0, 0]] * (values.shape.rank - 2)
    return tf.gather(tf.pad(values, padding), instance, batch_dims=1)


def _pick(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """The logit `[B, M]` of each location's class, out of `[B, M, K]`."""
    return tf.gather(logits, classes, batch_dims=2)


def _sum(values: tf.Tensor, keep: tf.Tensor) -> tf.Tensor:
    """The sum `[B]` of the values that are kept; the others have no gradient."""
    return tf.reduce_sum(tf.where(keep, values, 0.0), axis=list(range(1, values.shape.rank)))


def _count(positive: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(positive, tf.int32), axis=-1)


def _per_positive(sums: tf.Tensor, positive: tf.Tensor) -> tf.Tensor:
    """Sums `[B]` of the images over their positives, averaged over the images (section 3.2: "for an image")."""
    return tf.reduce_mean(sums / tf.cast(tf.maximum(_count(positive), 1), tf.float32))
