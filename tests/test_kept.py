"""What earlier versions left behind: their runs go on, and their models give what they gave then."""

import json
import pathlib
import re
import tarfile

import numpy as np
import pytest
from in_process import call
from kept import make

from fsaf_tf.cli import analyze, predict, train
from fsaf_tf.run import checkpoints

EAGER = "trainer.train_tf_function=false,trainer.train_tf_while_loop=false"  # three steps cost less than to trace one
ARCHIVES = sorted((pathlib.Path(__file__).parent / "kept").glob("*.tar.xz"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def kept(request, tmp_path, monkeypatch):
    """The content of an archive, in the working directory."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _check_same(found, wanted):
    assert [(each["file_name"], each["category_id"]) for each in found] == [
        (each["file_name"], each["category_id"]) for each in wanted
    ]
    for key, tolerance in (("bbox", 0.02), ("score", 1e-4)):  # px; other processors round otherwise
        pairs = ([each[key] for each in rows] for rows in (found, wanted))
        np.testing.assert_allclose(*pairs, atol=tolerance)


@pytest.mark.parametrize("model", ["run", "saved_model", "tflite/model_float32.tflite"])
def test_a_kept_model_finds_what_it_found_then(kept, monkeypatch, model):
    assert call(predict, monkeypatch, f"--model={model}", "--images=images", "--output=out") == 0
    found, wanted = (
        json.loads((kept / folder / "detections.json").read_text())
        for folder in ("out", f"found/{model.split('/')[0]}")
    )
    assert len(wanted) > 8
    _check_same(found, wanted)


def test_a_kept_run_is_evaluated_to_the_same_figures(kept, monkeypatch):
    wanted = json.loads((kept / "run" / "metrics.json").read_text())
    assert call(train, monkeypatch, "--mode=eval", "--model_dir=run") == 0
    best = checkpoints.choose("run")
    found = best.read_metrics()
    assert best.results_dir == "run/best" and best.ap == wanted["AP"]
    assert json.loads((kept / "run" / "metrics.json").read_text()) == wanted
    assert wanted["AP"] > 0.1
    for key in ("AP", "AP50", "AP75", "AR100"):
        np.testing.assert_allclose(found[key], wanted[key], atol=1e-6)


def test_a_report_on_a_kept_run_is_of_the_detections_that_it_has(kept, monkeypatch, capsys):
    """Versions before had those of the newest checkpoint alone."""
    has_its_own = (kept / "run" / "best" / "detections.json").exists()
    assert call(analyze, monkeypatch, "--model_dir=run", "--output=report.html") == 0
    first, *_ = capsys.readouterr().out.splitlines()
    step, best = make.STEPS, f"run/best/best_ckpt-{make.STEPS}"
    if has_its_own:
        assert first.startswith(f"Checkpoint: {best}, step {step}, AP 0.")
    else:
        assert re.fullmatch(
            rf"Checkpoint: run/ckpt-{step}, step {step}, AP (0\.\d+), which was evaluated last: {best}, step {step}, AP"
            r" \1 has no figures and detections of its own; this makes them: python tools/train.py --mode=eval"
            r" --model_dir=run",
            first,
        )


def test_a_kept_run_goes_on_with_the_same_steps(kept, monkeypatch):
    """Each batch holds all pictures, unflipped, so that only the code decides what a step does."""
    further = [f"{each},{EAGER}" if "params_override" in each else each for each in make.FURTHER]
    assert call(train, monkeypatch, *further) == 0
    wanted = json.loads((kept / "change.json").read_text())
    found = make.change(kept, f"run/ckpt-{make.STEPS + make.FURTHER_STEPS}")
    assert found.keys() == wanted.keys()
    np.testing.assert_allclose(list(found.values()), list(wanted.values()), rtol=0.01, atol=1e-5)
