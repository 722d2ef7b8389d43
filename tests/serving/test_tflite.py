"""TFLite files against the detector that they were made of, run by the runtime that phones have."""

import os

import numpy as np
import pytest
import small_run
import tensorflow as tf
import tf_keras
from in_process import call
from official.core import exp_factory
from PIL import Image

from fsaf_tf.cli import export
from fsaf_tf.data.classes import Classes
from fsaf_tf.detect.trained import Detector
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import detector as detectors
from fsaf_tf.serving import canvas, delegation, flatbuffer, tflite

litert = pytest.importorskip("ai_edge_litert.interpreter")

HEIGHT, WIDTH = 64, 96
NAMES = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu"]  # more than the threads below
NETWORK_LEFT = {"float32": {"CAST"}, "int8": {"QUANTIZE"}}  # of the network: what turns the picture's type


def make_detector(model: dict | None = None) -> Detector:
    """Random values, with classes and boxes that differ from place to place and overlap.

    Args:
        model: values of `task.model` that are others than by default.
    """
    config = exp_factory.get_exp_config("fsaf").task
    config.override(
        {
            "model": {
                "backbone": {"resnet": {"depth": 14, "width_per_group": 8}},
                "fpn": {"channels": 16},
                "heads": {"channels": 16, "convs": 1},
                **(model or {}),
            },
            "input_size": {"shorter_side": HEIGHT, "longer_side": WIDTH},
        }
    )
    tf_keras.utils.set_random_seed(3)
    network = detectors.build_detector(config.model, len(NAMES))
    detector = Detector(network, config, Classes.by_id(enumerate(NAMES, start=1)))
    small_run.spread_outputs(network, detector.preprocess(make_pictures(1)[0], resize=False))
    return detector


def make_pictures(count: int) -> list[np.ndarray]:
    """Coloured rectangles on noise, as large as the input."""
    random = np.random.default_rng(5)
    pictures = []
    for _ in range(count):
        picture = random.integers(0, 80, (HEIGHT, WIDTH, 3))
        for _ in range(6):
            y, x = random.integers(0, HEIGHT - 8), random.integers(0, WIDTH - 8)
            picture[y : y + random.integers(8, 40), x : x + random.integers(8, 40)] = random.integers(0, 256, 3)
        pictures.append(picture.astype(np.uint8))
    return pictures


@pytest.fixture(scope="module")
def detector():
    return make_detector()


def export_file(detector: Detector, folder, **options) -> str:
    """A file whose input has the size of the pictures."""
    (sized,) = canvas.choose(detector.program, None, (HEIGHT, WIDTH))
    return tflite.export(detector, str(folder), sized, **options)


@pytest.fixture(scope="module")
def files(detector, tmp_path_factory):
    """float32, float32 raw and int8."""
    folder = tmp_path_factory.mktemp("tflite")
    os.makedirs(folder / "pictures")
    for number, picture in enumerate(make_pictures(8)):
        Image.fromarray(picture).save(folder / "pictures" / f"{number}.png")
    lines = []
    paths = {
        "float32": export_file(detector, folder / "out"),
        "raw": export_file(detector, folder / "out", raw=True),
        "int8": export_file(
            detector,
            folder / "out",
            quantize="int8",
            images=sorted(map(str, (folder / "pictures").iterdir())),
            say=lines.append,
        ),
    }
    assert any("8 pictures are few" in line for line in lines)
    names = ["model_float32", "model_float32_raw", "model_int8"]
    assert sorted(os.listdir(folder / "out")) == sorted(
        f"{name}.{end}" for name in names for end in ("tflite", "card.md")
    )
    return paths


def run(path: str, picture: np.ndarray, threads: int = 1) -> list[np.ndarray]:
    interpreter = litert.Interpreter(path, num_threads=threads)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None])
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"])[0] for detail in interpreter.get_output_details()]


def assert_same(found: list[np.ndarray], expected: dict):
    boxes, classes, scores, count = found
    assert int(count) == len(expected["scores"]) > 10
    count = int(count)
    np.testing.assert_allclose(scores[:count], expected["scores"], atol=1e-4)
    np.testing.assert_allclose(boxes[:count] * np.tile([HEIGHT, WIDTH], 2), expected["boxes"], atol=0.01)
    np.testing.assert_array_equal(classes[:count], expected["classes"])
    assert not classes[count:].any() and not scores[count:].any()


# The runtime's operator passes over a class where there are more classes than threads: any number must do.
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_float_file_finds_what_the_detector_finds(files, detector, threads):
    seen = set()
    for picture in make_pictures(3):
        expected = detector(picture, resize=False)
        assert_same(run(files["float32"], picture, threads), expected)
        seen |= set(expected["classes"])
    assert len(seen) > 4  # else classes that are passed over would not be missed


def test_a_detector_of_other_values(tmp_path):
    """None of them is a default: every class of a location is one of them."""
    limits = {"multi_label": True, "score_threshold": 0.15, "nms_iou": 0.3, "max_detections": 30}
    others = {
        "location_offset": 0.0,
        "max_level": 6,
        "backbone": {"resnet": {"depth": 14, "width_per_group": 8, "form": "pytorch"}},
        "fpn": {"channels": 16, "relu_before_p7": False},
        "heads": {"channels": 16, "convs": 1, "batch_norm": True},
        "anchor_free": {"offset_scale": 2.0},
        "postprocess": limits,
    }
    detector, picture = make_detector(others), make_pictures(1)[0]
    for number, norm in enumerate(detector.model.get_layer("heads").norms.values()):
        norm.moving_mean.assign(tf.random.stateless_normal(norm.moving_mean.shape, [0, number], stddev=0.02))
        norm.moving_variance.assign(tf.random.stateless_uniform(norm.moving_variance.shape, [1, number], 0.8, 1.2))
    expected = detector(picture, resize=False)
    assert_same(run(export_file(detector, tmp_path), picture), expected)
    raw, _ = run(export_file(detector, tmp_path, raw=True), picture)
    offsets = detector.model(detector.preprocess(picture, resize=False))["anchor_free_offsets"]["3"][0, 2, 3].numpy()
    top, left, bottom, right = offsets * 2 * 8  # cell (2, 3): S * 2^3 px a unit, and it stands at 16, 24 px
    clipped = np.clip([16 - top, 24 - left, 16 + bottom, 24 + right], 0, [HEIGHT, WIDTH] * 2)
    np.testing.assert_allclose(raw[2 * (WIDTH // 8) + 3] * np.tile([HEIGHT, WIDTH], 2), clipped, atol=0.01)


def test_raw_file_gives_every_location(files, detector):
    picture = make_pictures(1)[0]
    boxes, scores = run(files["raw"], picture)
    outputs = detector.model(detector.preprocess(picture, resize=False))
    logits = tf.concat([tf.reshape(m, [-1, len(NAMES)]) for m in outputs["anchor_free_logits"].values()], axis=0)
    np.testing.assert_allclose(scores, tf.sigmoid(logits), atol=1e-4)
    top, left = outputs["anchor_free_offsets"]["3"][0, 2, 3, :2].numpy() * 4 * 8  # cell (2, 3): S * 2^3 px a unit
    expected = np.maximum([20 - top, 28 - left], 0) / [HEIGHT, WIDTH]
    np.testing.assert_allclose(boxes[2 * (WIDTH // 8) + 3, :2], expected, atol=1e-4)
    assert boxes.min() >= 0 and boxes.max() <= 1


def test_input_is_uint8_and_outputs_are_float(files):
    for kind, path in files.items():
        interpreter = litert.Interpreter(path)
        (image,) = interpreter.get_input_details()
        assert (image["name"], image["dtype"], image["shape"].tolist()) == ("image", np.uint8, [1, HEIGHT, WIDTH, 3])
        outputs = interpreter.get_output_details()
        names = ["boxes", "scores"] if kind == "raw" else ["location", "category", "score", "number of detections"]
        assert [output["name"] for output in outputs] == names
        assert all(output["dtype"] == np.float32 for output in outputs)
        runner = interpreter.get_signature_runner()
        assert set(runner.get_output_details()) == set(names)


def test_int8_is_integer_by_channel_and_near_the_float_file(files):
    interpreter = litert.Interpreter(files["int8"])
    assert interpreter.get_input_details()[0]["quantization"] == (1.0, 0)  # a pixel is its own value
    interpreter.allocate_tensors()
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    convolutions = [op for op in interpreter._get_ops_details() if op["op_name"] == "CONV_2D"]
    assert len(convolutions) > 20
    for operator in convolutions:
        kernel = details[operator["inputs"][1]]
        assert kernel["dtype"] == np.int8 and len(kernel["quantization_parameters"]["scales"]) == kernel["shape"][0]
        assert details[operator["outputs"][0]]["dtype"] == np.int8
    assert os.path.getsize(files["int8"]) < os.path.getsize(files["float32"]) / 3
    for picture in make_pictures(2):
        exact, rough = run(files["float32"], picture), run(files["int8"], picture)
        np.testing.assert_allclose(rough[2][:5], exact[2][:5], atol=0.1)


def test_operators_are_the_runtimes_own_and_the_network_is_delegated(files):
    for kind, path in files.items():
        with open(path, "rb") as file:
            operators = flatbuffer.operators(flatbuffer.read(file.read()))
        others = [name for name in operators if name.startswith("Flex") or name == flatbuffer.POSTPROCESS]
        assert others == ([] if kind == "raw" else [flatbuffer.POSTPROCESS])
        counts = delegation.report(path)
        assert sum(counts["delegated"].values()) + sum(counts["left"].values()) == len(operators)
        of_network = {"CONV_2D", "ADD", "PAD", "MAX_POOL_2D", "CONCATENATION", "RELU", "CAST", "QUANTIZE", "MUL"}
        assert set(counts["left"]) & of_network == NETWORK_LEFT["int8" if kind == "int8" else "float32"]
        assert counts["delegated"]["CONV_2D"] == operators.count("CONV_2D")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantize": "int8"}, "give --images"),
        ({"images": ["picture.png"]}, "--images is for --quantize=int8 only"),
        ({"quantize": "int8", "images": ["nowhere"]}, "nowhere cannot be read: No such file"),
        ({"quantize": "int4"}, "must be one of: none, float16, int8"),
    ],
)
def test_what_does_not_fit_is_one_line(detector, tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        tflite.export(detector, str(tmp_path / "out"), **arguments)
    assert not (tmp_path / "out").exists()


def test_one_side_alone_is_refused(tmp_path, monkeypatch):
    flags = ["--format=tflite", f"--model_dir={tmp_path}", f"--output={tmp_path}/out", "--height=64"]
    assert "both --height and --width" in call(export, monkeypatch, *flags)


def test_a_file_in_the_place_of_the_folder_is_told_first(detector, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is a file; give a folder"):
        tflite.export(detector, str(tmp_path / "file"))


def test_anchors_are_refused_with_the_reason(detector, tmp_path):
    config = detector.config.replace()
    config.model.anchor_based.enabled = True
    with pytest.raises(UserError, match="anchor-free detectors alone.*nine anchors a location.*--format=saved_model"):
        tflite.export(Detector(detector.model, config, detector.classes), str(tmp_path))


def test_picture_that_cannot_be_read_is_named(detector, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="broken.png cannot be read"):
        tflite.export(
            detector, str(tmp_path / "out"), quantize="int8", images=[str(tmp_path / "broken.png")], say=print
        )
    assert not (tmp_path / "out").exists()
