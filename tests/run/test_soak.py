"""One moment of the soak: what its library counts, a kill, a full disk and two writers. `make soak` has the rest."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))
from benchmarks.soak import compare, flat_memory, shim, trials  # noqa: E402 (from the checkout, which is not installed)

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc, which makes the library that counts calls")
CHANGE = """
import os, shutil
open("a.part", "w").write("x" * 10)
os.rename("a.part", "a")
os.makedirs("b/c")
shutil.rmtree("b")
os.unlink("old")
"""
CALLS = ["open a.part", "write a.part", "rename a", "mkdir b", "mkdir c", "rmdir c", "rmdir b", "unlink old"]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return shim.build(tmp_path_factory.mktemp("library"))


@pytest.fixture
def change(library, tmp_path):
    """Changes a folder in a process of its own that is armed; its exit status, the folder, and the calls."""

    def _change(at: int, error: int = 0):
        folder, log = tmp_path / "folder", tmp_path / "log"
        folder.mkdir()
        (folder / "old").write_text("old")
        armed = {"SOAK_FOLDER": str(folder), "SOAK_AT": str(at), "SOAK_ERROR": str(error), "SOAK_LOG": str(log)}
        command = [sys.executable, "-c", CHANGE]
        done = subprocess.run(command, cwd=folder, env={**shim.environment(library), **armed}, capture_output=True)
        calls = [call.replace("unlinkat", "rmdir") for call in shim.calls(log)]  # as Python removes folders
        return done, {path.name for path in folder.iterdir()}, calls

    return _change


def test_it_counts_what_changes_a_folder(change):
    done, names, calls = change(0)
    assert (done.returncode, names, calls) == (0, {"a"}, CALLS)


def test_a_kill_comes_before_its_call_and_in_the_middle_of_a_write(change, tmp_path):
    done, names, calls = change(2)
    assert (done.returncode, names, calls) == (-9, {"a.part", "old"}, CALLS[:2])
    assert (tmp_path / "folder/a.part").read_text() == "x" * 5


def test_a_kill_at_an_unlink(change):
    done, names, calls = change(8)
    assert (done.returncode, names, calls) == (-9, {"a", "old"}, CALLS)


def test_a_full_disk_stays_full(change):
    done, names, _ = change(1, 28)
    assert done.returncode == 1 and b"No space left on device" in done.stderr and names == {"old"}


def test_a_soak_of_a_trial_each_and_its_table(tmp_path):
    parts = "persistence_kills,disk_full,two_writers,tool_kills"
    command = [sys.executable, "-m", "benchmarks.soak", f"--parts={parts}", "--trials=1", f"--output={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {name: trials.rows(tmp_path, name) for name in parts.split(",")}
    assert [len(made) for made in rows.values()] == [1, 1, 1, 1]
    assert not [row["faults"] for made in rows.values() for row in made if row["faults"]]
    assert rows["persistence_kills"][0]["kills"] == 2 and rows["two_writers"][0]["refused"] == 1
    assert "| `persistence_kills` | 1 of 1 | 1 | 2 kills |" in (tmp_path / "table.md").read_text()


def test_a_trial_that_a_kill_cut_short_is_made_again(tmp_path):
    made = []

    def run(folder, numbers):
        for number in numbers:
            made.append(number)
            yield {"faults": ["it is wrong"] * (number == 2), "kills": 1}

    (tmp_path / "part.jsonl").write_text('{"trial": 0, "faults": [], "seconds": 1}\n{"trial": 1, "fau')
    part = trials.Part("a part", 3, run)
    trials.run("part", part, tmp_path)
    assert made == [1, 2]
    lines, faults = trials.table({"part": part}, tmp_path)
    assert lines[2].startswith("| `part` | 3 of 3 | 2 | 2 kills |") and lines[3:] == ["part 2: it is wrong"]
    assert faults == 1


def test_files_that_are_cut_short_are_found(tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 64), "red").save(tmp_path / "whole.png")
    for name, content in (("a.json", "[1"), ("b.html", "<html>"), ("c.json", "[1]"), ("d.json.part-host-1", "[")):
        (tmp_path / name).write_text(content)
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    assert [line.partition(":")[0] for line in compare.unwhole(tmp_path)] == ["a.json", "b.html", "cut.png"]


def test_results_are_the_same_but_for_what_is_of_the_moment(tmp_path):
    for name, seconds, ap in (("one", 1, 0.5), ("other", 2, 0.5), ("third", 1, 0.6)):
        os.mkdir(tmp_path / name)
        (tmp_path / name / "metrics.json").write_text(json.dumps({"seconds": seconds, "AP": ap}))
    one, other, third = (compare.content(tmp_path / name) for name in ("one", "other", "third"))
    assert compare.differences(one, other) == [] and compare.differences(one, third) == ["metrics.json"]


def test_memory_that_grows_is_told_from_memory_that_fills():
    fills = [100 + 50 * min(look, 4) for look in range(20)]
    leaks = [100 + 50 * min(look, 4) + 3 * look for look in range(20)]
    assert flat_memory.slope(fills) == pytest.approx(0) and flat_memory.slope(leaks) > flat_memory.BOUND
