"""The workers of a cluster: what all of them must agree on, and what becomes of all when one ends.

TensorFlow brings collectives, and notices a worker that is gone (within ten seconds, by its coordination service). A
run needs little more: values of every worker on all of them, and one that says why it ends before it is found gone.
"""

import contextlib
import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context  # there is no public way to tell the other workers

from fsaf_tf.errors import UserError
from fsaf_tf.run.tf_config import Place

T = TypeVar("T")
AGAIN = "start all workers again, and they go on"
_UNHEALTHY = "tasks are unhealthy"  # they stopped sending heartbeats
_TASK = r"/job:(chief|worker)(?:/replica:\d+)?/task:(\d+)"
_NAME = r"[Ww]orker \d+ of \d+ \("
_BYTES = 8  # of an int64, which every collective takes; bytes not all do


@dataclasses.dataclass(frozen=True)
class Workers:
    """All workers of a run, seen from one of them. Every method must be called by all of them in the same order.

    Attributes:
        place: of this one.
        strategy: of the cluster.
    """

    place: Place
    strategy: tf.distribute.Strategy

    def gather(self, value: Any) -> list[Any]:
        """What each worker has, in their order: a value of JSON."""
        if self.place.is_alone:
            return [value]
        return [json.loads(each) for each in self.gather_bytes(json.dumps(value, default=_plain).encode())]

    def gather_bytes(self, data: bytes) -> list[bytes]:
        """Bytes of each worker, in their order."""
        numbers = np.frombuffer(data + b"\0" * (_BYTES - len(data) % _BYTES), np.int64)  # none is a fault in C++
        sizes = self._gathered(np.int64([len(data)]))
        lengths = sizes // _BYTES + 1
        parts = np.split(self._gathered(numbers), np.cumsum(lengths)[:-1])
        replicas = len(sizes) // len(self.place.addresses)  # of a worker, all of which have the same
        return [parts[i].tobytes()[: sizes[i]] for i in range(0, len(sizes), replicas)]

    def _gathered(self, values: np.ndarray) -> np.ndarray:
        of_replicas = self.strategy.experimental_distribute_values_from_function(lambda _: tf.constant(values))
        return self.strategy.gather(of_replicas, axis=0).numpy()

    def of_chief(self, make: Callable[[], T]) -> T:
        """What the chief makes, on every worker: a value of JSON."""
        return self.gather(make() if self.place.is_chief else None)[0]

    def most(self, number: int) -> int:
        """The largest of the workers' numbers."""
        return max(self.gather(number))

    def check_same(self, what: str, values: dict[str, Any]) -> None:
        """Checks that all workers have the same values, each under a name.

        Raises:
            UserError: on every worker: which one differs from the chief, and in what.
        """
        chief, *others = self.gather(values)
        for index, other in enumerate(others, start=1):
            different = [name for name in {**chief, **other} if chief.get(name) != other.get(name)]
            if different:
                pairs = [f"{name} is {other.get(name)!r}, not {chief.get(name)!r}" for name in different[:4]]
                who = self.place.name(index)
                raise UserError(f"{who} has another {what} than the chief: {'; '.join(pairs)}; start all workers alike")

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Inside, an exception ends the other workers, too, and they say why: they would wait for this one."""
        try:
            yield
        except BaseException as error:
            if not self.place.is_alone:
                _report(self.place, error)
            raise


def _plain(number: np.generic) -> int | float | bool:
    """Of NumPy's, Python's own; what is not a number stays that, unlike in files."""
    return number.item()


def _report(place: Place, error: BaseException) -> None:
    words = " ".join(str(error).split()) or type(error).__name__
    words = "a signal stopped it" if isinstance(error, SystemExit) else words
    is_of_another = re.match(_NAME, words)  # which this one has seen first
    line = _without_advice(words if is_of_another else f"{place.name()} ended: {words}")
    with contextlib.suppress(tf.errors.OpError, RuntimeError):  # it may be gone, or know already
        context.context().report_error_to_cluster(tf.errors.FAILED_PRECONDITION, line[:1000])


def _without_advice(line: str) -> str:
    """The line as one begins, and without what each worker adds for itself."""
    line = line.split(f"; {AGAIN}")[0].rstrip(".; ")
    return line[0].upper() + line[1:]


def line_of_the_lost(error: Exception, place: Place) -> str | None:
    """Which worker an error of a collective says is gone, and why if that is known; None if it is another error."""
    text = str(error)
    told = re.search(rf"{_NAME}.*", text)
    if place.is_alone or not (told or _UNHEALTHY in text or isinstance(error, tf.errors.UnavailableError)):
        return None
    if told:
        return f"{_without_advice(told[0])}; {AGAIN}"
    gone = re.findall(_TASK, text.split(_UNHEALTHY, 1)[-1])
    names = {place.name(place.number(kind, int(index))) for kind, index in gone}
    who = " and ".join(sorted(names)) or "a worker"
    return f"{who[0].upper()}{who[1:]} is lost: it was killed, or its machine or network is gone; {AGAIN}"
