"""torchvision's ImageNet weights into our ResNet or ResNeXt of the PyTorch form (section 4)."""

import re
from collections.abc import Sequence

import numpy as np
import tf_keras

from fsaf_tf.config import backbone_keys
from fsaf_tf.errors import UserError
from fsaf_tf.weights import files, table
from fsaf_tf.weights.files import Tensors

SETTINGS = {"model": {"backbone": {"resnet": {"form": "pytorch", "weights": "checkpoint"}}}}  # of a task

# The classifier, and a count of training steps that no inference needs.
UNUSED = re.compile(r"fc\.(weight|bias)|(.+\.)?num_batches_tracked")

_OUR_LAYER = re.compile(r"conv(\d)(?:_block(\d+)_(\d))?_(conv|bn)")
_THEIR_BLOCK = re.compile(r"layer(\d)\.(\d+)\.conv1\.weight")


def read(path: str, config: backbone_keys.ResNet) -> Tensors:
    """Reads a file and sees whether it holds this ResNet.

    Raises:
        UserError: it cannot be read, or it holds another one.
    """
    tensors = files.read(path)
    check_architecture(tensors, config)
    return tensors


def load(backbone: tf_keras.Model, tensors: Tensors, config: backbone_keys.ResNet):
    """Sets every weight of a backbone.

    Args:
        backbone: of a detector, or from `resnet.build_resnet`, with all its stages.
        tensors: torchvision's names: `conv1.weight`, `bn1.weight`, `layer1.0.conv1.weight`, ...
        config: what the backbone was built from.

    Raises:
        UserError: they are another network's.
    """
    table.fill(entries(backbone), tensors, described(config), unused=is_unused)


def is_unused(name: str) -> bool:
    """Whether a tensor is left out."""
    return bool(UNUSED.fullmatch(name))


def entries(backbone: tf_keras.Model, prefix: str = "") -> list[table.Entry]:
    """The table of a ResNet: `conv2_block1_0_conv` is `layer1.0.downsample.0` after the prefix, and so on."""
    kinds = {"conv": conv, "bn": norm}
    matches = [(layer, _OUR_LAYER.fullmatch(layer.name)) for layer in backbone.layers]
    return [kinds[match[4]](layer, prefix + _their_name(match)) for layer, match in matches if match]


def _their_name(match: re.Match) -> str:
    stage, block, index, kind = match.groups()
    if block is None:
        return {"conv": "conv1", "bn": "bn1"}[kind]
    last = {"conv": "downsample.0", "bn": "downsample.1"}[kind] if index == "0" else f"{kind}{index}"
    return f"layer{int(stage) - 1}.{int(block) - 1}.{last}"


def conv(layer: tf_keras.layers.Conv2D, name: str, order: Sequence[int] | None = None) -> table.Entry:
    """A convolution of torch: its kernels are out, in, height, width; ours height, width, in, out, grouped or not.

    Args:
        layer: ours.
        name: theirs.
        order: which of their output channels is our first, second, ...; None for the same order.
    """
    height, width, inputs, outputs = layer.kernel.shape
    shapes = {f"{name}.weight": (outputs, inputs, height, width)}
    shapes |= {f"{name}.bias": (outputs,)} if layer.use_bias else {}
    channels = slice(None) if order is None else np.asarray(order)

    def convert(kernel, *bias):
        return [kernel.transpose(2, 3, 1, 0)[..., channels], *(each[channels] for each in bias)]

    return table.Entry(layer, shapes, convert)


def norm(layer: tf_keras.layers.Layer, name: str) -> table.Entry:
    """A batch normalisation of torch, with the epsilon of ours."""
    (size,) = layer.gamma.shape
    parts = ("weight", "bias", "running_mean", "running_var")
    return table.Entry(layer, {f"{name}.{part}": (size,) for part in parts}, lambda *values: list(values))


def described(config: backbone_keys.ResNet) -> str:
    """`ResNet-50`, `ResNeXt-101-64x4d`."""
    return _name(config.depth, config.groups, config.width_per_group)


def check_architecture(tensors: Tensors, config: backbone_keys.ResNet, prefix: str = ""):
    """Raises a UserError if the file holds another ResNet as a whole; `table.fill` looks at the single tensors."""
    shapes = {name.removeprefix(prefix): shape for name, shape in tensors.shapes.items() if name.startswith(prefix)}
    blocks = [_THEIR_BLOCK.fullmatch(name) for name in shapes]
    last = {int(match[1]): int(match[2]) for match in sorted(filter(None, blocks), key=lambda match: int(match[2]))}
    depths = {count: depth for depth, count in backbone_keys.BLOCKS.items()}
    depth = depths.get(tuple(last[stage] + 1 for stage in sorted(last)))
    kernel = shapes.get("layer1.0.conv2.weight", ())
    if depth is None or len(kernel) != 4 or not 0 < kernel[1] <= kernel[0]:
        return
    groups = kernel[0] // kernel[1]
    held = _name(depth, groups, kernel[0] // groups)
    if held != described(config):
        raise UserError(
            f"{tensors.path} holds a {held}, but the experiment has a {described(config)}; take an experiment with"
            f" that backbone (task.model.backbone.resnet)"
        )


def _name(depth: int, groups: int, width: int) -> str:
    return f"ResNet-{depth}" if (groups, width) == (1, 64) else f"ResNeXt-{depth}-{groups}x{width}d"
