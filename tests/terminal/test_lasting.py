"""What a tool says ends nothing: letters that the locale lacks, names that are no text, a closed pipe, a full disk."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
# A tool that says more than a pipe holds, and then writes its result.
TOOL = """
import os, pathlib
from absl import flags
from fsaf_tf import cli

def main():
    for number in range(20_000):
        print(number, "grün 安全帽", os.fsdecode(b"gr\\xfcn.jpg"), flush=number % 1000 == 0)
    pathlib.Path("result").write_text("whole")

cli.run(main, flags.FlagValues(), "A tool.")
"""


def run(folder: pathlib.Path, shell: str, **environment: str) -> subprocess.CompletedProcess:
    (folder / "tool.py").write_text(TOOL, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable, **environment}
    command = ["bash", "-o", "pipefail", "-c", f"$PYTHON tool.py {shell}"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=600)


@pytest.mark.parametrize(
    "environment", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_a_locale_without_the_letters(tmp_path, environment):
    done = run(tmp_path, "", **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(rb"0 gr\xfcn \u5b89\u5168\u5e3d gr\udcfcn.jpg")
    assert (tmp_path / "result").read_text() == "whole"


@pytest.mark.parametrize("shell", ["| head -n 1", ">&-", "| true"])
def test_a_pipe_that_nobody_reads(tmp_path, shell):
    done = run(tmp_path, shell)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "result").read_text() == "whole"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk without room")
def test_a_full_disk_is_told_once(tmp_path):
    done = run(tmp_path, "> /dev/full")
    assert done.stderr == b"standard output cannot be written to: No space left on device; the work goes on\n"
    assert done.returncode == 0 and (tmp_path / "result").read_text() == "whole"
