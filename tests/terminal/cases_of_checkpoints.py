"""The cases of `test_injection.py` for checkpoints: which one, and what is taken from it."""

import errno
import functools
import os
import pathlib
import tempfile

import tensorflow as tf
import tf_keras
from cases_of_files import text
from injected import (
    MEMORY,
    TF_CREATE,
    TF_OPEN,
    TF_READ,
    Case,
    of_tensorflow,
    says,
)
from small_run import small_params

from fsaf_tf.config import schema
from fsaf_tf.data.classes import Classes
from fsaf_tf.run import checkpoints, ending, init_weights, leftovers, on_disk, restore
from fsaf_tf.terminal.progress import Progress

CLASSES = Classes(("cat",), (1,))


params = functools.cache(small_params)


@functools.cache
def model() -> tf_keras.Model:
    """Two variables, in the place of a detector."""
    return tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(1,))])


@functools.cache
def files_of_a_checkpoint() -> dict[str, bytes]:
    """What a checkpoint is made of, by the ends of the files' names."""
    step = tf.Variable(7, dtype=tf.int64)
    with tempfile.TemporaryDirectory() as folder:
        tf.train.Checkpoint(model=model(), global_step=step).write(f"{folder}/x")
        return {path.name[1:]: path.read_bytes() for path in pathlib.Path(folder).iterdir()}


def saved(folder, name: str = "ckpt-7") -> str:
    """Writes a checkpoint, and returns its prefix."""
    (folder / name).parent.mkdir(exist_ok=True)
    for end, data in files_of_a_checkpoint().items():
        (folder / f"{name}{end}").write_bytes(data)
    return f"{folder}/{name}"


def told(act):
    """An act inside a run: after `ckpt-7`, and with the words that a run ends with."""

    def inside(folder) -> None:
        saved(folder)
        with ending.told(Progress(), str(folder), schema.Task()):
            act(folder)

    return inside


# What open_checkpoint and get_tensor raise of a file that is there and damaged; the others are no reason to pass it by.
DAMAGED = (
    says("DataLoss", "Unable to open table file: ckpt-7.index: bad magic number"),
    says("NotFound", "Key x not found in checkpoint"),
    says("OutOfRange", "Read less bytes than requested"),
    says("InvalidArgument", "Tensor is corrupted"),
    lambda path: RuntimeError("Checksum does not match"),
    lambda path: ValueError("no"),
    lambda path: IndexError("no"),
)
CHOOSE = Case(lambda folder: checkpoints.choose(os.path.dirname(saved(folder))), TF_OPEN)
NAMED = Case(lambda folder: checkpoints.choose(saved(folder)), TF_OPEN)
# No reason to pass a checkpoint by, which may be whole.
PASSING = (
    *of_tensorflow(
        PermissionDenied=(errno.EACCES,),
        Unknown=(errno.EIO, errno.ESTALE),
        ResourceExhausted=(errno.EMFILE, errno.ENOMEM),
        DeadlineExceeded=(errno.ETIMEDOUT,),
    ),
    MEMORY,
)


def with_best(folder) -> None:
    """Chooses where there is a best checkpoint."""
    saved(folder, "best/best_ckpt-7")
    text(folder, "best/info.json", '{"best_ckpt_global_step": 7, "AP": 0.5}')
    checkpoints.choose(str(folder))


def evaluated(folder) -> None:
    """Reads what is recorded of a checkpoint that was evaluated."""
    saved(folder)
    text(folder, "metrics.json", '{"step": 7, "checkpoint": "ckpt-7", "AP": 0.5}')
    checkpoints.choose(str(folder))


def go_on(folder) -> None:
    """What training goes on from, where the newest checkpoint is damaged."""
    saved(folder, "ckpt-3")
    with open(f"{saved(folder)}.index", "wb"):
        checkpoints.newest_readable(str(folder), set_aside=True, say=print)


def sweep(folder) -> None:
    """Sweeps a run's folder with an old checkpoint that is whole, one that was being deleted, and one in writing."""
    kept = saved(folder)
    saved(folder, "ckpt-3")
    os.remove(f"{saved(folder, 'ckpt-2')}.index")
    (folder / "ckpt-8_temp").mkdir()
    leftovers.sweep(str(folder), on_disk.NAME, kept, figures=True)


GO_ON = Case(go_on, TF_CREATE)
RECORD = Case(lambda folder: on_disk.write_record(os.path.dirname(saved(folder))), TF_OPEN)
CHECKPOINTS = {
    "run/checkpoints.py:find_best:tf.io.gfile.exists": Case(with_best, TF_OPEN),
    "run/checkpoints.py:_recorded_ap:tf.io.gfile.exists": Case(evaluated, TF_OPEN),
    "run/on_disk.py:existing:tf.io.gfile.exists": NAMED,
    "run/checkpoints.py:choose:tf.io.gfile.exists": Case(
        lambda folder: checkpoints.choose(os.path.dirname(saved(folder)), "other"), TF_OPEN
    ),
    "run/checkpoints.py:_recorded:tf.train.latest_checkpoint": Case(
        lambda folder: checkpoints.choose(str(folder)), TF_OPEN
    ),
    "run/on_disk.py:prefixes:tf.io.gfile.listdir": CHOOSE,
    "run/on_disk.py:problem:paths.open_checkpoint": NAMED._replace(errors=(*DAMAGED, *PASSING), names="ckpt-7"),
    "run/on_disk.py:problem:reader.get_tensor": NAMED._replace(
        errors=(*DAMAGED, *PASSING), via="paths.open_checkpoint", names="ckpt-7"
    ),
    "run/on_disk.py:step_of:paths.open_checkpoint": NAMED,
    "run/on_disk.py:step_of:reader.get_tensor": NAMED._replace(errors=TF_READ, via="paths.open_checkpoint"),
    "run/on_disk.py:files_of:tf.io.gfile.listdir": GO_ON,
    "run/on_disk.py:is_complete:tf.io.gfile.stat": Case(sweep, TF_OPEN),
    "run/on_disk.py:put_aside:tf.io.gfile.rename": GO_ON,
    "run/checkpoints.py:_trace_of_a_run:tf.io.gfile.glob": Case(
        lambda folder: checkpoints.choose(str(folder)), TF_OPEN
    ),
    "run/on_disk.py:write_record:tf.io.gfile.exists": RECORD,
    "run/on_disk.py:write_record:tf.io.gfile.stat": RECORD,
    "run/on_disk.py:write_record:tf.io.gfile.remove": Case(
        lambda folder: on_disk.write_record(os.path.dirname(text(folder, "checkpoint"))), TF_OPEN
    ),
}


SWEEP = Case(sweep, TF_OPEN)
LEFTOVERS = {
    "run/leftovers.py:sweep:tf.io.gfile.listdir": SWEEP,
    "run/leftovers.py:sweep:tf.io.gfile.exists": SWEEP,
    "run/leftovers.py:_remove:tf.io.gfile.rmtree": SWEEP,
    "run/leftovers.py:_remove:tf.io.gfile.remove": SWEEP,
}


# Restoring.


def compared(folder) -> None:
    """Compares, then restores."""
    restore.restore(tf.train.Checkpoint(model=model()), saved(folder))


def started(folder) -> None:
    """Takes the weights of another run."""
    init_weights.restore_weights(model(), saved(folder), CLASSES, say=print)


RESTORE = Case(told(compared), TF_OPEN)
START = Case(told(started), TF_OPEN)
RESTORING = {
    "run/restore.py:compare:paths.open_checkpoint": RESTORE,
    "run/restore.py:compare:tf.train.CheckpointView.match": RESTORE._replace(
        errors=TF_READ, owner=tf.train.CheckpointView, attribute="match"
    ),
    "run/restore.py:_saved_variables:reader.get_tensor": RESTORE._replace(errors=TF_READ, via="paths.open_checkpoint"),
    "run/restore.py:restore:checkpoint.restore": RESTORE._replace(
        errors=(*TF_OPEN, *TF_READ), owner=tf.train.Checkpoint, attribute="restore"
    ),
    "run/init_weights.py:restore_weights:paths.open_checkpoint": START,
    "run/init_weights.py:restore_weights:reader.get_tensor": START._replace(
        errors=TF_READ, via="paths.open_checkpoint"
    ),
}


CASES = CHECKPOINTS | LEFTOVERS | RESTORING
