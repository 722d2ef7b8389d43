"""A folder of annotations is there as a whole or not at all, and nothing is written over."""

import os
import signal

import pytest
import written
from in_process import call

from fsaf_tf.cli import data
from fsaf_tf.data import annotated, frames
from fsaf_tf.data.writers import forms, write
from fsaf_tf.files import parts


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return written.write(tmp_path_factory.mktemp("small"))


def convert(monkeypatch, small, output, *flags: str):
    given = [f"--annotations={small[0]}", f"--images={small[1]}", f"--output={output}", "--form=voc", *flags]
    return call(data, monkeypatch, "convert", *given)


def read(small) -> annotated.Annotated:
    return annotated.check(annotated.read(*small, frame=frames.AUTO), frame=frames.AUTO)


def content(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_written_over(small, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    assert convert(monkeypatch, small, tmp_path / "out") == 0  # an empty folder is as good as none
    before = content(tmp_path)
    error = convert(monkeypatch, small, tmp_path / "out", "--copy_images")
    assert (
        error == f"error: --output={tmp_path}/out is there and not empty; nothing is written over: give another folder"
    )
    (tmp_path / "file").write_text("mine")
    assert convert(monkeypatch, small, tmp_path / "file") == f"error: --output={tmp_path}/file is a file; give a folder"
    assert content(tmp_path) == before | {"file": b"mine"}


@pytest.mark.parametrize(
    "output, words",
    [
        ("out.json", "--output=out.json: give a folder; what is in it is named by the tool"),
        ("gs://bucket/out", "--output=gs://bucket/out: annotations are written to local folders alone"),
    ],
)
def test_an_output_that_is_no_folder(output, words, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert words in convert(monkeypatch, small, output)
    assert not list(tmp_path.iterdir())


def test_yolo_needs_its_pictures_beside_its_texts(small, tmp_path, monkeypatch):
    given = [f"--annotations={small[0]}", f"--images={small[1]}", f"--output={tmp_path}/out", "--form=yolo"]
    error = call(data, monkeypatch, "convert", *given)
    assert error == "error: YOLO finds boxes by the place of the pictures: add --link_images, or --copy_images"


def test_an_error_leaves_nothing(small, tmp_path, monkeypatch):
    given = read(small)
    target = write.Target(str(tmp_path / "out"), forms.FORMS["voc"])
    monkeypatch.setattr(os, "sync", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write.write(target, {"": given.table}, given, print)
    assert not list(tmp_path.iterdir())


def test_what_a_kill_left_is_no_result_and_goes(small, tmp_path, monkeypatch, capsys):
    """All files are written when it comes, and the folder has its name not yet."""
    given, target = read(small), write.Target(str(tmp_path / "out"), forms.FORMS["voc"], write.COPY)
    child = os.fork()
    if not child:
        os.sync = lambda: os.kill(os.getpid(), signal.SIGKILL)
        write.write(target, {"": given.table}, given, print)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(f"out{parts.PART}") and len(content(left)) == 2 * len(written.SIZES)
    assert convert(monkeypatch, small, tmp_path / "out") == 0
    assert f"Left by a kill and taken away: 1 ({left.name})" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert len(content(tmp_path / "out")) == len(written.SIZES)
