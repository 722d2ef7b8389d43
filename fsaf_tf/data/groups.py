"""Which pictures of a set stay together: frames of one video, and pictures that are the same file."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from fsaf_tf.data import coco_file, coco_images, same_pictures, split
from fsaf_tf.data.annotated import Annotated
from fsaf_tf.data.findings import Tally, counted
from fsaf_tf.data.readers import files
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths


class Parts(NamedTuple):
    """Attributes:
    of_image: `[I]` int64, the part of each picture.
    lines: on what stayed together.
    """

    of_image: np.ndarray
    lines: tuple[str, ...]


def deal(
    annotated: Annotated, fractions: Sequence[float], seed: int, keys: Iterable[Sequence[str | None]] = ()
) -> Parts:
    """Deals the pictures of a set out to parts, each class by its share; see `split`.

    Args:
        annotated: the set.
        fractions: of each part, 1 together.
        seed: another one gives another split.
        keys: for each way of grouping, the key of each of the I pictures: those with the same one stay together; None
            of those that stand alone.

    Raises:
        UserError: there are too few groups for the parts.
    """
    table = annotated.table
    groups, lines = _together(annotated, keys)
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    if len(first) < len(fractions):
        raise UserError(
            f"{table.file}: {counted(len(first), 'group', 'groups')} of pictures for {len(fractions)} parts"
        )
    counts = np.zeros([len(first), 1 + len(table.classes)])
    np.add.at(counts, (group_of, 0), 1)
    np.add.at(counts, (group_of[table.image_index], 1 + table.class_indices), 1)
    least = np.full(len(first), "", object)
    for name, group in sorted(zip(table.file_names, group_of), reverse=True):
        least[group] = name  # a name that tells the group, whatever the order of the pictures
    parts = split.deal(counts, fractions, least.tolist(), seed)[group_of]
    empty = np.setdiff1d(np.arange(len(fractions)), parts)
    if len(empty):
        raise UserError(
            f"{table.file}: a part of {fractions[empty[0]]:g} of {counted(len(first), 'group', 'groups')} of pictures"
            " has none; take a greater fraction"
        )
    return Parts(parts, lines)


def _together(annotated: Annotated, keys: Iterable[Sequence[str | None]]) -> tuple[np.ndarray, tuple[str, ...]]:
    """`[I]`, a number for each group of pictures that stay together, and lines that say how many there are."""
    names, folder = annotated.table.file_names, annotated.image_dir
    groups, lines = np.arange(len(names)), []
    for own in keys:
        groups = _joined(groups, own)
        alone = sum(key is None for key in own)
        without = f"; {counted(alone, 'picture has', 'pictures have')} no key" if alone else ""
        lines.append(f"{len(groups):,} pictures are {counted(len(set(groups.tolist())), 'group', 'groups')}{without}")
    same = [] if paths.is_remote(folder) else same_pictures.keys(folder, names)
    if paths.is_remote(folder):
        lines.append("pictures of remote storage are not compared: equal ones may come to different parts")
    if any(same):
        groups = _joined(groups, same)
        count = sum(key is not None for key in same)
        lines.append(f"{count:,} pictures have the content of another one, and are in the same part")
    return groups, tuple(lines)


def _joined(groups: np.ndarray, keys: Sequence[str | None]) -> np.ndarray:
    """`[I]`, groups of which those are one that share a key."""
    first_of: dict[str, int] = {}
    parent = {}

    def root(group: int) -> int:
        while parent.get(group, group) != group:
            group = parent[group]
        return group

    for group, key in zip(groups.tolist(), keys):
        if key is not None:
            one, other = root(first_of.setdefault(key, group)), root(group)
            parent[max(one, other)] = min(one, other)
    return np.array([root(group) for group in groups.tolist()])


def by_pattern(file: str, names: Sequence[str], pattern: str) -> list[str | None]:
    """The key of each name: what the first group of a regular expression is, or the whole of what it matches.

    Raises:
        UserError: it is none, or matches none of the names.
    """
    try:
        has_group = re.compile(pattern).groups
    except re.error as error:
        raise UserError(f"--group_by={pattern} is no regular expression: {error}") from None
    found = [re.match(pattern, name) for name in names]
    if not any(found):
        raise UserError(f"--group_by={pattern} matches none of the {len(names):,} names of {file}, such as {names[0]}")
    return [match and (match[1] if has_group else match[0]) for match in found]


def by_entry(annotated: Annotated, key: str) -> list[str | None]:
    """The key of each picture that its entry in COCO JSON has under a name, such as `video_id`.

    Raises:
        UserError: no entry has it.
    """
    table = annotated.table
    if table.form:
        raise UserError(f"--group_key is a key of the images of COCO JSON, and {table.file} is {table.form}")
    items = coco_file.entries(table.file, coco_file.decode(table.file, files.read(table.file)), "images")
    size_of = dict(zip(table.file_names, table.sizes.tolist()))
    images = coco_images.read(table.file, items, lambda name: size_of.get(name, (1, 1)), Tally(table.file))
    value_of = {images.find(item["id"])["id"]: str(item[key]) for item in items if item.get(key) is not None}
    found = [value_of.get(number) for number in table.image_ids.tolist()]
    if not any(value is not None for value in found):
        raise UserError(f"--group_key={key}: no image of {table.file} has it; they have {', '.join(items[0])}")
    return found
