"""Figures to the services that a run's keys name, each from a thread of its own: none can hold a run up, or end it."""

import math
import os
import queue
import secrets
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

from fsaf_tf.config import plain_values, schedule
from fsaf_tf.files import storage
from fsaf_tf.run import records, services
from fsaf_tf.run.run import Run


class _Figures(NamedTuple):
    """Figures on their way: at which step, and by their names."""

    step: int
    values: dict[str, float]


class _End(NamedTuple):
    """The end of a run: as it should be, or before."""

    is_whole: bool


class Tracker:
    """One service of a run."""

    def __init__(self, kind: services.Kind, sheet: services.Sheet, say: Callable[[str], None]):
        """Begins to connect, and does not wait for it."""
        self._kind, self._sheet, self._say = kind, sheet, say
        self._is_lost = False
        self._waiting: queue.SimpleQueue[_Figures | _End] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Hands figures over, without waiting."""
        if not self._is_lost:
            self._waiting.put(_Figures(step, dict(figures)))

    def close(self, is_whole: bool) -> None:
        """Waits until all is sent, but not long."""
        self._waiting.put(_End(is_whole))
        self._thread.join(2 * services.WAIT)
        if self._thread.is_alive():
            self._lose("it has not taken all of them in time")

    def _work(self) -> None:
        try:
            service = self._kind.make(self._sheet)
            self._say(f"{self._kind.title}: {service.place}")
            while isinstance(waiting := self._waiting.get(), _Figures):
                service.add(waiting.step, waiting.values)
            service.end(waiting.is_whole)
        except Exception as error:  # whatever a service does, a training goes on
            self._lose(" ".join(str(error).split()) or type(error).__name__)

    def _lose(self, reason: str) -> None:
        """Says once that this service lacks figures."""
        if not self._is_lost:
            self._is_lost = True
            self._say(f"{self._kind.title} does not get all figures: {reason[:300]}. The CSV files have them.")


class Trackers:
    """All services of a run; none of most."""

    def __init__(self, run: Run, had: Mapping[str, int]):
        """Begins to connect to those that `trainer` names.

        Args:
            run: with an experiment whose services are installed, see `check`.
            had: by split the last step of which an earlier start had figures. A service that this run had before has
                them, too, and does not get them again.
        """
        self._of_run: list[tuple[Tracker, Mapping[str, int]]] = []
        settings = plain_values.flatten(run.params.as_dict())
        for key, project in _named(run.trainer).items():
            id_, is_known = _id(run.model_dir, f"{key}/{project}")
            name = os.path.basename(run.model_dir)
            sheet = services.Sheet(project, name, id_, run.model_dir, settings)
            tracker = Tracker(services.KINDS[key], sheet, run.progress.say)
            self._of_run.append((tracker, had if is_known else {}))

    def add(self, split: str, step: int, figures: Mapping[str, float | None]) -> None:
        """Figures of `train` or `validation` at a step; those that are not defined are left out."""
        named = {f"{split}/{name}": float(value) for name, value in figures.items() if value is not None}
        defined = {name: value for name, value in named.items() if math.isfinite(value)}
        for tracker, had in self._of_run:
            if step > had.get(split, -1):
                tracker.add(step, defined)

    def close(self, is_whole: bool) -> None:
        """Waits until all is sent, but not long."""
        for tracker, _ in self._of_run:
            tracker.close(is_whole)


def check(trainer: schedule.Trainer) -> None:
    """Raises a UserError where a service that is named is not installed."""
    for key in _named(trainer):
        services.check_installed(key)


def _named(trainer: schedule.Trainer) -> dict[str, str]:
    """The projects at the services that are wanted, by their keys."""
    projects = {"wandb": trainer.wandb, "mlflow": trainer.mlflow}
    return {key: project for key, project in projects.items() if project}


def _id(model_dir: str, service: str) -> tuple[str, bool]:
    """The id of a run at a service, and whether it had that before; kept in `run.json`."""
    record = storage.read_dict(records.path(model_dir))
    ids = record.get("services") if isinstance(record.get("services"), dict) else {}
    if service not in ids:
        storage.write_json(records.path(model_dir), {**record, "services": {**ids, service: secrets.token_hex(6)}})
    return storage.read_dict(records.path(model_dir))["services"][service], service in ids
