"""Which files a name, a folder or a glob means by pictures, and what of it is left out."""

import collections
import os
from collections.abc import Callable, Iterable

from PIL import Image

from fsaf_tf.data.pixels import SUFFIXES
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths
from fsaf_tf.terminal import faults

# What else Pillow takes for a picture may be a document, a film or a table.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")


def find(
    pattern: str, *, recursive: bool = False, output: str | None = None, say: Callable[[str], None] = print
) -> list[str]:
    """The pictures that a file name, a folder or a glob names, sorted, and a line on what else is there.

    A file that is named itself is taken whatever it is. Of a folder and of a glob those are taken that are called
    pictures or are some, hidden ones not.

    Args:
        pattern: what was given.
        recursive: folders in the folder, or that the glob names, are gone through, too.
        output: a folder that is not gone through: what an earlier run has drawn is no input.
        say: prints a line.

    Raises:
        UserError: there is no picture.
    """
    if paths.is_file(pattern):
        return [pattern]
    is_folder = paths.is_folder(pattern)
    inside = _inside(pattern) if is_folder else paths.glob(pattern, recursive=True)
    if not inside and not is_folder:
        raise UserError(f"--images={pattern}: there is no such file or folder")
    pictures, left_out = [], collections.Counter()
    _sort(inside, pictures, left_out, recursive=recursive, output=paths.real(output) if output else None)
    others = _counted(left_out)
    if not pictures:
        raise UserError(f"--images={pattern}: there is no picture in it{f'; there are: {others}' if others else ''}")
    if others:
        say(f"{pattern}: {len(pictures)} pictures; left out: {others}")
    return sorted(pictures)


def listed(path: str) -> list[str]:
    """The pictures that a text file names, one a line, as one would name them on the command line; in its order.

    Raises:
        UserError: it names none, or one twice.
        OSError: it cannot be read.
    """
    with faults.named(path):
        text = paths.read_bytes(path).decode("utf-8", "surrogateescape")
    names = [name for line in text.split("\n") if (name := line.rstrip("\r")).strip()]
    if not names:
        raise UserError(f"{path} names no picture; it has one a line")
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{path} names {twice[0]} twice ({len(twice)} of {len(names)} lines); leave one")
    return names


def _inside(folder: str) -> list[str]:
    try:
        return [paths.join(folder, name) for name in paths.names(folder)]
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from error


def _sort(found: Iterable[str], pictures: list[str], left_out: collections.Counter, *, recursive, output) -> None:
    """Adds each path to the pictures, or to the counts of what is left out by what it is."""
    for path in found:
        name = os.path.basename(path.rstrip("/"))
        if paths.is_folder(path):
            if name.startswith("."):
                left_out["hidden"] += 1
            elif not recursive:
                left_out["folder"] += 1
            elif paths.real(path) == output:
                left_out["folder that is written to"] += 1
            elif os.path.islink(path):  # it may lead round in circles
                left_out["linked folder"] += 1
            else:
                _sort(_inside(path), pictures, left_out, recursive=recursive, output=output)
        elif name.startswith("."):
            left_out["hidden"] += 1
        # What is called a picture and cannot be read is named later. Others are looked into.
        elif name.lower().endswith(SUFFIXES) or _is_picture(path):
            pictures.append(path)
        else:
            left_out[os.path.splitext(name)[1].lower() or "without ending"] += 1


def _is_picture(path: str) -> bool:
    """Whether a file is a picture, by its first bytes."""
    try:
        Image.init()
        formats = [name for name in FORMATS if name in Image.OPEN]
        with paths.open_to_read(path) as file, Image.open(file, formats=formats):
            return True
    except MemoryError:
        raise
    except Exception:  # what begins like a picture and is none makes Pillow raise almost anything
        return False


def _counted(left_out: collections.Counter) -> str:
    """`3 .txt, 1 .mp4, 2 hidden; 2 folders: --recursive takes them`."""
    folders = left_out.pop("folder", 0)
    kinds = [f"{count} {kind}" for kind, count in sorted(left_out.items(), key=lambda item: (-item[1], item[0]))]
    shown = kinds[:8] + [f"{len(kinds) - 8} kinds more"] * (len(kinds) > 8)
    parts = [", ".join(shown)] * bool(kinds)
    if folders:
        parts.append(f"{folders} folder{'s' * (folders > 1)}: --recursive takes {'them' if folders > 1 else 'it'}")
    return "; ".join(parts)
