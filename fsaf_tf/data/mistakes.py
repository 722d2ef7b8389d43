"""What ends the reading of an annotation file: mistakes, counted by kind, as one line."""

from fsaf_tf.data.findings import SHOWN
from fsaf_tf.errors import UserError

ID_TOO_LARGE = "id is beyond 2^53, where programs that read JSON no longer agree on a number; number them anew"


class Mistake(Exception):
    """What is wrong with one thing: the `kind` of mistake, and the `case` that shows it."""

    def __init__(self, kind: str, case: str):
        super().__init__(kind, case)
        self.kind, self.case = kind, case


class Findings:
    """The mistakes in one list of a file: how many of each kind, and the first one."""

    def __init__(self, file: str, noun: str, total: int):
        self._file, self._noun, self._total = file, noun, total
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def add(self, kind: str, case: str) -> None:
        """Counts a mistake of a kind; `case` says which one it is."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._first.setdefault(kind, case)

    def raise_any(self) -> None:
        """Raises a `UserError` of one line if there are any."""
        if self._counts:
            parts = [
                f"{kind} ({count} of {self._total} {self._noun}, first: {self._first[kind]})"
                for kind, count in self._counts.items()
            ]
            more = f"; and {len(parts) - SHOWN} more kinds" if len(parts) > SHOWN else ""
            raise UserError(f"{self._file}: {'; '.join(parts[:SHOWN])}{more}")
