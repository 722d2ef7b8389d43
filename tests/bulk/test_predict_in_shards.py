"""Prediction in shards by Beam: killed, gone on with, and the files of a plain prediction."""

import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from in_process import call
from PIL import Image
from small_run import build_model, write_run

from fsaf_tf.bulk import seen
from fsaf_tf.cli import predict
from fsaf_tf.detect.predict_files import Seen
from fsaf_tf.errors import UserError

ROOT = pathlib.Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run, and 40 pictures, one of which is none; what a plain prediction makes of them."""
    folder = tmp_path_factory.mktemp("place")
    write_run(folder / "run", build_model())
    (folder / "in" / "deep").mkdir(parents=True)
    for number in range(40):
        pixels = np.random.default_rng(number).integers(0, 256, (30 + number, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "in" / f"{number:02d}.{('png', 'jpg')[number % 2]}")
    (folder / "in" / "18.png").write_bytes(b"poison")
    with pytest.MonkeyPatch.context() as patch:
        assert call(predict, patch, *flags_of(folder, "plain")) == 0
    return folder


def flags_of(folder, output: str, *more: str) -> list[str]:
    flags = [f"--model={folder}/run", f"--images={folder}/in", f"--output={folder}/{output}", "--forms=coco,csv,yolo"]
    return [*flags, "--score_threshold=0.9", *more]


def files_in(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_killed_it_goes_on_and_ends_as_a_plain_prediction(place, monkeypatch, capsys):
    in_shards = flags_of(place, "out", "--runner=DirectRunner", "--shards=8")
    process = subprocess.Popen([sys.executable, "tools/predict.py", *in_shards], cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None and not list(place.glob("out/unfinished/result-*.npz")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (place / "out" / "detections.json").exists()
    capsys.readouterr()
    other = call(predict, monkeypatch, *in_shards, "--nms_iou=0.3")
    assert "out/unfinished is of other work that was not finished: options is" in other
    assert call(predict, monkeypatch, *in_shards) == 0
    said = capsys.readouterr().out
    assert "of 8 shards are there and kept" in said and "goes on; 0 of" not in said
    assert "1 of 40 files cannot be read and are left out:" in said and "18.png: not an image that can be read" in said
    assert files_in(place / "out") == files_in(place / "plain")


def test_a_list_of_pictures_and_threads(place, monkeypatch, tmp_path):
    """Two threads of one process share a detector; one picture after the other is looked at."""
    names = [f"{place}/in/{number:02d}.png" for number in (8, 4, 12)]
    (tmp_path / "list.txt").write_text("".join(f"{name}\n" for name in names))
    of_list = [f"--model={place}/run", f"--image_list={tmp_path}/list.txt"]
    threads = ["--runner=DirectRunner", "--shards=3", "--", "--direct_num_workers=2"]
    threads.append("--direct_running_mode=multi_threading")
    assert call(predict, monkeypatch, *of_list, f"--output={tmp_path}/plain") == 0
    assert call(predict, monkeypatch, *of_list, f"--output={tmp_path}/out", *threads) == 0
    assert files_in(tmp_path / "out") == files_in(tmp_path / "plain")
    (tmp_path / "list.txt").write_text(f"{names[0]}\n{names[0]}\n")
    assert f"list.txt names {names[0]} twice (1 of 2 lines)" in call(
        predict, monkeypatch, *of_list, f"--output={tmp_path}/x"
    )
    (tmp_path / "list.txt").write_text("\n")
    assert "list.txt names no picture" in call(predict, monkeypatch, *of_list, f"--output={tmp_path}/x")


def test_a_shard_that_cannot_be_done_is_one_line(place, monkeypatch, tmp_path):
    """Its result would be where a folder is; what others have done stays."""
    flags = [f"--model={place}/run", f"--images={place}/in/0*.png", f"--output={tmp_path}/out"]
    flags += ["--runner=DirectRunner", "--shards=2"]
    (tmp_path / "out" / "unfinished" / "plan-00001.npz").mkdir(parents=True)
    line = call(predict, monkeypatch, *flags)
    assert line == f"error: {tmp_path}/out/unfinished is there and not of this tool; give another --output"
    shutil.rmtree(tmp_path / "out")
    real = seen.write

    def block(path: str, *rest) -> None:
        pathlib.Path(path).mkdir()
        real(path, *rest)

    monkeypatch.setattr(seen, "write", block)
    line = call(predict, monkeypatch, *flags)
    assert line.startswith(f"error: {tmp_path}/out/unfinished/result-0000") and "\n" not in line
    assert not (tmp_path / "out" / "detections.json").exists()


def test_what_came_of_pictures_is_read_as_it_was_written(tmp_path):
    found = {"boxes": np.float32([[1, 2, 3, 4.1]]), "scores": np.float32([0.7]), "classes": np.int32([2])}
    nothing = {"boxes": np.zeros([0, 4], np.float32), "scores": np.zeros(0, np.float32), "classes": np.zeros(0, int)}
    rows = [Seen(3, 4, nothing, None), UserError(""), Seen(5, 6, found, "the disk is full"), UserError("HEIC")]
    seen.write(f"{tmp_path}/a.npz", rows, 3)
    read, cut_off = seen.read(f"{tmp_path}/a.npz")
    ours = list(read)
    assert cut_off == 3 and [str(row) for row in (ours[1], ours[3])] == ["", "HEIC"]
    for one, other in ((ours[0], rows[0]), (ours[2], rows[2])):
        assert one[:2] == other[:2] and one.undrawn == other.undrawn
        for name in found:
            assert np.array_equal(one.detections[name], other.detections[name])
    seen.write(f"{tmp_path}/a.npz", rows[1:2], 0)
    assert len(list(seen.read(f"{tmp_path}/a.npz")[0])) == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--images=x", "--shards=3"], "--shards is for --runner"),
        (["--video=x", "--runner=DirectRunner"], "--runner is for --images"),
        (["--images=x", "--", "--streaming"], "'--streaming' stands after `--`, where options of --runner are"),
        (["--images=x", "--image_list=y"], "give --images or --image_list, not both"),
    ],
)
def test_flags_that_do_not_go_together(flags, words, monkeypatch):
    assert words in call(predict, monkeypatch, "--model=run", "--output=out", *flags)
