"""Weights & Biases and MLflow, each behind the same three calls: begin or go on, take figures, end.

Figures are handed over one by one. Weights & Biases could read TensorBoard's files instead, but then a run that goes on
repeats the steps after its checkpoint there; MLflow's integration with TensorFlow is of Keras' `fit`, which nothing
here calls.
"""

import importlib.util
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from fsaf_tf.errors import UserError

WAIT = 20  # seconds, for an answer
_OF_A_BATCH, _LETTERS = 100, 500  # MLflow's limits: parameters of a call, letters of one
_ID_TAG = "fsaf_tf.id"


class Sheet(NamedTuple):
    """What a service is told of a run.

    Attributes:
        project: where it is put: a project of Weights & Biases, an experiment of MLflow.
        name: of the run.
        id: of the run, the same whenever it goes on.
        folder: of the run.
        settings: its keys, flat.
    """

    project: str
    name: str
    id: str
    folder: str
    settings: dict[str, Any]


class Service(Protocol):
    """A run at a service, begun or gone on with by its making; all calls may raise whatever the service raises."""

    place: str  # where it is to be seen

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Figures at a step."""

    def end(self, is_whole: bool) -> None:
        """The run ends: as it should, or before."""


class WandB:
    """A run of Weights & Biases; `wandb login`, `WANDB_MODE` and its other variables hold."""

    def __init__(self, sheet: Sheet):
        """Begins it, or goes on."""
        import wandb

        settings = wandb.Settings(
            silent=True, console="off", login_timeout=WAIT, init_timeout=2 * WAIT, finish_timeout=WAIT
        )
        self._run = wandb.init(
            project=sheet.project,
            name=sheet.name,
            id=sheet.id,
            resume="allow",
            dir=sheet.folder,
            config=sheet.settings,
            allow_val_change=True,
            settings=settings,
        )
        self._run.define_metric("*", step_metric="step")  # its own count of steps takes no evaluation after the rest
        is_offline = self._run.settings.mode == "offline"
        self.place = f"offline, in {sheet.folder}/wandb" if is_offline else self._run.url

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """See `Service`."""
        self._run.log({"step": step, **figures})

    def end(self, is_whole: bool) -> None:
        """See `Service`."""
        self._run.finish(exit_code=0 if is_whole else 1)


class MLflow:
    """A run of MLflow, found again by a tag; `MLFLOW_TRACKING_URI` and its other variables hold."""

    def __init__(self, sheet: Sheet):
        """Begins it, or goes on."""
        import mlflow

        self._client = client = mlflow.MlflowClient()
        known = client.get_experiment_by_name(sheet.project)
        experiment_id = known.experiment_id if known else client.create_experiment(sheet.project)
        runs = client.search_runs([experiment_id], f"tags.`{_ID_TAG}` = '{sheet.id}'", max_results=1)
        if runs:
            self._id = runs[0].info.run_id
            client.update_run(self._id, status="RUNNING")
        else:
            tags = {_ID_TAG: sheet.id, "folder": sheet.folder}
            self._id = client.create_run(experiment_id, tags=tags, run_name=sheet.name).info.run_id
            self._tell_settings(sheet.settings)
        self.place = f"{mlflow.get_tracking_uri()}, run {self._id}"

    def _tell_settings(self, settings: dict[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(key, str(value)[:_LETTERS]) for key, value in settings.items()]
        for first in range(0, len(params), _OF_A_BATCH):
            self._client.log_batch(self._id, params=params[first : first + _OF_A_BATCH])

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """See `Service`."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(mlflow_name(name), value, now, step) for name, value in figures.items()]
        for first in range(0, len(metrics), _OF_A_BATCH):
            self._client.log_batch(self._id, metrics=metrics[first : first + _OF_A_BATCH])

    def end(self, is_whole: bool) -> None:
        """See `Service`."""
        self._client.set_terminated(self._id, "FINISHED" if is_whole else "KILLED")


class Kind(NamedTuple):
    """A kind of service: its name, the package that it needs, and what makes it."""

    title: str
    package: str
    make: Callable[[Sheet], Service]


KINDS = {"wandb": Kind("Weights & Biases", "wandb", WandB), "mlflow": Kind("MLflow", "mlflow", MLflow)}


def check_installed(key: str) -> None:
    """Raises a UserError where the package of a service is not there."""
    kind = KINDS[key]
    if importlib.util.find_spec(kind.package) is None:
        raise UserError(
            f"trainer.{key} is set, and {kind.title} is not installed: pip install {kind.package}, or leave the key"
            " empty"
        )


def mlflow_name(name: str) -> str:
    """A name of a figure in the letters that MLflow takes; others become their number: `AP_by_class/a_2b_b`."""
    parts = (re.sub(r"[^\w\- ]", lambda letter: f"_{ord(letter[0]):x}_", part) for part in name.split("/"))
    return "/".join(part.strip() or "_" for part in parts)
