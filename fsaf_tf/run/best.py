"""Keeps the best checkpoint of a run, with its figures and detections."""

from collections.abc import Callable
from typing import Any

from official.core import train_utils

from fsaf_tf.files import storage
from fsaf_tf.run import checkpoints, leftovers, on_disk, records

_STEP = "best_ckpt_global_step"


class BestExporter(train_utils.BestCheckpointExporter):
    """Keeps the checkpoint with the best figure. The Garden's, with the weights written before their record.

    In the other order, a run killed in between takes weights that were never written for the best ones. Figures and
    detections come between the two. Each file names its step, so that what a kill leaves behind is known by that.
    """

    def __init__(
        self,
        export_dir: str,
        metric_name: str,
        metric_comp: str,
        data_digest: dict[str, str],
        say: Callable[[str], None] = print,
        decide: Callable[[Callable[[], bool]], bool] = lambda is_better: is_better(),
    ):
        """Finds the best checkpoint up to now.

        Args:
            export_dir: its folder.
            metric_name: the figure that counts.
            metric_comp: `higher` or `lower`, whichever is better.
            data_digest: of the validation data; figures of others are no measure for these.
            say: prints a line on what is wrong with the best up to now.
            decide: calls what tells whether figures are better; in a cluster on the chief, which knows the best.
        """
        self._decide = decide
        super().__init__(export_dir, metric_name, metric_comp)
        best, notes = checkpoints.find_best(export_dir)
        swept = leftovers.sweep(export_dir, on_disk.BEST_NAME, best, figures=True)
        on_disk.write_record(export_dir, on_disk.BEST_NAME)
        recorded = (self._best_ckpt_logs or {}).get(_STEP)
        # Weights of a later step than the record's are the better ones that a run was killed after.
        if not best or (recorded is not None and recorded > on_disk.number(best)):
            self._best_ckpt_logs = None
        figure = (self._best_ckpt_logs or {}).get(metric_name)
        if figure is not None and (isinstance(figure, bool) or not isinstance(figure, (int, float))):
            self._best_ckpt_logs = None
            notes = [*notes, f"{self.best_ckpt_logs_path} has no {metric_name} that is a number"]
        if self._has_best() and not records.is_of(self._best_ckpt_logs, data_digest):
            self._best_ckpt_logs = None
            notes = [*notes, f"{best} was the best on validation data that have changed since"]
        if swept:
            say(swept)
        for note in notes:
            kept = "it still counts" if self._has_best() else "the next evaluation decides anew which is the best"
            say(f"{note[0].upper()}{note[1:]}; {kept}.")

    def maybe_export_checkpoint(self, checkpoint, eval_logs, global_step, write_logs=True) -> bool:
        """Writes `best_ckpt-<step>` if the figure is better than the record's or there is none; see `record`.

        Returns:
            Whether it was written.
        """
        if not self._decide(lambda: self._is_better(eval_logs)):
            return False
        records.forget_evaluation(self._export_dir)  # of a checkpoint that goes, and may be of the same step
        self._get_checkpoint_manager(checkpoint).save(checkpoint_number=int(global_step))
        self._best_ckpt_logs = eval_logs
        return True

    def record(self, metrics: dict[str, Any], detections: list[dict], figures: dict[str, Any]) -> None:
        """Writes what belongs to the checkpoint that was just written: its evaluation, then `info.json`.

        Args:
            metrics: what `metrics.json` holds of its step.
            detections: in the form of COCO's results.
            figures: those that the next ones are compared with.
        """
        step = metrics["step"]
        name = f"{self._export_dir.rsplit('/', 1)[1]}/{on_disk.BEST_NAME}-{step}"
        records.write_evaluation(self._export_dir, {**metrics, "checkpoint": name}, detections)
        digest = {records.DIGEST: metrics[records.DIGEST]}
        storage.write_json(self.best_ckpt_logs_path, {**figures, **digest, _STEP: step})

    def _is_better(self, eval_logs: dict) -> bool:
        return not self._has_best() or bool(self._new_metric_is_better(self._best_ckpt_logs, eval_logs))

    def _has_best(self) -> bool:
        """Whether there is a figure to be better than."""
        return storage.plain((self._best_ckpt_logs or {}).get("|".join(self._metric_name))) is not None

    def _maybe_load_best_eval_metric(self) -> dict | None:
        return checkpoints.recorded_best(self._export_dir) or None
