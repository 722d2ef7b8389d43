"""The cases of `test_injection.py` for published weights and fonts."""

import pathlib

import h5py
import numpy as np
import pytest
import safetensors.numpy
from cases_of_files import DAMAGED
from injected import (
    CREATE,
    LOOK,
    OPEN,
    READ,
    Case,
    simply,
)
from matplotlib import font_manager, ft2font
from PIL import ImageFont

from fsaf_tf.config import backbone_keys
from fsaf_tf.modeling import keras_applications
from fsaf_tf.visualize import fonts
from fsaf_tf.weights import files, keras, lite

torch = pytest.importorskip("torch")  # of which `weights/files.py` makes one call


def weights(folder, end: str) -> str:
    """Writes a file of one tensor."""
    path, values = f"{folder}/weights{end}", {"conv1/kernel": np.zeros(2, np.float32)}
    if end == ".h5":
        with h5py.File(path, "w") as file:
            layer = file.create_group("conv1")
            layer["kernel:0"] = values["conv1/kernel"]
            layer.attrs["weight_names"] = ["kernel:0"]
    elif end == ".npz":
        np.savez(path, **values)
    elif end == ".safetensors":
        safetensors.numpy.save_file(values, path)
    elif end == ".zip.pth":
        torch.save({"a": torch.zeros(2)}, path)
    else:
        pathlib.Path(path).write_bytes(b"\x80\x02}.")
    return path


def read(end: str):
    """The reading of such a file, and of the tensor in it."""
    return lambda folder: dict(files.read(weights(folder, end)).values)


def families(folder) -> None:
    """Names of fonts where the machine has more than one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fonts, "_path", lambda letters: "other.ttf")
        patch.setattr(fonts, "_letters", lambda path: range(10**6))
        fonts.families.__wrapped__()


CUT_OFF = (
    *DAMAGED[:12],
    simply(OSError("Unable to synchronously open file (truncated file: eof = 96)")),
    simply(RuntimeError("PytorchStreamReader failed reading zip archive")),
)
LITE = backbone_keys.EfficientNetLite(weights="imagenet")
OF_KERAS = backbone_keys.KerasApplications(model_id="mobilenet_v2", weights="imagenet")
LETTERS = Case(lambda folder: fonts.load("ü", 12), OPEN)
CASES = {
    "weights/files.py:read:pathlib.Path.is_file": Case(read(".npz"), LOOK),
    "weights/files.py:check_claims:h5py.File": Case(
        lambda folder: files.check_claims(weights(folder, ".h5")), (*OPEN, *CUT_OFF), h5py, "File", goes_on=True
    ),
    "weights/files.py:check_claims:pathlib.Path.stat": Case(
        lambda folder: files.check_claims(weights(folder, ".h5")), LOOK
    ),
    "weights/formats.py:_read_npz:zipfile.ZipFile": Case(read(".npz"), (*OPEN, *READ, *CUT_OFF)),
    "weights/formats.py:_read_npz.array:np.load": Case(read(".npz"), (*OPEN, *READ, *CUT_OFF)),
    "weights/formats.py:_read_h5:h5py.File": Case(read(".h5"), (*OPEN, *READ, *CUT_OFF), h5py, "File"),
    "weights/formats.py:_read_h5.array:h5py.File": Case(read(".h5"), (*OPEN, *READ, *CUT_OFF)),
    "weights/formats.py:_read_safetensors:safetensors.safe_open": Case(read(".safetensors"), (*OPEN, *READ, *CUT_OFF)),
    "weights/formats.py:_check_not_compressed:zipfile.ZipFile": Case(read(".zip.pth"), (*OPEN, *READ, *CUT_OFF)),
    "weights/formats.py:_read_torch:open": Case(read(".pth"), OPEN),
    "weights/formats.py:_read_torch:file.read": Case(read(".pth"), READ, via="open"),
    "weights/formats.py:_read_torch:torch.load": Case(read(".pth"), (*OPEN, *READ, *CUT_OFF)),
    "weights/lite.py:_packaged:importlib.metadata.files": Case(lambda folder: lite._packaged(LITE.model_id), OPEN),
    "weights/keras.py:_download:APPLICATIONS(weights=)": Case(
        lambda folder: keras._download(50),
        (*CREATE, *CUT_OFF, simply(Exception("URL fetch failure"))),
        keras.APPLICATIONS,
        50,
        names="ResNet-50",
    ),
    "modeling/keras_applications.py:_downloaded:_application(weights=)": Case(
        lambda folder: keras_applications._downloaded(OF_KERAS),
        (*CREATE, *CUT_OFF, simply(Exception("URL fetch failure"))),
        keras_applications,
        "_application",
        names="mobilenet_v2",
    ),
    "modeling/keras_applications.py:_of_file:_application(weights=)": Case(
        lambda folder: keras_applications._of_file(OF_KERAS.replace(weights=weights(folder, ".h5"))),
        (*OPEN, *CUT_OFF),
        keras_applications,
        "_application",
        names="weights.h5",
    ),
    "visualize/fonts.py:load:ImageFont.truetype": LETTERS,
    "visualize/fonts.py:load:ImageFont.load_default": Case(lambda folder: fonts.load("u", 12), OPEN),
    "visualize/fonts.py:_paths:font_manager.findfont": Case(
        lambda folder: fonts._paths.__wrapped__(), OPEN, font_manager, "findfont"
    ),
    "visualize/fonts.py:families:ft2font.FT2Font": Case(families, OPEN, ft2font, "FT2Font"),
    "visualize/fonts.py:_letters:ImageFont.truetype": Case(
        lambda folder: fonts._letters.__wrapped__("font.ttf"),
        (*OPEN[:-1], *READ[:-1]),
        ImageFont,
        "truetype",
        goes_on=True,
    ),
    "visualize/fonts.py:_letters:ft2font.FT2Font": Case(
        lambda folder: fonts._letters.__wrapped__(fonts._paths()[0]),
        (*OPEN[:-1], simply(RuntimeError("Could not set the fontsize"))),
        ft2font,
        "FT2Font",
        goes_on=True,
    ),
}
