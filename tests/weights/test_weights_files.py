"""Every kind of file, and every way that one is broken: one line, and nothing in it is run."""

import os
import pickle
import sys

import h5py
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import torch_reference as reference

from fsaf_tf.errors import UserError
from fsaf_tf.weights import files

torch = reference.torch
VALUES = {"conv1.weight": np.arange(6, dtype=np.float32).reshape(1, 2, 1, 3), "bn1.bias": np.float32([1.5])}


class RunsWhenLoaded:
    """Leaves a file behind if its pickle is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def as_torch(values) -> dict:
    return {name: torch.from_numpy(value) for name, value in values.items()}


def write(path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def failure(path: str) -> str:
    with pytest.raises(UserError) as error:
        files.read(path)
    assert "\n" not in str(error.value) and str(error.value).startswith(path)
    return str(error.value)


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.PTH", "a.safetensors", "a.npz"])
def test_all_kinds_hold_the_same(tmp_path, name):
    path = str(tmp_path / name)
    save = {
        ".pth": lambda: torch.save(as_torch(VALUES), path),
        ".pt": lambda: torch.save({"state_dict": as_torch(VALUES)}, path, _use_new_zipfile_serialization=False),
        ".safetensors": lambda: safetensors.numpy.save_file(VALUES, path),
        ".npz": lambda: np.savez(path, **VALUES),
    }
    save[name[1:].lower()]()
    found = files.read(path)
    assert (found.path, found.meta, set(found.values)) == (path, {}, set(VALUES))
    for key, value in VALUES.items():
        np.testing.assert_array_equal(found.values[key], value)
        assert found.values[key].dtype == np.float32


def test_the_layers_of_a_keras_file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("model_weights/relu")
        file["model_weights/conv1_conv/conv1_conv_1/kernel:0"] = VALUES["conv1.weight"]
        file["model_weights/conv1_conv"].attrs["weight_names"] = ["conv1_conv_1/kernel:0"]
    found = files.read(str(tmp_path / "a.h5"))
    assert list(found.values) == ["conv1_conv/kernel"]


def test_meta_and_the_prefix_of_data_parallel(tmp_path):
    path, content = str(tmp_path / "a.pth"), {f"module.{name}": value for name, value in as_torch(VALUES).items()}
    torch.save({"meta": {"CLASSES": ("cat", "dog")}, "state_dict": content, "optimizer": {"lr": 0.1}}, path)
    found = files.read(path)
    assert (found.meta, set(found.values)) == ({"CLASSES": ("cat", "dog")}, set(VALUES))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_precisions_become_float32(tmp_path, suffix, kind):
    path, values = str(tmp_path / f"a{suffix}"), np.float32([0.5, -3])
    if suffix == ".pth":
        torch.save({"a": torch.from_numpy(values).to(getattr(torch, kind))}, path)
    else:
        safetensors.numpy.save_file({"a": values.astype(getattr(ml_dtypes, kind, kind))}, path)
    found = files.read(path).values["a"]
    assert found.dtype == np.float32 and list(found) == [0.5, -3]


def test_the_log_in_a_checkpoint_of_mmengine_is_passed_over(tmp_path, monkeypatch):
    """As its runner writes it: buffers of NumPy arrays, with methods of their class by `getattr`."""

    class HistoryBuffer:
        def __init__(self):
            self.history, self.methods = np.arange(3.0), {"mean": HistoryBuffer.mean, "last": np.float64(2)}

        @classmethod
        def mean(cls):
            pass

    module = type(sys)("mmengine.logging.history_buffer")
    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = module.__name__, "HistoryBuffer"
    module.HistoryBuffer = HistoryBuffer
    for name in ("mmengine", "mmengine.logging", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    path = str(tmp_path / "epoch_12.pth")
    torch.save({"message_hub": {"loss": HistoryBuffer()}, "state_dict": as_torch(VALUES)}, path)
    monkeypatch.undo()  # not installed where it is read
    assert set(files.read(path).values) == set(VALUES)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_not_run(tmp_path, zipped):
    path, trace = str(tmp_path / "a.pth"), tmp_path / "trace"
    content = {"state_dict": as_torch(VALUES), "meta": RunsWhenLoaded(str(trace))}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert "it holds more than tensors (posix.mkdir) and loading that could run code" in failure(path)
    assert not trace.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_other_files_is_not_run(tmp_path):
    trace = tmp_path / "trace"
    plain = write(tmp_path / "a.pth", pickle.dumps({"a": RunsWhenLoaded(str(trace))}))
    np.savez(tmp_path / "a.npz", a=np.array([RunsWhenLoaded(str(trace))], dtype=object))
    for path in (plain, str(tmp_path / "a.npz")):
        assert "it holds more than tensors" in failure(path)
    torch.save(torch.nn.Conv2d(1, 1, 1), tmp_path / "module.pth")
    assert "(torch.nn.modules.conv.Conv2d)" in failure(str(tmp_path / "module.pth"))
    assert not trace.exists()


HALF, EMPTY, PAGE = (lambda whole: whole[: len(whole) // 2]), (lambda whole: b""), (lambda whole: b"<html>Not found")


@pytest.mark.parametrize("suffix", [".pth", ".legacy.pth", ".safetensors", ".npz", ".h5"])
@pytest.mark.parametrize("damage", [HALF, EMPTY, PAGE], ids=["half", "empty", "page"])
def test_damaged_files(tmp_path, suffix, damage):
    path, values = tmp_path / f"a{suffix}", {"a": np.ones(9999, np.float32)}
    if suffix.endswith("pth"):
        torch.save(as_torch(values), path, _use_new_zipfile_serialization=suffix == ".pth")
    elif suffix == ".safetensors":
        safetensors.numpy.save_file(values, path)
    elif suffix == ".npz":
        np.savez(path, **values)
    else:
        with h5py.File(path, "w") as file:
            file["a"] = values["a"]
    write(path, damage(path.read_bytes()))
    assert "cannot be read: it is cut short, damaged or of another kind (" in failure(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.ones(3), "holds no tensors by name"),
        ({}, "holds no tensors by name"),
        ({"a": torch.ones(3), "epoch": 3}, "epoch is not a tensor; a state dict is wanted"),
    ],
)
def test_other_content(tmp_path, content, message):
    torch.save(content, tmp_path / "a.pth")
    assert message in failure(str(tmp_path / "a.pth"))


def test_names_that_are_no_file(tmp_path):
    assert "there is no such file" in failure(str(tmp_path / "a.pth"))
    (tmp_path / "folder.npz").mkdir()
    assert "there is no such file" in failure(str(tmp_path / "folder.npz"))
    assert "weights are read from files ending in .pth, .pt, .safetensors, .npz, .h5" in failure(
        str(tmp_path / "a.tar")
    )


def test_without_torch_the_other_kinds_work(tmp_path, monkeypatch):
    torch.save(as_torch(VALUES), tmp_path / "a.pth")
    np.savez(tmp_path / "a.npz", **VALUES)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert set(files.read(str(tmp_path / "a.npz")).values) == set(VALUES)
    assert 'PyTorch is needed to read it; pip install -c constraints.txt -e ".[convert]"' in failure(
        str(tmp_path / "a.pth")
    )
