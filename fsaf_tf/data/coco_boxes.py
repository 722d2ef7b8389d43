"""The annotations of COCO JSON: one box, its class, and whether it is trained on, out of what exporters write."""

import math
from typing import NamedTuple

from fsaf_tf.data import coco_bbox
from fsaf_tf.data.coco_categories import Categories
from fsaf_tf.data.coco_images import Images
from fsaf_tf.data.coco_values import number, truth
from fsaf_tf.data.findings import Tally, short
from fsaf_tf.data.mistakes import Mistake

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


class Reader:
    """Reads annotations one by one.

    Args:
        images: those of the file.
        categories: likewise.
        tally: gets what is changed, counted once for each annotation and kind.
    """

    def __init__(self, images: Images, categories: Categories, tally: Tally):
        self._images, self._categories, self._tally = images, categories, tally

    def read(self, item: dict, label: str, *, names_image: bool = True) -> Row | None:
        """The row of an annotation, None where it is left out.

        Args:
            item: the annotation.
            label: names it in messages.
            names_image: they have the id of the image besides.

        Raises:
            Mistake: nobody can know what it means.
        """
        image = self._images.find(item.get("image_id"))
        if image is None:
            raise Mistake("unknown image", f"{label}, image_id {short(repr(item.get('image_id')))}")
        label = f"{label}, image {short(item['image_id'])}" if names_image else label
        category_id = self._categories.find(item.get("category_id"))
        if category_id is None:
            raise Mistake("unknown category", f"{label}: category_id {short(repr(item.get('category_id')))}")
        box = self._box(item, label)
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

    def _box(self, item: dict, label: str) -> tuple[float, float, float, float]:
        """The four numbers; counts in what other form they or the ids stand there."""
        box, kinds = coco_bbox.read(item, label)
        known = ((self._images, "image_id"), (self._categories, "category_id"))
        if any(things.ids.is_rewritten(item[key]) for things, key in known):
            kinds = {*kinds, "text_numbers"}
        for kind in kinds:
            self._tally.add(kind, label)
        return box

    def _area(self, item: dict, box: tuple, label: str) -> float:
        """The area that stands there, or that of the box where it stands not or cannot be."""
        of_box, value = box[2] * box[3], item.get("area")
        if value is None:
            return of_box
        given = number(value)
        # A mask's area counts each pixel that it touches: on either side up to half a pixel more than the box.
        greatest = max(1.01 * of_box, (box[2] + 1) * (box[3] + 1))
        possible = given is not None and given <= greatest and (given > 0 or of_box == 0)
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


def _shown(box: tuple) -> list[float]:
    return [round(value, 2) for value in box]
