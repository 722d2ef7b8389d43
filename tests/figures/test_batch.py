"""The figure of what training feeds the network."""

import json

import numpy as np
import pytest
from in_process import call
from PIL import Image

from fsaf_tf.cli import visualize
from fsaf_tf.config import experiment
from fsaf_tf.data import pipeline
from fsaf_tf.data.source import open_source
from fsaf_tf.figures import batch
from fsaf_tf.visualize import canvas


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Four white pictures with two boxes each, one of which is lost where the zoom is far in."""
    root, annotations = tmp_path_factory.mktemp("batch"), []
    for image_id in range(1, 5):
        Image.new("RGB", (96, 64), (250, 250, 250)).save(root / f"{image_id}.png")
        for category, box in ((1, [20, 10, 40, 40]), (2, [80, 50, 10, 10])):
            annotations.append({"image_id": image_id, "category_id": category, "bbox": box})
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "height": 64, "width": 96} for i in range(1, 5)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    (root / "x.json").write_text(json.dumps(content))
    data = f"task.train_data.annotation_file={root}/x.json,task.train_data.image_dir={root}"
    return f"{data},task.input_size.shorter_side=64,task.input_size.longer_side=96,task.train_data.global_batch_size=2"


def load(keys, more=""):
    return experiment.load("custom", overrides=keys + more)


def test_each_picture_has_its_boxes_where_training_has_them(keys):
    params = load(keys)
    source = open_source(params.task.train_data)
    figure = batch.draw(params, source, 3)
    batches = pipeline.build_dataset(source, params.task.train_data, params.task.input_size, batch_size=2)
    rows = [boxes for each in batches.take(2).as_numpy_iterator() for boxes in each["boxes"]][:3]
    factor = 5  # 96 px become 480
    width, height = factor * 96, factor * 64
    panel = (figure.shape[0] - canvas.GAP) // 2
    title = panel - height
    for index, boxes in enumerate(rows):
        top, left = index // 2 * (panel + canvas.GAP) + title, index % 2 * (width + canvas.GAP)
        for label in (0, 1):
            y1, x1, y2, x2 = factor * boxes[label]
            middle = figure[round(top + (y1 + y2) / 2), round(left + x1) : round(left + x1) + 3]
            assert (np.abs(middle.astype(int) - canvas.colour(label)).max(axis=-1) < 40).any()
    assert figure.shape[1] == 2 * width + canvas.GAP


def test_what_is_not_learnt_is_dashed_and_counted(keys, monkeypatch):
    params = load(keys, ",task.train_data.augmentation.zoom=[2.0,2.0]")
    titles, panel = [], canvas.panel

    def recorded(picture, title):
        titles.append(title)
        return panel(picture, title)

    monkeypatch.setattr(canvas, "panel", recorded)
    source = open_source(params.task.train_data)
    batch.draw(params, source, 8)
    batches = pipeline.build_dataset(source, params.task.train_data, params.task.input_size, batch_size=2)
    lost = [int(count) for each in batches.take(4).as_numpy_iterator() for count in each["left_out"]]
    assert any(lost) and [", 2 boxes" in title for title in titles] == [True] * 8
    for title, count in zip(titles, lost):
        assert title.endswith(f", {count} not learnt" if count else ", 2 boxes")


def test_the_command_writes_it(keys, tmp_path, monkeypatch, capsys):
    flags = ["--figure=batch", "--experiment=custom", f"--params_override={keys}", "--count=2", f"--output={tmp_path}"]
    assert call(visualize, monkeypatch, *flags) == 0
    assert f"{tmp_path}/batch.png" in capsys.readouterr().out
    assert Image.open(tmp_path / "batch.png").size[0] == 2 * 480 + canvas.GAP
