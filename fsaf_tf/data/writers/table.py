"""CSV: a row a box, in pixels."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from fsaf_tf.data.writers.form import CROWD, IGNORE, Content, Form, number

COLUMNS = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")


def text(rows: Iterable[Sequence]) -> str:
    """Rows as CSV."""
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def _files(content: Content) -> Iterator[tuple[str, str]]:
    """All in one file; a picture without a box has a row with its name and size, and marks have columns."""
    table = content.table
    marks = [CROWD] * bool((table.crowd & ~table.ignored).any()) + [IGNORE] * bool(table.ignored.any())
    rows = [[*COLUMNS, *marks]]
    for picture in content.each():
        about = picture.name, picture.width, picture.height
        if not len(picture.area):
            rows.append([*about, *[""] * (len(rows[0]) - len(about))])
        for label, (y1, x1, y2, x2), own in picture.rows(content.classes):
            rows.append([*about, label, *map(number, (x1, y1, x2, y2)), *(int(mark == own) for mark in marks)])
    yield f"{content.stem}.csv", text(rows)


FORM = Form("CSV", _files, ending=".csv", shown="{stem}.csv")
