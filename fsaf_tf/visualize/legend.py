"""What is written around pictures: headings, and keys that say what a colour or a pattern stands for."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fsaf_tf.visualize import canvas, fonts

SIDE = 22  # pixels of a swatch
_TITLE, _TEXT = 26, 17  # pixels of letters
_INDENT = 10
LEAST_WIDTH = 520  # pixels: that of the longest entry of a key, but for the names of classes


def heading(title: str, lines: Sequence[str], width: int) -> Image.Image:
    """A title and lines of explanation, wrapped to `width` pixels: at least `LEAST_WIDTH`, and a word is not cut."""
    width = max(width, LEAST_WIDTH) - 2 * _INDENT
    texts = [fonts.load(title, _TITLE), *(fonts.load(line, _TEXT) for line in lines)]
    rows = [(row, font) for text, font in texts for row in _wrapped(text, font, width)]
    width = max(width, *(math.ceil(font.getlength(row)) for row, font in rows)) + 2 * _INDENT
    strip = Image.new("RGB", (width, sum(font.size + 8 for _, font in rows) + 8), canvas.BLACK)
    draw, top = ImageDraw.Draw(strip), 6
    for row, font in rows:
        draw.text((_INDENT, top), row, fill=canvas.WHITE, font=font)
        top += font.size + 8
    return strip


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    rows = [""]
    for word in text.split():
        longer = f"{rows[-1]} {word}".strip()
        if font.getlength(longer) > width and rows[-1]:
            rows.append(word)
        else:
            rows[-1] = longer
    return rows


def key(entries: Sequence[tuple[Image.Image, str]], width: int) -> Image.Image:
    """Swatches with what they stand for, side by side, wrapped to a width as of `heading`."""
    texts, places, left, top = [fonts.load(text, _TEXT) for _, text in entries], [], _INDENT, 4
    sides = [swatch.width + 8 + math.ceil(font.getlength(text)) for (swatch, _), (text, font) in zip(entries, texts)]
    width = max(width, LEAST_WIDTH, *(side + 2 * _INDENT for side in sides))
    for side in sides:
        if left + side + _INDENT > width and left > _INDENT:
            left, top = _INDENT, top + SIDE + 8
        places.append((left, top))
        left += side + 26
    strip = Image.new("RGB", (width, top + SIDE + 8), canvas.BLACK)
    draw = ImageDraw.Draw(strip)
    for (left, top), (swatch, _), (text, font) in zip(places, entries, texts):
        strip.paste(swatch, (left, top))
        draw.text((left + swatch.width + 8, top + 1), text, fill=canvas.WHITE, font=font)
    return strip


def filled(colour: canvas.Colour) -> Image.Image:
    """A swatch of one colour."""
    return Image.new("RGB", (SIDE, SIDE), colour)


def framed(colour: canvas.Colour, *, dashed: bool = False) -> Image.Image:
    """A swatch for boxes that are drawn as frames."""
    swatch = Image.new("RGB", (2 * SIDE, SIDE), (60, 60, 60))
    canvas.frame(ImageDraw.Draw(swatch), (1, 1, 2 * SIDE - 2, SIDE - 2), colour, 3, swatch.size, dashed=dashed)
    return swatch


def graded(colours: np.ndarray) -> Image.Image:
    """A swatch for a scale of `colours` `[n, 3]`, its low end at the left."""
    row = colours[np.linspace(0, len(colours) - 1, 6 * SIDE).astype(int)]
    return Image.fromarray(np.broadcast_to(row, (SIDE, *row.shape)).astype(np.uint8))
