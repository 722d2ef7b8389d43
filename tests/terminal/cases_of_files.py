"""The cases of `test_injection.py` for ground and configuration, and what all cases share."""

import errno
import functools
import lzma
import os
import pathlib
import pickle
import platform
import struct
import subprocess
import zipfile
import zlib

import tensorflow as tf
from injected import (
    CREATE,
    LOOK,
    OPEN,
    READ,
    TF_CREATE,
    TF_OPEN,
    TF_READ,
    TF_WRITE,
    WRITE,
    Case,
    simply,
    system,
)
from PIL import Image

from fsaf_tf.config import catalog, experiment, plain_values
from fsaf_tf.data.classes import Classes, recorded_classes
from fsaf_tf.files import parts, storage

# What Pillow's decoders and readers of archives raise of damaged files.
DAMAGED = tuple(
    simply(kind("damaged"))
    for kind in (
        *(ValueError, SyntaxError, EOFError, KeyError, IndexError, OverflowError, TypeError, zlib.error),
        *(lzma.LZMAError, struct.error, zipfile.BadZipFile, pickle.UnpicklingError),
    )
) + (simply(Image.DecompressionBombError("large")), simply(Image.UnidentifiedImageError("cannot identify")))


def text(folder, name: str, content: str = "{}") -> str:
    """Writes a file, and returns its path."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)
    return str(folder / name)


def picture(folder, name: str = "picture.png") -> str:
    """Writes a picture of 8 x 8 px."""
    Image.new("RGB", (8, 8)).save(folder / name)
    return str(folder / name)


# Ground and configuration.


def write_over(folder, write) -> None:
    """Writes over a file that is there."""
    write(text(folder, "result.json", "of before"))


WRITE_BYTES = functools.partial(write_over, write=lambda path: storage.write_bytes(path, b"new"))


def add_results(folder, say=None, is_broken: bool = False) -> None:
    """A file of results, which an error may end."""

    def write(path: str) -> None:
        with storage.results_file(path, say) as add:
            add({"image_id": 1})
            if is_broken:
                raise OSError(5, "Input/output error", "camera")

    write_over(folder, write)


def finish_results(folder) -> None:
    """Results that are all there, after some that were not."""
    text(folder, "result.unfinished.json", "[]")
    add_results(folder, print)


def run_folder(folder) -> str:
    """The folder of a run with its experiment alone."""
    return os.path.dirname(text(folder, "run/params.yaml"))


GFILE = tf.io.gfile.GFile
BROKEN_RESULTS = functools.partial(add_results, is_broken=True)


def sweep(folder) -> None:
    """Takes away a file and a folder of a process that is dead."""
    process = subprocess.Popen(["true"])
    process.wait()
    dead = f"out{parts.PART}{platform.node()}-{process.pid}"
    text(folder, dead)
    (folder / f"{dead}-x").mkdir()
    parts.sweep(f"{folder}/out{parts.PART}", print)


SWEEP = Case(sweep, LOOK, goes_on=True)
TRY_WRITING = Case(lambda folder: storage.try_writing(f"{folder}/new/report.html"), CREATE)
CASES = {
    "files/storage.py:write_bytes:file.write": Case(WRITE_BYTES, TF_WRITE, GFILE, "write"),
    "files/storage.py:whole:tf.io.gfile.GFile": Case(WRITE_BYTES, TF_CREATE),
    "files/storage.py:named_at_end:tf.io.gfile.rename": Case(WRITE_BYTES, TF_CREATE),
    "files/storage.py:_flush_to_disk:open": Case(WRITE_BYTES, OPEN),
    "files/storage.py:_flush_to_disk:os.fsync": Case(WRITE_BYTES, WRITE, names="result.json"),
    "files/storage.py:results_file:file.write": Case(add_results, TF_WRITE, GFILE, "write"),
    "files/storage.py:results_file.add:file.write": Case(add_results, TF_WRITE, GFILE, "write"),
    "files/storage.py:results_file:file.flush": Case(add_results, TF_WRITE, GFILE, "flush"),
    "files/storage.py:results_file:tf.io.gfile.exists": Case(functools.partial(add_results, say=print), TF_OPEN),
    "files/storage.py:_remove:tf.io.gfile.remove": Case(finish_results, TF_OPEN),
    "files/storage.py:results_file.keep:tf.io.gfile.rename": Case(
        functools.partial(BROKEN_RESULTS, say=print), TF_OPEN[:-1], names="camera", leaves=True
    ),
    "files/storage.py:read_bytes:tf.io.gfile.GFile": Case(
        lambda folder: experiment.read_params(run_folder(folder)), TF_OPEN
    ),
    "files/storage.py:read_bytes:file.read": Case(
        lambda folder: experiment.read_params(run_folder(folder)), TF_READ, GFILE, "read"
    ),
    "files/parts.py:_sweep:os.listdir": SWEEP,
    "files/parts.py:_is_removed:os.remove": SWEEP,
    "files/parts.py:_is_removed:shutil.rmtree": SWEEP,
    "files/parts.py:is_alive:os.kill": SWEEP._replace(errors=system(errno.ESRCH, errno.EPERM)),
    "files/storage.py:try_writing:os.makedirs": TRY_WRITING,
    "files/storage.py:try_writing:open": TRY_WRITING,
    "files/storage.py:try_writing:os.remove": TRY_WRITING._replace(leaves=True),
    "files/storage.py:check_folder:tempfile.TemporaryDirectory": Case(
        lambda folder: storage.check_folder(f"{folder}/run"), CREATE, names="/run"
    ),
    "files/storage.py:make_folder:paths.make_folder": Case(lambda folder: storage.make_folder(f"{folder}/out"), CREATE),
    "data/classes.py:Classes.read:tf.io.gfile.exists": Case(
        lambda folder: Classes.read(f"{folder}/labels.json"), TF_OPEN
    ),
    "data/classes.py:recorded_classes:tf.io.gfile.exists": Case(lambda folder: recorded_classes(str(folder)), TF_OPEN),
    "config/plain_values.py:read:paths.read_bytes": Case(
        lambda folder: plain_values.read(text(folder, "a.yaml")),
        (*OPEN, *READ, simply(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no start"))),
    ),
    "config/catalog.py:names:_FOLDER.glob": Case(lambda folder: catalog.names(), LOOK, pathlib.Path, "glob"),
    "config/catalog.py:find:path.is_file": Case(
        lambda folder: catalog.find(f"{folder}/x"), LOOK, pathlib.Path, "is_file"
    ),
    "config/catalog.py:find:path.is_dir": Case(
        lambda folder: catalog.find(f"{folder}/x"), LOOK, pathlib.Path, "is_dir"
    ),
    "config/catalog.py:find:recorded.is_file": Case(
        lambda folder: catalog.find(str(folder)), LOOK, pathlib.Path, "is_file"
    ),
    "config/experiment.py:folder_of:tf.io.gfile.exists": Case(
        lambda folder: experiment.folder_of(str(folder)), TF_OPEN
    ),
}
