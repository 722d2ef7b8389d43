"""A process's place in a cluster, and how the workers meet."""

import json
import socket
import threading

import pytest

from fsaf_tf.errors import UserError
from fsaf_tf.run import tf_config
from fsaf_tf.run.tf_config import Place

TWO = {"worker": ["a:1", "b:2"]}


def config(cluster=None, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster or TWO, "task": {"type": kind, "index": index}})}


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, None),
        ({"TF_CONFIG": " {} "}, None),
        (config(index=1), Place(("a:1", "b:2"), 1)),
        (config(index="1"), Place(("a:1", "b:2"), 1)),
        (config({"worker": ["[::1]:5"]}), Place(("[::1]:5",), 0)),
        # As Vertex AI has it: the chief has a type of its own.
        (config({"chief": ["a:1"], "worker": ["b:2", "c:3"]}, index=1), Place(("a:1", "b:2", "c:3"), 2, True)),
        (config({"chief": ["a:1"], "worker": ["b:2"]}, "chief"), Place(("a:1", "b:2"), 0, True)),
    ],
)
def test_the_place(environment, place):
    assert tf_config.read(environment) == place


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"TF_CONFIG": "{'cluster'"}, "TF_CONFIG is no JSON"),
        ({"TF_CONFIG": "[1]"}, 'TF_CONFIG must have a "cluster" and a "task"; it looks like {"cluster"'),
        ({"TF_CONFIG": json.dumps({"cluster": TWO})}, 'TF_CONFIG must have a "cluster" and a "task"'),
        (config(index=2), "TF_CONFIG names task 2 of type 'worker', but its cluster has 2 of type worker"),
        (config(index=-1), "TF_CONFIG names task -1 of type 'worker'"),
        (config(index=None), "TF_CONFIG names task None of type 'worker'"),
        (config(kind="chief"), "TF_CONFIG names task 0 of type 'chief', but its cluster has 2 of type worker"),
        (
            config(kind="evaluator"),
            "this a task of type 'evaluator'; a training has chief and worker alone: take --mode=",
        ),
        (config(kind="ps"), "this a task of type 'ps'"),
        (config({"worker": ["a", "b:2"]}), "TF_CONFIG has 'a' under \"worker\"; an address is host:port"),
        (config({"worker": ["a:70000"]}), "TF_CONFIG has 'a:70000' under"),
        (config({"worker": [7]}), "TF_CONFIG has 7 under"),
        (config({"worker": ["a:1", "a:1"]}), "TF_CONFIG has a:1 twice"),
        (config({"chief": ["a:1", "b:1"]}, "chief"), "TF_CONFIG has 2 chiefs"),
    ],
)
def test_what_is_wrong_with_it(environment, line):
    with pytest.raises(UserError, match=r"^[^\n]*$") as error:
        tf_config.read(environment)
    assert line in str(error.value)


def test_names_and_numbers():
    place = Place(("a:1", "b:2", "c:3"), 1, has_chief=True)
    assert (place.name(), place.name(0)) == ("worker 1 of 3 (b:2)", "worker 0 of 3 (a:1)")
    assert (place.number("chief", 0), place.number("worker", 1)) == (0, 2)
    assert Place(("a:1", "b:2")).number("worker", 1) == 1


def free_ports(count):
    with_each = [socket.socket() for _ in range(count)]
    for each in with_each:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in with_each]
    for each in with_each:
        each.close()
    return ports


def test_workers_meet_whoever_comes_first():
    addresses = tuple(f"localhost:{port}" for port in free_ports(3))
    met, lines = [], []

    def come(index):
        tf_config.meet(Place(addresses, index), lines.append)
        met.append(index)

    threads = [threading.Thread(target=come, args=[index]) for index in range(3)]
    for each in threads[:2]:
        each.start()
    threads[0].join(0.5)
    assert not met  # the third is missing
    with socket.create_connection(("localhost", int(addresses[0].rpartition(":")[2]))) as stranger:
        stranger.sendall(b"GET / HTTP/1.0")
    threads[2].start()
    for each in threads:
        each.join(600)
    assert sorted(met) == [0, 1, 2]


def test_one_that_does_not_come_is_named():
    here, gone = free_ports(2)
    place = Place((f"localhost:{here}", f"localhost:{gone}"), 0)
    with pytest.raises(UserError, match=rf"^worker 1 of 2 \(localhost:{gone}\) did not come within 0.1 s; start all"):
        tf_config.meet(place, print, seconds=0.1)


def test_a_port_that_is_in_use():
    with socket.create_server(("", 0)) as server:
        place = Place((f"localhost:{server.getsockname()[1]}", "localhost:9"), 0)
        with pytest.raises(UserError, match=r"gives this worker localhost:\d+, but the port is not free: Address"):
            tf_config.meet(place, print)
