"""What all files of this folder are of: three pictures, three boxes, two classes."""

import pathlib

PICTURES = {"a.png": (120, 90), "b.png": (90, 120), "c.png": (100, 100)}  # width and height; the last has no box
CLASSES = ("nut", "bolt")
BOXES = (
    ("a.png", "nut", (10, 10, 30, 20)),
    ("a.png", "bolt", (60.5, 30, 40, 45.5)),
    ("b.png", "nut", (20, 70, 25, 25)),
)


def boxes_of(picture: str) -> list[tuple[str, tuple]]:
    """Name of the class and x, y, width, height of each box of a picture."""
    return [(label, box) for name, label, box in BOXES if name == picture]


def corners(box) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2 of x, y, width, height."""
    x, y, width, height = box
    return x, y, x + width, y + height


def polygon(box) -> list[float]:
    """The corners of a box as a polygon, x before y."""
    left, top, right, bottom = corners(box)
    return [left, top, right, top, right, bottom, left, bottom]


def draw(folder: pathlib.Path, name: str = "{}") -> None:
    """Writes the pictures, their names put into a pattern."""
    from PIL import Image

    for place, (picture, size) in enumerate(PICTURES.items()):
        Image.new("RGB", size, (60 * place, 120, 90)).save(folder / name.format(picture))
