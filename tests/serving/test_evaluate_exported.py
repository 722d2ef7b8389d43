"""What an export says that it costs: AP of the checkpoint beside that of files, on pictures of both orientations.

The ground truth is what the checkpoint finds, so that its AP is near 1 without a training.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

import encoded
import numpy as np
import pytest
import small_run
import tensorflow as tf
from in_process import call, printed
from PIL import Image

import fsaf_tf
from fsaf_tf.cli import export
from fsaf_tf.serving import canvas, evaluate_exported

pytest.importorskip("ai_edge_litert")

TESTS = pathlib.Path(__file__).parent.parent
PAGE, LEAN = TESTS.parent / "docs" / "tflite.md", TESTS.parent / "examples" / "lean" / "litert.py"
SIZES = [(64, 96), (96, 64), (192, 128)]  # height and width; each fills a canvas of training


def make_picture(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(size).integers(0, 256, (*size, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """`run` and `data`."""
    folder = tmp_path_factory.mktemp("evaluated")
    model = {"anchor_based": {"enabled": False}, "max_level": 5}  # fewer levels are faster
    small_run.write_run_and_data(folder, model, map(make_picture, SIZES))
    return folder


@pytest.fixture(scope="module")
def detector(folder):
    return fsaf_tf.load_detector(folder / "run")


def run_tool(folder, *flags: str) -> str:
    """What the tool prints."""
    return printed(export, "--format=tflite", f"--model_dir={folder}/run", f"--output={folder}/exported", *flags)


def row(said: str, name: str) -> list[float]:
    """AP, AP50 and the number of pictures of a row of the table."""
    return [float(cell) for cell in re.search(rf"^  {re.escape(name)} +(.*)$", said, re.MULTILINE)[1].split()]


@pytest.fixture(scope="module")
def square(folder):
    """What the tool says of the export as it is by default, and the file."""
    return run_tool(folder), f"{folder}/exported/model_float32.tflite"


@pytest.fixture(scope="module")
def both(folder):
    """What the tool says of a file for each orientation, and the files."""
    said = run_tool(folder, "--canvas=both", "--evaluate")
    return said, [f"{folder}/exported/model_float32_{orientation}.tflite" for orientation in ("landscape", "portrait")]


def test_a_card_has_the_figures_of_its_files(both):
    """Those of the table, which both orientations have together; without --evaluate there are none."""
    said, files = both
    ap, ap50, images = row(said, "model_float32_landscape.tflite, model_float32_portrait.tflite")
    for file in files:
        text = pathlib.Path(file.replace(".tflite", ".card.md")).read_text()
        assert f"AP {ap:.3f}, AP50 {ap50:.3f} on the {images:.0f} images that the run is evaluated on" in text


def test_the_tool_says_how_pictures_lie_on_the_input(square):
    said, file = square
    assert "Input: 96 x 96 px (height x width), pictures in its upper left corner at the scale of training" in said
    assert "(shorter side 64 px, longer at most 96), the rest in RGB 124, 117, 104\n" in said
    assert "\nStretch of pictures: 1.00; by a library that does not pad, up to 1.50 (" in said
    assert said.endswith(f"\n{file}\n")


@pytest.mark.parametrize("size", SIZES[:2])
def test_the_default_file_finds_what_the_detector_finds_on_such_a_canvas(square, detector, size):
    """Whose padding is all but zero after normalising, and no part of the picture only after the suppression."""
    picture, file = make_picture(size), fsaf_tf.load_detector(square[1])
    padded, whole = np.full((1, 96, 96, 3), (124, 117, 104), np.uint8), tf.constant([[96, 96]])
    padded[0, : size[0], : size[1]] = picture
    images = detector.program.normalize(tf.constant(padded), whole)
    assert np.abs(images[0, size[0] :]).max(initial=0) < 0.5 and np.abs(images[0, :, size[1] :]).max(initial=0) < 0.5
    outputs = detector.model(images, training=False)
    expected = detector.program.of_outputs(outputs, whole, whole)
    boxes = np.minimum(expected["boxes"][0], [*size, *size])
    surest = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))[:10]
    found = file(picture)
    assert len(surest) == 10 and (found["boxes"] <= [*size, *size]).all()
    np.testing.assert_allclose(found["scores"][:10], expected["scores"][0].numpy()[surest], atol=1e-3)
    np.testing.assert_allclose(found["boxes"][:10], boxes[surest], atol=0.1)
    np.testing.assert_array_equal(found["classes"][:10], expected["classes"][0].numpy()[surest])


@pytest.mark.parametrize("size", SIZES)
def test_the_canvases_of_training_find_what_the_detector_finds(both, detector, size):
    picture = make_picture(size)
    expected, found = detector(picture), fsaf_tf.load_detector(both[1][size[0] > size[1]])(picture)
    assert len(found["scores"]) > 5
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-3)
    np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=0.05)
    assert found["names"] == expected["names"]


def test_the_tool_says_what_files_cost(both):
    said, paths = both
    assert said.count("smaller where that does not fit") == 2 and all(f"\n{path}\n" in said for path in paths)
    checkpoint, files = row(said, "checkpoint"), row(said, ", ".join(map(os.path.basename, paths)))
    assert checkpoint[0] > 0.9 and checkpoint[2] == len(SIZES)
    assert files == pytest.approx(checkpoint, abs=0.01)
    assert row(said, "stretched by a library") == pytest.approx(files, abs=0.01)  # they have the aspect of their inputs
    assert "LOSES" not in said


@pytest.mark.parametrize(
    ("file", "message"),
    [("", "not known (the run has no annotation file with"), ("none.json", "not known (none.json: there is no such")],
)
def test_a_stretch_that_is_not_known_is_said_and_no_error(detector, file, message):
    task = detector.config.replace(validation_data={"annotation_file": file})
    keeping = canvas.choose(detector.program, None, None)
    assert f"Stretch of pictures: 1.00; by a library that does not pad, {message}" in export._stretch(task, keeping)
    stretching = [each.stretching() for each in keeping]
    assert export._stretch(detector.config, stretching).startswith("Stretch of pictures: up to 1.50 (")


def test_a_file_that_loses_is_said_in_capitals(both, detector, capsys):
    source = evaluate_exported.open_validation(detector)
    metrics = evaluate_exported.compare(detector, both[1][:1], source)
    loss = metrics["checkpoint"]["AP"] - metrics["model_float32_landscape.tflite"]["AP"]
    assert loss > 0.01 and metrics["stretched by a library"]["AP"] < metrics["checkpoint"]["AP"] - 0.01
    said = capsys.readouterr().out
    assert f"THE FILE LOSES {loss:.3f} AP: not every picture" in said and "take --canvas=both" in said


def test_the_page_shows_the_lean_example():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code.strip() in LEAN.read_text(encoding="utf-8")


def test_litert_alone_finds_what_our_own_finds(folder, square):
    """Of a large picture that EXIF turns, too; and nothing else is imported."""
    small, large = folder / "data" / "2.png", folder / "turned.png"
    pixels = np.repeat(np.repeat(make_picture((60, 90)), 4, axis=0), 4, axis=1)
    large.write_bytes(encoded.turned(Image.fromarray(pixels), 6, "PNG"))
    command = [sys.executable, TESTS / "alone.py", LEAN, square[1], small, large]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=folder)
    assert done.returncode == 0, done.stderr
    lines, detect = [json.loads(line) for line in done.stdout.splitlines()], fsaf_tf.load_detector(square[1])
    for file in (small, large):
        found, expected = [line for line in lines if line["picture"] == str(file)], detect(str(file))
        assert len(found) == len(expected["scores"]) > 5
        assert [line["label"] for line in found] == expected["names"]
        np.testing.assert_allclose([line["score"] for line in found], expected["scores"], atol=1e-3)
        np.testing.assert_allclose([line["box"] for line in found], expected["boxes"], atol=0.5)
    imported = set(done.stderr.splitlines()[-1].split())
    assert {"ai_edge_litert", "numpy", "PIL"} < imported
    assert not imported & {"fsaf_tf", "official", "tensorflow", "tf_keras", "keras"}


def test_litert_alone_says_that_a_picture_is_for_the_other_file(folder, both):
    pictures = [str(folder / "data" / f"{number}.png") for number in (1, 2)]  # landscape, portrait
    for file, other in zip(both[1], reversed(pictures)):
        done = subprocess.run([sys.executable, LEAN, file, *pictures], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0 and done.stdout
        notes = [line for line in done.stderr.splitlines() if "other file" in line]
        assert notes == [f"{other} is smaller here than in training: it wants the other file of the two"]


def test_data_that_are_not_there_are_told_before_anything_is_written(folder, tmp_path, monkeypatch):
    run = tmp_path / "run"
    os.symlink(folder / "run", run)
    flags = ("--format=tflite", f"--model_dir={run}", f"--output={tmp_path}/out", "--evaluate")
    os.rename(folder / "data" / "annotations.json", folder / "data" / "gone.json")
    try:
        message = call(export, monkeypatch, *flags)
    finally:
        os.rename(folder / "data" / "gone.json", folder / "data" / "annotations.json")
    assert "--evaluate needs the run's task.validation_data: " in message and "no such annotation file" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--format=tflite", "--canvas=both", "--height=96", "--width=96"), "leave it out, or --height and --width"),
        (("--format=tflite", "--height=96"), "give both --height and --width, or neither"),
        (("--format=saved_model", "--canvas=square"), "--canvas is for --format=tflite and --format=onnx only"),
        (("--format=saved_model", "--evaluate"), "--evaluate is for --format=tflite and --format=onnx only"),
    ],
)
def test_what_does_not_go_together_is_one_line(folder, tmp_path, monkeypatch, flags, message):
    assert message in call(export, monkeypatch, *flags, f"--model_dir={folder}/run", f"--output={tmp_path}/out")
    assert not (tmp_path / "out").exists()
