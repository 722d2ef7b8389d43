"""The manifest of TFRecord shards, and the table of their boxes: what `tools/prepare_data.py` writes beside them.

`manifest.json` says what is in the shards and what they are: their sizes and digests. `boxes.npz` has all boxes as
arrays, in the order of the records. With both, data are known before a record is read.
"""

import dataclasses
import fnmatch
import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from fsaf_tf.data import arrays, coco_json, digest
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.findings import Finding
from fsaf_tf.errors import UserError
from fsaf_tf.files import storage

FILE, TABLE, SHARDS = "manifest.json", "boxes.npz", "data-*.tfrecord"
TOOL = "fsaf-prepare-data"  # what writes them
VERSION = 1
MOST_HASHED = 2**30  # bytes of shards whose digests are compared whenever they are opened; of more, their sizes


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file of records: its name, how many there are in it, its size in bytes and its digest."""

    file: str
    pictures: int
    bytes: int
    digest: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What is in the shards of a folder.

    Attributes:
        folder: where they and this are.
        classes: K of them.
        shards: in the order of their names.
        table_digest: of `boxes.npz`.
        findings: what was taken, joined and left out of the annotations and of their pictures.
        content: the file itself.
    """

    folder: str
    classes: Classes
    shards: tuple[Shard, ...]
    table_digest: str
    findings: tuple[Finding, ...]
    content: dict[str, Any] = dataclasses.field(repr=False)

    @property
    def path(self) -> str:
        """Of the file."""
        return f"{self.folder}/{FILE}"

    def named(self, pattern: str) -> tuple[Shard, ...]:
        """The shards whose names a glob means, whether they are there or not."""
        return tuple(shard for shard in self.shards if fnmatch.fnmatchcase(shard.file, os.path.basename(pattern)))

    def check_shards(self, shards: Sequence[Shard], *, all_digests: bool = False) -> None:
        """Checks shards against their files.

        Args:
            shards: some of them.
            all_digests: compare digests, too, however large they are; else up to `MOST_HASHED` together.

        Raises:
            UserError: one is missing, or is another file.
        """
        is_hashed = all_digests or sum(shard.bytes for shard in shards) <= MOST_HASHED
        for number, shard in enumerate(shards):
            path, where = f"{self.folder}/{shard.file}", f"shard {number + 1} of {len(shards)} of {self.path}"
            try:
                size = tf.io.gfile.stat(path).length
            except tf.errors.NotFoundError:
                raise UserError(f"{path} is missing, {where}; {_ANEW}") from None
            if size != shard.bytes:
                raise UserError(f"{path} has {size:,} bytes and not {shard.bytes:,}, {where}; {_ANEW}")
            if is_hashed and digest.of_file(path) != shard.digest:
                raise UserError(f"{path} has another content (digest) than {where}, says; {_ANEW}")

    def table(self, shards: Sequence[Shard]) -> coco_json.Annotations:
        """All boxes of some of the shards, in the order of their records.

        Raises:
            UserError: `boxes.npz` is missing, or is another file.
        """
        path = f"{self.folder}/{TABLE}"
        if not tf.io.gfile.exists(path):
            raise UserError(f"{path} is missing, which goes with {self.path}; {_ANEW}")
        if digest.of_file(path) != self.table_digest:
            raise UserError(f"{path} has another content (digest) than {self.path} says; {_ANEW}")
        table = read_table(path, self.path, self.classes, self.findings)
        if len(shards) == len(self.shards):
            return table
        is_in = [np.full(shard.pictures, shard in shards) for shard in self.shards]
        return table.of_images(np.concatenate(is_in))


_ANEW = "copy the folder anew, or prepare the data in another one"
_COLUMNS = ("image_ids", "sizes", "splits", *coco_json.COLUMNS)


def write_table(path: str, table: coco_json.Annotations) -> None:
    """Writes `boxes.npz`, or a part of it."""
    columns = {name: getattr(table, name) for name in _COLUMNS}
    arrays.write(path, {"file_names": arrays.of_texts(table.file_names), **columns})


def read_table(path: str, name: str, classes: Classes, findings: Iterable[Finding] = ()) -> coco_json.Annotations:
    """What `write_table` wrote.

    Args:
        path: of the file.
        name: of the data, for messages.
        classes: K of them.
        findings: of these data.

    Raises:
        UserError: it is damaged.
    """
    columns = arrays.read(path)
    try:
        names = arrays.to_texts(columns.pop("file_names"))
        return coco_json.Annotations(file=name, file_names=names, classes=classes, findings=tuple(findings), **columns)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}") from None


def digest_of(table: coco_json.Annotations) -> str:
    """What annotations are, by their content: pictures, boxes and classes in their order."""
    content = hashlib.blake2b(digest_size=digest.SIZE)
    classes = [f"{number} {name}" for number, name in zip(table.classes.ids, table.classes.names)]
    for column in (arrays.of_texts(classes), arrays.of_texts(table.file_names), *(getattr(table, c) for c in _COLUMNS)):
        content.update(np.ascontiguousarray(column).tobytes())
    return content.hexdigest()


def read(folder: str) -> Manifest | None:
    """The manifest of a folder, None if there is none of ours.

    Raises:
        UserError: it is damaged, or of a later version.
    """
    path = os.path.join(folder, FILE)
    if not tf.io.gfile.exists(path):
        return None
    content = storage.read_dict(path)
    if content and content.get("tool") != TOOL:
        return None
    if content.get("version") not in (None, VERSION):
        raise UserError(f"{path} is of version {content['version']}; this program reads {VERSION}")
    try:
        classes = Classes.by_id((row["id"], row["name"]) for row in content["classes"])
        shards = tuple(Shard(**row) for row in content["shards"])
        findings = tuple(Finding(**{**row, "examples": tuple(row["examples"])}) for row in content["findings"])
        return Manifest(folder, classes, shards, content["table"]["digest"], findings, content)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged, or no manifest of shards ({error!r}); {_ANEW}") from None


def glob(input_path: str) -> str:
    """The glob that an `input_path` means: itself; of a folder or a manifest the shards there.

    Raises:
        UserError: a folder without a manifest.
    """
    is_manifest = os.path.basename(input_path) == FILE
    folder = os.path.dirname(input_path) if is_manifest else input_path
    if not is_manifest and not tf.io.gfile.isdir(input_path):
        return input_path
    if read(folder) is None:
        raise UserError(f"input_path {input_path}: there is no {FILE}; give a glob of TFRecord files")
    return os.path.join(folder, SHARDS)


def of_files(pattern: str, files: Sequence[str]) -> tuple[Manifest, tuple[Shard, ...]] | None:
    """The manifest beside TFRecord files, checked against them, and those of its shards that are meant.

    Args:
        pattern: the glob.
        files: what it found.

    Returns:
        None where there is no manifest.

    Raises:
        UserError: it does not fit the files, or they are of several.
    """
    folders = sorted({os.path.dirname(file) for file in files} or {os.path.dirname(pattern)})
    manifests = [manifest for manifest in map(read, folders) if manifest]
    if not manifests:
        return None
    if len(folders) > 1:
        raise UserError(
            f"input_path {pattern}: files of {len(folders)} folders, {manifests[0].path} is of one; give one"
        )
    manifest = manifests[0]
    shards = manifest.named(pattern)
    others = {os.path.basename(file) for file in files} - {shard.file for shard in shards}
    if others:
        raise UserError(f"input_path {pattern}: {min(others)} is no shard of {manifest.path}; move it elsewhere")
    manifest.check_shards(shards)
    return (manifest, shards) if shards else None
