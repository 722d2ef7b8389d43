"""SIGINT and SIGTERM: a run stops between two steps, where its checkpoint is whole."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator


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

    Attributes:
        on_signal: called by another thread as soon as a signal comes, also while the main one is within TensorFlow,
            where Python's handlers wait.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.on_signal: Callable[[], None] = lambda: None
        self._requested = None
        self._is_deferred = False
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self._stack.enter_context(self._listened())
            for number in self.SIGNALS:
                self._stack.callback(signal.signal, number, signal.signal(number, self._handle))
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def _listened(self) -> Iterator[None]:
        """Inside, a thread waits for the numbers of signals, which Python writes to a pipe at once."""
        numbers, told = os.pipe()
        os.set_blocking(told, False)
        before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        listener = threading.Thread(target=self._listen, args=[numbers], daemon=True)
        listener.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            os.close(told)
            listener.join()
            os.close(numbers)

    def _listen(self, numbers: int) -> None:
        while number := os.read(numbers, 1):
            if number[0] in self.SIGNALS:
                self.on_signal()

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

    @property
    def signum(self) -> int:
        """The number of the signal that waits; 0 if there is none."""
        return self._requested or 0

    def request(self, signum: int) -> None:
        """Makes a signal that came to another process wait here, too; 0 is none."""
        self._requested = self._requested or signum or None

    def check(self) -> None:
        """Raises `Interrupted` if a signal waits."""
        if self.requested:
            raise Interrupted(self._requested)

    def _handle(self, signum: int, _) -> None:
        is_first = not self.requested
        self._requested = signum
        if not (is_first and self._is_deferred):
            raise Interrupted(signum)
