"""Two workers on loopback, real processes: killed, started again, stopped by a signal; against one process.

Each start of the two takes about 20 seconds of two cores. `FSAF_LONG=1` runs the rest of them.
"""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import squares
import tensorflow as tf

from fsaf_tf.config import experiment
from fsaf_tf.files import storage
from fsaf_tf.run import training

ROOT = pathlib.Path(__file__).parent.parent.parent
IMAGES, STEPS, WAIT = 7, 8, 600
long = pytest.mark.skipif(not os.environ.get("FSAF_LONG"), reason="a minute each; FSAF_LONG=1 runs them")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Seven pictures, so that neither a batch of four nor two workers divide them, and the smallest detector."""
    folder = tmp_path_factory.mktemp("cluster")
    squares.write(folder, IMAGES, step=4)
    source = f"annotation_file: {folder}/squares.json, image_dir: {folder}, global_batch_size: 4"
    path = folder / "tiny.yaml"
    path.write_text(f"""
task:
  model:
    max_level: 5
    backbone: {{type: resnet, resnet: {{depth: 14, width_per_group: 8, form: pytorch, weights: ''}}}}
    fpn: {{channels: 16}}
    heads: {{convs: 0, channels: 16}}
    postprocess: {{score_threshold: 0.001, max_detections: 5}}
  input_size: {{shorter_side: 64, longer_side: 64}}
  train_data: {{{source}}}
  validation_data: {{{source}}}
trainer:
  train_steps: {STEPS}
  steps_per_loop: 1
  summary_interval: 1
  checkpoint_interval: 1
  validation_interval: {STEPS}
  optimizer_config:
    learning_rate: {{stepwise: {{boundaries: [6], values: [0.0005, 0.0001]}}}}
""")
    return path


@pytest.fixture(scope="module")
def alone(config, tmp_path_factory):
    """The folder of one process that was not stopped, and its figures."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    params = experiment.load(str(config), overrides="runtime.distribution_strategy=one_device")
    return folder, training.run(params, str(folder), "train_and_eval")


class Pair:
    """Two workers that run the training tool."""

    def __init__(self, config, folder, logs, overrides=("", ""), extra=()):
        ports = free_ports()
        self.logs = [logs / f"{len(list(logs.iterdir()))}-{index}.txt" for index in range(2)]
        self.processes = []
        for index, log in enumerate(self.logs):
            cluster = {"worker": [f"localhost:{port}" for port in ports]}
            place = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
            changed = f"runtime.distribution_strategy=multi_worker_mirrored{overrides[index]}"
            flags = [f"--experiment={config}", f"--model_dir={folder}", f"--params_override={changed}", *extra]
            command = [sys.executable, str(ROOT / "tools" / "train.py"), *flags]
            environment = {**os.environ, "TF_CONFIG": place, "PYTHONPATH": str(ROOT)}
            with open(log, "w") as file:
                self.processes.append(subprocess.Popen(command, stdout=file, stderr=file, env=environment))

    def ends(self):
        """The exit statuses, and what was said."""
        statuses = [process.wait(WAIT) for process in self.processes]
        return statuses, [log.read_text() for log in self.logs]


@contextlib.contextmanager
def pair(*args, **kwargs):
    workers = Pair(*args, **kwargs)
    try:
        yield workers
    finally:
        for process in workers.processes:
            process.kill()


def free_ports():
    with socket.create_server(("localhost", 0)) as first, socket.create_server(("localhost", 0)) as second:
        return first.getsockname()[1], second.getsockname()[1]


def wait_for_a_checkpoint(workers, folder, step):
    end = time.monotonic() + WAIT
    while not any(int(path.stem.split("-")[1]) >= step for path in folder.glob("ckpt-*.index")):
        assert time.monotonic() < end and all(process.poll() is None for process in workers.processes)
        time.sleep(0.02)


def losses(folder):
    """The loss of each step."""
    found = {}
    for path in sorted(folder.glob("train/events*")):
        with contextlib.suppress(tf.errors.DataLossError):  # the end of what a kill left
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                for value in event.summary.value:
                    if value.tag == "training_loss":
                        found[event.step] = float(tf.make_ndarray(value.tensor))
    return [found[step] for step in sorted(found)]


def check_as_alone(folder, alone):
    """The same losses in training and evaluation, and detections, as many of each picture."""
    np.testing.assert_allclose(losses(folder), losses(alone[0]), rtol=1e-3)
    assert len(losses(folder)) == STEPS
    ours, theirs = (storage.read_json(f"{each}/detections.json") for each in (folder, alone[0]))
    assert sorted(row["image_id"] for row in ours) == sorted(row["image_id"] for row in theirs)
    scores = [sorted(row["score"] for row in rows) for rows in (ours, theirs)]
    np.testing.assert_allclose(*scores, atol=1e-3)
    metrics = storage.read_json(f"{folder}/metrics.json")
    assert metrics["AP"] == pytest.approx(alone[1]["AP"], abs=1e-3) and metrics["step"] == STEPS
    # One replica's fused kernel keeps a variance of n / (n - 1) times that of the batch, several keep the batch's own.
    assert metrics["losses"]["validation_loss"] == pytest.approx(alone[1]["losses"]["validation_loss"], rel=2e-2)


def test_a_worker_is_killed_and_both_are_started_again(config, alone, tmp_path):
    folder = tmp_path / "run"
    (tmp_path / "logs").mkdir()
    with pair(config, folder, tmp_path / "logs") as workers:
        wait_for_a_checkpoint(workers, folder, 2)
        workers.processes[1].kill()
        statuses, (chief, other) = workers.ends()
    assert statuses == [1, -signal.SIGKILL]
    last = chief.strip().splitlines()[-1]
    assert last.startswith("error: Worker 1 of 2 (localhost:") and ") is lost: it was killed, or its machine" in last
    assert "start all workers again, and they go on" in last and "ckpt-" in last
    with pair(config, folder, tmp_path / "logs") as workers:
        statuses, said = workers.ends()
    assert statuses == [0, 0], said
    going_on = [[line for line in text.splitlines() if line.startswith("Going on from step ")] for text in said]
    assert len(going_on[0]) == 1 and going_on[0] == going_on[1]
    # The second says who it is, where it goes on and that it ends.
    assert [line.split()[0] for line in said[1].splitlines()] == ["This", "Going", "Ended"]
    check_as_alone(folder, alone)
    assert len(storage.read_json(f"{folder}/run.json")["starts"]) == 2  # the chief's alone
    assert len(list(folder.glob("validation/events*"))) == 1 and not list(folder.glob("*.lock"))
    assert storage.read_json(f"{folder}/best/info.json")["best_ckpt_global_step"] == STEPS


@long
def test_a_signal_to_one_worker_saves_and_ends_both(config, alone, tmp_path):
    folder = tmp_path / "run"
    (tmp_path / "logs").mkdir()
    with pair(config, folder, tmp_path / "logs") as workers:
        wait_for_a_checkpoint(workers, folder, 2)
        workers.processes[1].send_signal(signal.SIGTERM)
        statuses, said = workers.ends()
    assert statuses == [128 + signal.SIGTERM] * 2, said
    stopped = [text.strip().splitlines()[-1].split(" is kept")[0] for text in said]
    assert stopped[0] == stopped[1] and stopped[0].startswith("Stopped by SIGTERM (")
    with pair(config, folder, tmp_path / "logs") as workers:
        assert workers.ends()[0] == [0, 0]
    check_as_alone(folder, alone)


@long
def test_the_chief_is_killed(config, tmp_path):
    folder = tmp_path / "run"
    (tmp_path / "logs").mkdir()
    with pair(config, folder, tmp_path / "logs") as workers:
        wait_for_a_checkpoint(workers, folder, 1)
        workers.processes[0].kill()
        statuses, said = workers.ends()
    assert statuses == [-signal.SIGKILL, 1]
    assert "error: Worker 0 of 2 (localhost:" in said[1] and "is lost" in said[1]


@long
def test_workers_that_are_not_alike(config, tmp_path):
    (tmp_path / "logs").mkdir()
    changes = ("", ",task.train_data.seed=7")
    with pair(config, tmp_path / "run", tmp_path / "logs", changes) as workers:
        statuses, said = workers.ends()
    assert statuses == [1, 1]
    for text in said:
        line = text.strip().splitlines()[-1]
        assert "has another experiment than the chief: task.train_data.seed is '7', not '" in line, text
