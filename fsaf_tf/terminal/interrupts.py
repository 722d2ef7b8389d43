"""SIGINT and SIGTERM: a run stops between two loops, where its checkpoint is whole."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to stop; `signum` is its number.

    A KeyboardInterrupt, because AutoGraph turns any `Exception` that passes through it into another one.
    """

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class Interrupts:
    """Turns SIGINT and SIGTERM into `Interrupted`, at once or, where that is deferred, at the next `check`.

    A second signal does not wait. Outside the main thread, where Python handles no signals, nothing is changed.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self._requested = None
        self._is_deferred = False
        self._before = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in self.SIGNALS}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a first signal waits for `check`."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False

    @property
    def requested(self) -> bool:
        """A signal waits."""
        return self._requested is not None

    def check(self) -> None:
        """Raises `Interrupted` if a signal waits."""
        if self.requested:
            raise Interrupted(self._requested)

    def _handle(self, signum: int, _) -> None:
        is_first = not self.requested
        self._requested = signum
        if not (is_first and self._is_deferred):
            raise Interrupted(signum)
