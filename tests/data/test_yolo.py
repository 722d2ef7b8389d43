"""YOLO: data.yaml with its splits, lists, folders of texts, names of classes, and mistakes with file and line."""

import json
import pathlib

import form_files
import pytest
from annotation_files import scene

from fsaf_tf.errors import UserError

YAML = "path: .\ntrain: images/train\nval: images/val\nnames: [nut, bolt, washer]\n"


def rows(name: str) -> str:
    width, height = scene.PICTURES[name]
    lines = []
    for label, (x, y, w, h) in scene.boxes_of(name):
        shares = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
        lines.append(f"{scene.CLASSES.index(label)} {' '.join(map(repr, shares))}\n")
    return "".join(lines)


def make(folder: pathlib.Path) -> pathlib.Path:
    """Ultralytics' folders; c.png has no text, as they have it of background."""
    for split in ("train", "val"):
        form_files.pictures(folder / "images" / split)
        (folder / "labels" / split).mkdir(parents=True)
        for name in ("a.png", "b.png"):
            (folder / "labels" / split / name).with_suffix(".txt").write_text(rows(name))
    (folder / "labels" / "val" / "b.txt").write_text("")
    (folder / "data.yaml").write_text(YAML)
    return folder


@pytest.fixture
def root(tmp_path):
    return make(tmp_path)


def is_whole(source) -> bool:
    return source.num_images == 3 and form_files.boxes_of(source) == form_files.EXPECTED


def test_the_split_is_that_of_the_data(root):
    train, val = (form_files.opened(root / "data.yaml", split=split) for split in ("train", "val"))
    assert is_whole(train) and train.classes.names == ("nut", "bolt", "washer") and train.classes.ids == (0, 1, 2)
    assert train.form == f"YOLO, `train` of data.yaml, 2 texts; pictures in {root}/images/train"
    assert form_files.kinds(train) == ["no_text", "empty_pictures"]
    assert form_files.boxes_of(val) == form_files.EXPECTED[:2] and len(val.boxes().sizes) == 3
    named = form_files.opened(f"{root}/data.yaml:val", split="train")
    assert named.form.startswith("YOLO, `val` of data.yaml") and form_files.boxes_of(named) == form_files.EXPECTED[:2]


def test_a_split_that_is_not_there(root):
    with pytest.raises(UserError, match=r"no `test` is in it There are: .*data.yaml:train, .*data.yaml:val"):
        form_files.opened(root / "data.yaml", split="test")
    with pytest.raises(UserError, match=r"which part of it\? There are: .*data.yaml:train, "):
        form_files.opened(root / "data.yaml", split="")


@pytest.mark.parametrize(
    "text",
    [
        "train: ../images/train\nval: ../images/val\nnc: 2\nnames: ['nut', 'bolt']",  # Roboflow's
        "path: /content/parts\ntrain: images/train\nvalid: images/val\nnames: {0: nut, 1: bolt}",
        "train: [images/train]\nnames:\n- nut\n- bolt\n",
        "train: train.txt\nnames:\n  1: bolt\n  0: nut\n",
    ],
)
def test_ways_to_write_a_yaml(root, text):
    (root / "train.txt").write_text("".join(f"./images/train/{name}\n" for name in scene.PICTURES))
    (root / "data.yaml").write_text(text)
    assert is_whole(form_files.opened(root / "data.yaml"))


def test_a_yaml_of_a_list_or_of_folders_names_no_other_pictures(root):
    (root / "train.txt").write_text("./images/train/a.png\n")
    (root / "data.yaml").write_text("train: train.txt\nnames: [nut, bolt]\n")
    assert form_files.opened(root / "data.yaml").boxes().file_names == ["a.png"]
    form_files.pictures(root / "images" / "test")
    (root / "data.yaml").write_text("train: [images/train, images/val]\nnames: [nut, bolt]\n")
    names = form_files.opened(root / "data.yaml").boxes().file_names
    assert names == [f"{part}/{name}" for part in ("train", "val") for name in scene.PICTURES]


def test_the_folder_of_a_yaml_has_its_splits(root):
    source = form_files.opened(root)
    assert is_whole(source) and source.form.startswith("YOLO, `train` of data.yaml")
    (root / "data.yaml").write_text("names: [nut, bolt]\n")
    assert form_files.opened(root).num_images == 6


def test_pictures_in_another_folder_than_the_yaml_s(root):
    form_files.pictures(root / "elsewhere")
    assert is_whole(form_files.opened(root / "data.yaml", root / "elsewhere"))
    for path in (root / "images" / "train").iterdir():
        path.unlink()
    (root / "images" / "train").rmdir()
    assert is_whole(form_files.opened(root / "data.yaml", root / "elsewhere"))
    with pytest.raises(UserError, match="`train` is .*images/train.*, and there is no .*images/train"):
        form_files.opened(root / "data.yaml")


def test_pictures_none_of_which_has_a_text(root):
    for path in (root / "labels" / "train").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="none of the 3 pictures has a text; the first would be .*labels/train/a.txt"):
        form_files.opened(root / "data.yaml")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("classes.txt", "nut\nbolt\n"),
        ("obj.names", "nut\nbolt\n"),
        ("labels/classes.txt", "nut\nbolt\n"),
        ("labels/train/_darknet.labels", "nut\nbolt"),
        ("data.yaml", YAML),
    ],
)
def test_a_folder_of_texts_with_names_near_it(root, file, text):
    (root / "data.yaml").unlink()
    (root / file).write_text(text)
    assert is_whole(form_files.opened(root / "labels" / "train"))
    assert is_whole(form_files.opened(root / "labels" / "train", root / "images" / "train"))


def test_texts_beside_their_pictures(tmp_path):
    form_files.pictures(tmp_path)
    for name in scene.PICTURES:
        (tmp_path / name).with_suffix(".txt").write_text(rows(name))
    (tmp_path / "classes.txt").write_text("nut\nbolt\n")
    source = form_files.opened(tmp_path)
    assert is_whole(source) and source.form == f"YOLO, 3 texts; pictures in {tmp_path}"
    assert form_files.kinds(source) == ["empty_pictures"]


def test_a_list_of_pictures(root):
    (root / "some.txt").write_text("images/train/a.png\nimages/val/c.png\n")
    source = form_files.opened(root / "some.txt")
    assert source.boxes().file_names == ["train/a.png", "val/c.png"] and len(source.boxes()) == 2
    (root / "some.txt").write_text("images/train/a.png\n\nimages/train/z.png\n")
    with pytest.raises(UserError, match=r"no such picture \(1 of 2 pictures, first: some.txt:3: images/train/z.png\)"):
        form_files.opened(root / "some.txt")


def test_what_predict_writes_is_read(root):
    out = root / "out" / "yolo"
    (out / "labels").mkdir(parents=True)
    for name in scene.PICTURES:
        (out / "labels" / name).with_suffix(".txt").write_text(rows(name))
    (out / "data.yaml").write_text(f"nc: 2\nnames: {json.dumps(scene.CLASSES)}\n")
    (out / "classes.txt").write_text("nut\nbolt\n")
    assert is_whole(form_files.opened(out, root / "images" / "train"))


def test_polygons_turned_boxes_and_poses(root):
    text = root / "labels" / "train" / "b.txt"
    x1, y1, x2, y2 = 20 / 90, 70 / 120, 45 / 90, 95 / 120
    text.write_text(f"0 {x1} {y1} {x2} {y1} {x2} {y2} {x1} {y2}\n")
    source = form_files.opened(root / "data.yaml")
    assert is_whole(source) and "from_polygon" in form_files.kinds(source)
    (root / "data.yaml").write_text(f"{YAML}kpt_shape: [2, 3]\n")
    text.write_text(f"{rows('b.png').strip()} 0.1 0.2 2 0.3 0.4 1\n")
    source = form_files.opened(root / "data.yaml")
    assert is_whole(source) and "from_polygon" not in form_files.kinds(source)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("7 0.5 0.5 0.1 0.1", "unknown class number, where the names have 0 to 2 (1 of 7 entries, first: {}:2: 7)"),
        ("1.5 0.5 0.5 0.1 0.1", "unknown class number, where the names have 0 to 2 (1 of 7 entries, first: {}:2: 1.5)"),
        ("0 0.5 1.5 0.1 0.1", "a share of the picture that is not from 0 to 1 (1 of 7 entries, first: {}:2: 1.5)"),
        ("0 0.5 0.5 60 40", "a share of the picture that is not from 0 to 1 (1 of 7 entries, first: {}:2: 60)"),
        ("nut 0.5 0.5 0.1 0.1", "a word that is no number (1 of 7 entries, first: {}:2: nut)"),
        ("0 0.5 0.5 0.1", "neither a class with four shares nor one with a polygon (1 of 7 entries, first: {}:2: 4 wo"),
        ("0 0.5 0.5 0.1 0.1 0.9", "six numbers, of a detection with a score?"),
        ("0 0.5 0.5 nan 0.1", "a word that is no number (1 of 7 entries, first: {}:2: nan)"),
        ("0 0.5 0.5 0.1 0.", None),
    ],
)
def test_mistakes_are_named_with_file_and_line(root, line, words):
    (root / "labels" / "train" / "b.txt").write_text(f"{rows('b.png')}{line}\n")
    if words is None:  # a side of 0 is counted as elsewhere
        assert "no_area" in form_files.kinds(form_files.opened(root / "data.yaml"))
        return
    with pytest.raises(UserError) as error:
        form_files.opened(root / "data.yaml")
    message = str(error.value)
    assert message.startswith(f"{root}/data.yaml: ") and words.format("labels/train/b.txt") in message


def test_texts_and_pictures_that_do_not_fit(root):
    (root / "images" / "train" / "a.png").unlink()
    with pytest.raises(UserError, match=r"text without a picture in .*images/train \(1 of 2 texts, first: a.txt\)"):
        form_files.opened(root / "labels" / "train")
    (root / "images" / "train" / "b.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"several pictures differ in their ending alone .*b.txt: b.jpg and b.png"):
        form_files.opened(root / "labels" / "train")


def test_a_picture_that_cannot_be_read_has_no_size(root):
    (root / "images" / "train" / "c.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"no picture that tells its size in .*\(1 of 6 entries, first: c.png: c.png\)"):
        form_files.opened(root / "data.yaml")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "nothing here has their names: write classes.txt beside them"),
        ({"classes.txt": "nut\n\nbolt\n"}, "classes.txt: a blank line stands among the names"),
        ({"classes.txt": "nut\nbolt\n", "data.yaml": "names: [bolt, nut]"}, "have different names of the classes"),
        ({"data.yaml": "nc: 3\nnames: [nut, bolt]"}, "nc is 3, and `names` has 2"),
        ({"data.yaml": "names: nut"}, "`names` is no list of the names of the classes"),
        ({"data.yaml": "names: [nut, bolt\n"}, "data.yaml, line 2: "),
    ],
)
def test_names_that_are_missing_or_wrong(root, files, words):
    (root / "data.yaml").unlink()
    for name, text in files.items():
        (root / name).write_text(text)
    with pytest.raises(UserError) as error:
        form_files.opened(root / "labels" / "train")
    assert words in str(error.value)
