"""The forms in which a box may stand in an annotation."""

import numpy as np
import pytest
from pycocotools import mask

from fsaf_tf.data import coco_bbox
from fsaf_tf.data.mistakes import Mistake

SIZE = [30, 40]  # of the mask, whose columns are 5 to 14, rows 8 to 10
PIXELS = np.zeros(SIZE, np.uint8, order="F")
PIXELS[8:11, 5:15] = 1
COMPRESSED = mask.encode(PIXELS)["counts"].decode()
RUNS = [5 * 30 + 8] + [3, 27] * 9 + [3, 19 + 25 * 30]


@pytest.mark.parametrize(
    ("item", "box", "kinds"),
    [
        ({"bbox": [5, 8, 10, 3]}, (5, 8, 10, 3), ()),
        ({"bbox": [5, "8", 10, 3]}, (5, 8, 10, 3), ("text_numbers",)),
        ({"bbox": [5, 8, 10, 3], "bbox_mode": 1}, (5, 8, 10, 3), ()),
        ({"bbox": [5, 8, 10, 3], "bbox_mode": "BoxMode.XYWH_ABS"}, (5, 8, 10, 3), ()),
        ({"bbox": [5, 8, 15, 11], "bbox_mode": 0}, (5, 8, 10, 3), ("other_bbox",)),
        ({"bbox": [5, 8, 15, 11], "bbox_mode": "XYXY_ABS"}, (5, 8, 10, 3), ("other_bbox",)),
        ({"bbox": "[5, 8, 10, 3]"}, (5, 8, 10, 3), ("other_bbox",)),
        ({"bbox": '{"left": 5, "top": 8, "w": 10, "h": 3}'}, (5, 8, 10, 3), ("other_bbox",)),
        ({"bbox": {"x": "5", "y": 8, "w": 10, "h": 3}}, (5, 8, 10, 3), ("text_numbers", "other_bbox")),
        ({"bbox": {"left": 5, "top": 8, "right": 15, "bottom": 11}}, (5, 8, 10, 3), ("other_bbox",)),
        ({"bbox": {"x1": 5, "y1": 8, "x2": 15, "y2": 11}, "bbox_mode": 1}, (5, 8, 10, 3), ("other_bbox",)),
        ({"segmentation": [[5, 8, 15, 8], [15, 11]]}, (5, 8, 10, 3), ("from_polygon",)),
        ({"bbox": None, "segmentation": {"size": SIZE, "counts": RUNS}}, (5, 8, 10, 3), ("from_polygon",)),
        ({"bbox": {}, "segmentation": {"size": SIZE, "counts": COMPRESSED}}, (5, 8, 10, 3), ("from_polygon",)),
    ],
)
def test_forms(item, box, kinds):
    assert coco_bbox.read(item, "annotation 1") == (box, kinds)


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ({"bbox": "5, 8, 10, 3"}, "bbox is not four"),
        ({"bbox": "[" * 100_000}, "bbox is not four"),
        ({"bbox": [5, 8, 10, 3, 0.5]}, "bbox is not four"),
        ({"bbox": {"x": 5, "y": 8, "width": 10}}, "bbox is not four"),
        ({"bbox": {"x": 5, "y": 8, "width": 10, "height": [3]}}, "bbox is not four"),
        ({"bbox": 7}, "bbox is not four"),
        ({"bbox": [5, 8, 10, 3], "bbox_mode": 4}, "bbox_mode is neither"),
        ({"bbox": [5, 8, 10, 3], "bbox_mode": "XYXY_REL"}, "bbox_mode is neither"),
        ({"bbox": [5, 8, 10, 3], "bbox_mode": [1]}, "bbox_mode is neither"),
        ({}, "no bbox, and no polygon"),
        ({"segmentation": {"size": SIZE, "counts": RUNS[1:]}}, "no bbox, and an RLE"),
        ({"segmentation": {"size": SIZE, "counts": [1200]}}, "no bbox, and an RLE"),
        ({"segmentation": {"size": SIZE, "counts": [-1, 1201]}}, "no bbox, and an RLE"),
        ({"segmentation": {"size": [0, 40], "counts": COMPRESSED}}, "no bbox, and an RLE"),
        ({"segmentation": {"size": [4, 4], "counts": COMPRESSED}}, "no bbox, and an RLE"),
        ({"segmentation": {"size": SIZE, "counts": COMPRESSED + "o"}}, "no bbox, and an RLE"),
        ({"segmentation": {"size": SIZE, "counts": "größer"}}, "no bbox, and an RLE"),
        ({"segmentation": {"size": SIZE}}, "no bbox, and an RLE"),
        ({"segmentation": {}}, "no bbox, and an RLE"),
    ],
)
def test_what_is_no_box(item, kind):
    with pytest.raises(Mistake) as error:
        coco_bbox.read(item, "annotation 1")
    assert error.value.kind.startswith(kind) and error.value.case.startswith("annotation 1")
