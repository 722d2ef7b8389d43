"""Several annotation files as one: pictures numbered anew and named from a folder above all, classes joined by name."""

import dataclasses
import os
import posixpath
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from fsaf_tf.data import coco_json
from fsaf_tf.data.annotated import Annotated
from fsaf_tf.data.bad_pictures import BadPictures
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.coco_json import Annotations
from fsaf_tf.data.findings import READ, Finding, found, listed
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths

_SHOWN = 3  # files that a name lists


def join(sets: Sequence[Annotated], weights: Sequence[float] = ()) -> Annotated:
    """One set of all, in their order.

    A picture that stands in several of them, by its path, is one picture with the boxes of all. The classes of the
    first keep their ids; those of the others with another name get theirs, or the next free one.

    Args:
        sets: read, not checked yet; one or more.
        weights: of each for drawing from them; none where all pictures are drawn as often.

    Raises:
        UserError: a picture has several sizes, or there is no folder above all, or none of one of them.
    """
    if len(sets) == 1:
        return dataclasses.replace(sets[0], origin=np.zeros(len(sets[0].table.file_names), int), mixture=tuple(weights))
    for each in sets:  # of a folder above all that is there nobody would see which is not
        if not tf.io.gfile.isdir(each.image_dir):
            raise UserError(f"{each.image_dir}: there is no such image folder")
    name = name_of([each.table.file for each in sets])
    classes, findings = join_classes([each.table for each in sets], name)
    folder = common_folder([each.image_dir for each in sets])
    names = [_names(each, folder) for each in sets]
    table = _joined(sets, names, classes, name)
    count = sum(map(len, names)) - len(table.file_names)
    twice = found("duplicate_pictures", count, sum(map(len, names)), READ["duplicate_pictures"], _twice(names), name)
    again = _repeated_boxes(sets, table)
    own = (finding for each in sets for finding in each.findings)
    origin = np.zeros(len(table.file_names), int)
    place_of = {name: place for place, name in enumerate(table.file_names)}
    for number, own_names in reversed(list(enumerate(names))):  # a picture of several files is of the first
        origin[[place_of[each] for each in own_names]] = number
    return Annotated(
        table,
        folder,
        (*own, *findings, *twice, *again),
        BadPictures(0.0, len(table.file_names)),
        origin=origin,
        mixture=tuple(weights),
    )


def name_of(files: Sequence[str]) -> str:
    """What several files are called together."""
    more = len(files) - _SHOWN
    return " and ".join(files[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def join_classes(tables: Sequence[Annotations], where: str) -> tuple[Classes, tuple[Finding, ...]]:
    """The classes of several files, and in what they differ."""
    ids: dict[str, int] = {}
    cases = []
    for table in tables:
        for category_id, name in zip(table.classes.ids, table.classes.names):
            if name in ids:
                moved = ids[name] != category_id
            else:
                moved = category_id in ids.values()
                ids[name] = max(ids.values()) + 1 if moved else category_id
            if moved:
                cases.append(f"{name}, {category_id} in {table.file}, is {ids[name]}")
    words = "classes have another id in some of the files; joined by name"
    renumbered = found(
        "renumbered_classes", len({case.split(", ")[0] for case in cases}), len(ids), words, cases, where
    )
    lacking = [
        f"{name} not in {listed(files)}"
        for name in ids
        if (files := [table.file for table in tables if name not in table.classes.names])
    ]
    words = "classes are not in all files; where one is not listed, its objects are background"
    return Classes.by_id((number, name) for name, number in ids.items()), (
        *renumbered,
        *found("not_in_all", len(lacking), len(ids), words, lacking, where),
    )


def common_folder(folders: Sequence[str]) -> str:
    """The one folder, or the lowest that all are in.

    Raises:
        UserError: there is none.
    """
    if len(set(folders)) == 1:
        return folders[0]
    parts = [paths.absolute(folder).split("/") for folder in folders]
    shared = os.path.commonprefix(parts)
    if not shared or shared[-1].endswith(":"):
        raise UserError(f"{folders[0]} and {folders[-1]} are in no common folder; put the pictures on one file system")
    return "/".join(shared) or "/"


def _names(each: Annotated, folder: str) -> list[str]:
    """Names from the common folder."""
    start = (
        "" if each.image_dir == folder else posixpath.relpath(paths.absolute(each.image_dir), paths.absolute(folder))
    )
    return [posixpath.normpath(posixpath.join(start, name)) for name in each.table.file_names]


def _twice(names: Sequence[Sequence[str]]) -> list[str]:
    """Names that stand in several lists."""
    seen: set[str] = set()
    twice = []
    for own in names:
        twice += [name for name in own if name in seen]
        seen |= set(own)
    return twice


def _joined(sets: Sequence[Annotated], names: Sequence[Sequence[str]], classes: Classes, file: str) -> Annotations:
    """The table of all; a name that stands in several lists is one image."""
    place_of: dict[str, int] = {}
    for own in names:
        for name in own:
            place_of.setdefault(name, len(place_of))
    sizes = np.zeros([len(place_of), 2], np.int32)
    image_index, class_indices = [], []
    index_of = {name: index for index, name in enumerate(classes.names)}
    for each, own in zip(sets, names):
        table, places = each.table, np.array([place_of[name] for name in own])
        _check_sizes(each, own, table.sizes, sizes[places])
        sizes[places] = table.sizes
        image_index.append(places[table.image_index])
        class_indices.append(np.int32([index_of[name] for name in table.classes.names])[table.class_indices])
    images, labels = np.concatenate(image_index), np.concatenate(class_indices)
    order = np.argsort(images, kind="stable")
    columns = ("boxes_xywh", "crowd", "ignored", "duplicate", "area")
    table = Annotations(
        file=file,
        image_ids=np.arange(1, len(place_of) + 1),
        file_names=list(place_of),
        sizes=sizes,
        splits=np.concatenate([[0], np.cumsum(np.bincount(images, minlength=len(place_of)))]),
        class_indices=labels[order],
        classes=classes,
        findings=(),
        by_name=any(each.table.by_name for each in sets),
        **{name: np.concatenate([getattr(each.table, name) for each in sets])[order] for name in columns},
    )
    return dataclasses.replace(table, duplicate=coco_json.duplicates(table))


def _repeated_boxes(sets: Sequence[Annotated], table: Annotations) -> list[Finding]:
    """Boxes that stand in a file before, beside those that stand twice in one."""
    count = int(table.duplicate.sum()) - sum(int(each.table.duplicate.sum()) for each in sets)
    cases = (table.file_names[place] for place in table.image_index[table.duplicate])
    return found("duplicate_boxes", count, len(table.duplicate), READ["duplicate_boxes"], cases, table.file)


def _check_sizes(each: Annotated, names: Sequence[str], sizes: np.ndarray, before: np.ndarray) -> None:
    """Raises a UserError where a picture has another size in an earlier file."""
    differs = np.any((before != sizes) & (before > 0), axis=1)
    if differs.any():
        place = int(np.flatnonzero(differs)[0])
        both = " and ".join(f"{width} x {height}" for height, width in (before[place], sizes[place]))
        raise UserError(f"{each.table.file}: {names[place]} has another size than in an earlier file: {both}")
