"""A family of backbones is one value: all that the library asks of one, asked of a family of this test's own."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.core import exp_factory
from official.modeling import hyperparams

from fsaf_tf.config import backbone_keys, init_architecture, schema
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import backbones, detector
from fsaf_tf.modeling.family import Family
from fsaf_tf.modeling.normalization import Normalization
from fsaf_tf.run.task import FSAFTask


@dataclasses.dataclass
class Stripes(hyperparams.Config):
    channels: int = 6
    value: float = 0.0


@dataclasses.dataclass
class Backbone(backbone_keys.Backbone):
    type: str = "stripes"
    stripes: Stripes = dataclasses.field(default_factory=Stripes)


def _build(backbone: backbone_keys.Backbone) -> tf_keras.Model:
    """A convolution of stride 2 a level."""
    images = tf_keras.layers.Input([None, None, 3])
    maps = [images]
    for level in range(1, 6):
        conv = tf_keras.layers.Conv2D(backbone.stripes.channels, 3, 2, "same", name=f"stripe_{level}")
        maps.append(conv(maps[-1]))
    return tf_keras.Model(images, {str(level): maps[level] for level in (3, 4, 5)})


def _load_weights(network: tf_keras.Model, backbone: backbone_keys.Backbone) -> None:
    kernel = network.get_layer("stripe_1").kernel
    kernel.assign(tf.fill(kernel.shape, backbone.stripes.value))


NORMALIZATION = Normalization((100.0, 110.0, 120.0), (2.0, 4.0, 8.0), "bgr")
STRIPES = Family(_build, normalization=lambda backbone: NORMALIZATION, load_weights=_load_weights)


@pytest.fixture
def task(monkeypatch) -> schema.Task:
    """An experiment's, with the family and a narrow rest."""
    monkeypatch.setitem(backbones.FAMILIES, "stripes", STRIPES)
    model = schema.Model(
        backbone=Backbone(stripes=Stripes(value=0.01)),
        fpn=schema.FPN(channels=8),
        heads=schema.Heads(convs=1, channels=8),
    )
    return schema.Task(model=model)


def _batch() -> dict[str, tf.Tensor]:
    """One image of one colour, which fills it."""
    return {
        "image": tf.fill([1, 64, 64, 3], tf.constant(130, tf.uint8)),
        "image_size": tf.constant([[64, 64]]),
        "image_id": tf.constant([1], tf.int64),
        "boxes": tf.constant([[[8.0, 8, 40, 56]]]),
        "classes": tf.constant([[1]]),
        "valid": tf.constant([[True]]),
        "left_out": tf.zeros([1], tf.int32),
    }


def test_a_new_family_trains_a_step(task):
    run = FSAFTask(task)
    model = detector.build_detector(task.model, 2)
    assert model.get_layer("backbone").output["5"].shape[-1] == 6
    backbone = model.get_layer("backbone")
    run.initialize(model)
    np.testing.assert_allclose(backbone.get_layer("stripe_1").kernel, 0.01)
    before = [variable.numpy() for variable in backbone.trainable_variables]
    assert len(before) == 10
    optimizer = run.create_optimizer(exp_factory.get_exp_config("fsaf").trainer.optimizer_config)
    assert np.isfinite(run.train_step(_batch(), model, optimizer)[run.loss])
    assert any(np.any(old != new) for old, new in zip(before, backbone.trainable_variables))


def test_its_normalisation_is_that_of_the_images(task):
    images = detector.normalization(task.model.backbone).normalize(tf.constant([10, 20, 30], tf.uint8))
    np.testing.assert_allclose(images, [(30 - 100) / 2, (20 - 110) / 4, (10 - 120) / 8])


def test_all_of_its_keys_come_with_a_checkpoint(task):
    values = init_architecture.architecture(task.model)["task"]["model"]["backbone"]
    assert values == {"type": "stripes", "stripes": {"channels": 6, "value": 0.01}}


def test_what_a_family_does_not_say_is_as_of_random_values(task):
    chosen, config = backbones.family(task.model.backbone), task.model.backbone
    assert not chosen.awaits_checkpoint(config) and not chosen.has_frozen_statistics(config)
    assert chosen.slow_by_xla_on_cpus(config) == ""


def test_levels_that_it_lacks_are_named(task):
    task.model.min_level = 2
    with pytest.raises(UserError, match="task.model.backbone: stripes, as set, has no level 2"):
        detector.build_detector(task.model, 2)


def test_an_unknown_family_is_named_with_those_there_are():
    with pytest.raises(
        UserError,
        match="type is 'stripes', but must be one of: resnet, efficientnet_lite, keras_applications, .*revnet$",
    ):
        backbones.family(Backbone())


@pytest.mark.parametrize(
    ("values", "awaits", "frozen", "slow"),
    [
        ({"weights": "imagenet"}, False, True, ""),
        ({"weights": "checkpoint", "groups": 64}, True, True, "ResNeXt (task.model.backbone.resnet.groups above 1)"),
        ({"weights": ""}, False, False, ""),
    ],
)
def test_a_resnet_says_where_its_weights_come_from(values, awaits, frozen, slow):
    config = backbone_keys.Backbone(resnet=backbone_keys.ResNet(**values))
    resnet = backbones.family(config)
    assert resnet.awaits_checkpoint(config) == awaits
    assert resnet.has_frozen_statistics(config) == frozen
    assert resnet.slow_by_xla_on_cpus(config) == slow


@pytest.mark.parametrize(
    ("kind", "model_id", "known"),
    [
        ("mobilenet", "MobileNetV5", "MobileNetV1, MobileNetV2, "),
        ("mobiledet", "cpu", "MobileDetCPU, "),
        ("efficientnet", "lite0", "b0, b1, "),
        ("revnet", 50, "38, 56, 104$"),
    ],
)
def test_an_unknown_model_of_the_garden_is_named_with_those_there_are(kind, model_id, known):
    backbone = backbone_keys.Backbone(type=kind)
    backbone.override({kind: {"model_id": model_id}})
    with pytest.raises(UserError, match=f"backbone.{kind}.model_id is {model_id!r}, but must be one of: {known}"):
        backbones.family(backbone).build(backbone)
