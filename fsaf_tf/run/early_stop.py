"""Ends a run that no longer gets better (`trainer.early_stop_patience`), by the record of its evaluations."""

import math
from typing import Any

from fsaf_tf.config import schedule
from fsaf_tf.files import storage
from fsaf_tf.run import records

Record = list[dict]


def read(model_dir: str, step: int) -> Record:
    """The evaluations of a run up to a step, in their order: `{"step": 500, "AP": 0.31, "data_digest": {...}}` each.

    Later ones are those of checkpoints that are gone, and those before the validation data last changed are of others.
    """
    evaluations = [row for row in _rows(model_dir) if row["step"] <= step]
    newest = evaluations[-1].get(records.DIGEST) if evaluations else None
    return evaluations if newest is None else [row for row in evaluations if records.is_of(row, newest)]


def add(model_dir: str, step: int, data_digest: dict[str, str], metric: str, value: float | None) -> None:
    """Writes the evaluation at a step to the record, in the place of an earlier one at that step.

    Args:
        model_dir: the run's folder.
        step: of the evaluation.
        data_digest: of the validation data.
        metric: the figure that counts.
        value: what it is; None where it is not defined.
    """
    kept = [row for row in _rows(model_dir) if row["step"] < step]
    storage.write_json(_path(model_dir), [*kept, {"step": step, metric: value, records.DIGEST: data_digest}])


def reason(record: Record, trainer: schedule.Trainer) -> str | None:
    """Why the run ends here, in words; None if it goes on.

    Args:
        record: of its evaluations up to now.
        trainer: says which figure is meant, whether a higher or a lower one is better, and after how many evaluations
            without a better one the run ends.
    """
    patience, metric = trainer.early_stop_patience, trainer.best_checkpoint_eval_metric
    if not patience or not record:
        return None
    sign, word = (-1, "lower") if trainer.best_checkpoint_metric_comp == "lower" else (1, "higher")
    values = [_value(each.get(metric), sign) for each in record]
    best = values.index(max(values))  # the first of equal ones
    since = len(record) - 1 - best
    if since < patience:
        return None
    than = f" than {record[best][metric]:.3f} of step {record[best]['step']}" if values[best] > -math.inf else ""
    return f"no {word} {metric}{than} in {since} evaluation{'s' * (since > 1)} (trainer.early_stop_patience)"


def _rows(model_dir: str) -> Record:
    """The rows of the file as it is, without those that `add` did not write."""
    record = storage.read_json(_path(model_dir))
    return [row for row in record if _is_row(row)] if isinstance(record, list) else []


def _is_row(row: Any) -> bool:
    if not (isinstance(row, dict) and isinstance(row.get("step"), int)):
        return False
    return all(isinstance(row[key], (int, float, type(None))) for key in row if key != records.DIGEST)


def _path(model_dir: str) -> str:
    return f"{model_dir}/evaluations.json"


def _value(value: float | None, sign: int) -> float:
    return -math.inf if value is None else sign * value
