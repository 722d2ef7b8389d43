"""The pictures beside a file of annotations: which there are, and which of them an entry is of."""

import functools
import posixpath
from collections.abc import Callable

from fsaf_tf.data.findings import Finding, found
from fsaf_tf.data.mistakes import Mistake
from fsaf_tf.data.pixels import SUFFIXES
from fsaf_tf.data.readers import files
from fsaf_tf.files import paths

ENDINGS = (*SUFFIXES, ".j2k", ".jp2", ".pgm", ".pnm", ".ppm", ".tga")
SizeOf = Callable[[str], tuple[int, int] | None]


def unknown_size(name: str) -> None:
    """The size of a picture without its folder."""
    del name


class Pictures:
    """A folder of pictures.

    Args:
        folder: where they are; empty where that is not known.
        size_of: height and width of the picture of a name, None where it is not known.
    """

    def __init__(self, folder: str, size_of: SizeOf = unknown_size):
        self.folder, self.size_of = folder, size_of

    @functools.cached_property
    def names(self) -> list[str]:
        """Paths from the folder, sorted."""
        return files.names_in(self.folder, ENDINGS) if self.folder else []

    @functools.cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        for name in self.names:
            names.setdefault(posixpath.splitext(name)[0], []).append(name)
        return names

    @functools.cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)

    def has(self, name: str) -> bool:
        """Whether there is a picture of this name."""
        return name in self._known

    def of_stem(self, stem: str, where: str) -> str | None:
        """The picture whose path without its ending is `stem`, or the end of it; None if there is none.

        Raises:
            Mistake: there are several.
        """
        parts = stem.split("/")
        for start in range(len(parts)):
            names = self._by_stem.get("/".join(parts[start:]), [])
            if len(names) > 1:
                raise Mistake("several pictures differ in their ending alone", f"{where}: {' and '.join(names)}")
            if names:
                return names[0]
        return None

    def needed_size(self, name: str, where: str) -> tuple[int, int]:
        """Height and width of a picture.

        Raises:
            Mistake: it is not there, or cannot be read.
        """
        size = self.size_of(name)
        if size is None:
            place = f" in {self.folder}" if self.folder else "; no image_dir says where it is"
            raise Mistake(f"no picture that tells its size{place}", f"{where}: {name}")
        return size

    def unused(self, used: set[str], where: str) -> list[Finding]:
        """The finding of pictures that no annotations are of."""
        bases = {posixpath.basename(name) for name in used}
        names = [name for name in self.names if name not in used and posixpath.basename(name) not in bases]
        words = "pictures of the image folder are in no annotation; they are not used"
        return found("unused_pictures", len(names), len(self.names), words, names, where)


def first_folder(*folders: str) -> str:
    """The first of some folders that is there and has a picture in it; empty if none has."""
    return next((folder for folder in folders if paths.is_folder(folder) and files.names_in(folder, ENDINGS)), "")
