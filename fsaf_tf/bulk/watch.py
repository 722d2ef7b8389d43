"""How far the shards of a job are, on the terminal."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from fsaf_tf.bulk.job import Job
from fsaf_tf.terminal import beat
from fsaf_tf.terminal.progress import Progress

SECONDS = 1.0  # between two looks


@contextlib.contextmanager
def told(job: Job, sizes: Sequence[int], line: Progress, tell: Callable[[int, float], str]) -> Iterator[None]:
    """Inside, a thread looks which shards have a result, and says so.

    Args:
        job: that others work on.
        sizes: of each shard, how many pictures it has.
        line: rewritten after each look that finds more.
        tell: what it says, from the pictures that are done and the pictures a second.
    """
    at_start, start = _count(job, sizes), line.clock()
    known = at_start

    def look() -> None:
        nonlocal known
        done = _count(job, sizes)
        if done > known:
            known = done
            line.update(tell(done, (done - at_start) / (line.clock() - start)))

    with contextlib.closing(line), beat.every(SECONDS, look, away=tf.errors.OpError):
        yield


def _count(job: Job, sizes: Sequence[int]) -> int:
    return sum(sizes[shard] for shard in job.done())
