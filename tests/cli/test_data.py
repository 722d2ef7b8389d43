"""`tools/data.py check`: the report of a run without the run."""

import json

import in_process
import pytest
from PIL import Image
from test_cli import tool

from fsaf_tf.cli import data

CATEGORIES = [{"id": 1, "name": "nut"}, {"id": 2, "name": "bolt"}]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two sets of two pictures: t.json and v.json."""
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        Image.new("RGB", (64, 48), (number, 0, 0)).save(f"{number}.bmp")
    write("t.json", [0, 1])
    write("v.json", [2, 3], CATEGORIES[:1])
    return tmp_path


def write(name: str, pictures: list[int], categories=CATEGORIES, boxes=((5, 5, 20, 30), (9, 9, 8, 8))) -> None:
    content = {
        "images": [{"id": i, "file_name": f"{i}.bmp", "width": 64, "height": 48} for i in pictures],
        "annotations": [
            {"id": 1000 * i + place, "image_id": i, "category_id": 1 + place % len(categories), "bbox": list(box)}
            for i in pictures
            for place, box in enumerate(boxes)
        ],
        "categories": categories,
    }
    with open(name, "w") as file:
        json.dump(content, file)


def check(monkeypatch, *flags: str):
    return in_process.call(data, monkeypatch, "check", *flags)


BOTH = ("--annotations=t.json", "--images=.", "--validation_annotations=v.json", "--validation_images=.")


def test_data_by_flags(folder, monkeypatch, capsys):
    assert check(monkeypatch, *BOTH, "--shorter_side=96", "--longer_side=160", "--json=out/r.json") == 0
    assert capsys.readouterr().out.splitlines() == [
        "t.json: 2 images, 2 classes",
        "  4 of 4 boxes are trained on at 96 x 160: nut 2, bolt 2",
        "  of these 0 are under 8 px there, 0 over half of their picture",
        "v.json: 2 images, 2 classes",
        "  4 of 4 boxes get 1 px or more at 96 x 160: nut 4",
        "  of these 0 are under 8 px there, 0 over half of their picture",
        "  t.json and v.json: 1 of 2 classes has boxes in t.json alone: bolt",
        "  v.json: 1 of 2 classes is listed; the others have no box here (first: bolt)",
    ]
    report = json.loads((folder / "out" / "r.json").read_text())
    assert {key: value for key, value in report.items() if key != "findings"} == {
        "pictures": 2,
        "boxes": 4,
        "trained_boxes": 4,
        "classes": {name: {"boxes": 2, "trained_boxes": 2} for name in ("nut", "bolt")},
        "validation": {
            "pictures": 2,
            "boxes": 4,
            "trained_boxes": 4,
            "classes": {"nut": {"boxes": 4, "trained_boxes": 4}, "bolt": {"boxes": 0, "trained_boxes": 0}},
        },
    }
    assert report["findings"][1] == {
        "kind": "fewer_classes",
        "count": 1,
        "of": 2,
        "message": "1 of 2 classes is listed; the others have no box here",
        "examples": ["bolt"],
        "where": "v.json",
    }


def test_more_boxes_than_there_was_room_for(folder, monkeypatch, capsys):
    write("t.json", [0, 1], boxes=[(place % 50, place // 50, 9, 9) for place in range(240)])
    assert check(monkeypatch, *BOTH[:2], "--json=r.json") == 0
    report = json.loads((folder / "r.json").read_text())
    assert report["boxes"] == 480 and "validation" not in report and "error" not in report
    assert [finding["kind"] for finding in report["findings"]] == ["many_boxes", "ceiling"]
    said = capsys.readouterr().out
    assert "2 of 2 pictures have more boxes than max_instances, 100; room is made for 240 (first: 0.bmp, 240)" in said
    assert "2 of 2 pictures have more than 100 boxes of a class" in said


def test_what_cannot_be_read_has_a_report_all_the_same(folder, monkeypatch):
    (folder / "t.json").write_text("{}")
    line = check(monkeypatch, *BOTH, "--json=r.json")
    report = json.loads((folder / "r.json").read_text())
    assert line == f"error: {report['error']}" and "t.json: not COCO JSON" in line
    assert (report["pictures"], report["boxes"], report["classes"], report["findings"]) == (None, None, {}, [])
    assert report["validation"]["classes"] == {"nut": {"boxes": 4, "trained_boxes": 4}}


def test_classes_that_disagree(folder, monkeypatch, capsys):
    write("v.json", [2, 3], [{"id": 1, "name": "washer"}])
    line = check(monkeypatch, *BOTH)
    assert "v.json has other classes than the training data t.json: 1 washer in place of 1 nut, 2 bolt; " in line
    assert "v.json: 2 images, 1 class" in capsys.readouterr().out


def test_data_of_an_experiment(folder, monkeypatch, capsys):
    write("t.json", [0, 1], boxes=[(5, 5, 2, 40), (9, 9, 40, 2)])
    (folder / "my.yaml").write_text("task: {train_data: {annotation_file: t.json, image_dir: .}}")
    keys = "task.input_size.shorter_side=48,task.input_size.longer_side=64,task.model.anchor_based.enabled=true"
    assert check(monkeypatch, "--experiment=my.yaml", f"--params_override={keys}", "--json=r.json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].endswith("; 0% have an anchor of IoU 0.5 or more")
    assert json.loads((folder / "r.json").read_text())["boxes_with_anchor"] == 0
    assert lines[1] == "  4 of 4 boxes are trained on at 48 x 64: nut 2, bolt 2"
    assert lines[3].startswith("  4 of 4 boxes have no anchor of IoU 0.5 at 48 x 64; ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the first word says what to do; it is one of: check, convert, split, merge (--help says more)"),
        (["look"], "'look' is nothing that this tool does; it is one of: check, convert, split, merge"),
        (["check"], "--annotations is missing; or give --experiment"),
        (
            ["check", "--annotations=t.json", "--validation_images=."],
            "--validation_annotations is missing; --validation_",
        ),
        (["check", "--validation_images=."], "--annotations is missing; or give --experiment"),
        (["check", "--experiment=no_such"], "no experiment 'no_such'; give the path of a YAML file or one of: "),
        (["check", "--experiment=custom", "--images=."], "--experiment names its data; leave --images out"),
        (["check", "--output=page"], "--output does not end in .html"),
        (["check", "--shorter_side=0"], "--shorter_side wants a positive integer, not '0'"),
        (["check", "t.json"], "'t.json' is no flag; flags are written --name=value"),
        (["check", "--json=a", "--jsn=b"], "there is no flag --jsn, did you mean --json?"),
    ],
)
def test_a_mistake_is_one_line_without_tensorflow(arguments, message):
    done = tool("data", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
