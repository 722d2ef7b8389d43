"""How a run ends before its end: whatever TensorFlow, the Garden and the machine raise is a line."""

import signal

import pytest
import tensorflow as tf
from official.core import actions

from fsaf_tf.config import schema
from fsaf_tf.errors import UserError
from fsaf_tf.run import ending
from fsaf_tf.terminal.interrupts import Interrupted
from fsaf_tf.terminal.progress import Progress


def line_of(call, folder, **train_data) -> str:
    """The line that a run in `folder` ends with when `call` is in it."""
    with pytest.raises(UserError) as error, ending.told(Progress(), str(folder), schema.Task(train_data=train_data)):
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_finite_loss_over_the_bound_has_the_line_of_the_guard(tmp_path):
    condition = actions.RecoveryCondition(tf.Variable(3), loss_upper_bound=1e6, recovery_max_trials=0)
    line = line_of(lambda: condition({"training_loss": tf.constant(2e26)}), tmp_path)
    assert line.startswith(
        "The loss is 2e+26, over trainer.loss_upper_bound, 1e+06; nothing was saved after that. Lower"
    )


def test_a_picture_that_is_gone_and_what_is_kept(tmp_path):
    data = tf.data.Dataset.from_tensors(f"{tmp_path}/x.png").map(tf.io.read_file)
    assert line_of(lambda: list(data), tmp_path) == f"{tmp_path}/x.png: it is not there (no checkpoint yet)"
    checkpoint = tf.train.Checkpoint(value=tf.Variable(1.0)).write(f"{tmp_path}/ckpt-20")
    assert line_of(lambda: list(data), tmp_path).endswith(f"({checkpoint} is kept)")


def test_the_damaged_record_is_found(tmp_path):
    for name in ("a", "b"):
        with tf.io.TFRecordWriter(f"{tmp_path}/{name}.tfrecord") as writer:
            writer.write(b"first")
            writer.write(b"second")
    with open(tmp_path / "b.tfrecord", "r+b") as file:
        file.seek(-5, 2)
        file.write(b"X")
    path = f"{tmp_path}/*.tfrecord"
    data = tf.data.TFRecordDataset(sorted(tf.io.gfile.glob(path)))
    line = line_of(lambda: list(data), tmp_path, input_path=path)
    assert line.startswith(f"{tmp_path}/b.tfrecord: record 1 is damaged (its checksum is wrong); write the file anew (")


def test_a_full_disk(tmp_path):
    def save():
        with tf.io.gfile.GFile("/dev/full", "w") as file:
            file.write("x" * 10**6)

    assert line_of(save, tmp_path).startswith("/dev/full: the disk is full: free some space, and the same command goes")


def test_a_storage_that_does_not_answer(tmp_path):
    """In a cluster it is a worker: `test_workers.py`."""

    def step():
        raise tf.errors.UnavailableError(None, None, "Error executing an HTTP request")

    assert line_of(step, tmp_path).startswith("another machine does not answer: Error executing an HTTP request")


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_a_signal_in_the_middle_of_tensorflow_is_a_signal(tmp_path, capsys, is_wrapped):
    """Its C++ makes a SystemError of an exception that is raised while it calls Python."""
    stop = Interrupted(signal.SIGTERM)
    with pytest.raises(SystemExit) as end, ending.told(Progress(), str(tmp_path), schema.Task()):
        if is_wrapped:
            raise SystemError("returned a result with an exception set") from stop
        raise stop
    assert (
        end.value.code == 128 + signal.SIGTERM and "Stopped by SIGTERM (no checkpoint yet)" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "error", [RuntimeError("x"), SystemError("x"), tf.errors.InternalError(None, None, "x")], ids=repr
)
def test_our_own_mistakes_stay(tmp_path, error):
    with pytest.raises(type(error)), ending.told(Progress(), str(tmp_path), schema.Task()):
        raise error
