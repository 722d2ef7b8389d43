"""PyTorch's `.pth` files of before version 1.6, read without PyTorch: tensors in dictionaries, and nothing that runs.

Such a file is a row of pickles (a number that marks it, a version, facts of the machine, the object, the names of the
storages) and then the storages' values, each with its count before it.
"""

import collections
import pickle
from typing import Any, BinaryIO

import numpy as np

from fsaf_tf.errors import UserError

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
_TYPES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class _Storage:
    """A row of values, which come at the end of the file."""

    def __init__(self, kind: np.dtype, count: int):
        self.kind, self.count, self.values = kind, count, None


class View:
    """A tensor: a storage and how it is gone through."""

    def __init__(self, storage: _Storage, offset: int, shape: tuple, strides: tuple, *_):
        self.storage, self.offset, self.shape, self.strides = storage, offset, tuple(shape), strides

    def array(self) -> np.ndarray:
        """Its values, in an array of their own."""
        if 0 in self.shape:
            return np.empty(self.shape, self.storage.kind)
        last = self.offset + sum(stride * (side - 1) for stride, side in zip(self.strides, self.shape))
        if min((self.offset, *self.strides, *self.shape)) < 0 or last >= self.storage.count:
            raise ValueError("a tensor reaches out of its storage")
        size = self.storage.values.itemsize
        strides = [stride * size for stride in self.strides]
        return np.lib.stride_tricks.as_strided(self.storage.values[self.offset :], self.shape, strides).copy()


class _Unpickler(pickle.Unpickler):
    """Makes dictionaries, numbers, texts and tensors; anything else is refused."""

    _KNOWN = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): View,
        ("torch._utils", "_rebuild_parameter"): lambda view, *_: view,
        **{("torch", name): np.dtype(kind) for name, kind in _TYPES.items()},
    }

    def __init__(self, file: BinaryIO):
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._KNOWN:
            raise pickle.UnpicklingError(f"GLOBAL {module}.{name}")
        return self._KNOWN[module, name]

    def persistent_load(self, pid: tuple) -> _Storage:
        tag, kind, key, _, count, of_view = pid
        if tag != "storage" or of_view is not None:
            raise ValueError(f"a {tag} that is not a whole storage")
        return self.storages.setdefault(key, _Storage(kind, count))


def is_legacy(path: str) -> bool:
    """Whether a file is of this kind; the newer ones are zip archives."""
    with open(path, "rb") as file:
        return file.read(1) == b"\x80"


def read(path: str) -> Any:
    """What is in the file, with a `View` in the place of a tensor.

    Raises:
        UserError: there is something in it that would have to be run.
        Exception: it is damaged.
    """
    with open(path, "rb") as file:
        try:
            if [_Unpickler(file).load() for _ in range(2)] != [MAGIC, VERSION]:
                raise ValueError("not a file of PyTorch")
            _Unpickler(file).load()  # of the machine that wrote it
            unpickler = _Unpickler(file)
            content = unpickler.load()
            names = _Unpickler(file).load()
        except pickle.UnpicklingError as error:
            if "GLOBAL" not in str(error):
                raise
            name = str(error).removeprefix("GLOBAL ")
            raise UserError(
                f"{path}: it holds more than tensors ({name}) and loading that could run code;"
                " ask for a file of tensors alone"
            ) from error
        for name in names:
            storage = unpickler.storages[name]
            count = int(np.frombuffer(file.read(8), "<i8")[0])
            data = file.read(count * storage.kind.itemsize)
            if count != storage.count or len(data) != count * storage.kind.itemsize:
                raise ValueError("its values end too early")
            storage.values = np.frombuffer(data, storage.kind.newbyteorder("<"))
    return content
