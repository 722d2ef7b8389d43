"""The picture files that annotations name, looked at before a run: which are there, what their headers say.

Errors, each one line with counts and the first case: a file that is missing, cannot be read, is cut off, or has another
size than declared in whichever frame. Told, with counts: files that lie there under the end of their names, EXIF
orientations and the frame that is taken, more than 8 bits a channel, several pages.
"""

import itertools
import os
import posixpath
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from fsaf_tf.data import frames, pixels
from fsaf_tf.data.bad_pictures import NONE_ALLOWED, BadPictures
from fsaf_tf.data.findings import Finding, found, short
from fsaf_tf.data.mistakes import Findings
from fsaf_tf.errors import UserError
from fsaf_tf.terminal import faults

# So many files have their headers read before the run (some seconds); of more, each when its turn comes.
MAX_HEADERS = 10_000
MOST_DECODED = 50  # of those with more than 8 bits, to see how many bits they use
DIM = 64  # of 255: pictures none of which is brighter have fewer bits than they declare
_TAIL = 65_536  # bytes at the end of a file, where its format's last mark is looked for
_LAST_MARKS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}
_USUAL = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF")


class Folder:
    """A folder of pictures, each of its folders listed once.

    Args:
        path: the folder that names start from.
        rule: `frames.turn`'s.
        outside: names may lead out of it, as `../1.jpg` and `/photos/1.jpg` do.
    """

    def __init__(self, path: str, rule: str, outside: bool = False):
        self.path, self.rule, self._outside = path, rule, outside
        self._listings: dict[str, set[str]] = {}

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        folder, base = os.path.split(name)
        if folder not in self._listings:
            self._listings[folder] = _listing(os.path.join(self.path, folder))
        return base in self._listings[folder]

    def find(self, name: str) -> str:
        """A name without as many of its first folders as it takes for it to be there; itself if none is."""
        parts = name.split("/")
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((end for end in ends if end and self.allows(end) and self.has(end)), name)

    def allows(self, name: str) -> bool:
        """Whether a name may be looked for: a stranger's annotations could show any picture of the machine."""
        plain = posixpath.normpath(name)
        return self._outside or not (plain == ".." or plain.startswith(("../", "/")))

    def size_of(self, name: str) -> tuple[int, int] | None:
        """Height and width of the picture of a name in its frame, None if it is not there or cannot be read."""
        path = self.find(name)
        if not self.allows(path):
            return None
        try:
            header = pixels.read_header(os.path.join(self.path, path))
        except UserError:
            return None
        is_turned = self.rule != frames.STORED and header.orientation > 4
        return (header.width, header.height) if is_turned else (header.height, header.width)


def find(file: str, folder: Folder, names: Sequence[str]) -> tuple[list[str], list[Finding]]:
    """The names under which the pictures of an annotation file are in a folder.

    Args:
        file: the annotation file, for messages.
        folder: the folder.
        names: I of them.

    Returns:
        I names, those of pictures that are not there unchanged; and a finding of those that are not as given.

    Raises:
        UserError: two names would be one file, or one leads out of the folder and may not.
    """
    known = [folder.find(name) for name in names]
    given_of: dict[str, str] = {}
    mistakes = Findings(file, "images", len(names))
    for name, path in zip(names, known):
        if given_of.setdefault(path, name) != name:
            mistakes.add("files of several folders, where the image folder has one", f"{given_of[path]} and {name}")
        if not folder.allows(path) and folder.has(path):
            mistakes.add(f"image outside of {folder.path}, which only `images_outside` of the data allows", short(name))
    mistakes.raise_any()
    cases = [f"{name} is {path}" for name, path in zip(names, known) if path != name]
    words = "pictures lie in the image folder without the first folders of their names; taken from there"
    return known, found("first_folders", len(cases), len(names), words, cases, file)


def check(
    file: str, folder: Folder, names: Sequence[str], sizes: np.ndarray, bad: BadPictures = NONE_ALLOWED
) -> tuple[Finding, ...]:
    """Checks the files of an annotation file.

    Args:
        file: the annotation file, for messages.
        folder: of the pictures.
        names: I of them.
        sizes: `[I, 2]` int32, declared height and width.
        bad: gets those that are wrong, where some may be left out.

    Returns:
        What is to be known of the good ones.

    Raises:
        UserError: see the top of this file, or more are bad than may be.
    """
    image_dir = folder.path
    if not tf.io.gfile.isdir(image_dir):
        raise UserError(f"{image_dir}: there is no such image folder")
    mistakes = Findings(file, "images", len(names))

    def refuse(name: str, kind: str, case: str) -> None:
        if bad.are_allowed:
            bad.add(name, f"is an {kind}: {case}" if case else f"is an {kind}")
        else:
            mistakes.add(kind, f"{short(name)}, {case}" if case else short(name))

    for name in names:
        if not folder.has(name):
            refuse(name, f"image missing in {image_dir}", "")
    mistakes.raise_any()
    if len(names) > MAX_HEADERS or not os.path.isdir(image_dir):
        return ()
    headers = {}
    for name in (name for name in names if name not in bad.problems):
        try:
            headers[name] = _read_header(os.path.join(image_dir, name))
        except UserError as error:
            refuse(name, "image that cannot be read", str(error))
    mistakes.raise_any()
    orientations = np.array([header.orientation for header in headers.values()], np.int32)
    stored = np.array([header[:2] for header in headers.values()], np.int32).reshape(-1, 2)
    declared = np.array([size for name, size in zip(names, sizes) if name in headers], np.int32).reshape(-1, 2)
    turns = np.asarray(frames.turn(orientations, stored, declared, folder.rule))
    for name, seen, size in zip(headers, frames.seen_size(stored, turns).numpy().tolist(), declared.tolist()):
        if seen != size:
            case = f"{seen[1]} x {seen[0]} and not {size[1]} x {size[0]}"
            refuse(name, "image of another size than declared", case)
    mistakes.raise_any()
    return findings(file, image_dir, headers, turns)


def _listing(folder: str) -> set[str]:
    if os.path.isdir(folder):
        return set(os.listdir(folder))  # TensorFlow stops at a name that is not UTF-8
    try:
        return set(tf.io.gfile.listdir(folder))
    except tf.errors.NotFoundError:
        return set()


def _read_header(path: str) -> pixels.Header:
    """The header of a file that does not end too early."""
    header = pixels.read_header(path)
    mark = _LAST_MARKS.get(header.format)
    if mark:
        with faults.named(path), open(path, "rb") as stream:
            stream.seek(-min(_TAIL, os.path.getsize(path)), os.SEEK_END)
            if mark not in stream.read():
                pixels.read(path, upright=False)  # decoding tells
    return header


def findings(file: str, image_dir: str, headers: dict[str, pixels.Header], turns: Sequence[int]) -> tuple[Finding, ...]:
    """What is to be known of good pictures.

    Args:
        file: of their annotations, for messages.
        image_dir: their folder.
        headers: by their names.
        turns: of each the EXIF orientation that is applied to it, `frames.turn`.
    """
    kinds = {
        "orientation": [name for name, header in headers.items() if header.orientation > 1],
        "bit_depth": [name for name, header in headers.items() if header.bits > 8],
        "pages": [name for name, header in headers.items() if header.pages > 1],
        "format": [name for name, header in headers.items() if header.format not in _USUAL],
    }
    turned, upright = len(kinds["orientation"]), np.count_nonzero(np.asarray(turns) > 1)
    words = {
        "orientation": f"pictures have an EXIF orientation; boxes are taken to be of the upright picture in {upright},"
        f" of the stored one in {turned - upright}",
        "bit_depth": f"pictures have more than 8 bits a channel; {_upper_bits(image_dir, kinds['bit_depth'])}",
        "pages": "pictures have several pages or frames; the first is taken",
        "format": "pictures are no JPEG, PNG, WebP, BMP or GIF; they are read, but not by an exported model",
    }
    rows = [found(kind, len(names), len(headers), words[kind], names, file) for kind, names in kinds.items()]
    return tuple(itertools.chain(*rows))


def _upper_bits(image_dir: str, deep: list[str]) -> str:
    """Words about pictures of more than 8 bits, and whether they use them."""
    paths = [os.path.join(image_dir, name) for name in deep[:MOST_DECODED]]
    brightest = max((pixels.read(path, upright=False).max() for path in paths), default=255)
    dark = f", in which the first {len(paths)} have at most {brightest} of 255: save them with 8 bits"
    return f"the upper 8 are taken{dark if brightest < DIM else ''}"
