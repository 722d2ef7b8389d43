"""What a training says of its levels: the one that most objects are on, and a warning where that is a fall."""

import pytest

from fsaf_tf.run.level_watch import LevelWatch, fallen

LEVELS = (3, 4, 5)
BY_SIZE = (0.9, 0.1, 0.0)


def logs(shares, by_size=BY_SIZE):
    names = {f"anchor_free/level_{level}": share for level, share in zip(LEVELS, shares)}
    return names | {f"anchor_free/level_{level}_by_size": share for level, share in zip(LEVELS, by_size)}


def watched(*phases, first_step=0):
    """What is said over phases of `(steps, shares)`, in loops of 10 steps."""
    lines, step = [], 0
    watch = LevelWatch(first_step, lines.append)
    for steps, shares in phases:
        for _ in range(steps // 10):
            step += 10
            watch.add(step, 10, logs(shares))
    return watch, lines


def test_the_shares_are_those_of_the_last_hundred_steps():
    watch, _ = watched((500, (0, 1, 0)), (60, (1, 0, 0)))
    assert watch.shares == pytest.approx({3: 0.6, 4: 0.4, 5: 0})
    assert watch.by_size == pytest.approx(dict(zip(LEVELS, BY_SIZE))) and watch.short == "P3 60%"


def test_nothing_is_shown_before_the_first_step_and_without_levels():
    watch = LevelWatch(0, print)
    assert watch.short == ""
    watch.add(500, 500, {"training_loss": 1.0})
    assert watch.short == ""


def test_a_fall_is_told_once_after_a_hundred_steps_of_it():
    fall = (0.02, 0.03, 0.95)
    assert watched((90, fall))[1] == []
    _, lines = watched((100, fall))
    said = "Selection: over the last 100 steps P5 learns 95% of the objects, and by size (Eq. 3) it would 0%."
    assert len(lines) == 1 and lines[0].startswith(said) and "selection_warmup_share" in lines[0]
    assert watched((900, fall))[1] == lines
    assert watched((100, BY_SIZE), (90, fall))[1] == []  # not yet 90% of the last hundred


@pytest.mark.parametrize("shares", [BY_SIZE, (0.6, 0.3, 0.1), (1, 0, 0), (0.2, 0.7, 0.1)])
def test_nothing_is_said_of_a_run_that_is_well(shares):
    assert watched((1000, shares))[1] == []


def test_steps_of_the_warm_up_are_not_judged():
    fall = (0.02, 0.03, 0.95)
    assert watched((290, fall), first_step=200)[1] == []
    assert len(watched((300, fall), first_step=200)[1]) == 1


def test_a_level_that_trains_nobody_though_sizes_ask_for_it():
    shares = dict(zip(LEVELS, (0.0, 0.6, 0.4)))
    assert fallen(shares, {3: 0.5, 4: 0.3, 5: 0.2}).startswith("P3 learns 0% of the objects")
    assert fallen(shares, {3: 0.1, 4: 0.6, 5: 0.3}) is None
