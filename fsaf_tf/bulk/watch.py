"""How far the shards of a job are, on the terminal."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from fsaf_tf.bulk.job import Job
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
    at_start, start, is_over = _count(job, sizes), line.clock(), threading.Event()

    def look(known: int) -> None:
        while not is_over.wait(SECONDS):
            with contextlib.suppress(tf.errors.OpError):  # a store that is away for a while; the workers tell
                done = _count(job, sizes)
                if done > known:
                    known = done
                    line.update(tell(done, (done - at_start) / (line.clock() - start)))

    thread = threading.Thread(target=look, args=[at_start], daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        line.close()


def _count(job: Job, sizes: Sequence[int]) -> int:
    return sum(sizes[shard] for shard in job.done())
