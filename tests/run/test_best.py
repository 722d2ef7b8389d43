"""The best checkpoint of a run: which is kept, with what beside it, and after a kill between any two files."""

import os
import pathlib

import pytest
import tensorflow as tf
import tf_keras

from fsaf_tf.files import storage
from fsaf_tf.run import best, checkpoints, on_disk

DATA = ".data-00000-of-00001"


def make():
    model = tf_keras.Sequential([tf_keras.Input([3]), tf_keras.layers.Dense(2, kernel_initializer="ones")])
    return tf.train.Checkpoint(model=model, global_step=tf.Variable(0, dtype=tf.int64))


def exporter(folder, said=None, data="0"):
    return best.BestExporter(str(folder), "AP", "higher", {"boxes": data}, [].append if said is None else said.append)


def export(folder, step, ap, said=None, ends_before=None, data="0"):
    """A new exporter, as after a restart, is shown an evaluation; whether it was a new best."""
    kept, figures = exporter(folder, said, data), {"AP": ap, "AP_by_class": {"a": float("nan")}}
    if not kept.maybe_export_checkpoint(make(), figures, step):
        return False
    if ends_before != "record":
        facts = {"step": step, "checkpoint": f"ckpt-{step}", "data_digest": {"boxes": data}}
        kept.record({**figures, **facts}, [{"score": 0.5}], figures)
    return True


def known(folder):
    """Steps of the weights, of the pair and of the record in the folder of the best."""
    metrics, info = (storage.read_json(f"{folder}/{name}.json") or {} for name in ("metrics", "info"))
    return (
        [on_disk.number(prefix) for prefix in on_disk.prefixes(str(folder), "best_ckpt")],
        metrics.get("step"),
        info.get("best_ckpt_global_step"),
    )


def test_it_follows_the_figure_over_restarts(tmp_path):
    folder = tmp_path / "best"
    assert export(folder, 5, 0.3) and not export(folder, 6, 0.3) and export(folder, 7, 0.4)
    assert known(folder) == ([7], 7, 7)
    assert storage.read_json(f"{folder}/info.json") == {
        "AP": 0.4,
        "AP_by_class": {"a": None},
        "best_ckpt_global_step": 7,
        "data_digest": {"boxes": "0"},
    }
    assert storage.read_json(f"{folder}/metrics.json")["checkpoint"] == "best/best_ckpt-7"
    assert storage.read_json(f"{folder}/detections.json") == [{"score": 0.5}]
    assert tf.train.latest_checkpoint(str(folder)) == f"{folder}/best_ckpt-7"


def test_figures_of_data_that_have_changed_are_no_measure(tmp_path):
    folder, said = tmp_path / "best", []
    assert export(folder, 5, 0.9) and export(folder, 6, 0.1, said, data="1") and known(folder) == ([6], 6, 6)
    assert len(said) == 1 and "was the best on validation data that have changed since; the next evaluation" in said[0]
    assert not export(folder, 7, 0.05, said, data="1") and len(said) == 1


def test_a_kill_after_the_weights_leaves_no_figures_of_others_beside_them(tmp_path):
    folder, said = tmp_path / "best", []
    assert export(folder, 5, 0.3) and export(folder, 7, 0.4, ends_before="record")
    assert known(folder) == ([7], None, 5)
    assert checkpoints.find_best(str(folder)) == (f"{folder}/best_ckpt-7", [f"{folder}/info.json is of step 5"])
    assert not export(folder, 8, 0.2, said)  # the figure before counts until there is another
    assert said == [f"{folder}/info.json is of step 5; it still counts."]
    assert export(folder, 7, 0.4) and known(folder) == ([7], 7, 7)


def test_a_kill_before_the_record_of_the_first(tmp_path):
    folder = tmp_path / "best"
    assert export(folder, 5, 0.3, ends_before="record") and known(folder) == ([5], None, None)
    assert export(folder, 6, 0.1) and known(folder) == ([6], 6, 6)


def test_the_same_step_again_has_not_the_figures_of_before(tmp_path):
    """A run that lost its newest checkpoints comes to a step a second time, with other weights."""
    folder = tmp_path / "best"
    assert export(folder, 5, 0.3) and export(folder, 5, 0.4, ends_before="record")
    assert known(folder) == ([5], None, 5)


def test_a_figure_without_value_is_never_the_best_for_long(tmp_path):
    folder = tmp_path / "best"
    assert export(folder, 1, float("nan")) and export(folder, 2, 0.1) and not export(folder, 3, float("nan"))
    kept = exporter(tmp_path / "other")
    assert kept.maybe_export_checkpoint(make(), {"AP": float("nan")}, 1)
    assert kept.maybe_export_checkpoint(make(), {"AP": 0.1}, 2)


BREAK = {
    "data truncated": (lambda folder: os.truncate(f"{folder}/best_ckpt-5{DATA}", 10), "best_ckpt-5, cannot be read: "),
    "index alone": (lambda folder: os.remove(f"{folder}/best_ckpt-5{DATA}"), "best_ckpt-5, cannot be read: "),
    "all gone": (
        lambda folder: [path.unlink() for path in pathlib.Path(folder).glob("best_ckpt*")],
        "The best, which {}/info.json records, is gone",
    ),
    "record garbage": (
        lambda folder: pathlib.Path(folder, "info.json").write_bytes(b"\xff{"),
        "{}/info.json cannot be read; the next",
    ),
    "record of what is gone": (
        lambda folder: storage.write_json(f"{folder}/info.json", {"AP": 0.9, "best_ckpt_global_step": 9}),
        "{}/info.json is of step 9; the next",
    ),
}


@pytest.mark.parametrize("damage", BREAK)
def test_what_cannot_be_read_is_told_and_the_next_is_the_best(tmp_path, damage):
    folder, said = tmp_path / "best", []
    breaks, message = BREAK[damage]
    assert export(folder, 5, 0.3)
    breaks(folder)
    assert export(folder, 6, 0.1, said)
    assert message.format(folder) in said[-1] and "\n" not in said[-1]
    assert said[-1].endswith("; the next evaluation decides anew which is the best.")
    aside = f"Left by a kill and set aside: 1 (unreadable-best_ckpt-5.*), in {folder}."
    assert said[:-1] == ([aside] if "cannot be read: " in message else [])
    assert known(folder)[1:] == (6, 6) and checkpoints.find_best(str(folder)) == (f"{folder}/best_ckpt-6", [])


def test_an_empty_list_of_checkpoints_is_written_anew(tmp_path):
    folder, said = tmp_path / "best", []
    assert export(folder, 5, 0.3)
    (folder / "checkpoint").write_text("")
    assert export(folder, 6, 0.4, said) and not said
    assert known(folder) == ([6], 6, 6)
