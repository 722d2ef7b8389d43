"""Every file of experiments/: it builds, it trains a step, and experiments/README.md says of it what it says itself."""

import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from fsaf_tf.config import catalog, experiment
from fsaf_tf.modeling import detector
from fsaf_tf.run.task import FSAFTask

CLASSES, HEIGHT, WIDTH = 2, 64, 96
README = pathlib.Path(catalog.find("fsaf_r50")).parent / "README.md"
NOT_OF_THE_PAPER = ("custom", "custom_edge", "fsaf_demo")


def readme_rows() -> dict[str, list[str]]:
    """The cells of each row, by experiment."""
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", README.read_text(), re.MULTILINE)
    assert len(rows) == len({name for name, _ in rows})
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}


def header(name: str) -> str:
    """The comment above an experiment, as running text."""
    lines = pathlib.Path(catalog.find(name)).read_text().splitlines()
    return re.sub(r"\s+", " ", " ".join(line.lstrip("#") for line in lines if line.startswith("#")))


def test_the_readme_lists_every_file():
    assert sorted(readme_rows()) == sorted(catalog.names())


@pytest.mark.parametrize("name", sorted(set(catalog.names()) - set(NOT_OF_THE_PAPER)))
def test_the_readme_agrees_with_the_file(name):
    row, paper, ours = readme_rows()[name]
    said = header(name)
    tables, figures = re.findall(r"Table \d", row), re.findall(r"\d\d\.\d", paper)
    assert tables and figures
    assert set(tables) == set(re.findall(r"Table \d", said.split("paper,")[0]))
    assert figures == re.findall(r"AP (\d\d\.\d)", said)
    assert ours in said.split("ours")[1] and ours == "not trained at full scale"
    assert f"python tools/train.py --experiment={name}" in said


def small(name: str):
    """The experiment with one block a stage and narrow heads, for images that fit into a test."""
    params = experiment.load(name)
    narrow = {
        "backbone": {"resnet": {"depth": 14, "width_per_group": 8}},
        "fpn": {"channels": 16},
        "heads": {"channels": 16},
    }
    params.override({"task": {"model": narrow, "train_data": {"max_instances": 3}}})
    return params


def batch() -> dict[str, tf.Tensor]:
    """Two images of noise; the second has no object."""
    rng = np.random.default_rng(0)
    return {
        "image": tf.constant(rng.integers(0, 256, [2, HEIGHT, WIDTH, 3]), tf.uint8),
        "image_size": tf.constant([[HEIGHT, WIDTH], [HEIGHT, WIDTH - 9]], tf.int32),
        "image_id": tf.constant([1, 2], tf.int64),
        "boxes": tf.constant([[[2.0, 3, 10, 60], [20, 20, 60, 70], [0, 0, 0, 0]], [[0.0] * 4] * 3]),
        "classes": tf.constant([[0, 1, 0], [0, 0, 0]]),
        "valid": tf.constant([[True, True, False], [False] * 3]),
        "left_out": tf.zeros([2], tf.int32),
    }


@pytest.mark.parametrize("name", catalog.names())
def test_an_experiment_takes_a_step(name):
    params = small(name)
    task = FSAFTask(params.task)
    tf_keras.utils.set_random_seed(0)
    model = detector.build_detector(params.task.model, CLASSES)
    before = {variable.name: variable.numpy() for variable in model.trainable_variables}
    optimizer = task.create_optimizer(params.trainer.optimizer_config)
    loss = task.train_step(batch(), model, optimizer)[task.loss]
    assert np.isfinite(loss) and loss > 0
    stayed = {each.name for each in model.trainable_variables if np.array_equal(each, before[each.name])}
    if params.task.model.heads.batch_norm:
        # A level without objects teaches its normalisation of the box tower nothing; and P7 is a cell here, of which
        # normalisation leaves next to nothing.
        stayed = {name for name in stayed if not re.search(r"box_tower_\d_bn_|_bn_7/|output_7/bias", name)}
    assert len(before) > 40 and not stayed
