"""A run that starts from another's weights: what is kept, what is new, what is an error."""

import json

import numpy as np
import pytest
from small_run import IDS, NAMES, build_model, small_params, write_run

from fsaf_tf.data.classes import Classes
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import detector, freezing
from fsaf_tf.run import init_weights

CLASS_LAYERS = {"heads/anchor_free_logits", "heads/anchor_based_logits"}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """The folder of a run whose variables all have values of their own, and these by name."""
    model = build_model()
    for number, variable in enumerate(model.variables):
        variable.assign(np.full(variable.shape, number + 1.0))
    folder = write_run(tmp_path_factory.mktemp("run"), model)
    return folder, {variable.name: number + 1.0 for number, variable in enumerate(model.variables)}


def build(classes=3, **changes):
    model = small_params().task.model
    model.override(changes)
    return detector.build_detector(model, classes)


def restore(model, path, names=NAMES, ids=IDS, **kwargs):
    said = []
    init_weights.restore_weights(model, str(path), Classes(tuple(names), tuple(ids)), say=said.append, **kwargs)
    return said


def kept(model, values):
    """Layers all of whose variables have the checkpoint's values; those in part new would be in neither set."""
    same = {v.name: bool(np.all(v.numpy() == values.get(v.name))) for v in model.variables}
    layers = {name.rsplit("/", 1)[0] for name in same}
    return {layer for layer in layers if all(same[name] for name in same if name.startswith(f"{layer}/"))}, {
        layer for layer in layers if not any(same[name] for name in same if name.startswith(f"{layer}/"))
    }


@pytest.mark.parametrize("place", ["", "ckpt-7", "ckpt-7.index"])
def test_same_model_and_classes_keep_everything(start, place):
    folder, values = start
    model = build()
    said = restore(model, folder / place, to_train=False)
    assert kept(model, values)[1] == set()
    assert said == [f"Starting with the weights of {folder}/ckpt-7, step 7 (the newest)."]


@pytest.mark.parametrize(
    ("names", "ids", "told"),
    [
        (
            ["cell", "plate"],
            [1, 2],
            "other classes than the data, 17 cat, 18 dog, 16 bird in place of 1 cell, 2 plate: ",
        ),
        (["dog", "cat", "bird"], [18, 17, 16], "data, the same in another order, 17 cat in place of 18 dog: "),
        (NAMES, [1, 2, 3], "data, 17 cat, 18 dog, 16 bird in place of 1 cat, 2 dog, 3 bird: "),
    ],
    ids=["other number", "other order", "other ids"],
)
def test_other_classes_have_new_class_convolutions(start, names, ids, told):
    folder, values = start
    model = build(len(names))
    before = {layer: [v.numpy() for v in _variables(model, layer)] for layer in CLASS_LAYERS}
    said = restore(model, folder, names, ids)
    assert len(said) == 2 and told in said[1]
    assert said[1].endswith(": the class convolutions are new, everything else is kept")
    assert kept(model, values)[1] == CLASS_LAYERS
    assert len(kept(model, values)[0]) == len({v.name.rsplit("/", 1)[0] for v in model.variables}) - 2
    for layer, initial in before.items():
        assert all(np.array_equal(old, v) for old, v in zip(initial, _variables(model, layer)))


def _variables(model, layer):
    return [variable for variable in model.variables if variable.name.startswith(f"{layer}/")]


def test_a_branch_more_or_less(start, tmp_path):
    folder, values = start
    less = build(anchor_based={"enabled": False})
    said = restore(less, folder, to_train=False)
    assert said[1:] == ["  its anchor-based branch is left out, which task.model does not have"]
    assert kept(less, values)[1] == set()
    write_run(tmp_path, less)
    more = build()
    said = restore(more, tmp_path)
    assert said[1:] == ["  it has no anchor-based branch: the branch's convolutions are new"]
    assert kept(more, values)[1] == {"heads/anchor_based_logits", "heads/anchor_based_deltas"}
    with pytest.raises(UserError, match="cannot be evaluated: it has no anchor-based branch"):
        restore(build(), tmp_path, to_train=False)


def test_new_layers_are_neither_evaluated_nor_frozen(start):
    folder, _ = start
    with pytest.raises(UserError, match="cannot be evaluated: it has other classes.* in place of 1 cell"):
        restore(build(1), folder, ["cell"], [1], to_train=False)
    model = build(1)
    freezing.freeze(model, ["heads"])
    with pytest.raises(UserError, match="task.freeze would keep heads/anchor_.* at random values: .* classes"):
        restore(model, folder, ["cell"], [1])


def test_another_architecture_is_an_error_and_changes_nothing(start):
    folder, _ = start
    model = build(1, fpn={"channels": 8})
    before = [variable.numpy() for variable in model.variables]
    with pytest.raises(UserError, match=r"not a checkpoint of this model: fpn/lateral_3/kernel:0 is .* in it and"):
        restore(model, folder, ["cell"], [1])
    assert all(np.array_equal(old, new) for old, new in zip(before, model.variables))


def test_without_labels_the_shapes_decide(start, tmp_path):
    model = build_model()
    write_run(tmp_path, model)
    (tmp_path / "labels.json").unlink()
    assert len(restore(build(), tmp_path, ["a", "b", "c"], [1, 2, 3])) == 1
    with pytest.raises(UserError, match=r"heads/anchor_\w+_logits/\w+:0 is .* in it and"):
        restore(build(2), tmp_path, ["a", "b"], [1, 2])


@pytest.mark.parametrize("path", ["", "/none", "/ckpt-3"])
def test_weights_that_are_not_there_are_an_error(tmp_path, path):
    (tmp_path / "labels.json").write_text(json.dumps({}))
    with pytest.raises(UserError, match=f"{tmp_path}{path} (holds no checkpoint|is neither a folder nor a checkpoint)"):
        restore(None, f"{tmp_path}{path}")
