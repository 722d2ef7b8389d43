"""`load_detector`: from a run's folder to detections in the pixels of a picture, and what it says of wrong input."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from in_process import call
from PIL import Image
from small_run import NAMES, build_model, small_params, write_run

import fsaf_tf
from fsaf_tf import postprocess
from fsaf_tf.cli import export, predict
from fsaf_tf.config import experiment
from fsaf_tf.data.classes import Classes
from fsaf_tf.detect import pictures, trained
from fsaf_tf.errors import UserError


@pytest.fixture(scope="module")
def model():
    return build_model()


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    """A run whose best checkpoint holds `model`, and whose newest holds other values."""
    folder = write_run(tmp_path_factory.mktemp("run"), model, step=3, checkpoint="best/best_ckpt-3")
    values = model.get_weights()
    model.set_weights([value + 1 for value in values])
    write_run(folder, model)
    model.set_weights(values)
    return folder


@pytest.fixture(scope="module")
def detect(run):
    return fsaf_tf.load_detector(str(run))


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (100, 150, 3), np.uint8)


def test_detections_are_in_pixels_of_the_picture(detect, image):
    found = detect(image)
    assert set(found) == {"boxes", "scores", "classes", "names", "levels", "branch"}
    count = len(found["scores"])
    assert 0 < count <= 20 and np.all(np.diff(found["scores"]) <= 0)
    assert found["boxes"].shape == (count, 4) and found["boxes"].dtype == np.float32
    assert np.all(found["boxes"] >= 0) and np.all(found["boxes"] <= [100, 150, 100, 150])
    assert np.all(found["boxes"][:, 2:] > found["boxes"][:, :2])
    assert found["names"] == [NAMES[index] for index in found["classes"]]
    assert set(found["levels"]) <= {3, 4, 5, 6, 7} and set(found["branch"]) <= {0, 1}


def assert_alike(found, expected):
    """To the rounding of sums over another number of pictures."""
    assert found.keys() == expected.keys() and found["names"] == expected["names"]
    for key in ("boxes", "scores", "classes", "levels", "branch"):
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-4, atol=1e-2)


def test_several_pictures_and_paths_each_have_their_own(detect, tmp_path):
    """More than are looked at together, of both orientations and of a file that is turned."""
    numbers = np.random.default_rng(5)
    shapes = [(100, 150), (150, 100), (40, 60)] * 3 + [(100, 150)]
    arrays = [numbers.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    assert len(arrays) > pictures.BATCH
    exif = Image.Exif()
    exif[0x0112] = 6  # turned clockwise when it is shown
    Image.fromarray(arrays[1]).save(tmp_path / "one.png", exif=exif)
    expected = [detect(array) for array in arrays]
    expected[1] = detect(np.ascontiguousarray(np.rot90(arrays[1], -1)))
    given = [arrays[0], tmp_path / "one.png", *arrays[2:]]
    for several in (given, tuple(given)):
        for found, wanted in zip(detect(several), expected, strict=True):
            assert_alike(found, wanted)
    assert_alike(detect(str(tmp_path / "one.png")), expected[1])
    assert detect([]) == []
    equal = np.stack([arrays[0], arrays[3]])
    for found, wanted in zip(detect(equal, resize=False), equal, strict=True):
        assert_alike(found, detect(wanted, resize=False))


@pytest.mark.parametrize("branch", ["anchor_free", "anchor_based"])
def test_one_branch_alone(run, detect, image, branch):
    """It finds what that branch's outputs of the whole detector hold, and has no layers of the other one."""
    alone = fsaf_tf.load_detector(run, branch=branch)
    outputs = {key: maps for key, maps in detect.model(detect.preprocess(image)).items() if key.startswith(branch)}
    assert alone.model(alone.preprocess(image)).keys() == outputs.keys() and len(outputs) == 2
    config = alone.config.decoding(), alone.config.model.postprocess.suppression()
    found = postprocess.detect(outputs, tf.constant([[64, 96]]), len(NAMES), *config)
    expected = postprocess.to_original(found, tf.constant([[64, 96]]), tf.constant([image.shape[:2]]))
    count = int(expected["num_detections"][0])
    assert count > 0 and len(alone(image)["scores"]) == count
    for key, values in alone(image).items():
        if key != "names":
            np.testing.assert_allclose(values, expected[key][0, :count], rtol=1e-4, atol=1e-3)
    assert set(alone(image)["branch"]) == {("anchor_free", "anchor_based").index(branch)}
    of_fusion = fsaf_tf.load_detector(run, branch=branch, postprocess={"fusion": "mean"})  # there is nothing to fuse
    assert_alike(of_fusion(image), alone(image))
    both = fsaf_tf.load_detector(run, branch="both")(image)
    assert_alike(both, detect(image))


def test_tiles_are_cut_as_asked(run, image):
    by_size, by_keys = fsaf_tf.load_detector(run, tile=64), fsaf_tf.load_detector(run, tile={"size": 64})
    assert by_size.program.tiles == by_keys.program.tiles and by_size.program.tiles.size == 64
    assert fsaf_tf.load_detector(run).program.tiles is None
    assert_alike(by_size([image, image])[1], by_size(image))
    assert by_size.at_one_size().program.tiles is None
    with pytest.raises(UserError, match="tiles resize what they look at; leave resize=False out"):
        by_size(image, resize=False)
    with pytest.raises(UserError, match="there is no key task.tiles.sise, did you mean 'size'"):
        fsaf_tf.load_detector(run, tile={"sise": 64})
    with pytest.raises(UserError, match="task.tiles.overlap must be from 0 to 0.9, not 1"):
        fsaf_tf.load_detector(run, tile={"size": 64, "overlap": 1.0})
    with pytest.raises(UserError, match="task.tiles and task.test_augmentation do not go together"):
        fsaf_tf.load_detector(run, test_augmentation="ratios=[1.0]", tile=64)
    params = experiment.read_params(run)
    params.task.tiles.size = 64
    with pytest.raises(UserError, match="task.tiles and task.test_augmentation do not go together"):
        experiment.augment_tests(params, "ratios=[1.0]")


def test_a_branch_that_is_not_there(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    text = (folder / "params.yaml").read_text()
    assert text.count("anchor_based:\n      enabled: true") == 1
    (folder / "params.yaml").write_text(
        text.replace("anchor_based:\n      enabled: true", "anchor_based:\n      enabled: false")
    )
    for branch in ("both", "anchor_based"):
        with pytest.raises(UserError, match=f"the branch is {branch}, but the detector has anchor_free alone"):
            fsaf_tf.load_detector(folder, branch=branch)
    with pytest.raises(UserError, match="the branch is 'free'; it must be one of both, anchor_free, anchor_based"):
        fsaf_tf.load_detector(run, branch="free")
    with pytest.raises(UserError, match="the model has no heads/anchor_based_"):  # what is not asked for is an error
        fsaf_tf.load_detector(folder)


def test_what_is_no_picture_is_named(detect, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    for path in (tmp_path / "text.jpg", tmp_path / "nowhere.jpg"):
        with pytest.raises(UserError, match=f"{path.name}: "):
            detect([str(path)])
    for wrong in (np.zeros([8, 8, 3]), np.zeros([8, 8, 4], np.uint8), None, 7, [np.zeros([8, 8], np.uint8)]):
        with pytest.raises(UserError, match="an image must be a path or a uint8 array"):
            detect(wrong)


def test_equals_its_parts(detect, image):
    """64 x 96 px on a canvas of 64 x 96: the picture is 100 x 150, so the scale is 0.64 on both axes."""
    images = detect.preprocess(image)
    assert images.shape == (1, 64, 96, 3) and images.dtype == tf.float32
    config = small_params().task
    values = len(NAMES), config.decoding(), config.model.postprocess.suppression()
    expected = postprocess.detect(detect.model(images, training=False), tf.constant([[64, 96]]), *values)
    found = detect(image)
    assert len(found["scores"]) == int(expected["num_detections"][0])
    np.testing.assert_allclose(
        found["boxes"], expected["boxes"][0, : len(found["scores"])] / 0.64, rtol=1e-4, atol=1e-3
    )


def test_preprocess_normalises_in_the_channel_order_of_the_backbone_and_pads_with_zero(detect):
    image = np.full((40, 70, 3), (10, 20, 30), np.uint8)
    images = detect.preprocess(image, resize=False).numpy()
    assert images.shape == (1, 64, 96, 3)
    np.testing.assert_allclose(
        images[0, :40, :70], np.broadcast_to([30 - 103.939, 20 - 116.779, 10 - 123.68], (40, 70, 3))
    )
    assert not np.any(images[0, 40:]) and not np.any(images[0, :, 70:])


def test_a_portrait_is_resized_to_a_portrait(detect, image):
    assert detect.preprocess(np.swapaxes(image, 0, 1)).shape == (1, 96, 64, 3)


def test_a_picture_of_the_training_size_is_the_same_with_and_without_resizing(detect, image):
    picture = image[:64, :96]
    resized, own = detect(picture), detect(picture, resize=False)
    assert resized["names"] == own["names"]
    np.testing.assert_allclose(resized["boxes"], own["boxes"], rtol=1e-5, atol=1e-3)


def brightness_detector():
    """A `Detector` whose model is made by hand: P3 fires where a cell is bright, with boxes of 16 x 16 px about it."""
    images = tf_keras.layers.Input([None, None, 3])
    cells = tf_keras.layers.AveragePooling2D(8)(images)
    logits = tf_keras.layers.Lambda(lambda x: (tf.reduce_mean(x, axis=-1, keepdims=True) - 60) / 10)(cells)
    offsets = tf_keras.layers.Lambda(lambda x: tf.fill(tf.concat([tf.shape(x)[:3], [4]], 0), 8 / 32))(cells)
    outputs = {"anchor_free_logits": {"3": logits}, "anchor_free_offsets": {"3": offsets}}
    task = small_params().task
    task.model.anchor_based.enabled = False
    return trained.Detector(tf_keras.Model(images, outputs), task, Classes(("light",), (1,)))


@pytest.mark.parametrize("portrait", [False, True])
def test_what_is_at_a_place_is_found_there(portrait):
    """One bright cell on the canvas of 64 x 96 is 16 px of this picture, halved; at its own size four cells."""
    image = np.zeros((120, 192, 3), np.uint8)
    image[32:48, 80:96] = 255
    resized, own = [24, 72, 56, 104], [[y, x, y + 16, x + 16] for y in (28, 36) for x in (76, 84)]
    if portrait:
        image = np.swapaxes(image, 0, 1)
        resized, own = np.array(resized)[[1, 0, 3, 2]], np.array(own)[:, [1, 0, 3, 2]]
    light = brightness_detector()
    np.testing.assert_allclose(light(image)["boxes"], [resized], atol=1e-4)
    own_size = light(image, resize=False)
    np.testing.assert_allclose(sorted(own_size["boxes"].tolist()), sorted(map(list, np.array(own) * 1.0)), atol=1e-4)
    assert own_size["names"] == ["light"] * 4 and set(own_size["levels"]) == {3}


def test_any_size_and_one_graph(detect, image):
    for height, width in ((1, 1), (33, 31), (3, 150), (100, 2)):
        for resize in (True, False):
            found = detect(image[:height, :width], resize=resize)
            assert np.all(found["boxes"] <= [height, width, height, width])
    assert detect._detect.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    "wrong, said",
    [
        (np.zeros((8, 8, 3), np.float32), r"not float32 \[8, 8, 3\]"),
        (np.zeros((8, 8), np.uint8), r"not uint8 \[8, 8\]"),
        (np.zeros((8, 8, 4), np.uint8), r"not uint8 \[8, 8, 4\]"),
        (np.zeros((0, 8, 3), np.uint8), "0 x 8 pixels"),
        ("cat.jpg", "cat.jpg: No such file"),
    ],
)
def test_wrong_images(detect, wrong, said):
    with pytest.raises(UserError, match=said):
        detect(wrong)
    with pytest.raises(UserError, match=said):
        detect.preprocess(wrong)


def test_loads_every_variable_of_the_best_checkpoint(detect, model):
    assert len(detect.model.variables) == len(model.variables) > 100
    for loaded, saved in zip(detect.model.variables, model.variables):
        np.testing.assert_array_equal(loaded, saved, err_msg=saved.name)


def test_says_which_checkpoint_it_is(run, detect):
    found = detect.checkpoint
    assert (found.prefix, found.step, found.ap) == (f"{run}/best/best_ckpt-3", 3, None)
    newest = fsaf_tf.load_detector(run, checkpoint="newest")
    assert (newest.checkpoint.prefix, newest.checkpoint.step) == (f"{run}/ckpt-7", 7)
    for ours, best in zip(newest.model.get_weights(), detect.model.get_weights()):
        np.testing.assert_array_equal(ours, best + 1)


def test_the_tools_take_the_same_one(run, image, tmp_path, monkeypatch, capsys):
    Image.fromarray(image).save(tmp_path / "a.png")
    pictures = (f"--images={tmp_path}/a.png", f"--output={tmp_path}/out")
    newest = f"Checkpoint: {run}/ckpt-7, step 7 (the newest; --checkpoint=best takes best_ckpt-3)"
    best = f"Checkpoint: {run}/best/best_ckpt-3, step 3 (the best; --checkpoint=newest takes ckpt-7)"
    for flags, line in (
        ([f"--model={run}"], best),
        ([f"--model={run}", "--checkpoint=newest"], newest),
        ([f"--checkpoint={run}/best"], f"Checkpoint: {run}/best/best_ckpt-3, step 3 (the best)"),
        ([f"--model={run}", f"--checkpoint={run}/ckpt-7"], f"Checkpoint: {run}/ckpt-7, step 7 (the newest)"),
    ):
        assert call(predict, monkeypatch, *flags, *pictures) == 0
        assert capsys.readouterr().out.startswith(f"{line}\n")
    flags = (f"--model_dir={run}", "--checkpoint=newest", "--format=tflite", f"--output={tmp_path}/exported")
    assert "anchor" in call(export, monkeypatch, *flags)  # it has two branches, which such a file cannot hold
    assert capsys.readouterr().out == f"{newest}\n"


def test_a_checkpoint_alone_needs_an_experiment(run, tmp_path):
    for path in (*run.glob("ckpt-7.*"), run / "labels.json"):
        shutil.copy(path, tmp_path)
    prefix = tmp_path / "ckpt-7"
    with pytest.raises(UserError, match="no params.yaml beside .*ckpt-7; say by experiment what it is"):
        fsaf_tf.load_detector(prefix)
    detect = fsaf_tf.load_detector(prefix, experiment=str(run / "params.yaml"))
    assert detect.checkpoint.step == 7 and detect.class_names == NAMES
    assert fsaf_tf.load_detector(run, prefix).checkpoint.prefix == str(prefix)


def test_no_folder_no_run_no_checkpoint(run, tmp_path):
    with pytest.raises(UserError, match="nowhere is neither a folder nor a checkpoint"):
        fsaf_tf.load_detector(tmp_path / "nowhere")
    for name in ("params.yaml", "labels.json"):
        shutil.copy(run / name, tmp_path)
    with pytest.raises(UserError, match="holds no checkpoint"):
        fsaf_tf.load_detector(tmp_path)
    with pytest.raises(UserError, match="there is no .*ckpt-8.index"):
        fsaf_tf.load_detector(run, run / "ckpt-8")


def test_a_checkpoint_of_another_model(run, tmp_path):
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    params = small_params()
    params.task.model.fpn.channels = 24
    (tmp_path / "params.yaml").write_text(experiment.to_yaml(params))
    with pytest.raises(UserError, match="best_ckpt-3 is not a checkpoint of this model"):
        fsaf_tf.load_detector(tmp_path)


def test_a_damaged_checkpoint(run, tmp_path):
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    data = tmp_path / "best" / "best_ckpt-3.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="the best, .*/best_ckpt-3, cannot be read: .*; taking .*/ckpt-7, step 7"):
        assert fsaf_tf.load_detector(tmp_path).checkpoint.step == 7
    for path in ("best", data):
        with pytest.raises(UserError, match="best_ckpt-3,? cannot be read"):
            fsaf_tf.load_detector(tmp_path, path)


def test_labels_that_are_missing_or_do_not_fit(run, tmp_path):
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    params = experiment.read_params(tmp_path)
    params.task.model.num_classes = 4
    (tmp_path / "params.yaml").write_text(experiment.to_yaml(params))
    with pytest.raises(UserError, match="labels.json has 3 classes, but task.model.num_classes is 4"):
        fsaf_tf.load_detector(tmp_path)
    (tmp_path / "labels.json").write_text("{")
    with pytest.raises(UserError, match="labels.json is damaged"):
        fsaf_tf.load_detector(tmp_path)
