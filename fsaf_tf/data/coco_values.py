"""Values of COCO JSON as exporters write them: numbers as text, whole numbers with a point, truths in several forms."""

import math
from collections.abc import Iterable
from typing import Any

from fsaf_tf.data.classes import GREATEST_ID

_TRUE, _FALSE = (True, "true", "yes", "1"), (False, None, "", "false", "no", "0")


def is_number(value: Any) -> bool:
    """A number that is neither NaN, infinite nor beyond any picture."""
    return type(value) in (int, float) and -1e12 < value < 1e12


def number(value: Any) -> float | int | None:
    """A finite number, also one that is written as text; None if it is none."""
    if isinstance(value, str):
        try:
            value = float(value) if "_" not in value else None
        except ValueError:
            return None
    return value if is_number(value) else None


def whole(value: Any) -> int | None:
    """A whole number, also as text or as 7.0; None if it is none."""
    if type(value) is int:
        return value
    if isinstance(value, str):
        digits = value.strip()
        if digits.removeprefix("-").isdecimal() and digits.isascii():
            return int(digits) if len(digits) < 40 else None
        value = number(digits)
    is_whole = type(value) is float and math.isfinite(value) and value == int(value)
    return int(value) if is_whole else None


def identity(value: Any) -> int | None:
    """A whole number that may be an id; None if it is none, or is too large."""
    read = value if type(value) is int else whole(value)
    return read if read is not None and abs(read) <= GREATEST_ID else None


class Ids:
    """How the ids of a list are compared: as whole numbers, or as text where one of them is no number.

    Args:
        values: all of them, as they stand in the file.
    """

    def __init__(self, values: Iterable[Any]):
        self.are_text = any(isinstance(value, str) and value.strip() and whole(value) is None for value in values)

    def key(self, value: Any) -> int | str | None:
        """What an id is known by; None if it is none."""
        if not self.are_text:
            return identity(value)
        if isinstance(value, str):
            return value.strip() or None
        read = whole(value)
        return None if read is None else str(read)

    def is_too_large(self, value: Any) -> bool:
        """Whether it is no id only because it is a number that is too large."""
        read = None if self.are_text else whole(value)
        return read is not None and abs(read) > GREATEST_ID

    def is_rewritten(self, value: Any) -> bool:
        """Whether it is known by a number and does not stand there as one."""
        return not self.are_text and type(value) is not int


def truth(value: Any) -> bool | None:
    """A truth as 0 or 1, true or false, or text of these; None if it is none."""
    if value is False or value == 0:
        return False
    word = value.strip().lower() if isinstance(value, str) else value
    if isinstance(word, list | dict):
        return None
    return True if word in _TRUE else False if word in _FALSE else None
