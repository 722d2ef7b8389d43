"""Experiments are read strictly, in one line, and written so that nothing is lost."""

import math

import pytest
import yaml
from official.core import exp_factory

from fsaf_tf.config import catalog, checks, experiment, plain_values, schedule
from fsaf_tf.errors import UserError
from fsaf_tf.run.mode import parse


@pytest.fixture
def read(tmp_path):
    """Reads YAML text as an experiment of one's own, on top of nothing."""

    def _read(text: str, **kwargs):
        (tmp_path / "mine.yaml").write_text(text)
        return experiment.load(str(tmp_path / "mine.yaml"), **kwargs)

    return _read


def nested(key: str, value: str) -> str:
    """YAML that sets one dotted key."""
    return "".join("  " * depth + f"{name}:\n" for depth, name in enumerate(key.split(".")))[:-1] + f" {value}\n"


@pytest.mark.parametrize("name", catalog.names())
def test_what_is_written_reads_back_the_same(name, read):
    params = experiment.load(name)
    text = experiment.to_yaml(params)
    again = read(text)
    assert again.as_dict() == params.as_dict()
    assert experiment.to_yaml(again) == text
    assert yaml.safe_load(text)["trainer"]["train_steps"] == params.trainer.train_steps  # no tags, any reader reads it


def test_floats_keep_every_digit(read):
    params = read(nested("task.losses.weight_decay", repr(1 / 3e5)))
    text = experiment.to_yaml(params)
    assert read(text).task.losses.weight_decay == 1 / 3e5
    assert read(text).task.model.anchor_based.box_loss_beta == 1 / 9


def test_params_of_a_run(tmp_path):
    params = experiment.load("fsaf_demo")
    (tmp_path / "params.yaml").write_text(experiment.to_yaml(params))
    assert experiment.read_params(tmp_path).as_dict() == params.as_dict()
    with pytest.raises(UserError, match="no_run/params.yaml cannot be read: is .*no_run the folder of a run"):
        experiment.read_params(tmp_path / "no_run")


def test_layers_in_their_order(tmp_path):
    for number in (1, 2):
        (tmp_path / f"{number}.yaml").write_text(nested("trainer.train_steps", str(number)))
    files = [str(tmp_path / "1.yaml"), str(tmp_path / "2.yaml")]
    assert experiment.load("fsaf_r50", files).trainer.train_steps == 2
    assert experiment.load("fsaf_r50", files[::-1]).trainer.train_steps == 1
    assert experiment.load("fsaf_r50", files, "trainer.train_steps=3").trainer.train_steps == 3


@pytest.mark.parametrize(
    "overrides",
    [
        "task.model.num_classes=4,task.model.anchor_based.scales=[1,2.5],task.input_size.shorter_side=64",
        "task.model.num_classes=4, task.model.anchor_based.scales=[1, 2.5], task.input_size.shorter_side=64",
        '{"task": {"model": {"num_classes": 4, "anchor_based": {"scales": [1, 2.5]}}, '
        '"input_size": {"shorter_side": 64}}}',
        "task: {model: {num_classes: 4, anchor_based: {scales: [1, 2.5]}}, input_size: {shorter_side: 64}}",
    ],
)
def test_override_forms(overrides):
    task = experiment.load("fsaf_r50", overrides=overrides).task
    assert (task.model.num_classes, task.input_size.shorter_side) == (4, 64)
    assert task.model.anchor_based.scales == [1.0, 2.5] and type(task.model.anchor_based.scales[0]) is float


def test_data_that_are_named_later_replace_those_before():
    """Not "both set": nobody who names an annotation file still wants the COCO of the experiment's file."""
    data = experiment.load("fsaf_r50", overrides="task.validation_data.input_path=a*").task
    assert (data.validation_data.tfds_name, data.validation_data.input_path) == ("", "a*")
    assert (data.train_data.tfds_name, data.train_data.input_path) == ("coco/2017", "")


def test_override_values():
    overrides = (
        "task.losses.weight_decay=1e-5,task.train_data.tfds_split='train[:10%]',task.train_data.tfds_name=voc/2007"
    )
    task = experiment.load("fsaf_r50", overrides=overrides).task
    assert task.losses.weight_decay == 1e-5
    assert (task.train_data.tfds_name, task.train_data.tfds_split) == ("voc/2007", "train[:10%]")


@pytest.mark.parametrize("overrides", ["train_steps", "=3", "task.train_data.tfds_split=train[:10%]", "mine.yaml"])
def test_override_that_is_none(overrides):
    with pytest.raises(UserError, match=r"--params_override wants a.b=1,c.d=\[1,2\].*, not "):
        experiment.load("fsaf_r50", overrides=overrides)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "task.model.fpn.chanels",
            "3",
            "no key task.model.fpn.chanels, did you mean 'channels'?; there are: channels, ",
        ),
        ("tsak", "3", "no key tsak, did you mean 'task'?; there are: runtime, task, trainer"),
        ("3", "4", "no key 3; there are: runtime, task, trainer"),
        # Below optional sections and below a choice of one, where the Garden looks at nothing.
        ("trainer.optimizer_config.ema.decay", "0.9", "no key trainer.optimizer_config.ema.decay; there are: average_"),
        (
            "task.differential_privacy_config.clip",
            "1",
            "no key task.differential_privacy_config.clip; there are: clipp",
        ),
        ("task.model.backbone.resnet.deepth", "50", "no key task.model.backbone.resnet.deepth, did you mean 'depth'?"),
        ("trainer.optimizer_config.learning_rate.stepwise.rates", "[1]", "no key trainer.optimizer_config.learning_r"),
        ("task.model.num_classes", "many", "task.model.num_classes wants an integer, not many"),
        ("task.model.num_classes", "2.7", "task.model.num_classes wants an integer, not 2.7"),
        ("task.model.num_classes", "2.0", "task.model.num_classes wants an integer, not 2.0"),
        ("task.model.num_classes", "true", "task.model.num_classes wants an integer, not true"),
        ("task.model.num_classes", "[3]", "task.model.num_classes wants an integer, not [3]"),
        ("task.model.num_classes", "{a: 3}", "task.model.num_classes wants an integer, not {a: 3}"),
        ("task.losses.focal_gamma", "'2'", "task.losses.focal_gamma wants a number, not '2'"),
        ("task.losses.focal_gamma", ".nan", "task.losses.focal_gamma wants a number, not .nan"),
        ("task.model.anchor_free.enabled", "1", "task.model.anchor_free.enabled wants true or false, not 1"),
        ("task.train_data.tfds_name", "3", "task.train_data.tfds_name wants text, not 3"),
        ("task.model.fpn", "null", "task.model.fpn wants keys of its own, not null; there are: channels, "),
        ("task.model.fpn", "256", "task.model.fpn wants keys of its own, not 256; there are: channels, "),
        ("task.model.backbone", "[resnet]", "task.model.backbone wants keys of its own, not [resnet]; there are: "),
        ('task."a\\nb"', "3", "there is no key task.a b; there are: "),
        (f"task.{'a' * 500}", "3", f"there is no key task.{'a' * 120}; there are: "),
        ("task.model.anchor_based.scales", "1", "task.model.anchor_based.scales wants a list, each a number, not 1"),
        ("task.model.anchor_based.scales", "[[1]]", "task.model.anchor_based.scales wants a list, each a number, not"),
        ("task.model.anchor_based.scales", "!!python/tuple [1]", ", line 4: could not determine a constructor for the"),
        ("task.model.backbone.type", "resnett", "type cannot be 'resnett', did you mean 'resnet'?; there are: dilated"),
        ("task.model.backbone.mobilenet", "{}", "mobilenet has no effect, since task.model.backbone.type is resnet"),
        ("runtime.loss_scale", "[3]", "runtime.loss_scale wants text or a number or null, not [3]"),
    ],
)
def test_wrong_key_or_type(read, tmp_path, key, value, message):
    with pytest.raises(UserError) as caught:
        read(nested(key, value))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/mine.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("task.model.anchor_free.selection", "onlin", "cannot be 'onlin', did you mean 'online'?; there are: online, "),
        ("task.model.anchor_free.enabled", "false", "anchor_free.enabled and anchor_based.enabled are both false"),
        ("task.model.anchor_free.effective", "0.6", "effective must not be above task.model.anchor_free.ignoring"),
        ("task.model.anchor_based.negative_iou", "0.6", "must not be above task.model.anchor_based.positive_iou"),
        ("task.model.anchor_based.scales", "[]", "scales must be numbers above 0, at least one, not []"),
        ("task.model.num_classes", "-1", "task.model.num_classes must be at least 0, not -1"),
        ("task.model.location_offset", "2", "task.model.location_offset must be from 0 to 1, not 2.0"),
        ("task.input_size.shorter_side", "2000", "shorter_side must not be above task.input_size.longer_side"),
        ("task.train_data.shorter_sides", "[640,801]", "from 1 to task.input_size.shorter_side (800)"),
        ("task.train_data.shorter_sides", "[0]", "from 1 to task.input_size.shorter_side (800)"),
        (
            "task.evaluation.max_detections",
            "300",
            "task.evaluation.max_detections is 300, but a detector keeps 100 detections of an image; set"
            " task.model.postprocess.max_detections=300 too",
        ),
        ("task.test_augmentation", "{shorter_sides: [400], ratios: [0.5]}", "shorter_sides and ratios are both set"),
        ("task.test_augmentation.shorter_sides", "[]", "shorter_sides and ratios are both empty"),
        ("task.test_augmentation.ratios", "[1, 0]", "test_augmentation.ratios must be numbers above 0, not [1.0, 0.0]"),
        (
            "task.train_data",
            "{tfds_name: shapes, tfds_split: a, input_path: b}",
            "tfds_name and input_path are both set",
        ),
        ("task.train_data.tfds_name", "shapes", "tfds_name is set, but task.train_data.tfds_split is empty"),
        ("trainer.train_steps", "0", "trainer.train_steps must be at least 1, not 0"),
        ("trainer.steps_per_loop", "7", "summary_interval (100) must be a multiple of trainer.steps_per_loop (7)"),
        ("trainer.optimizer_config.optimizer.type", "null", "trainer.optimizer_config.optimizer.type must not be null"),
        (
            "trainer.optimizer_config.learning_rate.stepwise.boundaries",
            "[3, 2]",
            "boundaries must increase, not [3, 2]",
        ),
        ("trainer.optimizer_config.learning_rate.stepwise.boundaries", "[3]", "one more than the 1 boundaries, not 3"),
        ("trainer.optimizer_config.learning_rate.stepwise.values", "[1, 2, -3]", "must not be below 0, not [1.0, 2.0,"),
    ],
)
def test_values_that_make_no_sense(read, key, value, message):
    with pytest.raises(UserError) as caught:
        read(nested(key, value))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: [", "mine.yaml, line 1: expected the node content"),
        ("task:\n  name: a\n  name: b\n", "mine.yaml, line 3: key 'name' stands twice"),
        ("- task", "mine.yaml wants keys with values, not [task]"),
        ("task: \0", "mine.yaml: unacceptable character"),
        ("task: {losses: {? [1] : 2}}", "mine.yaml, line 1: found unhashable key"),
    ],
)
def test_text_that_is_no_experiment(read, text, message):
    with pytest.raises(UserError) as caught:
        read(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"task: {name: \xe9}")
    for path, message in (("latin.yaml", "latin.yaml cannot be read: "), ("missing.yaml", "no file .*missing.yaml")):
        with pytest.raises(UserError, match=message):
            experiment.load(str(tmp_path / path))
    with pytest.raises(UserError, match=r"nothing.yaml cannot be read: No such file"):
        experiment.load("fsaf_r50", [str(tmp_path / "nothing.yaml")])


def test_test_sizes_of_a_later_layer_replace_those_before():
    """As with data: who names ratios need not empty the paper's list first."""
    override = "task.test_augmentation.enabled=true,task.test_augmentation.ratios=[0.5,1.0]"
    found = experiment.load("fsaf_r50", overrides=override).task.test_augmentation
    assert (found.enabled, found.ratios, found.shorter_sides, found.flip) == (True, [0.5, 1.0], [], True)
    params = experiment.load("fsaf_r50")
    experiment.augment_tests(params, "ratios=[0.5,1],flip=false")
    experiment.augment_tests(params, {"shorter_sides": [600]})
    experiment.augment_tests(params, "on")
    found = params.task.test_augmentation
    assert (found.enabled, found.ratios, found.shorter_sides, found.flip) == (True, [], [600], False)
    for keys, message in (("scales=[1]", "no key task.test_augmentation.scales"), ("ratios=[0]", "numbers above 0")):
        with pytest.raises(UserError, match=message):
            experiment.augment_tests(params, keys)


def test_unknown_name_lists_what_exists():
    with pytest.raises(
        UserError, match="no experiment 'fsaf_r5', did you mean 'fsaf_r50'.* ab_fsaf_r50, .*retinanet_r50"
    ):
        experiment.load("fsaf_r5")


def test_optional_section_and_empty_file(read):
    assert (
        read(nested("trainer.optimizer_config.ema.average_decay", "1")).trainer.optimizer_config.ema.average_decay == 1
    )
    assert read(nested("trainer.optimizer_config.ema", "null")).trainer.optimizer_config.ema is None
    assert read("").as_dict() == exp_factory.get_exp_config("fsaf").as_dict()


@pytest.mark.parametrize(
    ("mode", "needed"),
    [
        ("train", ["train_data"]),
        ("eval", ["validation_data"]),
        ("train_and_eval", ["train_data", "validation_data"]),
        ("continuous_eval", ["validation_data"]),
    ],
)
def test_data_is_needed_for_what_the_mode_does(mode, needed):
    custom = experiment.load("custom")  # its paths are to be filled in
    for name in needed:
        with pytest.raises(UserError, match=f"^task.{name} names no data: set task.{name}.annotation_file"):
            checks.check(custom, parse(mode).data)
        custom.override({"task": {name: {"annotation_file": "a.json", "image_dir": "images"}}})
    checks.check(custom, parse(mode).data)


def test_default_warmup_is_no_longer_than_a_tenth_of_the_run(read):
    def steps(text):
        return read(text).trainer.optimizer_config.warmup.linear.warmup_steps

    assert steps("") == steps(nested("trainer.train_steps", "5000")) == 500
    assert steps(nested("trainer.train_steps", "300")) == 30
    assert steps(nested("trainer.train_steps", "3")) == 1
    own = nested("trainer.optimizer_config.warmup.linear.warmup_steps", "100")
    assert steps("trainer: {train_steps: 300, optimizer_config: {warmup: {linear: {warmup_steps: 100}}}}") == 100
    assert steps(own) == 100


def test_rates_are_for_16_images():
    params = experiment.load("fsaf_r50", overrides="task.train_data.global_batch_size=4")
    given, scaled = params.trainer.optimizer_config, schedule.scale_rates(params.trainer.optimizer_config, 4)
    assert given.learning_rate.stepwise.values == [0.01, 0.001, 0.0001]
    assert scaled.learning_rate.stepwise.values == pytest.approx([0.0025, 0.00025, 0.000025])
    assert scaled.warmup.linear.warmup_learning_rate == pytest.approx(0.0025 / 3)
    assert scaled.optimizer.as_dict() == given.optimizer.as_dict()
    first, second, third, fourth = experiment.rates_report(params)
    assert first == "learning rates for 16 images a step, and at this batch of 4:"
    assert second.split() == "learning_rate.stepwise.values 0.01, 0.001, 0.0001 -> 0.0025, 0.00025, 2.5e-05".split()
    assert third.split() == "warmup.linear.warmup_learning_rate 0.00333333 -> 0.000833333".split()
    steps = "learning_rate.stepwise.boundaries 60000, 80000; warmup.linear.warmup_steps 500"
    assert fourth == f"  over 90000 steps: {steps}"


OPTIMIZER = "trainer.optimizer_config."


@pytest.mark.parametrize(
    ("name", "layers", "expected"),
    [
        # The paper's 60,000 and 80,000 of 90,000; its warm-up stays, but for a tenth of the run.
        ("fsaf_r50", ["train_steps=9000"], {"stepwise.boundaries": [6000, 8000], "warmup_steps": 500}),
        ("fsaf_r50", ["train_steps=180000"], {"stepwise.boundaries": [120_000, 160_000], "warmup_steps": 500}),
        ("fsaf_r50", ["train_steps=1"], {"stepwise.boundaries": [1, 2], "warmup_steps": 1}),
        ("custom", ["train_steps=600"], {"stepwise.boundaries": [400, 533], "warmup_steps": 60}),
        # 1800 steps with a warm-up of 50.
        ("fsaf_demo", ["train_steps=3600"], {"cosine.decay_steps": 3600, "warmup_steps": 100}),
        ("fsaf_demo", ["train_steps=3600", "train_steps=900"], {"cosine.decay_steps": 900, "warmup_steps": 25}),
        # What a layer sets itself stays.
        ("fsaf_demo", ["train_steps=3600", "W=70"], {"cosine.decay_steps": 3600, "warmup_steps": 70}),
        ("fsaf_demo", ["train_steps=3600,W=70"], {"cosine.decay_steps": 3600, "warmup_steps": 70}),
        ("fsaf_demo", ["train_steps=3600,cosine.decay_steps=900"], {"cosine.decay_steps": 900, "warmup_steps": 100}),
        ("fsaf_demo", ["cosine.decay_steps=90", "train_steps=3600"], {"cosine.decay_steps": 180, "warmup_steps": 100}),
        ("fsaf_demo", ["cosine.decay_steps=800"], {"cosine.decay_steps": 800, "warmup_steps": 50}),
    ],
)
def test_the_schedule_moves_along_with_the_length_of_the_run(tmp_path, name, layers, expected):
    def written(text):
        text = text.replace("W=", f"{OPTIMIZER}warmup.linear.warmup_steps=")
        text = text.replace("cosine.", f"{OPTIMIZER}learning_rate.cosine.")
        return text.replace("train_steps", "trainer.train_steps")

    files = []
    for number, layer in enumerate(layers[:-1]):
        nested = plain_values.nest(
            {key: int(value) for key, value in (p.split("=") for p in written(layer).split(","))}
        )
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(plain_values.dump(nested))
    config = experiment.load(name, files, written(layers[-1])).trainer.optimizer_config
    found = schedule.steps(config, "learning_rate") | schedule.steps(config, "warmup")
    prefixed = {
        ("warmup.linear." if key == "warmup_steps" else "learning_rate.") + key: expected[key] for key in expected
    }
    assert found == prefixed


def test_a_run_that_is_read_back_is_as_long_as_it_was(tmp_path):
    params = experiment.load("fsaf_demo", overrides=f"{OPTIMIZER}learning_rate.cosine.decay_steps=700")
    (tmp_path / "params.yaml").write_text(experiment.to_yaml(params))
    assert experiment.load_run(str(tmp_path)).as_dict() == params.as_dict()
    longer = experiment.load_run(str(tmp_path), overrides="trainer.train_steps=3600").trainer.optimizer_config
    assert (longer.learning_rate.cosine.decay_steps, longer.warmup.linear.warmup_steps) == (1400, 100)


@pytest.mark.parametrize(
    ("replicas", "first", "marked"),
    [
        (1, "on 1 replica, 16 images of this experiment on each:", (16, 16, "0.01", "90,000")),
        (8, "on 8 replicas, 2 images of this experiment on each:", (2, 16, "0.01", "90,000")),
        (64, "on 64 replicas; task.train_data.global_batch_size=16 does not divide by them:", None),
    ],
)
def test_rates_and_steps_on_so_many_replicas(replicas, first, marked):
    trainer = experiment.load("fsaf_r50").trainer
    said, _, *rows, _ = schedule.replicas_table(trainer, 16, replicas)
    assert said == first
    for images, row in zip((1, 2, 4, 8, 16), rows, strict=True):
        batch, rate, steps = row.split()[1:4]
        assert (row.split()[0], int(batch)) == (str(images), images * replicas)
        assert float(rate) == pytest.approx(0.01 * images * replicas / 16, rel=1e-3)
        assert int(steps.replace(",", "")) == math.ceil(90_000 * 16 / (images * replicas))
    assert [tuple(row.split()[:4]) for row in rows if "this experiment" in row] == (
        [tuple(map(str, marked))] if marked else []
    )


def test_epochs_are_steps_of_the_batch_and_the_schedule_moves_along():
    trainer = experiment.load("fsaf_demo", overrides="trainer.epochs=2.5").trainer
    assert schedule.take_epochs(trainer, 205, 4) == "2.5 epochs of 205 images are 129 steps of 4"
    config = trainer.optimizer_config
    assert (trainer.train_steps, trainer.epochs) == (129, 0)
    assert (config.learning_rate.cosine.decay_steps, config.warmup.linear.warmup_steps) == (129, 12)
    assert schedule.take_epochs(experiment.load("custom", overrides="trainer.epochs=0.01").trainer, 5, 8).endswith(
        "1 steps of 8"
    )


def test_the_newest_word_on_the_length_holds(tmp_path):
    (tmp_path / "a.yaml").write_text("trainer: {epochs: 3}")
    assert experiment.load("fsaf_demo", [tmp_path / "a.yaml"]).trainer.epochs == 3
    trainer = experiment.load("fsaf_demo", [tmp_path / "a.yaml"], "trainer.train_steps=70").trainer
    assert (trainer.epochs, trainer.train_steps) == (0, 70)
    with pytest.raises(UserError, match="sets trainer.epochs and trainer.train_steps, which say the same; leave one"):
        experiment.load("fsaf_demo", overrides="trainer.train_steps=70,trainer.epochs=3")


def test_a_decay_without_a_length_is_as_long_as_the_run():
    text = "trainer: {optimizer_config: {learning_rate: {type: cosine, cosine: {initial_learning_rate: 0.1}}}}"
    params = experiment.load("fsaf_r50", overrides=text[:-1] + ", train_steps: 40}")
    assert params.trainer.optimizer_config.learning_rate.cosine.decay_steps == 40


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            "learning_rate.cosine.decay_steps=1600",
            "  the rate falls until step 1600 alone, and the 200 steps after it learn",
        ),
        ("learning_rate.cosine.decay_steps=1740", None),
        (
            "learning_rate={type: stepwise, stepwise: {boundaries: [1800], values: [0.1, 0.01]}}",
            "  the rate never falls",
        ),
        ("learning_rate={type: stepwise, stepwise: {boundaries: [1799], values: [0.1, 0.01]}}", None),
        (
            "learning_rate={type: exponential, exponential: {initial_learning_rate: 0.1,"
            " decay_rate: 0.5, decay_steps: 9}}",
            None,
        ),
    ],
)
def test_a_rate_that_falls_too_early_or_never_is_told(overrides, line):
    key, _, value = overrides.partition("=")
    text = plain_values.dump(plain_values.nest({f"{OPTIMIZER}{key}": plain_values.parse(f"a: {value}", "test")["a"]}))
    said = experiment.rates_report(experiment.load("fsaf_demo", overrides=text))
    last = said[-1]
    assert last.startswith(line) if line else last.startswith("  over 1800 steps: ")
