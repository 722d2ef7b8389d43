"""What every form of annotations has in common: the pictures that are written, and what a form cannot hold."""

import dataclasses
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fsaf_tf.data.classes import Classes
from fsaf_tf.data.coco_json import Annotations
from fsaf_tf.errors import UserError

IGNORE, CROWD = "ignore", "iscrowd"  # as COCO JSON calls them
DIFFICULT, LEFT_OUT = "are written as difficult", "are left out"


class Picture(NamedTuple):
    """A picture with its n boxes.

    Attributes:
        name: its path from the image folder.
        image_id: its number.
        height: in pixels.
        width: likewise.
        boxes_yxyx: `[n, 4]` float64 in pixels.
        class_indices: `[n]`.
        crowd: `[n]` bool, also of those that are
        ignored: `[n]` bool.
        area: `[n]` float64.
    """

    name: str
    image_id: int
    height: int
    width: int
    boxes_yxyx: np.ndarray
    class_indices: np.ndarray
    crowd: np.ndarray
    ignored: np.ndarray
    area: np.ndarray

    def clipped(self) -> "Picture":
        """The same with boxes that end at the border."""
        return self._replace(boxes_yxyx=np.clip(self.boxes_yxyx, 0, [self.height, self.width] * 2))

    def rows(self, classes: Classes) -> Iterator[tuple[str, tuple[float, float, float, float], str]]:
        """Name of the class, box `y1, x1, y2, x2`, and `IGNORE`, `CROWD` or nothing, of each box."""
        names = (classes.names[index] for index in self.class_indices)
        marks = np.where(self.ignored, IGNORE, np.where(self.crowd, CROWD, ""))
        return zip(names, map(tuple, self.boxes_yxyx.tolist()), marks.tolist())


class Content(NamedTuple):
    """What a form is made of.

    Attributes:
        stem: name of the file, of a form that is one; of another one that of the part, which may be empty.
        table: the annotations.
        pictures: path of the image folder from the folder that is written.
    """

    stem: str
    table: Annotations
    pictures: str

    @property
    def classes(self) -> Classes:
        """Those of the annotations."""
        return self.table.classes

    def each(self) -> Iterator[Picture]:
        """The pictures one by one, in the order of the annotations."""
        table = self.table
        corners = np.concatenate([table.boxes_xywh[:, :2], table.boxes_xywh[:, :2] + table.boxes_xywh[:, 2:]], axis=1)
        boxes = corners[:, [1, 0, 3, 2]]
        columns = (boxes, table.class_indices, table.crowd, table.ignored, table.area)
        sizes = table.sizes.tolist()
        for place, name in enumerate(table.file_names):
            part = slice(table.splits[place], table.splits[place + 1])
            own = (column[part] for column in columns)
            yield Picture(name, int(table.image_ids[place]), *sizes[place], *own)


@dataclasses.dataclass(frozen=True)
class Form:
    """One form.

    Attributes:
        title: for messages.
        files: gives path and text of each file of it.
        ending: of its one file; empty where it is a folder.
        shown: what is given as annotation_file, from the folder of the part; `{stem}` is that of a file.
        picture_folder: where pictures go that are copied or linked.
        of_all: gives path and text of the files of all parts, of a form that has such: its parts are in one folder,
            and each thing has a folder for each of them.
        needs_pictures: it finds pictures and boxes by each other's place.
        crowd: what becomes of crowds, where it cannot hold them.
        ignored: likewise of boxes to be ignored.
        has_areas: whether areas of masks stay.
        has_ids: whether pictures and classes keep their ids.
        has_sizes: whether it says how large pictures are.
        has_empty_pictures: whether those without boxes are in it.
        has_empty_classes: whether classes without boxes are in it.
        is_clipped: whether boxes end at the border of their picture.
    """

    title: str
    files: Callable[[Content], Iterable[tuple[str, str]]]
    ending: str = ""
    shown: str = "{stem}"
    picture_folder: str = "images"
    of_all: Callable[[Classes, Sequence[str]], Iterable[tuple[str, str]]] | None = None
    needs_pictures: bool = False
    crowd: str = ""
    ignored: str = ""
    has_areas: bool = False
    has_ids: bool = False
    has_sizes: bool = True
    has_empty_pictures: bool = True
    has_empty_classes: bool = False
    is_clipped: bool = False


def path_of(folder: str, name: str, ending: str) -> str:
    """Where the file of a picture goes: beside others in the folders that it has itself."""
    return posixpath.join(folder, os.path.splitext(name)[0] + ending)


def check_distinct(files: Iterable[tuple[str, str]], remedy: str) -> list[str]:
    """The paths of the files of pictures.

    Args:
        files: path of a file, and the name of the picture that it is of.
        remedy: what to do, for the message.

    Raises:
        UserError: two of the pictures would have one file.
    """
    name_of: dict[str, str] = {}
    for path, name in files:
        other = name_of.setdefault(path, name)
        if other != name:
            raise UserError(f"{other} and {name} would both be {path}; {remedy}")
    return list(name_of)


def number(value: float) -> str:
    """A coordinate as text: as many digits as it takes, at most 12, and none behind the point of whole pixels."""
    return f"{value:.12g}"
