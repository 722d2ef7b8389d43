"""The checkpoints of a run: which one a tool takes, and what training goes on from."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from fsaf_tf.config import experiment
from fsaf_tf.errors import UserError
from fsaf_tf.files import storage
from fsaf_tf.run import early_stop, on_disk, records

BEST, NEWEST = "best", "newest"  # what `--checkpoint` takes beside a path; the first is a folder's name too
INFO = "info.json"  # the figures of the best checkpoint, beside it


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that can be read.

    Attributes:
        prefix: of its files.
        step: of training; 0 of imported weights.
        ap: the AP that is recorded of it, on the validation data of its run; None if there is none.
        kind: `BEST` or `NEWEST` of its run, else empty.
        notes: what is wrong with others that would have come before it, or with its record.
        other: what the other value of `--checkpoint` takes, in words; may be empty.
    """

    prefix: str
    step: int
    ap: float | None
    kind: str
    notes: tuple[str, ...] = ()
    other: str = ""

    def __str__(self) -> str:
        step = f"step {self.step}" if self.step else "imported weights"
        return ", ".join([self.prefix, step, *([] if self.ap is None else [f"AP {self.ap:.3f}"])])

    @property
    def reasoned(self) -> str:
        """Which it is, and why it was taken."""
        return self._with_reasons()

    @property
    def line(self) -> str:
        """What a tool says when it starts."""
        return f"Checkpoint: {self._with_reasons(*[self.other] * bool(self.other))}"

    def _with_reasons(self, *more: str) -> str:
        reasons = "; ".join([*[f"the {self.kind}"] * bool(self.kind), *self.notes, *more])
        return f"{self} ({reasons})" if reasons else str(self)

    @property
    def results_dir(self) -> str:
        """The folder of the `metrics.json` and `detections.json` of an evaluation of it.

        Those of a run's best and newest stand beside them. Others have a folder of their own.
        """
        return os.path.dirname(self.prefix) or "." if self.kind else f"{self.prefix}-eval"

    def read_metrics(self) -> dict[str, Any]:
        """What `metrics.json` holds of it; empty if it was not evaluated, or another checkpoint since."""
        metrics = storage.read_dict(f"{self.results_dir}/metrics.json")
        names = (os.path.basename(str(metrics.get("checkpoint"))), os.path.basename(self.prefix))
        return metrics if names[0] == names[1] and metrics.get("step") == self.step else {}


# Which one.


def choose(path: str, wanted: str | None = None) -> Checkpoint:
    """The checkpoint that a tool takes: the best that can be read, else the newest that can be read.

    Every tool asks here. Only training goes on from the newest, which is `newest_readable`.

    Args:
        path: the folder of a run or of imported weights, a folder of checkpoints, or the file prefix of one.
        wanted: in place of the rule `best` or `newest`, which must be there; or the name of a checkpoint in the run,
            or a path as above, of one that is to be used as one of the run `path`.

    Raises:
        UserError: there is none, or none that can be read.
    """
    path = path.rstrip("/") or path
    run = experiment.folder_of(path) or path
    if wanted not in (None, BEST, NEWEST):
        if "/" not in wanted and not any(tf.io.gfile.exists(file) for file in (wanted, f"{wanted}.index")):
            if not tf.io.gfile.exists(f"{run}/{wanted}.index"):
                rule = f"--checkpoint is {BEST}, {NEWEST}, a name in {run} or a path, not {wanted!r}"
                raise UserError(f"{rule}; {_what_there_is(run)}")
            wanted = f"{run}/{wanted}"
        return _named(choose(wanted).prefix, run)
    if tf.io.gfile.isdir(path):
        chosen = _of_folder(path, wanted)
        return chosen if run == path else _named(chosen.prefix, run)  # a folder inside a run, such as that of its best
    if wanted:
        raise UserError(f"{path} is not the folder of a run, of which --checkpoint={wanted} says one")
    return _named(on_disk.existing(path), run)


def _of_folder(folder: str, wanted: str | None) -> Checkpoint:
    """The rule."""
    best, notes = (None, []) if wanted == NEWEST else find_best(best_folder(folder))
    if best:
        newest = next(iter(on_disk.prefixes(folder)), "")
        is_another = newest and on_disk.number(newest) != on_disk.number(best)
        other = f"--checkpoint={NEWEST} takes {os.path.basename(newest)}" if is_another else ""
        return _described(best, folder, BEST, notes, other)
    if wanted == BEST:
        raise UserError("; ".join([*(notes or [f"{folder} has no best checkpoint"]), _what_there_is(folder)]))
    newest, broken = on_disk.first_readable(
        on_disk.prefixes(folder) or on_disk.prefixes(folder, on_disk.BEST_NAME) or _recorded(folder)
    )
    if not newest:
        _complain(folder, broken, notes)
        raise UserError(f"{folder} holds no checkpoint; train first, or give the folder or file prefix of one")
    notes += [f"{prefix} cannot be read: {reason}" for prefix, reason in broken.items()]
    best = next(iter(on_disk.prefixes(best_folder(folder), on_disk.BEST_NAME)), "") if wanted == NEWEST else ""
    return _described(newest, folder, NEWEST, notes, best and f"--checkpoint={BEST} takes {os.path.basename(best)}")


def find_best(folder: str) -> tuple[str | None, list[str]]:
    """The best checkpoint of a run, in the folder that is kept for it.

    Returns:
        Its prefix, None if there is none that can be read; and what is wrong with it, its record, or others there.
    """
    info_path = f"{folder}/{INFO}"
    step = recorded_best(folder).get("best_ckpt_global_step")
    candidates = sorted(
        on_disk.prefixes(folder, on_disk.BEST_NAME),
        key=lambda prefix: on_disk.number(prefix) != step,
    )
    best, broken = on_disk.first_readable(candidates)
    notes = [f"the best, {prefix}, cannot be read: {reason}" for prefix, reason in broken.items()]
    if best is None:
        traces = [path for path in (info_path, f"{folder}/checkpoint") if tf.io.gfile.exists(path)]
        return None, notes or [f"the best, which {path} records, is gone" for path in traces[:1]]
    if tf.io.gfile.exists(info_path) and step != on_disk.number(best):
        notes.append(f"{info_path} {'cannot be read' if step is None else f'is of step {step}'}")
    return best, notes


def best_folder(run: str) -> str:
    """The folder of a run's best checkpoint, by the run's `params.yaml` if there is one that can be read."""
    recorded = {}
    with contextlib.suppress(UserError):
        recorded = records.recorded_params(run)
    return f"{run}/{recorded.get('trainer.best_checkpoint_export_subdir') or BEST}"


def _named(prefix: str, run: str) -> Checkpoint:
    """A checkpoint that was named by its path."""
    reason = on_disk.problem(prefix)
    if reason:
        raise UserError(f"{prefix} cannot be read ({reason}); give another checkpoint")
    folder, kind = os.path.dirname(prefix) or ".", ""
    if _is_same(folder, best_folder(run)) and _is_same(find_best(best_folder(run))[0] or "", prefix):
        kind = BEST
    elif _is_same(folder, run) and _is_same(on_disk.first_readable(on_disk.prefixes(run))[0] or "", prefix):
        kind = NEWEST
    return _described(prefix, run, kind)


def _described(prefix: str, run: str, kind: str, notes: Sequence[str] = (), other: str = "") -> Checkpoint:
    checkpoint = Checkpoint(prefix, on_disk.step_of(prefix), None, kind, tuple(notes), other)
    return dataclasses.replace(checkpoint, ap=_recorded_ap(checkpoint, run))


def _recorded_ap(checkpoint: Checkpoint, run: str) -> float | None:
    """By the record of the best, by that of all evaluations, or by `metrics.json` if it is of the run's own data."""
    folder = os.path.dirname(checkpoint.prefix) or "."
    info = recorded_best(folder)
    of_step = [info] if info.get("best_ckpt_global_step") == checkpoint.step else []
    if checkpoint.kind or _is_same(folder, run):
        of_step += [row for row in early_stop.read(run, checkpoint.step) if row["step"] == checkpoint.step]
    metrics = checkpoint.read_metrics()
    if metrics and tf.io.gfile.exists(f"{run}/params.yaml"):
        of_step += [metrics] if records.is_evaluated_as(metrics, experiment.read_params(run)) else []
    values = [row.get("AP") for row in of_step]
    return next((float(value) for value in values if isinstance(value, (int, float))), None)


def _what_there_is(folder: str) -> str:
    names = [os.path.basename(prefix) for prefix in on_disk.prefixes(folder)]
    return f"there is {', '.join(names)}, the newest first (--checkpoint={NEWEST})" if names else "nor is there another"


def _recorded(folder: str) -> list[str]:
    """What the record named `checkpoint` says is the newest: files of other names than ours."""
    with contextlib.suppress(ValueError):  # an empty record
        prefix = tf.train.latest_checkpoint(folder)
        return [prefix] if prefix else []
    return []


def recorded_best(folder: str) -> dict[str, Any]:
    """What `info.json` records of a best checkpoint; empty without a step, as nobody knows of which it would be."""
    info = storage.read_dict(f"{folder}/{INFO}")
    step = info.get("best_ckpt_global_step")
    return info if isinstance(step, (int, float)) and float(step).is_integer() else {}


def _is_same(path: str, other: str) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)


# What training goes on from.


def holds_run(directory: str) -> bool:
    """Whether there is a checkpoint of a run, readable or not, or what only a run with checkpoints leaves behind."""
    return bool(_trace_of_a_run(directory) or _ever_saved(directory))


def newest_readable(directory: str, *, set_aside: bool, say: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint of a run that can be read; None if the folder holds no run.

    Args:
        directory: the run's folder.
        set_aside: rename newer ones that cannot be read (a run that trains), or only pass over them.
        say: prints a line for each of them.

    Raises:
        UserError: the folder holds a run, but no checkpoint of it can be read. Starting from step 0 would hide that.
    """
    newest, broken = on_disk.first_readable(on_disk.prefixes(directory))
    if not newest and not holds_run(directory):
        for prefix in broken:
            moved = f"; set aside as {on_disk.put_aside(prefix, on_disk.UNFINISHED)}" if set_aside else ""
            say(f"Checkpoint {prefix}, the first of its run, was not written to its end{moved}; starting anew.")
        return None
    if not newest:
        _complain(directory, broken)
        return None
    for prefix, reason in broken.items():
        moved = f"; set aside as {on_disk.put_aside(prefix)}" if set_aside else ""
        say(f"Checkpoint {prefix} cannot be read ({reason}){moved}; going on from {newest}.")
    return _described(newest, directory, NEWEST)


def _ever_saved(directory: str) -> bool:
    """Whether a checkpoint was ever whole there, by the checkpoints alone, where no list of them is.

    TensorFlow writes that list when the first one is whole. One alone that cannot be read is what a kill left of it.
    """
    candidates = on_disk.prefixes(directory)
    return len(candidates) > 1 or bool(on_disk.first_readable(candidates)[0])


def _complain(directory: str, broken: dict[str, str], notes: Sequence[str] = ()) -> None:
    """Raises a UserError if a folder without a checkpoint that can be read holds a run."""
    trace = next(iter(broken), None) or _trace_of_a_run(directory)
    if trace:
        why = "; ".join([*broken.values()][:1] or notes)
        raise UserError(
            f"{directory} holds a run, but none of its checkpoints can be read: see {trace}{f' ({why})' * bool(why)};"
            " bring one back, or take another --model_dir to start anew"
        )


def _trace_of_a_run(directory: str) -> str | None:
    """A file that only a run with checkpoints leaves behind."""
    metrics = f"{directory}/metrics.json"
    if records.last_step(directory):  # 0: weights from elsewhere were evaluated
        return metrics
    best = f"{best_folder(directory)}/{on_disk.BEST_NAME}-*"
    patterns = (f"{directory}/checkpoint", f"{directory}/{on_disk.UNREADABLE}{on_disk.NAME}-*", best)
    return next((path for pattern in patterns for path in tf.io.gfile.glob(pattern)), None)
