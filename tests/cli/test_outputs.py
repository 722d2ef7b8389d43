"""No tool writes over what it reads, nor over files of others without --overwrite; its own of before it replaces."""

import json
import os
import platform
import subprocess

import in_process
import numpy as np
import pytest
from PIL import Image

from fsaf_tf.cli import analyze, benchmark, data, draw_shapes, export, outputs, predict, serve_client, visualize
from fsaf_tf.detect import predict_files
from fsaf_tf.errors import UserError
from fsaf_tf.files import parts

GROUND_TRUTH = {
    "images": [{"id": 1, "file_name": "1.png", "width": 64, "height": 48}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 20, 20], "area": 400, "iscrowd": 0}],
    "categories": [{"id": 1, "name": "nut"}],
}
NOTHING = {"boxes": np.zeros([0, 4]), "scores": np.zeros([0]), "classes": np.zeros([0], int), "names": []}
DETECTIONS = [{"image_id": 1, "category_id": 1, "bbox": [4, 4, 20, 20], "score": 0.9}]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("photos")
    Image.new("RGB", (64, 48)).save("photos/1.png")
    for name, content in (("gt.json", GROUND_TRUTH), ("d.json", DETECTIONS), ("mine.json", {"a": 1})):
        (tmp_path / name).write_text(json.dumps(content))
    return tmp_path


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


ANALYZE = (analyze, ["--annotations=gt.json", "--detections=d.json"])
CHECK = (data, ["check", "--annotations=gt.json", "--images=photos"])
PREDICT = (predict, ["--model=none", "--images=photos"])
ASK = (serve_client, ["--server=none:1", "--model=m", "--images=photos", "--retries=0", "--deadline=0.1"])
LEVELS = (visualize, ["--figure=levels", "--model=none", "--images=photos"])
TFLITE = (export, ["--format=tflite", "--model_dir=none"])


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
@pytest.mark.parametrize(
    ("tool", "output", "file"),
    [
        (ANALYZE, "--output=gt.html", "gt.json"),
        (ANALYZE, "--output=d.html", "d.json"),
        (ANALYZE, "--output=photos/../gt.html", "gt.json"),
        (ANALYZE, "--output=linked.html", "linked.json"),
        (ANALYZE, "--output=hard.html", "hard.json"),
        (CHECK, "--json=gt.json", "gt.json"),
        (CHECK, "--json=linked.json", "linked.json"),
        (PREDICT, "--output=linked", "linked/pictures/1.png.jpg"),
        (LEVELS, "--output=linked", "linked/levels_1.png"),
    ],
)
def test_what_is_read_is_never_written_over(folder, monkeypatch, tool, output, file, more):
    os.symlink("gt.json", "linked.json")
    os.link("d.json", "hard.json")
    os.makedirs("linked/pictures")
    for name in ("pictures/1.png.jpg", "levels_1.png"):
        os.link("photos/1.png", f"linked/{name}")
    before, (module, flags) = content(folder), tool
    said = in_process.call(module, monkeypatch, *flags, output, *more)
    assert said.startswith("error: ") and file in said and "written over" in said and "\n" not in said
    assert content(folder) == before


OF_OTHERS = [
    (ANALYZE, "--output=mine.html", "mine.json"),
    (ANALYZE, "--output=page.html", "page.html"),
    (CHECK, "--json=mine.json", "mine.json"),
    (CHECK, "--output=page.html", "page.html"),
    (PREDICT, "--output=out", "out/detections.json"),
    (ASK, "--output=out", "out/detections.json"),
    (LEVELS, "--output=out", "out/levels_7.png"),
    (TFLITE, "--output=out", "out/model_float32.tflite"),
    (TFLITE, "--output=lite", "lite/model_int8.card.md"),
]


@pytest.fixture
def others(folder):
    """Files of the user, or of another tool, where ours would go."""
    os.mkdir("out")
    os.mkdir("lite")
    (folder / "page.html").write_text("<p>mine")
    (folder / "lite/model_int8.card.md").write_text("mine")
    (folder / "out/detections.json").write_text(json.dumps(DETECTIONS))
    (folder / "out/model_float32.tflite").write_text("mine")
    Image.new("RGB", (8, 8)).save("out/levels_7.png")
    return folder


@pytest.mark.parametrize(("tool", "output", "file"), OF_OTHERS)
def test_files_of_others_are_kept(others, monkeypatch, tool, output, file):
    before, (module, flags) = content(others), tool
    said = in_process.call(module, monkeypatch, *flags, output)
    wrong = f"error: {file} is there and was not written by this tool; give another output, or --overwrite"
    assert said == wrong and content(others) == before


@pytest.mark.parametrize(("tool", "output", "file"), OF_OTHERS)
def test_with_overwrite_they_are_no_reason(others, monkeypatch, tool, output, file):
    """What comes next is another error, for there is no model, or the file as the tool writes it."""
    before, (module, flags) = (others / file).read_bytes(), tool
    said = in_process.call(module, monkeypatch, *flags, output, "--overwrite")
    if tool in (ANALYZE, CHECK):
        assert said == 0 and (others / file).read_bytes() != before
        assert in_process.call(module, monkeypatch, *flags, output) == 0  # it is its own now
    else:
        assert "was not written by this tool" not in said and "none" in said


def test_pictures_of_the_user_in_the_place_of_drawn_ones(folder, monkeypatch):
    os.makedirs("out/pictures")
    Image.new("RGB", (8, 8)).save("out/pictures/1.png.jpg")
    said = in_process.call(predict, monkeypatch, *PREDICT[1], "--output=out")
    assert said.startswith("error: out/pictures/1.png.jpg is there and was not written by this tool")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("detections.json", '[\n{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5, "file_name": "a"}\n]\n'),
        ("detections.json", '[\n{"image_id": 0, "bbox": [1, 2, 3, 4], "frame": 0, "seconds": 0.0}\n]\n'),
        ("detections.json", "[\n]\n"),
        ("detections.json.part-host.name-17", ""),
        ("detections.unfinished.json", "[]"),
    ],
)
def test_predictions_of_before_are_replaced(folder, monkeypatch, file, text):
    os.makedirs("out/pictures")
    (folder / f"out/{file}").write_text(text)
    Image.new("RGB", (8, 8)).save("out/pictures/1.png.jpg")
    said = in_process.call(predict, monkeypatch, *PREDICT[1], "--output=out")
    assert "not written by this tool" not in said and "none" in said


def test_pictures_that_a_full_disk_left_without_detections_are_replaced(folder, monkeypatch):
    os.makedirs("out/pictures")
    drawn = predict_files.draw("out/pictures/1.png.jpg", np.zeros([8, 8, 3], np.uint8), NOTHING, 0.3)
    said = in_process.call(predict, monkeypatch, *PREDICT[1], "--output=out")
    assert drawn.undrawn is None and "not written by this tool" not in said and "none" in said


@pytest.mark.parametrize("file", ["params.yaml", "metrics.json", "info.json", "checkpoint", "train.lock"])
@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_predictions_never_go_to_a_run(folder, monkeypatch, file, more):
    os.mkdir("run")
    (folder / f"run/{file}").write_text("{}")
    for module, flags in (PREDICT, ASK):
        said = in_process.call(module, monkeypatch, *flags, "--output=run", *more)
        assert said == (
            f"error: run is the folder of a run or of an evaluation (it has {file}), whose detections.json these are"
            " not; give another --output"
        )


@pytest.mark.parametrize(("tool", "file"), [(draw_shapes, "photos/001.png"), (benchmark, "mine.json")])
def test_drawn_pictures_and_timings(folder, monkeypatch, tool, file):
    output = file if tool is benchmark else "photos"
    Image.new("RGB", (8, 8)).save("photos/001.png")
    before, flags = content(folder), [f"--output={output}", *["--count=1"] * (tool is draw_shapes)]
    said = in_process.call(tool, monkeypatch, *flags)
    assert said.startswith(f"error: {file} is there and was not written by this tool") and content(folder) == before
    if tool is draw_shapes:
        assert in_process.call(tool, monkeypatch, *flags, "--overwrite") == 0
        assert in_process.call(tool, monkeypatch, *flags) == 0


@pytest.mark.parametrize("given", ["--model_dir=run", "--images=run/*.json"])
def test_the_benchmark_never_writes_over_what_it_reads(folder, monkeypatch, given):
    os.mkdir("run")
    (folder / "run/labels.json").write_text("{}")
    before = content(folder)
    said = in_process.call(benchmark, monkeypatch, given, "--output=run/../run/labels.json", "--overwrite")
    assert said.startswith("error: run/../run/labels.json") and "is read, and would be written over" in said
    assert content(folder) == before


def test_an_evaluation_of_an_exported_model_does_not_take_the_place_of_predictions(folder):
    os.mkdir("out")
    (folder / "out/detections.json").write_text('[\n{"image_id": 1, "score": 0.5, "file_name": "a"}\n]\n')
    with pytest.raises(UserError, match="^out/detections.json is of tools/predict.py; give another --model_dir$"):
        outputs.check_evaluation("out")
    for text in ("[\n]\n", json.dumps(DETECTIONS)):
        (folder / "out/detections.json").write_text(text)
        outputs.check_evaluation("out")
    outputs.check_evaluation("none")


def test_a_report_of_a_run_does_not_take_the_place_of_its_figures(folder, monkeypatch):
    os.mkdir("run")
    (folder / "run/detections.json").write_text(json.dumps(DETECTIONS))
    (folder / "run/metrics.json").write_text("{}")
    for name in ("detections", "metrics"):
        said = in_process.call(
            analyze, monkeypatch, "--model_dir=run", "--annotations=gt.json", f"--output=run/{name}.html", "--overwrite"
        )
        assert said == f"error: run/{name}.json is read, and would be written over; give another output"


@pytest.mark.parametrize(
    ("tool", "flags", "file"),
    [(*ANALYZE, "page.html"), (*CHECK, "page.html"), (*CHECK, "report.json")],
)
def test_a_users_file_that_ends_in_part_is_nothing_of_a_tools(folder, monkeypatch, tool, flags, file):
    output = f"--{'json' if file.endswith('json') else 'output'}={file}"
    for name in (f"{file}.part", "page.json.part", f"{file}.part-mine"):
        (folder / name).write_text("mine")
    assert in_process.call(tool, monkeypatch, *flags, output) == 0 and (folder / file).exists()
    for name in (f"{file}.part", "page.json.part", f"{file}.part-mine"):
        assert (folder / name).read_text() == "mine"


def test_what_a_killed_tool_was_writing_goes_with_the_same_command(folder, monkeypatch, capsys):
    process = subprocess.Popen(["true"])
    process.wait()
    dead, living = (f"page.html{parts.PART}{platform.node()}-{pid}" for pid in (process.pid, os.getppid()))
    other = f"page.html{parts.PART}another.host-{process.pid}"
    for name in (dead, living, other):
        (folder / name).write_text("half a page")
    assert in_process.call(ANALYZE[0], monkeypatch, *ANALYZE[1], "--output=page.html") == 0
    assert not (folder / dead).exists() and (folder / living).exists() and (folder / other).exists()
    assert f"Left by a kill and taken away: 1 ({dead}), in {folder}." in capsys.readouterr().out


def test_files_are_known_by_their_keys_and_marks(folder):
    assert outputs.has_keys("images")("gt.json") and not outputs.has_keys("images", "runs")("gt.json")
    for text in ("", "[1]", "{", "[" * 100_000, "\x00"):
        (folder / "mine.json").write_text(text)
        assert not outputs.has_keys("a")("mine.json")
    (folder / "long").write_bytes(bytes(200_000) + b"canvas.json" + bytes(100))
    assert outputs.has_mark("canvas.json")("long") and not outputs.has_mark("canvas.json")("gt.json")
