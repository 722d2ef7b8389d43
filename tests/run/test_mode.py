"""What a run does, by the name of its mode."""

import pytest

from fsaf_tf.errors import UserError
from fsaf_tf.run import mode


@pytest.mark.parametrize(
    ("name", "data", "keeps_best", "is_one_evaluation"),
    [
        ("train", ("train_data",), False, False),
        ("eval", ("validation_data",), False, True),
        ("train_and_eval", ("train_data", "validation_data"), True, False),
        ("continuous_eval", ("validation_data",), True, False),
    ],
)
def test_each_name_says_what_is_done(name, data, keeps_best, is_one_evaluation):
    this = mode.parse(name)
    assert this.name == name and this.data == data
    assert (this.keeps_best, this.is_one_evaluation) == (keeps_best, is_one_evaluation)
    assert (this.trains, this.evaluates) == ("train_data" in data, "validation_data" in data)
    assert this.watches == (name == "continuous_eval")


def test_no_other_name():
    with pytest.raises(UserError, match="--mode is 'test'; it must be one of train, eval, train_and_eval, cont"):
        mode.parse("test")
