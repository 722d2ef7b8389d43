"""Standard output and error that can always be written to: what a tool says must not end what it does."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import TextIO


@contextlib.contextmanager
def streams() -> Iterator[None]:
    """Inside, no letter, closed pipe or full disk makes a line an error.

    A letter that the locale lacks, and a byte of a file name that is no text, are written as `\\u5b89` and `\\udcfc`.
    After a reader is gone (`| head`), what is written goes nowhere.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (Lasting(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout, sys.stderr = before


class Lasting:
    """A text stream whose `write` and `flush` raise nothing; in all else it is the stream that it is made of."""

    def __init__(self, stream: TextIO | None):
        """Takes a stream; None, as Python has it where the descriptor is closed, is one that goes nowhere."""
        self._stream = stream if stream is not None else open(os.devnull, "w", encoding="utf-8")
        if hasattr(self._stream, "reconfigure"):
            self._stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes, or gives up on the stream for good; the number of letters."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Likewise."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Lets the descriptor end nowhere, so that what is still in buffers raises nothing either."""
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        except OSError:  # no descriptor is left: the next line tries again
            return
        if error.errno != errno.EPIPE and self._stream is sys.__stdout__:
            print(f"standard output cannot be written to: {error.strerror}; the work goes on", file=sys.stderr)
