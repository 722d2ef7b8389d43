"""One process writes to the folder of a run: others are refused, dead ones are taken over from, all let go."""

import errno
import fcntl
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time

import pytest

from fsaf_tf.errors import UserError
from fsaf_tf.run import lock
from fsaf_tf.run.mode import MODES, parse

HOLD = """
import sys, time
from fsaf_tf.run import lock
with lock.held(sys.argv[1], [lock.TRAINING], print):
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture
def other(tmp_path):
    """A process that has the lock of `run`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def take(folder, names=(lock.TRAINING,), say=print):
    with lock.held(str(folder), names, say):
        return json.loads((folder / names[0]).read_text())


def test_a_second_process_is_refused_until_the_first_is_killed(other, tmp_path):
    folder, said = tmp_path / "run", []
    line = (
        rf"^{folder} is in use: process {other.pid} on {platform.node()} writes to it since 20\d\d-\S+; wait for it, or"
    )
    for _ in range(2):  # a refusal leaves the lock as it is
        with pytest.raises(UserError, match=line):
            take(folder)
    take(folder, [lock.EVALUATION])  # such as continuous_eval beside it
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert take(folder, say=said.append)["pid"] == os.getpid()
    assert (
        len(said) == 1
        and f"process {other.pid} on" in said[0]
        and said[0].endswith("and is dead: its lock is taken over.")
    )
    assert os.listdir(folder) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_it_is_let_go_at_every_end_and_a_new_folder_goes_that_stays_empty(tmp_path, error):
    for folder in (tmp_path / "new", tmp_path):
        with pytest.raises(error), lock.held(str(folder), [lock.TRAINING, lock.EVALUATION], print):
            assert sorted(os.listdir(folder)) == [lock.EVALUATION, lock.TRAINING]
            with pytest.raises(UserError, match=f"process {os.getpid()} on"):
                take(folder, [lock.EVALUATION])
            raise error
    assert os.listdir(tmp_path) == []


def test_that_of_another_machine_is_left_until_it_is_silent(tmp_path):
    path, said = tmp_path / lock.TRAINING, []
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "since": "2026-01-01"}))
    line = "process 1 on elsewhere writes to it since 2026-01-01; it counts as dead 10 minutes after its last sign; "
    line += f"if it is, delete {path}$"
    with pytest.raises(UserError, match=re.escape(str(tmp_path)) + f" is in use: {line}"):
        take(tmp_path)
    os.utime(path, (time.time() - lock.SILENCE - 60,) * 2)
    assert take(tmp_path, say=said.append)["host"] == platform.node()
    assert "process 1 on elsewhere" in said[0] and said[0].endswith("and is dead: its lock is taken over.")


def test_an_owner_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "SIGN", 0.01)
    with lock.held(str(tmp_path), [lock.TRAINING], print):
        path = tmp_path / lock.TRAINING
        os.utime(path, (0, 0))
        while path.stat().st_mtime == 0:  # a sign comes sooner or later
            time.sleep(0.01)
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "garbage", "[1]", '{"pid": '])
def test_a_lock_without_words_that_nobody_holds_is_free(tmp_path, content):
    (tmp_path / lock.TRAINING).write_text(content)
    said = []
    assert take(tmp_path, say=said.append)["pid"] == os.getpid() and not said


def test_a_lock_that_was_removed_after_it_was_opened_is_opened_anew(tmp_path, monkeypatch):
    """Two that wait for the same one would hold two files of one name."""
    real, path = fcntl.flock, tmp_path / lock.TRAINING

    def removed_first(file, how):
        monkeypatch.setattr(fcntl, "flock", real)
        path.unlink()
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    assert take(tmp_path)["pid"] == os.getpid()


def test_without_flock_it_goes_by_the_process_number(tmp_path, monkeypatch):
    def fails(file, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fails)
    process, said = subprocess.Popen(["sleep", "100"]), []
    owner = {"host": platform.node(), "pid": process.pid, "since": "2026-01-01"}
    (tmp_path / lock.TRAINING).write_text(json.dumps(owner))
    try:
        with pytest.raises(UserError, match=f"process {process.pid} on .* since 2026-01-01; wait for it"):
            take(tmp_path)
    finally:
        process.kill()
        process.wait()
    assert take(tmp_path, say=said.append) and "is dead" in said[0]


def test_storage_elsewhere_cannot_be_locked_which_is_said():
    said = []
    with lock.held("gs://bucket/run", [lock.TRAINING], said.append):
        assert said == ["gs://bucket/run cannot be locked: no other process may write to it meanwhile."]


def test_what_each_mode_locks():
    """An evaluation of one checkpoint is not beside a training, whose sweep takes away what is half written."""
    locked = {name: lock.names_of(parse(name), is_chief=True) for name in MODES}
    assert locked == {
        "train": [lock.TRAINING],
        "eval": [lock.TRAINING, lock.EVALUATION],
        "train_and_eval": [lock.TRAINING, lock.EVALUATION],
        "continuous_eval": [lock.EVALUATION],
    }
    assert lock.names_of(parse("train"), is_chief=False) == []
