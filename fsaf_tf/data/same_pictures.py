"""Pictures that are the same file under several names, and those that training and validation data share."""

import collections
import functools
import hashlib
import os
import pathlib

from fsaf_tf.data.findings import Finding, found

MOST_PICTURES = 10_000  # of a set that is looked through; of more only the paths are compared


class Pictures:
    """The files of a set in a local folder, known by path and by content.

    Args:
        folder: where they are.
        names: relative to it.
    """

    def __init__(self, folder: str, names: list[str]):
        self.names = names
        self._folder, self._digests = folder, {}

    def path(self, name: str) -> str:
        """The file itself, whatever links lead to it."""
        return os.path.realpath(os.path.join(self._folder, name))

    @functools.cached_property
    def by_bytes(self) -> dict[int, list[str]]:
        """Names by the number of bytes; empty of too many pictures."""
        groups = collections.defaultdict(list)
        for name in self.names if len(self.names) <= MOST_PICTURES else ():
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
