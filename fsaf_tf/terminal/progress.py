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

    def close(self) -> None:
        """Ends the live line, so that what others print starts on a line of its own."""
        if self._is_open:
            self._write("\n")
            self._is_open = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Rate:
    """Items a second over the last loops.

    The first loop, which also traces the graph, counts only until there is a second one.
    """

    def __init__(self, window: int = 20):
        self._loops = collections.deque(maxlen=window)
        self._is_first = True

    def add(self, items: int, seconds: float) -> float:
        """Counts a loop of `items` in `seconds`, and returns items a second."""
        if self._loops and self._is_first:
            self._loops.clear()
            self._is_first = False
        self._loops.append((items, seconds))
        return self.per_second

    @property
    def per_second(self) -> float:
        """Items a second; 0 before the first loop."""
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
    """The live line of training; `ap` is the last evaluation's, None before the first, and `levels` may be empty."""
    parts = [f"step {step}/{total}", f"loss {loss:.4g}", levels, f"AP {'-' if ap is None else f'{ap:.3f}'}"]
    parts += [f"{images_per_second:.1f} images/s", f"ETA {duration(seconds_left)}"]
    return "  ".join(part for part in parts if part)


def evaluation_line(images: int, total: int, images_per_second: float) -> str:
    """The live line of evaluation."""
    seconds_left = (total - images) / images_per_second if images_per_second > 0 else 0.0
    return f"evaluating {images}/{total} images  {images_per_second:.1f} images/s  ETA {duration(seconds_left)}"


def prediction_line(done: int, total: int, per_second: float, unit: str) -> str:
    """The live line of prediction; `total` is 0 where it is not known."""
    rate = f"{per_second:.1f} {unit}/s"
    if not total:
        return f"predicting {unit[:-1]} {done}  {rate}"
    seconds_left = max(total - done, 0) / per_second if per_second > 0 else 0.0
    return f"predicting {done}/{total} {unit}  {rate}  ETA {duration(seconds_left)}"
