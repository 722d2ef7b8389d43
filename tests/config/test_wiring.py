"""Each key of the configuration arrives: with another value what it is for changes as it should, and nothing else."""

import dataclasses
import fnmatch
import functools
from typing import Any, NamedTuple

import formulas
import formulas_data
import formulas_network
import formulas_run
import numpy as np
import pytest
import tensorflow as tf
import world
import world_data
from official.modeling import hyperparams

from fsaf_tf.config import schema

# What is seen of an experiment, by the first part of its name, and what asserts that its values give just that.
CHECKS = {
    "checks": formulas_run.check_line,
    "rates": formulas.check_rates,
    "terms": formulas.check_terms,
    "step": formulas.check_step,
    "detections": formulas.check_detections,
    "train_data": functools.partial(formulas_data.check_source, "train_data"),
    "validation_data": functools.partial(formulas_data.check_source, "validation_data"),
    "figures": formulas_data.check_figures,
    "inputs": functools.partial(formulas_data.check_inputs, "train_data"),
    "validation_inputs": functools.partial(formulas_data.check_inputs, "validation_data"),
    "network": formulas_network.check_network,
    "strides": formulas_network.check_strides,
    "levels": formulas_network.check_levels,
    "start": formulas_network.check_start,
    "run": formulas_run.check_run,
}
TOTAL = ("terms/total_loss", "terms/gradient_norm", "step/*")
SELECTED = ("terms/anchor_free/*", *TOTAL)
BACKBONE = ("network/conv*", "strides/conv*")
DRAWN = "task.train_data.augmentation."
LITE = {"task.model.backbone.type": "efficientnet_lite"}
KERAS = {"task.model.backbone.type": "keras_applications"}
WARMUP = {"selection_warmup_share": 0.5, "selection_warmup": "random"}
EVERY_NUMBER = ("terms/*", "step/*", "detections/*")
# Data in the place of those of `world.BASE`.
RECORDS = {"annotation_file": "", "image_dir": "", "input_path": "a.tfrecord"}
TFDS = {"annotation_file": "", "image_dir": "", "tfds_name": "world_a", "tfds_split": "every", "tfds_data_dir": "tfds"}
SOURCES = {"annotation_file": "", "image_dir": ""}
SOURCES |= {"sources": [{"annotation_file": "a.json", "image_dir": "pictures_a"}]}
PARTED = {"annotation_file": "", "image_dir": "", "fraction": 0.25}


def of_branch(branch: str) -> tuple[str, ...]:
    """What changes when a branch has other outputs, or none."""
    return (f"network/heads/{branch}_*", f"terms/{branch}/*", "terms/weight_decay", *TOTAL, "detections/*")


def of(section: str, values: dict) -> dict:
    """The same values of one section."""
    return {f"{section}.{key}": value for key, value in values.items()}


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
    Row("task.model.location_offset", 0.0, ("terms/anchor_based/*", *SELECTED, "detections/*")),
    Row("task.model.anchor_free.effective", 0.4, SELECTED),
    Row("task.model.anchor_free.ignoring", 0.9, ("terms/anchor_free/class_loss", *TOTAL)),
    Row("task.model.anchor_free.offset_scale", 2.0, (*SELECTED, "detections/*")),
    Row("task.model.anchor_free.selection", "heuristic", SELECTED),
    Row("task.model.anchor_free.soft_levels", 2, SELECTED, {"task.model.anchor_free.selection": "soft"}),
    Row("task.model.anchor_free.soft_temperature", 0.2, SELECTED, {"task.model.anchor_free.selection": "soft"}),
    Row("task.model.anchor_free.selection_warmup", "heuristic", SELECTED, of("task.model.anchor_free", WARMUP)),
    Row("task.model.anchor_free.selection_warmup_share", 0.5, SELECTED),
    # RetinaNet's branch.
    Row("task.model.anchor_based.positive_iou", 0.6, ("terms/anchor_based/*", *TOTAL)),
    Row("task.model.anchor_based.negative_iou", 0.3, ("terms/anchor_based/class_loss", *TOTAL)),
    Row("task.model.anchor_based.box_loss_beta", 1.0, ("terms/anchor_based/box_loss", *TOTAL)),
    Row("task.model.anchor_based.scales", [0.8, 1.0, 1.5], of_branch("anchor_based")),
    Row("task.model.anchor_based.aspect_ratios", [0.5, 1.0, 2.0], of_branch("anchor_based")),
    # Which branches there are.
    Row("task.model.anchor_free.enabled", False, (*of_branch("anchor_free"), "strides/heads/anchor_free_*")),
    Row("task.model.anchor_based.enabled", False, (*of_branch("anchor_based"), "strides/heads/anchor_based_*")),
    # The learning rate, for 16 images.
    Row("task.train_data.global_batch_size", 3, ("rates/*", "step/*", "inputs/*")),
    Row("task.head_rate_multiplier", 10.0, ("step/heads/*",)),
    Row("task.accumulation_steps", 2, ("terms/*", "step/*")),  # sums in another order
    # From outputs to detections.
    Row("task.model.postprocess.score_threshold", 0.8, ("detections/*",)),
    Row("task.model.postprocess.max_per_level", 3, ("detections/*",)),
    Row("task.model.postprocess.nms_iou", 0.2, ("detections/*",)),
    Row("task.model.postprocess.max_detections", 7, ("detections/*",)),
    Row("task.model.postprocess.multi_label", True, ("detections/*",)),
    Row("task.model.postprocess.fusion", "mean", ("detections/*",)),
    Row("task.evaluation.max_detections", 1, ("figures/*",), {"task.validation_data.annotation_file": "a.json"}),
    Row(
        "task.test_augmentation.enabled",
        True,
        ("detections/*", "validation_inputs/views"),
        of("task.test_augmentation", {"shorter_sides": [32, 64]}),
    ),
    Row(
        "task.test_augmentation.shorter_sides",
        [48, 96, 64],
        ("validation_inputs/views",),
        of("task.test_augmentation", {"shorter_sides": [32, 64], "enabled": True}),
    ),
    Row(
        "task.test_augmentation.ratios",
        [1.5],
        ("validation_inputs/views",),
        of("task.test_augmentation", {"shorter_sides": [], "ratios": [0.5], "enabled": True}),
    ),
    Row(
        "task.test_augmentation.flip",
        False,
        ("detections/*",),
        of("task.test_augmentation", {"shorter_sides": [32, 64], "enabled": True}),
    ),
    Row("task.tiles.size", 64, ("detections/*", "validation_inputs/*")),
    Row("task.tiles.overlap", 0.6, ("detections/*",), {"task.tiles.size": 64}),
    Row("task.tiles.whole", False, ("detections/*",), {"task.tiles.size": 64}),
    # The network.
    Row("task.model.num_classes", 4, ("network/*", "strides/*", "levels/*", "start/*")),
    Row("task.model.min_level", 4, ("network/fpn/*_3/*", "strides/fpn/*_3/*", *EVERY_NUMBER)),
    Row(
        "task.model.max_level",
        6,
        ("network/fpn/output_7/*", "strides/fpn/output_7/*", "levels/7", *EVERY_NUMBER),
        {"task.model.postprocess.max_detections": 300, "task.model.postprocess.nms_iou": 1.0},
    ),
    Row("task.model.pyramid", "ssd", ("network/fpn/*", "network/ssd/*", "strides/fpn/*", "strides/ssd/*", "levels/*")),
    Row("task.model.fpn.channels", 8, ("network/fpn/*", "network/heads/*", "levels/*")),
    Row("task.model.fpn.relu_before_p7", False, ("levels/7",)),
    Row("task.model.heads.convs", 2, ("network/heads/*_tower_1/*", "strides/heads/*")),
    Row("task.model.heads.channels", 8, ("network/heads/*",)),
    Row("task.model.heads.batch_norm", True, ("network/heads/*_tower_*",)),
    Row("task.freeze", ["fpn", "heads/box_.*"], ("network/fpn/*", "network/heads/box_*")),
    Row("task.model.backbone.type", "mobilenet", ("network/*", "strides/*", "levels/*", "start/line", *EVERY_NUMBER)),
    Row("task.model.backbone.resnet.depth", 50, (*BACKBONE, "network/fpn/*", "levels/*", "start/line")),
    Row("task.model.backbone.resnet.form", "pytorch", ("strides/conv*", "start/line", *EVERY_NUMBER)),
    Row("task.model.backbone.resnet.groups", 2, (*BACKBONE, "start/line")),
    Row("task.model.backbone.resnet.width_per_group", 32, ("network/conv*",)),
    Row("task.model.backbone.resnet.weights", "", ("network/conv*", "start/line")),
    Row(
        "task.model.backbone.resnet.weights", "none.h5", ("start/line",), {"task.model.backbone.resnet.form": "pytorch"}
    ),
    Row("task.model.backbone.resnet.frozen_stages", 3, ("network/conv[34]*_conv/*",)),
    Row("task.model.backbone.resnet.train_bn_affine", True, ("network/*_bn/gamma:0", "network/*_bn/beta:0")),
    Row("task.model.backbone.efficientnet_lite.model_id", "lite2", ("network/*", "strides/*", "levels/*"), LITE),
    Row("task.model.backbone.efficientnet_lite.weights", "none.npz", ("start/line",), LITE),
    Row("task.model.backbone.keras_applications.model_id", "MobileNet", ("network/*", "strides/*", "levels/*"), KERAS),
    Row("task.model.backbone.keras_applications.alpha", 0.75, ("network/*", "levels/*"), KERAS),
    Row("task.model.backbone.keras_applications.weights", "none.h5", ("start/line",), KERAS),
    # Sizes of pictures.
    Row("task.input_size.shorter_side", 48, ("inputs/*", "validation_inputs/*")),
    Row("task.input_size.longer_side", 80, ("inputs/*", "validation_inputs/*")),
    Row(
        "task.input_size.keep_aspect", False, ("inputs/*", "validation_inputs/*"), {"task.input_size.shorter_side": 48}
    ),
    # Which data, and how they come.
    Row("task.train_data.annotation_file", "b.json", ("train_data/boxes", "train_data/classes")),
    Row("task.train_data.image_dir", "pictures_b", ("train_data/image_bytes",)),
    Row(
        "task.train_data.images_outside",
        True,
        ("train_data/image_bytes",),
        of("task.train_data", {"annotation_file": "outside_a.json", "image_dir": "pictures_b"}),
    ),
    Row("task.train_data.exif_orientation", "stored", ("train_data/turn",), {"task.train_data.image_dir": "turned_a"}),
    Row(
        "task.train_data.input_path",
        "b.tfrecord",
        ("train_data/boxes", "train_data/classes", "inputs/*"),
        of("task.train_data", RECORDS),
    ),
    Row(
        "task.train_data.label_map",
        "other_map.json",
        ("train_data/classes", "train_data/categories"),
        of("task.train_data", RECORDS),
    ),
    Row("task.train_data.tfds_name", "world_b", ("train_data/image_bytes",), of("task.train_data", TFDS)),
    Row("task.train_data.tfds_split", "some", ("train_data/*",), of("task.train_data", TFDS)),
    Row("task.train_data.tfds_data_dir", "elsewhere", ("train_data/*",), of("task.train_data", TFDS)),
    Row("task.train_data.max_instances", 6, ("inputs/boxes", "inputs/classes", "inputs/valid", "inputs/cell_ranges")),
    Row("task.train_data.random_flip", True, ("inputs/*",)),
    Row("task.train_data.shorter_sides", [32, 64], ("inputs/*",)),
    *(Row(f"{DRAWN}{name}", 0.3, ("inputs/*",)) for name in ("brightness", "contrast", "saturation", "hue")),
    *(Row(f"{DRAWN}{name}", True, ("inputs/*",)) for name in ("vertical_flip", "quarter_turns")),
    Row(f"{DRAWN}zoom", [0.5, 2.0], ("inputs/*",)),
    Row(f"{DRAWN}tile", 40, ("inputs/*",)),
    Row(f"{DRAWN}crop", [0.3, 0.6], ("inputs/*",)),
    *(Row(f"{DRAWN}{name}", 1.0, ("inputs/*",)) for name in ("mosaic", "mixup")),
    Row(f"{DRAWN}least_kept", 1.0, ("inputs/*",), {f"{DRAWN}zoom": [1.2, 2.0]}),
    Row("task.train_data.repeat_rare", 1.0, ("inputs/*",)),
    Row("task.train_data.max_bad_pictures", 0.5, ("train_data/*",), {"task.train_data.image_dir": "few_a"}),
    Row("task.train_data.shuffle_buffer_size", 1, ("inputs/*",), of("task.train_data", RECORDS)),
    Row(
        "task.train_data.sources",
        [{"annotation_file": "b.json", "image_dir": "pictures_b"}],
        ("train_data/boxes", "train_data/classes", "train_data/image_bytes"),
        of("task.train_data", SOURCES),
    ),
    Row("task.train_data.seed", 5, ("inputs/*",), {"task.train_data.random_flip": True}),
    Row(
        "task.validation_data.annotation_file",
        "a.json",
        ("validation_data/boxes", "validation_data/classes", "figures/*"),
    ),
    Row("task.validation_data.image_dir", "pictures_a", ("validation_inputs/images",)),
    Row(
        "task.validation_data.fraction",
        0.5,
        ("train_data/*", "validation_data/*", "figures/*"),
        of("task.validation_data", PARTED),
    ),
    Row(
        "task.validation_data.images_outside",
        True,
        ("validation_inputs/images",),
        of("task.validation_data", {"annotation_file": "outside_b.json", "image_dir": "pictures_b"}),
    ),
    Row(
        "task.validation_data.exif_orientation",
        "stored",
        ("validation_inputs/images",),
        {"task.validation_data.image_dir": "turned_a"},
    ),
    Row(
        "task.validation_data.input_path",
        "b.tfrecord",
        ("validation_data/boxes", "validation_data/classes", "figures/*"),
        of("task.validation_data", RECORDS),
    ),
    Row(
        "task.validation_data.label_map",
        "other_map.json",
        ("validation_data/classes", "validation_data/categories"),
        of("task.validation_data", RECORDS),
    ),
    Row("task.validation_data.tfds_name", "none", ("validation_data/*", "figures/*"), of("task.validation_data", TFDS)),
    Row(
        "task.validation_data.tfds_split",
        "some",
        ("validation_data/*", "figures/*"),
        of("task.validation_data", TFDS),
    ),
    Row(
        "task.validation_data.tfds_data_dir",
        "elsewhere",
        ("validation_data/*", "figures/*"),
        of("task.validation_data", TFDS),
    ),
    Row("task.validation_data.global_batch_size", 1, ("validation_inputs/*",)),
    Row(
        "task.validation_data.max_instances",
        6,
        (
            "validation_inputs/boxes",
            "validation_inputs/classes",
            "validation_inputs/valid",
            "validation_inputs/cell_ranges",
        ),
    ),
    # The run.
    Row("task.name", "another", ("checks/line",)),
    Row("trainer.steps_per_loop", 2, ("run/checkpoints",)),
    Row("trainer.summary_interval", 2, ("run/summaries", "run/rows")),
    Row("trainer.checkpoint_interval", 5, ("run/checkpoints",)),
    Row("trainer.max_to_keep", 2, ("run/checkpoints",)),
    Row("trainer.train_steps", 10, ("run/*",)),
    Row("trainer.epochs", 4.6, ("run/*",)),
    Row("trainer.validation_interval", 5, ("run/*",)),
    Row("trainer.best_checkpoint_export_subdir", "top", ("run/best",)),
    Row("trainer.best_checkpoint_eval_metric", "AP50", ("run/best",)),
    Row("trainer.early_stop_patience", 1, ("run/*",)),
    Row("trainer.wandb", "mine", ("run/services",)),
    Row("trainer.mlflow", "mine", ("run/services",)),
]

WITH_SERVERS = {"task.train_data.service": "data/test_service.py"}  # what needs one is tested there


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory):
    """The data of the small world, in the folder that the tests are in."""
    folder = tmp_path_factory.mktemp("world")
    world_data.write(folder)
    world_data.prepare_tfds(folder / "tfds")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


def own_keys(config: hyperparams.Config, prefix: str = "") -> set[str]:
    """The keys of values that the library declares: not those of the Garden."""
    own = {
        name for each in type(config).__mro__ if each.__module__.startswith("fsaf_tf.") for name in each.__annotations__
    }
    keys = set()
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, hyperparams.Config):
            keys |= own_keys(value, f"{prefix}{field.name}.")
        elif field.name in own:
            keys.add(prefix + field.name)
    return keys


def test_every_key_has_a_row():
    assert {row.key for row in ROWS} | set(WITH_SERVERS) == own_keys(schema.fsaf())


def same(one, other) -> bool:
    """Bit by bit."""
    if one is other:
        return True
    one, other = (tf.nest.map_structure(np.asarray, each) for each in (one, other))
    try:
        tf.nest.map_structure(functools.partial(np.testing.assert_array_equal, strict=True), one, other)
    except (AssertionError, ValueError, TypeError):
        return False
    return True


def test_everything_seen_is_what_the_formulas_give():
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
    for part in {name.split("/")[0] for name in changed & set(after)}:
        CHECKS[part](world.all_values(base | {row.key: row.value}), after)
