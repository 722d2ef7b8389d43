"""Something done again and again beside the work, in a thread that ends with it."""

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def every(seconds: float, act: Callable[[], None], away: type[Exception]) -> Iterator[None]:
    """Inside, `act` is called after so many seconds, each time anew.

    Args:
        seconds: between two calls.
        act: what is done.
        away: its error where a storage does not answer for a while, which ends nothing.
    """
    is_over = threading.Event()

    def go_on() -> None:
        while not is_over.wait(seconds):
            with contextlib.suppress(away):
                act()

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
