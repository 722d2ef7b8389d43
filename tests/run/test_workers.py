"""What the workers of a cluster tell one another; with real processes: `test_cluster.py`."""

import json

import numpy as np
import pytest
import tensorflow as tf

from fsaf_tf.run import tf_config
from fsaf_tf.run.tf_config import Place
from fsaf_tf.run.workers import AGAIN, Workers, line_of_the_lost

PLACE = Place(("a:1", "b:2"), 0)
CHIEF_OF_ITS_OWN = Place(("a:1", "b:2"), 0, has_chief=True)
UNHEALTHY = (
    "Collective ops is aborted by: Error reported from /job:worker/task:1: The following tasks are unhealthy (stopped"
    " sending heartbeats):\n/job:worker/replica:0/task:{}\nThe tasks have crashed. Check the task logs for an earlier"
    " error.\nThe error could be from a previous operation. Restart your program to reset."
)
RESET = (
    "Collective ops is aborted by: recvmsg:Connection reset by peer\nAdditional GRPC error information from remote"
    " target /job:worker/replica:0/task:0 while calling /tensorflow.WorkerService/CompleteInstance:\n:UNKNOWN:Error"
)
TOLD = (
    "Collective ops is aborted by: Error reported from /job:worker/task:1: Worker 1 of 2 (b:2) ended: p.png: damaged\n"
    "The error could be from a previous operation. Restart your program to reset."
)
MISMATCH = (
    "Collective ops is aborted by: Collective instance 9 expected type 0 but got type 2\n remote /job:worker/task:0"
)


@pytest.mark.parametrize(
    ("kind", "text", "place", "line"),
    [
        (tf.errors.UnavailableError, UNHEALTHY.format(1), PLACE, "Worker 1 of 2 (b:2) is lost: it was killed, or its"),
        (tf.errors.UnavailableError, UNHEALTHY.format(0), CHIEF_OF_ITS_OWN, "Worker 1 of 2 (b:2) is lost"),
        (tf.errors.UnavailableError, RESET, PLACE, "Worker 0 of 2 (a:1) is lost"),
        (tf.errors.UnavailableError, "Socket closed", PLACE, "A worker is lost"),
        (tf.errors.FailedPreconditionError, TOLD, PLACE, f"Worker 1 of 2 (b:2) ended: p.png: damaged; {AGAIN}"),
        (tf.errors.InternalError, MISMATCH, PLACE, None),  # ours, and keeps its traceback
        (tf.errors.UnavailableError, "Error executing an HTTP request", tf_config.ALONE, None),
        (ValueError, "Worker 1 of 2 (b:2)", tf_config.ALONE, None),
    ],
)
def test_who_is_lost(kind, text, place, line):
    error = kind(text) if kind is ValueError else kind(None, None, text)
    found = line_of_the_lost(error, place)
    assert found is line is None or (found.startswith(line) and "\n" not in found and found.endswith(AGAIN))


def test_one_process_agrees_with_itself_without_a_collective():
    workers = Workers(tf_config.ALONE, tf.distribute.get_strategy())
    kept = {"AP": np.float32(0.5), 3: None}
    assert workers.of_chief(lambda: kept) is kept and workers.gather(kept)[0] is kept
    assert workers.most(15) == 15
    workers.check_same("experiment", {"a": 1})
    with pytest.raises(KeyError), workers.told():
        raise KeyError


def test_bytes_of_any_length_through_the_collective_of_several_replicas():
    """A MirroredStrategy gathers as a cluster does: here both replicas are of one worker."""
    workers = Workers(Place(("a:1",)), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    for data in (b"", b"1", b"12345678", json.dumps(list(range(99))).encode()):
        assert workers.gather_bytes(data) == [data]
