"""Sections 3.2 and 3.4, inference: from the network's outputs to detections."""

import dataclasses
import math
from collections.abc import Sequence

import tensorflow as tf

from fsaf_tf import boxes as box_ops
from fsaf_tf import fusion, pyramid
from fsaf_tf.branches import AnchorFree, Branch, Outputs

Detections = dict[str, tf.Tensor]

FUSIONS = ("best", "mean")


@dataclasses.dataclass(frozen=True)
class Decoding:
    """How outputs become candidates (section 3.2).

    Attributes:
        branches: of the detector.
        max_per_level: at most so many candidates of a level of a branch.
        multi_label: every class of an anchor-free location is a candidate, not only its best one.
    """

    branches: tuple[Branch, ...]
    max_per_level: int
    multi_label: bool


@dataclasses.dataclass(frozen=True)
class Suppression:
    """Which candidates are detections (section 3.4).

    Attributes:
        score_threshold: a candidate's score is above this.
        nms_iou: a box that overlaps a better one of its class by more than this is dropped.
        max_detections: D, at most so many detections of an image.
        fusion: what a detection is made of, of `FUSIONS`: the best candidate of those that were one to the suppression
            (`best`, section 3.4), or the best ones of both branches (`mean`, see `fusion.mean_of_branches`).
    """

    score_threshold: float
    nms_iou: float
    max_detections: int
    fusion: str

    def of_one_branch(self) -> "Suppression":
        """The same where there are no two branches to be fused."""
        return dataclasses.replace(self, fusion="best")


def anchor_free_detections(
    logits: dict[str, tf.Tensor],
    offsets: dict[str, tf.Tensor],
    image_size: tf.Tensor,
    *,
    location_offset: float = 0.5,
    offset_scale: float = 4.0,
    max_per_level: int = 1000,
    score_threshold: float = 0.05,
    nms_iou: float = 0.5,
    max_detections: int = 100,
) -> Detections:
    """What the anchor-free branch finds (section 3.2, inference).

    This is the entry for other people's code, the counterpart of `criterion.anchor_free_losses`: eager or in a graph.
    Its defaults are the paper's.

    Args:
        logits: by level `{"3": [B, H, W, K], ...}`, before the sigmoid.
        offsets: by level, as for `criterion.anchor_free_losses`.
        image_size: `[B, 2]` or `[2]` int32, height and width of the images without their padding.
        location_offset: where a location stands, in cells; as in training.
        offset_scale: S; as in training.
        max_per_level: at most so many candidates of a level.
        score_threshold: a detection's score is above this.
        nms_iou: a box that overlaps a better one of its class by more than this is dropped.
        max_detections: D, at most so many detections of an image.

    Returns:
        What `detect` returns.
    """
    some = next(iter(logits.values()))
    geometry = pyramid.Geometry(tuple(sorted(map(int, logits))), location_offset, offset_scale, 0.0, 0.0)
    # Nothing is learnt here.
    branch = AnchorFree(geometry, selection=None, elementwise=None, loss_weight=0.0)  # type: ignore[arg-type]
    decoding = Decoding((branch,), max_per_level, multi_label=False)
    suppression = Suppression(score_threshold, nms_iou, max_detections, fusion="best")
    image_size = tf.broadcast_to(tf.cast(image_size, tf.int32), [tf.shape(some)[0], 2])
    return detect({branch.logits: logits, branch.boxes: offsets}, image_size, some.shape[-1], decoding, suppression)


def detect(
    outputs: Outputs, image_size: tf.Tensor, num_classes: int, decoding: Decoding, suppression: Suppression
) -> Detections:
    """Decodes the best candidates of each level and branch, and suppresses them class by class (sections 3.2, 3.4).

    Boxes are clipped to the image first, since those that reach into the padding overlap less than what is seen of
    them; one with nothing in the image is dropped. Both branches compete in one suppression. The paper takes the best
    1,000 of what is over the threshold; here the threshold comes after, which leaves the same.

    The Garden's detection generators do not do this: they keep the best of each class over all levels together, so
    that one level may take every place, and return no level. `tf.image.combined_non_max_suppression` returns none
    either.

    Args:
        outputs: see `candidates`.
        image_size: `[B, 2]` int32 (height, width) of the images without their padding.
        num_classes: K.
        decoding: to candidates.
        suppression: to detections.

    Returns:
        boxes: `[B, D, 4]` float32 yxyx in pixels of the input, by falling score. In all but the last the rows past an
            image's `num_detections` are 0.
        scores: `[B, D]` float32.
        classes: `[B, D]` int32.
        levels: `[B, D]` int32, the pyramid level that each comes from.
        branch: `[B, D]` int32, 0 anchor-free, 1 anchor-based.
        num_detections: `[B]` int32.
    """
    return suppress(candidates(outputs, decoding), image_size, num_classes, suppression)


def candidates(outputs: Outputs, decoding: Decoding) -> list[dict[str, tf.Tensor]]:
    """Decodes the best candidates of each level and branch (section 3.2).

    An anchor-free location gives one candidate, of its best class; an anchor, and with `multi_label` a location too,
    gives one for each class.

    Args:
        outputs: logits before the sigmoid, offsets and deltas as `detector.build_detector` returns them; those of
            other branches are not looked at. B may be 0.
        decoding: to candidates.

    Returns:
        Of each level and branch, c candidates by falling score: `boxes` `[B, c, 4]` float32 yxyx in pixels of the
            input, which may reach out of the image, `scores` `[B, c]` float32, and `classes`, `levels` and `branch`
            `[B, c]` int32.
    """
    return [
        _of_level(branch, int(level), outputs[branch.logits][level], outputs[branch.boxes][level], decoding)
        for branch in decoding.branches
        for level in sorted(outputs[branch.logits], key=int)
    ]


def suppress(
    candidates: Sequence[dict[str, tf.Tensor]], image_size: tf.Tensor, num_classes: int, suppression: Suppression
) -> Detections:
    """Clips boxes to the image, drops those with nothing in it, and suppresses class by class.

    Args:
        candidates: of each level and branch, what `candidates` returns of it; C together.
        image_size: as for `detect`, which describes what is returned.
        num_classes: K.
        suppression: to detections.

    Returns:
        What `detect` returns.
    """
    joined = {key: tf.concat([of_level[key] for of_level in candidates], axis=1) for key in candidates[0]}
    boxes = box_ops.clip(joined["boxes"], image_size[:, None])
    scores = tf.where(box_ops.area(boxes) > 0, joined["scores"], 0.0)  # [B, C]: under any threshold
    apart = _classes_apart(boxes, joined["classes"], image_size, num_classes)
    selected, count = _nms(apart, scores, suppression)
    is_detection = tf.range(suppression.max_detections) < count[:, None]  # [B, D]
    joined |= {"boxes": boxes, "scores": scores}
    if suppression.fusion == "mean":
        limits = suppression.nms_iou, suppression.score_threshold
        found = fusion.mean_of_branches(joined, apart, selected, is_detection, *limits)
    else:
        found = {key: tf.gather(joined[key], selected, batch_dims=1) for key in joined}  # [B, D, ...]
    detections = {key: tf.where(is_detection, found[key], 0) for key in ("scores", "classes", "levels", "branch")}
    detections["boxes"] = tf.where(is_detection[..., None], found["boxes"], 0.0)
    return dict(detections, num_detections=count)


def signature(count: int) -> dict[str, tf.TensorSpec]:
    """The detections of one image, at most `count`, as `detect` has them of a batch."""
    integers = {key: tf.TensorSpec([count], tf.int32) for key in ("classes", "levels", "branch")}
    boxes, scores = tf.TensorSpec([count, 4], tf.float32), tf.TensorSpec([count], tf.float32)
    return {**integers, "boxes": boxes, "scores": scores, "num_detections": tf.TensorSpec([], tf.int32)}


def best(detections: Sequence[Detections], most: int) -> Detections:
    """The `most` best of several sets of detections of the same images; a score of 0 is none."""
    keys = [key for key in detections[0] if key != "num_detections"]
    joined = {key: tf.concat([each[key] for each in detections], axis=1) for key in keys}  # [B, N, ...]
    scores, order = _top(joined["scores"], most)
    found = {key: tf.gather(value, order, batch_dims=1) for key, value in joined.items()}
    is_detection = scores > 0  # [B, most]
    found = {
        key: tf.where(is_detection[..., None] if key == "boxes" else is_detection, value, tf.zeros([], value.dtype))
        for key, value in found.items()
    }
    return dict(found, num_detections=tf.math.count_nonzero(is_detection, axis=1, dtype=tf.int32))


def of_branch(candidates: Sequence[dict[str, tf.Tensor]], branch: Branch) -> list[dict[str, tf.Tensor]]:
    """The candidates with those of other branches under any threshold, so that one branch alone is suppressed."""
    return [dict(some, scores=tf.where(some["branch"] == branch.number, some["scores"], 0.0)) for some in candidates]


def to_original(detections: Detections, image_size: tf.Tensor, original_size: tf.Tensor) -> Detections:
    """Detections with their boxes in pixels of the original images.

    Args:
        detections: of resized images, as `detect` returns them.
        image_size: `[B, 2]` int32, height and width that the images were resized to.
        original_size: `[B, 2]` int32, height and width that they had; the boxes are clipped to it.

    Returns:
        The same with `boxes` `[B, D, 4]` float32 yxyx in pixels of the original images.
    """
    scale = tf.cast(image_size, tf.float32) / tf.cast(original_size, tf.float32)  # [B, 2]
    boxes = detections["boxes"] / tf.tile(scale, [1, 2])[:, None]  # [B, D, 4] / [B, 1, 4]
    return dict(detections, boxes=box_ops.clip(boxes, original_size[:, None]))


def _of_level(branch: Branch, level: int, logits, values, decoding: Decoding) -> dict[str, tf.Tensor]:
    """The candidates of one level: the rows of highest score by their best class, or the best (row, class) pairs."""
    _, height, width, channels = _shape(logits)
    count, classes = height * width * branch.per_location, channels // branch.per_location
    every_class = branch.finds_every_class or decoding.multi_label
    best, row, class_index = best_of(_rows(logits, count, classes), decoding.max_per_level, every_class)  # [B, k] each
    values = tf.cast(tf.gather(_rows(values, count, 4), row, batch_dims=1), tf.float32)  # [B, k, 4]
    boxes = branch.decode(values, row, (height, width), level)
    return _candidates(boxes, best, class_index, level, branch.number)


def best_of(values: tf.Tensor, limit: int, every_class: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """At most `limit` candidates of a level's M rows.

    Args:
        values: logits or scores `[B, M, K]`.
        limit: k, if there are as many.
        every_class: each class of a row, or only its best.

    Returns:
        Value, row and class `[B, k]`, by falling value.
    """
    return (_best_pairs if every_class else _best_rows)(values, limit)


def _best_rows(logits, limit: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Logit, row and class `[B, k]` of the rows of `[B, M, K]` whose best class is highest, at most `limit`."""
    best, row = _top(tf.reduce_max(logits, axis=-1), limit)
    return best, row, tf.argmax(tf.gather(logits, row, batch_dims=1), axis=-1, output_type=tf.int32)


def _best_pairs(logits, limit: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Logit, row and class `[B, k]` of the (row, class) pairs of `[B, M, K]` that are highest, at most `limit`.

    P3 of a COCO image has 12 million pairs of the anchor-based branch. The best `limit` pairs belong to the `limit`
    rows of the highest best class, so the pairs of those are all that is sorted. These rows go back to their order
    first: equal pairs then rank as they would among all pairs.
    """
    classes = logits.shape[-1]
    _, row = _top(tf.reduce_max(logits, axis=-1), limit)
    row = tf.sort(row, axis=-1)  # [B, k]
    pairs = _rows(tf.gather(logits, row, batch_dims=1), tf.shape(row)[1] * classes)
    best, pair = _top(pairs, limit)  # [B, k]
    return best, tf.gather(row, pair // classes, batch_dims=1), pair % classes


def _shape(maps) -> list:
    """Sizes as ints where they are known, else as scalar tensors."""
    return [known or size for known, size in zip(maps.shape, tf.unstack(tf.shape(maps)))]


def _rows(maps, *size) -> tf.Tensor:
    """`maps` as `[B, *size]`. No size is -1, which a batch of no image would leave open."""
    return tf.reshape(maps, [tf.shape(maps)[0], *size])


def _top(values, limit: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The highest of `[B, M]`, at most `limit`, and where they are; the first of equal ones comes first."""
    return tf.math.top_k(values, tf.minimum(limit, tf.shape(values)[1]))


def _candidates(boxes, logits, classes, level: int, branch: int) -> dict[str, tf.Tensor]:
    return {
        "boxes": boxes,
        "scores": tf.sigmoid(tf.cast(logits, tf.float32)),
        "classes": classes,
        "levels": tf.fill(tf.shape(classes), level),
        "branch": tf.fill(tf.shape(classes), branch),
    }


def _classes_apart(boxes, classes, image_size, num_classes: int) -> tf.Tensor:
    """The boxes `[B, C, 4]` of each class moved to a place of their own, so that one suppression does for all.

    The places form a square: 80 of them in a row of 1344 px images would leave float32 a resolution of 1/128 px, a
    square has 1/1024.
    """
    columns = math.ceil(math.sqrt(num_classes))
    place = tf.stack([classes // columns, classes % columns], axis=-1)  # [B, C, 2]
    shift = tf.cast(place * (image_size[:, None] + 1), boxes.dtype)  # [B, C, 2] * [B, 1, 2]
    return boxes + tf.concat([shift, shift], axis=-1)


def _nms(apart, scores, suppression: Suppression) -> tuple[tf.Tensor, tf.Tensor]:
    """Indices `[B, D]` int32 of the boxes that stay, by falling score, and their number `[B]`."""

    def suppress_image(values):
        return tuple(
            tf.raw_ops.NonMaxSuppressionV4(
                boxes=values[0],
                scores=values[1],
                max_output_size=suppression.max_detections,
                iou_threshold=suppression.nms_iou,
                score_threshold=suppression.score_threshold,
                pad_to_max_output_size=True,
            )
        )

    if scores.shape[0] == 1:  # without a loop, which not every runtime of exported models can run
        return tuple(value[None] for value in suppress_image((apart[0], scores[0])))
    signature = (tf.TensorSpec([suppression.max_detections], tf.int32), tf.TensorSpec([], tf.int32))
    return tf.map_fn(suppress_image, (apart, scores), fn_output_signature=signature)
