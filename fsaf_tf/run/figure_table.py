"""The figures of a run over its steps as CSV, `train.csv` and `validation.csv`: a row a step, a column a figure.

Two files, because rows of training and of evaluation share few columns, and because `--mode=continuous_eval` writes its
own beside a process that trains. Python's `csv`, not pandas, which is no dependency.
"""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from fsaf_tf.errors import UserError
from fsaf_tf.files import storage
from fsaf_tf.terminal import faults

STEP = "step"

Row = dict[str, str]


class _Content(NamedTuple):
    """What a file holds: its columns, its rows, and how many there are besides that are not whole."""

    columns: list[str]
    rows: list[Row]
    damaged: int


class FigureTable:
    """A CSV file that gets a row now and then, and goes on where a run does.

    A row goes to the end of the file. The file is written anew, in one piece, where the row has a further column, or
    rows at its step or after it are there: those steps are taken again. A disk that does not take a row is said once;
    the row waits, and is written with the next one.
    """

    def __init__(self, path: str, say: Callable[[str], None]):
        """Looks at nothing yet.

        Args:
            path: of the file, which need not be there.
            say: takes a line for the terminal.
        """
        self._path, self._say = path, say
        self._columns: list[str] = []  # of the file; none while it is not known what that holds
        self._last = -1  # the last step in it
        self._waiting: list[Row] = []
        self._has_told = False

    def go_on_from(self, step: int) -> int:
        """Takes away the rows after a step, which a run that goes on from there writes again.

        Returns:
            The last step that it had until now; -1 if none.
        """
        had: list[int] = [-1]

        def is_kept(row: Row) -> bool:
            had.append(int(row[STEP]))
            return had[-1] <= step

        self._try(lambda: self._write_anew(is_kept))
        return had[-1]

    def add(self, step: int, figures: Mapping[str, float | None]) -> None:
        """Writes the row of a step.

        Args:
            step: when they were taken.
            figures: by their names; None and NaN, of what is not defined, are empty cells.
        """
        row = {STEP: str(step)} | {storage.utf8(name): _cell(value) for name, value in figures.items()}
        self._waiting.append(row)
        if len(self._waiting) == 1 and step > self._last and row.keys() <= set(self._columns):
            self._try(self._append)
        else:
            first = int(self._waiting[0][STEP])
            self._try(lambda: self._write_anew(lambda row: int(row[STEP]) < first))

    def _append(self) -> None:
        """Writes the row that waits behind the others."""
        with tf.io.gfile.GFile(self._path, "a") as file:
            file.write(_lines(self._columns, self._waiting))
        self._has_written(self._columns, self._waiting)

    def _write_anew(self, is_kept: Callable[[Row], bool]) -> None:
        """Writes some of the rows of the file and those that wait, if that is not what it holds."""
        content = _read(self._path)
        rows = [row for row in content.rows if is_kept(row)] + self._waiting
        columns = list(dict.fromkeys([*content.columns, *(name for row in self._waiting for name in row)]))
        if rows != content.rows or content.damaged:
            storage.write_text(self._path, _lines(columns, [{name: name for name in columns}, *rows]))
        self._has_written(columns, rows)
        if content.damaged and not self._has_told:
            self._say(f"{self._path}: {content.damaged} of its rows could not be read and are left out.")

    def _has_written(self, columns: list[str], rows: list[Row]) -> None:
        self._columns, self._last = columns, int(rows[-1][STEP]) if rows else -1
        self._waiting = []

    def _try(self, act: Callable[[], None]) -> None:
        """Does something with the file; what cannot be done is said once."""
        try:
            act()
        except (OSError, tf.errors.OpError, MemoryError, UserError, csv.Error) as error:
            self._columns = []
            if not self._has_told:
                self._has_told = True
                words = faults.of_file(self._path, error) or str(error)
                self._say(f"{words}. The run goes on; rows wait until that file can be written.")


def _cell(value: float | None) -> str:
    """A number with all digits that float32 has; nothing where it is not defined."""
    return "" if value is None or math.isnan(value) else f"{value:.9g}"


def _lines(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Rows as lines of CSV; one that lacks a column has an empty cell there."""
    written = io.StringIO()
    csv.DictWriter(written, columns, restval="", lineterminator="\n").writerows(rows)
    return written.getvalue()


def _read(path: str) -> _Content:
    """What a file holds; nothing where there is none. Rows in the order of their steps, of one step the last.

    Raises:
        UserError: it is another table, or no text.
        tf.errors.OpError: it cannot be read.
    """
    if not tf.io.gfile.exists(path):
        return _Content([], [], 0)
    lines = list(csv.reader(io.StringIO(text := storage.read_text(path), newline="")))
    if not lines:
        return _Content([], [], 0)
    columns, *others = lines
    if columns[0] != STEP or len(set(columns)) < len(columns):
        raise UserError(f"{path} is another table: its first line has no `{STEP}`, or a name twice; move it away")
    torn = bool(others) and not text.endswith("\n")
    whole = [cells for cells in others[: len(others) - torn] if len(cells) == len(columns) and cells[0].isdecimal()]
    by_step = {int(cells[0]): dict(zip(columns, cells)) for cells in whole}
    return _Content(columns, [by_step[step] for step in sorted(by_step)], len(others) - len(whole))
