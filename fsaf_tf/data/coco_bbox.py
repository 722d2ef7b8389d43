"""The box of an annotation of COCO JSON, out of the forms in which exporters write it."""

import json
from typing import Any

from pycocotools import mask

from fsaf_tf.data.coco_values import number, whole
from fsaf_tf.data.findings import short
from fsaf_tf.data.mistakes import Mistake

# Names that sides have in an object; the first row is left and top, as in a list.
_START = (("x", "left", "xmin", "x1"), ("y", "top", "ymin", "y1"))
_SIDES = (("width", "w"), ("height", "h"))
_END = (("right", "xmax", "x2"), ("bottom", "ymax", "y2"))
# Whether a list has corners, by detectron2's `bbox_mode` as a number or by its name.
_HAS_CORNERS = {0: True, "XYXY_ABS": True, 1: False, "XYWH_ABS": False}
_NOT_FOUR = "bbox is not four finite numbers"
_BAD_MASK = "no bbox, and an RLE mask that cannot be read"


def read(item: dict, label: str) -> tuple[tuple[float, float, float, float], tuple[str, ...]]:
    """x, y, width and height of an annotation, and the kinds of findings that it is.

    Args:
        item: the annotation.
        label: names it in messages.

    Raises:
        Mistake: there is no box, or none that can be understood.
    """
    bbox = item.get("bbox")
    if bbox is None or bbox in ([], {}, ""):
        segmentation = item.get("segmentation")
        around = _around_mask if isinstance(segmentation, dict) else _around_polygons
        return around(segmentation, label), ("from_polygon",)
    values, has_corners = _four(bbox)
    if has_corners is None:
        has_corners = _mode(item, label)
    numbers = tuple(map(number, values)) if len(values) == 4 else (None,)
    if None in numbers:
        raise Mistake(_NOT_FOUR, f"{label}: {short(bbox)}")
    kinds = ["text_numbers"] * (numbers != tuple(values))  # text equals no number
    kinds += ["other_bbox"] * (has_corners or values is not bbox)
    x, y, right, bottom = numbers
    return ((x, y, right - x, bottom - y) if has_corners else numbers), tuple(kinds)


def _four(bbox: Any) -> tuple[list, bool | None]:
    """The values of a bbox, and whether they are corners, None where it does not say; none of what is no box."""
    if isinstance(bbox, str):
        try:
            bbox = json.loads(bbox)
        except (ValueError, RecursionError):
            return [], None
    if isinstance(bbox, dict):
        for names, has_corners in ((_START + _SIDES, False), (_START + _END, True)):
            values = [next((bbox[name] for name in synonyms if name in bbox), None) for synonyms in names]
            if None not in values:
                return values, has_corners
    return (bbox if isinstance(bbox, list) else []), None


def _mode(item: dict, label: str) -> bool:
    """Whether `bbox_mode` says that the box is corners; without it, it is none."""
    value = item.get("bbox_mode", 1)
    name = value.rpartition(".")[2] if isinstance(value, str) else None
    has_corners = _HAS_CORNERS.get(name, _HAS_CORNERS.get(whole(value)))
    if has_corners is None:
        raise Mistake("bbox_mode is neither XYXY_ABS (0) nor XYWH_ABS (1)", f"{label}: {short(repr(value))}")
    return has_corners


def _around_polygons(segmentation: Any, label: str) -> tuple[float, float, float, float]:
    """The box around polygons `[[x1, y1, x2, y2, ...], ...]`."""
    polygons = segmentation if isinstance(segmentation, list) else []
    if polygons and not isinstance(polygons[0], list):
        polygons = [polygons]
    flat = [number(value) for polygon in polygons if isinstance(polygon, list) for value in polygon]
    is_even = all(len(polygon) % 2 == 0 for polygon in polygons if isinstance(polygon, list))
    if len(flat) < 6 or None in flat or not is_even:
        raise Mistake("no bbox, and no polygon or mask", label)
    left, top = min(flat[::2]), min(flat[1::2])
    return left, top, max(flat[::2]) - left, max(flat[1::2]) - top


def _around_mask(segmentation: dict, label: str) -> tuple[float, float, float, float]:
    """The box around a mask `{"size": [height, width], "counts": [...] or compressed text}`."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    is_size = isinstance(size, list) and len(size) == 2 and all(type(side) is int and 0 < side < 2**31 for side in size)
    if not is_size or not (_are_runs(counts, size[0] * size[1]) or _is_compressed(counts)):
        raise Mistake(_BAD_MASK, label)
    is_text = isinstance(counts, str)
    rle = {"size": size, "counts": counts.encode()} if is_text else mask.frPyObjects(segmentation, *size)
    x, y, width, height = mask.toBbox(rle).tolist()
    if min(width, height) <= 0 or x + width > size[1] or y + height > size[0]:
        raise Mistake(_BAD_MASK, label)
    return x, y, width, height


def _are_runs(counts: Any, pixels: int) -> bool:
    return isinstance(counts, list) and all(type(run) is int and run >= 0 for run in counts) and sum(counts) == pixels


def _is_compressed(counts: Any) -> bool:
    """Whether it is text of six bits a letter, the last of which ends a number: pycocotools reads on until one does."""
    bits = [ord(letter) - 48 for letter in counts] if isinstance(counts, str) else []
    return bool(bits) and all(0 <= value < 64 for value in bits) and bits[-1] < 32
