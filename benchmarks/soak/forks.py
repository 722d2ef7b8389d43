"""Forked children of a process that has imported TensorFlow and never started it: a tool in one second, not in ten."""

import contextlib
import importlib
import multiprocessing
import os
import pathlib
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

POLL = 0.02  # seconds between two looks at a child
PATIENCE = 900  # seconds until a child hangs
_IMPORTED = (
    *("run.training", "run.import_published", "detect.predict_files", "detect.predict_video", "serving.load"),
    *("serving.saved_model", "serving.tflite", "analysis.write_report", "analysis.data_page", "figures.write_figures"),
)


class Ended(NamedTuple):
    """How a tool ended: its exit status, or minus the signal; and what it said."""

    status: int
    said: str

    @property
    def line(self) -> str:
        """The last that it said."""
        return (self.said.strip().splitlines() or [""])[-1]


def warm_up() -> None:
    """Imports what the tools import, without starting TensorFlow."""
    from fsaf_tf import cli

    cli.quiet()
    import cv2  # noqa: F401
    import official.vision.modeling.backbones.factory  # noqa: F401 (with TensorFlow, for all children)

    for name in _IMPORTED:
        importlib.import_module(f"fsaf_tf.{name}")


def call(function: Callable, *arguments: Any) -> Any:
    """What a function returns in a child, by a pipe; a RuntimeError with its traceback where it raises one."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = start(lambda: _send(sender, function, arguments))
    sender.close()
    try:
        result = receiver.recv() if receiver.poll(PATIENCE) else "it hangs"
    except EOFError:
        result = "it died"
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if isinstance(result, str):
        raise RuntimeError(f"{function.__name__}: {result}")
    return result[0]


def _send(sender, function: Callable, arguments: Sequence[Any]) -> int:
    try:
        sender.send((function(*arguments),))
    except BaseException:
        sender.send(traceback.format_exc())
    return 0


def start(work: Callable[[], int], log: pathlib.Path | None = None) -> int:
    """Starts a child that does some work, whose result is its exit status; returns its process number.

    Args:
        work: what it does; an exception is a traceback and status 1.
        log: takes what it says.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        if log:
            file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, 1)
            os.dup2(file, 2)
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def wait(child: int, seconds: float = PATIENCE) -> int | None:
    """The exit status of a child, minus the signal if one ended it; None if it runs longer, and goes on."""
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            return None
        time.sleep(POLL)


def start_tool(words: Sequence[str], log: pathlib.Path, before: Callable[[], None] = lambda: None) -> int:
    """Starts a tool of `fsaf_tf.cli` in a child: `["predict", "--model=..."]`; see `start_main`."""
    return start_main(lambda: importlib.import_module(f"fsaf_tf.cli.{words[0]}").main(), words, log, before)


def start_main(
    main: Callable[[], None], words: Sequence[str], log: pathlib.Path, before: Callable[[], None] = lambda: None
) -> int:
    """Starts the `main` of a tool in a child.

    Args:
        main: ends as tools do, by `cli.run`.
        words: its name and arguments.
        log: takes what it says.
        before: is called in the child, first; arms the library, for one.
    """

    def work() -> int:
        before()
        sys.argv = [f"tools/{words[0]}.py", *words[1:]]
        try:
            main()
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
            return end.code if isinstance(end.code, int) else int(bool(end.code))
        return 0

    return start(work, log)


def end_tool(child: int, log: pathlib.Path, kill_after: float | None = None) -> Ended:
    """Waits for a tool.

    Args:
        child: from `start_tool`.
        log: as given there.
        kill_after: it is killed after so many seconds if it still runs. Without, one that hangs is.
    """
    status = wait(child, PATIENCE if kill_after is None else kill_after)
    if status is None:
        os.kill(child, signal.SIGKILL)
        status = wait(child)
    return Ended(status, log.read_text(encoding="utf-8", errors="replace") if log.exists() else "")
