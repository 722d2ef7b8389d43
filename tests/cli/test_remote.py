"""Remote paths wherever a path is taken, by storage in memory: the same as on disk, and nothing beside it."""

import json
import os

import pytest
import squares
import tensorflow as tf
from in_process import call

from fsaf_tf.cli import analyze, data, export, predict, train
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths

REMOTE = "ram://bucket/squares"
EXPERIMENT = """
task:
  model:
    max_level: 5
    backbone: {type: resnet, resnet: {depth: 14, width_per_group: 8, form: pytorch, weights: ''}}
    fpn: {channels: 16}
    heads: {convs: 1, channels: 16}
    postprocess: {score_threshold: 0.001, max_detections: 10}
  input_size: {shorter_side: 64, longer_side: 64}
  train_data: {annotation_file: 'FOLDER/squares.json', image_dir: FOLDER, global_batch_size: 4, random_flip: false}
  validation_data: {annotation_file: 'FOLDER/squares.json', image_dir: FOLDER, global_batch_size: 4}
trainer: {train_steps: 2, validation_interval: 2, checkpoint_interval: 1}
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same pictures, annotations and experiment on disk and remote."""
    local = tmp_path_factory.mktemp("squares")
    squares.write(local, 4)
    tf.io.gfile.makedirs(REMOTE)
    for file in os.listdir(local):
        tf.io.gfile.copy(f"{local}/{file}", f"{REMOTE}/{file}")
    return {"local": str(local), "remote": REMOTE}


@pytest.fixture
def run(folders, tmp_path, monkeypatch):
    """Runs a tool with FOLDER in its words; the working directory stays empty."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    def run(tool, where: str, *words: str) -> None:
        words = [word.replace("FOLDER", folders[where]) for word in words]
        assert call(tool, monkeypatch, *words) in (0, None), words

    yield run
    assert os.listdir(tmp_path / "empty") == []  # no folder of the name `ram:`


def test_the_way_from_annotations_to_a_report_is_the_same(run, folders, tmp_path, capsys):
    for where in folders:
        experiment = tmp_path / f"{where}.yaml"
        experiment.write_text(EXPERIMENT.replace("FOLDER", folders[where]))
        run(
            data, where, "check", "--annotations=FOLDER/squares.json", "--images=FOLDER", "--json=FOLDER/out/check.json"
        )
        run(train, where, f"--experiment={experiment}", "--model_dir=FOLDER/run")
        run(predict, where, "--model=FOLDER/run", "--images=FOLDER", "--output=FOLDER/out/predicted")
        run(analyze, where, "--model_dir=FOLDER/run", "--output=FOLDER/out/report.html")
    said = capsys.readouterr().out
    assert f"{REMOTE}/run cannot be locked" in said and "Going on" not in said
    for file in ("out/check.json", "run/metrics.json", "run/best/detections.json", "out/predicted/detections.json"):
        ours, theirs = (_content(f"{folder}/{file}", folder) for folder in folders.values())
        assert ours == theirs, file
    local, remote = (sorted(paths.names(f"{folder}/out/predicted/pictures")) for folder in folders.values())
    assert local == remote == [f"{number}.png.jpg" for number in range(1, 5)]


def test_an_exported_model_is_the_next_of_its_folder_there(run, folders, tmp_path):
    if not paths.is_file(f"{REMOTE}/run/params.yaml"):  # the test before has trained one
        (tmp_path / "e.yaml").write_text(EXPERIMENT.replace("FOLDER", REMOTE))
        run(train, "remote", f"--experiment={tmp_path}/e.yaml", "--model_dir=FOLDER/run", "--mode=train")
    paths.make_folder(f"{REMOTE}/model/4")  # of an earlier export
    run(export, "remote", "--format=saved_model", "--model_dir=FOLDER/run", "--output=FOLDER/model")
    assert paths.is_file(f"{REMOTE}/model/5/saved_model.pb")
    run(predict, "remote", "--model=FOLDER/model", "--images=FOLDER/1.png", "--output=FOLDER/out/exported")
    assert json.loads(paths.read_bytes(f"{REMOTE}/out/exported/detections.json"))


def _content(path: str, folder: str):
    """JSON, with the folder's name and what differs between two runs taken out."""
    content = json.loads(paths.read_bytes(path).decode().replace(folder, "FOLDER"))
    if isinstance(content, dict):
        content.pop("seconds", None)
    return content


@pytest.mark.parametrize(
    "path, words",
    [
        ("s3://bucket/a.json", "s3:// is not read, only .*gs://.* are; mount the bucket"),
        ("https://host/a.json", "https:// is not read, .*; download it: curl -O"),
        ("abfs://share/a.json", "abfs:// is not read, .*; mount it, or copy it here"),
    ],
)
def test_what_no_one_reads_is_said_with_what_to_do(path, words):
    with pytest.raises(UserError, match=words):
        paths.exists(path)


def test_a_path_of_this_machine_is_python_s(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").write_text("text")
    folder, file = f"{tmp_path}/a", f"{tmp_path}/a/b.txt"
    for path, exists in ((folder, True), (file, True), (f"{tmp_path}/none", False)):
        assert not paths.is_remote(path) and paths.exists(path) == exists
    assert (paths.is_folder(folder), paths.is_file(file), paths.is_file(folder)) == (True, True, False)
    assert (paths.names(folder), paths.size(file), paths.read_bytes(file)) == (["b.txt"], 4, b"text")
    assert list(paths.files_below(str(tmp_path))) == paths.glob(f"{tmp_path}/*/*.txt") == [file]
