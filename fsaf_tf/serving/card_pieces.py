"""The pieces that a model card is made of: digests, and texts that are Markdown and nothing else."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fsaf_tf.files import paths
from fsaf_tf.terminal import faults

_AT_ONCE = 2**20  # bytes
_MARKUP = re.compile(r"[\\`*\[\]<>|]|(?<!\w)_|_(?!\w)")


def files_of(prefix: str) -> list[str]:
    """The files of a checkpoint."""
    folder, name = os.path.split(prefix)
    names = [one for one in sorted(paths.names(folder or ".")) if one.startswith((f"{name}.data-", f"{name}.index"))]
    return [paths.join(folder or ".", one) for one in names]


def sha256(path: str) -> str:
    """Of a file, as `sha256sum` has it."""
    content = hashlib.sha256()
    with faults.named(path), paths.open_to_read(path) as file:
        while piece := file.read(_AT_ONCE):
            content.update(piece)
    return content.hexdigest()


def versions(packages: Mapping[str, str]) -> str:
    """Packages with their versions."""
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def figure(value: Any) -> str:
    """Three digits; a figure without boxes has no value."""
    return f"{value:.3f}" if isinstance(value, (int, float)) and value == value else "no objects"


def known(record: Any, key: str) -> dict:
    """What a record has under a key if that is a dict, else an empty one: files of a run may be anybody's."""
    value = record.get(key) if isinstance(record, Mapping) else None
    return value if isinstance(value, dict) else {}


def table(titles: Iterable[str], rows: Iterable[Iterable]) -> str:
    """A table of Markdown."""
    lines = [list(titles), *([text(cell) for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def text(value: Any) -> str:
    """On one line, and no Markdown or HTML whatever it holds: names of classes and paths are anybody's."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(str(value).split()))
