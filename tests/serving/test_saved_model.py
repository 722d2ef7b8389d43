"""An exported SavedModel: the detector's own detections from every signature, and what strangers may send it."""

import json
import os
import pathlib
import resource
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from encoded import encode, turned
from google.protobuf import text_format
from PIL import Image
from small_run import CLASSES, IDS, NAMES, build_model, small_params, write_run
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.config import model_server_config_pb2

import fsaf_tf
from fsaf_tf.data import images
from fsaf_tf.data.classes import Classes
from fsaf_tf.detect import trained
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import detector as detectors
from fsaf_tf.serving import frozen, named_outputs, saved_model, warmup

TESTS = pathlib.Path(__file__).parent.parent
LEAN = TESTS.parent / "examples" / "lean" / "saved_model.py"
SIGNATURES = {"serving_default", "image_tensor", "tf_example"}
OUTPUTS = {
    "detection_boxes": (tf.float32, [-1, 20, 4]),
    "detection_scores": (tf.float32, [-1, 20]),
    "detection_classes": (tf.int32, [-1, 20]),
    "detection_levels": (tf.int32, [-1, 20]),
    "detection_branch": (tf.int32, [-1, 20]),
    "num_detections": (tf.int32, [-1]),
}


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return fsaf_tf.load_detector(write_run(tmp_path_factory.mktemp("run"), build_model()))


@pytest.fixture(scope="module")
def version(detector, tmp_path_factory):
    return saved_model.export(detector, str(tmp_path_factory.mktemp("exported") / "cells"))


@pytest.fixture(scope="module")
def meta(version):
    return saved_model_pb2.SavedModel.FromString(pathlib.Path(version, "saved_model.pb").read_bytes()).meta_graphs[0]


@pytest.fixture(scope="module")
def serve(version):
    """The signatures as functions of NumPy, in a session like the server's."""
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        definitions = tf.compat.v1.saved_model.load(session, ["serve"], version).signature_def

    def run(name, value):
        names = {key: info.name for key, info in definitions[name].outputs.items()}
        return session.run(names, {definitions[name].inputs["inputs"].name: value})

    yield run
    session.close()


def pictures() -> list[np.ndarray]:
    """Wide, high and square ones in turns, more wide ones than the network sees together; the last is a pixel."""
    rng = np.random.default_rng(0)
    sizes = [(60, 90), (150, 40), (64, 96), (50, 50), (300, 400), (96, 64), (33, 71), (40, 41), (1, 1)]
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


def png(image: np.ndarray) -> bytes:
    return encode(Image.fromarray(image), "PNG")


def check_same(detector, image: np.ndarray, outputs: dict, place: int):
    """One place of a batch holds what the detector finds in the picture, and zeros behind it."""
    expected, count = detector(image), int(outputs["num_detections"][place])
    assert count == len(expected["scores"]) > 0
    np.testing.assert_allclose(outputs["detection_boxes"][place, :count], expected["boxes"], atol=0.01)
    np.testing.assert_allclose(outputs["detection_scores"][place, :count], expected["scores"], atol=1e-5)
    ids = np.array(detector.category_ids)[expected["classes"]]
    for key, values in {"classes": ids, "levels": expected["levels"], "branch": expected["branch"]}.items():
        np.testing.assert_array_equal(outputs[f"detection_{key}"][place, :count], values)
    assert not any(np.any(value[place, count:]) for key, value in outputs.items() if key != "num_detections")


def said(serve, name: str, value) -> str:
    """The line of the error that a request gives."""
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        serve(name, value)
    return str(images.user_error(error.value))


@pytest.mark.parametrize("name", ["serving_default", "tf_example"])
def test_a_batch_of_encoded_pictures_of_any_sizes(detector, serve, name):
    data = [png(image) for image in pictures()]
    outputs = serve(name, data if name == "serving_default" else [warmup.example(each) for each in data])
    for place, image in enumerate(pictures()):
        check_same(detector, image, outputs, place)


@pytest.mark.parametrize("shape", [(6, 40, 70, 3), (2, 70, 40, 3), (1, 1, 1, 3)])
def test_a_batch_of_tensors(detector, serve, shape):
    batch = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    outputs = serve("image_tensor", batch)
    for place, image in enumerate(batch):
        check_same(detector, image, outputs, place)


@pytest.mark.parametrize("branch", ["anchor_free", "anchor_based"])
def test_a_detector_of_one_branch(branch):
    params = small_params()
    params.task.model.override({"anchor_free": {"enabled": False}, "anchor_based": {"enabled": False}})
    params.task.model.override({branch: {"enabled": True}})
    model = detectors.build_detector(params.task.model, len(NAMES))
    one = trained.Detector(model, params.task, CLASSES)
    image = pictures()[0]
    outputs = saved_model.signatures(one, frozen.freeze_to_constants(one.model))["image_tensor"](image[None])
    check_same(one, image, {key: value.numpy() for key, value in outputs.items()}, 0)


def test_nothing_in_nothing_out(serve):
    outputs = serve("serving_default", np.array([], object))
    assert {key: list(value.shape) for key, value in outputs.items()} == {
        key: [0, *shape[1:]] for key, (_, shape) in OUTPUTS.items()
    }


def test_turned_pictures_have_boxes_in_upright_pixels(detector, serve):
    image = pictures()[0]
    data = turned(Image.fromarray(image), 6, "PNG")  # shown turned by 90 degrees clockwise
    check_same(detector, np.rot90(image, -1).copy(), serve("serving_default", [data]), 0)


def test_signatures(meta):
    assert {name for name, signature in meta.signature_def.items() if signature.inputs} == SIGNATURES
    for name in SIGNATURES:
        signature = meta.signature_def[name]
        assert list(signature.inputs) == ["inputs"] and signature.method_name == "tensorflow/serving/predict"
        found = {
            key: (tf.as_dtype(info.dtype), [each.size for each in info.tensor_shape.dim])
            for key, info in signature.outputs.items()
        }
        assert found == OUTPUTS


def test_only_ops_of_tensorflow_and_the_weights_once(meta, version, detector):
    """Every op is in the C library that `tests/c_loader.py` runs it with; those that call Python would not be stock."""
    ops = {node.op for each in meta.graph_def.library.function for node in each.node_def}
    assert "BiasAdd" in ops and not [op for op in ops if "PyFunc" in op or "BatchNorm" in op]
    weights = sum(variable.numpy().nbytes for variable in detector.model.variables)
    assert os.path.getsize(f"{version}/saved_model.pb") < 2**21  # the graphs, without
    (data,) = pathlib.Path(version, "variables").glob("*.data-*")
    assert 0.9 * weights < data.stat().st_size <= weights  # batch normalisation is folded


def test_labels(version):
    assert pathlib.Path(version, "assets", "labels.txt").read_text().splitlines() == NAMES
    labels = json.loads(pathlib.Path(version, "assets", "labels.json").read_text())
    assert labels == {"names": NAMES, "category_ids": IDS}


def test_a_bad_picture_is_named_and_the_model_goes_on(detector, serve):
    good = png(pictures()[0])
    assert said(serve, "serving_default", [good, b"", good]) == "inputs[1] is empty"
    assert said(serve, "serving_default", [good, good[:-60]]) == "inputs[1] is damaged: decoding fails"
    assert said(serve, "tf_example", [warmup.example(good), b"\xff"]) == "inputs[1] is empty"
    assert said(serve, "image_tensor", np.zeros([1, 0, 5, 3], np.uint8)) == "inputs have no pixels"
    check_same(detector, pictures()[0], serve("serving_default", [good]), 0)


def mutations(count: int):
    """Valid requests with bits turned, bytes cut, put in or exchanged, or another header."""
    rng = np.random.default_rng(0)
    kinds = (("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}))
    valid = [turned(Image.fromarray(pictures()[0]), 8, kind, **options) for kind, options in kinds]
    for number in range(count):
        data = bytearray(valid[number % len(valid)])
        place = int(rng.integers(len(data) if rng.random() < 0.5 else 64))
        way = rng.integers(5)
        if way == 0:
            data = data[:place]
        elif way == 1:
            for each in rng.integers(0, len(data), rng.integers(1, 20)):
                data[each] ^= 1 << int(rng.integers(8))
        elif way == 2:
            data[place] ^= 1 << int(rng.integers(8))
        elif way == 3:
            data[place : place + 8] = rng.bytes(int(rng.integers(0, 16)))
        else:
            data[: int(rng.integers(2, 16))] = valid[int(rng.integers(len(valid)))][: int(rng.integers(2, 16))]
        yield bytes(data)


def test_mutated_requests_neither_crash_nor_grow_memory(detector, serve):
    """One in some is decoded all the same, as a flipped bit of a JPEG is only another picture."""
    answered, memory = 0, []
    for number, data in enumerate(mutations(500)):
        try:
            serve("serving_default", [data])
            answered += 1
        except tf.errors.InvalidArgumentError as error:
            assert str(images.user_error(error)).startswith("inputs[0] ")
        if number % 100 == 99:
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    assert 50 < answered < 450
    assert memory[-1] - memory[0] < 300  # MB at the peak: one of MAX_PIXELS takes 150
    check_same(detector, pictures()[0], serve("serving_default", [png(pictures()[0])]), 0)


def test_the_warm_up_file_replays_through_its_signature(version):
    (request,) = warmup.read_requests(version)
    assert (request.model_spec.name, request.model_spec.signature_name) == ("cells", "serving_default")
    (outputs,) = warmup.replay(version, [request])
    assert set(outputs) == set(OUTPUTS) and outputs["num_detections"].shape == (2,)
    assert {each.model_spec.signature_name for each in warmup.requests("cells")} == SIGNATURES


def test_settings_to_start_from(version, detector):
    folder = pathlib.Path(version).parent
    config = text_format.Parse((folder / "model.config").read_text(), model_server_config_pb2.ModelServerConfig())
    model = config.model_config_list.config[0]
    assert (model.name, model.base_path, model.model_platform) == ("cells", "/models/cells", "tensorflow")
    assert "max_batch_size { value: 4 }" in (folder / "batching.config").read_text()
    (folder / "model.config").write_text("mine")
    warmup.write_settings(str(folder), "cells")
    assert (folder / "model.config").read_text() == "mine"


def published(folder: pathlib.Path, content: str) -> str:
    part = folder / ".export-part"
    part.mkdir()
    (part / "content").write_text(content)
    return saved_model.publish(str(part), str(folder))


def test_versions_count_up_whatever_else_is_there(tmp_path):
    assert published(tmp_path, "a") == f"{tmp_path}/1"
    for name in ("notes", "7", ".export-of-a-killed-one"):
        (tmp_path / name).mkdir()
    assert published(tmp_path, "b") == f"{tmp_path}/8"
    (tmp_path / "model.config").write_text("")
    assert published(tmp_path, "c") == f"{tmp_path}/9"
    assert (tmp_path / "1" / "content").read_text() == "a" and not (tmp_path / ".export-part").exists()


def test_a_failed_export_leaves_no_version(detector, tmp_path, monkeypatch):
    def fails(folder, requests):
        raise tf.errors.InvalidArgumentError(None, None, "does not run")

    monkeypatch.setattr(saved_model, "_write", lambda *_: None)
    monkeypatch.setattr(warmup, "replay", fails)
    with pytest.raises(tf.errors.InvalidArgumentError):
        saved_model.export(detector, str(tmp_path / "model"))
    assert os.listdir(tmp_path / "model") == []
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "params.yaml").write_text("")
    with pytest.raises(UserError, match="is the folder of a run"):
        saved_model.export(detector, str(tmp_path / "run"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written to"):
        saved_model.export(detector, str(tmp_path / "file"))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Runs a command in a folder and with a path that have nothing of ours."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name, image in zip("ab", pictures()):
        (folder / f"{name}.png").write_bytes(png(image))
    (folder / "none.jpg").write_text("no picture")
    environment = {**os.environ, "PYTHONPATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"}

    def run(*command, **kwargs):
        options = dict(cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
        return subprocess.run([sys.executable, *command], **options, **kwargs)

    return run


def test_without_our_python(elsewhere, version, detector, tmp_path):
    np.save(tmp_path / "inputs.npy", np.array([png(pictures()[0])]))
    tool = "from tensorflow.python.tools.saved_model_cli import main; main()"
    options = ["--tag_set=serve", "--signature_def=serving_default", f"--outdir={tmp_path}"]
    done = elsewhere("-c", tool, "run", f"--dir={version}", f"--inputs=inputs={tmp_path}/inputs.npy", *options)
    assert done.returncode == 0, done.stderr
    check_same(detector, pictures()[0], {key: np.load(tmp_path / f"{key}.npy") for key in OUTPUTS}, 0)


def test_without_tensorflow_of_python(elsewhere, version, meta, detector):
    signature = meta.signature_def["serving_default"]
    names = {
        "input": signature.inputs["inputs"].name,
        "outputs": {key: each.name for key, each in signature.outputs.items()},
    }
    library = pathlib.Path(tf.__file__).parent
    done = elsewhere(f"{TESTS}/c_loader.py", str(library), version, "a.png", "b.png", input=json.dumps(names))
    assert done.returncode == 0, done.stderr
    outputs = {key: np.array(value) for key, value in json.loads(done.stdout).items()}
    for place, image in enumerate(pictures()[:2]):
        check_same(detector, image, outputs, place)


def test_tensorflow_alone_finds_what_the_detector_finds(elsewhere, version, detector):
    """By the example, which takes the folder of the versions; what is no picture is named, and imports are few."""
    parent = str(pathlib.Path(version).parent)
    done = elsewhere(f"{TESTS}/alone.py", str(LEAN), parent, "a.png", "none.jpg", "b.png")
    *said, imported = done.stderr.splitlines()
    assert done.returncode == 1 and said[-1] == "none.jpg: is no JPEG, PNG or WebP", done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for name, image in zip(("a.png", "b.png"), pictures()):
        found, expected = [line for line in lines if line["picture"] == name], detector(image)
        assert [line["label"] for line in found] == expected["names"] and len(found) > 5
        np.testing.assert_allclose([line["box"] for line in found], expected["boxes"], atol=0.01)
        np.testing.assert_allclose([line["score"] for line in found], expected["scores"], atol=1e-5)
    assert "tensorflow" in imported.split()
    assert not set(imported.split()) & {"fsaf_tf", "official", "tf_keras"}


def test_ids_beyond_31_bits_are_int64():
    """As CRC-32 of a name is; with ids that fit the output stays int32, as clients know it."""
    large = Classes(tuple(NAMES), (3089631150, 2**53, 16))
    assert named_outputs.id_type(IDS) == named_outputs.id_type([2**31 - 1]) == tf.int32
    assert named_outputs.id_type(large.ids) == tf.int64

    def of_group(places):
        """Place k has class k, and then nothing."""
        ids = tf.gather(tf.constant(large.ids, tf.int64), places)[:, None] * tf.constant([1, 0], tf.int64)
        others = {f"detection_{key}": tf.zeros_like(ids, tf.int32) for key in ("levels", "branch")}
        scores, count = tf.ones_like(ids, tf.float32), tf.ones_like(places)
        boxes = tf.zeros([tf.size(places), 2, 4])
        outputs = {"detection_classes": ids, "detection_scores": scores, "detection_boxes": boxes}
        return {**outputs, **others, "num_detections": count}

    found = saved_model.by_group(of_group, tf.constant([True, False, True]), 2, tf.int64)
    assert found["detection_classes"].numpy().tolist() == [[each, 0] for each in large.ids]
    one = {key: value.numpy()[1] for key, value in found.items()}
    assert named_outputs.to_detections(one, large)["names"] == NAMES[1:2]
    unnamed = named_outputs.to_detections(one, None)
    assert unnamed["classes"].tolist() == [2**53] and unnamed["names"] == [f"category {2**53}"]
