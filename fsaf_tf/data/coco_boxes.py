"""The annotations of COCO JSON: one box, its class, and whether it is trained on, out of what exporters write."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from fsaf_tf.data.coco_values import identity, number, truth
from fsaf_tf.data.findings import Tally, short

LEFT_OUT = ("outside", "negative_side")  # kinds of findings that are of annotations without a row


class Row(NamedTuple):
    """Attributes:
    image_id: of its image.
    category_id: of its class.
    box_xywh: in pixels of the stored picture, not clipped.
    area: in pixels; of a mask it is less than that of the box.
    crowd: not trained on and ignored in evaluation, also because it is
    ignored: marked as ignore or difficult.
    """

    image_id: int
    category_id: int
    box_xywh: tuple[float, float, float, float]
    area: float
    crowd: bool
    ignored: bool


class Mistake(Exception):
    """An annotation that ends the reading: `kind` of mistake, and the `case` that shows it."""

    def __init__(self, kind: str, case: str):
        super().__init__(kind, case)
        self.kind, self.case = kind, case


class Reader:
    """Reads annotations one by one.

    Args:
        images: by each id that stands in the file, the entry of its image: `id`, `width`, `height`.
        category_of: for each id in the file the id of its class.
        tally: gets what is changed, counted once for each annotation and kind.
    """

    def __init__(self, images: Mapping[int, dict], category_of: Mapping[int, int], tally: Tally):
        self._images, self._category_of, self._tally = images, category_of, tally

    def read(self, item: dict, label: str) -> Row | None:
        """The row of an annotation, None where it is left out.

        Raises:
            Mistake: nobody can know what it means.
        """
        image = self._images.get(identity(item.get("image_id")))
        if image is None:
            raise Mistake("unknown image", f"{label}, image_id {short(repr(item.get('image_id')))}")
        label = f"{label}, image {image['id']}"
        category_id = self._category_of.get(identity(item.get("category_id")))
        if category_id is None:
            raise Mistake("unknown category", f"{label}: category_id {short(repr(item.get('category_id')))}")
        box, is_rewritten = self._box(item, label)
        if is_rewritten or type(item["image_id"]) is not int or type(item["category_id"]) is not int:
            self._tally.add("text_numbers", label)
        crowd = truth(item.get("iscrowd", 0))
        if crowd is None:
            raise Mistake("iscrowd is not 0 or 1", f"{label}: {short(repr(item['iscrowd']))}")
        ignored = _is_ignored(item, label)
        upright = self._upright(item, box, label)
        left_out = _left_out(upright, image)
        if left_out:
            self._tally.add(left_out, f"{label} of {image['width']} x {image['height']}: x, y, w, h {_shown(box)}")
            return None
        if ignored:
            self._tally.add("ignored", label)
        return Row(image["id"], category_id, upright, self._area(item, box, label), crowd or ignored, ignored)

    def _box(self, item: dict, label: str) -> tuple[tuple, bool]:
        """The four numbers, and whether one of them was text."""
        values = item.get("bbox")
        if values is None or values == []:
            self._tally.add("from_polygon", label)
            return _around_polygons(item.get("segmentation"), label), False
        numbers = tuple(map(number, values)) if isinstance(values, list) and len(values) == 4 else (None,)
        if None in numbers:
            raise Mistake("bbox is not four finite numbers", f"{label}: {short(values)}")
        return numbers, numbers != tuple(values)  # text equals no number

    def _area(self, item: dict, box: tuple, label: str) -> float:
        """The area that stands there, or that of the box where it stands not or cannot be."""
        of_box, value = box[2] * box[3], item.get("area")
        if value is None:
            return of_box
        given = number(value)
        possible = given is not None and given <= max(1.01 * of_box, of_box + 1) and (given > 0 or of_box == 0)
        if possible and given >= 0:
            return given
        self._tally.add("area", f"{label}: area {short(value)}, w x h {of_box:g}")
        return of_box

    def _upright(self, item: dict, box: tuple, label: str) -> tuple:
        """The box around one that is turned about its centre (CVAT's `attributes.rotation`, in degrees)."""
        attributes = item.get("attributes")
        value = attributes.get("rotation") if isinstance(attributes, dict) else None
        if not value:
            return box
        degrees = number(value)
        if degrees is None:
            raise Mistake("attributes.rotation is not a number", f"{label}: {short(repr(value))}")
        if degrees % 180 == 0 or min(box[2:]) < 0:
            return box
        self._tally.add("rotated", f"{label}: by {degrees:g} degrees")
        x, y, width, height = box
        cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
        new_width, new_height = width * cos + height * sin, width * sin + height * cos
        return x + (width - new_width) / 2, y + (height - new_height) / 2, new_width, new_height


def _left_out(box: tuple, image: dict) -> str | None:
    """The kind of finding that a box is of which nothing can be learnt, or None."""
    x, y, width, height = box
    if width < 0 or height < 0:
        return "negative_side"
    inside = x < image["width"] and x + width > 0 and y < image["height"] and y + height > 0
    return None if inside or width == 0 or height == 0 else "outside"


def _is_ignored(item: dict, label: str) -> bool:
    """Whether `ignore` or `difficult` is set, in the annotation or in its `attributes`, where text is no mistake."""
    for key in ("ignore", "difficult"):
        value = truth(item[key]) if key in item else False
        if value is None:
            raise Mistake(f"{key} is not 0 or 1", f"{label}: {short(repr(item[key]))}")
        if value:
            return True
    attributes = item.get("attributes")
    return isinstance(attributes, dict) and any(truth(attributes.get(key, 0)) for key in ("ignore", "difficult"))


def _around_polygons(segmentation, label: str) -> tuple[float, float, float, float]:
    """The box around polygons `[[x1, y1, x2, y2, ...], ...]`."""
    if isinstance(segmentation, dict):
        raise Mistake("RLE mask without a bbox, which is not read; write the box of each mask into bbox", label)
    polygons = segmentation if isinstance(segmentation, list) else []
    if polygons and not isinstance(polygons[0], list):
        polygons = [polygons]
    flat = [number(value) for polygon in polygons if isinstance(polygon, list) for value in polygon]
    is_even = all(len(polygon) % 2 == 0 for polygon in polygons if isinstance(polygon, list))
    if len(flat) < 6 or None in flat or not is_even:
        raise Mistake("bbox is not four finite numbers", f"{label}: there is none, and no polygon")
    left, top = min(flat[::2]), min(flat[1::2])
    return left, top, max(flat[::2]) - left, max(flat[1::2]) - top


def _shown(box: tuple) -> list[float]:
    return [round(value, 2) for value in box]
