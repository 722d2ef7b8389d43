"""The reference of keys and flags: complete, as the code has it, and the same as what the tools print."""

import importlib.util
import pathlib

import pytest
import yaml
from official.core import exp_factory

from fsaf_tf.config import experiment, garden_keys, plain_values, reference

DOCS = pathlib.Path(__file__).parents[2] / "docs"
SPEC = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
make_reference = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_reference)


@pytest.fixture(scope="module")
def keys():
    """By path."""
    return {key.path: key for key in reference.keys(exp_factory.get_exp_config("fsaf"))}


@pytest.mark.parametrize("name", make_reference.PAGES)
def test_pages_are_what_the_code_says(name):
    assert (DOCS / name).read_text(encoding="utf-8") == make_reference.PAGES[name](), "python docs/make_reference.py"


def test_every_key_that_an_experiment_may_have_is_told(keys):
    flat = plain_values.flatten(exp_factory.get_exp_config("fsaf").as_dict())
    # Where a part may be null, its keys stand for it.
    assert {path for path in flat if not any(key.startswith(f"{path}.") for key in keys)} <= set(keys)
    unfit = tuple(f"task.model.backbone.{name}." for name in ("vit", "dilated_resnet", "spinenet", "spinenet_mobile"))
    assert [path for path, key in keys.items() if not (key.meaning or path.startswith(unfit))] == []


def test_no_meaning_of_the_garden_is_for_a_key_that_is_not_there(keys):
    told = {ending for path in keys for ending in garden_keys.MEANINGS if f".{path}".endswith(f".{ending}")}
    assert sorted(set(garden_keys.MEANINGS) - told) == []


def test_what_a_key_is(keys):
    assert keys["task.model.anchor_free.effective"] == (
        "task.model.anchor_free.effective",
        "float",
        "0.2",
        "0 to 1",
        "epsilon_e, the effective box's share of an instance's sides (section 3.2).",
    )
    assert keys["task.model.anchor_free.selection"].allowed == "online, heuristic, soft"
    assert keys["runtime.mixed_precision_dtype"].allowed == "float32, float16, bfloat16"
    assert keys["task.model.anchor_based.scales"].allowed == "each above 0"
    assert keys["task.freeze"].type == "list of str" and keys["runtime.tpu"].type == "str or null"
    assert keys["trainer.optimizer_config.ema.average_decay"].default == "0.99"  # of a part that is null
    assert keys["task.name"].meaning.startswith("Not read: ")


@pytest.mark.parametrize(
    "meaning, brief",
    [
        ("One sentence. Another one.", "One sentence"),
        ("As Eq. 3 has it.", "As Eq. 3 has it"),
        ("", ""),
        ("so many: " + "long " * 30, "so many"),
        ("one; two: (a, b; " + "long " * 30 + "), three", "one; two"),
    ],
)
def test_a_comment_is_short_and_ends_where_a_part_does(meaning, brief):
    assert reference.Key("", "", "", "", meaning).brief == brief


def test_an_experiment_with_comments_is_the_same_experiment():
    params = experiment.load(
        "custom_edge", overrides="task.freeze=[" + ",".join(["backbone/a_long_name_.*"] * 12) + "]"
    )
    plain = experiment.to_yaml(params)
    commented = reference.commented(params, plain)
    assert yaml.safe_load(commented) == yaml.safe_load(plain)
    lines = {line.split(":")[0].strip(): line for line in commented.splitlines()}
    assert lines["effective"].endswith("# epsilon_e, the effective box's share of an instance's sides (section 3.2)")
    assert lines["train_steps"].endswith("# length of the run in steps of `global_batch_size` images")
    without = [line for line in commented.splitlines() if "#" not in line and not line.rstrip().endswith(":")]
    assert [line for line in without if ":" in line] == []  # the lines that go on with the list have no colon
