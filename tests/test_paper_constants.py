"""The defaults are the paper's, written out here a second time; each experiment differs only in what its row says."""

import inspect
import pathlib

import paper
import pytest
from official.core import exp_factory

from fsaf_tf import (
    anchors,
    boxes,
    branches,
    criterion,
    losses,
    objective,
    pyramid,
    regions,
    selection,
    targets,
)
from fsaf_tf.config import catalog, experiment, schema

COCO = {
    "task.train_data.tfds_name": "coco/2017",
    "task.train_data.tfds_split": "train",
    "task.validation_data.tfds_name": "coco/2017",
    "task.validation_data.tfds_split": "validation",
}
BRANCHES = {
    "fsaf": {},
    "ab_fsaf": {"task.model.anchor_based.enabled": True},
    "retinanet": {"task.model.anchor_based.enabled": True, "task.model.anchor_free.enabled": False},
}
BACKBONES = {
    "r50": {},
    "r101": {"task.model.backbone.resnet.depth": 101},
    "x101": {
        "task.model.backbone.resnet.depth": 101,
        "task.model.backbone.resnet.form": "pytorch",
        "task.model.backbone.resnet.groups": 64,
        "task.model.backbone.resnet.width_per_group": 4,
        "task.model.backbone.resnet.weights": "checkpoint",
    },
}
HEURISTIC = {"task.model.anchor_free.selection": "heuristic"}
# Section 4.2: scale jitter, 1.5 times the steps.
JITTER = {
    "task.train_data.shorter_sides": [640, 672, 704, 736, 768, 800],
    "trainer.train_steps": 135000,
    "trainer.optimizer_config.learning_rate.stepwise.boundaries": [90000, 120000],
}
EXPERIMENTS = {
    f"{branches}_{backbone}": {**COCO, **BRANCHES[branches], **BACKBONES[backbone]}
    for branches in BRANCHES
    for backbone in BACKBONES
} | {
    "fsaf_r50_heuristic": {**COCO, **HEURISTIC},
    "ab_fsaf_r50_heuristic": {**COCO, **BRANCHES["ab_fsaf"], **HEURISTIC},
    "ab_fsaf_r101_ms": {**COCO, **BRANCHES["ab_fsaf"], **BACKBONES["r101"], **JITTER},
    "ab_fsaf_x101_ms": {**COCO, **BRANCHES["ab_fsaf"], **BACKBONES["x101"], **JITTER},
}
# Tables 1 to 3.
AP = {
    "fsaf_r50_heuristic": 34.7,
    "ab_fsaf_r50_heuristic": 36.1,
    "ab_fsaf_r101_ms": 40.9,
    "ab_fsaf_x101_ms": 42.9,
    "retinanet_r50": 35.7,
    "fsaf_r50": 35.9,
    "ab_fsaf_r50": 37.2,
    "retinanet_r101": 37.7,
    "fsaf_r101": 37.9,
    "ab_fsaf_r101": 39.3,
    "retinanet_x101": 39.8,
    "fsaf_x101": 41.0,
    "ab_fsaf_x101": 41.6,
}
PAPER = {
    # Section 3.1 and [22]: P3 to P7, 256 channels, four 3x3 convolutions a subnet.
    "task.model.min_level": 3,
    "task.model.max_level": 7,
    "task.model.fpn.channels": 256,
    "task.model.heads.convs": 4,
    "task.model.heads.channels": 256,
    # Section 3.2: effective and ignoring boxes, the normaliser S of the offsets.
    "task.model.anchor_free.enabled": True,
    "task.model.anchor_free.effective": 0.2,
    "task.model.anchor_free.ignoring": 0.5,
    "task.model.anchor_free.offset_scale": 4.0,
    # Section 3.3, Eq. 1 and 2.
    "task.model.anchor_free.selection": "online",
    # Section 3.4: lambda, focal loss, decay, SGD over 90k steps of 16 images, divided by 10 at 60k and 80k.
    "task.model.anchor_free.loss_weight": 0.5,
    "task.losses.focal_alpha": 0.25,
    "task.losses.focal_gamma": 2.0,
    "task.losses.weight_decay": 0.0001,
    "task.train_data.global_batch_size": 16,
    "task.train_data.random_flip": True,
    "trainer.train_steps": 90000,
    "trainer.optimizer_config.optimizer.type": "sgd",
    "trainer.optimizer_config.optimizer.sgd.momentum": 0.9,
    "trainer.optimizer_config.optimizer.sgd.global_clipnorm": None,
    "trainer.optimizer_config.learning_rate.type": "stepwise",
    "trainer.optimizer_config.learning_rate.stepwise.boundaries": [60000, 80000],
    "trainer.optimizer_config.learning_rate.stepwise.values": [0.01, 0.001, 0.0001],
    "trainer.optimizer_config.warmup.linear.warmup_steps": 500,
    "trainer.optimizer_config.warmup.linear.warmup_learning_rate": pytest.approx(0.01 / 3),
    # Section 3.4: at most 1,000 locations a level over 0.05, NMS at 0.5.
    "task.model.postprocess.score_threshold": 0.05,
    "task.model.postprocess.max_per_level": 1000,
    "task.model.postprocess.nms_iou": 0.5,
    "task.model.postprocess.max_detections": 100,
    "task.model.postprocess.multi_label": False,
    # Section 4: shorter side 800, longer at most 1333; ResNet-50 from ImageNet.
    "task.input_size.shorter_side": 800,
    "task.input_size.longer_side": 1333,
    "task.model.backbone.type": "resnet",
    "task.model.backbone.resnet.depth": 50,
    "task.model.backbone.resnet.form": "caffe",
    "task.model.backbone.resnet.groups": 1,
    "task.model.backbone.resnet.weights": "imagenet",
    # [22]: three scales, three ratios, anchors of 32 to 512 px, IoU 0.5 and 0.4.
    "task.model.anchor_based.scales": pytest.approx([1.0, 1.259921, 1.587401]),
    "task.model.anchor_based.aspect_ratios": [0.5, 1.0, 2.0],
    "task.model.anchor_based.positive_iou": 0.5,
    "task.model.anchor_based.negative_iou": 0.4,
    "task.model.anchor_based.box_loss_beta": pytest.approx(0.111111, abs=1e-6),
}


def flat(values, prefix="") -> dict:
    """`{"task.model.min_level": 3, ...}` of a nested mapping."""
    if not isinstance(values, dict):
        return {prefix[:-1]: values}
    return {key: value for name, item in values.items() for key, value in flat(item, f"{prefix}{name}.").items()}


@pytest.fixture(scope="module")
def defaults() -> dict:
    return flat(exp_factory.get_exp_config("fsaf").as_dict())


@pytest.mark.parametrize("key", PAPER)
def test_default(defaults, key):
    assert defaults[key] == PAPER[key]


def test_the_values_of_the_core_are_those_of_the_configuration():
    task = schema.Task()
    task.model.anchor_based.enabled = True
    free, based = task.branches()
    assert (free.geometry, free.selection) == (paper.GEOMETRY, paper.ONLINE)
    assert free.elementwise == (paper.FOCAL, paper.IOU)
    assert based.anchors.shapes.scales == pytest.approx(paper.SHAPES.scales)
    assert based.anchors.shapes.aspect_ratios == paper.SHAPES.aspect_ratios
    assert based.anchors[1:] == (0.5, paper.MATCHING)
    assert based.elementwise == (paper.FOCAL, paper.SMOOTH_L1)


def test_the_entry_for_other_code_has_the_defaults_of_the_configuration():
    """Written out there, since it does without the configuration; nothing else in the core has any."""
    free, focal = schema.AnchorFree(), schema.Losses()
    expected = {
        "selection": free.selection,
        "soft_levels": free.soft_levels,
        "soft_temperature": free.soft_temperature,
        "cell_ranges": None,
        "location_offset": schema.Model().location_offset,
        "effective": free.effective,
        "ignoring": free.ignoring,
        "offset_scale": free.offset_scale,
        "alpha": focal.focal_alpha,
        "gamma": focal.focal_gamma,
        "epsilon": losses.LEAST_IOU,
    }
    assert defaults_of(criterion.anchor_free_losses) == expected
    for module in (boxes, pyramid, regions, losses, anchors, selection, targets, criterion, branches, objective):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and name != "anchor_free_losses":
                assert not defaults_of(function), f"{module.__name__}.{name}"


def defaults_of(function) -> dict:
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_row_differs_from_the_defaults_only_as_it_says(defaults, name):
    found = flat(experiment.load(name).as_dict())
    assert {key: value for key, value in found.items() if value != defaults[key]} == {
        key: value for key, value in EXPERIMENTS[name].items() if value != defaults[key]
    }


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_row_says_what_it_is(name):
    header = pathlib.Path(catalog.find(name)).read_text().split("task:")[0]
    ap = f"paper, COCO {'test-dev' if name.endswith('_ms') else 'minival'}   AP {AP[name]}"
    for part in (ap, "ours  ", f"python tools/train.py --experiment={name}"):
        assert part in header
