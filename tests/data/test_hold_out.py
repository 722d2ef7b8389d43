"""Validation data that are a fraction of the training data: the same pictures whenever they are opened."""

import json

import numpy as np
import pytest
from PIL import Image

from fsaf_tf.analysis import inputs
from fsaf_tf.config import experiment, schema, strict
from fsaf_tf.data import source
from fsaf_tf.errors import UserError
from fsaf_tf.run import data_report, held_out, records


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Forty pictures, of which two have equal bytes and one cannot be read."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(1, 41):
        Image.fromarray(rng.integers(0, 256, [48, 64, 3], np.uint8)).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 48, "width": 64})
        for label in (1, 2) if number % 4 else (1, 3):
            row = {"id": len(annotations) + 1, "image_id": number, "category_id": label, "bbox": [1, 1, 20, 20]}
            annotations.append(row)
    (folder / "40.png").write_bytes((folder / "7.png").read_bytes())
    (folder / "13.png").write_bytes(b"no picture")
    categories = [{"id": number, "name": name} for number, name in enumerate(("nut", "bolt", "washer"), start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "a.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def task(folder, monkeypatch) -> schema.Task:
    monkeypatch.chdir(folder)
    return make_task(fraction=0.25)


def make_task(fraction: float, **train) -> schema.Task:
    task = schema.Task()
    keys = {"annotation_file": "a.json", "image_dir": ".", "max_bad_pictures": 0.1, **train}
    strict.merge(task, {"train_data": keys, "validation_data": {"fraction": fraction}}, "test")
    return task


def names(opened: source.Source) -> set[str]:
    return set(opened.boxes().file_names)


def test_each_picture_is_trained_on_or_held_out(task):
    both = source.open_sources(task, train=True, validation=True)
    train, validation = names(both.train), names(both.validation)
    assert not train & validation and len(both.train.held_out) == 10
    assert train | validation == {f"{number}.png" for number in range(1, 41)} - {"13.png"}
    # What cannot be read is dealt out, too, and then left out of either as `max_bad_pictures` allows.
    assert validation == {*both.train.held_out} - {"13.png"}
    assert len(both.train.bad.problems) + len(both.validation.bad.problems) == 1
    assert not both.validation.bad.are_allowed
    assert ({"7.png", "40.png"} <= train) != ({"7.png", "40.png"} <= validation)
    shares = np.bincount(both.validation.boxes().class_indices) / np.bincount(
        np.concatenate([both.train.boxes().class_indices, both.validation.boxes().class_indices])
    )
    np.testing.assert_allclose(shares, 0.25, atol=0.06)
    assert both.train.classes == both.validation.classes
    assert both.train.notes[0] == (
        "10 of 40 pictures are held out for validation (task.validation_data.fraction 0.25, seed 0)"
    )


def test_whoever_opens_them_sees_the_same(task):
    both = source.open_sources(task, train=True, validation=True)
    held = names(both.validation)
    assert held == names(source.open_validation(task)) and both.train.held_out == both.validation.held_out
    assert names(both.train) == names(source.open_train(task))
    report = data_report.check(task)
    assert names(report.validation.source) == held and report.error is None
    assert report.values()["notes"] == list(both.train.notes) and "notes" not in report.values()["validation"]
    assert names(source.open_validation(make_task(0.25, seed=1))) != held


def test_the_digest_and_the_keys_of_an_evaluation_lead_back_to_them(task, tmp_path):
    """As an evaluation records its data, a report opens them."""
    run = experiment.load("custom", overrides="task.train_data.seed=3,task.validation_data.fraction=0.5")
    run.task.train_data.override({"annotation_file": "a.json", "image_dir": "."})
    run.task.train_data.max_bad_pictures = 0.1
    keys = records.data_keys(run)
    assert keys == {"annotation_file": "a.json", "image_dir": ".", "fraction": 0.5, "seed": 3}
    (tmp_path / "metrics.json").write_text(json.dumps({"data": keys}))
    recorded = experiment.load("custom", overrides="task.train_data.max_bad_pictures=0.1")  # of another split
    (tmp_path / "params.yaml").write_text(experiment.to_yaml(recorded))
    opened = inputs.open_run_data(str(tmp_path))
    assert names(opened) == names(source.open_validation(run.task))


def test_several_sources_are_parted_as_one(task):
    sources = [{"annotation_file": "a.json", "image_dir": ".", "weight": 1.0}]
    several = make_task(0.25, annotation_file="", image_dir="", sources=sources)
    assert names(source.open_validation(several)) == names(source.open_validation(task))


def test_other_pictures_than_a_run_has_held_out_are_refused(task, tmp_path):
    both = source.open_sources(task, train=True, validation=True)
    held_out.check(str(tmp_path), both.train)  # nothing is recorded yet
    held_out.write(str(tmp_path), both.validation)
    held_out.check(str(tmp_path), both.train)
    other = source.open_validation(make_task(0.25, seed=1))
    with pytest.raises(
        UserError, match="held_out.json records 10 pictures that were held out .* now they are 10, \\d of"
    ):
        held_out.check(str(tmp_path), other)


def test_a_run_keeps_its_seed_and_fraction_where_pictures_are_held_out(tmp_path):
    data = "task.train_data.annotation_file=a.json,task.train_data.image_dir=a"
    own = f"{data},task.validation_data.fraction=0.2"
    (tmp_path / "params.yaml").write_text(experiment.to_yaml(experiment.load("custom", overrides=own)))

    def check(overrides: str, **to_train) -> list[str]:
        return records.check_params(str(tmp_path), experiment.load("custom", overrides=overrides), **to_train)

    assert check(own) == []
    for key, changed in (("train_data.seed", f"{own},task.train_data.seed=1"), ("validation_data.fraction", f"{own}5")):
        with pytest.raises(UserError, match=f"params.yaml records another experiment: task.{key} is"):
            check(changed)
        assert len(check(changed, to_train=False)) == 1
    (tmp_path / "params.yaml").write_text(experiment.to_yaml(experiment.load("custom", overrides=data)))
    assert check(f"{data},task.train_data.seed=1") == ["task.train_data.seed: 0 before, 1 now"]
    sources = "[{annotation_file: a.json, image_dir: a},{annotation_file: b.json, image_dir: b}]"
    with pytest.raises(UserError, match="task.train_data.sources is"):
        check(f"task.train_data.sources={sources}")


@pytest.mark.parametrize(
    "keys, words",
    [
        (
            "train_data.tfds_name=coco/2017,task.train_data.tfds_split=train,task.validation_data.fraction=0.1",
            "task.validation_data.fraction is for annotation files; take task.train_data.tfds_split='train",
        ),
        (
            "train_data.input_path=a*,task.validation_data.fraction=0.1",
            "keep some of the files for it: task.validation_",
        ),
        (
            "validation_data.annotation_file=b.json,task.validation_data.image_dir=b,task.validation_data.fraction=0.1",
            "annotation_file and fraction are both set; leave one",
        ),
        ("validation_data.fraction=1.5", "task.validation_data.fraction must be from 0 to 0.9, not 1.5"),
        (
            "validation_data.fraction=0.1,task.validation_data.exif_orientation=stored",
            "task.validation_data.exif_orientation has no effect with task.validation_data.fraction",
        ),
    ],
)
def test_what_cannot_be_parted(keys, words):
    with pytest.raises(UserError, match=words):
        experiment.load("custom", overrides=f"task.{keys}")


def test_data_of_a_later_layer_replace_the_fraction(tmp_path):
    (tmp_path / "my.yaml").write_text("task: {validation_data: {fraction: 0.2}}")
    own = experiment.load(
        "custom", [tmp_path / "my.yaml"], "task.validation_data.annotation_file=v.json,task.validation_data.image_dir=v"
    )
    assert (own.task.validation_data.fraction, own.task.validation_data.annotation_file) == (0, "v.json")
    parted = experiment.load(
        "fsaf_r50",
        (),
        "task.train_data.annotation_file=a.json,task.train_data.image_dir=a,task.validation_data.fraction=0.2",
    )
    assert parted.task.validation_data.tfds_name == "" and parted.task.validation_keys()["annotation_file"] == "a.json"


@pytest.mark.parametrize(
    "sources, words",
    [
        ("[{image_dir: a}]", r"task.train_data.sources\[0\] has no annotation_file: of TFDS"),
        (
            "[{annotation_file: a, image_dir: a, weight: 1},{annotation_file: b, image_dir: b}]",
            r"sources\[1\].weight is 0, and others are not; give all of them a weight, or none",
        ),
        ("[{annotation_file: a, image_dir: a},{annotation_file: a, image_dir: a}]", "has a twice"),
        (
            "[{annotation_file: a, image_dir: a, weight: 1}],task.train_data.repeat_rare=0.1",
            "both say how often pictures come",
        ),
        ("[{annotation_file: a, image_dir: a}],task.train_data.input_path=x", "input_path and sources are both set"),
        (
            "[{tfds_name: a}]",
            r"no key task.train_data.sources\[0\].tfds_name; there are: annotation_file, image_dir, w",
        ),
        ("a.json", "sources wants a list, each with keys of its own"),
    ],
)
def test_sources_that_make_no_sense(sources, words):
    with pytest.raises(UserError, match=words):
        experiment.load("custom", overrides=f"task.train_data.sources={sources}")
