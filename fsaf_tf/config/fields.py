"""What a value of the configuration may be, beside its default: metadata that `checks.check_fields` reads."""

import dataclasses
import math
from collections.abc import Callable, Collection


def limited(default: float, least: float, greatest: float = math.inf):
    """A field whose value is a number from `least` to `greatest`."""
    return dataclasses.field(default=default, metadata={"limits": (least, greatest)})


def chosen(default: int | str, choices: Collection[int | str]):
    """A field whose value is one of `choices`."""
    return dataclasses.field(default=default, metadata={"choices": tuple(choices)})


def above_zero(make: Callable[[], list], *, least_count: int = 0):
    """A field whose value is a list of numbers above 0, at least `least_count` of them; `make` makes the default."""
    return dataclasses.field(default_factory=make, metadata={"least_count": least_count})
