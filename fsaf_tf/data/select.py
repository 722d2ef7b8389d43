"""Some of the classes of annotations, or the same under other names."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from fsaf_tf.config.plain_values import hint
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.coco_json import Annotations, duplicates
from fsaf_tf.data.findings import counted, listed
from fsaf_tf.errors import UserError


def renamed(table: Annotations, names: Mapping[str, str]) -> tuple[Annotations, list[str]]:
    """The annotations with other names of classes; those of one name are one class, with the first one's id.

    Args:
        table: the annotations.
        names: new ones by those that are there.

    Returns:
        The annotations, and lines on what was joined.

    Raises:
        UserError: there is no such class.
    """
    _check_known(table, names)
    new = [names.get(name, name) for name in table.classes.names]
    ids: dict[str, int] = {}
    for name, category_id in zip(new, table.classes.ids):
        ids.setdefault(name, category_id)
    of_name: dict[str, list[str]] = {}
    for before, name in zip(table.classes.names, new):
        of_name.setdefault(name, []).append(before)
    joined = {name: before for name, before in of_name.items() if len(before) > 1}
    lines = [f"{listed(before)} are one class now: {name}" for name, before in joined.items()]
    return _with_classes(table, new, Classes.by_id((number, name) for name, number in ids.items())), lines


def of_classes(table: Annotations, names: Sequence[str]) -> tuple[Annotations, list[str]]:
    """The boxes of some classes, which keep their ids; all pictures stay.

    Args:
        table: the annotations.
        names: of the classes.

    Returns:
        The annotations, and a line on what was left out.

    Raises:
        UserError: there is no such class, or none of them has a box.
    """
    _check_known(table, names)
    had_boxes = np.diff(table.splits) > 0
    index_of = {name: index for index, name in enumerate(table.classes.names)}
    kept = np.isin(table.class_indices, [index_of[name] for name in names])
    if not kept.any():
        raise UserError(f"{table.file}: no box is left: none is of {listed(names)}")
    left = table.of_boxes(kept)
    emptied = int((had_boxes & (np.diff(left.splits) == 0)).sum())
    pairs = ((number, name) for number, name in zip(table.classes.ids, table.classes.names) if name in names)
    line = f"{(~kept).sum():,} of {len(kept):,} boxes are of other classes and left out"
    if emptied:
        line += f"; {emptied:,} of {counted(len(had_boxes), 'picture', 'pictures')} have none any more: background"
    return _with_classes(left, list(table.classes.names), Classes.by_id(pairs)), [line]


def _with_classes(table: Annotations, names: Sequence[str], classes: Classes) -> Annotations:
    """The annotations with other classes; `names` has for each of their own that of the new one."""
    index_of = {name: index for index, name in enumerate(classes.names)}
    indices = np.int32([index_of.get(name, -1) for name in names])[table.class_indices]
    changed = dataclasses.replace(table, classes=classes, class_indices=indices)
    return dataclasses.replace(changed, duplicate=duplicates(changed))


def _check_known(table: Annotations, names: Sequence[str] | Mapping) -> None:
    known = table.classes.names
    for name in names:
        if name not in known:
            raise UserError(f"{table.file} has no class {name!r}{hint(name, known)}; there are: {listed(known)}")
