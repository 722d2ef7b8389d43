"""The trials of a part: each with a seed of its own, its result a line of a file, so that a soak goes on."""

import hashlib
import json
import pathlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from fsaf_tf.terminal.progress import duration

FAULTS_SHOWN = 5
Row = dict[str, Any]
# Makes the trials of these numbers in a folder, one after the other: a row each, with `faults`, a list of words.
Run = Callable[[pathlib.Path, Sequence[int]], Iterator[Row]]


class Part(NamedTuple):
    """A part of the soak.

    Attributes:
        what: in words.
        trials: how many there are.
        run: makes them.
    """

    what: str
    trials: int
    run: Run


def dice(part: str, number: int) -> random.Random:
    """The chance of one trial, the same whenever it is made."""
    return random.Random(int.from_bytes(hashlib.sha256(f"{part} {number}".encode()).digest()[:8], "big"))


def rows(output: pathlib.Path, name: str) -> list[Row]:
    """The trials of a part that are made, by their numbers; a line that a kill cut short is none."""
    path = output / f"{name}.jsonl"
    made = {}
    for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        made[row["trial"]] = row
    return [made[number] for number in sorted(made)]


def run(name: str, part: Part, output: pathlib.Path) -> None:
    """Makes the trials of a part that are not made yet, with a line on each."""
    made = {row["trial"] for row in rows(output, name)}
    waiting = [number for number in range(part.trials) if number not in made]
    print(f"{name}: {part.what}; {len(made)} of {part.trials} trials are made", flush=True)
    if not waiting:
        return
    start = clock = time.monotonic()
    folder = output / name
    folder.mkdir(parents=True, exist_ok=True)
    for count, row in enumerate(part.run(folder, waiting), start=1):
        now = time.monotonic()
        row = {"trial": waiting[count - 1], **row, "seconds": round(now - clock, 1)}
        with open(output / f"{name}.jsonl", "a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(row)}")  # the line before may be cut short
        left = (now - start) / count * (len(waiting) - count)
        words = "; ".join(row["faults"]) or "well"
        print(f"  {name} {len(made) + count} of {part.trials}, {duration(left)} left: {words}", flush=True)
        clock = now


def table(parts: dict[str, Part], output: pathlib.Path) -> tuple[list[str], int]:
    """The lines of a Markdown table of all parts, with the first faults below it; and how many trials have any."""
    lines, faults = ["| part | trials | without a fault | counts | minutes |", "|---|---|---|---|---|"], []
    for name, part in parts.items():
        made = rows(output, name)
        bad = [row for row in made if row["faults"]]
        faults += [(name, row) for row in bad]
        minutes = sum(row["seconds"] for row in made) / 60
        trials = f"{len(made)} of {part.trials}" if made else "not run yet"
        lines.append(f"| `{name}` | {trials} | {len(made) - len(bad)} | {_counts(made)} | {minutes:.0f} |")
    shown = [f"{name} {row['trial']}: {'; '.join(row['faults'])}" for name, row in faults[:FAULTS_SHOWN]]
    more = [f"and {len(faults) - FAULTS_SHOWN} more trials with faults"] * (len(faults) > FAULTS_SHOWN)
    return [*lines, *shown, *more], len(faults)


def _counts(made: list[Row]) -> str:
    """The sums of what the rows count: their whole numbers."""
    sums: dict[str, int] = {}
    for row in made:
        for key, value in row.items():
            if isinstance(value, int) and key not in ("trial", "seconds"):
                sums[key] = sums.get(key, 0) + value
    return ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in sums.items())
