"""What all tests share: a quiet TensorFlow with two logical CPU devices, a seed, and the folder of real data."""

import gc
import itertools
import os
import pathlib
import random

import numpy as np
import pytest

from fsaf_tf import cli

cli.quiet()

import tensorflow as tf  # noqa: E402 (after quiet, which TensorFlow reads when it is imported)
import tf_keras  # noqa: E402
from tensorflow.python.eager import context  # noqa: E402
from tf_keras.src import backend  # noqa: E402

# Tests of replicas and of device placement need a second device; it can only be made before the first is used.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
SEED = 1
# The files that take a minute or more, the longest first: one of them at the end would leave a worker idle.
LONG_FILES = (
    "test_training.py",
    "test_task.py",
    "test_wiring.py",
    "test_cluster.py",
    "test_criterion.py",
    "test_saved_model.py",
    "test_exported_models.py",
    "test_figures.py",
)
tf_keras.utils.set_random_seed(SEED)


def pytest_addoption(parser):
    text = "Shuffle the files and the tests in each of them; the same N gives the same order again."
    parser.addoption("--random-order-seed", type=int, metavar="N", help=text)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Long files first, or all in random order. The tests of a file stay together, and with them what they share."""
    seed = config.getoption("random_order_seed")
    if seed is None:
        first = {name: place for place, name in enumerate(LONG_FILES)}
        items.sort(key=lambda item: first.get(item.path.name, len(first)))
        return
    shuffle = random.Random(seed).shuffle
    files = [list(tests) for _, tests in itertools.groupby(items, lambda item: item.path)]
    for tests in (files, *files):
        shuffle(tests)
    items[:] = itertools.chain(*files)


def pytest_collection_finish():
    """Searches for circles of garbage less often, and never in what imports made: a tenth of the processor's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 10, 100)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish():
    """Spares the searches that pytest and Python make at their end: seconds each, in gigabytes."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Makes a test the same whatever ran before it in its process; fixtures come after this.

    The second MirroredStrategy of a process would use the collective keys of the first, for tensors of other shapes.
    """
    _seed()
    tf.distribute.MirroredStrategy._collective_key_base += 1000


def _seed():
    """Does what `tf_keras.utils.set_random_seed` does, but TensorFlow's part only if something was drawn since.

    That part throws away all that is compiled: each function that tests share would be compiled again for each test.
    """
    if context.context()._rng.getstate() != random.Random(SEED).getstate():
        tf.random.set_seed(SEED)
    random.seed(SEED)
    np.random.seed(SEED)
    backend._SEED_GENERATOR.generator = random.Random(SEED)


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of real images and weights, `FSAF_DATA` or beside the checkout; skips the test where it is not."""
    beside = pathlib.Path(__file__).parent.parent.parent / "shared" / "data"
    folder = pathlib.Path(os.environ.get("FSAF_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"needs real data in {folder}, which is not there; FSAF_DATA names another folder")
    return folder
