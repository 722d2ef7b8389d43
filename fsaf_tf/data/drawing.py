"""The pictures of the data set `shapes`, drawn from nothing but a number, the same on every machine.

Textured backgrounds with up to nine objects of seven classes, from dots of 6 px to objects that fill most of the
picture, and bars of 1:12 and thinner. A class is told by its form and by its hue; hues of neighbours touch. Objects
overlap, reach over the border, and some pictures are empty.

Everything is drawn in whole numbers from NumPy's frozen `RandomState`, without a drawing library, a float sum or a
sine: the pixels depend on no version of anything. A change here needs a new `VERSION` of the builder in
`data.shapes`, or pictures that were drawn before stay in use.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

# Class names and their colours (red, green, blue), varied by 28 up or down in each picture.
COLOURS = {
    "dot": (235, 215, 60),
    "disc": (220, 70, 60),
    "ring": (70, 160, 225),
    "box": (225, 140, 50),
    "triangle": (80, 185, 90),
    "cross": (160, 85, 205),
    "bar": (90, 220, 205),
}
CLASS_NAMES = tuple(COLOURS)

LONGER_SIDE, SHORTER_SIDE = 256, 192
MAX_OBJECTS = 9
# An object is placed where no more than so many hundredths of it, or of one below it, are covered or cut off.
MAX_HIDDEN = 30
# Rotations without sines: (a, b, c) with a^2 + b^2 = c^2 turn by the angle whose cosine is a / c and sine b / c.
ROTATIONS = ((1, 0, 1), (3, 4, 5), (4, 3, 5), (5, 12, 13), (12, 5, 13), (15, 8, 17), (-4, 3, 5), (-3, 4, 5), (0, 1, 1))


@dataclasses.dataclass
class Shape:
    """An object before it is placed: class name, height and width in px, and a rotation of `ROTATIONS`."""

    name: str
    height: int
    width: int
    rotation: tuple[int, int, int]


def _pick(rng: np.random.RandomState, low: int, high: int, size=None):
    """Whole numbers, `low` to `high` inclusive, the same on systems whose C long has 32 bits."""
    return rng.randint(low, high + 1, size=size, dtype=np.int64)


def _noise(rng: np.random.RandomState, height: int, width: int, cell: int) -> np.ndarray:
    """Smooth noise `[height, width]`, 0 to 255: random values every `cell` pixels, linear in between."""
    knots = _pick(rng, 0, 255, (height // cell + 2, width // cell + 2))
    row, y = np.divmod(np.arange(height), cell)
    column, x = np.divmod(np.arange(width), cell)
    rows = knots[row] * (cell - y)[:, None] + knots[row + 1] * y[:, None]
    return (rows[:, column] * (cell - x) + rows[:, column + 1] * x) // cell**2


def _background(rng: np.random.RandomState, height: int, width: int) -> np.ndarray:
    """A texture `[height, width, 3]` int64: two dull colours mixed by noise, stripes or checks, and fine grain."""
    grey = _pick(rng, 50, 200, (2, 1))
    colours = grey + _pick(rng, -30, 30, (2, 3))
    mix = (2 * _noise(rng, height, width, 32) + _noise(rng, height, width, 8)) // 3
    y, x = np.arange(height)[:, None], np.arange(width)
    kind, period, slope = _pick(rng, 0, 3), _pick(rng, 5, 24), _pick(rng, -2, 2)
    if kind == 1:
        mix = mix // 2 + (x + slope * y) // period % 2 * 128
    elif kind == 2:
        mix = mix // 2 + (x // period + y // period) % 2 * 128
    picture = colours[0] + (colours[1] - colours[0]) * mix[..., None] // 256
    return picture + 2 * _pick(rng, -3, 3, (height, width, 1))


def _choose(rng: np.random.RandomState) -> Shape:
    """A class and a size: a fifth dots, a fifth bars, the others from 10 px to most of the picture."""
    chance = _pick(rng, 0, 99)
    name = "dot" if chance < 20 else "bar" if chance < 42 else CLASS_NAMES[1 + chance % 5]
    rotation = ROTATIONS[_pick(rng, 0, len(ROTATIONS) - 1)]
    if name == "dot":
        height = width = _pick(rng, 6, 13)
    elif name == "bar":
        thickness = _pick(rng, 4, 9)
        height, width = thickness, thickness * _pick(rng, 12, 20)
        rotation = ROTATIONS[0] if _pick(rng, 0, 1) else ROTATIONS[-1]
    else:
        low, high = ((10, 16), (16, 40), (40, 90), (90, 190))[np.searchsorted((15, 50, 80), _pick(rng, 0, 99), "right")]
        height = width = _pick(rng, low, high)
        if name == "box":
            height = max(8, width * _pick(rng, 35, 100) // 100)
    return Shape(name, int(height), int(width), rotation)


def _mask(shape: Shape) -> np.ndarray:
    """The shape's pixels, bool, in the middle of a square that holds it at any rotation."""
    a, b, c = shape.rotation
    side = shape.height + shape.width
    # Twice the distance of a pixel's centre from the middle, times c: whole numbers throughout.
    offset = 2 * np.arange(side) + 1 - side
    u = np.abs(a * offset + b * offset[:, None])
    signed_v = a * offset[:, None] - b * offset
    v = np.abs(signed_v)
    half_u, half_v = shape.width * c, shape.height * c
    if shape.name in ("dot", "disc"):
        return u**2 + v**2 <= half_u**2
    if shape.name == "ring":
        return (u**2 + v**2 <= half_u**2) & (25 * (u**2 + v**2) >= 9 * half_u**2)
    if shape.name == "triangle":
        return (2 * u <= signed_v + half_v) & (signed_v <= half_v)
    if shape.name == "cross":
        return ((u <= half_u) & (3 * v <= half_v)) | ((v <= half_v) & (3 * u <= half_u))
    return (u <= half_u) & (v <= half_v)


def _place(rng: np.random.RandomState, mask: np.ndarray, owner: np.ndarray, visible: np.ndarray, total: list) -> bool:
    """Writes a new object into the map of owners, where no object loses too much; False: found no place.

    Args:
        rng: where to try.
        mask: `[side, side]` of the new object.
        owner: `[H, W]`, 0 nobody, i the i-th object; changed.
        visible: `[MAX_OBJECTS + 1]` visible pixels of each owner; changed.
        total: pixels of the objects, the new one's last.
    """
    height, width = owner.shape
    side, new = len(mask), len(total)
    for _ in range(8):
        top, left = int(_pick(rng, 0, height)) - side // 2, int(_pick(rng, 0, width)) - side // 2
        rows, columns = slice(max(top, 0), max(top + side, 0)), slice(max(left, 0), max(left + side, 0))
        window = owner[rows, columns]
        cut = mask[max(-top, 0) :, max(-left, 0) :][: window.shape[0], : window.shape[1]]
        after = visible - np.bincount(window[cut], minlength=len(visible))
        after[new] = np.count_nonzero(cut)
        if np.all(100 * after[1 : new + 1] >= (100 - MAX_HIDDEN) * np.array(total)):
            window[cut], visible[:] = new, after
            return True
    return False


def _paint(rng: np.random.RandomState, picture: np.ndarray, y: np.ndarray, x: np.ndarray, name: str) -> None:
    """Colours an object's visible pixels: its class's colour, stripes in every second one, a dark rim."""
    colour = np.array(COLOURS[name]) + _pick(rng, -28, 28, 3)
    period, dark = _pick(rng, 3, 9), _pick(rng, 0, 1) * 30
    owned = np.zeros(np.add(picture.shape[:2], 2), bool)
    owned[y + 1, x + 1] = True
    inside = owned[y, x + 1] & owned[y + 2, x + 1] & owned[y + 1, x] & owned[y + 1, x + 2]
    darker = (x + y) // period % 2 * dark + 60 * ~inside
    picture[y, x] = colour - darker[:, None]


def draw(seed: int, index: int) -> tuple[np.ndarray, list[dict]]:
    """Draws one picture.

    Args:
        seed: of the split.
        index: the picture's number in it; odd ones are portrait.

    Returns:
        The picture `[H, W, 3]` uint8 and its objects: `name`, `box` (y1, x1, y2, x2 in whole px, tight around what is
        visible) and `area`, the visible pixels.
    """
    rng = np.random.RandomState([seed, index])
    height, width = (LONGER_SIDE, SHORTER_SIDE) if index % 2 else (SHORTER_SIDE, LONGER_SIDE)
    picture, owner = _background(rng, height, width), np.zeros((height, width), np.int64)
    count = 0 if _pick(rng, 0, 39) == 0 else _pick(rng, 1, MAX_OBJECTS)
    shapes = sorted((_choose(rng) for _ in range(count)), key=lambda shape: -shape.height * shape.width)
    names, total, visible = [], [], np.zeros(MAX_OBJECTS + 1, np.int64)
    for shape in shapes:
        mask = _mask(shape)
        if _place(rng, mask, owner, visible, [*total, np.count_nonzero(mask)]):
            names.append(shape.name)
            total.append(np.count_nonzero(mask))
    objects = []
    for i, name in enumerate(names):
        y, x = np.nonzero(owner == i + 1)
        box = (int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1)
        _paint(rng, picture, y, x, name)
        objects.append({"name": name, "box": box, "area": len(y)})
    return np.clip(picture, 0, 255).astype(np.uint8), objects


def draw_batch(seed: int, indices: Sequence[int]) -> dict[str, np.ndarray]:
    """Draws pictures as a batch, for other people's code: what `criterion.anchor_free_losses` wants of one.

    Args:
        seed: see `draw`; 1 and 2 are those of the data set's splits.
        indices: the numbers of B pictures.

    Returns:
        images: `[B, 256, 256, 3]` uint8, black below or beside a picture.
        boxes: of its objects, `[B, N, 4]` float32 yxyx in pixels, padded to N of `MAX_OBJECTS`.
        classes: `[B, N]` int32, a place in `CLASS_NAMES`.
        valid: `[B, N]` bool: it is an object.
    """
    size = (len(indices), MAX_OBJECTS)
    images = np.zeros((len(indices), LONGER_SIDE, LONGER_SIDE, 3), np.uint8)
    boxes, classes, valid = np.zeros((*size, 4), np.float32), np.zeros(size, np.int32), np.zeros(size, bool)
    for place, index in enumerate(indices):
        picture, drawn = draw(seed, index)
        images[place, : picture.shape[0], : picture.shape[1]] = picture
        for row, item in enumerate(drawn):
            boxes[place, row], classes[place, row] = item["box"], CLASS_NAMES.index(item["name"])
            valid[place, row] = True
    return {"images": images, "boxes": boxes, "classes": classes, "valid": valid}
