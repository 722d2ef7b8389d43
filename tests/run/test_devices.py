"""Where a process stands, by its experiment and `TF_CONFIG`."""

import json

import pytest

from fsaf_tf.config import experiment
from fsaf_tf.errors import UserError
from fsaf_tf.run import devices, tf_config
from fsaf_tf.run.mode import parse
from fsaf_tf.run.tf_config import Place

TWO = json.dumps({"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}})
CLUSTER = "runtime.distribution_strategy=multi_worker_mirrored"


@pytest.mark.parametrize(
    ("overrides", "config", "mode", "found"),
    [
        ("", "", "train", tf_config.ALONE),
        (CLUSTER, TWO, "train_and_eval", Place(("a:1", "b:2"), 1)),
        (CLUSTER, TWO, "eval", Place(("a:1", "b:2"), 1)),
        # The Garden's own keys, in the place of TF_CONFIG.
        (f"{CLUSTER},runtime.worker_hosts='a:1,b:2',runtime.task_index=1", "", "train", Place(("a:1", "b:2"), 1)),
        ("", TWO, "continuous_eval", tf_config.ALONE),  # beside a cluster
        (CLUSTER, "", "train", "multi_worker_mirrored needs TF_CONFIG in the environment of each worker, such as {"),
        (CLUSTER, TWO, "continuous_eval", "--mode=continuous_eval is for one process beside the cluster"),
        ("", TWO, "train", "TF_CONFIG names 2 workers, each of which would train alone: set runtime.distribution_str"),
        (f"{CLUSTER},runtime.num_gpus=2", TWO, "train", "runtime.num_gpus has no effect with multi_worker_mirrored"),
        ("runtime.worker_hosts='a:1,b:2'", "", "train", "runtime.worker_hosts has no effect without"),
        (f"{CLUSTER},runtime.worker_hosts='a:1,b:2'", "", "train", "runtime.worker_hosts: Must specify task_index"),
    ],
)
def test_the_place_of_a_process(monkeypatch, overrides, config, mode, found):
    monkeypatch.setenv("TF_CONFIG", config)
    runtime = experiment.load("fsaf_demo", overrides=overrides).runtime
    if isinstance(found, Place):
        assert devices.place(runtime, parse(mode)) == found
        return
    with pytest.raises(UserError) as error:
        devices.place(runtime, parse(mode))
    assert found in str(error.value) and "\n" not in str(error.value)
