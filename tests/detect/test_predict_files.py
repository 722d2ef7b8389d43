"""Prediction on files: which are found and read, what is written, and the tool from its command line."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from in_process import call
from PIL import Image
from small_run import IDS, build_model, write_run

import fsaf_tf
from fsaf_tf.cli import predict as predict_tool
from fsaf_tf.detect import image_files, predict_files
from fsaf_tf.errors import UserError
from fsaf_tf.run import lock
from fsaf_tf.terminal import lasting

ROOT = pathlib.Path(__file__).parent.parent.parent
EXIF_ORIENTATION, ROTATED = 0x0112, 6  # shown turned by 90 degrees clockwise


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), build_model())


@pytest.fixture(scope="module")
def detect(run):
    return fsaf_tf.load_detector(run)


def noise(height, width, channels=3):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def test_finds_a_file_a_folder_and_a_glob(tmp_path, capsys):
    for name in ("b.jpg", "a.PNG", "notes.txt", "deep/c.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    one = f"{tmp_path}: 2 pictures; left out: 1 .txt; 1 folder: --recursive takes it\n"
    assert image_files.find(str(tmp_path / "notes.txt")) == [str(tmp_path / "notes.txt")]
    assert image_files.find(str(tmp_path)) == [str(tmp_path / "a.PNG"), str(tmp_path / "b.jpg")]
    assert capsys.readouterr().out == one
    assert image_files.find(f"{tmp_path}/**/*.jpg") == [
        str(tmp_path / "b.jpg"),
        str(tmp_path / "deep" / "c.jpg"),
    ]
    for nothing in (tmp_path / "nowhere", tmp_path / "*.webp"):
        with pytest.raises(UserError, match="there is no such file"):
            image_files.find(str(nothing))
    (tmp_path / "deep" / "c.jpg").unlink()
    (tmp_path / "deep" / "list.csv").touch()
    with pytest.raises(UserError, match="deep: there is no picture in it; there are: 1 .csv$"):
        image_files.find(str(tmp_path / "deep"))


def test_pictures_of_a_folder_are_known_by_their_content(tmp_path):
    """Of a film, a table and text only the number is told; what is called a picture and is none is named later."""
    for name in ("a.jpg", "b.JPG", "c.jfif", "noending", "deep/er/d.jpe", "odd.ending"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(8, 6)).save(tmp_path / name, format="JPEG")
    Image.fromarray(noise(8, 6)).save(tmp_path / "e.avif")
    for name in ("notes.txt", "more.txt", "film.mp4", "plain", ".hidden.jpg", "f.heic", "deep/list.csv", "out/g.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("no picture")
    said = []
    flat = image_files.find(str(tmp_path), say=said.append)
    names = ["a.jpg", "b.JPG", "c.jfif", "e.avif", "f.heic", "noending", "odd.ending"]
    assert [os.path.relpath(file, tmp_path) for file in flat] == names
    assert said.pop() == (
        f"{tmp_path}: 7 pictures; left out: 2 .txt, 1 .mp4, 1 hidden, 1 without ending; 2 folders: --recursive takes"
        " them"
    )
    everything = image_files.find(str(tmp_path), recursive=True, output=str(tmp_path / "out"), say=said.append)
    assert set(everything) - set(flat) == {str(tmp_path / "deep" / "er" / "d.jpe")}
    assert said == [
        f"{tmp_path}: 8 pictures; left out: 2 .txt, 1 .csv, 1 .mp4, 1 folder that is written to, 1 hidden,"
        " 1 without ending"
    ]
    assert image_files.find(f"{tmp_path}/*", say=said.append) == flat


def test_a_name_that_is_no_text_ends_nothing(detect, tmp_path, capsys):
    """Latin-1 from elsewhere on a disk of UTF-8."""
    (tmp_path / "in").mkdir()
    folder = os.fsencode(tmp_path / "in")
    for name in (b"gr\xfcn.png", b"plain.png"):
        Image.fromarray(noise(60, 90)).save(os.fsdecode(folder + b"/" + name))
    open(folder + b"/gr\xfcb.png", "w").close()
    with lasting.streams():
        predict_files.run(detect, image_files.find(str(tmp_path / "in")), str(tmp_path / "out"), score_threshold=0.0)
    results = json.loads((tmp_path / "out" / "detections.json").read_text())
    names = {os.fsencode(result["file_name"]) for result in results}
    assert names == {b"gr\xfcn.png", b"plain.png"}
    pictures = os.listdir(os.fsencode(tmp_path / "out" / "pictures"))
    assert sorted(pictures) == [b"gr\xfcn.png.jpg", b"plain.png.jpg"]
    assert "1 of 3 files cannot be read" in capsys.readouterr().out


def test_reads_every_kind_of_picture_as_rgb(tmp_path):
    pixels = noise(8, 6)
    Image.fromarray(pixels).save(tmp_path / "plain.png")
    np.testing.assert_array_equal(predict_files.read_image(tmp_path / "plain.png"), pixels)
    Image.fromarray(noise(8, 6, 4), "RGBA").save(tmp_path / "rgba.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(pixels).convert("P").save(tmp_path / "palette.gif")
    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "cmyk.jpg")
    for name in ("rgba.png", "grey.png", "palette.gif", "cmyk.jpg"):
        image = predict_files.read_image(tmp_path / name)
        assert image.shape == (8, 6, 3) and image.dtype == np.uint8
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 256 + 255).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(
        predict_files.read_image(tmp_path / "deep.png"), np.repeat(pixels[..., :1], 3, axis=-1)
    )


def test_a_picture_is_turned_as_its_exif_says(tmp_path):
    pixels = noise(8, 6)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = ROTATED
    Image.fromarray(pixels).save(tmp_path / "rotated.png", exif=exif)
    np.testing.assert_array_equal(predict_files.read_image(tmp_path / "rotated.png"), np.rot90(pixels, -1))


def test_fewer_or_more_detections_of_some_classes(run, detect, tmp_path, monkeypatch, capsys):
    """The flags are those of the experiment, and what is cut off is told."""
    for number in range(3):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (60, 90, 3), np.uint8)).save(
            tmp_path / f"{number}.png"
        )

    def found(*flags):
        arguments = [f"--model={run}", f"--images={tmp_path}", f"--output={tmp_path}/out", *flags]
        assert call(predict_tool, monkeypatch, *arguments) == 0
        return json.loads((tmp_path / "out" / "detections.json").read_text()), capsys.readouterr().out

    plain, said = found()
    most = detect.most
    assert most == 20 and len(plain) == 3 * most
    assert f"3 of 3 pictures have {most} detections, and no more are kept" in said
    many, said = found("--max_detections=2000")
    assert len(many) > len(plain) and "no more are kept" not in said
    some, said = found("--max_detections=5", "--classes=dog,bird")
    assert {row["category_id"] for row in some} <= {IDS[1], IDS[2]} and "3 of 3 pictures have 5 detections" in said
    best = [row for number in (1, 2, 3) for row in [row for row in plain if row["image_id"] == number][:5]]
    assert some == [row for row in best if row["category_id"] != IDS[0]]
    apart, _ = found("--max_detections=2000", "--nms_iou=0.05")
    assert len(apart) < len(many)
    flags = [f"--model={run}", f"--images={tmp_path}", f"--output={tmp_path}/out", "--classes=cow"]
    assert call(predict_tool, monkeypatch, *flags) == "error: --classes has 'cow'; the model has cat, dog, bird"
    rows = [{"name": "cat", "threshold": 0.3}, {"name": "dog", "threshold": 0.25}, {"name": "bird", "threshold": None}]
    report = {"runs": {"mine": {"thresholds": {"by_class": rows, "one": {"threshold": 0.2}}}}}
    (tmp_path / "val.json").write_text(json.dumps(report))
    kept, said = found("--max_detections=2000", f"--thresholds={tmp_path}/val.json")
    least = dict(zip(IDS, (0.3, 0.25, 0.2)))
    assert kept == [row for row in many if row["score"] >= least[row["category_id"]]] and 0 < len(kept) < len(many)
    assert "Kept from these scores on: cat 0.3, dog 0.25; classes without one from 0.2 on" in said
    assert f"{len(kept)} with score 0 or more" in said  # all that is kept is drawn
    with pytest.raises(UserError, match=r"task.model.postprocess.max_detections must be at least 1, not 0"):
        fsaf_tf.load_detector(run, postprocess={"max_detections": 0})
    with pytest.raises(UserError, match=r"no key task.model.postprocess.most"):
        fsaf_tf.load_detector(run, postprocess={"most": 3})


def test_writes_results_and_pictures_and_names_what_cannot_be_read(detect, tmp_path, capsys):
    for name in ("one/same.png", "one/same.png.jpg", "two/same.jpg", "two/same.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(noise(60, 90)).save(tmp_path / name)
    (tmp_path / "one" / "text.jpg").write_text("no picture")
    whole = (tmp_path / "two" / "same.jpg").read_bytes()
    (tmp_path / "two" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    files = image_files.find(f"{tmp_path}/*/*.*")
    predict_files.run(detect, files, str(tmp_path / "out"), score_threshold=0.0)
    results = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert {(result["image_id"], result["file_name"]) for result in results} == {
        (1, "one/same.png"),
        (2, "one/same.png.jpg"),
        (5, "two/same.jpg"),
        (6, "two/same.png"),
    }
    assert set(results[0]) == {"image_id", "category_id", "bbox", "score", "file_name"}
    assert {result["category_id"] for result in results} <= set(detect.category_ids)
    pictures = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.jpg"))
    names = ["one/same.png.jpg", "one/same.png.jpg.jpg", "two/same.jpg", "two/same.png.jpg"]
    assert pictures == [f"pictures/{name}" for name in names]
    said = capsys.readouterr().out
    assert "2 of 6 files cannot be read" in said
    assert "one/text.jpg: not an image" in said and "two/cut.jpg: damaged: image file is truncated" in said
    assert f"{len(results)} detections in 4 images" in said


def test_no_picture_at_all_is_an_error(detect, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(UserError, match="no picture can be read"):
        predict_files.run(detect, [str(tmp_path / "text.jpg")], str(tmp_path / "out"))


def test_never_writes_over_an_image(detect, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").touch()
    with pytest.raises(UserError, match="give another --output"):
        predict_files.run(detect, [str(tmp_path / "pictures" / "a.jpg")], str(tmp_path))


def test_a_second_prediction_into_one_folder_is_refused_and_changes_nothing(detect, tmp_path):
    Image.fromarray(noise(8, 8)).save(tmp_path / "a.png")
    output = tmp_path / "out"
    with lock.held(str(output), [lock.PREDICTION], print), pytest.raises(UserError, match="out is in use: process"):
        predict_files.run(detect, [str(tmp_path / "a.png")], str(output))
    assert not output.exists()
    predict_files.run(detect, [str(tmp_path / "a.png")], str(output))
    assert sorted(path.name for path in output.iterdir()) == ["detections.json", "pictures"]


def test_an_output_that_is_a_file_is_an_error(detect, tmp_path):
    Image.fromarray(noise(8, 8)).save(tmp_path / "a.png")
    (tmp_path / "out").touch()
    with pytest.raises(UserError, match="out cannot be written to: File exists"):
        predict_files.run(detect, [str(tmp_path / "a.png")], str(tmp_path / "out"))


def predict(*arguments, cwd):
    command = [sys.executable, str(ROOT / "tools" / "predict.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


def test_the_tool(run, tmp_path):
    Image.fromarray(noise(60, 90)).save(tmp_path / "a.png")
    done = predict(f"--checkpoint={run}", "--images=a.png", "--output=out", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    first, *others = done.stdout.splitlines()
    assert first == f"Checkpoint: {run}/ckpt-7, step 7 (the newest)"
    assert "detections in 1 images: out/detections.json" in done.stdout and len(others) <= 3
    assert json.loads((tmp_path / "out" / "detections.json").read_text())


@pytest.mark.parametrize(
    "arguments, said",
    [
        ((), "--images is missing"),
        (("--images=a.png", "--output=out"), "give --model"),
        (("--images=a.png", "--output=out", "--checkpoint=best"), "give --model"),
        (("--images=a.png", "--video=a.mp4"), "give --images or --video, not both"),
        (("--images=a.png", "--output=out", "--experiment=no_such"), "no experiment 'no_such'"),
        (("--images=a.png", "--output=out", "--experiment=fsaf_r50"), "there is no runs/fsaf_r50"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, arguments, said):
    (tmp_path / "a.png").touch()
    done = predict(*arguments, cwd=tmp_path)
    assert done.returncode == 1 and said in done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stdout == ""
