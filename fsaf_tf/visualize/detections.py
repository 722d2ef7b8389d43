"""Pictures of detections: boxes with class names, scores and, as in Fig. 8, levels."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from fsaf_tf.visualize import canvas

LEAST_SIDE = 1000  # pixels; smaller pictures are enlarged, or the names would hide the objects
GAP = 8  # white pixels between true and found boxes
SHOWN_SCORE = 0.3  # what pictures show of a batch: below, detections are many and mostly wrong


def enlargement(image: np.ndarray) -> int:
    """How many times a picture is enlarged so that names do not hide its objects."""
    return math.ceil(LEAST_SIDE / max(image.shape[:2]))


def draw_detections(image: np.ndarray, detections: dict, score_threshold: float = 0.0) -> np.ndarray:
    """Draws boxes with class names, scores and, before the name of an anchor-free one, its level, as in Fig. 8.

    Args:
        image: `[H, W, 3]` uint8 RGB.
        detections: of one image, as the callable of `load_detector` returns them: `boxes` `[D, 4]` yxyx in
            pixels of `image`, `scores`, `classes`, `names`, and where they are known `levels` and `branch` (0
            anchor-free, 1 anchor-based).
        score_threshold: draw those that score at least this.

    Returns:
        `[H', W', 3]` uint8: the picture, enlarged a whole number of times where its longer side is under 1000 px.
    """
    return np.asarray(marked(image, detections, score_threshold))


def marked(image: np.ndarray, detections: dict, score_threshold: float = 0.0) -> Image.Image:
    """The picture of `draw_detections` as Pillow has it, to be written: of a huge one each copy counts."""
    shown = [index for index in range(len(detections["scores"])) if detections["scores"][index] >= score_threshold]
    shown.sort(key=lambda index: -detections["scores"][index])
    captions = [caption(detections, index) for index in shown]
    boxes, classes = (np.asarray(detections[key])[shown] for key in ("boxes", "classes"))
    return canvas.mark(image, enlargement(image), marks(boxes, captions, classes))


def caption(detections: dict, index: int) -> str:
    """What is written on a detection: "P4 person 0.83" if it is known to be anchor-free, else "person 0.83"."""
    is_anchor_free = "branch" in detections and detections["branch"][index] == 0
    level = f"P{detections['levels'][index]} " if is_anchor_free else ""
    return f"{level}{detections['names'][index]} {detections['scores'][index]:.2f}"


def draw_boxes(image: np.ndarray, boxes: np.ndarray, captions: Sequence[str], classes: Sequence[int]) -> np.ndarray:
    """Draws `boxes` `[N, 4]` yxyx in pixels of `image`, each with its caption in its class's colour, the first on top.

    A caption is kept inside the picture, and off the captions of boxes before it where there is room.

    Returns:
        `[H', W', 3]` uint8, enlarged as `draw_detections` says.
    """
    return np.asarray(canvas.mark(image, enlargement(image), marks(boxes, captions, classes)))


def marks(boxes, captions: Sequence[str], classes: Sequence[int]) -> list[canvas.Mark]:
    """Boxes `[N, 4]` yxyx with their captions, in their classes' colours."""
    return [canvas.Mark(box, text, canvas.colour(index)) for box, text, index in zip(boxes, captions, classes)]


def detection_pictures(images: np.ndarray, detections: dict, class_names: Sequence[str]) -> np.ndarray:
    """`draw_detections` of a batch: images `[B, H, W, 3]` uint8, detections as from `postprocess.detect`."""
    pictures = []
    for index, image in enumerate(images):
        count = int(detections["num_detections"][index])
        found = {
            name: np.asarray(values[index])[:count] for name, values in detections.items() if name != "num_detections"
        }
        found["names"] = [class_names[k] for k in found["classes"]]
        pictures.append(draw_detections(image, found, SHOWN_SCORE))
    return np.stack(pictures)


def detections_beside_truth(
    images: np.ndarray, truth: dict, detections: dict, class_names: Sequence[str]
) -> np.ndarray:
    """`detection_pictures` with the true boxes of each image on its left.

    Args:
        images: `[B, H, W, 3]` uint8.
        truth: of the batch: `boxes` `[B, N, 4]` yxyx in pixels, `classes` and `valid` `[B, N]`.
        detections: see `detection_pictures`.
        class_names: of the K classes.

    Returns:
        `[B, H', 2 W' + 8, 3]` uint8.
    """
    found = detection_pictures(images, detections, class_names)
    true = []
    for image, *rows in zip(images, *(np.asarray(truth[name]) for name in ("boxes", "classes", "valid"))):
        boxes, classes = (values[rows[-1]] for values in rows[:2])
        true.append(draw_boxes(image, boxes, [class_names[label] for label in classes], classes))
    gap = np.full([*found.shape[:2], GAP, 3], 255, np.uint8)
    return np.concatenate([np.stack(true), gap, found], axis=2)
