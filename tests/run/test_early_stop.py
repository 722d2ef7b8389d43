"""When a run ends because it gets no better: by its record alone, so that a restart changes nothing."""

import pytest

from fsaf_tf.config import schedule
from fsaf_tf.files import storage
from fsaf_tf.run import early_stop

DIGEST = {"boxes": "0"}


def reason(values, patience, metric="AP", comp="higher"):
    record = [{"step": 10 * number, metric: value} for number, value in enumerate(values, start=1)]
    trainer = schedule.Trainer(
        early_stop_patience=patience, best_checkpoint_eval_metric=metric, best_checkpoint_metric_comp=comp
    )
    return early_stop.reason(record, trainer)


@pytest.mark.parametrize(
    ("values", "patience", "stops"),
    [
        ([], 1, False),
        ([0.3], 1, False),
        ([0.3, 0.2], 1, True),
        ([0.3, 0.2], 2, False),
        ([0.3, 0.3, 0.3], 2, True),  # equal is no better
        ([0.3, 0.2, 0.31, 0.2], 2, False),
        ([0.1, 0.3, None, 0.2], 2, True),
        ([None, None], 2, False),
        ([None, None, None], 2, True),
        ([0.3, 0.2, 0.1], 0, False),
    ],
)
def test_after_so_many_evaluations_without_a_better_one(values, patience, stops):
    assert bool(reason(values, patience)) == stops


def test_it_says_why():
    assert reason([0.1, 0.3126, 0.2, 0.3], 2) == (
        "no higher AP than 0.313 of step 20 in 2 evaluations (trainer.early_stop_patience)"
    )
    assert reason([None, None], 1) == "no higher AP in 1 evaluation (trainer.early_stop_patience)"
    assert reason([0.2, 0.1, 0.3], 1, "AP50", "lower").startswith("no lower AP50 than 0.100 of step 20")


def test_record_of_the_evaluations(tmp_path):
    """A run that goes on from an older checkpoint forgets what came after it; an evaluation made again counts once."""
    folder = str(tmp_path)
    assert early_stop.read(folder, 100) == []
    for step, value in ((10, 0.1), (20, 0.3), (30, None), (20, 0.2)):
        early_stop.add(folder, step, DIGEST, "AP", value)
    first, second = ({"step": step, "AP": ap, "data_digest": DIGEST} for step, ap in ((10, 0.1), (20, 0.2)))
    assert early_stop.read(folder, 100) == [first, second]
    assert early_stop.read(folder, 15) == [first]


def test_evaluations_of_data_that_have_changed_do_not_count(tmp_path):
    """Those of a run from before digests were kept do."""
    folder = str(tmp_path)
    storage.write_json(f"{folder}/evaluations.json", [{"step": 10, "AP": 0.9}])
    for step, content in ((20, "old"), (30, "new"), (40, "new")):
        early_stop.add(folder, step, {"boxes": content}, "AP", 0.1)
    assert [row["step"] for row in early_stop.read(folder, 100)] == [10, 30, 40]
    assert [row["step"] for row in early_stop.read(folder, 25)] == [10, 20]
