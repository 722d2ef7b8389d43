"""What the columns of a CSV of boxes are: by their names, or by their number and looks where it has none.

The kinds that are known: TensorFlow's and Roboflow's (`filename,width,height,class,xmin,ymin,xmax,ymax`), that of
`predict --forms=csv` with a score more, OpenImages', makesense's, keras-retinanet's without names
(`path,x1,y1,x2,y2,class`), and that of Google's AutoML, also without names, whose boxes are in shares of the picture
(`set,path,label,x1,y1,,,x2,y2,,`).
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from fsaf_tf.data.coco_values import number

# Names of columns in small letters without what is no letter or digit; the first that is there counts.
_IMAGE = ("filename", "imagepath", "imagename", "image", "path", "filepath", "file", "img", "imageid", "imagefilename")
_CLASS = ("class", "label", "classname", "labelname", "category", "categoryname", "name", "objectclass")
_CORNERS = (
    ("xmin", "x1", "left", "bboxx1", "bboxxmin"),
    ("ymin", "y1", "top", "bboxy1", "bboxymin"),
    ("xmax", "x2", "right", "bboxx2", "bboxxmax"),
    ("ymax", "y2", "bottom", "bboxy2", "bboxymax"),
)
_STARTS = (("x", "bboxx", "xmin", "left", "boxx"), ("y", "bboxy", "ymin", "top", "boxy"))
_EXTENTS = (
    ("bboxwidth", "w", "bboxw", "boxwidth", "boxw", "width"),
    ("bboxheight", "h", "bboxh", "boxheight", "boxh", "height"),
)
_SIZE = (("imagewidth", "imgwidth", "width"), ("imageheight", "imgheight", "height"))
_FLAGS = {
    "iscrowd": ("iscrowd", "isgroupof"),
    "difficult": ("difficult", "isdifficult"),
    "ignore": ("ignore", "isignore"),
}
_SCORE = ("score", "confidence", "conf")
_SETS = {
    "TRAIN": "train",
    "TRAINING": "train",
    "VALIDATE": "val",
    "VALIDATION": "val",
    "TEST": "test",
    "UNASSIGNED": "",
}
_OPEN_IMAGES = {"imageid", "labelname", "xmin", "xmax", "ymin", "ymax"}


@dataclasses.dataclass(frozen=True)
class Columns:
    """Places of the columns.

    Attributes:
        kind: in words.
        image: of the picture's name.
        label: of the class.
        box: of the four numbers, by their names.
        are_corners: they are x1, y1, x2, y2; else x, y, width, height.
        are_shares: of the picture; else pixels.
        size: of width and height of the picture; empty where they are not there.
        flags: of `iscrowd`, `difficult` and `ignore`.
        set: of the part that a row is of.
        score: of a detection.
        first: the first row of boxes.
        counted: of what is counted alone, by kind of finding.
    """

    kind: str
    image: int
    label: int
    box: Mapping[str, int]
    are_corners: bool = True
    are_shares: bool = False
    size: tuple[int, ...] = ()
    flags: Mapping[str, int] = dataclasses.field(default_factory=dict)
    set: int | None = None
    score: int | None = None
    first: int = 1
    counted: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def needed(self) -> int:
        """How many cells a row has at least."""
        return 1 + max(self.image, self.label, *self.box.values())

    @property
    def is_open_images(self) -> bool:
        """Whether these are OpenImages', whose pictures are named without an ending, and classes by codes."""
        return self.kind == "OpenImages"


def of(rows: Sequence[Sequence[str]]) -> Columns | None:
    """The columns of the first rows of a file; None where they are none of boxes."""
    return _named(rows[0]) or _of_automl(rows) or _of_retinanet(rows) or _of_makesense(rows)


def set_of(word: str) -> str | None:
    """The part that AutoML's word stands for: `train`, `val`, `test` or none; None where it is no such word."""
    return _SETS.get(word.strip().upper())


def _named(header: Sequence[str]) -> Columns | None:
    """By the names in the first row."""
    place_of: dict[str, int] = {}
    for place, name in enumerate(header):
        place_of.setdefault(re.sub(r"[^a-z0-9]", "", name.lower()), place)

    def place(names: Sequence[str]) -> int | None:
        return next((place_of[name] for name in names if name in place_of), None)

    image, label = place(_IMAGE), place(_CLASS)
    corners, sides = [place(names) for names in _CORNERS], [place(names) for names in (*_STARTS, *_EXTENTS)]
    has_corners = None not in corners
    box = corners if has_corners else sides
    if None in (image, label, *box):
        return None
    size = [place(names) for names in _SIZE]
    kind = "OpenImages" if set(place_of) >= _OPEN_IMAGES else "CSV"
    judged = {"depiction": place(("isdepiction",)), "inside": place(("isinside",))}
    flags = {flag: place(names) for flag, names in _FLAGS.items()}
    return Columns(
        kind=kind,
        image=image,
        label=label,
        box={header[column].strip(): column for column in box},
        are_corners=has_corners,
        are_shares=kind == "OpenImages",
        size=() if None in size or set(size) & set(box) else tuple(size),
        flags={flag: column for flag, column in flags.items() if column is not None},
        score=None if kind == "OpenImages" else place(_SCORE),
        counted={key: column for key, column in judged.items() if column is not None and kind == "OpenImages"},
    )


def _of_automl(rows: Sequence[Sequence[str]]) -> Columns | None:
    """`[set,]path,label,x1,y1,x2,y1,x2,y2,x1,y2`, of which the second and the fourth corner may be empty."""
    start = {11: 1, 10: 0}.get(len(rows[0]))
    if start is None or start and any(set_of(row[0]) is None for row in rows if row and row[0]):
        return None
    box = {"x1": start + 2, "y1": start + 3, "x2": start + 6, "y2": start + 7}
    full = [row for row in rows if len(row) == len(rows[0]) and row[start + 2]]
    if any(number(row[place]) is None for row in full for place in box.values()):
        return None
    kind = {"kind": "CSV of AutoML", "image": start, "label": start + 1, "box": box}
    return Columns(**kind, are_shares=True, set=0 if start else None, first=0)


def _of_retinanet(rows: Sequence[Sequence[str]]) -> Columns | None:
    """`path,x1,y1,x2,y2,class`; of a picture without boxes all but the first are empty."""
    full = [row for row in rows if len(row) == 6 and row[1]]
    if any(len(row) != 6 for row in rows) or not full:
        return None
    if any(number(cell) is None for row in full for cell in row[1:5]):
        return None
    return Columns("CSV of keras-retinanet", 0, 5, {"x1": 1, "y1": 2, "x2": 3, "y2": 4}, first=0)


def _of_makesense(rows: Sequence[Sequence[str]]) -> Columns | None:
    """`label,x,y,width,height,name,image width,image height`."""
    if any(len(row) != 8 or any(number(row[place]) is None for place in (1, 2, 3, 4, 6, 7)) for row in rows):
        return None
    box = {"x": 1, "y": 2, "width": 3, "height": 4}
    return Columns("CSV of makesense", 5, 0, box, are_corners=False, size=(6, 7), first=0)
