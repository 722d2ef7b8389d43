"""What a kill leaves in a folder is left out, set aside or swept, with a line, and never stops a run for good."""

import os
import pathlib
import platform
import subprocess
import types

import pytest
import tensorflow as tf

from fsaf_tf.files import parts, storage
from fsaf_tf.run import best, checkpoints, early_stop, leftovers, on_disk, records, training
from fsaf_tf.run.mode import parse
from fsaf_tf.serving import saved_model

DATA = ".data-00000-of-00001"


def save(folder, name="ckpt", steps=(1, 2, 10), is_recorded=True):
    """Checkpoints of these steps, as a training leaves them."""
    step = tf.Variable(0, dtype=tf.int64)
    for number in steps:
        step.assign(number)
        tf.train.Checkpoint(model=tf.Variable([1.0]), global_step=step).write(f"{folder}/{name}-{number}")
    if is_recorded:
        on_disk.write_record(str(folder), name)
    return str(folder)


def go_on(folder):
    """As a training starts: the prefix that it goes on from, and the lines that it says."""
    said = []
    newest = checkpoints.newest_readable(folder, set_aside=True, say=said.append)
    if newest:
        said += filter(None, [leftovers.sweep(folder, on_disk.NAME, newest.prefix, figures=True)])
    on_disk.write_record(folder)
    assert all("\n" not in line for line in said)
    return newest and os.path.basename(newest.prefix), said


def names(folder):
    return sorted(path.name for path in pathlib.Path(folder).iterdir())


BREAK = {
    "index gone": lambda prefix: os.remove(prefix + ".index"),
    "data gone": lambda prefix: os.remove(prefix + DATA),
    "index empty": lambda prefix: os.truncate(prefix + ".index", 0),
    "data empty": lambda prefix: os.truncate(prefix + DATA, 0),
}


@pytest.mark.parametrize("damage", BREAK)
def test_an_old_checkpoint_in_part_is_no_longer_among_them(tmp_path, damage):
    """TensorFlow removes the index of an old one first, then its data; a kill may come between the two."""
    BREAK[damage](f"{save(tmp_path)}/ckpt-1")
    prefix, said = go_on(str(tmp_path))
    assert prefix == "ckpt-10" and len(said) == 1 and "ckpt-1" in said[0]
    kept = [os.path.basename(each) for each in on_disk.prefixes(str(tmp_path))]
    assert kept == ["ckpt-10", "ckpt-2"]
    is_aside = bool(list(tmp_path.glob("unreadable-ckpt-1.*")))
    assert is_aside == (damage != "index gone") and ("set aside" in said[0]) == is_aside
    assert go_on(str(tmp_path)) == ("ckpt-10", [])


@pytest.mark.parametrize("damage", BREAK)
def test_a_first_save_that_was_killed_is_no_run(tmp_path, damage):
    """Nothing was ever whole there, so nothing is lost by starting anew; also after a second such kill."""
    for _ in range(2):
        BREAK[damage](f"{save(tmp_path, steps=[10], is_recorded=False)}/ckpt-10")
        assert not checkpoints.holds_run(str(tmp_path))
        prefix, said = go_on(str(tmp_path))
        assert (
            prefix is None and len(said) == 1 and "ckpt-10" in said[0] and "set aside as unfinished-ckpt-10" in said[0]
        )
    assert not on_disk.prefixes(str(tmp_path)) and list(tmp_path.glob("unfinished-ckpt-10.*"))


def test_what_was_being_written_is_swept_and_what_is_the_users_stays(tmp_path):
    folder = save(tmp_path)
    before = names(folder)
    for name in ("ckpt-20_temp", "ckpt-3_temp", ".try-abc"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part-00000-of-00001.data").write_text("x")
    for name in ("metrics.json.part-a.host-7", "detections.json.part-b-c-8", f"checkpoint.tmp{'0a' * 16}"):
        (tmp_path / name).write_text("x")
    kept = ["notes.part", "metrics.json.part", "mine_temp", "checkpoint.tmp-of-mine"]
    for name in kept:
        (tmp_path / name).write_text("x")
    prefix, said = go_on(folder)
    assert prefix == "ckpt-10" and names(folder) == sorted([*before, *kept])
    assert len(said) == 1 and said[0].startswith("Left by a kill and taken away: 6 ") and "ckpt-20_temp" in said[0]


def test_a_start_after_a_first_save_that_was_killed_leaves_nothing_of_it(tmp_path):
    (tmp_path / "ckpt-1_temp").mkdir()
    (tmp_path / "ckpt-1_temp/part-00000-of-00001.data").write_text("x")
    for name in ("params.yaml.part-host-7", "mine.txt"):
        (tmp_path / name).write_text("x")
    said = []
    options = {
        "checkpoint": None,
        "step": 0,
        "mode": parse("train"),
        "progress": types.SimpleNamespace(say=said.append),
    }
    for folder in (str(tmp_path), f"{tmp_path}/new"):
        training._clear_up(types.SimpleNamespace(model_dir=folder, **options))
    assert names(tmp_path) == ["mine.txt"]
    assert said == [f"Left by a kill and taken away: 2 (ckpt-1_temp, params.yaml.part-host-7), in {tmp_path}."]


def test_parts_of_dead_processes_go_and_those_of_living_ones_and_other_machines_stay(tmp_path):
    output, said = str(tmp_path / "out"), []
    process = subprocess.Popen(["true"])
    process.wait()
    host = platform.node()
    dead, living = f"out.part-{host}-{process.pid}", os.path.basename(parts.signed(f"{output}.part-"))
    others = [living, f"out.part-other.{host}-{process.pid}", "out.part-7", f"out2.part-{host}-{process.pid}"]
    for name in (dead, *others):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    parts.sweep(f"{output}.part-", said.append)
    assert names(tmp_path) == sorted(others)
    assert len(said) == 1 and dead in said[0] and "taken away" in said[0]


def test_an_export_sweeps_what_a_killed_one_left(tmp_path, capsys):
    process = subprocess.Popen(["true"])
    process.wait()
    dead = tmp_path / f".export-{platform.node()}-{process.pid}-a_b1"
    for folder in (dead, tmp_path / "1", tmp_path / ".export-older"):
        folder.mkdir()
    with pytest.raises(AttributeError):  # there is no detector
        saved_model.export(None, str(tmp_path))
    assert names(tmp_path) == [".export-older", "1"] and dead.name in capsys.readouterr().out


# The best.


def exporter(folder, said):
    return best.BestExporter(str(folder), "AP", "higher", {}, said.append)


def keep(folder, step, ap, said):
    """Whether an evaluation is the best of a run that has just started again."""
    checkpoint = tf.train.Checkpoint(model=tf.Variable([1.0]), global_step=tf.Variable(step, dtype=tf.int64))
    kept = exporter(folder, said)
    if not kept.maybe_export_checkpoint(checkpoint, {"AP": ap}, step):
        return False
    kept.record({"AP": ap, "step": step, records.DIGEST: {}}, [], {"AP": ap})
    return True


@pytest.mark.parametrize("damage", [*BREAK, "data truncated"])
def test_a_best_that_is_broken_is_set_aside_and_does_not_count(tmp_path, damage):
    folder, said = str(tmp_path / "best"), []
    assert keep(folder, 5, 0.9, said) and not said
    truncate = lambda prefix: os.truncate(prefix + DATA, 10)  # noqa: E731
    (BREAK | {"data truncated": truncate})[damage](f"{folder}/best_ckpt-5")
    assert keep(folder, 6, 0.1, said)
    assert len(said) == 2 and "best_ckpt-5, cannot be read" in said[1] and "the next evaluation decides" in said[1]
    assert [os.path.basename(each) for each in on_disk.prefixes(folder, "best_ckpt")] == ["best_ckpt-6"]
    assert list(pathlib.Path(folder).glob("unreadable-best_ckpt-5.*")) and "set aside" in said[0]


@pytest.mark.parametrize("content", ["", "garbage", "model_checkpoint_path: 3"])
def test_a_list_of_the_best_that_is_garbage_is_written_anew(tmp_path, content):
    folder, said = str(tmp_path / "best"), []
    assert keep(folder, 5, 0.9, said)
    pathlib.Path(folder, "checkpoint").write_text(content)
    assert not keep(folder, 6, 0.1, said) and not said
    assert tf.train.latest_checkpoint(folder) == f"{folder}/best_ckpt-5"


@pytest.mark.parametrize(
    "info",
    [
        *([], 5, "x", {}, {"AP": "x", "best_ckpt_global_step": 5}, {"AP": [0.9], "best_ckpt_global_step": 5}),
        *({"AP": 0.9, "best_ckpt_global_step": "5"}, {"AP": 0.9, "best_ckpt_global_step": [5]}, {"AP": True}),
    ],
)
def test_a_record_of_the_best_of_another_kind_is_told_and_does_not_count(tmp_path, info):
    folder, said = str(tmp_path / "best"), []
    assert keep(folder, 5, 0.9, said)
    storage.write_json(f"{folder}/info.json", info)
    assert keep(folder, 6, 0.1, said)
    assert len(said) == 1 and f"{folder}/info.json" in said[0] and "the next evaluation decides" in said[0]


def test_a_half_deleted_best_beside_the_better_one_is_swept(tmp_path):
    folder, said = str(tmp_path / "best"), []
    assert keep(folder, 5, 0.3, said) and keep(folder, 7, 0.4, said)
    pathlib.Path(f"{folder}/best_ckpt-5{DATA}").write_text("x")
    os.mkdir(f"{folder}/best_ckpt-9_temp")
    assert not keep(folder, 8, 0.1, said)
    assert len(said) == 1 and "best_ckpt-5" in said[0] and "best_ckpt-9_temp" in said[0]
    assert sorted(path for path in names(folder) if "ckpt-" in path) == [f"best_ckpt-7{DATA}", "best_ckpt-7.index"]


# Records of another kind.


@pytest.mark.parametrize("content", [[1], {}, 5, "x", [{"AP": 1}], [{"step": "x", "AP": 1}], [{"step": 1, "AP": "x"}]])
def test_records_of_evaluations_of_another_kind_count_for_nothing(tmp_path, content):
    storage.write_json(f"{tmp_path}/evaluations.json", content)
    assert early_stop.read(str(tmp_path), 5) in ([], [{"step": 1}])
    early_stop.add(str(tmp_path), 2, {}, "AP", 0.5)
    assert early_stop.read(str(tmp_path), 5)[-1] == {"step": 2, "AP": 0.5, "data_digest": {}}


@pytest.mark.parametrize("content", [[1], 5, "x", {"starts": 5}, {"starts": [{"step": 1}]}])
def test_a_record_of_starts_of_another_kind_is_written_anew(tmp_path, content):
    storage.write_json(f"{tmp_path}/run.json", content)
    records.record_start(str(tmp_path), step=3, devices=["CPU"], data={})
    assert storage.read_json(f"{tmp_path}/run.json")["starts"][-1]["from_step"] == 3


@pytest.mark.parametrize("content", [[1], 5, "x", {"step": "x"}, {"step": [1]}, {"step": 7, "AP": {}}])
def test_figures_of_another_kind_are_none(tmp_path, content):
    storage.write_json(f"{tmp_path}/metrics.json", content)
    assert records.last_step(str(tmp_path)) == (7 if content == {"step": 7, "AP": {}} else 0)
