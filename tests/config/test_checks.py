"""What stands beside the fields of the schema is held, field by field; keys that nothing reads are refused."""

import dataclasses
import math

import pytest
from official.modeling import hyperparams

from fsaf_tf.config import checks, data_sources, experiment, plain_values, schema
from fsaf_tf.errors import UserError


def fields(config: hyperparams.Config, kind: str, prefix: str = ""):
    """`(key, metadata)` of each field of an experiment that has such metadata."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, hyperparams.Config):
            yield from fields(value, kind, f"{prefix}{field.name}.")
        elif kind in field.metadata:
            yield f"{prefix}{field.name}", field.metadata[kind]


LIMITS = dict(fields(schema.fsaf(), "limits"))
CHOICES = dict(fields(schema.fsaf(), "choices"))
LISTS = dict(fields(schema.fsaf(), "least_count"))


def with_value(key: str, value):
    params = schema.fsaf()
    params.override(plain_values.nest({key: value}))
    return params


def refuse(key: str, value, message: str):
    with pytest.raises(UserError) as caught:
        checks.check(with_value(key, value))
    assert str(caught.value).startswith(f"{key} {message}") and "\n" not in str(caught.value)


@pytest.mark.parametrize("key", LIMITS)
def test_limits(key):
    least, greatest = LIMITS[key]
    checks.check_fields(with_value(key, least))
    refuse(key, least - 1, f"must be {'at least' if greatest == math.inf else 'from'} {least}")
    if greatest < math.inf:
        checks.check_fields(with_value(key, greatest))
        refuse(key, greatest + 1, f"must be from {least} to {greatest}, not {greatest + 1}")


@pytest.mark.parametrize("key", CHOICES)
def test_choices(key):
    for value in CHOICES[key]:
        checks.check_fields(with_value(key, value))
    refuse(key, "other", "cannot be 'other'; there are: ")


@pytest.mark.parametrize("key", LISTS)
def test_lists_of_numbers_above_0(key):
    checks.check_fields(with_value(key, [1, 2.5]))
    for values in [[1, 0], [-1], *[[]] * LISTS[key]]:
        with pytest.raises(UserError, match=f"^{key} must be numbers above 0"):
            checks.check_fields(with_value(key, values))


def test_every_number_that_scales_something_has_limits():
    """New fields of our own are not forgotten: these alone are free."""
    free = {"task.train_data.seed"}
    numbers = {
        f"task.{key}"
        for key, value in plain_values.flatten(schema.Task().as_dict()).items()
        if type(value) in (int, float) and (not key.startswith("model.backbone") or ".resnet." in key)
    }
    assert numbers - set(LIMITS) - set(CHOICES) == free


UNREAD = {
    "task.name": "mine",
    "task.allow_image_summary": True,
    "trainer.preemption_on_demand_checkpoint": False,
    "runtime.run_eagerly": True,
    "runtime.gpu_thread_mode": "gpu_private",
    "runtime.per_gpu_thread_count": 2,
    "runtime.dataset_num_private_threads": 4,
    "runtime.batchnorm_spatial_persistent": True,
    "runtime.num_cores_per_replica": 4,
    "runtime.default_shard_dim": 0,
    "runtime.use_tpu_mp_strategy": True,
    "runtime.tpu": "local",
}


@pytest.mark.parametrize("key", UNREAD)
def test_keys_without_a_reader_are_refused(key):
    text = plain_values.shown(UNREAD[key])
    with pytest.raises(UserError, match=f"^fsaf_r50: {key} has no effect: leave it at .*; "):
        experiment.load("fsaf_r50", overrides=f"{key}={text}")


def test_a_full_record_of_a_run_names_them_all_and_is_read(tmp_path):
    (tmp_path / "params.yaml").write_text(experiment.to_yaml(experiment.load("fsaf_demo")))
    recorded = plain_values.flatten(plain_values.read(tmp_path / "params.yaml"))
    assert set(UNREAD) == set(checks.UNREAD) and set(UNREAD) <= set(recorded)
    experiment.load_run(str(tmp_path))


def test_each_kind_of_data_wants_what_goes_with_it():
    for name, keys in data_sources.SOURCES.items():
        params = with_value(f"task.train_data.{name}", "a")
        for key in keys.needed:
            with pytest.raises(UserError, match=f"train_data.{name} is set, but task.train_data.{key} is empty"):
                checks.check(params)
            params.override({"task": {"train_data": {key: "b"}}})
        checks.check(params, "train")
        assert params.task.train_data.source_keys() == {name: "a", **dict.fromkeys(keys.needed, "b")}
