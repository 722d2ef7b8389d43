import numpy as np
import pytest
import torch_reference as reference

from fsaf_tf.config import backbone_keys, schema
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import backbones, detector, resnet
from fsaf_tf.weights import files, imagenet, torchvision

torch = reference.torch


def images(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, [2, height, width, 3]).astype(np.float32)


def build(config: backbone_keys.ResNet):
    return resnet.build_resnet(config.replace(form="pytorch"))


def tensors(module, path="made.pth") -> files.Tensors:
    return files.Tensors(path, {name: value.numpy() for name, value in module.state_dict().items()})


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (backbone_keys.ResNet(depth=50), (64, 96)),
        (backbone_keys.ResNet(depth=101), (75, 93)),  # no stride divides these
        (backbone_keys.ResNet(depth=14, groups=64, width_per_group=4), (75, 93)),  # ResNeXt, a block a stage
    ],
)
def test_features_are_those_of_the_same_network_in_torch(config, size):
    theirs = reference.ResNet(config.depth, config.groups, config.width_per_group)
    expected = reference.run(reference.randomize(theirs, seed=1), images(*size))
    ours = build(config)
    torchvision.load(ours, tensors(theirs), config)
    features = ours(images(*size))
    assert sorted(features) == ["2", "3", "4", "5"]
    for level, map_ in zip("2345", expected):
        np.testing.assert_allclose(features[level], map_, rtol=0, atol=1e-4 * np.abs(map_).max())


@pytest.fixture(scope="module")
def small():
    """A file's content for ResNet-14, and our network for it."""
    config = backbone_keys.ResNet(depth=14)
    return tensors(reference.randomize(reference.ResNet(14), seed=2)), build(config), config


def test_a_tensor_too_few_or_too_many_or_of_another_shape_is_named(small):
    found, backbone, config = small
    before = backbone.get_weights()
    values = dict(found.values)
    values["layer1.0.conv4.weight"] = values.pop("layer1.0.conv3.weight")
    values["bn1.bias"] = values["bn1.bias"][:-1]
    with pytest.raises(UserError) as error:
        torchvision.load(backbone, files.Tensors("other.pth", values), config)
    assert str(error.value) == (
        "other.pth does not fit ResNet-14: 1 missing: layer1.0.conv3.weight; 1 too many: layer1.0.conv4.weight;"
        " 1 of another shape: bn1.bias [15] in the place of [16]"
    )
    assert all(np.array_equal(old, new) for old, new in zip(before, backbone.get_weights()))


def test_long_lists_are_cut(small):
    found, backbone, config = small
    values = {name: value for name, value in found.values.items() if "layer4" not in name}
    with pytest.raises(UserError, match=r": 20 missing: layer4\.0\.conv1\.weight, .* and 14 more$"):
        torchvision.load(backbone, files.Tensors("half.pth", values), config)


def test_numbers_that_are_none_are_refused(small):
    found, backbone, config = small
    values = dict(found.values, **{"bn1.weight": np.full([16], np.nan, np.float32)})
    with pytest.raises(UserError, match="1 not finite: bn1.weight"):
        torchvision.load(backbone, files.Tensors("nan.pth", values), config)


@pytest.mark.parametrize(
    ("held", "wanted", "message"),
    [
        ((50, 1, 64), backbone_keys.ResNet(depth=14), "holds a ResNet-50, but the experiment has a ResNet-14; take"),
        (
            (14, 64, 4),
            backbone_keys.ResNet(depth=14),
            "holds a ResNeXt-14-64x4d, but the experiment has a ResNet-14; take",
        ),
        ((14, 1, 64), backbone_keys.ResNet(depth=14, groups=32, width_per_group=8), "has a ResNeXt-14-32x8d; take"),
    ],
)
def test_another_architecture_is_named(held, wanted, message):
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in reference.ResNet(*held).state_dict().items()}
    found = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    with pytest.raises(UserError, match=message):
        torchvision.check_architecture(files.Tensors("other.pth", found), wanted)


def test_a_detector_takes_a_file_by_its_path(small, tmp_path):
    found, path = small[0], str(tmp_path / "weights.npz")
    np.savez(path, **found.values)
    config = schema.Model()
    config.override({"backbone": {"resnet": {"depth": 14, "form": "pytorch", "weights": path}}})
    config.override({"fpn": {"channels": 8}, "heads": {"channels": 8}})
    model = detector.build_detector(config, 3)
    backbones.initialize(model, config.backbone)
    kernel = model.get_layer("backbone").get_layer("conv5_block1_2_conv").kernel
    np.testing.assert_array_equal(kernel, found.values["layer4.0.conv2.weight"].transpose(2, 3, 1, 0))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"weights": "a.pth"},
            "^task.model.backbone.resnet: .*'a.pth' are torchvision's and need form pytorch, not caffe",
        ),
        ({"weights": "a.pth", "form": "pytorch"}, "^task.model.backbone.resnet.weights: a.pth: there is no such file"),
        (
            {"weights": "a.tar", "form": "pytorch"},
            "^task.model.backbone.resnet.weights: a.tar: weights are read from .*",
        ),
    ],
)
def test_weights_that_do_not_exist(overrides, message):
    config = backbone_keys.Backbone()
    config.override({"resnet": overrides})
    with pytest.raises(UserError, match=message):
        imagenet.load(None, config.resnet)
