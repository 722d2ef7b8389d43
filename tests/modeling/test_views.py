"""Test-time augmentation: one size is plain testing, a mirrored picture gives mirrored boxes, several are merged."""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf
from in_process import call
from PIL import Image
from small_network import BRANCHES, CLASSES, config_of, network
from small_run import build_model, write_run

import fsaf_tf
from fsaf_tf import detection, postprocess
from fsaf_tf.cli import predict, train
from fsaf_tf.config import experiment, schema
from fsaf_tf.data.drawing import draw
from fsaf_tf.data.source import open_sources
from fsaf_tf.detect import trained
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import views
from fsaf_tf.run.task import FSAFTask

PAPER = [400, 500, 600, 700, 900, 1000, 1100, 1200]


@pytest.fixture(scope="module", params=BRANCHES)
def detect(request):
    """A function from a picture and an augmentation to what is found, of one network."""
    model = network(request.param)

    @functools.cache
    def load(shorter_side, augmentation):
        config = config_of(request.param, **json.loads(augmentation))
        config.input_size.override({"shorter_side": shorter_side, "longer_side": shorter_side * 4 // 3})
        return trained.Detector(model, config, CLASSES)

    def found(picture, shorter_side=96, **augmentation):
        return load(shorter_side, json.dumps(augmentation))(picture)

    return found


@pytest.fixture(scope="module")
def joint():
    """Both branches."""
    return network("ab_fsaf")


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """A landscape and a portrait of `shapes`, 192 x 256 px and turned."""
    return [draw(0, 1)[0], np.ascontiguousarray(np.swapaxes(draw(0, 2)[0], 0, 1))]


def assert_same(found, expected):
    assert 5 < len(found["scores"]) and found["names"] == expected["names"]
    for key in ("boxes", "scores", "classes", "levels", "branch"):
        np.testing.assert_array_equal(found[key], expected[key], err_msg=key)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            {"shorter_sides": PAPER},
            [(400, 666), (500, 833), (600, 1000), (700, 1166), (900, 1500), (1000, 1666), (1100, 1833), (1200, 2000)],
        ),
        ({"shorter_sides": [800]}, [(800, 1333)]),
        ({"shorter_sides": [], "ratios": [0.5, 1.0, 1e-9]}, [(400, 666), (800, 1333), (1, 1)]),
    ],
)
def test_both_sides_grow_with_the_size(keys, expected):
    """The limit of the longer side too: at 1200 px it is Detectron's."""
    task = schema.Task()
    task.test_augmentation.override({"enabled": True, **keys})
    assert detection.views_of(task) == views.Views(tuple(expected), flip=True)


def test_the_lists_default_is_the_papers_and_it_is_off():
    task = schema.Task()
    assert detection.views_of(task) is None
    assert (task.test_augmentation.shorter_sides, task.test_augmentation.flip) == (PAPER, True)
    task.test_augmentation.enabled = True
    said = detection.views_of(task).describe()
    assert said.startswith("test-time augmentation: 16 views of an image") and said.endswith(
        "1200 px, each mirrored too"
    )
    task.test_augmentation.override({"shorter_sides": [320], "flip": False})
    said = detection.views_of(task).describe()
    assert said == "test-time augmentation: 1 view of an image, shorter side 320 px"


def test_mirrored_padding_stays_on_the_right():
    images = tf.reshape(tf.range(1, 11), [2, 1, 5, 1])
    mirrored = views.mirror(images, tf.constant([[1, 3], [1, 5]]))[..., 0]
    assert mirrored.numpy().tolist() == [[[3, 2, 1, 4, 5]], [[10, 9, 8, 7, 6]]]


def test_candidates_come_into_the_frame_of_another_size():
    found = {"boxes": tf.constant([[[2.0, 10.0, 4.0, 30.0]]]), "scores": tf.constant([[0.5]])}
    for is_mirrored, expected in ((False, [1, 20, 2, 60]), (True, [1, 140, 2, 180])):
        moved = views.to_frame(found, tf.constant([[80, 100]]), tf.constant([[40, 200]]), is_mirrored)
        np.testing.assert_allclose(moved["boxes"], [[expected]])
        assert moved["scores"] is found["scores"]


def test_one_size_without_mirroring_is_plain_testing(detect, pictures):
    for picture in pictures:
        expected = detect(picture)
        assert_same(detect(picture, ratios=[1.0], flip=False), expected)
        assert_same(detect(picture, shorter_sides=[96], flip=False), expected)


def test_another_size_alone_is_plain_testing_at_that_size(detect, pictures):
    expected = detect(pictures[0], shorter_side=144)
    assert_same(detect(pictures[0], shorter_sides=[144], flip=False), expected)
    assert not np.array_equal(detect(pictures[0])["scores"], expected["scores"])


def test_a_mirrored_picture_gives_mirrored_boxes(detect, pictures):
    """At sizes where resizing a mirrored picture is mirroring a resized one, to the last bit."""
    levels = set()
    for picture in (each[::2, ::2] for each in pictures):
        width = picture.shape[1]
        plain = detect(picture)
        found, mirrored = (detect(each, ratios=[1.0, 2.0]) for each in (picture, picture[:, ::-1]))
        assert len(found["scores"]) > 5
        levels |= set(found["levels"])
        assert not set(found["scores"]) <= set(plain["scores"])  # there is something from the other views
        for key in ("names", "scores", "levels", "branch"):
            assert list(found[key]) == list(mirrored[key]), key
        y1, x1, y2, x2 = mirrored["boxes"].T
        np.testing.assert_allclose(found["boxes"], np.stack([y1, width - x2, y2, width - x1], axis=1), atol=1e-4)
    assert len(levels) > 1


def test_an_object_is_found_at_its_place_in_every_view():
    """By hand: P3 fires where a cell is bright, with a box of 16 x 16 px of the view about it."""

    def candidates_of(images, size):
        cells = tf.nn.avg_pool2d(images, 8, 8, "VALID")
        logits = (tf.reduce_mean(cells, axis=-1, keepdims=True) - 60) / 10
        offsets = tf.fill([*cells.shape[:3], 4], 8 / 32)
        outputs = {"anchor_free_logits": {"3": logits}, "anchor_free_offsets": {"3": offsets}}
        return postprocess.candidates(outputs, schema.Task().decoding())

    def sized():
        for scale in (1, 2):
            image = np.zeros((1, 64 * scale, 96 * scale, 3), np.float32)
            image[:, 16 : 16 + 8 * scale, 24 : 24 + 8 * scale] = 255  # the same place only of the first size
            yield tf.constant(image), tf.constant([[64 * scale, 80 * scale]])

    found, frame = views.candidates(sized(), candidates_of, flip=True)
    assert frame.numpy().tolist() == [[64, 80]]
    bright = found["boxes"].numpy()[found["scores"].numpy() > 0.9].tolist()
    first = [[12, 20, 28, 36]]
    second = [[y, x, y + 8, x + 8] for y in (6, 10) for x in (10, 14)]
    assert sorted(bright) == sorted(2 * first + 2 * second)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pictures):
    """Three pictures as COCO JSON, the portrait among them."""
    folder = tmp_path_factory.mktemp("pictures")
    images, annotations = [], []
    for number, picture in enumerate([*pictures, draw(0, 3)[0]], start=1):
        height, width = picture.shape[:2]
        Image.fromarray(picture).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": height, "width": width})
        annotations.append({"id": number, "image_id": number, "category_id": 1 + number % 3, "bbox": [9, 9, 40, 40]})
    categories = [{"id": index, "name": name} for index, name in enumerate(CLASSES.names, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "x.json").write_text(json.dumps(content))
    return folder


def evaluate(joint, folder, **augmentation) -> list[dict]:
    """The batches of an evaluation in the graph of its step; then one of no image, as a replica may get it."""
    config = config_of("ab_fsaf", **augmentation)
    keys = {"annotation_file": f"{folder}/x.json", "image_dir": str(folder), "global_batch_size": 2}
    config.validation_data.override(keys)
    task = FSAFTask(config, data=open_sources(config, train=False, validation=True))
    inputs = task.build_inputs(config.validation_data)
    step = tf.function(lambda batch: task.validation_step(batch, joint), input_signature=[inputs.element_spec])
    batches = list(inputs)
    return [step(batch) for batch in (*batches, tf.nest.map_structure(lambda value: value[:0], batches[0]))]


def test_evaluation_in_one_size_is_plain_evaluation(joint, folder):
    plain, augmented = evaluate(joint, folder), evaluate(joint, folder, ratios=[1.0], flip=False)
    assert sorted(len(batch["image_id"]) for batch in plain) == [0, 1, 2]
    assert all((batch["num_detections"].numpy() > 5).all() for batch in plain)
    for one, other in zip(plain, augmented, strict=True):
        assert one.keys() == other.keys() and "anchor_free/boxes" in one
        for key in one:
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)


def test_evaluation_finds_what_prediction_finds(joint, folder, pictures):
    batches = evaluate(joint, folder, ratios=[0.5, 1.25])
    of_image = {
        int(image_id): {key: value[place] for key, value in batch.items()}
        for batch in batches
        for place, image_id in enumerate(batch["image_id"])
    }
    loaded = trained.Detector(joint, config_of("ab_fsaf", ratios=[0.5, 1.25]), CLASSES)
    for number, picture in enumerate(pictures, start=1):
        expected, found = loaded(picture), of_image[number]
        count = int(found["num_detections"])
        assert count == len(expected["scores"]) > 5
        np.testing.assert_allclose(found["scores"][:count], expected["scores"], rtol=1e-4)
        np.testing.assert_allclose(found["boxes"][:count], expected["boxes"], atol=1e-2)


def test_its_own_size_and_views_exclude_each_other(joint, pictures):
    loaded = trained.Detector(joint, config_of("ab_fsaf", ratios=[1.0]), CLASSES)
    with pytest.raises(UserError, match="test-time augmentation and tiles resize what they look at"):
        loaded(pictures[0], resize=False)
    assert len(loaded.at_one_size()(pictures[0], resize=False)["scores"]) > 5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), build_model())


def test_prediction_takes_it_by_a_flag(run, folder, monkeypatch, capsys, tmp_path):
    flags = [f"--model={run}", f"--images={folder}/1.png", f"--output={tmp_path}"]
    assert call(predict, monkeypatch, *flags, "--test_augmentation=ratios=[1,2]") == 0
    assert "test-time augmentation: 4 views of an image, shorter side 64, 128 px" in capsys.readouterr().out
    assert json.loads((tmp_path / "detections.json").read_text())
    wrong = call(predict, monkeypatch, *flags, "--test_augmentation=ratio=[1]")
    assert "no key task.test_augmentation.ratio, did you mean 'ratios'?" in wrong and "\n" not in wrong
    assert "test_augmentation is empty" in call(predict, monkeypatch, *flags, "--test_augmentation=")
    assert "give `on` or `off`" in call(predict, monkeypatch, *flags, "--test_augmentation=enabled=false")


def test_an_experiment_that_has_it_on_is_tested_without(run):
    params = experiment.read_params(run)
    experiment.augment_tests(params, "on")
    assert params.task.test_augmentation.enabled
    experiment.augment_tests(params, "off")
    assert not params.task.test_augmentation.enabled


def test_a_loaded_detector_takes_its_keys(run):
    loaded = fsaf_tf.load_detector(run, test_augmentation={"shorter_sides": [48]})
    found = loaded.config.test_augmentation
    assert (found.enabled, found.shorter_sides, found.ratios) == (True, [48], [])
    assert not fsaf_tf.load_detector(run).config.test_augmentation.enabled


def test_exported_models_do_without(tmp_path, monkeypatch):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"not read")
    message = "model.tflite is an exported model, which has no test-time augmentation"
    with pytest.raises(UserError, match=message):
        fsaf_tf.load_detector(path, test_augmentation={})
    flags = [f"--model={path}", f"--images={path}", f"--output={tmp_path}", "--test_augmentation=on"]
    assert message in call(predict, monkeypatch, *flags)
    override = "--params_override=task.test_augmentation.enabled=true"
    assert message in call(train, monkeypatch, "--mode=eval", f"--model={path}", "--experiment=fsaf_demo", override)
