"""ONNX files against the detector that they were made of, by ONNX Runtime, our tools, and the listings of the page."""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import small_run
import tensorflow as tf
from in_process import call, printed
from PIL import Image

import fsaf_tf
from fsaf_tf.cli import export, predict, train
from fsaf_tf.config import experiment
from fsaf_tf.data import augment
from fsaf_tf.detect import predict_files
from fsaf_tf.errors import UserError
from fsaf_tf.files import storage
from fsaf_tf.serving import evaluate_exported, onnx_export

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
onnx_graphs = pytest.importorskip("fsaf_tf.serving.onnx_graphs")

PAGE = pathlib.Path(__file__).parent.parent.parent / "docs" / "onnx.md"
# Height and width: as large as the network sees them, twice as large, and smaller than the landscape canvas.
SIZES = [(64, 96), (96, 64), (192, 128), (64, 64)]
OUTPUTS = {
    "detection_boxes": ("float32", [1, 20, 4]),
    "detection_scores": ("float32", [1, 20]),
    "detection_classes": ("int32", [1, 20]),
    "detection_levels": ("int32", [1, 20]),
    "detection_branch": ("int32", [1, 20]),
    "num_detections": ("int32", [1]),
}


def make_picture(size: tuple[int, int]) -> np.ndarray:
    """Rectangles on noise."""
    random = np.random.default_rng(size)
    picture = random.integers(0, 80, (*size, 3))
    for _ in range(6):
        y, x = random.integers(0, np.subtract(size, 8))
        picture[y : y + random.integers(8, 40), x : x + random.integers(8, 40)] = random.integers(0, 256, 3)
    return picture.astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """`run`, of both branches, whose detections are means of them, and `data`."""
    folder = tmp_path_factory.mktemp("onnx")
    model = {"max_level": 5, "postprocess": {"fusion": "mean"}}
    small_run.write_run_and_data(folder, model, map(make_picture, SIZES))
    return folder


@pytest.fixture(scope="module")
def detector(folder):
    return fsaf_tf.load_detector(folder / "run")


@pytest.fixture(scope="module")
def one_branch(folder):
    """The run's detector without the anchor-based branch."""
    return fsaf_tf.load_detector(folder / "run", branch="anchor_free")


def run_tool(folder, *flags: str) -> str:
    """What the tool prints."""
    return printed(export, "--format=onnx", f"--model_dir={folder}/run", f"--output={folder}/exported", *flags)


@pytest.fixture(scope="module")
def free(folder):
    """What the tool says of a file for pictures of any size, and the file."""
    return run_tool(folder, "--evaluate"), f"{folder}/exported/model.onnx"


@pytest.fixture(scope="module")
def fixed(folder):
    """The same of one branch on the landscape canvas."""
    said = run_tool(folder, "--canvas=landscape", "--branch=anchor_free")
    return said, f"{folder}/exported/model_64x96.onnx"


def assert_same(found: dict, expected: dict) -> None:
    assert len(found["scores"]) == len(expected["scores"]) > 5
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-5)
    np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=0.01)
    for key in ("classes", "levels", "branch"):
        np.testing.assert_array_equal(found[key], expected[key])
        assert found[key].dtype == expected[key].dtype
    assert found["names"] == expected["names"]


@pytest.mark.parametrize("size", SIZES)
def test_pictures_of_any_size_give_what_the_detector_finds(detector, free, size):
    picture, file = make_picture(size), fsaf_tf.load_detector(free[1])
    expected = detector(picture)
    assert_same(file(picture), expected)
    assert (file.class_names, file.category_ids, file.most) == (small_run.NAMES, small_run.IDS, 20)
    assert set(expected["branch"]) == {0, 1}


@pytest.mark.parametrize("size", [(64, 96), (192, 288), (90, 130), (64, 64)])
def test_a_fixed_canvas_gives_what_the_detector_finds(one_branch, fixed, size):
    """Its padding is none of the picture, whatever its colour."""
    picture, file = make_picture(size), fsaf_tf.load_detector(fixed[1])
    assert_same(file(picture), one_branch(picture))
    values = file._inputs(make_picture((64, 64)))
    loud = {**values, "canvas": np.where(np.arange(96)[:, None] < 64, values["canvas"], np.uint8(255))}
    for quiet_value, loud_value in zip(file._session.run(None, values), file._session.run(None, loud)):
        np.testing.assert_array_equal(quiet_value, loud_value)


def test_a_picture_that_the_canvas_is_not_for_is_made_smaller(fixed):
    found = fsaf_tf.load_detector(fixed[1])(make_picture((300, 200)))
    assert len(found["scores"]) and np.all(found["boxes"] <= [300, 200, 300, 200]) and found["boxes"].max() > 100


@pytest.mark.parametrize("kind", ["free", "fixed"])
def test_the_file_stands_alone(kind, request):
    said, path = request.getfixturevalue(kind)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    operators = {node.op_type for node in model.graph.node}
    assert "NonMaxSuppression" in operators and not operators & {"Loop", "If", "Scan"}
    assert not [node for node in model.graph.node if node.domain]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = {each.name: (each.type, each.shape) for each in session.get_inputs()}
    pair = ("tensor(int32)", [1, 2])
    of_picture = {"inputs": ("tensor(uint8)", [1, "height", "width", 3])}
    on_canvas = {"canvas": ("tensor(uint8)", [1, 64, 96, 3]), "image_size": pair, "original_size": pair}
    assert inputs == (of_picture if kind == "free" else on_canvas)
    found = {each.name: (each.type.replace("float", "float32"), each.shape) for each in session.get_outputs()}
    assert found == {name: (f"tensor({type_})", shape) for name, (type_, shape) in OUTPUTS.items()}
    facts = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert (facts["class_names"], facts["category_ids"]) == (small_run.NAMES, small_run.IDS)
    assert facts["input_size"] == {"shorter_side": 64, "longer_side": 96, "keep_aspect": True}
    assert facts["postprocess"]["score_threshold"] == 0.005 and facts["postprocess"]["max_detections"] == 20
    assert facts["branches"] == (["anchor_free", "anchor_based"] if kind == "free" else ["anchor_free"])
    assert facts["checkpoint"]["name"].endswith("run/ckpt-7") and facts["checkpoint"]["step"] == 7
    assert len(facts["checkpoint"]["index_sha256"]) == 64
    assert said.splitlines()[-1] == path or "checkpoint" in said


def test_the_table_says_that_nothing_is_lost(free):
    said, _ = free
    assert "\nInput: pictures of any size, which the file resizes as training did (64 x 96 px; they keep" in said
    rows = {
        name: re.search(rf"^  {name} +(.*)$", said, re.MULTILINE)[1].split() for name in ("checkpoint", "model.onnx")
    }
    assert rows["checkpoint"] == rows["model.onnx"] and float(rows["checkpoint"][0]) > 0.9
    assert "stretched" not in said and "LOSES" not in said


def test_the_tools_take_it(folder, detector, free, tmp_path, monkeypatch, capsys):
    flags = (f"--model={free[1]}", f"--images={folder}/data/*.png", f"--output={tmp_path}/out")
    assert call(predict, monkeypatch, *flags) == 0
    found = [(each["image_id"], each["category_id"]) for each in storage.read_json(f"{tmp_path}/out/detections.json")]
    results = [(number, detector(make_picture(size))) for number, size in enumerate(SIZES, start=1)]
    assert found == [(number, small_run.IDS[index]) for number, each in results for index in each["classes"]]
    capsys.readouterr()
    assert call(train, monkeypatch, "--mode=eval", f"--model={free[1]}", f"--experiment={folder}/run/params.yaml") == 0
    assert "AP by class" in capsys.readouterr().out
    evaluated = folder / "exported" / "model-eval"
    assert storage.read_json(evaluated / "metrics.json")["AP"] > 0.9
    params = experiment.read_params(folder / "run")
    params.task.tiles.size = 48
    with pytest.raises(UserError, match="model.onnx sees one picture and no tiles"):
        evaluate_exported.evaluate(free[1], params)


# The page.


def run_page(place: int, file: str, tmp_path) -> list[str]:
    """What a listing of the page prints, in a process that has neither TensorFlow nor this package."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[place]
    code += "\nimport sys\nassert not {'tensorflow', 'fsaf_tf', 'onnx'} & set(sys.modules)\n"
    os.makedirs(tmp_path / "exported", exist_ok=True)
    os.symlink(file, tmp_path / "exported" / ("model.onnx", "model_800x1344.onnx")[place])
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    options = {"capture_output": True, "text": True, "timeout": 600, "cwd": tmp_path, "env": environment}
    done = subprocess.run([sys.executable, "-c", code], **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("place", [0, 1])
def test_the_listings_of_the_page_find_the_same(free, fixed, tmp_path, place):
    path, picture = (free[1], fixed[1])[place], make_picture((64, 96))
    Image.fromarray(picture).save(tmp_path / "photo.jpg", format="PNG")
    lines = run_page(place, path, tmp_path)
    expected = fsaf_tf.load_detector(path)(picture)
    assert len(lines) == len(expected["names"]) > 5
    for line, name, score in zip(lines, expected["names"], expected["scores"]):
        assert line.split()[0] == name and abs(float(line.split()[1]) - score) < 1e-6


# Resizing.


@pytest.mark.parametrize("keep_aspect", [True, False])
def test_pictures_are_resized_as_in_training(keep_aspect, shared_data):
    """To the last bit where TensorFlow's and ONNX Runtime's places between pixels are the same numbers."""
    (file, *_) = sorted((shared_data / "bccd" / "images").iterdir())
    upright = predict_files.read_image(str(file))
    for sides, exact in (((240, 320), True), ((224, 300), False), ((640, 1000), False)):
        session = onnxruntime.InferenceSession(onnx_graphs.fit(sides, keep_aspect).SerializeToString())
        for picture in (upright, np.ascontiguousarray(np.rot90(upright))):
            canvas, size, original = (value[0] for value in session.run(None, {"inputs": picture[None]}))
            expected, expected_size = augment.resize_and_pad(tf.constant(picture), *sides, keep_aspect)
            assert size.tolist() == expected_size.numpy().tolist() and original.tolist() == list(picture.shape[:2])
            apart = np.abs(canvas.astype(int) - expected.numpy())
            assert apart.shape == canvas.shape and apart.max() <= (0 if exact and keep_aspect else 1)
            assert np.mean(apart > 0) < 0.005


def test_what_tf2onnx_does_not_know_is_put_otherwise():
    """ConvNeXt's GELU."""
    signature, values = [tf.TensorSpec([5], tf.float32, name="x")], np.float32([-3, -0.5, 0, 0.5, 3])
    model, _ = onnx_graphs.tf2onnx.convert.from_function(
        tf.function(tf.math.erfc, input_signature=signature), signature, opset=onnx_graphs.OPSET
    )
    (found,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {model.graph.input[0].name: values})
    np.testing.assert_allclose(found, tf.math.erfc(values), atol=1e-6)


# What is refused.


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--quantize=int8"], "--quantize is for --format=tflite only"),
        (["--raw"], "--raw is for --format=tflite only"),
        (["--images=data"], "--images is for --format=tflite only"),
        (["--tile=640"], "--tile: an .onnx file sees one picture of its input's size; docs/tiles.md"),
        (["--height=64"], "give both --height and --width, or neither"),
        (["--height=60", "--width=64"], "--height=60: sides are multiples of 32 pixels, such as 64"),
        (["--canvas=both", "--height=64", "--width=64"], "leave it out, or --height and --width"),
    ],
)
def test_what_does_not_hold_for_it_is_refused_by_name(folder, tmp_path, monkeypatch, flags, message):
    where = (f"--model_dir={folder}/run", f"--output={tmp_path}/out")
    assert message in call(export, monkeypatch, "--format=onnx", *where, *flags)
    assert not (tmp_path / "out").exists()


def test_without_the_extra_one_line_says_what_to_install(detector, free, tmp_path, monkeypatch):
    for missing in ("onnx", "onnxruntime", "tf2onnx"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            patch.delitem(sys.modules, "fsaf_tf.serving.onnx_graphs")
            patch.delattr("fsaf_tf.serving.onnx_graphs")
            with pytest.raises(
                UserError, match=rf'needs .*{missing}.*: pip install -c constraints.txt -e "\.\[onnx\]"$'
            ):
                onnx_export.export(detector, str(tmp_path / "out"))
            if missing == "onnxruntime":
                with pytest.raises(UserError, match=r'\.onnx files need onnxruntime: pip install .*\[onnx\]"$'):
                    fsaf_tf.load_detector(free[1])
    assert not (tmp_path / "out").exists()


def test_a_file_that_would_not_run_is_not_written(free):
    """As tf2onnx makes one of some networks; the page names one."""
    model = onnx.load(free[1])
    next(node for node in model.graph.node if node.op_type == "Sigmoid").op_type = "Sigmoids"
    with pytest.raises(UserError, match="of this network that does not run; try .* --format=saved_model .*Sigmoids"):
        onnx_export._tried(onnx, model, "model.onnx")


def test_files_that_cannot_be_run_are_one_line(free, tmp_path):
    with pytest.raises(UserError, match="there is no .*none.onnx"):
        fsaf_tf.load_detector(tmp_path / "none.onnx")
    whole = pathlib.Path(free[1]).read_bytes()
    for content in (b"no model", b"", whole[: len(whole) // 2]):
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(UserError, match="bad.onnx cannot be loaded as an ONNX file: .+") as error:
            fsaf_tf.load_detector(tmp_path / "bad.onnx")
        assert "\n" not in str(error.value)
    changes = {
        "has no properties of fsaf_tf: only files of tools/export.py can be run": {},
        "has damaged properties: .*; export it anew": {"class_names": '["cat"', "category_ids": "[1]"},
        "has damaged properties: 1 names and 2 category ids": {
            "class_names": '["a"]',
            "category_ids": "[1, 2]",
            "canvas": "null",
        },
        "has damaged properties: no 'postprocess'": {"class_names": '["a"]', "category_ids": "[1]", "canvas": "null"},
        "has damaged properties: canvas is .3.,": {"class_names": '["a"]', "category_ids": "[1]", "canvas": "[3]"},
    }
    model = onnx.load(free[1])
    for message, properties in changes.items():
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, properties)
        onnx.save(model, tmp_path / "changed.onnx")
        with pytest.raises(UserError, match=f"changed.onnx {message}"):
            fsaf_tf.load_detector(tmp_path / "changed.onnx")
    with pytest.raises(UserError, match="holds model.onnx.*; name one of them"):
        fsaf_tf.load_detector(pathlib.Path(free[1]).parent)
    with pytest.raises(UserError, match="is an exported model and has no checkpoints"):
        fsaf_tf.load_detector(free[1], "best")


def test_only_our_own_file_is_replaced(folder, free, monkeypatch, tmp_path):
    (tmp_path / "model.onnx").write_text("mine")
    flags = ("--format=onnx", "--model_dir=none")
    assert "was not written by this tool" in call(export, monkeypatch, *flags, f"--output={tmp_path}")
    assert "was not written" not in call(export, monkeypatch, *flags, f"--output={folder}/exported")
