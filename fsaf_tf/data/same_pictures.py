"""Pictures that are the same file under several names, and those that training and validation data share."""

import collections
import functools
import hashlib
import os
import pathlib
from collections.abc import Callable, Hashable

from fsaf_tf.data.findings import Finding, found

MOST_PICTURES = 10_000  # of a set that is looked through; of more only the paths are compared
_START = 1 << 13  # bytes of a picture that tell nearly all apart


class Pictures:
    """The files of a set in a local folder, known by path and by content.

    Args:
        folder: where they are.
        names: relative to it.
        most: pictures; of more only the paths are compared. `MOST_PICTURES` if not given.
    """

    def __init__(self, folder: str, names: list[str], most: int | None = None):
        self.names, self._most = names, MOST_PICTURES if most is None else most
        self._folder, self._digests = folder, {}

    def path(self, name: str) -> str:
        """The file itself, whatever links lead to it."""
        return os.path.realpath(os.path.join(self._folder, name))

    @functools.cached_property
    def by_bytes(self) -> dict[int, list[str]]:
        """Names by the number of bytes; empty of too many pictures."""
        groups = collections.defaultdict(list)
        for name in self.names if len(self.names) <= self._most else ():
            try:
                groups[os.stat(self.path(name)).st_size].append(name)
            except OSError:  # gone since it was checked; whoever reads it says so
                continue
        return groups

    def digest(self, name: str) -> str:
        """What tells contents apart; of a file that cannot be read its path."""
        if name not in self._digests:
            path = self.path(name)
            try:
                self._digests[name] = hashlib.blake2b(pathlib.Path(path).read_bytes()).hexdigest()
            except OSError:
                self._digests[name] = path
        return self._digests[name]

    def start(self, name: str) -> bytes:
        """The first bytes of a file; none of one that cannot be read."""
        try:
            with open(self.path(name), "rb") as file:
                return file.read(_START)
        except OSError:
            return b""


def repeated(pictures: Pictures, where: str) -> list[Finding]:
    """Pictures with the content of an earlier one."""
    first_of: dict[str, str] = {}
    pairs = []
    for names in pictures.by_bytes.values():
        for name in names if len(names) > 1 else ():
            first = first_of.setdefault(pictures.digest(name), name)
            pairs += [f"{name} as {first}"] if first != name else []
    words = "pictures have the content of another one"
    return found("duplicate_pictures", len(pairs), len(pictures.names), words, pairs, where)


def keys(folder: str, names: list[str]) -> list[str | None]:
    """What tells the content of each picture of a local folder that has that of another one; None of the others.

    Of pictures of one length the start is looked at first: few need to be read to their end.
    """
    pictures = Pictures(folder, names, most=len(names))
    key_of: dict[str, str] = {}
    for same_length in pictures.by_bytes.values():
        for same_start in _by_key(same_length, pictures.start).values():
            for digest, same in _by_key(same_start, pictures.digest).items():
                key_of |= dict.fromkeys(same, digest) if len(same) > 1 else {}
    return [key_of.get(name) for name in names]


def _by_key(names: list[str], key: Callable[[str], Hashable]) -> dict[Hashable, list[str]]:
    """Names by what a function says of them."""
    groups = collections.defaultdict(list)
    for name in names if len(names) > 1 else ():
        groups[key(name)].append(name)
    return groups


def shared(train: Pictures, validation: Pictures, where: str) -> list[Finding]:
    """Validation pictures that are trained on, too: the same path, or the same content."""
    paths = {train.path(name) for name in train.names}
    same_path = [name for name in validation.names if validation.path(name) in paths]
    known, same_content = set(same_path), []
    for size, names in validation.by_bytes.items():
        others = train.by_bytes.get(size)
        digests = {train.digest(name) for name in others} if others else set()
        same_content += [name for name in names if name not in known and others and validation.digest(name) in digests]
    return shared_names(same_path, same_content, len(validation.names), where)


def shared_names(same_name: list[str], same_content: list[str], of: int, where: str) -> list[Finding]:
    """The finding of validation pictures that are trained on, too."""
    words = "validation pictures are trained on, too"
    if same_content:
        words += f", {len(same_content):,} of them under another name"
    words += "; figures say little about new pictures"
    both = [*same_name, *same_content]
    return found("shared_pictures", len(both), of, words, both, where)
