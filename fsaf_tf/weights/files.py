"""Files of published weights as plain arrays. No code in them is run."""

import dataclasses
import pathlib
import re
from collections.abc import Callable
from typing import Any

import h5py
import ml_dtypes  # noqa: F401 (teaches NumPy bfloat16)
import numpy as np
import safetensors.numpy

from fsaf_tf.errors import UserError
from fsaf_tf.terminal import faults
from fsaf_tf.weights import legacy_torch

# What mmengine keeps beside the weights: the log of its run. It is of no use here, and loading it would run functions
# of these names; a stand-in that does nothing takes their places.
_LOG_OF_MMENGINE = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",
    "numpy.ndarray",
    "numpy.dtype",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *(f"numpy.dtypes.{name}DType" for name in ("Float64", "Float32", "Int64", "Int32")),
)


@dataclasses.dataclass(frozen=True)
class Tensors:
    """The content of a file.

    Attributes:
        path: the file.
        values: arrays by name, numbers with a fraction as float32.
        meta: what a checkpoint of mmdetection says about itself, else empty.
    """

    path: str
    values: dict[str, np.ndarray]
    meta: dict[str, Any] = dataclasses.field(default_factory=dict)


def read(path: str) -> Tensors:
    """Reads a file by its ending: `.pth` or `.pt`, `.safetensors`, `.npz`, `.h5`.

    A dict with `state_dict` and perhaps `meta` is unwrapped, and `module.` before all names is taken away. The names in
    an `.h5` file of Keras are `layer/weight`.

    Raises:
        UserError: there is no such file, it is damaged, or there is something in it that would have to be run.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in _READERS:
        raise UserError(f"{path}: weights are read from files ending in {', '.join(_READERS)}")
    if not pathlib.Path(path).is_file():
        raise UserError(f"{path}: there is no such file")
    try:
        content = _READERS[suffix](path)
    except UserError:
        raise
    except Exception as error:  # a damaged file makes these libraries raise almost anything
        if faults.is_of_the_machine(error):
            raise UserError(faults.of_file(path, error)) from error
        raise UserError(f"{path} cannot be read: {_reason(error)}") from error
    return _unwrap(path, content)


def _read_torch(path: str) -> Any:
    try:
        import torch
    except ImportError as error:
        if legacy_torch.is_legacy(path):
            return legacy_torch.read(path)
        raise UserError(
            f'{path}: PyTorch is needed to read it; pip install -c constraints.txt -e ".[convert]", or bring the'
            " tensors as .safetensors or .npz, with the same names"
        ) from error
    with open(path, "rb") as file:
        if not file.read(2).startswith((b"PK", b"\x80")):
            raise ValueError("neither a zip nor a pickle")
    stand_ins = [(_StandIn, name) for name in _LOG_OF_MMENGINE]
    with torch.serialization.safe_globals(stand_ins):
        content = torch.load(path, map_location="cpu", weights_only=True)

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        if not isinstance(value, torch.Tensor):
            return value
        return (value.detach().float() if value.is_floating_point() else value.detach()).numpy()

    return plain(content)


class _StandIn:
    """Takes any arguments and state, and does nothing."""

    def __new__(cls, *args):
        return super().__new__(cls)

    def __init__(self, *args):
        pass

    def __setstate__(self, state):
        pass


def _read_npz(path: str) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _read_h5(path: str) -> dict[str, np.ndarray]:
    """The weights alone, or those of a whole model, by the names of the layers and of their weights."""
    with h5py.File(path, "r") as file:
        layers = file.get("model_weights", file)
        return {
            f"{name}/{key.rsplit('/', 1)[-1].removesuffix(':0')}": np.asarray(layer[key])
            for name, layer in layers.items()
            for key in layer.attrs.get("weight_names", ())
        }


_READERS: dict[str, Callable[[str], Any]] = {
    ".pth": _read_torch,
    ".pt": _read_torch,
    ".safetensors": safetensors.numpy.load_file,
    ".npz": _read_npz,
    ".h5": _read_h5,
}


def _reason(error: Exception) -> str:
    """Why a file cannot be read, on one line, without torch's advice to trust it all the same."""
    text = " ".join(str(error).split())
    code = re.search(r"GLOBAL (\S+)", text)
    if code or "weights_only" in text or text.startswith("Object arrays"):
        what = f"({code[1]}) " if code else ""
        return f"it holds more than tensors {what}and loading that could run code; ask for a file of tensors alone"
    return f"it is cut short, damaged or of another kind ({text.split('. ')[0] or type(error).__name__})"


def _unwrap(path: str, content: Any) -> Tensors:
    meta = {}
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        meta, content = content.get("meta") or {}, content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} holds no tensors by name")
    other = [name for name, value in content.items() if not isinstance(value, np.ndarray)]
    if other:
        raise UserError(f"{path}: {', '.join(map(str, other[:3]))} is not a tensor; a state dict is wanted")
    if all(name.startswith("module.") for name in content):  # of torch's DataParallel
        content = {name.removeprefix("module."): value for name, value in content.items()}
    is_number = {name: np.issubdtype(value.dtype, np.integer) for name, value in content.items()}
    values = {name: value if is_number[name] else value.astype(np.float32) for name, value in content.items()}
    return Tensors(path, values, meta if isinstance(meta, dict) else {})
