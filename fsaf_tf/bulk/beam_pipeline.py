"""The shards of a job as a pipeline of Apache Beam. The one file that imports it.

An element is the number of a shard, and nothing comes back: what a shard is of, and what came of it, is in the files of
its job. So no runner holds more than numbers, bytes do not depend on how it divides them, and what is done stays done.
Beam's own `WriteToTFRecord` divides by how many workers there are, and starts anew after a kill; its `RunInference`
hands each picture through the runner.
"""

import contextlib
import io
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fsaf_tf.bulk.job import Work
from fsaf_tf.bulk.runner import Runner
from fsaf_tf.errors import UserError
from fsaf_tf.terminal import faults

logging.disable(logging.WARNING)  # on clients of clouds that are not installed
import apache_beam as beam  # noqa: E402
from apache_beam.options import pipeline_options  # noqa: E402
from apache_beam.utils import shared  # noqa: E402

logging.disable(logging.NOTSET)

# The first, which concerns no pipeline of ours: without it Beam looks on the network for a runner written in Go.
_OF_DIRECT = ("--allow_unsafe_triggers", "--default_sdk_harness_log_level=ERROR")
_INTERRUPTED = "KeyboardInterrupt [while running"
_FAILED = re.compile(r"UserError: (.*?) ?(\[while running|$)", re.MULTILINE)


class _Loaded:
    """What `Work.load` gave: something that can be weakly held, as `shared` wants it."""

    def __init__(self, value: Any):
        self.value = value


class _Do(beam.DoFn):
    """Does shards; what they need is loaded once in a process, however many threads it has."""

    def __init__(self, work: Work):
        self._work, self._shared, self._loaded = work, shared.Shared(), None

    def setup(self) -> None:
        """Is called by Beam before the first shard of a thread."""
        with _on_one_line():
            self._loaded = self._shared.acquire(lambda: _Loaded(self._work.load()))

    def process(self, element: int) -> None:
        """Does one shard."""
        with _on_one_line():
            self._work.do(element, self._loaded.value)


@contextlib.contextmanager
def _on_one_line() -> Iterator[None]:
    """A fault of the machine becomes a `UserError`, whose line is found again in what Beam makes of it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        line = faults.line(error)
        if not line:
            raise
        raise UserError(line) from error


def ready(runner: Runner) -> Callable[[Work, Sequence[int]], None]:
    """What does shards by a runner: a call with the work and their numbers, which comes back when all are done.

    The call raises a UserError of the first shard that cannot be done.

    Raises:
        UserError: there is no such runner or option.
    """
    if runner.is_direct:
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # it logs with a traceback what it raises, too
    try:
        pipeline = beam.Pipeline(options=_options(runner))
    except UserError:
        raise
    except (ValueError, ImportError) as error:
        raise UserError(f"--runner={runner.name}: {' '.join(str(error).split())}") from error

    def do(work: Work, shards: Sequence[int]) -> None:
        numbers = pipeline | "shards" >> beam.Create(list(shards)) | "deal out" >> beam.Reshuffle()
        _ = numbers | "work" >> beam.ParDo(_Do(work))
        try:
            pipeline.run().wait_until_finish()
        except Exception as error:
            if _INTERRUPTED in str(error):
                raise KeyboardInterrupt from None
            failed = _FAILED.search(f"{type(error).__name__}: {error}")
            if not failed:
                raise
            raise UserError(failed[1]) from error

    return do


def _options(runner: Runner) -> pipeline_options.PipelineOptions:
    """Those of a pipeline. Raises a UserError for one that DirectRunner would ignore; others have more of their own."""
    given = [f"--runner={runner.name}", *(_OF_DIRECT if runner.is_direct else ()), *runner.options]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options = pipeline_options.PipelineOptions(given)
            known = options.get_all_options()
            kept = options.get_all_options(retain_unknown_options=True)
    except SystemExit:  # of argparse
        raise UserError(f"after --: {said.getvalue().strip().splitlines()[-1]}") from None
    unknown = sorted(set(kept) - set(known)) + [word for word in runner.options if not word.startswith("--")]
    if runner.is_direct and unknown:
        raise UserError(f"after --: {runner.name} has no option {unknown[0]!r}; they are written --name=value")
    return options
