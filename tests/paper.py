"""The paper's values, written out again: what the package's configuration gives must equal them."""

from fsaf_tf import anchors, losses, pyramid, selection

GEOMETRY = pyramid.Geometry((3, 4, 5, 6, 7), location_offset=0.5, offset_scale=4.0, effective=0.2, ignoring=0.5)
FOCAL = losses.Focal(alpha=0.25, gamma=2.0)
IOU = losses.IoU(epsilon=1e-6)
ONLINE = selection.Selection("online", 3, 1.0, "heuristic", warmup_share=0.0)  # only the rule and the share count
SHAPES = anchors.Shapes((1.0, 2 ** (1 / 3), 2 ** (2 / 3)), (0.5, 1.0, 2.0))
MATCHING = anchors.Matching(positive_iou=0.5, negative_iou=0.4)
SMOOTH_L1 = losses.SmoothL1(beta=1 / 9)
