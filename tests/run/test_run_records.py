"""The small files of a run's folder."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf
from official.core import exp_factory

from fsaf_tf.config import experiment
from fsaf_tf.data.classes import Classes
from fsaf_tf.errors import UserError
from fsaf_tf.files import storage
from fsaf_tf.run import records


@pytest.fixture
def params():
    params = exp_factory.get_exp_config("fsaf")
    params.task.train_data.tfds_name = "shapes"
    return params


@pytest.fixture
def folder(tmp_path, params):
    storage.write_text(f"{tmp_path}/params.yaml", experiment.to_yaml(params))
    return str(tmp_path)


def test_same_experiment_goes_on(folder, params):
    assert records.check_params(folder, params) == []
    assert records.check_params(f"{folder}/new", params) == []


def test_another_model_or_data_is_an_error_with_keys_and_values(folder, params):
    params.task.model.anchor_free.selection = "heuristic"
    params.task.train_data.tfds_name = "coco/2017"
    params.task.input_size.shorter_side = 600
    with pytest.raises(UserError) as caught:
        records.check_params(folder, params)
    message = str(caught.value)
    assert "task.model.anchor_free.selection is online there and heuristic now" in message
    assert "task.train_data.tfds_name is shapes there and coco/2017 now" in message
    assert "task.input_size.shorter_side is 800 there and 600 now" in message
    assert "params.yaml" in message and "\n" not in message


def test_another_kind_of_backbone_is_an_error(folder, params):
    params.override({"task": {"model": {"backbone": {"type": "mobilenet"}}}})
    with pytest.raises(UserError, match="task.model.backbone.type is resnet there and mobilenet now"):
        records.check_params(folder, params)


def test_other_settings_may_change_and_are_told(folder, params):
    params.trainer.train_steps = 100
    params.task.train_data.global_batch_size = 8
    params.task.model.postprocess.score_threshold = 0.3
    assert records.check_params(folder, params) == [
        "task.model.postprocess.score_threshold: 0.05 before, 0.3 now",
        "task.train_data.global_batch_size: 16 before, 8 now",
        "trainer.train_steps: 90000 before, 100 now",
    ]


def test_evaluation_may_take_other_data_and_sizes_of_another_model_not(folder, params):
    params.task.input_size.longer_side = 1600
    assert len(records.check_params(folder, params, to_train=False)) == 1
    params.task.input_size.longer_side = 1333
    params.task.validation_data.tfds_name = "coco/2017"
    params.task.freeze = ["fpn"]
    assert len(records.check_params(folder, params, to_train=False)) == 2
    with pytest.raises(UserError, match=r"_data.tfds_name is '' there and coco/2017 now; task.freeze is \[\] there"):
        records.check_params(folder, params)
    params.task.model.location_offset = 0.0
    with pytest.raises(UserError, match="records another experiment: task.model.location_offset is 0.5 there and 0.0"):
        records.check_params(folder, params, to_train=False)


def test_figures_of_other_data_are_not_those_of_the_run(tmp_path, params):
    params.task.validation_data.tfds_name = "shapes"
    assert records.read_metrics(str(tmp_path), params) == {}
    storage.write_json(f"{tmp_path}/metrics.json", {"AP": 0.5})  # of an earlier version
    assert records.read_metrics(str(tmp_path), params) == {"AP": 0.5}
    metrics = {"AP": 0.5, "data": records.data_keys(params)}
    storage.write_json(f"{tmp_path}/metrics.json", metrics)
    assert records.read_metrics(str(tmp_path), params) == metrics
    params.task.validation_data.tfds_split = "test"
    assert records.read_metrics(str(tmp_path), params) == {}


def test_figures_with_test_time_augmentation_are_not_those_without(tmp_path, params):
    plain = {"AP": 0.5, **records.evaluation_keys(params)}
    params.task.test_augmentation.override({"enabled": True, "shorter_sides": [], "ratios": [0.5, 1.0]})
    augmented = {"AP": 0.6, **records.evaluation_keys(params)}
    assert augmented["test_augmentation"] == {"shorter_sides": [], "ratios": [0.5, 1.0], "flip": True}
    for wanted, metrics, expected in ((True, augmented, augmented), (True, plain, {}), (False, augmented, {})):
        params.task.test_augmentation.enabled = wanted
        storage.write_json(f"{tmp_path}/metrics.json", metrics)
        assert records.read_metrics(str(tmp_path), params) == expected


def test_figures_in_tiles_are_not_those_without(tmp_path, params):
    plain = records.evaluation_keys(params)
    params.task.tiles.override({"size": 640, "overlap": 0.3})
    assert "tiles" not in plain
    assert records.evaluation_keys(params) == {**plain, "tiles": {"size": 640, "overlap": 0.3, "whole": True}}
    storage.write_json(f"{tmp_path}/metrics.json", {"AP": 0.5, **plain})
    assert records.read_metrics(str(tmp_path), params) == {}
    params.task.tiles.size = 0
    assert records.read_metrics(str(tmp_path), params)["AP"] == 0.5
    params.task.model.postprocess.fusion = "mean"
    assert records.evaluation_keys(params) == {**plain, "fusion": "mean"} and not records.read_metrics(
        str(tmp_path), params
    )


def test_unreadable_record_is_an_error(folder, params):
    storage.write_text(f"{folder}/params.yaml", "task: [")
    with pytest.raises(UserError, match="params.yaml, line 1"):
        records.check_params(folder, params)


def test_other_classes_are_an_error(tmp_path):
    classes = Classes(("a", "b"), (1, 7))
    records.check_classes(str(tmp_path), classes)
    classes.write(f"{tmp_path}/labels.json")
    records.check_classes(str(tmp_path), classes)
    with pytest.raises(UserError, match="labels.json records other classes than the data.*: 7 b in place of 7 c"):
        records.check_classes(str(tmp_path), Classes(("a", "c"), (1, 7)))
    (tmp_path / "labels.json").write_text("{")
    with pytest.raises(UserError, match="labels.json is damaged"):
        records.check_classes(str(tmp_path), classes)


def test_json_holds_plain_numbers_and_no_nan(tmp_path):
    value = {"a": np.float32(0.5), "b": [math.nan, np.int64(3)], "c": {"d": tf.constant(2.0)}, "e": np.array([1, 2])}
    storage.write_json(f"{tmp_path}/x.json", value)
    assert storage.read_json(f"{tmp_path}/x.json") == {"a": 0.5, "b": [None, 3], "c": {"d": 2.0}, "e": [1, 2]}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
    (tmp_path / "x.json").write_text('{"a"')
    assert storage.read_json(f"{tmp_path}/x.json") is None


def test_each_start_is_recorded(tmp_path):
    records.record_start(str(tmp_path), step=0, devices=["CPU:0"], data={})
    records.record_start(str(tmp_path), step=40, devices=["GPU:0"], data={"validation": None})
    first, second = storage.read_json(f"{tmp_path}/run.json")["starts"]
    assert (first["from_step"], second["from_step"], second["devices"]) == (0, 40, ["GPU:0"])
    assert first["packages"]["tensorflow"] == tf.__version__ and first["command"]


def test_a_file_is_tried_before_it_is_written(tmp_path):
    storage.try_writing(str(tmp_path / "deep" / "new.json"))
    assert [path.name for path in tmp_path.rglob("*")] == ["deep"]
    (tmp_path / "there.json").write_text("{}")
    storage.try_writing(str(tmp_path / "there.json"))
    assert (tmp_path / "there.json").read_text() == "{}"
    for path, message in (
        (tmp_path / "deep", "deep is a folder"),
        (tmp_path / "there.json" / "x.json", "there.json/x.json cannot be written to: File exists"),
        (tmp_path / f"{'x' * 300}.json", "x.json cannot be written to: File name too long"),
        ("/proc/x.json", "/proc/x.json cannot be written to: No such file or directory"),
    ):
        with pytest.raises(UserError, match=message):
            storage.try_writing(str(path))


def test_results_are_written_whole_or_not_at_all(tmp_path):
    def results(fails):
        yield {"image_id": np.int64(1), "score": np.float32(0.5)}
        if fails:
            raise KeyboardInterrupt
        yield {"image_id": 2, "score": float("nan")}

    path = tmp_path / "detections.json"
    with pytest.raises(KeyboardInterrupt):
        storage.write_results(str(path), results(fails=True))
    assert not list(tmp_path.iterdir())
    storage.write_results(str(path), results(fails=False))
    assert json.loads(path.read_text()) == [{"image_id": 1, "score": 0.5}, {"image_id": 2, "score": None}]
    assert len(path.read_text().splitlines()) == 4
    storage.write_results(str(path), [])
    assert json.loads(path.read_text()) == []
