"""All boxes of a data set as arrays, as training gets them, for counting."""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from fsaf_tf.data.findings import READ, Finding, found


@dataclasses.dataclass(frozen=True)
class BoxTable:
    """I pictures and n boxes.

    Attributes:
        file_names: I names.
        sizes: `[I, 2]` int32, height and width of the stored pictures.
        image_index: `[n]` int64, 0 to I - 1.
        boxes_yxyx: `[n, 4]` float32 in pixels of the stored picture, clipped to it.
        given_xywh: `[n, 4]` float64 before clipping.
        class_indices: `[n]` int32.
        crowd: `[n]` bool, also of those that are
        ignored: `[n]` bool.
        duplicate: `[n]` bool, the same as an earlier one, so that training does not get it.
    """

    file_names: list[str]
    sizes: np.ndarray
    image_index: np.ndarray
    boxes_yxyx: np.ndarray
    given_xywh: np.ndarray
    class_indices: np.ndarray
    crowd: np.ndarray
    ignored: np.ndarray
    duplicate: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes_yxyx)

    @property
    def sides(self) -> np.ndarray:
        """`[n, 2]` float32, height and width of the clipped boxes."""
        return self.boxes_yxyx[:, 2:] - self.boxes_yxyx[:, :2]

    @property
    def has_area(self) -> np.ndarray:
        """`[n]` bool, whether anything of a box lies inside its picture."""
        return np.all(self.sides > 0, axis=1)

    def named(self, mask: np.ndarray) -> Iterator[str]:
        """The boxes of a mask `[n]`, one by one in words."""
        for place in np.flatnonzero(mask):
            box = [round(side, 2) for side in self.given_xywh[place].tolist()]
            yield f"{self.file_names[self.image_index[place]]}: x, y, w, h {box}"


def of_rows(rows: list[dict]) -> BoxTable:
    """The table of examples that were gone through as NumPy, their boxes as they were given; see `examples.Source`."""
    boxes = np.concatenate([np.zeros([0, 4], np.float32), *(row["boxes"] for row in rows)])
    corners, sides = boxes[:, 1::-1], (boxes[:, 2:] - boxes[:, :2])[:, ::-1]
    crowd = np.concatenate([np.zeros(0, bool), *(row["crowd"] for row in rows)])
    sizes = np.reshape(np.array([row["size"] for row in rows], np.int32), [-1, 2])
    image_index = np.repeat(np.arange(len(rows)), [len(row["boxes"]) for row in rows])
    return BoxTable(
        file_names=[row["file_name"].decode("utf-8", "replace") for row in rows],
        sizes=sizes,
        image_index=image_index,
        boxes_yxyx=np.clip(boxes, 0, np.tile(sizes, 2)[image_index]).astype(np.float32),
        given_xywh=np.concatenate([corners, sides], axis=1).astype(np.float64),
        class_indices=np.concatenate([np.zeros(0, np.int32), *(row["classes"] for row in rows)]),
        crowd=crowd,
        ignored=np.zeros_like(crowd),
        duplicate=np.zeros_like(crowd),
    )


def without_bad(table: BoxTable, where: str) -> tuple[BoxTable, list[Finding]]:
    """The table without the boxes that `examples.clip_boxes` leaves out, and how many these are."""
    sides = table.given_xywh[:, 2:]
    is_negative = np.any(sides < 0, axis=1)
    masks = {
        "outside": ~is_negative & np.all(sides > 0, axis=1) & ~table.has_area,
        "negative_side": is_negative,
    }
    bad = [found(kind, mask.sum(), len(table), READ[kind], table.named(mask), where) for kind, mask in masks.items()]
    kept = ~np.logical_or.reduce(list(masks.values()))
    columns = ("image_index", "boxes_yxyx", "given_xywh", "class_indices", "crowd", "ignored", "duplicate")
    left = dataclasses.replace(table, **{name: getattr(table, name)[kept] for name in columns})
    return left, list(itertools.chain(*bad))


def findings(table: BoxTable, where: str) -> tuple[Finding, ...]:
    """What is not trained on, or not as it was given, whatever the size of the input: crowds, borders, no area."""
    without = np.bincount(table.image_index, minlength=len(table.sizes)) == 0
    over = np.any(table.given_xywh[:, 2:] - table.sides[:, ::-1] > 0.5, axis=1)
    masks = {"crowd": table.crowd & ~table.ignored, "clipped": over, "no_area": ~table.has_area}
    names = (table.file_names[place] for place in np.flatnonzero(without))
    of_boxes = [
        found(kind, mask.sum(), len(table), READ[kind], table.named(mask), where) for kind, mask in masks.items()
    ]
    of_pictures = found("empty_pictures", without.sum(), len(without), READ["empty_pictures"], names, where)
    return (*itertools.chain(*of_boxes), *of_pictures)
