"""Files of published weights: names and shapes at once, each tensor when it is asked for. No code in them is run.

A file of some kilobytes can claim tensors of gigabytes. So whoever takes weights compares shapes before he reads.
"""

import contextlib
import dataclasses
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from fsaf_tf.errors import UserError
from fsaf_tf.files import paths
from fsaf_tf.terminal import faults
from fsaf_tf.weights import formats

MOST_COMPRESSED = 4  # times the bytes of a file of Keras that its tensors may claim


class OnDemand(Mapping):
    """Arrays by name, each read from the file at `path` when it is asked for; numbers with a fraction as float32."""

    def __init__(self, path: str, stored: dict[str, formats.Stored]):
        self._path, self._stored = path, stored

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each, which costs no reading."""
        return {name: stored.shape for name, stored in self._stored.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        """Raises a UserError where it is damaged."""
        stored = self._stored[name]
        with _told(self._path):
            value = stored.array()
            if value.shape != stored.shape:
                raise ValueError(f"{name} is {list(value.shape)}, not {list(stored.shape)}")
            return value if np.issubdtype(value.dtype, np.integer) else value.astype(np.float32, copy=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


@dataclasses.dataclass(frozen=True)
class Tensors:
    """The content of a file.

    Attributes:
        path: the file.
        values: arrays by name. Of a file they are read when they are asked for: look at `shapes` before.
        meta: what a checkpoint of mmdetection says about itself, else empty.
    """

    path: str
    values: Mapping[str, np.ndarray]
    meta: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes by name."""
        if isinstance(self.values, OnDemand):
            return self.values.shapes
        return {name: value.shape for name, value in self.values.items()}


def read(path: str) -> Tensors:
    """Opens a file by its ending: `.pth` or `.pt`, `.safetensors`, `.npz`, `.h5`. It must stay while it is used.

    A dict with `state_dict` and perhaps `meta` is unwrapped, and `module.` before all names is taken away. The names in
    an `.h5` file of Keras are `layer/weight`.

    Raises:
        UserError: there is no such file, it is damaged, or there is something in it that would have to be run.
    """
    paths.refuse_remote(path, "a file of weights")
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in formats.READERS:
        raise UserError(f"{path}: weights are read from files ending in {', '.join(formats.READERS)}")
    if not pathlib.Path(path).is_file():
        raise UserError(f"{path}: there is no such file")
    with _told(path):
        content = formats.READERS[suffix](path)
    return _unwrap(path, content)


def check_claims(path: str) -> None:
    """Raises a UserError if an `.h5` file claims far more than it holds, before a reader that is not ours reads it all.

    Published ones are not compressed. One that cannot be read is left to that reader, too.
    """
    sizes: list[int] = []

    def add(name: str, node: h5py.Dataset | h5py.Group) -> None:
        sizes.append(node.nbytes if isinstance(node, h5py.Dataset) else 0)

    with contextlib.suppress(Exception), h5py.File(path, "r") as file:  # whatever h5py raises of a damaged file
        file.visititems(add)
    held, claimed = pathlib.Path(path).stat().st_size, sum(sizes)
    if claimed > MOST_COMPRESSED * held:
        raise UserError(f"{path} is of {held:,} bytes, but claims tensors of {claimed:,}: it is not what Keras writes")


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """What is raised of a file becomes a UserError."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # a damaged file makes these libraries raise almost anything
        if faults.is_of_the_machine(error):
            raise UserError(faults.of_file(path, error)) from error
        raise UserError(f"{path} cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Why a file cannot be read, on one line, without torch's advice to trust it all the same."""
    text = " ".join(str(error).split())
    code = re.search(r"GLOBAL (\S+)", text)
    if code or "weights_only" in text or text.startswith("Object arrays"):
        what = f"({code[1]}) " if code else ""
        return f"it holds more than tensors {what}and loading that could run code; ask for a file of tensors alone"
    return f"it is cut short, damaged or of another kind ({text.split('. ')[0] or type(error).__name__:.300})"


def _unwrap(path: str, content: Any) -> Tensors:
    meta = {}
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        meta, content = content.get("meta") or {}, content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} holds no tensors by name")
    other = [
        name for name, value in content.items() if not isinstance(value, formats.Stored) or not isinstance(name, str)
    ]
    if other:
        raise UserError(f"{path}: {', '.join(map(str, other[:3]))} is not a tensor; a state dict is wanted")
    if all(name.startswith("module.") for name in content):  # of torch's DataParallel
        content = {name.removeprefix("module."): value for name, value in content.items()}
    return Tensors(path, OnDemand(path, content), meta if isinstance(meta, dict) else {})
