"""Annotations read to be written again: several as one, some of their classes, in parts; and what is said of it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fsaf_tf.data import annotated, coco, frames, groups, join, select
from fsaf_tf.data.annotated import Annotated
from fsaf_tf.data.box_table import findings as box_findings
from fsaf_tf.data.coco_json import Annotations
from fsaf_tf.data.findings import counted
from fsaf_tf.errors import UserError

Say = Callable[..., None]  # prints lines


class Grouping(NamedTuple):
    """What keeps pictures together; see `groups`.

    Attributes:
        pattern: a regular expression on their names; None for none.
        key: of their entries in COCO JSON; likewise.
    """

    pattern: str | None = None
    key: str | None = None


def read(
    sources: Sequence[tuple[str, str]], renames: Sequence[str], classes: Sequence[str] | None, say: Say
) -> Annotated:
    """Reads annotations, joined where they are several; says how much there is, and what was found.

    Args:
        sources: files with the folders of their pictures.
        renames: OLD:NEW of classes.
        classes: those wanted, by their new names; all if not given.
        say: prints lines.

    Raises:
        UserError: something is wrong with them, or there is no such class.
    """
    sets = [annotated.read(file, folder, frame=frames.AUTO) for file, folder in sources]
    joined = annotated.check(join.join(sets), frame=frames.AUTO)
    table, lines = joined.table, []
    if renames:
        table, lines = select.renamed(table, new_names(renames, table.classes.names))
    if classes:
        table, of_classes = select.of_classes(table, classes)
        lines += of_classes
    if len(sets) > 1:
        say(*(_count_line(each.table) for each in sets))
    say(_count_line(table), *(f"  {line}" for line in lines))
    for finding in (*joined.findings, *box_findings(coco.box_table(table), table.file), *joined.of_files):
        where = "" if finding.where == table.file else f"{finding.where}: "
        say(f"  {where}{finding.line}")
    return dataclasses.replace(joined, table=table)


def _count_line(table: Annotations) -> str:
    pictures, boxes = counted(len(table.sizes), "picture", "pictures"), counted(len(table.crowd), "box", "boxes")
    form = f"{table.form}; " if table.form else ""
    return f"{table.file}: {form}{pictures}, {boxes}, {counted(len(table.classes), 'class', 'classes')}"


def new_names(renames: Sequence[str], known: Sequence[str]) -> Mapping[str, str]:
    """New names by old ones.

    Args:
        renames: OLD:NEW.
        known: the old names; these may have colons in them.

    Raises:
        UserError: a class gets two names.
    """
    names: dict[str, str] = {}
    for text in renames:
        old = max((name for name in known if text.startswith(f"{name}:")), key=len, default=text.partition(":")[0])
        new = text[len(old) + 1 :]
        if old in names:
            raise UserError(f"--rename gives {old!r} two names, {names[old]!r} and {new!r}; leave one")
        names[old] = new
    return names


def split(
    read_ones: Annotated, fractions: Mapping[str, float], seed: int, grouping: Grouping, say: Say
) -> dict[str, Annotations]:
    """Deals pictures out to parts, and says how.

    Args:
        read_ones: what `read` gave.
        fractions: by the names of the parts.
        seed: another one gives another split.
        grouping: what keeps pictures together.
        say: prints lines.

    Returns:
        The annotations by the name of their part.

    Raises:
        UserError: see `groups.deal`.
    """
    keys, table = [], read_ones.table
    if grouping.pattern:
        keys.append(groups.by_pattern(table.file, table.file_names, grouping.pattern))
    if grouping.key:
        keys.append(groups.by_entry(read_ones, grouping.key))
    dealt = groups.deal(read_ones, list(fractions.values()), seed, keys)
    parts = {name: table.of_images(dealt.of_image == place) for place, name in enumerate(fractions)}
    say(*(f"  {line}" for line in dealt.lines), *_shares(parts, table.classes.names))
    return parts


def _shares(parts: Mapping[str, Annotations], names: Sequence[str]) -> list[str]:
    """A table: pictures and boxes of each class by part, with the share of all."""

    def row(label: str, counts: Sequence[int]) -> str:
        total = max(sum(counts), 1)
        return f"  {label:<{width}}" + "".join(f"{count:>12,} {count / total:6.1%}" for count in counts)

    width = max(len("pictures"), *map(len, names))
    boxes = [np.bincount(table.class_indices, minlength=len(names)).tolist() for table in parts.values()]
    head = f"  {'':<{width}}" + "".join(f"{name:>19}" for name in parts)
    pictures = row("pictures", [len(table.sizes) for table in parts.values()])
    return [head, pictures, *(row(name, counts) for name, counts in zip(names, zip(*boxes)))]
