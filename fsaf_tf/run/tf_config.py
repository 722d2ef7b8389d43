"""Where a process stands in a cluster, as `TF_CONFIG` says it; and waiting for the others. No TensorFlow.

TensorFlow's own resolver takes what it is given: an index out of range or a type that nobody has becomes a traceback,
or a wait without an end, in which Python handles no signal. So the text is checked, and the workers meet, here first.
"""

import contextlib
import dataclasses
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fsaf_tf.errors import UserError

KEY = "TF_CONFIG"
EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
TRAINING = ("chief", "worker")  # types of tasks that train, in the order of their numbers
MEETING, REMINDER = 600.0, 30.0  # seconds that the others are waited for, and between two lines about it
_PAUSE, _TRY = 0.2, 1.0  # seconds: between two tries, and for one of them


@dataclasses.dataclass(frozen=True)
class Place:
    """A process among the workers of a cluster.

    Attributes:
        addresses: `host:port` of each worker, the chief's first.
        index: of this one; the chief is 0.
        has_chief: one has a type of its own, `chief`, beside which those of type `worker` are counted anew.
    """

    addresses: tuple[str, ...] = ("",)
    index: int = 0
    has_chief: bool = False

    @property
    def is_alone(self) -> bool:
        """There is no other worker."""
        return len(self.addresses) == 1

    @property
    def is_chief(self) -> bool:
        """It is the one that writes and speaks."""
        return self.index == 0

    def number(self, kind: str, index: int) -> int:
        """The number among all workers of the task that TensorFlow calls `/job:kind/task:index`."""
        return index + (self.has_chief and kind == "worker")

    def name(self, index: int | None = None) -> str:
        """`worker 1 of 2 (host1:2222)`; of this worker if no index is given."""
        number = self.index if index is None else index
        return f"worker {number} of {len(self.addresses)} ({self.addresses[number]})"


ALONE = Place()


def is_set(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a `TF_CONFIG` that says something."""
    return environment.get(KEY, "").strip() not in ("", "{}")


def read(environment: Mapping[str, str] = os.environ) -> Place | None:
    """The place that `TF_CONFIG` gives this process; None if it is not set, or empty.

    Raises:
        UserError: it is no JSON, has not the form of `EXAMPLE`, or names a task that is not there.
    """
    if not is_set(environment):
        return None
    try:
        config = json.loads(environment[KEY])
    except ValueError as error:
        raise UserError(f"{KEY} is no JSON ({error}); it looks like {EXAMPLE}") from None
    cluster, task = (config.get(key) if isinstance(config, dict) else None for key in ("cluster", "task"))
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise UserError(f'{KEY} must have a "cluster" and a "task"; it looks like {EXAMPLE}')
    return _place({kind: _addresses(kind, cluster.get(kind, [])) for kind in cluster}, task)


def _addresses(kind: str, given: Any) -> list[str]:
    addresses = given if isinstance(given, list) else [given]
    for address in addresses:
        host, _, port = str(address).rpartition(":")
        if not (isinstance(address, str) and host and port.isdigit() and 0 < int(port) < 2**16):
            raise UserError(f'{KEY} has {address!r} under "{kind}"; an address is host:port, such as "host0:2222"')
    return addresses


def _place(cluster: dict[str, list[str]], task: dict) -> Place:
    kind, number = task.get("type"), task.get("index")
    index = int(number) if isinstance(number, (int, str)) and str(number).isdigit() else -1
    if kind in ("ps", "evaluator"):
        raise UserError(
            f"{KEY} makes this a task of type {kind!r}; a training has {' and '.join(TRAINING)} alone"
            + (": take --mode=continuous_eval without TF_CONFIG there" if kind == "evaluator" else "")
        )
    if not 0 <= index < len(cluster.get(kind, [])) or kind not in TRAINING:
        there = ", ".join(f"{len(cluster[name])} of type {name}" for name in TRAINING if cluster.get(name))
        raise UserError(f"{KEY} names task {number!r} of type {kind!r}, but its cluster has {there or 'none'}")
    if len(cluster.get("chief", [])) > 1:
        raise UserError(f"{KEY} has {len(cluster['chief'])} chiefs; there can be one")
    addresses = [address for name in TRAINING for address in cluster.get(name, [])]
    if len(set(addresses)) < len(addresses):
        twice = next(address for address in addresses if addresses.count(address) > 1)
        raise UserError(f"{KEY} has {twice} twice; each worker has an address of its own")
    place = Place(tuple(addresses), index, has_chief=bool(cluster.get("chief")))
    return dataclasses.replace(place, index=place.number(kind, index))


def meet(place: Place, say: Callable[[str], None], seconds: float = MEETING) -> None:
    """Returns when every worker has greeted every other one, each at its address.

    TensorFlow would wait for them in C++, without an end, and deaf to signals.

    Args:
        place: of this worker.
        say: prints a line, now and then, on who is waited for.
        seconds: after so many it is an error.

    Raises:
        UserError: not all came in time, or the port is in use.
    """
    others = set(range(len(place.addresses))) - {place.index}
    ungreeted, heard = set(others), set()
    start = told = time.monotonic()
    with _listening(place) as server:
        while missing := ungreeted | (others - heard):
            now = time.monotonic()
            if now - start > seconds:
                raise UserError(f"{_named(place, missing)} did not come within {seconds:g} s; start all of them")
            if now - told > REMINDER:
                say(f"Waiting for {_named(place, missing)}, {now - start:.0f} of {seconds:g} s.")
                told = now
            ungreeted = {number for number in ungreeted if not _greet(place, number)}
            heard |= _heard(server)


def _named(place: Place, numbers: set[int]) -> str:
    shown = ", ".join(place.name(number) for number in sorted(numbers)[:4])
    return shown + (f" and {len(numbers) - 4} more" if len(numbers) > 4 else "")


@contextlib.contextmanager
def _listening(place: Place) -> Iterator[socket.socket]:
    """This worker's port, on which TensorFlow's server listens afterwards."""
    address = place.addresses[place.index]
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("", int(address.rpartition(":")[2])))
        except OSError as error:
            raise UserError(f"{KEY} gives this worker {address}, but the port is not free: {error.strerror}") from error
        server.listen(len(place.addresses))
        server.settimeout(_PAUSE)
        yield server


def _greet(place: Place, number: int) -> bool:
    host, _, port = place.addresses[number].rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_TRY) as connection:
            connection.sendall(b"%d" % place.index)
            return True
    except OSError:
        return False


def _heard(server: socket.socket) -> set[int]:
    """The number of a worker that has greeted this one; what somebody else says is not listened to."""
    with contextlib.suppress(OSError, ValueError):
        connection, _ = server.accept()
        with connection:
            connection.settimeout(_TRY)
            return {int(connection.recv(8))}
    return set()
