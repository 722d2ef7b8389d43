"""Arrays in one file. The same arrays are the same bytes, while NumPy's own `savez` writes the time into it."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np

from fsaf_tf.errors import UserError
from fsaf_tf.files import storage


def write(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a `.npz` in one piece; `np.load` reads it, too."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, values in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(values), allow_pickle=False)
    storage.write_bytes(path, content.getvalue())


def read(path: str) -> dict[str, np.ndarray]:
    """The arrays of a file.

    Raises:
        UserError: it is damaged.
        tf.errors.OpError: it cannot be read.
    """
    try:
        with np.load(io.BytesIO(storage.read_bytes(path)), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged: {error}") from None


def of_texts(texts: Sequence[str]) -> np.ndarray:
    """Texts as an array of bytes, `[...]` uint8."""
    return np.frombuffer(json.dumps(list(texts)).encode(), np.uint8)


def to_texts(values: np.ndarray) -> list[str]:
    """What `of_texts` was given."""
    return json.loads(values.tobytes())
