"""A run as one value: what all of its parts are given."""

import dataclasses

import tensorflow as tf
from official.core import config_definitions

from fsaf_tf.config import schedule
from fsaf_tf.run.checkpoints import Checkpoint
from fsaf_tf.run.mode import Mode
from fsaf_tf.run.workers import Workers
from fsaf_tf.terminal.interrupts import Interrupts
from fsaf_tf.terminal.progress import Progress


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run does, where, and from which checkpoint.

    Attributes:
        params: the experiment.
        mode: what to do.
        model_dir: the run's folder.
        checkpoint: what it goes on from or evaluates; None if it starts from elsewhere.
        workers: of its cluster; of one process that one.
        progress: its lines on the terminal.
        interrupt: whether it was asked to stop.
        branch: the one that is evaluated alone, of a detector that was trained with both; `params` has it alone, too.
    """

    params: config_definitions.ExperimentConfig
    mode: Mode
    model_dir: str
    checkpoint: Checkpoint | None
    workers: Workers
    progress: Progress
    interrupt: Interrupts
    branch: str | None = None

    @property
    def strategy(self) -> tf.distribute.Strategy:
        """Its devices."""
        return self.workers.strategy

    @property
    def trainer(self) -> schedule.Trainer:
        """The experiment's `trainer`."""
        return self.params.trainer

    @property
    def step(self) -> int:
        """The step that it starts at."""
        return self.checkpoint.step if self.checkpoint else 0

    @property
    def is_chief(self) -> bool:
        """Whether this process of a cluster is the one that writes."""
        return self.workers.place.is_chief

    @property
    def in_cluster(self) -> bool:
        """Whether there are other processes."""
        return not self.workers.place.is_alone

    @property
    def best_dir(self) -> str | None:
        """The folder of its best checkpoint; None if none is kept."""
        name = self.trainer.best_checkpoint_export_subdir
        return f"{self.model_dir}/{name}" if name else None

    @property
    def results_dir(self) -> str:
        """The folder of its evaluations: of the newest checkpoint, but for an evaluation of another one.

        What one branch finds alone goes into a folder of its own, `best-anchor_free` or the like.
        """
        is_one = self.mode.is_one_evaluation and self.checkpoint
        folder = self.checkpoint.results_dir if is_one else self.model_dir
        if not self.branch:
            return folder
        return f"{folder}/{self.branch}" if folder == self.model_dir else f"{folder}-{self.branch}"
