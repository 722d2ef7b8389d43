"""Reports: each kind of error on cases made by hand, figures equal to those of evaluation, what is read and written."""

import copy
import html.parser
import json
import re
import shutil

import in_process
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from fsaf_tf.analysis import blocks, charts, errors, inputs, measures, write_report
from fsaf_tf.cli import analyze
from fsaf_tf.data import digest
from fsaf_tf.errors import UserError
from fsaf_tf.evaluate import average_precision, coco_results

CATEGORIES = [{"id": 3, "name": "bar"}, {"id": 7, "name": "a <b> & 'c'"}]
BAR, OTHER = 3, 7


def truth(*objects, images=1):
    """Ground truth of (bbox, category_id[, further keys]) in image 1, of 200 x 100 pixels."""
    return {
        "images": [
            {"id": number, "file_name": f"deep/{number}.png", "width": 200, "height": 100}
            for number in range(1, images + 1)
        ],
        "annotations": [
            {"id": n, "image_id": 1, "bbox": box, "category_id": category, "area": box[2] * box[3], **dict(*rest)}
            for n, (box, category, *rest) in enumerate(objects)
        ],
        "categories": CATEGORIES,
    }


def found(*detections):
    """Results in image 1 of (bbox, category_id, score)."""
    return [{"image_id": 1, "bbox": box, "category_id": label, "score": score} for box, label, score in detections]


OBJECT = [10, 10, 40, 20]
SHIFTED = [30, 10, 40, 20]  # IoU 1/3
AWAY = [150, 60, 20, 20]


@pytest.mark.parametrize(
    "detections, kinds, cost",
    [
        ([(OBJECT, BAR, 0.9)], {}, 0.0),
        ([(OBJECT, OTHER, 0.9)], {"class": 1}, 1.0),
        ([(SHIFTED, BAR, 0.9)], {"localisation": 1}, 1.0),
        ([(SHIFTED, OTHER, 0.9)], {"both": 1, "missed": 1}, None),
        ([(AWAY, BAR, 0.9), (OBJECT, BAR, 0.8)], {"background": 1}, 0.5),
        ([(OBJECT, BAR, 0.9), (OBJECT, BAR, 0.8)], {"duplicate": 1}, 0.0),  # after the last object is found
        ([(SHIFTED, BAR, 0.9), (OBJECT, BAR, 0.8)], {"localisation": 1}, 0.5),  # nothing to be moved to: taken away
        ([(SHIFTED, BAR, 0.9), (OBJECT, OTHER, 0.8)], {"localisation": 1, "class": 1}, None),
        ([], {"missed": 1}, None),
    ],
)
def test_kinds_of_errors(detections, kinds, cost):
    ground_truth, results = truth((OBJECT, BAR)), found(*detections)
    before = copy.deepcopy((ground_truth, results))
    measured = errors.costs(ground_truth, results, errors.find(ground_truth, results))
    assert {kind: each["count"] for kind, each in measured["kinds"].items() if each["count"]} == kinds
    assert measured["AP50"] == pytest.approx(average_precision.coco_metrics(ground_truth, results)["AP50"])
    if cost is not None:
        assert sum(each["cost"] for each in measured["kinds"].values()) == pytest.approx(cost)
    assert (ground_truth, results) == before


def test_one_error_mends_an_object_and_the_others_about_it_go():
    results = found((SHIFTED, BAR, 0.5), ([28, 10, 40, 20], BAR, 0.9), (OBJECT, OTHER, 0.7))
    errors_found = errors.find(truth((OBJECT, BAR)), results)
    assert errors_found.kinds == ["localisation", "localisation", "class"]
    assert errors_found.mended == {1: 0} and errors_found.missed == []
    assert errors.find(truth((OBJECT, BAR)), found((SHIFTED, BAR, 0.9), (OBJECT, BAR, 0.8))).mended == {}


def test_a_class_that_is_missed_altogether_has_its_cost():
    ground_truth, results = truth((OBJECT, BAR), (AWAY, OTHER)), found((OBJECT, BAR, 0.9))
    measured = errors.costs(ground_truth, results, errors.find(ground_truth, results))
    assert measured["AP50"] == pytest.approx(0.5) and measured["kinds"]["missed"]["cost"] == pytest.approx(0.5)


def shelf(count: int):
    """So many objects in an image, and each of them found exactly."""
    boxes = [[9 * place, 0, 8, 8] for place in range(count)]
    return truth(*((box, BAR) for box in boxes)), found(*((box, BAR, 1 - 0.001 * n) for n, box in enumerate(boxes)))


def test_what_the_ceiling_cuts_off_is_not_missed():
    ground_truth, results = shelf(12)
    errors_found = errors.find(ground_truth, results, 10)
    assert errors_found.cut_off == [10, 11] and errors_found.missed == []
    measured = errors.costs(ground_truth, results, errors_found)
    kinds = {kind: each["count"] for kind, each in measured["kinds"].items() if each["count"]}
    assert kinds == {"cut off": 2}
    assert measured["AP50"] + measured["kinds"]["cut off"]["cost"] == pytest.approx(1)
    (picture,) = errors.by_picture(ground_truth, results, errors_found, 0.3)
    assert [box["state"] for box in picture["boxes"]] == ["correct"] * 10 + ["cut off"] * 2 and picture["cost"] == 0
    assert errors.find(ground_truth, results, 12).cut_off == []


def test_what_a_detector_leaves_unfound_below_the_ceiling_is_missed():
    """Of 12 objects 10 may be found; 8 are, and two of its ten detections are on nothing: 2 are missed, 2 cut off."""
    ground_truth, results = shelf(12)
    results = results[:8] + found(([0, 50, 8, 8], BAR, 0.5), ([50, 50, 8, 8], BAR, 0.5))
    errors_found = errors.find(ground_truth, results, 10)
    assert errors_found.cut_off == [8, 9] and errors_found.missed == [10, 11]
    fewer = errors.find(ground_truth, results[:9], 10)  # it had room for another one
    assert fewer.cut_off == [] and len(fewer.missed) == 4


def test_a_crowd_is_neither_missed_nor_is_a_detection_on_it_wrong():
    crowd = ([100, 0, 100, 100], BAR, {"iscrowd": 1})
    ground_truth = truth(crowd, (OBJECT, BAR))
    results = found(([120, 20, 30, 30], BAR, 0.9), (OBJECT, BAR, 0.8))
    errors_found = errors.find(ground_truth, results)
    assert errors_found.matches.tolist() == [average_precision.LEFT_OUT, 1]
    assert errors_found.kinds == [None, None] and errors_found.missed == []
    assert errors.confusions(ground_truth, results, 0.0)["matrix"] == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    (picture,) = errors.by_picture(ground_truth, results, errors_found, 0.0)
    assert [box["state"] for box in picture["boxes"]] == ["correct"] and picture["cost"] == 0


def test_equals_tide_on_coco(shared_data):
    """The counts of tidecv 1.0.1, and its AP50, whose curve it samples a little differently."""
    folder = shared_data / "eval_refs" / "cocoapi100"
    ground_truth = json.loads((folder / "instances_val2014_100.json").read_text())
    results = json.loads((folder / "instances_val2014_fakebbox100_results.json").read_text())
    errors_found = errors.find(ground_truth, results)
    measured = errors.costs(ground_truth, results, errors_found)
    counts = {"class": 83, "localisation": 1, "both": 0, "duplicate": 1, "background": 0, "missed": 97}
    assert {kind: each["count"] for kind, each in measured["kinds"].items()} == counts
    # There AP50 is 64.205: 6 classes that are detected, but have no objects, are in its mean over 76.
    assert measured["AP50"] * 70 / 76 == pytest.approx(0.64205, abs=2e-4)
    # With these mended the 6 are gone, and the means are over the same classes: 64.205 + 22.246.
    assert measured["AP50"] + measured["kinds"]["class"]["cost"] == pytest.approx(0.86451, abs=2e-4)
    confused = np.array(errors.confusions(ground_truth, results, 0.0)["matrix"])
    assert confused.sum(axis=1)[:-1].sum() == sum(not row["iscrowd"] for row in ground_truth["annotations"])
    assert confused[:, :-1].sum() == len(results)


def test_confusions_count_objects_by_row():
    ground_truth = truth((OBJECT, BAR), (AWAY, OTHER), ([60, 60, 20, 20], OTHER))
    results = found(
        (OBJECT, OTHER, 0.9), (AWAY, OTHER, 0.8), ([100, 0, 9, 9], BAR, 0.7), ([60, 60, 20, 20], OTHER, 0.1)
    )
    expected = [[0, 1, 0], [0, 1, 1], [1, 0, 0]]
    assert errors.confusions(ground_truth, results, 0.3) == {"names": ["bar", "a <b> & 'c'"], "matrix": expected}


def test_confusions_of_more_than_a_hundred_in_an_image():
    objects = [([n % 15 * 12, n // 15 * 9, 8, 8], OTHER if n % 2 else BAR) for n in range(150)]
    results = found(*((box, label, 0.9 - n / 1000) for n, (box, label) in enumerate(objects)))
    assert errors.confusions(truth(*objects), results, 0.3)["matrix"] == [[75, 0, 0], [0, 75, 0], [0, 0, 0]]


def test_measures_equal_evaluation():
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.uniform(0, 100, (60, 2)), rng.uniform(2, 90, (60, 2))], axis=1)
    ground_truth = truth(*((box.tolist(), BAR if n % 3 else OTHER) for n, box in enumerate(boxes)))
    jittered = boxes + rng.normal(0, 2, boxes.shape)
    results = found(*((box.tolist(), BAR, score) for box, score in zip(jittered, rng.uniform(0, 1, 60))))
    measured = measures.analyze(ground_truth, results, score_threshold=0.3)
    metrics = average_precision.coco_metrics(ground_truth, results)
    assert measured["metrics"] == metrics and measured["errors"]["AP50"] == metrics["AP50"]
    assert measured["by_shape"][-1]["AP"] == metrics["AP_thin"]
    assert sum(bin_["objects"] for bin_ in measured["by_shape"]) == 60
    assert sum(bin_["objects"] for bin_ in measured["by_size"]) == 60
    assert np.mean(measured["precision_recall"]["0.5"]["mean"]) == pytest.approx(metrics["AP50"], abs=1e-4)
    assert np.mean(measured["precision_recall"]["0.75"]["mean"]) == pytest.approx(metrics["AP75"], abs=1e-4)
    assert np.mean([row["AP50"] for row in measured["by_class"]]) == pytest.approx(metrics["AP50"])


@pytest.mark.parametrize("side, place", [(16, 0), (16.1, 1), (32, 1), (33, 2), (193, 5)])
def test_bins_of_size_end_at_their_edges(side, place):
    box = [0, 0, side, side]
    by_size = measures.analyze(truth((box, BAR)), found((box, BAR, 0.9)), score_threshold=0.3)["by_size"]
    assert [bin_["objects"] for bin_ in by_size] == [int(index == place) for index in range(len(by_size))]
    assert by_size[place]["AP"] == pytest.approx(1) and np.isnan(by_size[place - 1]["AP"])


class Reader(html.parser.HTMLParser):
    """Checks that every tag is closed where it should be, and notes what a browser would fetch and where it leads."""

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.links, self.ids, self.text = [], [], [], set(), ""

    def handle_starttag(self, tag, attrs):
        self._note(tag, dict(attrs))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def _note(self, tag, attrs):
        self.ids |= {attrs["id"]} if "id" in attrs else set()
        (self.links if tag == "a" else self.fetched).extend(attrs[key] for key in ("src", "href") if key in attrs)
        assert tag != "img" or attrs["alt"]

    def handle_startendtag(self, tag, attrs):
        self._note(tag, dict(attrs))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def data(tmp_path):
    """Ground truth, two images, and two detectors' results of them."""
    ground_truth = truth((OBJECT, BAR), (AWAY, OTHER), images=2)
    (tmp_path / "val.json").write_text(json.dumps(ground_truth))
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for number in (1, 2):
        Image.new("RGB", (200, 100), (90, 90, 90)).save(tmp_path / f"images/deep/{number}.png")
    for name, label in (("right", OTHER), ("wrong", BAR)):
        (tmp_path / name).mkdir()
        results = found((OBJECT, BAR, 0.9), (AWAY, label, 0.8))
        (tmp_path / name / "detections.json").write_text(json.dumps(results))
    return tmp_path


def test_report_of_two_detectors(data, monkeypatch, capsys):
    flags = [f"--detections={data}/{name}/detections.json" for name in ("right", "wrong")]
    flags += [f"--annotations={data}/val.json", f"--images={data}/images", f"--output={data}/new/report.html"]
    assert in_process.call(analyze, monkeypatch, *flags) == 0
    said = capsys.readouterr().out
    assert "right: 2 detections on 1 images; AP 1.000" in said and "costliest errors: class" in said
    assert f"{data}/new/report.html" in said
    text = (data / "new" / "report.html").read_text()
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    assert reader.fetched and all(address.startswith("data:") for address in reader.fetched)  # opens without a network
    assert not re.search(r"<script|@import|url\(", text)
    assert {link[1:] for link in reader.links if link[0] == "#"} <= reader.ids
    assert "a <b> & 'c'" in reader.text and "deep/1.png, wrong" in reader.text  # names stand for themselves
    assert "deep/2.png" not in reader.text  # nothing is wrong there
    assert "report_pictures/page-1.html#picture-1" in reader.links
    kept = json.loads((data / "new" / "report.json").read_text())
    ground_truth = json.loads((data / "val.json").read_text())
    for name, run in kept["runs"].items():
        results = inputs.read_results(f"{data}/{name}/detections.json", ground_truth)
        assert run["metrics"]["AP"] == average_precision.coco_metrics(ground_truth, results)["AP"]
    assert list(kept["runs"]) == ["right", "wrong"] and kept["data"]["objects"] == 2
    first, second = kept["runs"].values()
    assert first["AP_interval"] == {"draws": 1000, "interval": [1.0, 1.0]} and "AP_difference" not in first
    difference = second["metrics"]["AP"] - 1
    assert second["AP_difference"]["value"] == pytest.approx(difference)
    low, high = second["AP_difference"]["interval"]
    assert low - 1e-9 <= difference <= high + 1e-9 and f"{difference:+.3f} ({low:.3f} to {high:.3f})" in reader.text
    assert first["suspects"] == [] and second["suspects"]
    assert first["thresholds"]["one"]["F1"] == 1


def test_thresholds_of_a_report_are_tried_on_other_data(data, monkeypatch, capsys):
    of_data = [f"--annotations={data}/val.json", f"--images={data}/images"]
    chosen, tried = (f"--output={data}/{name}.html" for name in ("chosen", "tried"))
    assert in_process.call(analyze, monkeypatch, f"--detections={data}/right/detections.json", *of_data, chosen) == 0
    assert "on which they look better than on others" in (data / "chosen.html").read_text()
    flags = [f"--detections={data}/wrong/detections.json", f"--thresholds={data}/chosen.json", *of_data]
    capsys.readouterr()
    assert in_process.call(analyze, monkeypatch, *flags, tried) == 0
    run = json.loads((data / "tried.json").read_text())["runs"]["wrong"]
    given = run["given_thresholds"]
    assert given["file"] == f"{data}/chosen.json" and [row["name"] for row in given["by_class"]] == [
        "bar",
        "a <b> & 'c'",
    ]
    said = capsys.readouterr().out
    figures = (
        f"mean F1 {given['mean']['F1']:.3f} by thresholds of the classes and {given['mean']['F1_of_one']:.3f} by one"
    )
    assert figures in said and "mean of the classes" in (data / "tried.html").read_text()
    overwritten = in_process.call(analyze, monkeypatch, *flags, f"--output={data}/chosen.html")
    assert overwritten.startswith("error: ") and "is read, and would be written over" in overwritten


def test_a_report_shows_labels_that_may_be_wrong(data, monkeypatch):
    flags = [f"--detections={data}/wrong/detections.json", f"--annotations={data}/val.json"]
    page_of = {}
    for name, more in (("all", [f"--images={data}/images"]), ("none", [])):
        assert in_process.call(analyze, monkeypatch, *flags, *more, f"--output={data}/{name}.html") == 0
        page_of[name] = (data / f"{name}.html").read_text()
    found = json.loads((data / "all.json").read_text())["runs"]["wrong"]["suspects"]
    assert {suspect["kind"] for suspect in found} == {"another class"}
    pictures = page_of["all"].split("Labels that may be wrong")[-1]
    assert pictures.count("<figure>") == len(found) and "drawn as" in pictures and "<figure>" not in page_of["none"]
    assert not (data / "none_pictures").exists()
    reader = Reader()
    reader.feed(page_of["all"])
    assert not reader.open and all(address.startswith("data:") for address in reader.fetched)


def test_figures_of_a_report_are_those_of_the_table(data, monkeypatch, capsys):
    one = average_precision.Figure("AP_one", lambda outcome: 0.123, "AP", "one", in_report="of one", in_line=True)
    monkeypatch.setattr(average_precision, "FIGURES", (*average_precision.FIGURES, one))
    flags = [f"--detections={data}/right/detections.json", f"--annotations={data}/val.json"]
    assert in_process.call(analyze, monkeypatch, *flags, f"--output={data}/report.html") == 0
    assert re.search(r"AP 1.000, AP50 1.000, AP_thin \S+, AP_one 0.123 .95% of AP: ", capsys.readouterr().out)
    text = re.sub("<[^>]*>", " ", (data / "report.html").read_text())
    assert re.search(r"AP\s+AP50\s+AP75\s+small\s+medium\s+large\s+thin\s+of one\s+AR100\s+detections", text)
    assert json.loads((data / "report.json").read_text())["runs"]["right"]["metrics"]["AP_one"] == 0.123


def test_names_of_any_letters_and_a_detector_without_errors(data, monkeypatch, capsys):
    """Matplotlib takes $ for mathematics, and leaves names with a leading _ out of legends."""
    content = (data / "val.json").read_text().replace('"bar"', '"_b $^$"')
    (data / "val.json").write_text(content)
    flags = [f"--detections={data}/right/detections.json", f"--annotations={data}/val.json", "--labels=$x_$"]
    assert in_process.call(analyze, monkeypatch, *flags, f"--output={data}/report.html") == 0
    assert "AP 1.000" in (said := capsys.readouterr().out) and "no errors that cost AP50" in said
    figure = charts._drawn([("a", [("_b $^$", None, [1.0, 0.5]), ("c", None, [0.5, 0.5])])])
    assert [text.get_text().strip() for text in figure.axes[0].get_legend().get_texts()] == ["_b $^$", "c"]


def test_a_page_that_cannot_be_written_is_told_before_measuring(data, monkeypatch):
    monkeypatch.setattr(measures, "analyze", None)
    (data / "folder.html").mkdir()
    flags = [f"--detections={data}/right/detections.json", f"--annotations={data}/val.json"]
    for output in (f"{data}/folder.html", f"{data}/val.json/x.html", "/proc/x.html"):
        said = in_process.call(analyze, monkeypatch, *flags, f"--output={output}")
        assert said.startswith("error: ") and output.removesuffix("/x.html") in said and "\n" not in said


@pytest.mark.parametrize("objects", [[(OBJECT, BAR)], [(OBJECT, BAR, {"iscrowd": 1})]])
def test_report_of_a_detector_that_found_nothing(data, objects, monkeypatch, capsys):
    """With objects all its loss is that they are missed; with a crowd alone there is nothing to find."""
    (data / "val.json").write_text(json.dumps(truth(*objects)))
    (data / "right" / "detections.json").write_text("[]")
    flags = [f"--detections={data}/right/detections.json", f"--annotations={data}/val.json"]
    assert in_process.call(analyze, monkeypatch, *flags, f"--output={data}/report.html") == 0
    has_objects = len(objects[0]) == 2
    assert ("missed, 1.000 AP50" if has_objects else "AP -, AP50 -") in capsys.readouterr().out
    reader = Reader()
    reader.feed((data / "report.html").read_text())
    assert not reader.open


def test_results_of_predict_are_found_by_name(data):
    ground_truth = json.loads((data / "val.json").read_text())

    def read(*names, box=OBJECT):
        rows = [{**found((box, BAR, 0.9))[0], "image_id": 9, "file_name": name} for name in names]
        (data / "named.json").write_text(json.dumps(rows))
        return [row["image_id"] for row in inputs.read_results(f"{data}/named.json", ground_truth)]

    assert read("2.png", "deep/1.png", "2.png") == [2, 1, 2] and read("photos/deep/2.png") == [2]
    with pytest.raises(UserError, match="3.png is no image of the ground truth \\(1 of 2 pictures"):
        read("1.png", "3.png")
    with pytest.raises(UserError, match="else/1.png is no image"):  # of another folder
        read("else/1.png")
    with pytest.raises(UserError, match="results of 1.png and of deep/1.png: which is deep/1.png"):
        read("1.png", "deep/1.png")
    with pytest.raises(UserError, match="ends outside of deep/1.png, 200 x 100 px as it is stored; .* EXIF"):
        read("deep/1.png", box=[10, 10, 40, 120])
    ground_truth["images"][1]["file_name"] = "wide/1.png"
    assert read("wide/1.png") == [2]
    with pytest.raises(UserError, match="1.png may be deep/1.png or wide/1.png"):
        read("1.png")


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "not JSON"),
        ("[" * 100_000, "it is nested too deep"),
        ("{}", "not COCO's results"),
        ("[3]", "entry 0, not one of COCO's results"),
        (json.dumps([{**found((OBJECT, BAR, 0.9))[0], "category_id": 4}]), "entry 0, category_id 4"),
        (json.dumps([{**found((OBJECT, BAR, 0.9))[0], "image_id": 4}]), "entry 0, image_id 4"),
        (json.dumps([{**found((OBJECT, BAR, 0.9))[0], "image_id": [4]}]), "entry 0, image_id is no whole number"),
        (json.dumps([{**found((OBJECT, BAR, 0.9))[0], "file_name": 3}]), "entry 0, file_name is no name: 3"),
        (
            json.dumps([{**found((OBJECT, BAR, 0.9))[0], "file_name": "1.png"}, found((OBJECT, BAR, 0.9))[0]]),
            "entry 1, not one of COCO's results: it needs category_id, bbox, score, file_name",
        ),
        (json.dumps([{**found((OBJECT, BAR, 0.9))[0], "bbox": [1, 2, 3]}]), "entry 0, bbox is not four"),
        (json.dumps([{**found((OBJECT, BAR, 0.9))[0], "bbox": [1, 2, -3, -4]}]), "entry 0, bbox has a width or height"),
        (json.dumps([{**found((OBJECT, BAR, float("nan")))[0]}]), "entry 0, bbox is not four finite numbers, or score"),
    ],
)
def test_wrong_results_are_errors(tmp_path, content, message):
    (tmp_path / "detections.json").write_text(content)
    with pytest.raises(UserError, match=re.escape(message)):
        inputs.read_results(str(tmp_path / "detections.json"), truth((OBJECT, BAR)))


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--output=r.html"], "give --model_dir or --detections"),
        (["--detections=d.json", "--annotations=a.json"], "--output is missing"),
        (["--detections=d.json", "--output=r.html"], "--detections needs --annotations"),
        (["--model_dir=runs", "--images=i", "--output=r.html"], "--images is for --annotations"),
        (["--model_dir=no_run", "--output=r.html"], "no_run is no folder of a run"),
        (["--detections=d.json", "--labels=a,b", "--annotations=a.json", "--output=r.html"], "2 names for 1"),
        (
            ["--detections=d.json", "--detections=d.json", "--annotations=a.json", "--output=r.html"],
            "names that differ",
        ),
    ],
)
def test_mistakes_on_the_command_line(flags, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    status = in_process.call(analyze, monkeypatch, *flags)
    assert status.startswith("error: ") and message in status and "\n" not in status


def test_a_run_knows_its_data(data, monkeypatch, capsys):
    """The data of its last evaluation, as metrics.json has them; another detector's must be the same."""
    keys = {"annotation_file": f"{data}/val.json", "image_dir": f"{data}/images"}
    for name in ("right", "wrong"):
        (data / name / "metrics.json").write_text(json.dumps({"AP": 1, "data": keys}))
    flags = [f"--model_dir={data}/right", f"--output={data}/report.html"]
    assert in_process.call(analyze, monkeypatch, *flags, f"--model_dir={data}/wrong", "--labels=A,B") == 0
    assert "A: 2 detections on 1 images; AP 1.000" in capsys.readouterr().out
    (data / "wrong" / "metrics.json").write_text(json.dumps({"AP": 1, "data": {**keys, "image_dir": "elsewhere"}}))
    status = in_process.call(analyze, monkeypatch, *flags, f"--model_dir={data}/wrong")
    assert "evaluate both on the same data" in status


def evaluated(data, name, truth):
    """Writes the `metrics.json` of an evaluation on ground truth of this content."""
    keys = {"annotation_file": f"{data}/val.json", "image_dir": f"{data}/images"}
    truth = {**truth, "annotations": [{"iscrowd": 0, **row} for row in truth["annotations"]]}
    metrics = {"AP": 1, "data": keys, "data_digest": digest.of(truth)}
    (data / name / "metrics.json").write_text(json.dumps(metrics))


def test_data_that_changed_since_the_evaluation(data, monkeypatch, capsys):
    """Other boxes are told; other ids make the detections those of other pictures, wherever the data are."""
    before = json.loads((data / "val.json").read_text())
    evaluated(data, "right", before)
    flags = [f"--model_dir={data}/right", f"--output={data}/report.html"]
    assert in_process.call(analyze, monkeypatch, *flags) == 0 and "have changed" not in capsys.readouterr().out
    moved = copy.deepcopy(before)
    moved["annotations"][0]["bbox"][0] += 1
    (data / "val.json").write_text(json.dumps(moved))
    assert in_process.call(analyze, monkeypatch, *flags) == 0
    assert "The boxes of the data have changed since" in capsys.readouterr().out
    renumbered = copy.deepcopy(before)
    for row, key in [
        *((row, "id") for row in renumbered["images"]),
        *((row, "image_id") for row in moved["annotations"]),
    ]:
        row[key] = 3 - row[key]
    (data / "val.json").write_text(json.dumps({**renumbered, "annotations": moved["annotations"]}))
    for more in ([], [f"--annotations={data}/val.json"]):
        status = in_process.call(analyze, monkeypatch, *flags, *more)
        assert "is of data with other pictures or other ids than these; evaluate again" in status


@pytest.mark.parametrize(
    "folder, flags", [("run/best", "--model_dir={}/run"), ("run", "--model_dir={}/run --checkpoint=newest")]
)
def test_the_command_of_a_new_evaluation_is_one_that_runs(tmp_path, folder, flags):
    (tmp_path / "run" / "best").mkdir(parents=True)
    (tmp_path / "run" / "params.yaml").write_text("")
    recorded = {"data_digest": {"pictures": "of others", "boxes": "of others"}}
    (tmp_path / folder / "metrics.json").write_text(json.dumps(recorded))
    with pytest.raises(UserError) as error:
        inputs.check_unchanged(f"{tmp_path}/{folder}", {"images": [], "annotations": [], "categories": []})
    assert str(error.value).endswith(f"evaluate again: python tools/train.py --mode=eval {flags.format(tmp_path)}")


def test_two_detectors_of_the_same_data_under_two_paths(data, monkeypatch):
    shutil.copytree(data / "images", data / "copied")
    content = json.loads((data / "val.json").read_text())
    for name in ("right", "wrong"):
        evaluated(data, name, content)
    metrics = json.loads((data / "wrong" / "metrics.json").read_text())
    metrics["data"]["image_dir"] = f"{data}/copied"
    (data / "wrong" / "metrics.json").write_text(json.dumps(metrics))
    flags = [f"--output={data}/report.html", f"--model_dir={data}/right", f"--model_dir={data}/wrong"]
    assert in_process.call(analyze, monkeypatch, *flags) == 0
    content["annotations"][0]["bbox"][0] += 1
    evaluated(data, "wrong", content)
    assert "data of another content than" in in_process.call(analyze, monkeypatch, *flags)


def test_a_report_has_levels_and_branches_of_the_runs_that_counted_them(data, monkeypatch):
    levels = {"levels": {"3": 0.125, "4": 0.875}, "levels_by_size": {"3": 1.0, "4": 0.0}}
    alone = {
        "anchor_free": {"AP": 0.25, "AP50": 0.5, "AP75": 0.125},
        "anchor_based": {"AP": 0, "AP50": 0, "AP75": None},
    }
    keys = {"annotation_file": f"{data}/val.json", "image_dir": f"{data}/images"}
    (data / "right" / "metrics.json").write_text(json.dumps({"AP": 1, "data": keys, **levels, "branches": alone}))
    (data / "wrong" / "metrics.json").write_text(json.dumps({"AP": 1, "data": keys}))
    flags = [f"--output={data}/report.html", f"--model_dir={data}/right", f"--model_dir={data}/wrong"]
    assert in_process.call(analyze, monkeypatch, *flags, "--labels=A,B") == 0

    def cells(heading):
        table = (data / "report.html").read_text().split(f"<h2>{heading}</h2>")[1].split("</table>")[0]
        return [cell.strip() for cell in re.findall(r"<t[hd](?: [^>]*)?>(.*?)</t[hd]>", table, re.DOTALL)]

    assert cells("Levels") == ["", "P3", "P4", "A", "12%", "88%", "by size", "100%", "0%"]
    assert cells("Branches") == [
        *("", "AP", "AP50", "AP75"),
        *("A, both branches", "1.000", "1.000", "1.000"),
        *("A, anchor_free alone", "0.250", "0.500", "0.125"),
        *("A, anchor_based alone", "0.000", "0.000", "-"),
    ]
    runs = json.loads((data / "report.json").read_text())["runs"]
    assert runs["A"]["levels"] == levels["levels"] and "levels" not in runs["B"]


@pytest.fixture
def run(data):
    """A run whose best and newest checkpoint have detections of their own: of the best all are right."""
    folder = data / "run"
    (folder / "best").mkdir(parents=True)
    keys = {"annotation_file": f"{data}/val.json", "image_dir": f"{data}/images"}
    lines = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    (folder / "params.yaml").write_text(f"task:\n  validation_data:\n{lines}")
    (folder / "best" / "info.json").write_text('{"AP": 1.0, "best_ckpt_global_step": 2}')
    for name, step, detector in (("best/best_ckpt", 2, "right"), ("ckpt", 4, "wrong"), ("ckpt", 3, None)):
        tf.train.Checkpoint(global_step=tf.Variable(step, dtype=tf.int64)).write(f"{folder}/{name}-{step}")
        place = (folder / name).parent
        if detector:
            shutil.copy(data / detector / "detections.json", place)
            metrics = {"step": step, "checkpoint": f"{name}-{step}", "AP": 0.5, "data": keys}
            (place / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_a_report_is_of_the_best_checkpoint_unless_another_is_asked_for(run, monkeypatch, capsys):
    flags = [f"--model_dir={run}", f"--output={run}/report.html"]
    best = f"Checkpoint: {run}/best/best_ckpt-2, step 2, AP 1.000 (the best; --checkpoint=newest takes ckpt-4)"
    newest = f"Checkpoint: {run}/ckpt-4, step 4, AP 0.500 (the newest; --checkpoint=best takes best_ckpt-2)"
    for given, line, figure in (([], best, "1.000"), (["best"], best, "1.000"), (["newest"], newest, "0.500")):
        assert in_process.call(analyze, monkeypatch, *flags, *(f"--checkpoint={word}" for word in given)) == 0
        said = capsys.readouterr().out
        assert said.splitlines()[0] == line and f"run: 2 detections on 1 images; AP {figure}" in said
    both = [f"--model_dir={run}", "--labels=a,b", "--checkpoint=best", "--checkpoint=newest"]
    assert in_process.call(analyze, monkeypatch, *flags, *both) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [best, newest]
    message = in_process.call(analyze, monkeypatch, *flags, f"--checkpoint={run}/ckpt-3")
    command = f"python tools/train.py --mode=eval --model_dir={run} --checkpoint={run}/ckpt-3"
    assert "ckpt-3, step 3 has no figures and detections of its own; " in message and message.endswith(command)
    (run / "ckpt-3-eval").mkdir()
    shutil.copy(run / "detections.json", run / "ckpt-3-eval")
    (run / "ckpt-3-eval" / "metrics.json").write_text('{"step": 3, "checkpoint": "ckpt-3"}')
    assert in_process.call(analyze, monkeypatch, *flags, f"--checkpoint={run}/ckpt-3") == 0


@pytest.mark.parametrize("damage", ["no pair", "pair of another", "no weights", "no checkpoints"])
def test_a_report_without_the_best_says_so_and_is_of_the_newest(run, damage, monkeypatch, capsys):
    weights = run / "best" / "best_ckpt-2.data-00000-of-00001"
    if damage == "no pair":
        (run / "best" / "detections.json").unlink()
    elif damage == "pair of another":  # as a kill leaves it between the weights of a new best and its figures
        (run / "best" / "metrics.json").write_text('{"step": 1, "checkpoint": "best/best_ckpt-1"}')
    elif damage == "no weights":
        weights.write_bytes(b"")
    else:
        for path in (*run.glob("ckpt*"), *run.glob("best/best_ckpt*")):
            path.unlink()
    flags = [f"--model_dir={run}", f"--output={run}/report.html"]
    assert in_process.call(analyze, monkeypatch, *flags) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith(f"Checkpoint: {run}/ckpt-4, step 4, AP 0.500") and "AP 0.500" in rest[-2]
    why = {"no weights": "best_ckpt-2, cannot be read: ", "no checkpoints": "none of its checkpoints can be read"}
    assert why.get(damage, "best_ckpt-2, step 2, AP 1.000 has no figures and detections of its own; this ") in first
    message = in_process.call(analyze, monkeypatch, *flags, "--checkpoint=best")
    assert message.startswith("error: ") and "\n" not in message


def test_what_is_no_run_has_no_checkpoints(data, monkeypatch):
    flags = [f"--model_dir={data}/right", f"--output={data}/report.html", "--checkpoint=best"]
    assert "right is not the folder of a run" in in_process.call(analyze, monkeypatch, *flags)
    flags = [f"--detections={data}/right/detections.json", f"--annotations={data}/val.json", *flags[1:]]
    assert "--checkpoint is for a run in --model_dir" in in_process.call(analyze, monkeypatch, *flags)


def test_short_names():
    assert coco_results.names_of(["runs/a/detections.json", "runs/b/detections.json"]) == ["a", "b"]
    assert coco_results.names_of(["x/a/detections.json", "y/a/detections.json"]) == ["x/a", "y/a"]


def test_figures_without_objects():
    assert blocks.figure_of(None) == blocks.figure_of(float("nan")) == "-"
    assert not blocks.bars([None]).tracks and blocks.bars([0.0]).tracks


def test_a_report_at_another_ceiling(tmp_path, monkeypatch, capsys):
    ground_truth, results = shelf(12)
    (tmp_path / "truth.json").write_text(json.dumps(ground_truth))
    (tmp_path / "found.json").write_text(json.dumps(results))
    monkeypatch.chdir(tmp_path)
    files = ("--detections=found.json", "--annotations=truth.json", "--output=report.html")
    assert in_process.call(analyze, monkeypatch, *files, "--max_detections=10") == 0
    said = capsys.readouterr().out
    assert "evaluated at 10 detections of a class in an image (COCO: 100)" in said
    assert "2 of 12 objects cannot be found" in said
    page_text = (tmp_path / "report.html").read_text()
    assert "cut off" in page_text and "evaluated at 10 detections" in page_text
    assert json.loads((tmp_path / "report.json").read_text())["runs"]["found"]["metrics"]["max_detections"] == 10
    assert in_process.call(analyze, monkeypatch, *files) == 0
    assert "cut off" not in (tmp_path / "report.html").read_text()


def test_evaluations_at_different_ceilings_are_not_put_side_by_side(tmp_path):
    for name, metrics in (("a", {}), ("b", {"max_detections": 300}), ("c", {"max_detections": 300})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps(metrics))
    a, b, c = (str(tmp_path / name) for name in "abc")
    assert (write_report.max_detections([a]), write_report.max_detections([b, c])) == (100, 300)
    with pytest.raises(UserError, match="/a at 100, .*/b at 300; give --max_detections"):
        write_report.max_detections([a, b])
