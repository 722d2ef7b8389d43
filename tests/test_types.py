"""What is public has types that a checker accepts, and that a user's program is held to."""

import os
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("mypy", reason="needs mypy: the extra [dev]")
ROOT = pathlib.Path(__file__).parent.parent
PROGRAM = ROOT / "tests" / "typed" / "program.py"
WRONG = """
import fsaf_tf

detector = fsaf_tf.load_detector(5)
detector("photo.jpg").append(1)
detector.preprocess
fsaf_tf.load_detector("runs/mine", tiles=640)
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory) -> list[str]:
    """What mypy says of the public files, of a user's program, and of one with four mistakes: one run for all."""
    folder = tmp_path_factory.mktemp("types")
    (folder / "wrong.py").write_text(WRONG)
    files = [
        line.strip(' ",') for line in (ROOT / "pyproject.toml").read_text().splitlines() if line[4:12] == '"fsaf_tf'
    ]
    assert len(files) > 10
    command = [sys.executable, "-m", "mypy", *files, str(PROGRAM), str(folder / "wrong.py")]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1, done.stderr
    return [line for line in done.stdout.splitlines() if ": error: " in line]


def test_the_public_files_and_a_users_program_are_accepted(checked):
    assert not [line for line in checked if "wrong.py" not in line]


def test_a_users_mistakes_are_seen(checked):
    lines = [int(line.split(":")[1]) for line in checked if "wrong.py" in line]
    assert sorted(set(lines)) == [4, 5, 6, 7]
