"""What the library draws by itself. `figures` has what is asked for, `analysis.charts` the curves of a report."""

from fsaf_tf.visualize.canvas import PALETTE
from fsaf_tf.visualize.detections import (
    LEAST_SIDE,
    SHOWN_SCORE,
    caption,
    detection_pictures,
    detections_beside_truth,
    draw_boxes,
    draw_detections,
    marked,
)
from fsaf_tf.visualize.targets import draw_targets, target_pictures

__all__ = [
    "LEAST_SIDE",
    "PALETTE",
    "SHOWN_SCORE",
    "caption",
    "detection_pictures",
    "detections_beside_truth",
    "draw_boxes",
    "draw_detections",
    "draw_targets",
    "marked",
    "target_pictures",
]
