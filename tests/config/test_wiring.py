"""Each key of the configuration arrives: with another value what it is for changes as it should, and nothing else."""

import fnmatch
from typing import Any, NamedTuple

import formulas
import numpy as np
import pytest
import tensorflow as tf
import world

# What is seen of an experiment, by the first part of its name, and what asserts that its values give just that.
CHECKS = {
    "rates": formulas.check_rates,
    "terms": formulas.check_terms,
    "step": formulas.check_step,
}
TOTAL = ("terms/total_loss", "terms/gradient_norm", "step/*")
SELECTED = ("terms/anchor_free/*", *TOTAL)


class Row(NamedTuple):
    """A key with another value than in `world.BASE` or than by default.

    Attributes:
        key: which.
        value: the other one.
        changes: patterns of what is then seen otherwise; each fits something.
        beside: values that are set before and after.
    """

    key: str
    value: Any
    changes: tuple[str, ...]
    beside: dict[str, Any] = {}


ROWS = [
    # Section 3.4: L = L_ab + lambda (L_cls + L_reg), and the decay of kernels.
    Row("task.model.anchor_free.loss_weight", 0.9, TOTAL),
    Row("task.losses.weight_decay", 1e-2, ("terms/weight_decay", *TOTAL)),
    Row("task.losses.focal_alpha", 0.6, ("terms/*/class_loss", *SELECTED)),
    Row("task.losses.focal_gamma", 1.0, ("terms/*/class_loss", *SELECTED)),
    # Sections 3.2 and 3.3: cells, offsets, and which level learns an instance.
    Row("task.model.location_offset", 0.0, ("terms/anchor_based/*", *SELECTED)),
    Row("task.model.anchor_free.effective", 0.4, SELECTED),
    Row("task.model.anchor_free.ignoring", 0.9, ("terms/anchor_free/class_loss", *TOTAL)),
    Row("task.model.anchor_free.offset_scale", 2.0, SELECTED),
    Row("task.model.anchor_free.selection", "heuristic", SELECTED),
    # RetinaNet's branch.
    Row("task.model.anchor_based.positive_iou", 0.6, ("terms/anchor_based/*", *TOTAL)),
    Row("task.model.anchor_based.negative_iou", 0.3, ("terms/anchor_based/class_loss", *TOTAL)),
    Row("task.model.anchor_based.box_loss_beta", 1.0, ("terms/anchor_based/box_loss", *TOTAL)),
    Row("task.model.anchor_based.scales", [0.8, 1.5], ("terms/anchor_based/*", *TOTAL)),
    Row("task.model.anchor_based.aspect_ratios", [1.0, 2.0], ("terms/anchor_based/*", *TOTAL)),
    # The learning rate, for 16 images.
    Row("task.train_data.global_batch_size", 3, ("rates/*", "step/*")),
    Row("task.head_rate_multiplier", 10.0, ("step/heads/*",)),
]


def same(one, other) -> bool:
    """Bit by bit."""
    one, other = (tf.nest.map_structure(np.asarray, each) for each in (one, other))
    try:
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)
    except (AssertionError, ValueError, TypeError):
        return False
    return True


def test_what_is_seen_is_what_the_formulas_give():
    seen, values = world.observe(world.BASE), world.all_values(world.BASE)
    assert {name.split("/")[0] for name in seen} == set(CHECKS)
    for check in CHECKS.values():
        check(values, seen)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_key(row):
    base = world.BASE | row.beside
    before, after = world.observe(base), world.observe(base | {row.key: row.value})
    changed = {name for name in before | after if not same(before.get(name), after.get(name))}
    assert not [name for name in changed if not any(fnmatch.fnmatch(name, pattern) for pattern in row.changes)]
    assert not [pattern for pattern in row.changes if not fnmatch.filter(changed, pattern)]
    for part in {name.split("/")[0] for name in changed}:
        CHECKS[part](world.all_values(base | {row.key: row.value}), after)
