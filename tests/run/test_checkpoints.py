"""Which checkpoint a run goes on from, and that nothing else is taken for it."""

import os
import pathlib
import re
import shutil

import pytest
import tensorflow as tf
import tf_keras

from fsaf_tf.errors import UserError
from fsaf_tf.files import storage
from fsaf_tf.run import checkpoints, on_disk, restore

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
    names = [os.path.basename(prefix) for prefix in on_disk.prefixes(folder)]
    assert names == ["ckpt-10", "ckpt-2", "ckpt-1"]
    said = []
    newest = checkpoints.newest_readable(folder, set_aside=True, say=said.append)
    assert newest.prefix == f"{folder}/ckpt-10" and newest.step == 10 and not said


@pytest.mark.parametrize("damage", BREAK)
def test_unreadable_checkpoint_is_set_aside_and_the_one_before_taken(folder, damage):
    BREAK[damage](f"{folder}/ckpt-10")
    said = []
    newest = checkpoints.newest_readable(folder, set_aside=True, say=said.append)
    assert newest.prefix == f"{folder}/ckpt-2"
    assert len(said) == 1 and "ckpt-10" in said[0] and "unreadable-ckpt-10" in said[0] and "\n" not in said[0]
    assert list(pathlib.Path(folder).glob("unreadable-ckpt-10.*"))
    assert not list(pathlib.Path(folder).glob("ckpt-10.*"))
    on_disk.write_record(folder)
    assert tf.train.latest_checkpoint(folder) == f"{folder}/ckpt-2"


def test_evaluation_only_passes_over_it(folder):
    flip_a_bit(f"{folder}/ckpt-10")
    said = []
    assert checkpoints.newest_readable(folder, set_aside=False, say=said.append).prefix == f"{folder}/ckpt-2"
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


# Which one a tool takes.


@pytest.fixture
def run(folder):
    """The folder as a run's whose best checkpoint is that of step 2."""
    best = make()
    best.global_step.assign(2)
    tf.train.CheckpointManager(best, f"{folder}/best", max_to_keep=1, checkpoint_name="best_ckpt").save(2)
    pathlib.Path(folder, "params.yaml").write_text("trainer: {train_steps: 10}")
    storage.write_json(f"{folder}/best/info.json", {"AP": 0.4125, "best_ckpt_global_step": 2})
    storage.write_json(f"{folder}/evaluations.json", [{"step": 1, "AP": 0.2}, {"step": 10, "AP": 0.3}])
    return folder


def test_the_best_is_taken_and_the_line_says_of_which_step_and_figure(run):
    for path, wanted in ((run, None), (f"{run}/", "best")):
        chosen = checkpoints.choose(path, wanted)
        line = f"Checkpoint: {run}/best/best_ckpt-2, step 2, AP 0.412 (the best; --checkpoint=newest takes ckpt-10)"
        assert chosen.line == line and chosen.results_dir == f"{run}/best" and not chosen.notes
    newest = checkpoints.choose(run, "newest")
    line = f"Checkpoint: {run}/ckpt-10, step 10, AP 0.300 (the newest; --checkpoint=best takes best_ckpt-2)"
    assert newest.line == line and newest.results_dir == run


@pytest.mark.parametrize(
    ("path", "kind", "results"),
    [
        ("best", "best", "best"),
        ("best/best_ckpt-2.index", "best", "best"),
        ("ckpt-10", "newest", ""),
        ("ckpt-1", "", "ckpt-1-eval"),
        (f"ckpt-1{DATA}", "", "ckpt-1-eval"),
    ],
)
def test_a_path_is_known_as_what_it_is_of_its_run(run, path, kind, results):
    """Wherever it is given; figures of one checkpoint never stand where those of another do."""
    for chosen in (checkpoints.choose(f"{run}/{path}"), checkpoints.choose(run, f"{run}/{path}")):
        assert chosen.kind == kind and chosen.results_dir == f"{run}/{results}".rstrip("/")
    assert checkpoints.choose(f"{run}/ckpt-1").line == f"Checkpoint: {run}/ckpt-1, step 1, AP 0.200"


def test_a_checkpoint_of_another_run_is_neither_its_best_nor_its_newest(run, tmp_path_factory):
    other = str(tmp_path_factory.mktemp("other"))
    for path in (run, f"{run}/ckpt-10"):
        assert checkpoints.choose(other, path).kind == ""


def test_without_a_best_the_newest(run):
    shutil.rmtree(f"{run}/best")
    assert checkpoints.choose(run).line == f"Checkpoint: {run}/ckpt-10, step 10, AP 0.300 (the newest)"
    with pytest.raises(UserError, match="has no best checkpoint; there is ckpt-10, ckpt-2, ckpt-1, the newest first"):
        checkpoints.choose(run, "best")
    os.mkdir(f"{run}/best")  # as a start makes it
    assert not checkpoints.choose(run).notes


@pytest.mark.parametrize("damage", [*BREAK, "files gone"])
def test_a_best_that_cannot_be_read_is_told_and_the_newest_taken(run, damage):
    if damage == "files gone":
        for path in pathlib.Path(run, "best").glob("best_ckpt*"):
            path.unlink()
    else:
        BREAK[damage](f"{run}/best/best_ckpt-2")
    chosen = checkpoints.choose(run)
    assert chosen.prefix == f"{run}/ckpt-10" and len(chosen.notes) == 1 and "\n" not in chosen.line
    reason = (
        "which .*/best/info.json records, is gone" if damage == "files gone" else ".*/best_ckpt-2, cannot be read: "
    )
    assert re.search(f", AP 0.300 \\(the newest; the best, {reason}", chosen.line)
    with pytest.raises(UserError, match=f"the best, {reason}.*; there is ckpt-10, ckpt-2, ckpt-1, the newest first"):
        checkpoints.choose(run, "best")
    assert checkpoints.choose(run, "newest").prefix == f"{run}/ckpt-10"


@pytest.mark.parametrize(
    ("content", "message"), [(b"\xff{", "cannot be read"), (b'{"best_ckpt_global_step": 1}', "is of step 1")]
)
def test_a_best_whose_record_is_of_no_use_has_no_figure(run, content, message):
    pathlib.Path(run, "best", "info.json").write_bytes(content)
    line = f"Checkpoint: {run}/best/best_ckpt-2, step 2 (the best; {run}/best/info.json {message}; --checkpoint=newest"
    assert checkpoints.choose(run).line.startswith(line)


def test_a_newest_that_cannot_be_read_is_told(run):
    shutil.rmtree(f"{run}/best")
    flip_a_bit(f"{run}/ckpt-10")
    chosen = checkpoints.choose(run)
    assert (chosen.prefix, chosen.kind) == (
        f"{run}/ckpt-2",
        "newest",
    ) and f"{run}/ckpt-10 cannot be read" in chosen.line
    with pytest.raises(UserError, match="ckpt-10 cannot be read .*; give another"):
        checkpoints.choose(run, f"{run}/ckpt-10")


def test_a_folder_of_the_best_may_have_another_name(run):
    os.rename(f"{run}/best", f"{run}/top")
    assert checkpoints.choose(run).kind == "newest"
    pathlib.Path(run, "params.yaml").write_text("trainer: {best_checkpoint_export_subdir: top}")
    assert checkpoints.choose(run).prefix == f"{run}/top/best_ckpt-2"


def test_a_best_alone_is_a_run_that_no_training_starts_over(run):
    for path in pathlib.Path(run).glob("ckpt*"):
        path.unlink()
    pathlib.Path(run, "checkpoint").unlink()
    assert checkpoints.choose(run).line == f"Checkpoint: {run}/best/best_ckpt-2, step 2, AP 0.412 (the best)"
    with pytest.raises(UserError, match="holds a run, but none of its checkpoints can be read: see .*/best_ckpt-2"):
        checkpoints.newest_readable(run, set_aside=True, say=print)
    with pytest.raises(UserError, match="holds a run"):
        checkpoints.choose(run, "newest")


def test_imported_weights_have_no_step(tmp_path):
    make().write(str(tmp_path / "ckpt-0"))
    on_disk.write_record(str(tmp_path))
    (tmp_path / "params.yaml").write_text("task: {}")
    assert checkpoints.choose(str(tmp_path)).line == f"Checkpoint: {tmp_path}/ckpt-0, imported weights (the newest)"


def test_figures_are_known_by_name_and_step(run):
    """Those in the run's folder are of the last evaluation there, not of whatever is the newest now."""
    newest = checkpoints.choose(run, "newest")
    for metrics, is_its in (
        ({"step": 10, "checkpoint": "ckpt-10"}, True),
        ({"step": 2, "checkpoint": "ckpt-2"}, False),
        ({"step": 10, "checkpoint": "best/best_ckpt-10"}, False),
        ({"step": 10}, False),
    ):
        storage.write_json(f"{run}/metrics.json", metrics)
        assert newest.read_metrics() == (metrics if is_its else {})


def test_what_is_no_checkpoint(run, tmp_path):
    with pytest.raises(UserError, match="ckpt-3 is neither a folder nor a checkpoint: there is no .*ckpt-3.index"):
        checkpoints.choose(run, f"{run}/ckpt-3")
    rule = "--checkpoint is best, newest, a name in .* or a path, not 'latest'; there is ckpt-10, .*the newest first"
    with pytest.raises(UserError, match=rule):
        checkpoints.choose(run, "latest")
    assert (
        checkpoints.choose(run, "ckpt-1").prefix == checkpoints.choose(run, f"{run}/ckpt-1").prefix == f"{run}/ckpt-1"
    )
    with pytest.raises(UserError, match="ckpt-1 is not the folder of a run, of which --checkpoint=best says one"):
        checkpoints.choose(f"{run}/ckpt-1", "best")
    with pytest.raises(UserError, match="empty holds no checkpoint; train first"):
        (tmp_path / "empty").mkdir()
        checkpoints.choose(str(tmp_path / "empty"))


@pytest.mark.parametrize("content", [None, b"", b"garbage"])
def test_record_is_written_anew_and_old_checkpoints_still_go(folder, content):
    record = pathlib.Path(folder, "checkpoint")
    record.unlink()
    if content is not None:
        record.write_bytes(content)
    assert checkpoints.newest_readable(folder, set_aside=True, say=print).prefix == f"{folder}/ckpt-10"
    on_disk.write_record(folder)
    manager = tf.train.CheckpointManager(make(), folder, max_to_keep=3)
    manager.save(checkpoint_number=11)
    assert [os.path.basename(prefix) for prefix in on_disk.prefixes(folder)] == [
        "ckpt-11",
        "ckpt-10",
        "ckpt-2",
    ]


def test_restore_brings_back_weights_and_momentum(tmp_path):
    straight = make()
    train(straight, 2)
    prefix = straight.write(str(tmp_path / "ckpt-2"))
    train(straight, 2)
    resumed = make()
    restore.restore(resumed, prefix)
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
        restore.restore(checkpoint, prefix)
    tf.debugging.assert_equal(checkpoint.model.variables[0], tf.ones([3, 2]))


def test_foreign_checkpoint_is_an_error(tmp_path):
    prefix = tf.train.Checkpoint(weights=tf.Variable(1.0)).write(str(tmp_path / "ckpt-1"))
    with pytest.raises(UserError, match="not written by a run"):
        restore.restore(make(), prefix)
