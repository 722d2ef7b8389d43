"""Training data from a tf.data service on loopback: the same pixels as here, and one worker that is killed."""

import collections
import dataclasses
import subprocess
import sys
import textwrap

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from fsaf_tf.config import schema
from fsaf_tf.data import images, pipeline, service
from fsaf_tf.data.source import open_source
from fsaf_tf.errors import UserError
from fsaf_tf.files.storage import write_json

IMAGES, BATCH = 6, 2
WORKER = """
    import sys
    import tensorflow as tf

    service = tf.data.experimental.service
    worker = service.WorkerServer(service.WorkerConfig(dispatcher_address=sys.argv[1]))
    print("ready", flush=True)
    worker.join()
"""
SIZE = schema.InputSize(shorter_side=32, longer_side=64)


def make_data(folder, save=lambda picture, path: picture.save(path)):
    """Photos, each of a grey of its own, one of them turned by EXIF."""
    rows = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
    for number in range(1, IMAGES + 1):
        picture, exif = PIL.Image.new("RGB", (64, 32), (20 * number,) * 3), PIL.Image.Exif()
        exif[0x112] = 3 if number == 1 else 1
        picture.paste((250, 0, 0), (0, 0, 16, 16))
        save(picture, folder / f"{number}.png") if number > 1 else picture.save(folder / "1.png", exif=exif)
        rows["images"].append({"id": number, "file_name": f"{number}.png", "width": 64, "height": 32})
        rows["annotations"].append({"id": number, "image_id": number, "category_id": 1, "bbox": [0, 0, 16, 16]})
    write_json(f"{folder}/a.json", rows)
    return {"annotation_file": f"{folder}/a.json", "image_dir": str(folder), "global_batch_size": BATCH}


def dataset(config):
    return pipeline.build_dataset(open_source(config), config, SIZE, batch_size=BATCH)


@pytest.fixture
def dispatcher():
    server = tf.data.experimental.service.DispatchServer(
        tf.data.experimental.service.DispatcherConfig(worker_timeout_ms=2000)
    )
    yield server.target.split("://")[1]
    server._stop()


@pytest.fixture
def worker(dispatcher):
    """A worker of this process."""
    config = tf.data.experimental.service.WorkerConfig(dispatcher_address=dispatcher, heartbeat_interval_ms=200)
    server = tf.data.experimental.service.WorkerServer(config)
    yield server
    server._stop()


def test_two_workers_of_which_one_is_killed(tmp_path, dispatcher, worker):
    """Every picture goes on to come, with the pixels that this process gives it; nothing hangs."""
    data = make_data(tmp_path)
    other = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WORKER), dispatcher], stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"ready\n"
        batches = iter(dataset(schema.TrainData(**data, random_flip=False, service=dispatcher)))
        seen = [next(batches) for _ in range(4 * IMAGES)]
        other.kill()
        other.wait()
        later = [next(batches) for _ in range(4 * IMAGES)]
    finally:
        other.kill()
    counts = collections.Counter(int(number) for batch in later for number in batch["image_id"])
    assert set(counts) == set(range(1, IMAGES + 1))
    here = schema.TrainData(**data, random_flip=False)
    expected = {}
    for batch in dataset(here).take(2 * IMAGES):
        expected |= dict(zip(batch["image_id"].numpy().tolist(), zip(batch["image"].numpy(), batch["boxes"].numpy())))
    for batch in (*seen, *later):
        for number, image, boxes in zip(batch["image_id"].numpy(), batch["image"].numpy(), batch["boxes"].numpy()):
            np.testing.assert_array_equal(image, expected[number][0])
            np.testing.assert_array_equal(boxes, expected[number][1])


def test_each_worker_has_every_picture_once_a_round_and_flips_are_new(tmp_path, dispatcher, worker):
    tf.random.set_seed(0)  # as a run does
    config = schema.TrainData(**make_data(tmp_path), service=dispatcher, shuffle_buffer_size=1)
    batches = iter(dataset(config))
    rounds = [[int(number) for _ in range(IMAGES // BATCH) for number in next(batches)["image_id"]] for _ in range(4)]
    assert all(sorted(each) == list(range(1, IMAGES + 1)) for each in rounds) and len(set(map(tuple, rounds))) > 1
    again = iter(dataset(config))
    assert [[int(n) for _ in range(3) for n in next(again)["image_id"]] for _ in range(4)] != rounds


def test_a_picture_that_needs_python_is_named(tmp_path, dispatcher, worker):
    def as_bmp(picture, path):
        picture.save(path, format="BMP" if path.stem == "4" else "PNG")

    batches = iter(dataset(schema.TrainData(**make_data(tmp_path, as_bmp), service=dispatcher)))
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        for _ in range(IMAGES):
            next(batches)
    assert str(images.user_error(error.value)) == f"4.png {images.NO_PYTHON}"


def test_what_a_service_cannot_do(tmp_path):
    data = make_data(tmp_path)
    for address in ("localhost:9", "nonsense"):
        with pytest.raises(UserError, match=f"service: no dispatcher answers at '{address}'.*docs/scaling.md"):
            dataset(schema.TrainData(**data, service=address))
    with pytest.raises(UserError, match="cannot count bad pictures: set task.train_data.max_bad_pictures=0"):
        dataset(schema.TrainData(**data, service="localhost:9", max_bad_pictures=0.1))
    config = schema.TrainData(**data, service="localhost:9")
    by_python = dataclasses.replace(open_source(config), read_in_graph=None)  # as those of TFDS and TFRecord files
    with pytest.raises(UserError, match="service reads annotation_file alone: the headers"):
        service.checked(by_python, config.service)
