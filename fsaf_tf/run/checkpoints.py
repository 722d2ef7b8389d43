"""The checkpoints of a run: the newest that can be read, what it must hold, the best by AP."""

import re
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
from official.core import train_utils
from tensorflow.core.protobuf import trackable_object_graph_pb2

from fsaf_tf import storage
from fsaf_tf.errors import UserError

_FILE = re.compile(r"(ckpt-\d+)\.(index|data-\d{5}-of-\d{5})")
_STEP = "global_step/.ATTRIBUTES/VARIABLE_VALUE"
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
UNREADABLE = "unreadable-"
BEST = "best"  # the folder of the best checkpoint in a run's folder
NAMES_SHOWN = 3


def prefixes(directory: str) -> list[str]:
    """File prefixes of the checkpoints in `directory`, newest step first, whole or not.

    The files count, not the record named `checkpoint` beside them: it may be missing or stale.
    """
    names = tf.io.gfile.listdir(directory) if tf.io.gfile.isdir(directory) else []
    found = {match[1] for match in map(_FILE.fullmatch, names) if match}
    return [f"{directory}/{name}" for name in sorted(found, key=lambda name: -int(name.split("-")[1]))]


def problem(prefix: str) -> str | None:
    """Reads every tensor of a checkpoint: None if that works, else why not, in one line.

    Raises:
        UserError: the files may not be read by this user, which says nothing about what is in them.
    """
    try:
        reader = tf.train.load_checkpoint(prefix)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, IndexError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if "permission denied" in reason.lower():
            raise UserError(f"{prefix} may not be read: {reason}") from None
        return reason
    return None


def step_of(prefix: str | None) -> int:
    """The training step of a checkpoint that can be read; 0 of None."""
    if prefix is None:
        return 0
    reader = tf.train.load_checkpoint(prefix)
    return int(reader.get_tensor(_STEP)) if reader.has_tensor(_STEP) else 0


def newest_readable(directory: str, *, set_aside: bool, say: Callable[[str], None]) -> str | None:
    """The newest checkpoint of a run that can be read; None if the folder holds no run.

    Args:
        directory: the run's folder.
        set_aside: rename newer ones that cannot be read (a run that trains), or only pass over them.
        say: prints a line for each of them.

    Raises:
        UserError: the folder holds a run, but no checkpoint of it can be read. Starting from step 0 would hide that.
    """
    broken = {}
    for prefix in prefixes(directory):
        reason = problem(prefix)
        if reason is None:
            _leave_behind(broken, prefix, set_aside, say)
            return prefix
        broken[prefix] = reason
    trace = next(iter(broken), None) or _trace_of_a_run(directory)
    if trace:
        why = f" ({next(iter(broken.values()))})" if broken else ""
        raise UserError(
            f"{directory} holds a run, but none of its checkpoints can be read: see {trace}{why}; bring one back, or"
            " take another --model_dir to start anew"
        )
    return None


def _leave_behind(broken: dict, taken: str, set_aside: bool, say: Callable[[str], None]) -> None:
    for prefix, reason in broken.items():
        directory, name = prefix.rsplit("/", 1)
        moved = f"; set aside as {UNREADABLE}{name}.*" if set_aside else ""
        for file in tf.io.gfile.listdir(directory) if set_aside else ():
            if file.startswith(f"{name}."):
                tf.io.gfile.rename(f"{directory}/{file}", f"{directory}/{UNREADABLE}{file}", overwrite=True)
        say(f"Checkpoint {prefix} cannot be read ({reason}){moved}; going on from {taken}.")


def _trace_of_a_run(directory: str) -> str | None:
    """A file that only a run with checkpoints leaves behind."""
    metrics = f"{directory}/metrics.json"
    if (storage.read_json(metrics) or {}).get("step"):  # 0: weights from elsewhere were evaluated
        return metrics
    patterns = ("checkpoint", f"{UNREADABLE}ckpt-*")
    return next((path for pattern in patterns for path in tf.io.gfile.glob(f"{directory}/{pattern}")), None)


def write_record(directory: str) -> None:
    """Writes the file `checkpoint` anew from the files that are there, names relative to it.

    TensorFlow's manager takes the list of what it may delete from it, and `tf.train.latest_checkpoint` the newest.
    """
    found = prefixes(directory)[::-1]
    ages = [tf.io.gfile.stat(f"{prefix}.index").mtime_nsec / 1e9 for prefix in found]
    names = [prefix.rsplit("/", 1)[1] for prefix in found]
    lines = [f'model_checkpoint_path: "{names[-1]}"', *(f'all_model_checkpoint_paths: "{name}"' for name in names)]
    lines += [f"all_model_checkpoint_timestamps: {age}" for age in ages]
    lines += [f"last_preserved_timestamp: {min(ages) - 1}"]  # older than all: the manager keeps those before it
    storage.write_text(f"{directory}/checkpoint", "\n".join(lines) + "\n")


def find(path: str, best: str = BEST) -> str:
    """The file prefix of a checkpoint.

    Args:
        path: such a prefix (or one of its files), a folder of checkpoints, or the folder of a run: there, the best one
            (in the folder `best`) comes before the newest.
        best: name of that folder.

    Raises:
        UserError: there is none.
    """
    if not tf.io.gfile.isdir(path):
        prefix = re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path)
        if not tf.io.gfile.exists(f"{prefix}.index"):
            raise UserError(f"{path} is neither a folder nor a checkpoint: there is no {prefix}.index")
        return prefix
    prefix = _latest(f"{path}/{best}") or _latest(path) or newest_readable(path, set_aside=False, say=print)
    if prefix is None:
        raise UserError(f"{path} holds no checkpoint; train first, or give the folder or file prefix of one")
    return prefix


def _latest(folder: str) -> str | None:
    try:
        return tf.train.latest_checkpoint(folder)
    except ValueError:  # an empty record
        return None


def restore(checkpoint: tf.train.Checkpoint, prefix: str) -> None:
    """Restores all of `checkpoint`; slots of the optimizer that do not exist yet are filled when they are made.

    Args:
        checkpoint: with the attribute `model`.
        prefix: of a checkpoint that can be read.

    Raises:
        UserError: a variable of the model is not in the checkpoint, or the other way round, or shapes differ.
    """
    complain(compare(checkpoint, prefix), prefix)
    checkpoint.restore(prefix).expect_partial()  # silences warnings: an evaluation needs no optimizer


class Comparison(NamedTuple):
    """A model's variables beside those in a checkpoint, matched by their place in the model.

    Attributes:
        keys: variables that are in it, and their keys.
        missing: variables that it does not have.
        misshapen: variables that it has in another shape, and that shape.
        surplus: names of variables that only it has.
    """

    keys: list[tuple[tf.Variable, str]]
    missing: list[tf.Variable]
    misshapen: list[tuple[tf.Variable, list[int]]]
    surplus: list[str]


def compare(checkpoint: tf.train.Checkpoint, prefix: str) -> Comparison:
    """Compares the model of `checkpoint` with what a checkpoint that can be read has for it.

    Raises:
        UserError: it is not a checkpoint of a run.
    """
    reader = tf.train.load_checkpoint(prefix)
    shapes = reader.get_variable_to_shape_map()
    if not any(_is_weight(key) for key in shapes):
        raise UserError(f"{prefix} is not a checkpoint of this model: it was not written by a run of these tools")
    saved = _saved_variables(reader)
    matched = tf.train.CheckpointView(prefix).match(checkpoint)
    ours = {id(matched[node]): key for node, (key, _) in saved.items() if node in matched}
    variables = checkpoint.model.variables
    keys = [(variable, ours[id(variable)]) for variable in variables if id(variable) in ours]
    return Comparison(
        keys=keys,
        missing=[variable for variable in variables if id(variable) not in ours],
        misshapen=[(variable, shapes[key]) for variable, key in keys if list(variable.shape) != shapes[key]],
        surplus=[name for node, (key, name) in saved.items() if node not in matched and _is_weight(key)],
    )


def complain(found: Comparison, prefix: str) -> None:
    """Raises a UserError if a checkpoint and a model differ."""
    differences = [f"it has no {variable.name}" for variable in found.missing]
    differences += [
        f"{variable.name} is {shape} in it and {list(variable.shape)} in the model"
        for variable, shape in found.misshapen
    ]
    differences += [f"the model has no {name}" for name in found.surplus]
    if differences:
        shown = "; ".join(differences[:NAMES_SHOWN])
        more = f"; and {len(differences) - NAMES_SHOWN} more" if len(differences) > NAMES_SHOWN else ""
        raise UserError(
            f"{prefix} is not a checkpoint of this model: {shown}{more}; take the experiment it was trained with"
        )


def _is_weight(key: str) -> bool:
    return key.startswith("model/") and "/.OPTIMIZER_SLOT/" not in key


def _saved_variables(reader) -> dict:
    """From the number of a node in the checkpoint's object graph to the key and the name of its variable."""
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(reader.get_tensor(_OBJECT_GRAPH))
    nodes = ((number, node.attributes) for number, node in enumerate(graph.nodes))
    return {number: (each.checkpoint_key, each.full_name) for number, values in nodes for each in values}


class BestExporter(train_utils.BestCheckpointExporter):
    """Keeps the checkpoint with the best figure. The Garden's, with the weights written before their record.

    In the other order, a run killed in between takes weights that were never written for the best ones.
    """

    def maybe_export_checkpoint(self, checkpoint, eval_logs, global_step, write_logs=True) -> bool:
        """Writes `best_ckpt-<step>`, then `info.json`, if the figure is better than the record's or there is none."""
        if self._has_best() and not self._new_metric_is_better(self._best_ckpt_logs, eval_logs):
            return False
        self._get_checkpoint_manager(checkpoint).save(checkpoint_number=int(global_step))
        self._best_ckpt_logs = eval_logs
        if write_logs:
            self.export_best_eval_metric(eval_logs, int(global_step))
        return True

    def export_best_eval_metric(self, eval_logs, global_step) -> None:
        """Writes the record in one piece."""
        storage.write_json(self.best_ckpt_logs_path, {**eval_logs, "best_ckpt_global_step": global_step})

    def _has_best(self) -> bool:
        value = storage.plain((self._best_ckpt_logs or {}).get("|".join(self._metric_name)))
        return value is not None and self.best_ckpt_path is not None

    def _maybe_load_best_eval_metric(self) -> dict | None:
        return storage.read_json(self.best_ckpt_logs_path)
