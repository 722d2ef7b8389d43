import json

import numpy as np
import pytest
import tensorflow as tf
import torch_reference as reference

from fsaf_tf import anchors, pyramid, regions
from fsaf_tf.config import schema
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import detector
from fsaf_tf.weights import files, mmdet, torchvision

LEVELS = "34567"
CLASSES = 3


def settings(depth=14, channels=16, convs=1, free=True, based=False, **resnet) -> schema.Model:
    config = schema.Model()
    config.override(mmdet.SETTINGS["model"])
    config.override({"backbone": {"resnet": {"depth": depth, "weights": "checkpoint", **resnet}}})
    config.override({"fpn": {"channels": channels}, "heads": {"channels": channels, "convs": convs}})
    config.override({"anchor_free": {"enabled": free}, "anchor_based": {"enabled": based}})
    return config


def checkpoint(module, path="made.pth", **meta) -> mmdet.Checkpoint:
    values = {name: value.numpy() for name, value in module.state_dict().items()}
    return mmdet.checkpoint(files.Tensors(path, values, meta))


def make(anchors_: int, seed: int, depth=14, **kwargs):
    return reference.randomize(reference.Detector(depth, anchors_, **kwargs), seed)


def images(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, [1, height, width, 3]).astype(np.float32)


def load(config, *modules, order=range(CLASSES)):
    model = detector.build_detector(config, CLASSES)
    mmdet.load(model, [checkpoint(module) for module in modules], config, list(order))
    return model


def assert_close(ours, theirs):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("kwargs", "size"),
    [
        (dict(depth=50, channels=256, convs=4), (64, 96)),
        (dict(depth=14, groups=64, width_per_group=4), (107, 85)),  # no stride divides these
    ],
)
def test_fsaf_gives_the_outputs_and_boxes_of_torch(kwargs, size):
    theirs = make(1, 1, **kwargs)
    model = load(settings(**kwargs), theirs)
    expected, found = reference.run(theirs, images(*size)), model(images(*size))
    for level, (classes, boxes) in zip(LEVELS, expected):
        assert_close(found["anchor_free_logits"][level], classes)
        offsets = found["anchor_free_offsets"][level].numpy()[0]
        assert_close(offsets[..., [0, 2, 1, 3]], boxes[0])  # theirs: top, bottom, left, right
        positions = pyramid.locations(*offsets.shape[:2], int(level), location_offset=0.0)
        ours = regions.decode_offsets(offsets.reshape(-1, 4), positions, int(level), 4.0).numpy()
        assert_close(ours[:, [1, 0, 3, 2]], reference.square_anchor_boxes(boxes[0], 2 ** int(level)).reshape(-1, 4))


def test_retinanet_gives_the_outputs_and_boxes_of_torch():
    theirs, config = make(9, 2), settings(free=False, based=True)
    found = load(config, theirs)(images(107, 85))
    for level, (classes, boxes) in zip(LEVELS, reference.run(theirs, images(107, 85))):
        assert_close(found["anchor_based_logits"][level], classes)
        deltas = found["anchor_based_deltas"][level].numpy()[0]
        boxes = np.clip(boxes[0], -2, 2)  # random deltas would make boxes of any size
        shapes = config.anchor_based.shapes()
        all_anchors = anchors.anchors(*deltas.shape[:2], int(level), shapes, config.location_offset)
        ours = anchors.decode(tf.clip_by_value(deltas.reshape(-1, 4), -2, 2), all_anchors).numpy()
        assert_close(ours[:, [1, 0, 3, 2]], reference.nine_anchor_boxes(boxes, 2 ** int(level)).reshape(-1, 4))


def test_the_joint_model_is_fsaf_with_the_last_layers_of_retinanet():
    free, based = make(1, 3), make(9, 4)
    found = load(settings(based=True), free, based)(images(64, 64))
    expected = reference.run(free, images(64, 64))
    free.bbox_head.retina_cls, free.bbox_head.retina_reg = based.bbox_head.retina_cls, based.bbox_head.retina_reg
    mixed = reference.run(free, images(64, 64))
    for level, (classes, _), (anchor_classes, deltas) in zip(LEVELS, expected, mixed):
        assert_close(found["anchor_free_logits"][level], classes)
        assert_close(found["anchor_based_logits"][level], anchor_classes)
        ours = found["anchor_based_deltas"][level].numpy()
        assert_close(ours.reshape(*ours.shape[:3], 9, 4)[..., [1, 0, 3, 2]].reshape(ours.shape), deltas)


@pytest.mark.parametrize("anchors_", [1, 9])
def test_classes_may_come_in_another_order(anchors_):
    theirs = make(anchors_, 5)
    config = settings(free=anchors_ == 1, based=anchors_ == 9)
    found = load(config, theirs, order=[2, 0, 1])(images(64, 64))
    logits = found["anchor_free_logits" if anchors_ == 1 else "anchor_based_logits"]["4"].numpy()
    expected = reference.run(theirs, images(64, 64))[1][0]
    split = (*logits.shape[:3], anchors_, CLASSES)
    assert_close(logits.reshape(split), expected.reshape(split)[..., [2, 0, 1]])


@pytest.mark.parametrize(
    ("name", "resnet"),
    [
        ("r50", dict(depth=50)),
        ("r101", dict(depth=101)),
        ("x101_64x4d", dict(depth=101, groups=64, width_per_group=4)),
    ],
)
def test_the_table_names_exactly_what_published_files_hold(shared_data, name, resnet):
    lines = (shared_data / "weights" / f"mmdet_fsaf_{name}_names.tsv").read_text().splitlines()
    shapes = {name: tuple(json.loads(shape)) for name, shape in (line.split("\t") for line in lines)}
    shapes = {name: shape for name, shape in shapes.items() if not torchvision.is_unused(name)}
    with tf.Graph().as_default():  # names and shapes alone: no values are made
        model = detector.build_detector(settings(channels=256, convs=4, **resnet), 80)
    entries = mmdet.entries(model, mmdet.FSAF, range(80))
    wanted = [pair for entry in entries for pair in entry.shapes.items()]
    assert sorted(wanted) == sorted(shapes.items())
    filled = [id(weight) for entry in entries for weight in entry.layer.weights]
    assert sorted(filled) == sorted(id(weight) for weight in model.weights)


def test_a_file_says_what_it_is_of():
    free = checkpoint(make(1, 1), CLASSES=("a", "b", "c"), mmdet_version="2.3.0")
    assert (free.kind, free.anchors, free.num_classes, free.class_names) == ("FSAF", 0, 3, ("a", "b", "c"))
    based = checkpoint(make(9, 1, classes=1), dataset_meta={"classes": "cell"}, mmengine_version="0.10.5")
    assert (based.kind, based.anchors, based.num_classes, based.class_names) == ("RetinaNet", 9, 1, ("cell",))
    assert checkpoint(make(1, 1)).class_names is None


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"CLASSES": ("a", "b")}, "made.pth names 2 classes, but bbox_head.retina_cls has 3"),
        ({"config": "backbone=dict(depth=50, style='caffe')"}, "made.pth has a backbone of mmdetection's style caffe"),
        ({"cfg": 'style = "caffe"'}, "made.pth has a backbone of mmdetection's style caffe"),
        ({"mmdet_version": "1.2.0+abc"}, "made.pth is of mmdetection 1.2.0"),
    ],
)
def test_a_file_that_would_run_otherwise_is_refused(meta, message):
    with pytest.raises(UserError, match=message):
        checkpoint(make(1, 1), **meta)


def test_other_networks_are_refused():
    backbone = reference.ResNet(14).state_dict()
    with pytest.raises(
        UserError, match="back.pth has no bbox_head.retina_cls.weight and no bbox_head.retina_reg.weight"
    ):
        mmdet.checkpoint(files.Tensors("back.pth", {name: value.numpy() for name, value in backbone.items()}))
    with pytest.raises(UserError, match="made.pth holds a ResNet-50, but the experiment has a ResNet-14"):
        load(settings(), reference.Detector(50, 1))
    with pytest.raises(
        UserError, match="does not fit mmdetection's FSAF with ResNet-14: 4 missing: bbox_head.cls_convs.1"
    ):
        load(settings(convs=2), make(1, 1))
    with pytest.raises(UserError, match=r"FSAF with ResNet-14: \d+ of another shape: neck.lateral_convs.0.conv.weight"):
        load(settings(channels=8), make(1, 1))
