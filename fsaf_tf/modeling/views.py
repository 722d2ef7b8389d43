"""Table 3, many test scales: views of an image, other sizes and mirrored, whose candidates meet in one frame.

As in Detectron, the candidates of all views go through one suppression. Detectron's limit of the longer side is 2000 px
at every size; here it grows with the size, from the one of training: 1333 px at 800, 2000 px at 1200.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf

Candidates = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Views:
    """Which views of an image there are.

    Attributes:
        sizes: shorter and longer side of each size, in pixels, as `augment.resize_and_pad` takes them.
        flip: each size is mirrored left to right, too.
    """

    sizes: tuple[tuple[int, int], ...]
    flip: bool

    def describe(self) -> str:
        """A line that tells what an image costs."""
        count = len(self.sizes) * (1 + self.flip)
        mirrored = ", each mirrored too" if self.flip else ""
        sides = ", ".join(str(shorter_side) for shorter_side, _ in self.sizes)
        return f"test-time augmentation: {count} view{'s'[: count > 1]} of an image, shorter side {sides} px{mirrored}"


def candidates(
    sized: Iterable[tuple[tf.Tensor, tf.Tensor]],
    candidates_of: Callable[[tf.Tensor, tf.Tensor], Sequence[Candidates]],
    *,
    flip: bool,
) -> tuple[Candidates, tf.Tensor]:
    """The candidates of all views, in pixels of the first one.

    One view after the other, in a graph too, so that only one is in memory.

    Args:
        sized: the same B images at each size: `[B, H, W, 3]` with its padding, and height and width without it,
            `[B, 2]` int32.
        candidates_of: from such a pair to what `postprocess.candidates` returns.
        flip: see `Views`.

    Returns:
        What `postprocess.suppress` takes, C of all views together, and the size `[B, 2]` of the first one.
    """
    frame, found = None, []
    for images, size in sized:
        frame = size if frame is None else frame
        for is_mirrored in (False, True)[: 1 + flip]:
            with tf.control_dependencies([each["boxes"] for each in found]):
                view = mirror(images, size) if is_mirrored else tf.identity(images)
            found += [to_frame(each, size, frame, is_mirrored) for each in candidates_of(view, size)]
    return {key: tf.concat([each[key] for each in found], axis=1) for key in found[0]}, frame


def mirror(images: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Mirrors images `[B, H, W, C]` left to right within their size `[B, 2]`; the padding stays on the right."""
    return tf.reverse_sequence(images, size[:, 1], seq_axis=2, batch_axis=0)


def to_frame(candidates: Candidates, size: tf.Tensor, frame: tf.Tensor, is_mirrored: bool) -> Candidates:
    """Candidates of one view in pixels of another.

    Args:
        candidates: with `boxes` `[B, c, 4]` yxyx.
        size: `[B, 2]` int32, height and width of the view they were found in.
        frame: `[B, 2]` int32, height and width of the other, which is not mirrored.
        is_mirrored: they were found in a mirrored view.
    """
    boxes = candidates["boxes"]
    size, frame = (tf.cast(each, boxes.dtype) for each in (size, frame))
    if is_mirrored:
        y1, x1, y2, x2 = tf.unstack(boxes, axis=-1)
        width = size[:, 1:]  # [B, 1]
        boxes = tf.stack([y1, width - x2, y2, width - x1], axis=-1)
    scale = frame / size
    return {**candidates, "boxes": boxes * tf.concat([scale, scale], axis=-1)[:, None]}
