"""The card of an exported model says what the files of its run say, and that it does not know what they do not."""

import hashlib
import json
import pathlib
import re

import pytest
import small_run

import fsaf_tf
from fsaf_tf.serving import card

METRICS = {"AP": 0.5, "AP50": 0.75, "AP75": 0.25, "APs": None, "APm": 0.5, "APl": 0.5, "AR100": 0.625}
METRICS |= {"AP_by_class": {name: 0.125 * index for index, name in enumerate(small_run.NAMES)}, "images": 250}
METRICS |= {"step": 7, "checkpoint": "ckpt-7", "data_digest": {"pictures": "ab12", "boxes": "cd34"}}
METRICS |= {"data": {"annotation_file": "val.json", "image_dir": "val"}}
START = {"command": "fsaf-train --experiment=custom", "git": "abc123", "packages": {"numpy": "9.9"}}
START |= {"data": {"train": {"name": "train.json", "images": 1234}}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = small_run.write_run(tmp_path_factory.mktemp("card") / "run", small_run.build_model())
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    (folder / "run.json").write_text(json.dumps({"starts": [{"command": "an earlier start"}, START]}))
    return folder


@pytest.fixture(scope="module")
def detector(run):
    return fsaf_tf.load_detector(run)


def written(detector, folder: pathlib.Path) -> str:
    (folder / "model.bin").write_bytes(b"weights")
    exported = card.Exported("TFLite, int8", "64 x 96 px", files=(f"{folder}/model.bin",), title="a model")
    path = card.write(detector, exported, card.beside(f"{folder}/model.bin"))
    assert path == f"{folder}/model.card.md"
    return pathlib.Path(path).read_text()


def cells(text: str) -> list[list[str]]:
    """The rows of all tables."""
    return [[cell.strip() for cell in line[1:-1].split(" | ")] for line in text.splitlines() if line.startswith("|")]


def test_every_value_is_that_of_the_runs_files(detector, run, tmp_path):
    text = written(detector, tmp_path)
    rows = cells(text)
    assert ["0.500", "0.750", "0.250", "no objects", "0.500", "0.500", "0.625"] in rows
    for index, (name, category_id) in enumerate(zip(small_run.NAMES, small_run.IDS)):
        assert [str(index), str(category_id), name, f"{0.125 * index:.3f}"] in rows
    assert ["evaluation", "annotation_file val.json, image_dir val", "250", "pictures ab12, boxes cd34"] in rows
    (training,) = (row for row in rows if row[0] == "training")
    assert training[2] == "1234"
    facts = {row[0]: row[1] for row in rows if len(row) == 2}
    for file in [*run.glob("ckpt-7.*"), tmp_path / "model.bin"]:
        assert facts[f"SHA-256 of {file.name}"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (facts["step"], facts["training's command"], facts["training's code"]) == ("7", START["command"], "abc123")
    assert (facts["training's packages"], facts["form"]) == ("numpy 9.9", "TFLite, int8")
    assert facts["parameters"] == f"{detector.model.count_params():,}"
    size, post = detector.config.input_size, detector.config.model.postprocess
    assert f"{size.shorter_side} px of the shorter side" in text
    assert f"At most {post.max_detections} detections of a picture, scores over {post.score_threshold}" in text


def test_figures_of_the_model_itself_take_the_place_of_their_lack(detector, tmp_path):
    assert "This exported model itself was not evaluated." in written(detector, tmp_path)
    card.add_figures(f"{tmp_path}/model.card.md", "model_int8.tflite", {"AP": 0.4375, "AP50": 0.7}, 250)
    text = (tmp_path / "model.card.md").read_text()
    assert "itself (model_int8.tflite): AP 0.438, AP50 0.700 on the 250 images" in text and "was not" not in text


def test_what_no_file_records_is_said_not_to_be_known(tmp_path):
    run = small_run.write_run(tmp_path / "run", small_run.build_model(), step=0, checkpoint="ckpt-0")
    for name, content in (("run.json", '{"starts": [5]}'), ("metrics.json", '{"AP": 0.9, "checkpoint": "ckpt-8"}')):
        (run / name).write_text(content)
    text = written(fsaf_tf.load_detector(run), tmp_path)
    assert "Not evaluated: there is no `metrics.json` of this checkpoint." in text and "0.9" not in text
    assert [row[-1] for row in cells(text) if row[0] == "0" and len(row) == 4] == ["not evaluated"]
    assert "The weights were imported, not trained by this run" in text and "(those that were imported)" in text
    assert ["training", *["not recorded"] * 3] in cells(text) and ["training's command", "not recorded"] in cells(text)


def test_a_detector_with_other_values_than_the_evaluated_one_is_told(run, tmp_path):
    text = written(fsaf_tf.load_detector(run, postprocess={"nms_iou": 0.375}), tmp_path)
    assert "Exported with other values than the run's: `task.model.postprocess.nms_iou` 0.375, not 0.5." in text


def test_names_and_paths_are_no_markup():
    assert card.text("a|b <img src=x>\n# [c](d) e_f _g_") == r"a\|b \<img src=x\> # \[c\](d) e_f \_g\_"
    assert not re.search(r"(?<!\\)[|<`]", card.text("||<`|"))
