"""The examples that use the criterion in networks of one's own: each learns a few pictures in a process of its own."""

import os
import pathlib
import re
import subprocess
import sys

EXAMPLES = pathlib.Path(__file__).parent.parent.parent / "examples"


def run(name: str, *flags: str, **environment: str) -> str:
    command = [sys.executable, EXAMPLES / name / "train.py", *flags]
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_network_and_a_loop_of_ones_own_find_what_they_have_learnt():
    said = run("own_model", "--steps=60", "--pictures=2", "--batch=2")
    first, last = (float(loss) for loss in re.findall(r"step \d+: loss (\S+)", said))
    assert last < first / 4
    assert int(re.search(r"pictures learnt from: (\d+)%", said)[1]) > 50


def test_a_model_of_keras_3_learns_by_fit():
    """Also where TensorFlow is told that its Keras be the old one: the example imports Keras 3 itself."""
    said = run("keras3", "--steps=100", "--pictures=2", "--batch=2", TF_USE_LEGACY_KERAS="1")
    losses = [float(loss) for loss in re.search(r"loss by epoch: (.*)", said)[1].split()]
    assert losses[-1] < losses[0] / 2
    assert "found: " in said
