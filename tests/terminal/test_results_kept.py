"""What is kept where a fault ends the work, or a part of it, in the middle: real files, and disks that are full."""

import contextlib
import json
import os
import resource
import signal

import numpy as np
import pytest
import tensorflow as tf
from cases_of_checkpoints import saved
from cases_of_data import annotations
from cases_of_detection import Nothing, video
from cases_of_files import picture
from injected import outcome

from fsaf_tf.analysis import inputs, write_report
from fsaf_tf.config import schema
from fsaf_tf.data import coco
from fsaf_tf.data.examples import named_errors
from fsaf_tf.detect import predict_files, predict_video
from fsaf_tf.errors import UserError
from fsaf_tf.figures import write_figures
from fsaf_tf.files import paths, storage
from fsaf_tf.run import checkpoints, ending, on_disk, records
from fsaf_tf.terminal.progress import Progress


@contextlib.contextmanager
def small_disk(room: int):
    """Inside, a file that gets larger than so many bytes cannot be written to, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def read(path) -> list:
    return json.loads(path.read_text())


def names(folder) -> list[str]:
    return sorted(os.listdir(folder))


def test_detections_up_to_a_fault_are_kept_beside_those_of_before(tmp_path, capsys):
    files = [picture(tmp_path, f"{number}.png") for number in range(3)]
    (tmp_path / "out").mkdir()
    (tmp_path / "out/detections.json").write_text("of before")
    run = predict_files.run
    line = outcome(lambda: run(Nothing(fails_at=3, finds=1), files, f"{tmp_path}/out"))
    assert line == "error: camera: the disk fails (input/output error)"
    assert "2 detections up to there are kept in" in capsys.readouterr().out
    assert (tmp_path / "out/detections.json").read_text() == "of before"
    assert [row["file_name"] for row in read(tmp_path / "out/detections.unfinished.json")] == ["0.png", "1.png"]
    assert names(tmp_path / "out/pictures") == ["0.png.jpg", "1.png.jpg"]
    assert outcome(lambda: run(Nothing(finds=1), files, f"{tmp_path}/out")) == 0
    assert (
        names(tmp_path / "out") == ["detections.json", "pictures"] and len(read(tmp_path / "out/detections.json")) == 3
    )


def test_a_picture_that_cannot_be_written_costs_no_detections(tmp_path):
    files = [picture(tmp_path, f"{number}.png") for number in range(3)]
    (tmp_path / "out/pictures/1.png.jpg").mkdir(parents=True)
    line = outcome(lambda: predict_files.run(Nothing(finds=1), files, f"{tmp_path}/out"))
    assert line.startswith("error: 1 of 3 pictures cannot be written, all detections are: ") and "1.png.jpg" in line
    assert len(read(tmp_path / "out/detections.json")) == 3
    assert names(tmp_path / "out/pictures") == ["0.png.jpg", "1.png.jpg", "2.png.jpg"]


def test_frames_up_to_a_fault_are_kept(tmp_path):
    path = video(tmp_path)
    line = outcome(lambda: predict_video.run(Nothing(fails_at=3, finds=1), path, f"{tmp_path}/out"))
    assert line == "error: camera: the disk fails (input/output error)"
    assert names(tmp_path / "out") == ["detections.unfinished.json", "video.unfinished.mp4"]
    assert len(read(tmp_path / "out/detections.unfinished.json")) == 2


def test_a_video_on_a_full_disk_is_told_though_opencv_does_not(tmp_path):
    path = video(tmp_path)
    with small_disk(500):
        line = outcome(lambda: predict_video.run(Nothing(), path, f"{tmp_path}/out"))
    assert line.startswith(f"error: {tmp_path}/out/video.mp4 cannot be written: 0 of 3 frames")
    assert names(tmp_path / "out") == ["detections.json"]


def test_a_full_disk_leaves_the_picture_of_before(tmp_path):
    path = picture(tmp_path, "figure.png")
    before = (tmp_path / "figure.png").read_bytes()
    noise = np.random.default_rng(0).integers(0, 255, [64, 64, 3], np.uint8)
    with small_disk(500):
        line = outcome(lambda: write_figures.write(noise, path))
    assert line.startswith(f"error: {path}.part-") and (tmp_path / "figure.png").read_bytes() == before
    assert names(tmp_path) == ["figure.png"]


def test_a_full_disk_leaves_the_evaluation_of_before(tmp_path):
    records.write_evaluation(str(tmp_path), {"AP": 0.1}, [{"image_id": 1}])
    with small_disk(500):
        line = outcome(lambda: records.write_evaluation(str(tmp_path), {"AP": 0.5}, [{"image_id": 2}] * 100))
    assert line.startswith("error: ") and names(tmp_path) == ["detections.json", "metrics.json"]
    assert storage.read_json(f"{tmp_path}/metrics.json") == {"AP": 0.1}
    assert read(tmp_path / "detections.json") == [{"image_id": 1}]


def test_a_full_disk_leaves_the_checkpoint_of_before(tmp_path):
    before = saved(tmp_path)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(value=tf.Variable(tf.zeros([10_000]))), str(tmp_path), max_to_keep=1, checkpoint_name="ckpt"
    )

    def train() -> None:
        with ending.told(Progress(), str(tmp_path), schema.Task()):
            manager.save(8)

    with small_disk(500):
        line = outcome(train)
    assert line.startswith("error: ") and line.endswith(f"({before} is kept)")
    assert checkpoints.choose(str(tmp_path)).prefix == before


def test_a_report_without_the_picture_that_is_gone(tmp_path, monkeypatch):
    """The figures, which may have taken minutes, are not lost."""
    picture(tmp_path)
    results = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2], "score": 0.9}]
    storage.write_results(f"{tmp_path}/results.json", results)
    pictures = inputs.pictures

    def gone(*arguments):
        os.remove(tmp_path / "picture.png")
        yield from pictures(*arguments)

    monkeypatch.setattr(inputs, "pictures", gone)
    options = {"labels": [], "wanted": write_report.Wanted(score_threshold=0.3, pictures=6, browse=500)}
    data = inputs.Data(annotations(tmp_path), str(tmp_path), False)
    line = outcome(
        lambda: write_report.make([], [f"{tmp_path}/results.json"], f"{tmp_path}/report.html", data=data, **options)
    )
    assert line == f"error: 1 of 1 pictures are not in the report: {tmp_path}/picture.png: it is not there"
    assert "<html" in (tmp_path / "report.html").read_text() and "AP" in (tmp_path / "report.json").read_text()


def test_a_checkpoint_that_cannot_be_read_now_is_not_set_aside(tmp_path, monkeypatch):
    saved(tmp_path, "ckpt-3")
    saved(tmp_path)

    def too_many(prefix: str):
        raise tf.errors.ResourceExhaustedError(None, None, f"{prefix}.index; Too many open files")

    monkeypatch.setattr(paths, "open_checkpoint", too_many)
    with pytest.raises(UserError, match="ckpt-7.*too many files are open; raise `ulimit -n`"):
        checkpoints.newest_readable(str(tmp_path), set_aside=True, say=print)
    assert not [name for name in names(tmp_path) if name.startswith(on_disk.UNREADABLE)]


def unreadable(path) -> None:
    path.symlink_to("/proc/self/mem")


FAULTS = {
    "gone": (lambda path: None, "picture.png: it is not there"),
    "a folder": (lambda path: path.mkdir(), "picture.png: it is a folder where a file is wanted"),
    "a disk that fails": (unreadable, "picture.png: the disk fails (input/output error)"),
    "empty": (lambda path: path.touch(), "picture.png cannot be read: an empty file"),
    "damaged": (
        lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50)),
        "picture.png cannot be read: not an image",
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_picture_that_a_data_set_reads(tmp_path, kind):
    """After the check of all files before the run."""
    make, words = FAULTS[kind]
    picture(tmp_path)
    source = coco.open_coco(annotations(tmp_path), str(tmp_path), frame="auto")
    (tmp_path / "picture.png").unlink()
    make(tmp_path / "picture.png")

    def train() -> None:
        with ending.told(Progress(), str(tmp_path), schema.Task()):
            list(named_errors(source.decode(source.examples())))

    assert words in outcome(train)
