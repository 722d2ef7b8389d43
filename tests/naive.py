"""The criterion and detection in loops over instances, cells and anchors: the specification that the code must equal.

NumPy only, one image at a time, nothing shared with the package. Regions are computed in float32 as the package does,
so that a side that falls on the border of a cell falls on the same side; losses are summed in float64.
"""

import math

import numpy as np


def shrink(low, high, share):
    inset = np.float32((1 - share) / 2) * (high - low)
    return low + inset, high - inset


def cell_range(low, high, share, level, cells, location_offset):
    """The half-open range of rows (or columns) of a box's side from `low` to `high`."""
    low, high = shrink(np.float32(low), np.float32(high), share)
    shift = np.float32(0.5 - location_offset)
    first = math.floor(low / np.float32(2**level) + shift)
    last = math.ceil(high / np.float32(2**level) + shift)
    first = min(max(first, 0), cells - 1)
    return first, min(max(last, first + 1), cells)


def region(box, share, level, shape, location_offset):
    """The set of cells (row, column) of a box's region on one level."""
    rows = cell_range(box[0], box[2], share, level, shape[0], location_offset)
    columns = cell_range(box[1], box[3], share, level, shape[1], location_offset)
    return {(row, column) for row in range(*rows) for column in range(*columns)}


def focal(logit, target, alpha, gamma):
    logit = float(logit) if target else -float(logit)
    log_right = -math.log1p(math.exp(-logit)) if logit > -30 else logit
    wrong = 1 / (1 + math.exp(logit))
    return -(alpha if target else 1 - alpha) * wrong**gamma * log_right


def focal_gradient(logit, target, alpha, gamma):
    """The derivative of `focal` by the logit."""
    right = 1 / (1 + math.exp(-float(logit) if target else float(logit)))
    weight = alpha if target else 1 - alpha
    by_right_logit = weight * (1 - right) ** gamma * (gamma * right * math.log(right) - (1 - right))
    return by_right_logit if target else -by_right_logit


def iou(first, second):
    height = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
    width = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    union = sum(areas) - height * width
    return height * width / union if union > 0 else 0.0


def predicted_box(offsets, cell, level, location_offset, offset_scale):
    y, x = ((index + location_offset) * 2**level for index in cell)
    top, left, bottom, right = (float(offset) * offset_scale * 2**level for offset in offsets)
    return y - top, x - left, y + bottom, x + right


def heuristic_level(box, levels):
    side = math.sqrt((float(box[2]) - float(box[0])) * (float(box[3]) - float(box[1])))
    if side == 0:
        return levels[0]
    return min(max(math.floor(5 + math.log2(side / 224)), levels[0]), levels[-1])


def level_weights(selection, losses, box, levels, soft_levels, soft_temperature):
    """What each level learns of an instance with these losses there."""
    if selection == "soft":
        learners = sorted(range(len(levels)), key=lambda index: losses[index])[:soft_levels]  # stable: the lowest first
        least = float(losses[learners[0]])
        powers = {index: math.exp((least - float(losses[index])) / soft_temperature) for index in learners}
        return [powers.get(index, 0.0) / math.fsum(powers.values()) for index in range(len(levels))]
    level = levels[int(np.argmin(losses))] if selection == "online" else heuristic_level(box, levels)
    return [float(each == level) for each in levels]


def anchor_free_losses(
    logits,
    offsets,
    boxes,
    classes,
    valid,
    *,
    selection,
    soft_levels,
    soft_temperature,
    location_offset,
    effective,
    ignoring,
    offset_scale,
    alpha,
    gamma,
    epsilon,
):
    """One image: logits `{level: [H, W, K]}`, offsets `{level: [H, W, 4]}`, boxes `[N, 4]`, classes and valid `[N]`.

    Returns class_loss, box_loss, weights, levels, instance_losses and its two terms, num_positives as the package does,
    and `logit_gradients` `{level: [H, W, K]}`, the derivative of class_loss.
    """
    levels = sorted(logits)
    instances = [n for n in range(len(boxes)) if valid[n]]

    def region_of(n, share, level):
        return region(boxes[n], share, level, logits[level].shape, location_offset)

    def box_loss(n, cell, level):
        box = predicted_box(offsets[level][cell], cell, level, location_offset, offset_scale)
        return -math.log(max(iou(box, [float(side) for side in boxes[n]]), epsilon))

    def class_loss(n, cell, level):
        as_negative, k = background[level][cell], classes[n]
        return math.fsum(as_negative) - as_negative[k] + focal(logits[level][cell][k], True, alpha, gamma)

    def learners(n):
        return [level for level, weight in zip(levels, weights[n]) if weight > 0]

    background = {level: _background(logits[level], alpha, gamma) for level in levels}
    class_losses, box_losses = np.zeros([2, len(boxes), len(levels)], np.float32)  # a tie is one of float32 numbers
    weights = np.zeros([len(boxes), len(levels)], np.float32)
    for n in instances:
        for index, level in enumerate(levels):
            cells = region_of(n, effective, level)
            class_losses[n, index] = math.fsum(class_loss(n, cell, level) for cell in cells) / len(cells)
            box_losses[n, index] = math.fsum(box_loss(n, cell, level) for cell in cells) / len(cells)
        weights[n] = level_weights(
            selection, class_losses[n] + box_losses[n], boxes[n], levels, soft_levels, soft_temperature
        )

    owner, ignored = {}, set()
    by_size = sorted(instances, key=lambda n: (boxes[n][2] - boxes[n][0]) * (boxes[n][3] - boxes[n][1]))
    for n in reversed(by_size):  # the smallest comes last and takes what it wants; of equal ones the first
        for level in learners(n):
            owner |= {(level, cell): n for cell in region_of(n, effective, level)}
    for n in instances:
        for level in levels:
            if {level - 1, level, level + 1} & set(learners(n)):
                ignored |= {(level, cell, classes[n]) for cell in region_of(n, ignoring, level)}

    def learnt(level, n):
        return float(weights[n, levels.index(level)])

    normaliser = max(1, math.fsum(learnt(level, n) for (level, cell), n in owner.items()))
    total, gradients = 0.0, {level: np.zeros(logits[level].shape) for level in levels}
    for level in levels:
        for cell in np.ndindex(logits[level].shape[:2]):
            for k in range(logits[level].shape[2]):
                n = owner.get((level, cell))
                target = n is not None and classes[n] == k
                if target or (level, cell, k) not in ignored:
                    logit, weight = logits[level][cell][k], learnt(level, n) if target else 1
                    total += weight * (focal(logit, True, alpha, gamma) if target else background[level][cell][k])
                    gradients[level][cell][k] = weight * focal_gradient(logit, target, alpha, gamma) / normaliser
    return {
        "class_loss": total / normaliser,
        "box_loss": sum(learnt(level, n) * box_loss(n, cell, level) for (level, cell), n in owner.items()) / normaliser,
        "weights": weights,
        "levels": np.array([levels[int(np.argmax(weights[n]))] for n in range(len(boxes))], int),
        "instance_losses": class_losses + box_losses,
        "instance_class_losses": class_losses,
        "instance_box_losses": box_losses,
        "num_positives": len(owner),
        "logit_gradients": gradients,
    }


def _background(logits, alpha, gamma):
    return np.vectorize(lambda logit: focal(logit, False, alpha, gamma), otypes=[float])(logits)


def anchors(shape, level, scales, aspect_ratios, location_offset):
    """`[M, 4]` yxyx of one level: row by row, then by aspect ratio (height over width), then by scale."""
    found = []
    for row, column in np.ndindex(*shape):
        y, x = ((index + location_offset) * 2**level for index in (row, column))
        for ratio in aspect_ratios:
            for scale in scales:
                height, width = (4 * 2**level * scale * side for side in (math.sqrt(ratio), 1 / math.sqrt(ratio)))
                found.append((y - height / 2, x - width / 2, y + height / 2, x + width / 2))
    return np.array(found)


def anchor_based_losses(
    logits, deltas, boxes, classes, anchors, *, positive_iou, negative_iou, alpha, gamma, box_loss_beta
):
    """One image: logits `[M, K]`, deltas and anchors `[M, 4]`, boxes `[N, 4]` and classes `[N]` of the valid instances.

    Returns class_loss, box_loss and num_positives as the package does.
    """
    class_loss = box_loss = positives = 0
    for anchor, anchor_logits, anchor_deltas in zip(anchors, logits, deltas):
        overlaps = [iou(anchor, box) for box in boxes]
        best = int(np.argmax(overlaps)) if len(boxes) else None
        overlap = overlaps[best] if len(boxes) else 0
        if negative_iou <= overlap < positive_iou:
            continue
        for k, logit in enumerate(anchor_logits):
            class_loss += focal(logit, overlap >= positive_iou and classes[best] == k, alpha, gamma)
        if overlap >= positive_iou:
            positives += 1
            side, box_side = anchor[2:] - anchor[:2], boxes[best][2:] - boxes[best][:2]
            shift = (boxes[best][:2] + boxes[best][2:] - anchor[:2] - anchor[2:]) / 2 / side
            error = np.abs(anchor_deltas - np.concatenate([shift, np.log(box_side / side)]))
            linear = error - box_loss_beta / 2
            box_loss += np.sum(np.where(error < box_loss_beta, error**2 / (2 * box_loss_beta), linear))
    return {
        "class_loss": class_loss / max(1, positives),
        "box_loss": box_loss / max(1, positives),
        "num_positives": positives,
    }


def anchor_free_candidates(logits, offsets, level, *, location_offset, offset_scale, multi_label):
    """(score, box, class, level, branch) of the locations of one image's level, logits `[H, W, K]`."""
    found = []
    for cell in np.ndindex(logits.shape[:2]):
        box = predicted_box(offsets[cell], cell, level, location_offset, offset_scale)
        best = [int(np.argmax(logits[cell]))]
        for index in range(logits.shape[2]) if multi_label else best:
            found.append((sigmoid(logits[cell][index]), box, index, level, 0))
    return found


def anchor_based_candidates(logits, deltas, level, *, location_offset, scales, aspect_ratios):
    """The same of the anchors, logits `[H, W, A * K]`; each gives one for every class."""
    places = anchors(logits.shape[:2], level, scales, aspect_ratios, location_offset)
    found = []
    for place, own_logits, own_deltas in zip(places, logits.reshape(len(places), -1), deltas.reshape(-1, 4)):
        side = place[2:] - place[:2]
        centre = (place[:2] + place[2:]) / 2 + own_deltas[:2] * side
        half = side * np.exp(np.minimum(own_deltas[2:], math.log(1000 / 16))) / 2
        found += [(sigmoid(x), (*(centre - half), *(centre + half)), k, level, 1) for k, x in enumerate(own_logits)]
    return found


def best_candidates(candidates, *, score_threshold, max_per_level):
    """The best of one level of one branch."""
    return sorted((c for c in candidates if c[0] > score_threshold), key=lambda c: -c[0])[:max_per_level]


def suppress(candidates, size, *, nms_iou, max_detections, fusion="best"):
    """Clips the candidates of all levels and branches to an image's height and width; what is left by falling score."""
    clusters = []  # each a detection and those that it suppressed, by falling score
    for score, box, *rest in sorted(candidates, key=lambda c: -c[0]):
        box = tuple(min(max(side, 0), limit) for side, limit in zip(box, (*size, *size)))
        if box[2] > box[0] and box[3] > box[1]:
            own = (c for c in clusters if c[0][2] == rest[0] and iou(c[0][1], box) > nms_iou)
            cluster = next(own, None)
            if cluster is None:
                clusters.append([(score, box, *rest)])
            else:
                cluster.append((score, box, *rest))
    clusters = clusters[:max_detections]
    if fusion == "best":
        return [cluster[0] for cluster in clusters]
    return sorted((fused(cluster) for cluster in clusters), key=lambda c: -c[0])


def fused(cluster):
    """The mean of both branches' best candidates, boxes weighted by scores; of one branch alone half the score."""
    best = [c for c in (next((c for c in cluster if c[4] == branch), None) for branch in (0, 1)) if c]
    total = sum(c[0] for c in best)
    box = tuple(sum(c[0] * c[1][side] for c in best) / total for side in range(4))
    return (total / 2, box, *cluster[0][2:])


def windows(height, width, *, size, overlap, whole):
    """The tiles of a picture as yxyx, and whether each is the whole picture."""
    step = max(int(size * (1 - overlap)), 1)

    def starts(length):
        rest = max(length - size, 0)
        gaps = math.ceil(rest / step)
        return [place * rest // max(gaps, 1) for place in range(gaps + 1)]

    corners = [(y, x) for y in starts(height) for x in starts(width)]
    if len(corners) == 1:
        return [(0, 0, height, width)], [True]
    tiles = [(y, x, min(y + size, height), min(x + size, width)) for y, x in corners]
    return tiles + [(0, 0, height, width)] * whole, [False] * len(tiles) + [True] * whole


def is_cut(box, window, size, edge=4):
    """Whether a box ends at an edge of its window that is inside of the picture."""
    begins = any(box[k] <= window[k] + edge and window[k] > 0 for k in (0, 1))
    return begins or any(box[k + 2] >= window[k + 2] - edge and window[k + 2] < size[k] for k in (0, 1))


def joined(found, size, *, nms_iou, max_detections):
    """The detections of a picture, of pairs of one in a window, in pixels of the picture, and whether that cuts it."""
    uncut, cut = (
        suppress([one for one, cut in found if cut == wanted], size, nms_iou=nms_iou, max_detections=max_detections)
        for wanted in (False, True)
    )

    def covers(other, box):
        sides = [min(other[k + 2], box[k + 2]) - max(other[k], box[k]) for k in (0, 1)]
        return min(sides) > 0 and sides[0] * sides[1] > 0.5 * (box[2] - box[0]) * (box[3] - box[1])

    left = [one for one in cut if not any(each[2] == one[2] and covers(each[1], one[1]) for each in uncut)]
    return sorted(uncut + left, key=lambda c: -c[0])[:max_detections]


def sigmoid(logit):
    return 1 / (1 + math.exp(-logit))
