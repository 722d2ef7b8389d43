"""What each kind of file of published weights holds: names and shapes, and a function that reads each tensor."""

import functools
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import h5py
import ml_dtypes  # noqa: F401 (teaches NumPy bfloat16)
import numpy as np
import safetensors

from fsaf_tf.errors import UserError
from fsaf_tf.terminal import commands
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


class Stored(NamedTuple):
    """A tensor in a file: its shape, and what reads it."""

    shape: tuple[int, ...]
    array: Callable[[], np.ndarray]


def _read_torch(path: str) -> Any:
    try:
        import torch
    except ImportError as error:
        if legacy_torch.is_legacy(path):
            return _with_tensors(
                legacy_torch.read(path), legacy_torch.View, lambda view: Stored(view.shape, view.array)
            )
        raise UserError(
            f"{path}: PyTorch is needed to read it; {commands.to_install('convert')}, or bring the"
            " tensors as .safetensors or .npz, with the same names"
        ) from error
    with open(path, "rb") as file:
        start = file.read(2)
    if not start.startswith((b"PK", b"\x80")):
        raise ValueError("neither a zip nor a pickle")
    is_zip = start == b"PK"
    if is_zip:
        _check_not_compressed(path)
    stand_ins = [(_StandIn, name) for name in _LOG_OF_MMENGINE]
    with torch.serialization.safe_globals(stand_ins):
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)

    def array(tensor) -> np.ndarray:
        return (tensor.detach().float() if tensor.is_floating_point() else tensor.detach()).numpy()

    return _with_tensors(
        content, torch.Tensor, lambda tensor: Stored(tuple(tensor.shape), functools.partial(array, tensor))
    )


def _check_not_compressed(path: str) -> None:
    """PyTorch compresses nothing; what is, unpacks to any size."""
    with zipfile.ZipFile(path) as archive:
        packed = [part.filename for part in archive.infolist() if part.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise ValueError(f"{packed[0]} in it is compressed, which PyTorch does not do")


def _with_tensors(content: Any, kind: type, stored: Callable[[Any], Stored]) -> Any:
    """A dict, and its `state_dict`, with what is of a `kind` as `Stored`."""
    if not isinstance(content, dict):
        return content
    plain = {name: stored(value) if isinstance(value, kind) else value for name, value in content.items()}
    if isinstance(plain.get("state_dict"), dict):
        inner = plain["state_dict"]
        plain["state_dict"] = {
            name: stored(value) if isinstance(value, kind) else value for name, value in inner.items()
        }
    return plain


class _StandIn:
    """Takes any arguments and state, and does nothing."""

    def __new__(cls, *args):
        return super().__new__(cls)

    def __init__(self, *args):
        pass

    def __setstate__(self, state):
        pass


def _read_npz(path: str) -> dict[str, Stored]:
    def array(name: str) -> np.ndarray:
        with np.load(path, allow_pickle=False) as file:
            return file[name]

    shapes = {}
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            with archive.open(part) as file:
                shapes[part.filename.removesuffix(".npy")] = _npy_shape(file)
    return {name: Stored(shape, functools.partial(array, name)) for name, shape in shapes.items()}


def _npy_shape(file: BinaryIO) -> tuple[int, ...]:
    version = np.lib.format.read_magic(file)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0}.get(version, np.lib.format.read_array_header_2_0)
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded")
    _check_numbers(dtype)
    return shape


def _check_numbers(dtype: np.dtype) -> None:
    """One text or structure alone may be of any size."""
    if dtype.kind not in "biuf":
        raise ValueError(f"values of the type {dtype!s:.40} are no numbers")


def _read_h5(path: str) -> dict[str, Stored]:
    """The weights alone, or those of a whole model, by the names of the layers and of their weights."""

    def array(name: str) -> np.ndarray:
        with h5py.File(path, "r") as file:
            return np.asarray(file[name])

    with h5py.File(path, "r") as file:
        start = "model_weights" if "model_weights" in file else "/"
        found = {}
        for name, layer in file[start].items():
            for key in layer.attrs.get("weight_names", ()):
                _check_numbers(layer[key].dtype)
                read = functools.partial(array, f"{start}/{name}/{key}")
                found[f"{name}/{key.rsplit('/', 1)[-1].removesuffix(':0')}"] = Stored(tuple(layer[key].shape), read)
    return found


def _read_safetensors(path: str) -> dict[str, Stored]:
    file = safetensors.safe_open(path, framework="np")
    shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    return {name: Stored(shape, functools.partial(file.get_tensor, name)) for name, shape in shapes.items()}


READERS: dict[str, Callable[[str], Any]] = {
    ".pth": _read_torch,
    ".pt": _read_torch,
    ".safetensors": _read_safetensors,
    ".npz": _read_npz,
    ".h5": _read_h5,
}
