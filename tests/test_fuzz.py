"""A slice of `benchmarks/soak/fuzz.py`: every reader takes what is valid, and refuses what is nearly so in one line."""

import json
import pathlib
import random
import sys

import pytest

pytest.importorskip("ai_edge_litert")
pytest.importorskip("torch")

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from benchmarks.soak import fuzz, fuzz_mutations, fuzz_seeds
from benchmarks.soak.fuzz_targets import TARGETS, Target
from fsaf_tf.errors import UserError
from fsaf_tf.serving import exported_models

INPUTS = 3


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_valid_is_taken_and_the_rest_refused_in_one_line(name, tmp_path):
    target, path = TARGETS[name], tmp_path / f"input{TARGETS[name].suffix}"
    pool = target.seeds()
    path.write_bytes(pool[0])
    assert target.passes(pool[0])
    wanted = fuzz.REFUSED if name == "annotations of other tools" else fuzz.ACCEPTED
    assert fuzz.attempt(target, str(path))[0] == wanted
    for number in range(INPUTS):
        path.write_bytes(target.mutate(random.Random(number), pool[number % len(pool)], pool))
        outcome, line = fuzz.attempt(target, str(path))
        assert outcome in (fuzz.ACCEPTED, fuzz.REFUSED), line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"canvas": {}}, "canvas is {}, which is no input of a file"),
        ({"class_names": "cat"}, "class_names is no list"),
        ({"category_ids": [1]}, "has damaged settings: "),
    ],
)
def test_a_tflite_file_with_damaged_settings_is_one_line(change, words, tmp_path):
    (tmp_path / "a.tflite").write_bytes(fuzz_seeds.packed({**fuzz_seeds.tflite_settings(), **change}))
    with pytest.raises(UserError) as error:
        exported_models.TFLite(str(tmp_path / "a.tflite"))
    assert words in str(error.value) and str(error.value).endswith("; export it anew")


def test_a_crash_is_told_from_a_refusal(tmp_path):
    def broken(path: str) -> None:
        raise KeyError(path)

    target = Target(lambda: [b""], fuzz_mutations.raw, bool, broken, "", ())
    outcome, line = fuzz.attempt(target, "x")
    assert outcome == fuzz.CRASH and "KeyError: 'x'" in line


def test_figures_go_on_from_what_is_there(tmp_path):
    done = [{"number": 0, "past": True, "outcome": "accepted", "line": "", "peak_mb": 7}]
    done += [{"number": 1, "past": False, "outcome": "crash", "line": "a.py:3 KeyError", "peak_mb": 9}]
    (tmp_path / "labels.json").mkdir()
    (tmp_path / "labels.json" / "done.jsonl").write_text("\n".join(map(json.dumps, done)))
    found = fuzz.figures(tmp_path, ["labels.json", "YAML"])
    assert (found["inputs"], found["past_first_check"], found["crashes"], found["peak_mb"]) == (2, 1, 1, 9)
    assert found["faults"] == [f"labels.json: a.py:3 KeyError ({tmp_path}/labels.json/crash_1)"]
    assert len(fuzz.rows(tmp_path, "labels.json")) == 2 and not fuzz.rows(tmp_path, "YAML")


def test_most_changed_values_are_still_json():
    data = json.dumps({"images": [{"id": 1, "file_name": "a"}], "annotations": []}).encode()
    changed = [fuzz_mutations.as_json(random.Random(number), data, [data]) for number in range(60)]
    assert len(set(changed)) > 40

    def is_json(text: bytes) -> bool:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
        return True

    assert sum(map(is_json, changed)) > 40
