"""The architecture that comes with `task.init_checkpoint`, and what wins over it."""

import pytest
from official.core import exp_factory

from fsaf_tf.config import experiment, plain_values
from fsaf_tf.errors import UserError

BRINGS = """
task:
  model:
    num_classes: 80
    location_offset: 0.0
    max_level: 6
    backbone: {resnet: {depth: 101, form: pytorch, groups: 64, width_per_group: 4, weights: imagenet, frozen_stages: 3}}
    fpn: {channels: 64, relu_before_p7: false}
    heads: {convs: 2}
    anchor_free: {offset_scale: 2.0, enabled: false, loss_weight: 2.0}
    anchor_based: {enabled: true, scales: [1, 2], aspect_ratios: [1]}
    postprocess: {multi_label: true, score_threshold: 0.4}
  input_size: {shorter_side: 320}
"""


@pytest.fixture
def start(tmp_path):
    """The folder of a run with everything in it that an experiment may and may not take over."""
    params = exp_factory.get_exp_config("fsaf")
    params.override(plain_values.parse(BRINGS, "BRINGS"))
    for name in ("best", "run.v2"):
        (tmp_path / name).mkdir()
    for place in (tmp_path, tmp_path / "run.v2"):
        (place / "params.yaml").write_text(experiment.to_yaml(params))
    for prefix in ("ckpt-7", "best/best_ckpt-7", "run.v2/ckpt-7"):
        (tmp_path / f"{prefix}.index").write_text("")
    return tmp_path


def load(path, overrides="", said=None, **kwargs):
    overrides = f"task.init_checkpoint={path}{overrides}"
    return experiment.load("fsaf_r50", overrides=overrides, say=([] if said is None else said).append, **kwargs).task


@pytest.mark.parametrize("path", ["", "/", "/ckpt-7", "/best", "/best/best_ckpt-7", "/run.v2/ckpt-7"])
def test_what_fixes_the_meaning_of_the_weights_is_taken_over(start, path):
    model = load(f"{start}{path}").model
    assert (model.location_offset, model.min_level, model.max_level) == (0.0, 3, 6)
    resnet = model.backbone.resnet
    assert (resnet.depth, resnet.form, resnet.groups, resnet.width_per_group) == (101, "pytorch", 64, 4)
    assert resnet.weights == "checkpoint"
    assert model.fpn.as_dict() == {"channels": 64, "relu_before_p7": False}
    assert model.heads.as_dict() == {"convs": 2, "channels": 256, "batch_norm": False}
    assert model.anchor_free.offset_scale == 2.0
    assert (model.anchor_based.scales, model.anchor_based.aspect_ratios) == ([1.0, 2.0], [1.0])
    assert model.postprocess.multi_label


def test_what_is_the_experiments_own_stays(start):
    task = load(start)
    assert (task.model.num_classes, task.model.backbone.resnet.frozen_stages) == (0, 1)
    assert (task.model.anchor_free.enabled, task.model.anchor_free.loss_weight) == (True, 0.5)
    assert not task.model.anchor_based.enabled
    assert (task.model.postprocess.score_threshold, task.input_size.shorter_side) == (0.05, 800)


def test_explicit_settings_win(start, tmp_path):
    (tmp_path / "more.yaml").write_text("task: {model: {location_offset: 0.25}}")
    overrides = ",task.model.backbone.resnet.weights='',task.model.backbone.resnet.frozen_stages=2"
    model = load(start, overrides, config_files=[str(tmp_path / "more.yaml")]).model
    assert (model.location_offset, model.max_level) == (0.25, 6)
    resnet = model.backbone.resnet
    assert (resnet.weights, resnet.frozen_stages, resnet.depth) == ("", 2, 101)


def test_one_line_lists_what_is_other_than_in_the_file(start):
    said = []
    load(start, ",task.model.location_offset=0.5", said)
    (line,) = said
    assert line.startswith(f"task.model as in task.init_checkpoint {start}: ") and "\n" not in line
    assert "backbone.resnet.depth 101 (not 50)" in line and "postprocess.multi_label true (not false)" in line
    assert "anchor_based.scales [1.0, 2.0] (not [1.0, 1.2599" in line
    assert not any(word in line for word in ("location_offset", "min_level", "num_classes", "frozen_stages"))
    (start / "params.yaml").write_text(experiment.to_yaml(experiment.load("fsaf_r50")))
    load(start, said=said)
    assert said[1].endswith(": backbone.resnet.weights checkpoint (not imagenet)")
    load(start, ",task.model.backbone.resnet.weights=imagenet", said)
    assert len(said) == 2


def test_another_kind_of_backbone(start):
    params = experiment.load("fsaf_demo")
    (start / "params.yaml").write_text(experiment.to_yaml(params))
    backbone = load(start).model.backbone
    assert backbone.type == "mobilenet" and backbone.mobilenet == params.task.model.backbone.mobilenet


def test_a_file_may_name_the_checkpoint_and_nothing_else_does(start, tmp_path):
    (tmp_path / "mine.yaml").write_text(f"task: {{init_checkpoint: {start}, model: {{location_offset: 0.25}}}}")
    assert experiment.load(str(tmp_path / "mine.yaml")).task.model.location_offset == 0.0
    without = experiment.load(str(tmp_path / "mine.yaml"), overrides="task.init_checkpoint=''").task.model
    assert (without.location_offset, without.max_level) == (0.25, 7)


def test_nothing_recorded_beside_the_checkpoint(start, tmp_path):
    for path in ("params.yaml", "run.v2/params.yaml"):
        (start / path).unlink()
    assert load(f"{start}/ckpt-7").model.max_level == 7
    assert load(f"{start}/no/such/place").model.max_level == 7


def test_a_damaged_record_is_an_error(start):
    (start / "params.yaml").write_text("task: {modle: {}}")
    with pytest.raises(UserError, match="params.yaml: there is no key task.modle, did you mean 'model'"):
        load(start)


def test_a_recorded_experiment_is_read_as_it_is(start, tmp_path):
    """Its own checkpoint's architecture is in it already; what was set over that must stay."""
    params = experiment.load(
        "fsaf_r50", overrides=f"task.init_checkpoint={start},task.model.location_offset=0.25,trainer.train_steps=30"
    )
    (tmp_path / "best" / "params.yaml").write_text(experiment.to_yaml(params))
    again = experiment.load_run(
        f"{start}/best", overrides="task.validation_data.annotation_file=a.json,task.validation_data.image_dir=b"
    )
    assert again.task.model.location_offset == 0.25
    assert again.trainer.as_dict() == params.trainer.as_dict()
    assert (again.task.validation_data.tfds_name, again.task.validation_data.image_dir) == ("", "b")
    with pytest.raises(UserError, match="no_run/params.yaml cannot be read"):
        experiment.load_run(f"{start}/no_run")
