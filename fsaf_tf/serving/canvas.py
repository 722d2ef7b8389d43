"""The input of a TFLite file: its size, how a picture is brought to it, and how boxes come back (section 4's sizes).

Training lets a picture keep its aspect and pads it with zeros after normalising, which is the mean colour before. So a
file is given pictures at the size that they had in training, in the upper left corner of a canvas of that colour.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from fsaf_tf import detection
from fsaf_tf.data import augment
from fsaf_tf.errors import UserError

SQUARE, LANDSCAPE, PORTRAIT, BOTH = "square", "landscape", "portrait", "both"
CHOICES = (SQUARE, LANDSCAPE, PORTRAIT, BOTH)
MULTIPLE = 32  # px: each map of P3 to P5 then has twice the cells of the next

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Canvas:
    """The input of a file, and how pictures lie on it.

    Attributes:
        height, width: of the input, in pixels.
        keep_aspect: pictures lie in the upper left corner; else they are stretched to all of it.
        shorter_side: what the shorter side of a picture becomes, in pixels, unless
        longer_side: the longer one would exceed this; or the picture the canvas.
        padding: the colour of the rest, RGB, 0 to 255.
        orientation: `landscape` or `portrait` of a file for such pictures, and part of its name; empty: for all.
    """

    height: int
    width: int
    keep_aspect: bool
    shorter_side: int
    longer_side: int
    padding: tuple[int, int, int]
    orientation: str

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    def size_of(self, picture: tuple[int, int]) -> tuple[int, int]:
        """Height and width on the canvas of a picture of this height and width."""
        if not self.keep_aspect:
            return self.size
        height, width = augment.resized_size(picture, self.shorter_side, self.longer_side).numpy().tolist()
        shrink = min(1.0, self.height / height, self.width / width)
        return max(round(height * shrink), 1), max(round(width * shrink), 1)

    def fit(self, image: np.ndarray) -> np.ndarray:
        """A picture `[h, w, 3]` uint8 RGB as the file's input `[1, height, width, 3]` uint8."""
        height, width = self.size_of(image.shape[:2])
        fitted = np.empty((1, *self.size, 3), np.uint8)
        fitted[:] = self.padding
        fitted[0, :height, :width] = augment.resize(tf.constant(image), tf.constant([height, width])).numpy()
        return fitted

    def to_picture(self, boxes: np.ndarray, picture: tuple[int, int]) -> np.ndarray:
        """Boxes in shares of the canvas in pixels of a picture, clipped to it.

        Args:
            boxes: `[..., 4]` yxyx, as the file gives them; one in the padding alone comes back without area.
            picture: height and width.
        """
        factors = np.divide(picture, self.size_of(picture)) * self.size
        return np.clip(boxes * np.float32([*factors, *factors]), 0, np.float32([*picture, *picture]))

    def stretching(self) -> "Canvas":
        """The same as it is used by who does not know of padding: MediaPipe and the task library stretch pictures."""
        return dataclasses.replace(self, keep_aspect=False)

    def describe(self) -> str:
        """A line for the terminal: the input, the scale of pictures, the padding."""
        line = f"Input: {self.height} x {self.width} px (height x width), "
        if not self.keep_aspect:
            return f"{line}pictures are stretched to it"
        smaller = "" if min(self.size) >= self.longer_side else ", smaller where that does not fit"
        return (
            f"{line}pictures in its upper left corner at the scale of training (shorter side {self.shorter_side} px,"
            f" longer at most {self.longer_side}{smaller}), the rest in RGB {', '.join(map(str, self.padding))}"
        )


def choose(program: detection.Program, choice: str | None, size: tuple[int, int] | None) -> list[Canvas]:
    """The canvas of each file to write; of two the first is for landscape pictures, and squares.

    Args:
        program: of the detector; its pictures keep their aspect or are stretched as in training.
        choice: one of `CHOICES`, in the sides of training; if not given, the square if the aspect is kept, and else
            the landscape canvas.
        size: height and width, multiples of 32 pixels, in the place of a choice.

    Raises:
        UserError: both are given, or sides that do not fit.
    """
    if choice and size:
        raise UserError("--canvas is given by the sides of training; leave it out, or --height and --width")
    oriented = dict(zip((LANDSCAPE, PORTRAIT), augment.canvas_sizes(*program.sides)))
    if size:
        wanted = {"": _checked(size)}
    elif choice == BOTH:
        wanted = oriented
    elif choice in oriented:
        wanted = {choice: oriented[choice]}
    else:
        is_square = choice == SQUARE or program.keep_aspect
        wanted = {"": 2 * (max(oriented[LANDSCAPE]),) if is_square else oriented[LANDSCAPE]}
    sides, padding = program.sides, _mean_rgb(program)
    return [Canvas(*each, program.keep_aspect, *sides, padding, name) for name, each in wanted.items()]


def from_settings(settings: dict[str, Any]) -> Canvas:
    """The canvas that a file's settings record; files of before the canvas have pictures stretched.

    Raises:
        UserError: it is none.
    """
    given = settings.get("canvas", settings)
    if "canvas" not in settings:
        sides = [given.get(side) for side in ("height", "width")]
        shorter, longer = sorted(sides) if all(map(_is_side, sides)) else (0, 0)
        given = dict(zip(_FIELDS, (*sides, False, shorter, longer, (0, 0, 0), "")))
    if not isinstance(given, dict) or set(given) != set(_FIELDS) or not _is_canvas(**given):
        raise UserError(f"canvas is {given!r:.200}, which is no input of a file")
    return Canvas(**given | {"padding": tuple(given["padding"])})


_FIELDS = tuple(field.name for field in dataclasses.fields(Canvas))


def _is_canvas(height, width, keep_aspect, shorter_side, longer_side, padding, orientation) -> bool:
    """Whether values from a file are those of a `Canvas`."""
    return (
        all(map(_is_side, (height, width, shorter_side, longer_side)))
        and isinstance(keep_aspect, bool)
        and isinstance(padding, (list, tuple))
        and len(padding) == 3
        and all(type(value) is int and 0 <= value < 256 for value in padding)
        and isinstance(orientation, str)
    )


def _is_side(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**15


def of_orientation(of_each: Sequence[T], picture: tuple[int, int]) -> T:
    """What belongs to a picture of this height and width, of one thing for each canvas of `choose`."""
    return of_each[-1] if picture[0] > picture[1] else of_each[0]


def greatest_stretch(canvases: Sequence[Canvas], pictures: Iterable[tuple[int, int]]) -> float:
    """How many times as far as the other side one side of a picture is stretched at most, if all are stretched."""
    ratios = []
    for picture in pictures:
        by_height, by_width = np.divide(of_orientation(canvases, picture).size, picture)
        ratios.append(max(by_height / by_width, by_width / by_height))
    return max(ratios)


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    for name, side in zip(("height", "width"), size):
        if side < MULTIPLE or side % MULTIPLE:
            near = max(1, round(side / MULTIPLE)) * MULTIPLE
            raise UserError(f"--{name}={side}: sides are multiples of {MULTIPLE} pixels, such as {near}")
    return size


def _mean_rgb(program: detection.Program) -> tuple[int, int, int]:
    normalization = program.normalization
    mean = normalization.mean[::-1] if normalization.channel_order == "bgr" else normalization.mean
    return tuple(round(value) for value in mean)
