"""Every kind of file, and every way that one is broken: one line, and nothing in it is run."""

import os
import pickle
import sys
import tracemalloc
import zipfile

import h5py
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import tf_keras
import torch_reference as reference

from fsaf_tf.errors import UserError
from fsaf_tf.weights import files, table

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


def claim(path, suffix: str, shape=(2**16, 2**16)) -> str:
    """A small file of a tensor `conv1.weight` of 16 GB: of zeros that are compressed, or one value for all."""
    path = f"{path}/huge{suffix}"
    if suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("conv1/weight", shape, np.float32, chunks=(1024, 1024), compression="gzip")
            file["conv1"].attrs["weight_names"] = ["weight"]
    elif suffix == ".npz":
        header = np.lib.format.header_data_from_array_1_0(np.zeros(1, np.float32)) | {"shape": shape}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("conv1.weight.npy", "w") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.write(bytes(2**20))
    else:
        values = {"conv1.weight": torch.zeros(1).expand(shape)}
        torch.save(values, path, _use_new_zipfile_serialization=suffix == ".pth")
    return path


@pytest.mark.parametrize("suffix", [".pth", ".legacy.pth", ".own.pth", ".npz", ".h5"])
def test_a_tensor_is_not_read_before_its_shape_is_known_to_fit(tmp_path, suffix, monkeypatch):
    if suffix == ".own.pth":
        path = claim(tmp_path, ".legacy.pth")
        monkeypatch.setitem(sys.modules, "torch", None)  # then it is our own reader's
    else:
        path = claim(tmp_path, suffix)
    assert os.path.getsize(path) < 10**5
    layer = tf_keras.layers.Conv2D(3, 1, use_bias=False)
    layer.build([None, None, None, 2])
    tracemalloc.start()
    try:
        tensors = files.read(path)
        (name,) = tensors.shapes
        assert tensors.shapes == {name: (2**16, 2**16)}
        with pytest.raises(UserError, match=r"1 of another shape: .* \[65536, 65536\] in the place of \[3, 2, 1, 1\]"):
            table.fill([table.Entry(layer, {name: (3, 2, 1, 1)}, lambda kernel: [kernel])], tensors, "a network")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_values_that_are_no_numbers_are_refused(tmp_path, suffix):
    """One text may be as large as it likes, whatever the shape."""
    path, text = tmp_path / f"a{suffix}", np.array(["x" * 1000])
    if suffix == ".npz":
        np.savez(path, a=text)
    else:
        with h5py.File(path, "w") as file:
            file["conv1/weight"] = text.astype("S")
            file["conv1"].attrs["weight_names"] = ["weight"]
    assert "are no numbers" in failure(str(path))


def test_a_compressed_file_of_pytorch_is_refused(tmp_path):
    torch.save(as_torch(VALUES), tmp_path / "a.pth")
    with (
        zipfile.ZipFile(tmp_path / "a.pth") as whole,
        zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for part in whole.infolist():
            packed.writestr(part.filename, whole.read(part))
    assert "is compressed, which PyTorch does not do" in failure(str(tmp_path / "b.pth"))


def test_a_file_that_claims_more_than_it_holds_is_not_given_to_keras(tmp_path):
    path = claim(tmp_path, ".h5")
    with pytest.raises(UserError, match="bytes, but claims tensors of 17,179,869,184: it is not what Keras writes"):
        files.check_claims(path)
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["a/kernel"] = np.ones([30, 30], np.float32)
    files.check_claims(str(tmp_path / "plain.h5"))


def test_a_damaged_tensor_is_told_when_it_is_asked_for(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, large=np.ones(10**5, np.float32), small=np.ones(1, np.float32))
    content = path.read_bytes()
    tensors = files.read(write(path, content[:300_000] + b"\xff" + content[300_001:]))
    with pytest.raises(UserError, match="a.npz cannot be read: it is cut short, damaged or of another kind"):
        tensors.values["large"]
    assert list(tensors.values["small"]) == [1]


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


def test_a_reason_of_any_length_is_a_short_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + (5000).to_bytes(2, "little") + b"'%s'" % (b"x" * 4998))
    line = failure(str(tmp_path / "a.npz"))
    assert "cut short, damaged or of another kind (Header is not a dictionary: 'xxx" in line and len(line) < 600


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
