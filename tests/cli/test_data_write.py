"""`tools/data.py split` and `merge`, and what `convert` changes: as a user types them."""

import json
import pathlib

import numpy as np
import pytest
from in_process import call
from PIL import Image

from fsaf_tf.cli import data
from fsaf_tf.data import coco_json

CATEGORIES = [{"id": 4, "name": "nut"}, {"id": 6, "name": "bolt: long"}, {"id": 8, "name": "bolt: short"}]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Eight videos of four frames, a.json; b.json of other pictures with other ids."""
    monkeypatch.chdir(tmp_path)
    videos = [f"Vidéo {video}_{frame}.png" for video in range(8) for frame in range(4)]
    write("a.json", "photos a", videos, CATEGORIES)
    others = [{"id": 1, "name": "bolt: long"}, {"id": 2, "name": "ring"}]
    write("b.json", "photos b", ["x.png", videos[0]], others)
    return tmp_path


def write(name: str, images: str, pictures: list[str], categories: list[dict]) -> None:
    pathlib.Path(images).mkdir()
    for number, picture in enumerate(pictures):
        Image.new("RGB", (64, 48), (number, len(pictures), 0)).save(f"{images}/{picture}")
    ids = [category["id"] for category in categories]
    content = {
        "images": [{"id": i, "file_name": name, "width": 64, "height": 48} for i, name in enumerate(pictures)],
        "annotations": [
            {"id": 10 * i + k, "image_id": i, "category_id": ids[(i // 4 + k) % len(ids)], "bbox": [k, k, 20, 20]}
            for i in range(len(pictures))
            for k in range(2)
        ],
        "categories": categories,
    }
    pathlib.Path(name).write_text(json.dumps(content), encoding="utf-8")


def run(monkeypatch, capsys, *arguments: str) -> list[str]:
    """The lines that a command prints."""
    assert call(data, monkeypatch, *arguments) == 0
    return capsys.readouterr().out.splitlines()


A = ("--annotations=a.json", "--images=photos a")


def test_split_of_videos(folder, monkeypatch, capsys):
    given = ("split", *A, "--fractions=0.5,0.25,0.25", r"--group_by=(.*)_\d+", "--output=teile ü")
    lines = run(monkeypatch, capsys, *given)
    assert lines[:2] == ["a.json: 32 pictures, 64 boxes, 3 classes", "  32 pictures are 8 groups"]
    assert lines[2].split() == ["train", "val", "test"]
    assert lines[3].split() == ["pictures", "16", "50.0%", "8", "25.0%", "8", "25.0%"]
    assert [line.split("  ")[1] for line in lines[4:7]] == ["nut", "bolt: long", "bolt: short"]
    assert lines[7:] == [
        f"{part}: annotation_file=teile ü/{part}.json, image_dir=photos a" for part in ("train", "val", "test")
    ]
    whole, parts = (
        coco_json.read("a.json"),
        [coco_json.read(f"teile ü/{part}.json") for part in ("train", "val", "test")],
    )
    names = [{name.split("_")[0] for name in part.file_names} for part in parts]
    assert [len(own) for own in names] == [4, 2, 2] and len(set.union(*names)) == 8
    assert sorted(name for part in parts for name in part.file_names) == sorted(whole.file_names)
    by_name = {name: whole.image_ids[place] for place, name in enumerate(whole.file_names)}
    for part in parts:  # ids, classes and boxes are those of before
        assert [by_name[name] for name in part.file_names] == part.image_ids.tolist()
        assert part.classes == whole.classes
    boxes = np.concatenate([part.boxes_xywh for part in parts])
    np.testing.assert_array_equal(np.sort(boxes, axis=0), np.sort(whole.boxes_xywh, axis=0))


def test_a_split_is_that_of_its_seed(folder, monkeypatch, capsys):
    for output, seed in (("one", 1), ("again", 1), ("other", 2)):
        run(monkeypatch, capsys, "split", *A, "--fractions=0.75,0.25", f"--seed={seed}", f"--output={output}")
    one, again, other = (pathlib.Path(output, "val.json").read_bytes() for output in ("one", "again", "other"))
    assert one == again != other


def test_a_split_in_another_form(folder, monkeypatch, capsys):
    given = ("split", *A, "--fractions=0.75,0.25", "--form=yolo", "--copy_images", "--output=out")
    lines = run(monkeypatch, capsys, *given)
    assert lines[-2:] == [
        "train: annotation_file=out/data.yaml:train, image_dir=out/images/train",
        "val: annotation_file=out/data.yaml:val, image_dir=out/images/val",
    ]
    for part, count in (("train", 24), ("val", 8)):
        pictures, texts = (set(pathlib.Path("out", kind, part).iterdir()) for kind in ("images", "labels"))
        assert len(pictures) == count and {path.stem for path in pictures} == {path.stem for path in texts}
    assert pathlib.Path("out/data.yaml").read_text(encoding="utf-8").splitlines()[:2] == [
        "train: images/train",
        "val: images/val",
    ]


def test_merge_with_new_names(folder, monkeypatch, capsys):
    given = ("--annotations=b.json", "--images=photos b", "--rename=bolt: long:bolt", "--rename=bolt: short:bolt")
    lines = run(monkeypatch, capsys, "merge", *A, *given, "--output=both")
    assert lines[:4] == [
        "a.json: 32 pictures, 64 boxes, 3 classes",
        "b.json: 2 pictures, 4 boxes, 2 classes",
        "a.json and b.json: 34 pictures, 68 boxes, 3 classes",
        "  bolt: long, bolt: short are one class now: bolt",
    ]
    assert lines[4] == (
        "  1 of 4 classes has another id in some of the files; joined by name (first: bolt: long, 1 in b.json, is 6)"
    )
    assert lines[-1] == f"annotation_file=both/annotations.json, image_dir={folder}"
    merged = coco_json.read("both/annotations.json")
    assert dict(zip(merged.classes.names, merged.classes.ids)) == {"nut": 4, "bolt": 6, "ring": 2}
    assert len(merged.file_names) == 34 and merged.image_ids.tolist() == list(range(1, 35))
    assert {"photos a/Vidéo 0_0.png", "photos b/Vidéo 0_0.png"} <= set(merged.file_names)
    counts = dict(zip(merged.classes.names, np.bincount(merged.class_indices).tolist()))
    before = np.bincount(coco_json.read("a.json").class_indices)
    assert counts == {"nut": before[0], "bolt": before[1] + before[2] + 2, "ring": 2}


def test_some_classes(folder, monkeypatch, capsys):
    lines = run(monkeypatch, capsys, "convert", *A, "--classes=nut,bolt: long", "--form=csv", "--output=out")
    assert lines[0] == "a.json: 32 pictures, 44 boxes, 2 classes"
    rows = pathlib.Path("out/annotations.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert {row.split(",")[3] for row in rows} == {"nut", "bolt: long"} and len(rows) == 44
    error = call(data, monkeypatch, "convert", *A, "--classes=nuts", "--output=other")
    assert error == ("error: a.json has no class 'nuts', did you mean 'nut'?; there are: nut, bolt: long, bolt: short")


def test_a_class_with_two_new_names(folder, monkeypatch):
    error = call(data, monkeypatch, "convert", *A, "--rename=nut:a", "--rename=nut:b", "--output=out")
    assert error == "error: --rename gives 'nut' two names, 'a' and 'b'; leave one"


def test_a_missing_picture_is_said_and_nothing_written(folder, monkeypatch):
    pathlib.Path("photos a/Vidéo 3_1.png").unlink()
    error = call(data, monkeypatch, "convert", *A, "--output=out")
    assert error == "error: a.json: image missing in photos a (1 of 32 images, first: Vidéo 3_1.png)"
    assert not pathlib.Path("out").exists()
