import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from fsaf_tf.config import backbone_keys, experiment, schema
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import detector

FREE = ("anchor_free_logits", "anchor_free_offsets")
BASED = ("anchor_based_logits", "anchor_based_deltas")


def model_config(**overrides) -> schema.Model:
    config = schema.Model()
    config.override(overrides)
    return config


def tiny(**overrides) -> schema.Model:
    """ResNet-14 from random values and narrow, short subnets."""
    return model_config(
        **{
            "backbone": {"resnet": {"depth": 14, "weights": "", "width_per_group": 8}},
            "fpn": {"channels": 8},
            "heads": {"convs": 1, "channels": 8},
            **overrides,
        }
    )


def tiny_resnext(**overrides) -> schema.Model:
    return tiny(backbone={"resnet": {"depth": 14, "weights": "", "groups": 8, "width_per_group": 8}}, **overrides)


def small_mobilenet(**overrides) -> schema.Model:
    mobilenet = {"model_id": "MobileNetV2", "filter_size_scale": 0.35}
    return tiny(backbone={"type": "mobilenet", "mobilenet": mobilenet}, **overrides)


def count(model) -> int:
    """Parameters without the statistics of batch normalisation."""
    return sum(int(np.prod(v.shape)) for v in model.weights if "moving_" not in v.name)


def cells(outputs, key) -> dict:
    return {level: tuple(x.shape[1:3]) for level, x in outputs[key].items()}


@pytest.fixture
def parameters(monkeypatch):
    """Counts those of backbone and detector from two blocks a stage: all others are like the second."""
    blocks = dict(backbone_keys.BLOCKS)
    monkeypatch.setitem(backbone_keys.BLOCKS, 50, (2, 2, 2, 2))

    def count_both(model: schema.Model) -> tuple[int, int]:
        more = np.subtract(blocks[model.backbone.resnet.depth], 2)
        model.backbone.resnet.depth = 50
        built = detector.build_detector(model, 80)
        backbone = built.get_layer("backbone")
        second = [layer for layer in backbone.layers if "_block2_" in layer.name]
        rest = sum(count(layer) * more[int(layer.name[len("conv")]) - 2] for layer in second)
        return count(backbone) + rest, count(built) + rest

    return count_both


# As mmdetection's checkpoints have them: with scale and shift of batch normalisation, without its statistics.
# ResNet-152 is torchvision's 60,192,808 less the classifier.
@pytest.mark.parametrize(
    ("name", "overrides", "backbone", "total"),
    [
        ("fsaf_r50", {}, 23_508_032, 36_419_732),
        ("fsaf_r101", {}, 42_500_160, 55_411_860),
        ("fsaf_r101", {"depth": 152}, 58_143_808, 71_055_508),
        ("fsaf_x101", {}, 81_406_272, 94_317_972),
    ],
)
def test_parameters_with_80_classes(parameters, name, overrides, backbone, total):
    model = experiment.load(name).task.model
    model.override({"backbone": {"resnet": overrides}})
    assert parameters(model) == (backbone, total)


def test_parameters_that_fsaf_adds_to_retinanet(parameters):
    _, retinanet = parameters(experiment.load("retinanet_r50").task.model)
    _, both = parameters(experiment.load("ab_fsaf_r50").task.model)
    assert both - retinanet == 193_620


@pytest.mark.parametrize("config", [tiny, small_mobilenet])
def test_any_image_size_and_any_backbone(config):
    model = detector.build_detector(config(anchor_based={"enabled": True}), 3)
    for height, width in ((64, 96), (97, 131)):
        outputs = model(tf.zeros([1, height, width, 3]))
        assert set(outputs) == {*FREE, *BASED}
        expected = {str(level): (-(-height // 2**level), -(-width // 2**level)) for level in range(3, 8)}
        assert all(cells(outputs, key) == expected for key in outputs)
    assert [outputs[key]["3"].shape[-1] for key in (*FREE, *BASED)] == [3, 4, 27, 36]


def test_absent_branches_are_absent():
    assert set(detector.build_detector(tiny(), 3).output) == set(FREE)
    retinanet = tiny(anchor_free={"enabled": False}, anchor_based={"enabled": True, "scales": [1.0]})
    outputs = detector.build_detector(retinanet, 5).output
    assert set(outputs) == set(BASED)
    assert outputs["anchor_based_logits"]["7"].shape[-1] == 1 * 3 * 5


@pytest.mark.parametrize("config", [tiny, small_mobilenet])
def test_every_trained_variable_has_a_gradient_and_statistics_follow(config):
    model = detector.build_detector(config(anchor_based={"enabled": True}), 3)
    images = 1.0 + tf.random.stateless_normal([2, 64, 64, 3], seed=(1, 2))

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.add_n([tf.reduce_sum(x) for x in tf.nest.flatten(model(images, training=True))])
        return tape.gradient(loss, model.trainable_variables)

    means = [v for v in model.weights if "moving_mean" in v.name]
    before = [v.numpy() for v in means]
    assert all(gradient is not None for gradient in gradients())
    assert all(np.any(old != new) for old, new in zip(before, means))


def test_garden_normalisation_has_a_momentum_for_short_runs():
    model = detector.build_detector(small_mobilenet(), 3)
    norms = [layer for layer in model.get_layer("backbone").submodules if hasattr(layer, "moving_mean")]
    assert norms and {layer.momentum for layer in norms} == {0.9}


def test_the_mobilenet_layers_above_level_5_are_left_out():
    """Level 6 of the Garden's MobileNet is its classifier's last convolution, which would have no gradient."""
    model = detector.build_detector(small_mobilenet(), 3)
    assert set(model.get_layer("backbone").output) == {"3", "4", "5"}


@pytest.mark.parametrize("config", [tiny, tiny_resnext])
def test_graph_of_unknown_size_and_xla_equal_eager(config):
    model = detector.build_detector(config(), 3)
    images = tf.random.stateless_normal([1, 64, 96, 3], seed=(1, 2))
    eager = model(images, training=False)
    signature = [tf.TensorSpec([None, None, None, 3])]
    graph = tf.function(lambda x: model(x, training=False), input_signature=signature)(images)
    compiled = tf.function(lambda x: model(x, training=False), jit_compile=True)(images)
    for expected, *others in zip(*map(tf.nest.flatten, (eager, graph, compiled))):
        for other in others:
            np.testing.assert_allclose(other, expected, rtol=1e-3, atol=1e-4)


def test_no_image_at_all():
    model = detector.build_detector(tiny(), 3)
    for infer in (detector.infer, tf.function(detector.infer)):
        outputs = infer(model, tf.zeros([0, 64, 96, 3]))
        assert outputs["anchor_free_logits"]["3"].shape == (0, 8, 12, 3)
        assert cells(outputs, "anchor_free_offsets")["7"] == (1, 1)


def test_infer_is_the_model_at_inference():
    model = detector.build_detector(tiny(), 3)
    images = tf.random.stateless_normal([2, 64, 64, 3], seed=(1, 2))
    for ours, expected in zip(*map(tf.nest.flatten, (detector.infer(model, images), model(images, training=False)))):
        np.testing.assert_array_equal(ours, expected)


def test_normalisation_of_the_caffe_form_is_keras_applications():
    images = np.random.default_rng(0).integers(0, 256, [2, 5, 7, 3], dtype=np.uint8)
    expected = tf_keras.applications.resnet.preprocess_input(images.astype(np.float32))
    normalized = detector.normalization(backbone_keys.Backbone()).normalize(images)
    assert normalized.dtype == tf.float32
    np.testing.assert_allclose(normalized, expected, atol=1e-4)


def test_other_backbones_take_torchvision_normalisation():
    pytorch = backbone_keys.Backbone()
    pytorch.override({"resnet": {"form": "pytorch"}})
    mobilenet = backbone_keys.Backbone(type="mobilenet")
    for backbone in (pytorch, mobilenet):
        found = detector.normalization(backbone)
        assert found.channel_order == "rgb"
        white = found.normalize(tf.constant([255, 255, 255], tf.uint8))
        np.testing.assert_allclose(white, (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225], rtol=1e-4)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"anchor_free": {"enabled": False}}, "both false; one must be true"),
        ({"anchor_based": {"enabled": True, "scales": []}}, "scales must be numbers above 0, at least one, not"),
        ({"min_level": 6}, "task.model.min_level must be from 2 to 5, not 6"),
        ({"max_level": 4}, "task.model.max_level must be at least 5, not 4"),
        ({"backbone": {"type": "vit"}}, "'vit', but must be one of: resnet, efficientnet_lite"),
        ({"backbone": {"type": "alexnet"}}, "'alexnet', but must be one of: resnet, efficientnet_lite"),
        (
            {"backbone": {"type": "mobilenet", "mobilenet": {"output_stride": 16}}},
            "backbone: mobilenet, as set, has no level 5",
        ),
    ],
)
def test_what_cannot_be_built_is_named(overrides, message):
    with pytest.raises(UserError, match=message):
        detector.build_detector(tiny(**overrides), 3)


def test_no_classes():
    with pytest.raises(UserError, match="at least one class, not 0"):
        detector.build_detector(tiny(), 0)
