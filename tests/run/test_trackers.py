"""Services that get a run's figures: what they have after one and after two starts, and that none ends a training."""

import json
import struct
import sys
import threading
import types

import pytest

from fsaf_tf.config import experiment
from fsaf_tf.errors import UserError
from fsaf_tf.files import storage
from fsaf_tf.run import services, trackers

STARTED = ("of a first start", "of a second")


class Said(list):
    """Lines of a run."""

    say = list.append


def run(folder, said, overrides: str):
    """What trackers see of a run."""
    params = experiment.load("fsaf_demo", overrides=overrides)
    return types.SimpleNamespace(params=params, trainer=params.trainer, model_dir=str(folder), progress=said)


@pytest.mark.parametrize("key", services.KINDS)
def test_a_service_that_is_not_installed_is_told_before_the_training(key, monkeypatch):
    monkeypatch.setitem(sys.modules, services.KINDS[key].package, None)
    trackers.check(experiment.load("fsaf_demo").trainer)
    with pytest.raises(UserError, match=f"trainer.{key} is set, and .* is not installed: pip install {key}, or"):
        trackers.check(experiment.load("fsaf_demo", overrides=f"trainer.{key}=mine").trainer)


class Memory:
    """A service that keeps figures in this process, until it fails."""

    place = "here"

    def __init__(self, sheet):
        self.sheet, self.rows, self.end_of_run = sheet, [], None
        made.append(self)

    def add(self, step, figures):
        if step == 13:
            raise ConnectionError("the service\n is gone")
        self.rows.append((step, figures))

    def end(self, is_whole):
        self.end_of_run = is_whole


made: list[Memory] = []


@pytest.fixture
def memory(monkeypatch):
    """The services that are made."""
    made.clear()
    monkeypatch.setitem(services.KINDS, "wandb", services.Kind("Memory", "json", Memory))
    return made


def test_what_a_service_is_given_by_two_starts(tmp_path, memory):
    storage.write_json(f"{tmp_path}/run.json", {"starts": STARTED})
    for had, steps in (({"train": -1}, (5, 10)), ({"train": 10, "validation": 5}, (10, 15))):
        said = Said()
        both = trackers.Trackers(run(tmp_path, said, "trainer.wandb=mine"), had)
        for step in steps:
            both.add("train", step, {"loss": 0.5, "AP": None, "rate": float("nan")})
            both.add("validation", step, {"AP": 0.25})
        both.close(is_whole=step == 15)
        assert said == ["Memory: here"]
    first, second = memory
    assert first.rows[:2] == [(5, {"train/loss": 0.5}), (5, {"validation/AP": 0.25})] and len(first.rows) == 4
    # It goes on after what it had: a checkpoint may be older than that.
    assert second.rows == [(10, {"validation/AP": 0.25}), (15, {"train/loss": 0.5}), (15, {"validation/AP": 0.25})]
    assert first.sheet == second.sheet and first.sheet.project == "mine" and first.sheet.name == tmp_path.name
    assert first.sheet.settings["trainer.wandb"] == "mine"
    assert (first.end_of_run, second.end_of_run) == (False, True)
    record = storage.read_json(f"{tmp_path}/run.json")
    assert record == {"starts": list(STARTED), "services": {"wandb/mine": first.sheet.id}}


def test_a_service_that_this_run_did_not_have_before_gets_all_there_is(tmp_path, memory):
    for project in ("mine", "another"):
        both = trackers.Trackers(run(tmp_path, Said(), f"trainer.wandb={project}"), {"train": 10})
        both.add("train", 5, {"loss": 0.5})
        both.close(is_whole=True)
    assert [len(service.rows) for service in memory] == [1, 1] and memory[0].sheet.id != memory[1].sheet.id


def test_a_service_that_fails_is_told_once(tmp_path, memory):
    said = Said()
    both = trackers.Trackers(run(tmp_path, said, "trainer.wandb=mine"), {})
    for step in (12, 13, 14):
        both.add("train", step, {"loss": 0.5})
    both.close(is_whole=True)
    lost = "Memory does not get all figures: the service is gone. The CSV files have them."
    assert said == ["Memory: here", lost]


def test_a_service_that_does_not_answer_holds_nothing_up(tmp_path, memory, monkeypatch):
    monkeypatch.setattr(services, "WAIT", 0)
    answers, said = threading.Event(), Said()
    monkeypatch.setattr(Memory, "add", lambda self, step, figures: answers.wait())
    both = trackers.Trackers(run(tmp_path, said, "trainer.wandb=mine"), {})
    both.add("train", 5, {"loss": 0.5})
    both.close(is_whole=True)
    answers.set()
    lost = "Memory does not get all figures: it has not taken all of them in time. The CSV files have them."
    assert lost in said and len(said) <= 2


def two_starts(folder, said, overrides):
    """Two starts of a run, of which the second takes a step again, as after a kill."""
    for had, steps in (({}, (5, 10)), ({"train": 10}, (10, 15))):
        both = trackers.Trackers(run(folder, said, overrides), had)
        for step in steps:
            both.add("train", step, {"loss": 1 / step, "AP_by_class/<a>.b": 0.5})
        both.close(is_whole=True)


def test_mlflow_has_each_step_once(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/store")
    said = Said()
    two_starts(tmp_path, said, "trainer.mlflow=mine")
    client = mlflow.MlflowClient()
    [found] = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    history = client.get_metric_history(found.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(5, 1 / 5), (10, 1 / 10), (15, 1 / 15)]
    assert client.get_metric_history(found.info.run_id, "train/AP_by_class/_3c_a_3e__2e_b")
    assert found.info.status == "FINISHED" and found.data.params["trainer.mlflow"] == "mine"
    assert said == [f"MLflow: file:{tmp_path}/store, run {found.info.run_id}"] * 2


def test_mlflow_that_is_not_there(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    said = Said()
    two_starts(tmp_path, said, "trainer.mlflow=mine")
    assert len(said) == 2 and all(line.startswith("MLflow does not get all figures: ") for line in said)


def leveldb_records(data: bytes):
    """The records of a log in LevelDB's form, behind a header of seven bytes: blocks of 32 KiB, parts of records."""
    place, record = 7, b""
    while place < len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        size, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        record += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def test_wandb_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="Weights & Biases is not installed")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    said = Said()
    two_starts(tmp_path, said, "trainer.wandb=mine")
    paths = sorted(tmp_path.rglob("*.wandb"))
    rows = [row for path in paths for row in leveldb_records(path.read_bytes())]
    records = map(wandb_internal_pb2.Record.FromString, rows)
    rows = [record.history for record in records if record.HasField("history")]
    found = [{"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in row.item} for row in rows]
    assert [(row["step"], row["train/loss"]) for row in found] == [(5, 1 / 5), (10, 1 / 10), (15, 1 / 15)]
    assert said == [f"Weights & Biases: offline, in {tmp_path}/wandb"] * 2
