"""The paper's figures: what they show is what the library computes, and each is written from a run."""

import csv
import io
import json
import shutil

import naive
import numpy as np
import pytest
import tensorflow as tf
from encoded import turned
from in_process import call
from PIL import Image
from small_run import build_model, small_params, write_run

from fsaf_tf import detection, pyramid, regions
from fsaf_tf.cli import visualize as tool
from fsaf_tf.config import experiment
from fsaf_tf.data import drawing
from fsaf_tf.data.classes import Classes
from fsaf_tf.detect import image_files, predict_files
from fsaf_tf.detect.trained import Detector
from fsaf_tf.errors import UserError
from fsaf_tf.figures import compare, levels, pictures, selection, targets, training, write_figures
from fsaf_tf.serving import load
from fsaf_tf.terminal.progress import Progress
from fsaf_tf.visualize import charts, curves

NAMES, IDS = ["bird", "cat", "dog"], [16, 17, 18]  # in the order of the ids, as data have them
CLASSES = Classes(tuple(NAMES), tuple(IDS))
SIZE = (48, 72)  # height and width; the run's input has 64 x 96
TRUTH = {1: [([4, 4, 24, 30], 17), ([10, 30, 44, 68], 16)], 5: [([2, 2, 46, 12], 18)]}  # yxyx, category id


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run with both branches, whose data are two drawn pictures of COCO JSON."""
    folder = tmp_path_factory.mktemp("figures")
    write_run(folder / "run", build_model())
    CLASSES.write(f"{folder}/run/labels.json")
    (folder / "images").mkdir()
    annotations = []
    for number, rows in TRUTH.items():
        Image.fromarray(drawing.draw(3, number)[0]).resize(SIZE[::-1]).save(folder / "images" / f"{number}.png")
        for (y1, x1, y2, x2), category in rows:
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "image_id": number, "category_id": category}
            annotations.append({"id": len(annotations) + 1, **box})
    images = [{"id": n, "file_name": f"{n}.png", "height": SIZE[0], "width": SIZE[1]} for n in TRUTH]
    content = {"images": images, "annotations": annotations, "categories": CLASSES.categories()}
    (folder / "boxes.json").write_text(json.dumps(content))
    params = small_params()
    params.task.validation_data.annotation_file = str(folder / "boxes.json")
    params.task.validation_data.image_dir = str(folder / "images")
    (folder / "run" / "params.yaml").write_text(experiment.to_yaml(params))
    return folder


@pytest.fixture(scope="module")
def detector(place):
    """The run's detector."""
    return load.load_detector(place / "run")


@pytest.fixture(scope="module")
def seen(place, detector):
    """The first picture as the run's training sees it: host batch, batch, outputs, and the detector."""
    source = pictures.of_annotated_files(image_files.find(str(place / "images")), str(place / "boxes.json"))
    return *next(pictures.as_trained(source, detector)), detector


def test_the_two_losses_of_an_object_are_those_of_the_loops(seen):
    host, batch, outputs, detector = seen
    logits, offsets = (outputs[f"anchor_free_{name}"] for name in ("logits", "offsets"))
    result = detector.config.anchor_free().losses(outputs, regions.Instances.of_batch(batch), None)
    for row in range(2):
        class_loss, box_loss = (result[f"instance_{kind}_losses"][0, row].numpy() for kind in ("class", "box"))
        box, expected = host["boxes"][0, row], []
        for level in sorted(logits):
            shape = logits[level].shape[1:3]
            cells = list(naive.region(box, 0.2, int(level), shape, 0.5))
            predicted = [
                naive.predicted_box(offsets[level][0].numpy()[cell], cell, int(level), 0.5, 4.0) for cell in cells
            ]
            of_cells = [-np.log(max(naive.iou(each, [float(side) for side in box]), 1e-6)) for each in predicted]
            of_class = []
            for cell in cells:
                own = logits[level][0].numpy()[cell]
                of_class.append(sum(naive.focal(x, k == host["classes"][0, row], 0.25, 2) for k, x in enumerate(own)))
            expected.append((np.mean(of_class), np.mean(of_cells)))
        np.testing.assert_allclose(np.stack([class_loss, box_loss], axis=-1), expected, rtol=2e-4, atol=1e-4)
        assert result["levels"][0, row] == 3 + np.argmin(class_loss + box_loss)


def test_before_selection_every_object_is_on_every_level(seen):
    host, batch, outputs, _ = seen
    found = targets.on_every_level(batch, outputs)
    layout = pyramid.Layout.of_maps(outputs["anchor_free_logits"])
    wanted = []
    for level, shape in zip(layout.levels, layout.sizes):
        covered = np.zeros(shape, bool)
        for box in host["boxes"][0][host["valid"][0]]:
            for cell in naive.region(box, 0.2, level, shape, 0.5):
                covered[cell] = True
        wanted.append(covered.ravel())
    np.testing.assert_array_equal(found["positive"], np.concatenate(wanted))


def test_drawn_distances_are_those_that_give_the_box_back(seen):
    host, batch, outputs, detector = seen
    found = targets.on_every_level(batch, outputs)
    layout = pyramid.Layout.of_maps(outputs["anchor_free_logits"])
    distances = targets.offsets(host["boxes"][0], found["instance"], outputs, detector.config.model.geometry())
    level = layout.location_levels()[:, None]
    decoded = regions.decode_offsets(tf.constant(distances, tf.float32), layout.locations(0.5), level, 4.0).numpy()
    own = host["boxes"][0][found["instance"]]
    np.testing.assert_allclose(decoded[found["positive"]], own[found["positive"]], atol=1e-3)


def test_targets_of_a_run_of_other_values(place, detector, monkeypatch):
    """None of them is a default: what is drawn is what the loops give with them."""
    config = detector.config.replace()
    others = {"location_offset": 0.0, "anchor_free": {"offset_scale": 2.0, "effective": 0.6, "ignoring": 0.8}}
    config.model.override(others)
    drawn = []
    monkeypatch.setattr(targets, "draw_maps", lambda *args, lines, **_: drawn.append((*args, " ".join(lines))))
    source = pictures.of_annotated_files(image_files.find(str(place / "images" / "1.png")), str(place / "boxes.json"))
    next(targets.draw(Detector(detector.model, config, CLASSES), "run", source))
    [(image, instances, learnt, geometry, _, text)] = drawn
    assert geometry == config.model.geometry() and "in units of 2 cells" in text
    place_of = 0
    for level in geometry.levels:
        shape = tuple(-(-side // 2**level) for side in image.shape[:2])
        covered, ignored = (
            [naive.region(box, share, level, shape, 0.0) for box in instances["boxes"][instances["valid"]]]
            for share in (0.6, 0.8)
        )
        for cell in np.ndindex(shape):
            assert learnt.before["positive"][place_of] == any(cell in cells for cells in covered)
            assert learnt.before["negative"][place_of].all() != any(cell in cells for cells in ignored)
            if learnt.after["positive"][place_of]:
                y1, x1, y2, x2 = instances["boxes"][learnt.after["instance"][place_of]]
                y, x = np.array(cell) * 2**level
                expected = np.array([y - y1, x - x1, y2 - y, x2 - x]) / (2 * 2**level)
                np.testing.assert_allclose(learnt.offsets[place_of], expected, atol=1e-4)
            place_of += 1
    assert place_of == len(learnt.offsets) and learnt.after["positive"].any()


def test_a_match_is_of_the_class_and_given_once():
    objects, names = [[0, 0, 10, 10], [0, 20, 10, 30]], ["a", "a"]
    boxes = [[0, 0, 10, 9], [0, 0, 10, 10], [0, 20, 10, 30], [0, 20, 10, 31], [50, 50, 60, 60]]
    assert compare.match(boxes, ["a", "a", "b", "a", "a"], objects, names).tolist() == [0, 2, 2, 1, 2]
    assert compare.match(boxes[:1], ["a"], np.zeros([0, 4]), []).tolist() == [0]
    assert compare.match(np.zeros([0, 4]), [], objects, names).tolist() == []


def side(name, rows):
    boxes = np.array([box for box, _ in rows], np.float32).reshape(-1, 4)
    found = {"boxes": boxes, "scores": np.linspace(0.9, 0.5, len(rows)), "names": [each for _, each in rows]}
    return compare.Side(name, lambda picture: found)


def compared(place, sides, has_truth):
    source = pictures.of_annotated_files(image_files.find(str(place / "images" / "1.png")), str(place / "boxes.json"))
    said = []
    drawn = compare.draw(sides, source, has_truth=has_truth, score_threshold=0.3, say=said.append)
    [(image_id, figure)] = drawn
    assert image_id == 1
    left, right = np.split(figure[-500:], [figure.shape[1] // 2], axis=1)
    colours = {"both": compare.FOUND_BY_BOTH, "only": compare.ONLY_HERE, "missed": compare.MISSED}
    colours["wrong"] = compare.MATCHES_NOTHING
    return said[0], *(
        {key for key, colour in colours.items() if np.sum(np.all(half == colour, axis=-1)) > 50}
        for half in (left, right)
    )


def test_what_each_side_finds_and_misses(place):
    cat, bird = ([4, 4, 24, 30], "cat"), ([10, 30, 44, 68], "bird")
    said, left, right = compared(place, [side("A", [cat, bird]), side("B", [cat, ([0, 0, 9, 9], "dog")])], True)
    assert said == "Found by both 1 of 2 objects, only by A 1, only by B 0"
    assert left == {"both", "only"} and right == {"both", "wrong", "missed"}
    said, left, right = compared(place, [side("A", [cat]), side("B", [cat, bird])], False)
    assert said == "Found by both 1, only by A 0, only by B 1"
    assert left == {"both"} and right == {"both", "only"}


def test_boxes_in_a_crowd_are_not_judged():
    crowd = (np.array([[0, 0, 100, 100]], np.float32), ["cat"])
    found = {
        "boxes": np.array([[10, 10, 20, 20], [10, 10, 20, 20], [10, 95, 20, 115], [200, 0, 220, 20]], np.float32),
        "scores": np.array([0.9, 0.8, 0.7, 0.6]),
        "names": ["cat", "dog", "cat", "cat"],
    }
    [judged] = compare._against_truth([found], (found["boxes"][3:], ["cat"]), crowd)
    assert judged.detections["scores"] == [0.8, 0.7, 0.6] and judged.objects.tolist() == [-1, -1, 0]
    [judged] = compare._against_truth([found], (np.zeros([0, 4]), []), (np.zeros([0, 4]), []))
    assert judged.objects.tolist() == [-1] * 4


def test_results_of_a_file_go_by_file_name_or_by_id():
    row, image = {"category_id": 16, "bbox": [1, 2, 3, 4], "score": 0.5}, np.zeros([20, 30, 3], np.uint8)
    for results in ([{**row, "image_id": 5}], [{**row, "image_id": 1, "file_name": "5.png"}]):
        detect = compare.of_results("a", results, Classes(("bird",), (16,))).detect
        found = detect({"image_id": 5, "file_name": "deep/5.png", "image": image})
        assert found["boxes"].tolist() == [[2, 1, 6, 4]] and found["names"] == ["bird"]
        assert len(detect({"image_id": 7, "file_name": "7.png", "image": image})["scores"]) == 0
    with pytest.raises(UserError, match="a: the box .* ends outside of 5.png, 5 x 3 px as it is stored"):
        detect({"image_id": 5, "file_name": "5.png", "image": np.zeros([9, 5, 3], np.uint8)[:3]})
    with pytest.raises(UserError, match="a: category 16 has no name"):
        compare.of_results("a", [{**row, "image_id": 5}], Classes(("cat",), (17,)))


def test_rules_of_levels():
    task = small_params().task
    task.input_size.shorter_side, task.input_size.longer_side = 512, 512
    anchor = [64 - 32, 64 - 32, 64 + 32, 64 + 32]  # of scale 1 on P4, whose locations stand at 8 + 16 n
    large = [160 - 128, 160 - 128, 160 + 128, 160 + 128]  # of scale 1 on P6
    boxes = np.array([[8 + side for side in anchor], large, [10, 10, 14, 14]], np.float32)
    shapes = task.model.anchor_based.shapes()
    found = levels.rules(boxes, (512, 512), detection.program(task, 3), shapes)
    assert found["size"].tolist() == [3, 5, 3] and found["anchor"].tolist() == [4, 6, 3]


def test_rules_of_levels_where_locations_stand_elsewhere():
    """The level of the best anchor in a loop over all of them; for some box it is another than by default."""
    task, draw = small_params().task, np.random.default_rng(0)
    task.input_size.shorter_side = task.input_size.longer_side = 128
    corners, sides = draw.uniform(0, 64, [12, 2]), draw.uniform(52, 62, [12, 2])
    boxes, by_offset = np.concatenate([corners, corners + sides], axis=1).astype(np.float32), []
    shapes = task.model.anchor_based.shapes()
    for task.model.location_offset in (0.5, 0.0):
        best = []
        for level in range(3, 8):
            places = naive.anchors([128 // 2**level] * 2, level, *shapes, task.model.location_offset)
            best.append([max(naive.iou(place, box) for place in places) for box in boxes])
        by_offset.append(3 + np.argmax(best, axis=0))
        found = levels.rules(boxes, (128, 128), detection.program(task, 3), shapes)["anchor"]
        np.testing.assert_array_equal(found, by_offset[-1])
    assert (by_offset[0] != by_offset[1]).any()


def test_the_table_of_levels():
    objects = levels.Objects(sizes=[20, 60, 100, 130], found=[3, 4, 3, 5], size=[3, 3, 3, 4], anchor=[3, 4, 4, 5])
    table = levels.table(objects, [3, 4, 5])
    assert [(row["from"], row["to"], row["objects"]) for row in table["sizes"]] == [
        *((14, 28, 1), (28, 56, 0), (56, 112, 2), (112, 224, 1))
    ]
    assert table["levels"] == {"P3": 2, "P4": 1, "P5": 1} and table["agrees_size"] == 0.5
    assert table["sizes"][2]["agrees_anchor"] == 0.5 and table["sizes"][1]["agrees_size"] is None
    rows = list(csv.reader(levels.as_csv(table, [3, 4, 5]).splitlines()))
    assert rows[0][:4] == ["from_px", "to_px", "objects", "P3"]
    assert rows[-1] == ["all", "", "4", "2", "1", "1", "0.500", "0.750"]


def test_objects_under_a_pixel_are_in_the_table():
    objects = levels.Objects(sizes=[0.0, 0.5, 1.5], found=[3, 3, 3], size=[3, 3, 3], anchor=[3, 3, 3])
    rows = levels.table(objects, [3, 4])["sizes"]
    assert [(row["from"], row["to"], row["objects"]) for row in rows] == [(0.875, 1.75, 3)]
    levels.chart(objects, [3, 4], "tiny", "size").savefig(io.BytesIO())


def test_nothing_found_is_a_chart_too():
    table = levels.table(levels.Objects.join([]), [3, 4, 5])
    assert table["objects"] == 0 and table["agrees_size"] is None
    assert "all,,0,0,0,0,," in levels.as_csv(table, [3, 4, 5])
    levels.chart(levels.Objects.join([]), [3, 4, 5], "nothing", "size").savefig(io.BytesIO())
    charts.selection(np.zeros([20, 30, 3], np.uint8), [], [3, 4], "nothing", is_online=True).savefig(io.BytesIO())
    curves.training(["a"], [{"training_loss": {10: 1.0}}], [{}]).savefig(io.BytesIO())


def test_scalars_of_a_run_that_was_restarted_and_still_writes(tmp_path):
    for values in ({10: 3.0, 20: 2.0}, {20: 2.5, 30: 1.0}):  # the second start goes on from step 10
        before = set(tmp_path.glob("train/*"))
        with tf.summary.create_file_writer(str(tmp_path / "train")).as_default():
            for step, value in values.items():
                tf.summary.scalar("training_loss", value, step)
                tf.summary.scalar("anchor_free/level_3", 0.75, step)
                tf.summary.image("picture", np.zeros([1, 4, 4, 3], np.uint8), step)
    [newest] = set(tmp_path.glob("train/*")) - before
    newest.write_bytes(newest.read_bytes()[:-9])  # the picture of step 30
    found = training.read(str(tmp_path))
    assert found["training_loss"] == {10: 3.0, 20: 2.5, 30: 1.0} and set(found) == {
        "training_loss",
        "anchor_free/level_3",
    }
    assert training.level_shares(found) == {3: {10: 0.75, 20: 0.75, 30: 0.75}}
    with pytest.raises(UserError, match="has no event files"):
        training.read(str(tmp_path / "train"))


def test_pictures_with_and_without_annotations(place, tmp_path):
    pixels = Image.fromarray(drawing.draw(3, 1)[0]).resize(SIZE[::-1])
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "1.png").write_bytes(turned(pixels, 6, "PNG"))
    pixels.save(tmp_path / "deep" / "other.png")
    source = pictures.of_annotated_files(image_files.find(f"{tmp_path}/deep"), str(place / "boxes.json"))
    [stored] = pictures.read(source)  # the annotations refer to stored pixels, and do not know the other
    assert [finding.line for finding in source.findings] == [
        f"1 of 2 files is left out: {place}/boxes.json does not name them (first: {tmp_path}/deep/other.png)"
    ]
    assert stored["image"].shape == (*SIZE, 3) and stored["boxes"].shape == (2, 4) and stored["image_id"] == 1
    first, _ = pictures.read(pictures.of_files(image_files.find(f"{tmp_path}/deep"), CLASSES))
    assert first["image"].shape == (*SIZE[::-1], 3) and first["boxes"].shape == (0, 4)
    pixels.resize((20, 20)).save(tmp_path / "deep" / "1.png")
    with pytest.raises(UserError, match="1.png has height, width 20, 20 and not as declared"):
        list(pictures.read(source))
    with pytest.raises(UserError, match="boxes.json names none of the 1 files in --images, such as .*other.png"):
        pictures.of_annotated_files(image_files.find(f"{tmp_path}/deep/other.png"), str(place / "boxes.json"))


def test_choosing_pictures(place):
    source = pictures.of_annotated_files(image_files.find(str(place / "images")), str(place / "boxes.json"))
    assert [row["image_id"] for row in pictures.read(pictures.select(source, [5], 0))] == [5]
    assert [row["image_id"] for row in pictures.read(pictures.select(source, [], 1))] == [1]
    with pytest.raises(UserError, match="has only 1 of the 2 images of --image_ids"):
        list(pictures.read(pictures.select(source, [5, 6], 0)))


def written(folder):
    """The files in a folder; every picture can be opened."""
    for path in folder.glob("*.png"):
        assert np.asarray(Image.open(path)).std() > 5
    return {path.name for path in folder.iterdir()}


def test_figures_of_objects(place, detector, tmp_path):
    source = pictures.of_annotated_files(image_files.find(str(place / "images" / "5.png")), str(place / "boxes.json"))
    for figure in (targets, selection):
        write_figures._write_each(figure.draw(detector, "run", source), source, str(tmp_path), "a", Progress())
        assert written(tmp_path) == {"a_5.png"}
    with pytest.raises(UserError, match="image 5 has no object 2 to train on; it has 1"):
        next(selection.draw(detector, "run", source, instance=2))


def test_objects_keep_their_numbers_beside_a_crowd(place, detector, tmp_path):
    content = json.loads((place / "boxes.json").read_text())
    content["annotations"][0]["iscrowd"] = 1
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    source = pictures.of_annotated_files(
        image_files.find(str(place / "images" / "1.png")), str(tmp_path / "boxes.json")
    )
    [(_, figure)] = selection.draw(detector, "run", source, instance=2)
    assert any(axes.get_title(loc="left").startswith("2: bird") for axes in figure.axes)
    with pytest.raises(UserError, match="no object 1 to train on; it has 2"):
        next(selection.draw(detector, "run", source, instance=1))


def test_levels_and_comparison_by_their_command(place, tmp_path, monkeypatch, capsys):
    wanted = ["--figure=levels", f"--model={place}/run", "--rule=anchor", "--image_ids=5", f"--output={tmp_path}/a"]
    assert call(tool, monkeypatch, *wanted, "--score_threshold=0.01", "--checkpoint=newest") == 0
    line = f"Checkpoint: {place}/run/ckpt-7, step 7 (the newest)"
    assert line in capsys.readouterr().out.splitlines()
    assert "has no best checkpoint" in call(tool, monkeypatch, *wanted, "--checkpoint=best")
    assert written(tmp_path / "a") == {"levels_5.png", "levels.png", "levels.csv", "levels.json"}
    table = json.loads((tmp_path / "a" / "levels.json").read_text())
    assert table["images"] == 1 and table["objects"] == sum(table["levels"].values())
    capsys.readouterr()
    (tmp_path / "run").mkdir()
    rows = [{"image_id": 1, "category_id": 17, "bbox": [4, 4, 26, 20], "score": score} for score in (0.9, 0.2)]
    for name, kept in (("one", rows[:1]), ("two", rows[1:])):
        (tmp_path / f"{name}.json").write_text(json.dumps(kept))
    models = [f"--model={tmp_path}/one.json", f"--model={tmp_path}/two.json", "--labels=one,two"]
    data = [f"--images={place}/images", f"--annotations={place}/boxes.json", f"--output={tmp_path}/c"]
    assert call(tool, monkeypatch, "--figure=compare", *models, *data) == 0
    assert "Found by both 0 of 3 objects, only by one 1, only by two 0" in capsys.readouterr().out
    assert written(tmp_path / "c") == {"compare_1.png", "compare_5.png"}
    models[1] = f"--model={place}/run"
    assert call(tool, monkeypatch, "--figure=compare", *models, *data, f"--checkpoint={place}/run/ckpt-7") == 0
    assert line in capsys.readouterr().out.splitlines()
    assert "2 times for 1 --model" in call(
        tool, monkeypatch, "--figure=compare", *models, *data, *["--checkpoint=a"] * 2
    )


def test_a_level_is_that_of_one_view(place, tmp_path):
    params = experiment.read_params(str(place / "run"))
    params.task.test_augmentation.override({"enabled": True, "ratios": [0.5, 2.0]})
    augmented = tmp_path / "run"
    shutil.copytree(place / "run", augmented)
    (augmented / "params.yaml").write_text(experiment.to_yaml(params))
    image = next(pictures.read(pictures.of_files(image_files.find(str(place / "images" / "1.png")), CLASSES)))["image"]
    once, plain = (
        write_figures._of_a_run(write_figures.Model(str(run), "run"))(image) for run in (augmented, place / "run")
    )
    np.testing.assert_array_equal(once["levels"], plain["levels"])
    # Two networks round otherwise on a loaded machine; another view moves boxes by whole pixels.
    np.testing.assert_allclose(once["boxes"], plain["boxes"], atol=0.01)


def test_what_does_not_belong_together_is_one_line(place, tmp_path, monkeypatch, capsys):
    def said(*words):
        return call(tool, monkeypatch, *words, f"--output={tmp_path}/out")

    row = {"image_id": 1, "category_id": 17, "bbox": [4, 4, 26, 20], "score": 0.9}
    (tmp_path / "d.json").write_text(json.dumps([row]))
    compare_two = ["--figure=compare", f"--model={tmp_path}/d.json", f"--model={place}/run", "--labels=d,run"]
    assert "knows pictures by the ids of its data" in said(*compare_two, f"--images={place}/images")
    (tmp_path / "d.json").write_text(json.dumps([{**row, "image_id": 99}]))
    annotated = [f"--images={place}/images", f"--annotations={place}/boxes.json"]
    assert said(*compare_two, *annotated) == 0
    assert "None of the 1 results of d is of these pictures" in capsys.readouterr().out
    assert "names that differ" in said("--figure=compare", *[f"--model={tmp_path}/d.json"] * 2, *annotated)
    other = json.loads((place / "boxes.json").read_text())
    for category in other["categories"]:
        category["name"] = f"x{category['name']}"
    (tmp_path / "other.json").write_text(json.dumps(other))
    annotated[1] = f"--annotations={tmp_path}/other.json"
    for words in (compare_two, ["--figure=levels", f"--model={place}/run"]):
        assert "other classes than the model: xbird, xcat, xdog in place of bird, cat, dog" in said(*words, *annotated)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"no picture")
    message = said("--figure=levels", f"--model={place}/run", f"--images={tmp_path}/bad")
    assert message.startswith("error: ") and "a.jpg: not an image" in message and "\n" not in message


def test_a_run_finds_what_its_own_detections_hold(place, detector, tmp_path, capsys):
    predict_files.run(detector, image_files.find(str(place / "images")), str(tmp_path))
    capsys.readouterr()
    results = json.loads((tmp_path / "detections.json").read_text())
    sides = [compare.of_detector("run", detector), compare.of_results("file", results, CLASSES)]
    source, said = pictures.of_files(image_files.find(str(place / "images")), CLASSES), []
    assert len(list(compare.draw(sides, source, has_truth=False, score_threshold=0.01, say=said.append))) == 2
    assert said[0].endswith("only by run 0, only by file 0") and not said[0].startswith("Found by both 0")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--figure=levels", "--output=o"], "--model is missing"),
        (["--figure=compare", "--output=o", "--model=a"], "--figure=compare needs --model twice, not 1 times"),
        (["--figure=targets", "--output=o", "--model=a", "--model=b"], "--figure=targets takes one --model"),
        (["--figure=targets", "--output=o", "--model=a", "--rule=anchor"], "--rule is for --figure=levels"),
        (["--figure=targets", "--output=o", "--model=a", "--images=i"], "--figure=targets needs boxes"),
        (["--figure=levels", "--output=o", "--model=a", "--annotations=i"], "--annotations needs --images"),
        (
            ["--figure=training", "--output=o", "--model=a", "--checkpoint=best"],
            "--checkpoint is for --figure=targets or",
        ),
        (["--figure=levels", "--output=o", "--model=a", "--image_ids=x"], "--image_ids are whole numbers"),
        (["--figure=levels", "--output=o", "--model=a", f"--image_ids={2**63}"], "of at most 64 bits"),
        (["--figure=training", "--output=o", "--model=a", "--labels=a,b"], "--labels has 2 names for 1 --model"),
        (["--figure=batch", "--output=o"], "--experiment is missing"),
        (["--figure=batch", "--output=o", "--experiment=custom", "--model=a"], "--figure=batch needs no --model"),
        (["--figure=levels", "--output=o", "--model=a", "--experiment=custom"], "--experiment is for --figure=batch"),
    ],
)
def test_mistakes_in_flags_are_one_line(arguments, message, monkeypatch):
    said = call(tool, monkeypatch, *arguments)
    assert said.startswith("error: ") and message in said and "\n" not in said
