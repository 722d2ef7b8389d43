"""The run as a whole: what it leaves behind, and how it goes on after each kind of end."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas
import pytest
import squares
import tensorflow as tf
from in_process import call
from official.modeling import optimization
from tensorflow_datasets.object_detection import coco as tfds_coco

from fsaf_tf.cli import train
from fsaf_tf.config import backbone_keys, experiment
from fsaf_tf.errors import UserError
from fsaf_tf.files import storage
from fsaf_tf.modeling import detector
from fsaf_tf.run import checkpoints, controller, devices, lock, non_finite, opening, replay, runner, training
from fsaf_tf.run.mode import parse
from fsaf_tf.run.task import FSAFTask

IMAGES = 4
ROOT = pathlib.Path(__file__).parent.parent.parent
RESNEXT_BY_XLA = {
    "runtime": {"enable_xla": True},
    "task": {"model": {"backbone": {"resnet": {"groups": 2, "width_per_group": 32}}}},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four 64 px pictures with a bright square each, and their COCO JSON."""
    folder = tmp_path_factory.mktemp("squares")
    squares.write(folder, IMAGES)
    return folder


def write_experiment(data, path):
    """The smallest FSAF; every batch holds all pictures, so that the order of the data changes nothing."""
    source = f"annotation_file: {data}/squares.json, image_dir: {data}, global_batch_size: {IMAGES}"
    path.write_text(f"""
task:
  model:
    max_level: 5
    backbone: {{type: resnet, resnet: {{depth: 14, width_per_group: 8, form: pytorch, weights: ''}}}}
    fpn: {{channels: 16}}
    heads: {{convs: 1, channels: 16}}
  input_size: {{shorter_side: 64, longer_side: 64}}
  train_data: {{{source}, random_flip: false}}
  validation_data: {{{source}}}
trainer:
  train_steps: 4
  steps_per_loop: 1
  summary_interval: 2
  checkpoint_interval: 1
  validation_interval: 3
  optimizer_config:
    learning_rate: {{stepwise: {{boundaries: [3], values: [0.01, 0.001]}}}}
    warmup: {{linear: {{warmup_steps: 1, warmup_learning_rate: 0.001}}}}
""")
    return path


@pytest.fixture
def params(data, tmp_path):
    return experiment.load(str(write_experiment(data, tmp_path / "tiny.yaml")))


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The folder of a run that trained and evaluated, and what it returned; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    params = experiment.load(str(write_experiment(data, folder / "tiny.yaml")))
    return folder / "run", training.run(params, str(folder / "run"), "train_and_eval")


@pytest.fixture
def copy(finished, tmp_path):
    return pathlib.Path(shutil.copytree(finished[0], tmp_path / "copy"))


def variables(prefix):
    reader = tf.train.load_checkpoint(str(prefix))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if name[0] != "_"}


def summaries(folder):
    """The last value of each tag."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                found[value.tag] = tf.make_ndarray(value.tensor)
    return found


def test_run_leaves_everything_behind(finished, data):
    folder, metrics = finished
    assert (metrics["step"], metrics["images"], metrics["checkpoint"]) == (4, IMAGES, "ckpt-4")
    assert set(metrics["AP_by_class"]) == {"odd", "even"} and {"AP", "ARl", "AP_thin", "seconds"} <= set(metrics)
    assert storage.read_json(f"{folder}/metrics.json") == metrics
    assert sum(metrics["levels"].values()) == pytest.approx(1) and metrics["levels_by_size"] == {"3": 1, "4": 0, "5": 0}
    assert storage.read_json(f"{folder}/labels.json") == {"names": ["odd", "even"], "category_ids": [1, 2]}
    assert isinstance(storage.read_json(f"{folder}/detections.json"), list)
    assert experiment.read_params(folder).task.train_data.annotation_file == f"{data}/squares.json"
    start = storage.read_json(f"{folder}/run.json")["starts"][0]
    assert start["from_step"] == 0 and set(start["data"]) == {"train", "validation"}
    assert start["data"]["validation"]["images"] == IMAGES and "squares.json" in start["data"]["train"]["name"]
    best = storage.read_json(f"{folder}/best/metrics.json")
    assert (best["step"], best["checkpoint"]) == (3, "best/best_ckpt-3") and best.keys() == metrics.keys()
    assert isinstance(storage.read_json(f"{folder}/best/detections.json"), list)
    assert tf.train.latest_checkpoint(str(folder / "best")) == f"{folder}/best/best_ckpt-3"
    assert sorted(path.stem for path in folder.glob("ckpt-*.index")) == ["ckpt-2", "ckpt-3", "ckpt-4"]
    assert not list(folder.glob("*.part*"))


def test_summaries_hold_losses_levels_rate_and_figures(finished):
    trained = summaries(finished[0] / "train")
    wanted = {"training_loss", "learning_rate", "images_per_second", "gradient_norm"}
    wanted |= {f"anchor_free/{name}" for name in ("class_loss", "box_loss", "positives", "dead_offsets", "level_3")}
    assert wanted <= set(trained)
    evaluated = summaries(finished[0] / "validation")
    assert {"AP", "AR100", "AP_by_class/odd", "levels/3", "detections", "targets"} <= set(evaluated)


def test_tables_hold_what_tensorboard_has(finished):
    for split, steps in (("train", [2, 3, 4]), ("validation", [3, 4])):
        rows = pandas.read_csv(finished[0] / f"{split}.csv", index_col="step")
        last = {tag: float(value) for tag, value in summaries(finished[0] / split).items() if value.ndim == 0}
        assert list(rows.index) == steps and set(rows.columns) == set(last)
        assert rows.iloc[-1].to_dict() == pytest.approx(last, rel=1e-6, nan_ok=True)


def test_finished_run_says_so_and_changes_nothing(finished, params, capsys):
    folder, metrics = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert training.run(params, str(folder), "train_and_eval") == metrics
    said = capsys.readouterr().out
    assert "finished" in said and said.splitlines()[-4:] == [
        f"Best checkpoint: {folder}/best/best_ckpt-3, step 3, AP {metrics['best_AP']:.3f}. Next:",
        f"  python tools/predict.py --model={folder} --images=photos --output=out",
        f"  python tools/export.py --format=saved_model --model_dir={folder} --output=exported",
        f"  python tools/analyze.py --model_dir={folder} --output=report.html",
    ]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("mode", ["train_and_eval", "continuous_eval"])
def test_missing_evaluation_is_made_up_for_and_a_best_that_cannot_be_read(copy, params, mode, capsys):
    params.trainer.eval_tf_function = False  # four images cost less than to trace one
    (copy / "metrics.json").unlink()
    os.truncate(copy / "best" / "best_ckpt-3.data-00000-of-00001", 1000)
    checkpoint = (copy / "ckpt-4.index").read_bytes()
    metrics = training.run(params, str(copy), mode)
    said = f"The best, {copy}/best/best_ckpt-3, cannot be read: "
    assert len([line for line in capsys.readouterr().out.splitlines() if line.startswith(said)]) == 1
    best = {**metrics, "checkpoint": "best/best_ckpt-4"}
    assert storage.read_json(f"{copy}/best/metrics.json") == best
    assert not list((copy / "best").glob("best_ckpt-3*"))
    assert metrics == storage.read_json(f"{copy}/metrics.json") and metrics["step"] == 4
    assert (copy / "ckpt-4.index").read_bytes() == checkpoint
    newest, best = variables(copy / "ckpt-4"), variables(copy / "best" / "best_ckpt-4")  # saved without a step
    assert newest.keys() == best.keys()
    for name in newest.keys() - {"save_counter/.ATTRIBUTES/VARIABLE_VALUE"}:
        np.testing.assert_array_equal(best[name], newest[name], err_msg=name)


def test_signal_stops_with_a_checkpoint_and_the_same_call_ends_as_if_there_had_been_none(
    params, tmp_path, monkeypatch, capsys
):
    """The data are drawn: another order or other draws would be other weights."""
    drawn = {"random_flip": True, "augmentation": {"hue": 0.3, "mixup": 1.0}}
    params.task.train_data.override({"global_batch_size": 2, "max_instances": 1, **drawn})
    params.trainer.override({"checkpoint_interval": 100, **EAGER})
    training.run(params, str(tmp_path / "straight"), "train")
    show = controller.Controller._show

    def interrupted_at_2(self, step, loss):
        show(self, step, loss)
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(controller.Controller, "_show", interrupted_at_2)
    folder = tmp_path / "run"
    with pytest.raises(SystemExit) as stop:
        training.run(params, str(folder), "train")
    assert stop.value.code == 128 + signal.SIGTERM
    said = capsys.readouterr().out
    assert "Stopped by SIGTERM" in said and "ckpt-2" in said and "same command" in said
    training.run(params, str(folder), "train")
    assert f"Going on from step 2, {folder}/ckpt-2" in capsys.readouterr().out
    assert summaries(folder / "train")["not_mixed"] == 1  # two images have more than one box
    resumed, straight = variables(folder / "ckpt-4"), variables(tmp_path / "straight/ckpt-4")
    assert any("momentum" in name for name in straight)
    for name in straight.keys() - {"save_counter/.ATTRIBUTES/VARIABLE_VALUE"}:
        np.testing.assert_array_equal(resumed[name], straight[name], err_msg=name)


def test_signal_within_a_loop_ends_it_after_the_present_step(params, tmp_path, monkeypatch, capsys):
    """The steps are within TensorFlow, which comes back to Python after the loop of three."""
    step_of_task, steps = FSAFTask.train_step, []

    def train_step(self, inputs, **kwargs):
        def stop_at_2() -> None:
            steps.append(len(steps) + 1)
            if len(steps) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.5)  # for the thread that hears of it

        tf.py_function(stop_at_2, [], [])
        return step_of_task(self, inputs, **kwargs)

    monkeypatch.setattr(FSAFTask, "train_step", tf.autograph.experimental.do_not_convert(train_step))
    params.trainer.override({"steps_per_loop": 4, "summary_interval": 4, "checkpoint_interval": 100})
    with pytest.raises(SystemExit):
        training.run(params, str(tmp_path / "run"), "train")
    assert "Stopped by SIGTERM" in capsys.readouterr().out
    assert len(steps) == 2 and (tmp_path / "run/ckpt-2.index").exists()


def test_signal_in_an_evaluation_leaves_the_one_of_before(copy, params, monkeypatch, capsys):
    results = [copy / name for name in ("metrics.json", "detections.json", "evaluations.json")]
    before = [path.read_bytes() for path in results]
    monkeypatch.setattr(controller.Controller, "_after_batch", lambda self: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as stop:
        training.run(params, str(copy), "eval")
    assert stop.value.code == 128 + signal.SIGTERM and "Stopped by SIGTERM" in capsys.readouterr().out
    assert [path.read_bytes() for path in results] == before


def test_signal_while_the_data_are_opened(params, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "open_sources", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit):
        training.run(params, str(tmp_path / "run"), "train")
    assert "Stopped by SIGTERM (no checkpoint yet)" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_signal_while_the_network_is_built_waits_for_its_end(params, tmp_path, monkeypatch, capsys):
    """In the middle of it TensorFlow's C++ would print a traceback."""
    built = []

    def build(run, task):
        os.kill(os.getpid(), signal.SIGTERM)
        built.append(run)

    monkeypatch.setattr(runner, "Runner", build)
    with pytest.raises(SystemExit) as stop:
        training.run(params, str(tmp_path / "run"), "train")
    assert stop.value.code == 128 + signal.SIGTERM and built
    assert "Stopped by SIGTERM (no checkpoint yet). The same command goes on" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()  # nor a lock


# Four steps cost less than to trace one.
EAGER = {"train_tf_function": False, "train_tf_while_loop": False}

COMMAND = """
import sys
from fsaf_tf.config import experiment
from fsaf_tf.run import training
training.run(experiment.load(sys.argv[1], overrides=sys.argv[3]), sys.argv[2], "train")
"""


def test_run_killed_in_the_middle_goes_on_and_ends_at_its_last_step(data, tmp_path, capsys):
    tiny, folder = str(write_experiment(data, tmp_path / "tiny.yaml")), str(tmp_path / "run")
    eager = ",".join(f"trainer.{key}=false" for key in EAGER)
    command = [sys.executable, "-c", COMMAND, tiny, folder, f"{eager},trainer.train_steps=1000000"]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (tmp_path / "run/ckpt-3.index").exists() and first.poll() is None:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    newest = max(int(path.stem[5:]) for path in (tmp_path / "run").glob("ckpt-*.index"))
    (tmp_path / "run/ckpt-1.index").unlink(missing_ok=True)  # as between the two files of a checkpoint that goes
    (tmp_path / "run/ckpt-1.data-00000-of-00001").write_text("")
    (tmp_path / "run/ckpt-99_temp").mkdir()
    training.run(experiment.load(tiny, overrides=f"{eager},trainer.train_steps={newest + 2}"), folder, "train")
    steps = [start["from_step"] for start in storage.read_json(f"{folder}/run.json")["starts"]]
    assert steps[0] == 0 and 3 <= steps[1] <= newest
    said = capsys.readouterr().out
    assert f"Going on from step {steps[1]}" in said and "Left by a kill and taken away: " in said
    assert not list((tmp_path / "run").glob("ckpt-*_temp")) and not list((tmp_path / "run").glob("ckpt-1.*"))
    assert variables(f"{folder}/ckpt-{newest + 2}")["global_step/.ATTRIBUTES/VARIABLE_VALUE"] == newest + 2
    rows = pandas.read_csv(f"{folder}/train.csv")["step"].tolist()
    assert rows == sorted({*range(2, newest + 3, 2), newest + 2})


def test_two_replicas_evaluate_three_images_with_the_weights_of_another_run(
    finished, params, data, tmp_path, monkeypatch
):
    """The last batch leaves one replica without an image, in views of two sizes."""
    content = json.loads((data / "squares.json").read_text())
    content["images"], content["annotations"] = content["images"][:3], content["annotations"][:3]
    (tmp_path / "three.json").write_text(json.dumps(content))
    validation = {"annotation_file": str(tmp_path / "three.json"), "global_batch_size": 2}
    params.task.override({"init_checkpoint": str(finished[0]), "validation_data": validation})
    params.task.test_augmentation.override({"enabled": True, "shorter_sides": [], "ratios": [0.5, 1.0]})
    params.task.model.postprocess.score_threshold = 0.0
    monkeypatch.setattr(devices, "build_strategy", lambda _: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    metrics = training.run(params, str(tmp_path / "run"), "eval")
    assert (metrics["images"], metrics["checkpoint"]) == (3, str(finished[0]))
    assert {found["image_id"] for found in storage.read_json(f"{tmp_path}/run/detections.json")} == {1, 2, 3}


# What it begins with.


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "Starting with the backbone's published weights (imagenet) and random values for the rest."),
        ({"type": "mobilenet"}, "Starting with random values everywhere: there are no published weights for mobilenet"),
        (
            {"type": "keras_applications"},
            "Starting with random values everywhere: task.model.backbone.keras_applications.weights is empty.",
        ),
        (
            {"type": "keras_applications", "keras_applications": {"weights": "imagenet"}},
            "Starting with the backbone's published weights (imagenet) and random values for the rest.",
        ),
    ],
)
def test_a_start_says_what_weights_it_has(values, line):
    backbone = backbone_keys.Backbone()
    backbone.override(values)
    assert opening.start_line(backbone).startswith(line)


def test_fine_tuning_for_other_classes(finished, params, data, tmp_path, capsys):
    """Everything but the class convolutions is the other run's; what is frozen stays so, statistics included."""
    content = json.loads((data / "squares.json").read_text())
    content["categories"] = [{"id": 1, "name": "left"}, {"id": 2, "name": "right"}]
    (tmp_path / "other.json").write_text(json.dumps(content))
    params.task.override({"init_checkpoint": str(finished[0] / "ckpt-2"), "freeze": ["backbone", "heads/box_.*"]})
    params.task.override({"head_rate_multiplier": 10.0, "train_data": {"annotation_file": f"{tmp_path}/other.json"}})
    params.trainer.override({"train_steps": 1, **EAGER})
    training.run(params, str(tmp_path / "run"), "train")
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if line.startswith("Memory")]
    assert len(lines) == 2 and lines[0].startswith("Memory: weights ") and "optimizer" in lines[1]
    assert "of the heads: 10 times as much" in said and "task.freeze backbone, heads/box_.*: " in said
    start = f"Starting with the weights of {finished[0]}/ckpt-2, step 2.\n  it has other classes than the data, 1 odd"
    assert start in said and "random values" not in said
    before, after = variables(finished[0] / "ckpt-2"), variables(tmp_path / "run/ckpt-1")
    weights = {name for name in after if name.startswith("model/") and "OPTIMIZER_SLOT" not in name}
    change = {name: np.abs(after[name] - before[name]).max() for name in weights}
    towers = {name for name in weights if "/class_tower/" in name or "/fpn" in name}
    assert len(weights) > 50 and len(towers) > 0
    assert all(0 < change[name] < 0.1 for name in towers if "kernel" in name)
    classes = {name for name in weights if "anchor_free_logits" in name}
    assert len(classes) == 2 and all(change[name] > 0 for name in classes)
    frozen = {name for name in weights if any(word in name for word in ("weights-0/", "/box_tower/", "moving_"))}
    assert len(frozen) > 40 and not any(change[name] for name in frozen)


def test_early_stop_counts_over_restarts_and_the_run_is_finished_then(params, tmp_path, monkeypatch, capsys):
    """Without any detection AP is 0 at each step: the first is the best, and two more evaluations end the run."""
    params.task.model.postprocess.score_threshold = 1.0
    params.trainer.override({"train_steps": 9, "validation_interval": 1, "early_stop_patience": 2, **EAGER})
    params.trainer.eval_tf_function = False
    folder = tmp_path / "run"
    evaluate = controller.Controller.evaluate

    def interrupted_after_2(self, steps):
        evaluate(self, steps)
        if self._step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(controller.Controller, "evaluate", interrupted_after_2)
        with pytest.raises(SystemExit):
            training.run(params, str(folder), "train_and_eval")
    said = capsys.readouterr().out
    assert "random values everywhere: task.model.backbone.resnet.weights is empty.\n" in said
    assert said.count("Nothing was found on any image: no score is above task.model.postprocess.score_thresh") == 1
    assert training.run(params, str(folder), "train_and_eval")["step"] == 3
    reason = "no higher AP than 0.000 of step 1 in 2 evaluations (trainer.early_stop_patience)"
    assert f"Stopped early at step 3 of 9: {reason}; the best checkpoint is in {folder}/best.\n" in (
        capsys.readouterr().out
    )
    assert tf.train.latest_checkpoint(str(folder / "best")) == f"{folder}/best/best_ckpt-1"
    assert [each["step"] for each in storage.read_json(f"{folder}/evaluations.json")] == [1, 2, 3]
    assert training.run(params, str(folder), "train_and_eval")["step"] == 3
    assert f"is finished: it is at step 3 of 9, stopped early: {reason}; " in capsys.readouterr().out


def test_eval_takes_the_recorded_experiment_and_other_data_and_views(copy, data, tmp_path, monkeypatch, capsys):
    """The best, with its architecture, whatever the defaults are; figures of the newest stay as they were."""
    content = json.loads((data / "squares.json").read_text())
    content["images"], content["annotations"] = content["images"][::2], content["annotations"][::2]
    del content["categories"][0]  # of which these two have no box
    (tmp_path / "two.json").write_text(json.dumps(content))
    kept = {path: path.read_bytes() for path in copy.glob("*.*")}
    override = f"--params_override=task.validation_data.annotation_file={tmp_path}/two.json"
    override += ",task.test_augmentation.enabled=true,task.test_augmentation.ratios=[1.0]"
    assert call(train, monkeypatch, "--mode=eval", f"--model_dir={copy}", override) == 0
    line = f"Checkpoint: {copy}/best/best_ckpt-3, step 3, AP 0.000 (the best; --checkpoint=newest takes ckpt-4)"
    said = capsys.readouterr().out
    assert "  1 of 2 classes is listed; the others have no box here (first: odd)" in said.splitlines()
    assert line in said.splitlines() and f"The figures are in {copy}/best/metrics.json" in said
    metrics = storage.read_json(f"{copy}/best/metrics.json")
    assert (metrics["images"], metrics["step"], metrics["checkpoint"]) == (2, 3, "best/best_ckpt-3")
    assert metrics["data"]["annotation_file"] == f"{tmp_path}/two.json"
    assert metrics["test_augmentation"] == {"shorter_sides": [], "ratios": [1.0], "flip": True}
    del kept[copy / "run.json"]
    assert {path: path.read_bytes() for path in kept} == kept
    assert checkpoints.choose(str(copy)).ap == 0.0  # of training, not of other data


def test_eval_of_a_checkpoint_writes_beside_it(copy, monkeypatch, capsys):
    """The newest's figures in the run's folder, any other's in one of its own; nobody's where another's were."""
    pairs = [folder / name for folder in (copy, copy / "best") for name in ("metrics.json", "detections.json")]
    before = {path: path.read_bytes() for path in pairs}
    flags = ["--mode=eval", f"--model_dir={copy}", "--params_override=trainer.eval_tf_function=false"]
    assert call(train, monkeypatch, *flags, f"--checkpoint={copy}/ckpt-2") == 0
    assert f"Checkpoint: {copy}/ckpt-2, step 2\n" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in pairs} == before
    metrics = storage.read_json(f"{copy}/ckpt-2-eval/metrics.json")
    assert (metrics["step"], metrics["checkpoint"]) == (2, "ckpt-2")
    assert isinstance(storage.read_json(f"{copy}/ckpt-2-eval/detections.json"), list)
    for path in pairs:
        path.unlink()
    assert call(train, monkeypatch, *flags, "--checkpoint=newest") == 0
    assert storage.read_json(f"{copy}/metrics.json")["checkpoint"] == "ckpt-4" and pairs[1].exists()
    assert not pairs[2].exists()
    message = call(train, monkeypatch, "--experiment=custom", "--checkpoint=newest")
    assert message.startswith("error: --checkpoint is for --mode=eval; a training goes on from the newest")
    message = call(train, monkeypatch, "--experiment=custom", "--branch=anchor_free")
    assert message == "error: --branch is for --mode=eval; task.model says which branches are trained"
    message = call(train, monkeypatch, *flags, "--branch=anchor_based")
    assert message == "error: the branch is anchor_based, but the detector has anchor_free alone"


def test_a_best_of_moving_averages_is_evaluated_as_in_training(params, tmp_path, monkeypatch, capsys):
    """The best has them in the place of the weights, the newest beside them. Of two branches each has its figures."""
    params.task.model.override({"postprocess": {"score_threshold": 0.0}, "anchor_based": {"enabled": True}})
    params.trainer.override({"train_steps": 2, "validation_interval": 2, "eval_tf_function": False, **EAGER})
    params.trainer.optimizer_config.ema = optimization.EMAConfig(average_decay=0.5)
    folder = tmp_path / "run"
    trained = training.run(params, str(folder), "train_and_eval")
    found = [storage.read_json(path) for path in (folder / "detections.json", folder / "best" / "detections.json")]
    assert found[0] == found[1] and len(found[0]) > 10
    assert trained["branches"].keys() == {"anchor_free", "anchor_based"}
    assert storage.read_json(folder / "best" / "metrics.json")["branches"] == trained["branches"]
    tags = {f"branches/{branch}/{figure}" for branch in trained["branches"] for figure in ("AP", "AP50", "AP75")}
    assert tags <= summaries(folder / "validation").keys()
    said = capsys.readouterr().out
    assert "  anchor_free alone " in said and "  both branches " in said
    for which in ("best", "newest"):
        again = training.run(params, str(folder), "eval", checkpoint=which)
        assert (again["AP"], again["branches"]) == (trained["AP"], trained["branches"])
    again = [storage.read_json(path) for path in (folder / "detections.json", folder / "best" / "detections.json")]
    for rows in again:
        np.testing.assert_allclose([row["score"] for row in rows], [row["score"] for row in found[0]], rtol=1e-4)
    whole = storage.read_json(folder / "best" / "metrics.json")
    for branch, figures in list(trained["branches"].items())[:1]:
        eager = "--params_override=trainer.eval_tf_function=false"
        flags = ("--mode=eval", f"--model_dir={folder}", f"--branch={branch}", eager)
        assert call(train, monkeypatch, *flags) == 0
        alone = storage.read_json(folder / f"best-{branch}" / "metrics.json")
        assert (alone["AP"], alone["branch"]) == (figures["AP"], branch) and "branches" not in alone
        assert alone["losses"].keys() == {key for key in whole["losses"] if "/" not in key or branch in key}
        assert storage.read_json(folder / f"best-{branch}" / "detections.json")
    assert storage.read_json(folder / "best" / "metrics.json") == whole


def test_weights_that_come_with_a_checkpoint_need_one(params, tmp_path):
    params.task.model.backbone.resnet.weights = "checkpoint"
    with pytest.raises(UserError, match="resnet.weights is checkpoint, but there is none.*task.init_checkpoint=DIR"):
        training.run(params, str(tmp_path / "run"), "train")
    params.task.init_checkpoint = str(tmp_path / "none")
    with pytest.raises(UserError, match="none is neither a folder nor a checkpoint"):
        training.run(params, str(tmp_path / "run"), "train")
    assert not (tmp_path / "run").exists()


# What must not go on.


def leave_a_dead_start(folder):
    """What a start with another model and other classes leaves that comes to no checkpoint."""
    folder.mkdir()
    (folder / "params.yaml").write_text("task: {model: {fpn: {channels: 32}}}")
    (folder / "labels.json").write_text('{"names": ["other"], "category_ids": [7]}')


def test_a_start_that_came_to_no_checkpoint_holds_nobody_to_its_settings(params, tmp_path):
    """Traces of checkpoints do, even if none is left that can be read."""
    leave_a_dead_start(tmp_path / "run")
    params.task.init_checkpoint = str(tmp_path / "none")
    with pytest.raises(UserError, match="none is neither a folder nor a checkpoint"):  # which comes later
        training.run(params, str(tmp_path / "run"), "train")
    (tmp_path / "run" / "unreadable-ckpt-7.index").touch()
    with pytest.raises(UserError, match="records another experiment: task.model.fpn.channels is 32 there and 16 now"):
        training.run(params, str(tmp_path / "run"), "train")


def test_a_finished_run_whose_validation_data_have_changed_is_evaluated_again(copy, params, data, tmp_path, capsys):
    """Its file is the same, what is in it not: a best by other boxes no longer counts either."""
    shutil.copytree(data, tmp_path / "data")
    content = json.loads((data / "squares.json").read_text())
    content["annotations"][0]["bbox"][0] += 1
    (data / "squares.json").write_text(json.dumps(content))
    params.trainer.eval_tf_function = False
    try:
        metrics = training.run(params, str(copy), "train_and_eval")
    finally:
        shutil.copy(tmp_path / "data" / "squares.json", data / "squares.json")
    said = capsys.readouterr().out
    assert "The validation data have changed since the last evaluation; it is made again." in said
    assert "was the best on validation data that have changed since" in said
    assert metrics["step"] == 4 and storage.read_json(f"{copy}/best/metrics.json")["step"] == 4
    assert metrics["data_digest"] != storage.read_json(f"{copy}/evaluations.json")[0]["data_digest"]


def test_a_fraction_of_the_training_data_is_the_same_in_every_mode(params, data, tmp_path, capsys):
    """Trained on the rest, evaluated by the record of the run; and refused where others would be held out."""
    annotations = tmp_path / "squares.json"
    shutil.copy(data / "squares.json", annotations)
    parted = {"annotation_file": "", "image_dir": "", "fraction": 0.5}
    source = {"annotation_file": str(annotations), "global_batch_size": 2}
    task = {"train_data": source, "validation_data": parted}
    run, steps = tmp_path / "run", {"train_steps": 1, "eval_tf_function": False}
    changed = params.replace(task=task, trainer=steps)
    training.run(changed, str(run), "train")
    held_out = json.loads((run / "held_out.json").read_text())["pictures"]
    metrics = training.run(experiment.read_params(run), str(run), "eval")
    assert capsys.readouterr().out.count("2 of 4 pictures are held out for validation") == 2
    assert metrics["images"] == len(held_out) == 2
    assert metrics["data"] == {"annotation_file": str(annotations), "image_dir": str(data), "fraction": 0.5, "seed": 0}
    content = json.loads(annotations.read_text())
    content["images"] = [image for image in content["images"] if image["file_name"] != held_out[0]]
    left = {image["id"] for image in content["images"]}
    content["annotations"] = [row for row in content["annotations"] if row["image_id"] in left]
    annotations.write_text(json.dumps(content))
    with pytest.raises(UserError, match="held_out.json records 2 pictures that were held out from training, and now"):
        training.run(changed.replace(trainer={"train_steps": 2}), str(run), "train")


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_built(params, tmp_path):
    (tmp_path / "file").write_text("")
    for folder, words in ((tmp_path / "file", "is a file"), (tmp_path / "file" / "run", "is a file")):
        with pytest.raises(UserError, match=f"^{folder} cannot be a folder: .*/file {words}$"):
            training.run(params, str(folder), "train")
    with pytest.raises(UserError, match="^/sys/none cannot be written to: "):
        training.run(params, "/sys/none", "train")


@pytest.mark.parametrize("mode", ["train_and_eval", "train", "eval", "continuous_eval"])
def test_a_folder_that_another_process_writes_to_is_refused(params, tmp_path, mode):
    with lock.held(str(tmp_path), [lock.TRAINING, lock.EVALUATION], print):
        before = sorted(os.listdir(tmp_path))
        with pytest.raises(
            UserError, match=f"^{tmp_path} is in use: process {os.getpid()} on .*; wait for it, or take"
        ):
            training.run(params, str(tmp_path), mode)
        assert sorted(os.listdir(tmp_path)) == before


def test_other_model_in_the_folder_is_an_error_and_the_record_stays(copy, params):
    before = (copy / "params.yaml").read_bytes()
    params.task.model.fpn.channels = 32
    with pytest.raises(UserError, match="task.model.fpn.channels is 16 there and 32 now"):
        training.run(params, str(copy), "train")
    assert (copy / "params.yaml").read_bytes() == before
    (copy / "params.yaml").unlink()
    with pytest.raises(UserError, match="best_ckpt-3 is not a checkpoint of this model: .* in it and"):
        training.run(params, str(copy), "eval")
    assert not (copy / "params.yaml").exists()


def test_a_finished_run_says_what_is_wrong_with_its_best_and_its_record(copy, params, capsys):
    (copy / "best" / "best_ckpt-3.index").unlink()
    (copy / "params.yaml").write_text("")
    training.run(params, str(copy), "train_and_eval")
    said = capsys.readouterr().out
    assert f"{copy}/params.yaml is gone or empty: nothing says whether this is the same experiment" in said
    assert f"Newest checkpoint: {copy}/ckpt-4, step 4" in said
    assert f"(the best, {copy}/best/best_ckpt-3, cannot be read: " in said


def test_evaluation_without_a_checkpoint_is_an_error(params, tmp_path):
    with pytest.raises(UserError, match="holds no checkpoint to evaluate"):
        training.run(params, str(tmp_path / "none"), "eval")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("epochs", [0.0, 1.0], ids=["steps", "epochs"])
def test_data_are_downloaded_where_that_is_allowed(params, epochs, tmp_path, monkeypatch):
    """An epoch is known by the data, which then are opened sooner."""

    def fail(self, **_):
        raise OSError("no route")

    monkeypatch.setattr(tfds_coco.Coco, "download_and_prepare", fail)
    keys = {"tfds_name": "coco/2017", "tfds_split": "train", "tfds_data_dir": str(tmp_path)}
    params.task.train_data.override(keys | {"annotation_file": "", "image_dir": ""})
    params.trainer.epochs = epochs
    with pytest.raises(UserError, match="could not be prepared: OSError: no route"):
        training.run(params, str(tmp_path / "run"), "train", download=True)
    with pytest.raises(UserError, match="--download"):
        training.run(params, str(tmp_path / "run"), "train")


def test_non_finite_loss_stops_the_run_with_term_and_images(params, tmp_path):
    params.trainer.optimizer_config.learning_rate.stepwise.values = [1e30, 1e30]
    images = "^Non-finite loss: .*total_loss.* step 3 images [1-4] [1-4] [1-4] [1-4];"
    with pytest.raises(UserError, match=images) as caught:
        training.run(params, str(tmp_path / "run"), "train")
    assert "\n" not in str(caught.value) and f"replay.py --model_dir={tmp_path}/run makes" in str(caught.value)
    saved = variables(tf.train.latest_checkpoint(str(tmp_path / "run")))
    assert all(np.isfinite(value).all() for value in saved.values())
    kept, newest = variables(tmp_path / "run/non_finite/weights"), variables(tmp_path / "run/ckpt-2")
    trained = [name for name in newest if "kernel" in name or "bias" in name]  # the forward pass moves statistics
    assert trained and all(np.array_equal(kept[name], newest[name]) for name in trained)
    made = replay.replay(params, str(tmp_path / "run"))
    assert (made.step, made.is_finite) == (3, False) and len(made.terms) == 1 + 4
    assert made.lines[0] == f"Step 3 of {tmp_path}/run, as a whole and image by image:" and made.lines[2].endswith("<-")
    assert any(line.startswith("gradients of ") for line in made.lines)
    assert sum(line.startswith("  anchor_free_") for line in made.lines) == 2
    pictures = made.pictures(detector.normalization(params.task.model.backbone))
    rows = {row["image_id"]: row["image"] for row in pictures}
    assert sorted(rows) == [1, 2, 3, 4] and (rows[3][:8] == 30).all() and (rows[3][8:40, 24:48] == 220).all()


def test_a_step_that_is_finite_is_not_kept(finished):
    assert not (finished[0] / "non_finite").exists()
    with pytest.raises(UserError, match=r"run keeps no step whose loss was not finite"):
        replay.replay(experiment.load_run(str(finished[0])), str(finished[0]))
    with pytest.raises(UserError, match=r"non_finite holds no batch of step 3"):
        non_finite.read_batches(str(finished[0]), 3)


def test_an_image_that_turns_out_damaged_is_named_or_left_out(params, data, tmp_path, capsys):
    """Its header is whole, so that only decoding finds out."""
    shutil.copytree(data, tmp_path / "images")
    damaged = tmp_path / "images" / "2.png"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-60] + bytes(40) + content[-20:])
    params.task.train_data.image_dir = str(tmp_path / "images")
    leave_a_dead_start(tmp_path / "run")
    with pytest.raises(UserError, match="^2.png") as caught:
        training.run(params, str(tmp_path / "run"), "train")
    assert "\n" not in str(caught.value)
    params.task.train_data.max_bad_pictures = 0.5
    params.trainer.override(EAGER)
    capsys.readouterr()
    training.run(params, str(tmp_path / "run"), "train")
    told = capsys.readouterr().out
    case = "2.png cannot be read: damaged"
    assert f"Left out of training, as max_bad_pictures allows: {case}" in told
    assert (
        "squares.json: 1 of 4 pictures is missing or cannot be read; left out, as max_bad_pictures allows: 2.png"
        in told
    )
    shown = summaries(tmp_path / "run" / "train")
    assert shown["bad_pictures"] is not None


def test_the_seed_makes_the_weights_and_rare_classes_are_told(params, tmp_path, capsys):
    params.trainer.override({"train_steps": 1, **EAGER})
    params.task.train_data.repeat_rare = 0.9
    weights = []
    for seed in (1, 2):
        params.task.train_data.seed = seed
        training.run(params, str(tmp_path / str(seed)), "train")
        found = variables(tmp_path / str(seed) / "ckpt-1")
        weights.append(next(found[key] for key in sorted(found) if found[key].ndim == 4))
    assert not np.array_equal(*weights)
    assert capsys.readouterr().out.count("  times that images of rare classes come (repeat_rare 0.9): ") == 2


def test_an_image_that_goes_during_training_is_named(params, data, tmp_path, monkeypatch):
    """After all that looks at the data before a run; the error comes out of the graph of the loop."""
    folder = shutil.copytree(data, tmp_path / "images")
    params.task.train_data.image_dir = str(folder)
    original = runner.Runner.run

    def run(self):
        (folder / "2.png").unlink()
        return original(self)

    monkeypatch.setattr(runner.Runner, "run", run)
    with pytest.raises(UserError, match=f"^{folder}/2.png: it is not there .no checkpoint yet.$"):
        training.run(params, str(tmp_path / "run"), "train")


@pytest.mark.parametrize(
    ("mode", "change", "message"),
    [
        ("test", {}, "--mode is 'test'; it must be one of train, eval"),
        ("eval", {"trainer": {"best_checkpoint_eval_metric": "mAP"}}, "best_checkpoint_eval_metric is 'mAP'.*AP50"),
        ("eval", {"trainer": {"validation_steps": 0}}, "trainer.validation_steps must be"),
        ("eval", {"runtime": {"num_gpus": 9}}, "runtime.num_gpus is 9, but 0 GPUs are visible"),
        ("eval", {"runtime": {"distribution_strategy": "mirror"}}, "cannot be 'mirror', did you mean 'mirrored'"),
        ("eval", {"runtime": {"mixed_precision_dtype": "float8"}}, "mixed_precision_dtype cannot be 'float8'"),
        ("train", RESNEXT_BY_XLA, "runtime.enable_xla makes a step of ResNeXt .* slower on a CPU; leave it off"),
        ("train", {"trainer": {"steps_per_loop": 3}}, "trainer.summary_interval .2. must be a multiple"),
    ],
)
def test_wrong_settings_are_named(params, tmp_path, mode, change, message):
    params.override(change)
    if change.get("runtime", {}).keys() & {"num_gpus", "enable_xla"} and tf.config.list_physical_devices("GPU"):
        pytest.skip("there are GPUs")
    with pytest.raises(UserError, match=message):
        training.run(params, str(tmp_path / "run"), mode)


def test_batch_must_divide_by_the_replicas(params):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    said = devices.describe(strategy, params, parse("train_and_eval"))
    assert (
        said == "Devices: 2 replicas (CPU:0, CPU:1); train 4 images a step, 2 on each; eval 4 images a step, 2 on each"
    )
    params.task.validation_data.global_batch_size = 3
    devices.describe(strategy, params, parse("train"))
    with pytest.raises(UserError, match="validation_data.global_batch_size is 3, which does not divide by 2 replicas"):
        devices.describe(strategy, params, parse("eval"))
