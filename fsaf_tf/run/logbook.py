"""Where the figures of a run go besides TensorBoard: CSV files, and the services that its keys name."""

from collections.abc import Mapping

from fsaf_tf.run.figure_table import FigureTable
from fsaf_tf.run.run import Run
from fsaf_tf.run.trackers import Trackers

TRAIN, VALIDATION = "train", "validation"


class Logbook:
    """Takes the figures that TensorBoard has, under the same names. What it cannot write is said and ends nothing.

    The chief of a cluster writes. An evaluation for itself has its figures in its `metrics.json`; that of
    `--mode=continuous_eval` writes the file of evaluations alone.
    """

    def __init__(self, run: Run):
        """Opens what a run writes, and takes away what is after the step that it goes on from."""
        mode, splits = run.mode, []
        if run.is_chief and not mode.is_one_evaluation:
            splits = [TRAIN] * mode.trains + [VALIDATION] * mode.evaluates
        self._tables = {split: FigureTable(f"{run.model_dir}/{split}.csv", run.progress.say) for split in splits}
        had = {split: table.go_on_from(run.step) for split, table in self._tables.items()} if mode.trains else {}
        self._trackers = Trackers(run, had) if TRAIN in splits else None

    def add(self, split: str, step: int, figures: Mapping[str, float | None]) -> None:
        """Figures of `TRAIN` (means over the steps since the last time) or of `VALIDATION`, at a step."""
        if split in self._tables:
            self._tables[split].add(step, figures)
        if self._trackers:
            self._trackers.add(split, step, figures)

    def close(self, *, is_whole: bool) -> None:
        """Waits a moment until services have what they were given.

        Args:
            is_whole: the run came to its end.
        """
        if self._trackers:
            self._trackers.close(is_whole)
