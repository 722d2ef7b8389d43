"""YAML that would be far larger than its text, contains itself or is nested without end is refused with one line."""

import pytest

from fsaf_tf.config import experiment, plain_values
from fsaf_tf.errors import UserError

LAUGHS = "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


def test_aliases_that_multiply_are_refused_at_once(tmp_path):
    """Written out, these 600 letters are 10^11 numbers."""
    with pytest.raises(UserError, match="^x.yaml, line 5: by its aliases it has [0-9]+ values, more than 10000$"):
        plain_values.parse(LAUGHS, "x.yaml")
    of_a_key = "task:\n  freeze: [&a [x, x], &b [*a, *a, *a], " + ", ".join(
        f"&c{n} [{', '.join([f'*c{n - 1}' if n else '*b'] * 9)}]" for n in range(9)
    )
    (tmp_path / "bomb.yaml").write_text(f"{of_a_key}]\n")
    with pytest.raises(UserError, match="bomb.yaml, line 2: by its aliases it has"):
        experiment.load(str(tmp_path / "bomb.yaml"))
    (tmp_path / "params.yaml").write_text(f"{of_a_key}]\n")
    with pytest.raises(UserError, match="params.yaml, line 2: by its aliases it has"):
        experiment.read_params(str(tmp_path))


@pytest.mark.parametrize("text", ["task: &t {model: *t}", "task: &t [1, [*t]]", "&t {a: *t}", "a: &t {<<: *t}"])
def test_what_contains_itself_is_refused(text):
    with pytest.raises(UserError, match="^x.yaml, line 1: it contains itself, by an alias$"):
        plain_values.parse(text, "x.yaml")


@pytest.mark.parametrize("text", ["[" * 20_000, "a: " + "[" * 20_000, "{a: " * 20_000])
def test_what_is_nested_too_deep_is_refused(text):
    with pytest.raises(UserError, match="^x.yaml: it is nested too deep$"):
        plain_values.parse(text, "x.yaml")


def test_aliases_and_long_lists_as_people_write_them_are_read():
    assert plain_values.parse("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}", "x")["c"] == {"x": 1, "y": 2}
    numbers = list(range(10_001))
    assert plain_values.parse(f"a: {numbers}", "x") == {"a": numbers}
