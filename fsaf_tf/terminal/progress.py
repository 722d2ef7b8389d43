"""What a run says on the terminal: one live line of progress, and lines that stay."""

import collections
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO, TypeVar

CLEAR_LINE = "\r\x1b[K"
SECONDS_BETWEEN_LINES = 10.0

T = TypeVar("T")


class Progress:
    """One line that is rewritten in place on a terminal, and elsewhere a new line every ten seconds or so.

    Attributes:
        stream: where the lines go; standard output if not given.
        clock: seconds, as `time.monotonic` counts them.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        self._stream = stream or sys.stdout
        self.clock = clock
        self._is_terminal = self._stream.isatty()
        self._is_open = False  # a live line stands without its end
        self._last = -float("inf")

    def update(self, text: str) -> None:
        """Shows `text` as the live line."""
        if self._is_terminal:
            width = shutil.get_terminal_size().columns
            self._write(CLEAR_LINE + text[: width - 1])
            self._is_open = True
        elif self.clock() - self._last >= SECONDS_BETWEEN_LINES:
            self._write(text + "\n")
            self._last = self.clock()

    def keep(self, text: str) -> None:
        """Writes `text` in the place of the live line, to stay there: the state at the end of a phase."""
        self._write((CLEAR_LINE if self._is_open else "") + text + "\n")
        self._is_open = False
        self._last = self.clock()

    def say(self, text: str) -> None:
        """Writes lines that stay, under the live line."""
        self._write(("\n" if self._is_open else "") + text + "\n")
        self._is_open = False

    def tell(self, text: str) -> None:
        """Writes lines that every process of a run says, also those that are `Quiet`."""
        self.say(text)

    def close(self) -> None:
        """Ends the live line, so that what others print starts on a line of its own."""
        if self._is_open:
            self._write("\n")
            self._is_open = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Quiet(Progress):
    """Of a process whose lines another one says already: it only tells."""

    def update(self, text: str) -> None:
        """Shows nothing."""

    keep = say = update

    def tell(self, text: str) -> None:
        """Writes lines, as above."""
        self._write(text + "\n")


class Rate:
    """Items a second over the last loops, without the first one, which also traces the graph."""

    def __init__(self, window: int = 20):
        self._loops = collections.deque(maxlen=window)
        self.count = 0  # loops so far

    def add(self, items: int, seconds: float) -> float:
        """Counts a loop of `items` in `seconds`, and returns items a second."""
        self.count += 1
        if self.count > 1:
            self._loops.append((items, seconds))
        return self.per_second

    @property
    def per_second(self) -> float:
        """Items a second; 0 before the second loop."""
        seconds = sum(seconds for _, seconds in self._loops)
        return sum(items for items, _ in self._loops) / seconds if seconds > 0 else 0.0


def track(items: Iterable[T], line: Progress, tell: Callable[[int, float], str]) -> Iterator[T]:
    """The items, one by one, with a live line on how far they are.

    Args:
        items: taken when their turn comes. The time of one is that of making it and of what is done with it.
        line: rewritten after each item, and closed after the last one.
        tell: what it says, from the number of items that are done and the items a second.
    """
    rate, start = Rate(), line.clock()
    for done, item in enumerate(items, start=1):
        yield item
        now = line.clock()
        line.update(tell(done, rate.add(1, now - start)))
        start = now
    line.close()


def duration(seconds: float) -> str:
    """Seconds as `m:ss`, or `h:mm:ss` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def training_line(
    step: int,
    total: int,
    loss: float,
    levels: str,
    ap: float | None,
    images_per_second: float,
    seconds_left: float,
) -> str:
    """The live line of training.

    `ap` is the last evaluation's, None before the first; `levels` may be empty; a rate of 0 is not known yet.
    """
    parts = [f"step {step}/{total}", f"loss {loss:.4g}", levels, f"AP {'-' if ap is None else f'{ap:.3f}'}"]
    return "  ".join(part for part in (*parts, *_pace(images_per_second, "images", seconds_left)) if part)


def evaluation_line(images: int, total: int, images_per_second: float) -> str:
    """The live line of evaluation; a rate of 0 is not known yet."""
    return _counted(f"evaluating {images}/{total} images", images, total, images_per_second, "images")


def prediction_line(done: int, total: int, per_second: float, unit: str) -> str:
    """The live line of prediction; `total` is 0 where it is not known, and so is a rate of 0."""
    if total:
        return _counted(f"predicting {done}/{total} {unit}", done, total, per_second, unit)
    return f"predicting {unit[:-1]} {done}" + (f"  {per_second:.1f} {unit}/s" if per_second else "")


def preparation_line(done: int, total: int, per_second: float) -> str:
    """The live line while shards are written; a rate of 0 is not known yet."""
    return _counted(f"preparing {done}/{total} pictures", done, total, per_second, "pictures")


def _counted(start: str, done: int, total: int, per_second: float, unit: str) -> str:
    seconds_left = max(total - done, 0) / per_second if per_second else 0.0
    return "  ".join([start, *_pace(per_second, unit, seconds_left)])


def _pace(per_second: float, unit: str, seconds_left: float) -> list[str]:
    """How fast it goes and how long it takes, once that is known."""
    return [f"{per_second:.1f} {unit}/s", f"ETA {duration(seconds_left)}"] if per_second else []
