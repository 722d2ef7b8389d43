"""The cases of `test_injection.py` for the terminal and the tools, and what is read in an order of its own."""

import io
import os
import pathlib
import sys
import types

import pytest
import tensorflow as tf
from cases_of_checkpoints import saved
from cases_of_files import picture, text
from cases_of_weights import weights
from injected import CREATE, LOOK, MEMORY, OPEN, READ, TF_OPEN, WRITE, Case, nameless, system
from PIL import Image

from fsaf_tf.analysis import picture_pages
from fsaf_tf.cli import draw_shapes, import_weights, outputs
from fsaf_tf.data import pixels
from fsaf_tf.terminal import lasting, native_log
from fsaf_tf.timing import inference
from fsaf_tf.weights import files


class Stream(io.StringIO):
    """What a terminal is in the place of; it has a descriptor, as those have."""

    def __init__(self, folder):
        super().__init__()
        self._file = open(folder / "stream", "w")

    def fileno(self) -> int:
        return self._file.fileno()

    def write(self, letters: str) -> int:
        return super().write(letters)

    def flush(self) -> None:
        super().flush()


class Full(Stream):
    """One that cannot be written to."""

    def write(self, letters: str) -> int:
        raise OSError(28, "No space left on device")


def say(folder) -> None:
    stream = lasting.Lasting(Stream(folder))
    stream.write("a line\n")
    stream.flush()


def say_to_a_full_disk(folder) -> None:
    lasting.Lasting(Full(folder)).write("a line\n")


def silence(folder) -> None:
    with native_log.silenced():
        pass


NO_DESCRIPTOR = system(24, 23, 12)
SAY = Case(say, (*WRITE, *nameless(32)), Stream, goes_on=True)
GIVE_UP = Case(say_to_a_full_disk, NO_DESCRIPTOR, goes_on=True)
SILENCE = Case(silence, NO_DESCRIPTOR[:1], names="too many files are open")
TERMINAL = {
    "terminal/lasting.py:Lasting.write:self._stream.write": SAY._replace(attribute="write"),
    "terminal/lasting.py:Lasting.flush:self._stream.flush": SAY._replace(attribute="flush"),
    "terminal/lasting.py:Lasting._give_up:os.open": GIVE_UP,
    "terminal/lasting.py:Lasting._give_up:os.dup2": GIVE_UP,
    "terminal/lasting.py:Lasting._give_up:os.close": GIVE_UP,
    "terminal/native_log.py:silenced:os.dup": SILENCE,
    "terminal/native_log.py:silenced:os.open": SILENCE,
    "cli/import_weights.py:_import:paths.names": Case(lambda folder: import_into(folder), LOOK),
}


def import_into(folder) -> None:
    """An import into a folder that is there."""
    flags = types.SimpleNamespace
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("SOURCE", "keras"), ("WEIGHTS", ["x.h5"]), ("EXPERIMENT", "fsaf_r50")):
            patch.setattr(import_weights, f"_{name}", flags(value=value))
        patch.setattr(import_weights, "_OUTPUT", flags(value=str(folder)))
        patch.setattr(import_weights.mistakes, "require", lambda *args: None)
        patch.setattr(import_weights.mistakes, "want_files", lambda *args: None)
        import_weights._import()


# Pictures and weights that are read in an order of their own.


class Encoded(io.BytesIO):
    """A picture as bytes."""


def late_exif(folder) -> None:
    """A PNG whose EXIF part may stand behind its pixels."""
    pixels.read(Encoded(pathlib.Path(picture(folder)).read_bytes()), upright=True)


def without_torch(folder) -> None:
    """PyTorch's older files, where it is not installed."""
    path = weights(folder, ".pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch", None)
        files.read(path)


LATE_EXIF = Case(late_exif, READ[:3], Encoded, names="error")
OF_OLD = Case(without_torch, OPEN)
ORDER = {
    "data/pixels.py:_late_exif:stream.read": LATE_EXIF._replace(attribute="read"),
    "data/pixels.py:_late_exif:stream.seek": LATE_EXIF._replace(attribute="seek"),
    "weights/legacy_torch.py:read:open": OF_OLD,
    "weights/legacy_torch.py:read:file.read": OF_OLD._replace(errors=READ, via="open"),
    "weights/legacy_torch.py:is_legacy:open": OF_OLD,
    "weights/legacy_torch.py:is_legacy:file.read": OF_OLD._replace(errors=READ, via="open"),
}


# Timings and drawn pictures.


def freeze(folder) -> None:
    """A graph as a file."""
    program = types.SimpleNamespace(detect=lambda network, image, *sizes: {"num_detections": tf.size(image)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference.frozen, "freeze_to_constants", lambda model: model)
        inference.write_frozen_graph(types.SimpleNamespace(model=None, program=program), f"{folder}/graph.pb")


def measure(folder) -> None:
    """A benchmark of no forms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference, "_export", lambda *args: {})
        inference.run("x", [(8, 8)], [1], 1, None)


def draw(folder) -> None:
    """A picture of shapes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw_shapes.mistakes, "require", lambda *flags: None)
        patch.setattr(draw_shapes, "_OUTPUT", types.SimpleNamespace(value=f"{folder}/out"))
        patch.setattr(draw_shapes, "_COUNT", types.SimpleNamespace(value=1))
        patch.setattr(draw_shapes, "_OVERWRITE", types.SimpleNamespace(value=False))
        draw_shapes._draw()


def look_at_output(folder) -> None:
    """Looks at files that are there and would be replaced."""
    outputs.check(
        [*outputs.in_folder(str(folder), "x"), text(folder, "a.json"), picture(folder, "a.png")],
        reads=(),
        is_ours=outputs.by_ending(json=outputs.has_keys(), png=outputs.has_mark("PNG")),
        overwrite=False,
    )


OUTPUT = Case(look_at_output, OPEN)
OUTPUTS = {
    "cli/outputs.py:in_folder:paths.names": Case(look_at_output, LOOK),
    "cli/outputs.py:_identity:os.stat": Case(look_at_output, LOOK, goes_on=True),
    "cli/outputs.py:_ends:paths.open_to_read": OUTPUT,
    "cli/outputs.py:_ends:paths.size": Case(look_at_output, LOOK),
    "cli/outputs.py:_ends:file.read": Case(look_at_output, READ, via="paths.open_to_read", names="a.png"),
    "cli/outputs.py:_ends:file.seek": Case(look_at_output, READ, via="paths.open_to_read", names="a.png"),
    "cli/outputs.py:_read_dict:paths.read_bytes": OUTPUT,
}
TOOLS = {
    "cli/draw_shapes.py:_draw:folder.mkdir": Case(draw, CREATE, pathlib.Path, "mkdir"),
    "cli/draw_shapes.py:_draw:Image.fromarray.save": Case(draw, (*CREATE, *WRITE), Image.Image, "save"),
    "cli/draw_shapes.py:_draw:os.replace": Case(draw, CREATE, leaves=True),
    "timing/inference.py:write_frozen_graph:pathlib.Path.write_bytes": Case(freeze, CREATE),
    "timing/inference.py:run:tempfile.TemporaryDirectory": Case(measure, CREATE),
    "timing/inference.py:run:np.save": Case(measure, CREATE),
    "timing/inference.py:_bytes:pathlib.Path.glob": Case(
        lambda folder: inference._bytes("checkpoint", saved(folder)), LOOK
    ),
    "timing/inference.py:_measure:subprocess.run": Case(
        lambda folder: inference._measure("tflite", "x", "y", 1, 1), (*system(2, 13), MEMORY)
    ),
    "timing/inference.py:_bytes:os.path.getsize": Case(
        lambda folder: inference._bytes("tflite", text(folder, "x")), LOOK
    ),
    "timing/inference.py:_bytes:file.stat": Case(
        lambda folder: inference._bytes("saved_model", os.path.dirname(text(folder, "m/x"))),
        system(13, 5, 116),
        pathlib.Path,
        "stat",
    ),
    "timing/inference.py:_bytes:file.is_file": Case(
        lambda folder: inference._bytes("saved_model", os.path.dirname(text(folder, "m/x"))),
        LOOK,
        pathlib.Path,
        "is_file",
    ),
    "timing/inference.py:_bytes:pathlib.Path.rglob": Case(
        lambda folder: inference._bytes("saved_model", str(folder)), LOOK
    ),
}


def begin_pages(folder) -> None:
    """Takes away a page of an earlier report."""
    text(folder, "report_pictures/page-1.html")
    picture_pages.begin(picture_pages.plan(f"{folder}/report.html", [1, 2], 2))


PAGES = {
    "analysis/picture_pages.py:begin:paths.names": Case(begin_pages, LOOK),
    "analysis/picture_pages.py:begin:tf.io.gfile.remove": Case(begin_pages, TF_OPEN),
}
CASES = TERMINAL | ORDER | OUTPUTS | TOOLS | PAGES
