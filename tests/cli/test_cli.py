"""The tools' command line: help and mistakes are told at once, in one line, without TensorFlow."""

import pathlib
import re
import signal
import subprocess
import sys

import pytest

from fsaf_tf.config import catalog

ROOT = pathlib.Path(__file__).parent.parent.parent


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess:
    """Runs a tool; TensorFlow cannot be imported, so that needing it is an error."""
    block = "import runpy, sys; sys.modules['tensorflow'] = None; sys.argv = sys.argv[1:]; "
    program = block + "runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", program, str(ROOT / "tools" / f"{name}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], f"--experiment is missing; give the path of a YAML file or: {', '.join(catalog.names())}"),
        (["--experiment=no_such"], "no experiment 'no_such'; give the path of a YAML file or one of: "),
        (["--experiment=fsaf_r500"], "no experiment 'fsaf_r500', did you mean 'fsaf_r50'?; give the path"),
        (["--experiment=mine.yaml"], "no file 'mine.yaml'; give the path of a YAML file or one of: "),
        (
            ["--experiment=fsaf_r50", "--experiment=fsaf_demo"],
            "--experiment is given twice, fsaf_r50 and fsaf_demo; leave one",
        ),
        (["--experimnt=fsaf_r50"], "there is no flag --experimnt, did you mean --experiment?"),
        (
            ["--experiment=fsaf_r50", "--mode=test"],
            "--mode cannot be 'test'; there are: train, eval, train_and_eval, continuous_eval",
        ),
        (["--experiment"], "--experiment has no value; write --experiment=VALUE"),
        (["fsaf_r50"], "'fsaf_r50' is no flag; flags are written --name=value"),
    ],
)
def test_a_mistake_is_one_line(arguments, message):
    done = tool("train", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr and done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "name",
    [
        "train",
        "predict",
        "import_weights",
        "export",
        "serve_client",
        "visualize",
        "draw_shapes",
        "data",
        "prepare_data",
    ],
)
def test_help_lists_the_tools_own_flags(name):
    done = tool(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"python tools/{name}\.py (check )?--", done.stdout)
    assert "undefok" not in done.stdout and "verbosity" not in done.stdout


@pytest.fixture
def study_run(tmp_path, monkeypatch):
    """Trains a cell of a study where tools/train.py is another program."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import cells

    monkeypatch.setattr(cells, "ROOT", tmp_path)
    (tmp_path / "tools").mkdir()

    def train(program: str) -> dict:
        (tmp_path / "tools" / "train.py").write_text(f"import os, pathlib, signal, sys, time\n{program}")
        return cells.train("fsaf_r50", [], 0, "run")

    return train


@pytest.mark.parametrize(
    "program, error",
    [
        ("sys.exit('first line\\nthe last one')", "the last one"),
        ("sys.exit(3)", "exit 3"),
        ("print('a warning', file=sys.stderr, flush=True); os.kill(os.getpid(), signal.SIGKILL)", "killed: Killed"),
    ],
)
def test_a_study_keeps_what_a_run_failed_with(study_run, program, error):
    kept = study_run(program)
    assert kept["error"] == error and "metrics" not in kept and kept["command"].startswith("python tools/train.py")


@pytest.mark.parametrize("status", [128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM])
def test_a_study_ends_with_a_run_that_was_stopped(study_run, status, capsys):
    ends = f"sys.exit({status})" if status > 0 else f"signal.raise_signal({-status})"
    with pytest.raises(KeyboardInterrupt):
        study_run(ends)
    assert capsys.readouterr().out == "run was stopped; the same command goes on with it\n"


def test_a_study_lets_an_interrupted_run_save(study_run, tmp_path):
    """Ctrl-C reaches both; the run takes its time."""
    stop = "signal.signal(signal.SIGINT, lambda *_: None); os.kill(os.getppid(), signal.SIGINT); time.sleep(1)"
    with pytest.raises(KeyboardInterrupt):
        study_run(f"{stop}; pathlib.Path('saved').touch(); sys.exit(130)")
    assert (tmp_path / "saved").exists()


def test_sizes_of_the_study_of_views(monkeypatch):
    """How large detections are beside their objects; crowds and objects without an area are no measure."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import views

    monkeypatch.setattr(sys, "argv", ["views", "--model_dir=run", "--ratios=1,x"])
    with pytest.raises(SystemExit, match="error: --ratios are numbers .*'x'"):
        views.main()
    place = {"image_id": 1, "category_id": 1}
    truth = [{**place, "bbox": box, "iscrowd": crowd} for box, crowd in (([0, 0, 10, 10], 0), ([0, 0, 12, 12], 1))]
    truth.append({**place, "bbox": [0, 0, 0, 0], "iscrowd": 0})
    assert views._relative_size(truth, [{**place, "bbox": [0, 0, 12, 12], "score": 0.9}]) == pytest.approx(1.2)


def test_draw_shapes(tmp_path):
    assert tool("draw_shapes", "--count=2", f"--output={tmp_path}/a").stdout == f"2 pictures in {tmp_path}/a\n"
    assert [path.name for path in sorted((tmp_path / "a").iterdir())] == ["001.png", "002.png"]
