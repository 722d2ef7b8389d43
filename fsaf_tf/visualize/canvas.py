"""What all pictures are drawn with: the one palette, frames, captions, panels with titles, legends."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from fsaf_tf.visualize import fonts

# Light enough for black text, and far enough apart.
_BASE = np.array(
    [
        (255, 92, 92),
        (63, 184, 255),
        (125, 220, 79),
        (255, 176, 46),
        (201, 139, 255),
        (47, 224, 200),
        (255, 122, 198),
        (246, 232, 74),
        (143, 168, 255),
        (255, 143, 77),
        (88, 224, 138),
        (217, 167, 122),
    ]
)
# The colour of a class index; after each 12 the same colours come paler, then darker, then again as they were.
PALETTE = np.concatenate([_BASE, _BASE + 0.5 * (255 - _BASE), 0.7 * _BASE]).astype(int)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
# Judgements, which are no classes: told apart without telling red from green, too.
GOOD, BAD, COMMON, DOUBTFUL = (92, 214, 92), (255, 84, 84), (150, 170, 190), (255, 190, 60)
GAP = 8  # pixels between panels
DASH = 7  # pixels
LEAST_LETTERS = 12  # pixels
COVERED = 0.25  # share of a picture that captions may cover, if they can be read
CAPTION = 11  # "P3 person 0.83": eight times as wide as its letters are high, and a rim

Colour = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Mark:
    """A box on a picture: `box` yxyx in its pixels, what is written on it (perhaps nothing), and how it looks."""

    box: Sequence[float]
    text: str
    colour: Colour
    dashed: bool = False


def colour(index: int) -> Colour:
    """The colour of a class index."""
    return tuple(PALETTE[int(index) % len(PALETTE)].tolist())


def resized(image: np.ndarray, factor: float) -> Image.Image:
    """An image `[H, W, 3]` uint8 at `factor` times its size."""
    picture = Image.fromarray(image)
    size = tuple(max(1, round(side * factor)) for side in picture.size)
    return picture.resize(size, Image.Resampling.BICUBIC) if size != picture.size else picture


def mark(image: np.ndarray, factor: float, marks: Sequence[Mark]) -> Image.Image:
    """The image at `factor` times its size with marks, the first on top.

    A caption is kept inside the picture, and off the captions of marks before it where there is room.
    """
    picture = resized(image, factor)
    boxes = [xyxy(each.box)[0] * factor for each in marks]
    size = _letters(picture.size, len(marks))
    thickness = max(2, round(size / 6))
    draw = ImageDraw.Draw(picture, "RGBA")
    for box, each in reversed(list(zip(boxes, marks))):
        frame(draw, box, each.colour, thickness, picture.size, dashed=each.dashed)
    placed = []
    for box, each in zip(boxes, marks):
        if each.text:
            text, font = fonts.load(each.text, size)
            placed.append(_place(box, _text_size(font, text), placed, picture.size))
            _tag(draw, placed[-1], text, font, each.colour)
    return picture


def _letters(size: tuple[int, int], count: int) -> int:
    """The height of letters in pixels: a share of the picture's, but so that captions leave most of it to be seen."""
    width, height = size
    room = COVERED * width * height / max(count, 1)  # of a caption, which is some `CAPTION` times its height squared
    return max(LEAST_LETTERS, round(min(max(size) / 75, math.sqrt(room / CAPTION))))


def xyxy(boxes) -> np.ndarray:
    """Boxes `[N, 4]` yxyx in PIL's order."""
    return np.asarray(boxes, np.float64).reshape(-1, 4)[:, [1, 0, 3, 2]]


def frame(draw, box, colour: Colour, thickness: int, size, *, dashed: bool = False) -> None:
    """A frame about `box` (xyxy), inside a picture of `size`, with a dark rim that shows it on its own colour."""
    x1, y1, x2, y2 = (round(min(max(side, 0), limit - 1)) for side, limit in zip(box, (*size, *size)))
    if dashed:
        _dash(draw, (x1, y1, x2, y2), colour, thickness)
        return
    draw.rectangle((x1, y1, x2, y2), outline=(*BLACK, 110), width=thickness + 1)
    draw.rectangle((x1, y1, x2, y2), outline=colour, width=thickness)


def _dash(draw, box, colour: Colour, thickness: int) -> None:
    x1, y1, x2, y2 = box
    for start in range(x1, x2, 2 * DASH):
        end = min(start + DASH, x2)
        draw.rectangle((start, y1, end, y1 + thickness - 1), fill=colour)
        draw.rectangle((start, y2 - thickness + 1, end, y2), fill=colour)
    for start in range(y1, y2, 2 * DASH):
        end = min(start + DASH, y2)
        draw.rectangle((x1, start, x1 + thickness - 1, end), fill=colour)
        draw.rectangle((x2 - thickness + 1, start, x2, end), fill=colour)


def _text_size(font, text: str) -> tuple[int, int]:
    ascent, descent = font.getmetrics()
    return math.ceil(font.getlength(text)) + 8, ascent + descent + 2


def _place(box, size, placed, limits) -> tuple[int, int, int, int]:
    """Where a caption of `size` (width, height) overlaps earlier ones least: at a corner of its box, above first."""
    width, height = size
    x1, y1, x2, y2 = (round(side) for side in box)
    best, least = None, math.inf
    for left, top in (
        (x1, y1 - height),
        (x1, y1),
        (x1, y2),
        (x2 - width, y1 - height),
        (x1, y2 - height),
        (x2 - width, y2),
        (x2, y1),
    ):
        left, top = max(min(left, limits[0] - width), 0), max(min(top, limits[1] - height), 0)
        place = (left, top, left + width, top + height)
        overlap = sum(_overlap(place, other) for other in placed)
        if overlap < least:
            best, least = place, overlap
    return best


def _overlap(a, b) -> int:
    return max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)


def _tag(draw, place, text: str, font, colour: Colour) -> None:
    draw.rectangle((place[0], place[1], place[2] - 1, place[3] - 1), fill=(*colour, 225))
    draw.text((place[0] + 4, place[1] + 1), text, fill=BLACK, font=font)


def panel(picture: Image.Image, title: str) -> Image.Image:
    """The picture under its title, in smaller letters where it is too wide for it."""
    title, font = fonts.load(title, 16)
    _, height = _text_size(font, title)
    least, most = 9, 16 * (picture.width - 12) / max(font.getlength(title), 1)
    title, font = fonts.load(title, min(16, max(least, math.floor(most))))
    whole = Image.new("RGB", (picture.width, picture.height + height + 6), BLACK)
    whole.paste(picture, (0, height + 6))
    ImageDraw.Draw(whole).text((6, 3), title, fill=WHITE, font=font)
    return whole


def tile(panels: Sequence[Image.Image], columns: int = 0) -> Image.Image:
    """Panels of one size, row by row; nearly as many rows as columns if these are not given."""
    columns = columns or math.ceil(math.sqrt(len(panels)))
    rows = math.ceil(len(panels) / columns)
    width, height = (side + GAP for side in panels[0].size)
    picture = Image.new("RGB", (columns * width - GAP, rows * height - GAP), BLACK)
    for index, each in enumerate(panels):
        picture.paste(each, (index % columns * width, index // columns * height))
    return picture


def under(parts: Sequence[Image.Image]) -> Image.Image:
    """Pictures one under another, as wide as the widest."""
    height = sum(part.height + GAP for part in parts) - GAP
    picture = Image.new("RGB", (max(part.width for part in parts), height), BLACK)
    top = 0
    for part in parts:
        picture.paste(part, (0, top))
        top += part.height + GAP
    return picture
