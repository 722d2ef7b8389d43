"""CSV of boxes, a row each; a row with a picture and nothing else is a picture without boxes."""

import csv
import io
import posixpath
from collections.abc import Sequence
from typing import NamedTuple

from fsaf_tf.data.findings import counted, short
from fsaf_tf.data.mistakes import Mistake
from fsaf_tf.data.readers import content, csv_columns, open_images
from fsaf_tf.data.readers.content import Content, Entries
from fsaf_tf.data.readers.csv_columns import Columns
from fsaf_tf.data.readers.request import Request
from fsaf_tf.errors import UserError

_LOOKED_AT = 20  # rows, where the columns have no names
_MOST = 2**24  # characters of a cell


class Table(NamedTuple):
    """Attributes:
    rows: cells, with the number of the line where each row ends.
    columns: what they are.
    """

    rows: list[tuple[int, list[str]]]
    columns: Columns


def of_text(file: str, text: str) -> Table | None:
    """The table that a text is; None where it is none of boxes.

    Raises:
        UserError: a row that is damaged, with its line.
    """
    first = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    if not first.count(delimiter):
        return None
    csv.field_size_limit(_MOST)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    rows = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise UserError(f"{file}:{reader.line_num}: no CSV: {error}") from None
    columns = csv_columns.of([cells for _, cells in rows[:_LOOKED_AT]])
    return Table(rows, columns) if columns else None


def read(request: Request, table: Table) -> Content:
    """Reads a table.

    Raises:
        UserError: what is wrong, with file and line.
    """
    columns, file = table.columns, posixpath.basename(request.file)
    names = open_images.class_names(request.file) if columns.is_open_images else {}
    entries, ids, other = Entries(request.file), {}, 0
    for line, cells in table.rows[columns.first :]:
        with entries.attempt():
            where = f"{file}:{line}"
            if not _is_wanted(request, columns, cells, where):
                entries.leave_out("other_set", where)
                other += 1
                continue
            image_id, size = _picture(entries, ids, request, columns, cells, where)
            label = cells[columns.label].strip() if len(cells) > columns.label else ""
            if label or any(cells[place].strip() for place in columns.box.values() if place < len(cells)):
                box = _box(columns, cells, size, where)
                _count(entries, columns, cells, where)
                entries.box(image_id, names.get(label, label), box, where)
    rows = counted(len(table.rows) - columns.first - other, "row", "rows")
    part = f"`{request.split}`, " if columns.set is not None else ""
    return entries.content(f"{columns.kind}, {part}{rows}")


def _is_wanted(request: Request, columns: Columns, cells: Sequence[str], where: str) -> bool:
    """Whether a row is of the part that is asked for. Raises `Mistake`."""
    if columns.set is None:
        return True
    part = csv_columns.set_of(cells[columns.set])
    if part is None:
        raise Mistake("neither TRAIN, VALIDATE, TEST nor UNASSIGNED", f"{where}: {short(repr(cells[columns.set]))}")
    if not request.split:
        raise UserError(
            f"{request.file}: its rows are of several sets, and nothing says which: give {request.file}:train, :val or"
            " :test"
        )
    return part == request.split


def _picture(
    entries: Entries, ids: dict, request: Request, columns: Columns, cells: Sequence[str], where: str
) -> tuple[int, tuple[int, int] | None]:
    """The id and the size of a row's picture, which is added where it is new. Raises `Mistake`."""
    if len(cells) <= columns.image or not cells[columns.image].strip():
        raise Mistake("a row without the name of a picture", where)
    given = cells[columns.image].strip()
    if given not in ids:
        name, pictures = given.replace("\\", "/"), request.pictures
        if columns.is_open_images and not pictures.has(name):
            name = pictures.of_stem(name, where) or (name if posixpath.splitext(name)[1] else f"{name}.jpg")
        sides = [cells[place] for place in columns.size if place < len(cells)]
        size = content.size(*sides[::-1], where) if len(sides) == 2 else None
        size = size or pictures.needed_size(name, where)
        ids[given] = entries.image(name, size, where), size
    return ids[given]


def _box(columns: Columns, cells: Sequence[str], size: tuple[int, int], where: str) -> dict:
    """The box of a row, and its flags. Raises `Mistake`."""
    if len(cells) < columns.needed:
        raise Mistake("a row with too few cells", f"{where}: {len(cells)}, and {columns.needed} are needed")
    values = content.numbers({name: cells[place] for name, place in columns.box.items()}, where)
    if columns.are_shares:
        over = [value for value in values if not -0.01 <= value <= 1.01]
        if over:
            raise Mistake("a share of the picture that is not from 0 to 1", f"{where}: {over[0]:g}")
        values = [value * side for value, side in zip(values, (size[1], size[0]) * 2)]
    flags = {flag: cells[place].strip() for flag, place in columns.flags.items() if place < len(cells)}
    flags = {flag: "0" if columns.is_open_images and word == "-1" else word for flag, word in flags.items()}
    return {"bbox": content.of_corners(*values) if columns.are_corners else values, **flags}


def _count(entries: Entries, columns: Columns, cells: Sequence[str], where: str) -> None:
    """Counts what is taken as any box and might not be meant so."""
    for kind, place in columns.counted.items():
        if place < len(cells) and cells[place].strip() == "1":
            entries.tally.add(kind, where)
    if columns.score is not None and columns.score < len(cells) and cells[columns.score].strip():
        entries.tally.add("scores", f"{where}: {cells[columns.score].strip()}")
