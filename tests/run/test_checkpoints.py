"""Which checkpoint a run goes on from, and that nothing else is taken for it."""

import os
import pathlib

import pytest
import tensorflow as tf
import tf_keras

from fsaf_tf import storage
from fsaf_tf.errors import UserError
from fsaf_tf.run import checkpoints

DATA = ".data-00000-of-00001"


def make(width=2, extra=False):
    """A trainer's checkpoint: model, optimizer and step; every weight is 1."""
    layers = [tf_keras.layers.Dense(width, name="first", kernel_initializer="ones")]
    layers += [tf_keras.layers.Dense(1, name="second")] if extra else []
    model = tf_keras.Sequential([tf_keras.Input([3]), *layers])
    step = tf.Variable(0, dtype=tf.int64)
    return tf.train.Checkpoint(model=model, optimizer=tf_keras.optimizers.legacy.SGD(0.1, 0.9), global_step=step)


def train(checkpoint, steps=1):
    model = checkpoint.model
    for _ in range(steps):
        gradients = [tf.ones_like(variable) for variable in model.trainable_variables]
        checkpoint.optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        checkpoint.global_step.assign_add(1)


@pytest.fixture
def folder(tmp_path):
    """A run's folder with ckpt-1, ckpt-2 and ckpt-10, where every weight is 1 less the step."""
    checkpoint = make()
    manager = tf.train.CheckpointManager(checkpoint, tmp_path, max_to_keep=3)
    for step in (1, 2, 10):
        checkpoint.global_step.assign(step)
        checkpoint.model.weights[0].assign(tf.ones([3, 2]) - step)
        manager.save(checkpoint_number=step)
    return str(tmp_path)


def flip_a_bit(prefix):
    path = pathlib.Path(prefix + DATA)
    content = bytearray(path.read_bytes())
    content[3] ^= 4
    path.write_bytes(content)


BREAK = {
    "bit flipped": flip_a_bit,
    "data truncated": lambda prefix: os.truncate(prefix + DATA, 10),
    "data missing": lambda prefix: os.remove(prefix + DATA),
    "index missing": lambda prefix: os.remove(prefix + ".index"),
    "index empty": lambda prefix: os.truncate(prefix + ".index", 0),
    "index garbage": lambda prefix: pathlib.Path(prefix + ".index").write_bytes(bytes(range(200))),
}


def test_newest_is_the_greatest_step(folder):
    names = [os.path.basename(prefix) for prefix in checkpoints.prefixes(folder)]
    assert names == ["ckpt-10", "ckpt-2", "ckpt-1"]
    said = []
    prefix = checkpoints.newest_readable(folder, set_aside=True, say=said.append)
    assert prefix == f"{folder}/ckpt-10" and checkpoints.step_of(prefix) == 10 and not said


@pytest.mark.parametrize("damage", BREAK)
def test_unreadable_checkpoint_is_set_aside_and_the_one_before_taken(folder, damage):
    BREAK[damage](f"{folder}/ckpt-10")
    said = []
    prefix = checkpoints.newest_readable(folder, set_aside=True, say=said.append)
    assert prefix == f"{folder}/ckpt-2"
    assert len(said) == 1 and "ckpt-10" in said[0] and "unreadable-ckpt-10" in said[0] and "\n" not in said[0]
    assert list(pathlib.Path(folder).glob("unreadable-ckpt-10.*"))
    assert not list(pathlib.Path(folder).glob("ckpt-10.*"))
    checkpoints.write_record(folder)
    assert tf.train.latest_checkpoint(folder) == f"{folder}/ckpt-2"


def test_evaluation_only_passes_over_it(folder):
    flip_a_bit(f"{folder}/ckpt-10")
    said = []
    assert checkpoints.newest_readable(folder, set_aside=False, say=said.append) == f"{folder}/ckpt-2"
    assert "ckpt-10" in said[0] and os.path.exists(f"{folder}/ckpt-10.index")


@pytest.mark.parametrize("damage", BREAK)
def test_no_readable_checkpoint_is_an_error_and_touches_nothing(folder, damage):
    for step in (1, 2, 10):
        BREAK[damage](f"{folder}/ckpt-{step}")
    before = sorted(os.listdir(folder))
    with pytest.raises(UserError, match="none of its checkpoints can be read.*ckpt-10"):
        checkpoints.newest_readable(folder, set_aside=True, say=print)
    assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize("trace", ["checkpoint", "unreadable-ckpt-7.index", "metrics.json"])
def test_traces_of_a_run_without_checkpoints_are_an_error(tmp_path, trace):
    (tmp_path / trace).write_text('{"step": 7}')
    with pytest.raises(UserError, match=trace):
        checkpoints.newest_readable(str(tmp_path), set_aside=True, say=print)


def test_new_folder_holds_no_run(tmp_path):
    (tmp_path / "params.yaml").write_text("task: {}")  # a run killed before its first checkpoint
    (tmp_path / "metrics.json").write_text('{"step": 0}')  # of weights from elsewhere
    assert checkpoints.newest_readable(str(tmp_path), set_aside=True, say=print) is None
    assert checkpoints.newest_readable(str(tmp_path / "none"), set_aside=True, say=print) is None
    assert checkpoints.step_of(None) == 0


@pytest.mark.parametrize("content", [None, b"", b"garbage"])
def test_record_is_written_anew_and_old_checkpoints_still_go(folder, content):
    record = pathlib.Path(folder, "checkpoint")
    record.unlink()
    if content is not None:
        record.write_bytes(content)
    assert checkpoints.newest_readable(folder, set_aside=True, say=print) == f"{folder}/ckpt-10"
    checkpoints.write_record(folder)
    manager = tf.train.CheckpointManager(make(), folder, max_to_keep=3)
    manager.save(checkpoint_number=11)
    assert [os.path.basename(prefix) for prefix in checkpoints.prefixes(folder)] == ["ckpt-11", "ckpt-10", "ckpt-2"]


def test_restore_brings_back_weights_and_momentum(tmp_path):
    straight = make()
    train(straight, 2)
    prefix = straight.write(str(tmp_path / "ckpt-2"))
    train(straight, 2)
    resumed = make()
    checkpoints.restore(resumed, prefix)
    train(resumed, 2)
    assert int(resumed.global_step) == 4
    for ours, theirs in zip(resumed.model.variables, straight.model.variables):
        tf.debugging.assert_equal(ours, theirs)


@pytest.mark.parametrize(
    ("saved", "wanted", "message"),
    [
        ({}, {"extra": True}, "it has no second/kernel"),
        ({"extra": True}, {}, "the model has no second/kernel"),
        ({"width": 4}, {}, r"first/kernel:0 is \[3, 4\] in it and \[3, 2\] in the model"),
    ],
)
def test_checkpoint_of_another_model_is_an_error(tmp_path, saved, wanted, message):
    other = make(**saved)
    train(other)
    prefix = other.write(str(tmp_path / "ckpt-1"))
    checkpoint = make(**wanted)
    with pytest.raises(UserError, match=message):
        checkpoints.restore(checkpoint, prefix)
    tf.debugging.assert_equal(checkpoint.model.variables[0], tf.ones([3, 2]))


def test_foreign_checkpoint_is_an_error(tmp_path):
    prefix = tf.train.Checkpoint(weights=tf.Variable(1.0)).write(str(tmp_path / "ckpt-1"))
    with pytest.raises(UserError, match="not written by a run"):
        checkpoints.restore(make(), prefix)


def exporter(folder):
    return checkpoints.BestExporter(str(folder), "AP", "higher")


def test_best_checkpoint_follows_the_figure_over_restarts(tmp_path):
    assert exporter(tmp_path).maybe_export_checkpoint(make(), {"AP": 0.3, "AP_by_class": {"a": float("nan")}}, 5)
    assert not exporter(tmp_path).maybe_export_checkpoint(make(), {"AP": 0.3}, 6)
    assert exporter(tmp_path).maybe_export_checkpoint(make(), {"AP": 0.4}, 7)
    assert tf.train.latest_checkpoint(str(tmp_path)) == f"{tmp_path}/best_ckpt-7"
    assert storage.read_json(f"{tmp_path}/info.json") == {"AP": 0.4, "best_ckpt_global_step": 7}
    assert not list(tmp_path.glob("best_ckpt-5*"))


def test_best_weights_are_written_before_their_record(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    best = exporter(tmp_path)
    monkeypatch.setattr(best, "export_best_eval_metric", killed)
    with pytest.raises(KeyboardInterrupt):
        best.maybe_export_checkpoint(make(), {"AP": 0.3}, 5)
    assert best.best_ckpt_path and not (tmp_path / "info.json").exists()
    assert exporter(tmp_path).maybe_export_checkpoint(make(), {"AP": 0.1}, 6)


def test_figure_without_value_is_never_the_best_for_long(tmp_path):
    best = exporter(tmp_path)
    assert best.maybe_export_checkpoint(make(), {"AP": float("nan")}, 1)
    assert best.maybe_export_checkpoint(make(), {"AP": 0.1}, 2)
    assert not best.maybe_export_checkpoint(make(), {"AP": float("nan")}, 3)


def test_record_without_weights_does_not_count(tmp_path):
    storage.write_json(f"{tmp_path}/info.json", {"AP": 0.9})
    assert exporter(tmp_path).maybe_export_checkpoint(make(), {"AP": 0.1}, 2)
    (tmp_path / "info.json").write_text("{")
    assert exporter(tmp_path).maybe_export_checkpoint(make(), {"AP": 0.1}, 3)
