"""One detector as a run, a SavedModel and TFLite files: the same answers by one call, by the tools and by a server.

Beside them the forms that only tools/benchmark.py knows.
"""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import small_run
import tensorflow as tf
import tf_keras
from in_process import call
from PIL import Image

import fsaf_tf
from fsaf_tf.cli import export, predict, train
from fsaf_tf.config import experiment
from fsaf_tf.data.classes import Classes
from fsaf_tf.detect import image_files, predict_files
from fsaf_tf.errors import UserError
from fsaf_tf.evaluate import average_precision
from fsaf_tf.files import storage
from fsaf_tf.modeling import detector as detectors
from fsaf_tf.serving import canvas, client, evaluate_exported, exported_models, named_outputs

pytest.importorskip("tensorflow_serving")
pytest.importorskip("ai_edge_litert")
saved_model = pytest.importorskip("fsaf_tf.serving.saved_model")
tflite = pytest.importorskip("fsaf_tf.serving.tflite")

ROOT = pathlib.Path(__file__).parent.parent.parent
NAMES, IDS = ["bird", "cat", "dog"], [16, 17, 18]
KINDS = ("saved_model", "tflite", "raw")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """`run`, and `data` with three pictures of the input's size and their COCO JSON; `paths` adds what is exported."""
    folder = tmp_path_factory.mktemp("exported")
    params = small_run.small_params()
    params.task.model.override({"anchor_based": {"enabled": False}, "max_level": 5})  # fewer levels are faster
    data = write_data(folder / "data")
    params.task.validation_data.override({"annotation_file": f"{data}/annotations.json", "image_dir": str(data)})
    tf_keras.utils.set_random_seed(1)
    small_run.write_run(folder / "run", detectors.build_detector(params.task.model, len(NAMES)))
    (folder / "run" / "params.yaml").write_text(experiment.to_yaml(params))
    Classes(tuple(NAMES), tuple(IDS)).write(f"{folder}/run/labels.json")
    return folder


def write_data(folder):
    folder.mkdir()
    images, annotations = [], []
    for number in range(1, 4):
        picture = np.random.default_rng(number).integers(0, 256, (64, 96, 3), np.uint8)
        Image.fromarray(picture).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 96, "height": 64})
        box = {"bbox": [10 * number, 0, 50, 64], "area": 50 * 64, "iscrowd": 0}
        annotations.append({"id": number, "image_id": number, "category_id": 18, **box})
    categories = [{"id": index, "name": name} for name, index in zip(NAMES, IDS)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def detector(folder):
    """The run's."""
    return fsaf_tf.load_detector(folder / "run")


@pytest.fixture(scope="module")
def paths(folder, detector):
    """`exported/1` and `lite/*.tflite`, made of the run."""
    saved_model.export(detector, str(folder / "exported"))
    (sized,) = canvas.choose(detector.program, None, (64, 96))  # that of the pictures
    files = [tflite.export(detector, str(folder / "lite"), sized, raw=raw) for raw in (False, True)]
    return dict(zip(KINDS, [str(folder / "exported"), *files]))


@pytest.fixture(scope="module")
def loaded(detector, paths):
    return {"run": detector} | {kind: fsaf_tf.load_detector(path) for kind, path in paths.items()}


@pytest.fixture(scope="module")
def pictures(folder):
    return image_files.find(str(folder / "data" / "*.png"))


def assert_same(found, expected, keys):
    """Detections match one to one; equal scores may stand in another order."""
    assert set(found) == set(keys) | {"boxes", "scores", "names"} and len(found["scores"]) == len(expected["scores"])
    free = list(range(len(expected["scores"])))
    for i, box in enumerate(found["boxes"]):
        distances = [
            np.abs(expected["boxes"][j] - box).max()
            + 1000 * abs(expected["scores"][j] - found["scores"][i])
            + sum(1000 for key in keys if expected[key][j] != found[key][i])
            for j in free
        ]
        assert min(distances) < 0.1
        near = free.pop(int(np.argmin(distances)))
        assert expected["names"][near] == found["names"][i]


def test_one_branch_of_both_is_exported_alone(pictures, tmp_path, monkeypatch):
    """It finds what a detector with that branch alone finds, and holds nothing of the other."""
    run = small_run.write_run(tmp_path / "run", small_run.build_model())
    flags = ("--format=saved_model", f"--model_dir={run}", "--branch=anchor_free", f"--output={tmp_path}/exported")
    assert call(export, monkeypatch, *flags) == 0
    content = (tmp_path / "exported" / "1" / "saved_model.pb").read_bytes()
    assert b"anchor_free_logits" in content and b"anchor_based" not in content
    found, expected = fsaf_tf.load_detector(tmp_path / "exported"), fsaf_tf.load_detector(run, branch="anchor_free")
    assert len(expected(pictures[0])["scores"]) > 5
    assert_same(found(pictures[0]), expected(pictures[0]), ("classes", "levels", "branch"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_call_gives_the_same_detections(loaded, pictures, kind):
    keys = ("classes",) if kind == "tflite" else ("classes", "levels", "branch")
    for file in pictures[:2]:
        image = predict_files.read_image(file)
        expected, found = loaded["run"](image), loaded[kind](image)
        assert len(expected["scores"]) > 5
        assert_same(found, expected, keys)
        for key in found:
            assert isinstance(found[key], list) or found[key].dtype == expected[key].dtype
    several = loaded[kind]([pictures[0], predict_files.read_image(pictures[1])])
    assert [each["scores"].tolist() for each in several] == [
        loaded[kind](file)["scores"].tolist() for file in pictures[:2]
    ]
    assert (loaded[kind].class_names, loaded[kind].category_ids, loaded[kind].most) == (NAMES, IDS, loaded["run"].most)
    with pytest.raises(UserError, match="uint8"):
        loaded[kind](np.zeros([8, 8, 3], np.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_another_size_has_boxes_in_its_pixels(loaded, kind):
    found = loaded[kind](np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8))
    assert len(found["scores"]) and np.all(found["boxes"] <= [300, 200, 300, 200]) and found["boxes"].max() > 100


def test_no_class_is_missed_on_a_machine_of_many_cores(loaded, paths, pictures):
    """The runtime's operator would pass over the class of the number of its threads, here the first real one."""
    image = predict_files.read_image(pictures[0])
    found, expected = exported_models.TFLite(paths["tflite"], threads=32)(image), loaded["tflite"](image)
    assert 0 in expected["classes"]
    assert_same(found, expected, ("classes",))


def test_finds_the_newest_version_and_what_is_exported(folder, paths, tmp_path):
    newest = str(folder / "exported" / "1")
    assert exported_models.find(paths["saved_model"]) == exported_models.find(f"{newest}/") == newest
    assert exported_models.find(paths["tflite"]) == paths["tflite"]
    assert exported_models.find(folder / "run") is None and exported_models.find(tmp_path / "none") is None
    for version in ("2", "10", ".export-x"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "saved_model.pb").touch()
    (tmp_path / "11").mkdir()  # half copied
    assert exported_models.find(tmp_path) == f"{tmp_path}/10"


def test_what_cannot_be_run_is_one_line(folder, paths, tmp_path):
    with pytest.raises(UserError, match="lite holds model_float32.tflite, model_float32_raw.tflite; name one"):
        fsaf_tf.load_detector(folder / "lite")
    with pytest.raises(UserError, match="there is no .*none.tflite"):
        fsaf_tf.load_detector(tmp_path / "none.tflite")
    whole = pathlib.Path(paths["tflite"]).read_bytes()
    for content, message in ((b"no model", "it does not begin as one"), (whole[: len(whole) // 2], ".*bytes.*")):
        (tmp_path / "bad.tflite").write_bytes(content)
        with pytest.raises(UserError, match=f"bad.tflite cannot be loaded as a TFLite file: {message}$"):
            fsaf_tf.load_detector(tmp_path / "bad.tflite")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(UserError, match="has no assets/labels.json"):
        fsaf_tf.load_detector(tmp_path)
    (tmp_path / "1" / "assets").mkdir()
    (tmp_path / "1" / "assets" / "labels.json").write_bytes(
        (folder / "exported" / "1" / "assets" / "labels.json").read_bytes()
    )
    with pytest.raises(UserError, match="1 cannot be loaded"):
        fsaf_tf.load_detector(tmp_path)
    with pytest.raises(UserError, match="has no checkpoints"):
        fsaf_tf.load_detector(paths["tflite"], "ckpt-7")


# Average precision.


@pytest.mark.parametrize("kind", KINDS)
def test_the_figures_are_those_of_the_run(folder, paths, run_metrics, kind, tmp_path, capsys):
    params = experiment.read_params(folder / "run")
    metrics = evaluate_exported.evaluate(exported_models.find(paths[kind]), params, str(tmp_path / "out"))
    assert storage.read_json(f"{tmp_path}/out/metrics.json") == metrics
    assert metrics["images"] == 3 and set(metrics["AP_by_class"]) == set(NAMES)
    assert metrics["data"]["annotation_file"] == f"{folder}/data/annotations.json"
    assert run_metrics["AR100"] > 0 and metrics["AR100"] == pytest.approx(run_metrics["AR100"], abs=1e-6)
    assert metrics["AP"] == pytest.approx(run_metrics["AP"], abs=0.005)
    results = storage.read_json(f"{tmp_path}/out/detections.json")
    assert {result["image_id"] for result in results} == {1, 2, 3}
    said = capsys.readouterr().out
    assert "AP by class" in said and f"{tmp_path}/out/metrics.json" in said


@pytest.fixture(scope="module")
def run_metrics(folder, loaded, pictures):
    """Of the checkpoint, put together by hand."""
    results = []
    for number, file in enumerate(pictures, start=1):
        results += predict_files.to_coco(loaded["run"](predict_files.read_image(file)), number, IDS)
    return average_precision.coco_metrics(json.loads((folder / "data" / "annotations.json").read_text()), results)


def test_other_classes_are_an_error(folder, paths, tmp_path):
    content = json.loads((folder / "data" / "annotations.json").read_text())
    content["categories"][0]["name"] = "cow"
    (tmp_path / "other.json").write_text(json.dumps(content))
    params = experiment.read_params(folder / "run")
    params.task.validation_data.annotation_file = str(tmp_path / "other.json")
    with pytest.raises(UserError, match="other.json has other classes than .*tflite: 16 cow in place of 16 bird; "):
        evaluate_exported.evaluate(paths["tflite"], params, str(tmp_path / "out"))
    with pytest.raises(UserError, match="is the folder of a run"):
        evaluate_exported.evaluate(paths["tflite"], params, str(folder / "run"))
    assert not (tmp_path / "out").exists()


def test_the_tool_evaluates_beside_the_model(folder, paths, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    overrides = "task.validation_data.annotation_file=data/annotations.json,task.validation_data.image_dir=data"
    code = call(
        train, monkeypatch, "--mode=eval", "--model=lite/model_float32.tflite", f"--params_override={overrides}"
    )
    assert code == 0
    assert sorted(os.listdir(folder / "lite" / "model_float32-eval")) == ["detections.json", "metrics.json"]
    assert "AP by class" in capsys.readouterr().out
    message = call(train, monkeypatch, "--mode=eval", "--model=lite/model_float32.tflite", "--checkpoint=best")
    assert "is an exported model and has no checkpoints" in message
    assert "does not know its data" in call(train, monkeypatch, "--mode=eval", "--model=lite/model_float32.tflite")
    assert "--model is for --mode=eval" in call(train, monkeypatch, "--model=lite/model_float32.tflite")
    assert "is no exported model" in call(train, monkeypatch, "--mode=eval", "--model=run", "--model_dir=run")


def test_in_tiles_all_ways_give_the_same(folder, detector, pictures, paths, monkeypatch, tmp_path, capsys):
    """`load_detector`, prediction and evaluation, to the last bit."""
    tiled, said = fsaf_tf.load_detector(folder / "run", tile={"size": 48, "overlap": 0.5}), "\ntiles of 48 px that"
    expected = [tiled(file) for file in pictures]
    assert len(expected[0]["scores"]) > 5 and not np.array_equal(expected[0]["boxes"], detector(pictures[0])["boxes"])
    flags, found = ("--tile=48", "--overlap=0.5"), {"predict": tmp_path / "out", "eval": folder / "run"}
    images = (f"--images={folder}/data/*.png", f"--output={tmp_path}/out")
    assert call(predict, monkeypatch, f"--model={folder}/run", *images, *flags) == 0
    assert call(train, monkeypatch, "--mode=eval", f"--model_dir={folder}/run", *flags) == 0
    assert capsys.readouterr().out.count(said) == 2
    assert storage.read_json(found["eval"] / "metrics.json")["tiles"]["size"] == 48
    for output in found.values():
        rows = storage.read_json(output / "detections.json")
        for number, one in enumerate(expected, start=1):
            of_picture = [row for row in rows if row["image_id"] == number]
            assert [row["score"] for row in of_picture] == [round(float(score), 6) for score in one["scores"]]
    params = experiment.read_params(folder / "run")
    params.task.tiles.size = 48
    with pytest.raises(UserError, match="model_float32.tflite sees one picture and no tiles; give"):
        evaluate_exported.evaluate(paths["tflite"], params, str(tmp_path / "eval"))
    with pytest.raises(UserError, match="is an exported model, whose tile cannot be changed; give the run"):
        fsaf_tf.load_detector(paths["tflite"], tile=48)


def test_the_tool_predicts_with_every_kind(folder, paths, monkeypatch, tmp_path, capsys):
    results = {}
    for kind in ("run", "tflite", "raw"):
        output = tmp_path / kind
        model = paths.get(kind, str(folder / "run"))
        assert (
            call(predict, monkeypatch, f"--model={model}", f"--images={folder}/data/*.png", f"--output={output}") == 0
        )
        results[kind] = json.loads((output / "detections.json").read_text())
        assert [path.name for path in sorted((output / "pictures").iterdir())] == [
            "1.png.jpg",
            "2.png.jpg",
            "3.png.jpg",
        ]
    keys = ("image_id", "category_id", "file_name")
    for kind in ("tflite", "raw"):
        assert len(results[kind]) == len(results["run"]) > 10
        ours, theirs = (sorted([each[key] for key in keys] for each in results[one]) for one in (kind, "run"))
        assert ours == theirs
    arguments = (f"--model={paths['tflite']}", "--checkpoint=best", f"--images={folder}/data/*.png", "--output=d")
    assert "is an exported model and has no checkpoints" in call(predict, monkeypatch, *arguments)


# Servers.

OVMS = """
import json, sys, ovmsclient
make = ovmsclient.make_http_client if sys.argv[1].startswith("http") else ovmsclient.make_grpc_client
client = make(sys.argv[1].removeprefix("http://"))
data = [open(file, "rb").read() for file in sys.argv[2:]]
outputs = client.predict({"inputs": data}, "detector", timeout=600)
print(json.dumps({name: value.tolist() for name, value in outputs.items()}))
"""


@pytest.fixture(scope="module")
def server(loaded):
    serving_server = pytest.importorskip("serving_server")
    signatures = loaded["saved_model"]._loaded.signatures

    def predict(signature, data):
        try:
            found = signatures[signature](inputs=tf.constant(data))
        except tf.errors.InvalidArgumentError as error:
            raise serving_server.Fault("INVALID_ARGUMENT", error.message) from None
        return {key: value.numpy() for key, value in found.items()}

    with serving_server.Server(predict) as running:
        yield running


def test_a_server_is_asked_with_the_same_result(folder, loaded, server, pictures, tmp_path, capsys):
    (tmp_path / "cut.png").write_bytes(pathlib.Path(pictures[0]).read_bytes())
    predict_files.run(loaded["saved_model"], pictures, str(tmp_path / "local"))
    labels = str(folder / "exported" / "1" / "assets" / "labels.json")
    for port in (client.Grpc(server.grpc, "detector"), client.Rest(server.rest, "detector")):
        output = tmp_path / type(port).__name__
        client.run(client.Client(port, deadline=600), pictures, str(output), labels=labels)
        found, expected = (json.loads((each / "detections.json").read_text()) for each in (output, tmp_path / "local"))
        assert len(found) == len(expected) > 10
        for one, other in zip(found, expected):
            assert (one["file_name"], one["category_id"]) == (other["file_name"], other["category_id"])
            np.testing.assert_allclose(one["bbox"], other["bbox"], atol=0.01)
        with pytest.raises(client.Refused, match="^is no JPEG, PNG or WebP$"):
            client.Client(port, deadline=600).predict(b"nothing")


@pytest.mark.parametrize("port", ["grpc", "rest"])
def test_a_client_that_knows_nothing_of_us_gets_the_same_answers(loaded, server, pictures, port):
    """In a process without TensorFlow, whose protocol buffers it brings along."""
    pytest.importorskip("ovmsclient", reason="ovmsclient is not installed: extra [dev]", exc_type=ImportError)
    command = [sys.executable, "-c", OVMS, getattr(server, port), *pictures]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT / "tests")
    assert done.returncode == 0, done.stderr
    outputs = {key: np.array(value) for key, value in json.loads(done.stdout).items()}
    detector = loaded["saved_model"]
    for place, file in enumerate(pictures):
        expected = detector(predict_files.read_image(file))
        found = named_outputs.to_detections({key: each[place] for key, each in outputs.items()}, detector.classes)
        assert_same(found, expected, ("classes", "levels", "branch"))


def test_a_card_is_beside_each_model(folder, paths):
    for card, form in (
        ("exported/1/model_card.md", "SavedModel for TensorFlow Serving"),
        ("lite/model_float32.card.md", "TFLite, float32"),
        ("lite/model_float32_raw.card.md", "TFLite, float32, boxes and scores before suppression"),
    ):
        assert f"| form | {form} |" in (folder / card).read_text()


# The benchmark.


def test_the_benchmark_measures_what_answers_alike(folder, loaded, paths, pictures, tmp_path):
    inference = pytest.importorskip("fsaf_tf.timing.inference")
    image = predict_files.read_image(pictures[0])
    expected = len(loaded["run"](image)["scores"])
    graph = tf.compat.v1.GraphDef.FromString(
        pathlib.Path(inference.write_frozen_graph(loaded["run"], f"{tmp_path}/graph.pb")).read_bytes()
    )
    assert not [node.name for node in graph.node if "Variable" in node.op]
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    assert int(wrapped.prune("image:0", "num_detections:0")(tf.constant(image[None]))[0]) == expected
    np.save(tmp_path / "image.npy", image)
    row = inference._measure("tflite", paths["tflite"], f"{tmp_path}/image.npy", 1, 3)
    assert row["detections"] == expected and row["size_mb"] == os.path.getsize(paths["tflite"]) / 1e6
    assert 0 < row["median_ms"] <= row["p90_ms"] and 0 < row["runtime_mb"] < row["peak_mb"] < 400
    with pytest.raises(UserError, match="^tflite failed: .*Error.*none.tflite"):
        inference._measure("tflite", str(tmp_path / "none.tflite"), f"{tmp_path}/image.npy", 1, 3)
