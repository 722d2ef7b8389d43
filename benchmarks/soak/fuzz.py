"""Thousands of inputs that are nearly right, to every reader of the library: each is taken, or refused in one line.

Anything else is a fault: another exception, a line that is several, a death by a signal, a minute without an end.
Inputs that reach lines of a reader that none reached before are kept and changed further. Each target has its own
process, whose death ends nothing: the next one goes on with the input after.
"""

import collections
import contextlib
import json
import math
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator

SEED = 20261127
CHUNK = 640  # inputs of a process, which takes ten seconds to start
SECONDS = 60  # that one input may take
MEMORY = 6 * 2**30  # bytes of addresses that a process may take beyond those that it starts with
MOST_KEPT = 300  # inputs of a target that reach new lines
LONGEST = 1000  # letters of a line that refuses

ACCEPTED, REFUSED, CRASH = "accepted", "refused", "crash"
_ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(state_dir: pathlib.Path, count: int) -> dict[str, object]:
    """Makes inputs until there are `count`, an equal part for each target; goes on from what `state_dir` holds.

    Returns:
        `inputs`, `past_first_check`, `accepted`, `refused`, `crashes`, `lines` and `peak_mb` of all and, under
        `targets`, of each; `faults`, a line for each kind of crash with the input's file.
    """
    from benchmarks.soak.fuzz_targets import TARGETS

    state_dir.mkdir(parents=True, exist_ok=True)
    wanted = math.ceil(count / len(TARGETS))
    for name in TARGETS:
        while (done := len(rows(state_dir, name))) < wanted:
            _in_a_process(state_dir, name, done, min(CHUNK, wanted - done))
    return figures(state_dir, list(TARGETS))


def figures(state_dir: pathlib.Path, names: list[str]) -> dict[str, object]:
    """What `run` returns, of what is there."""
    targets, faults = {}, {}
    for name in names:
        of_target = rows(state_dir, name)
        outcomes = collections.Counter(row["outcome"] for row in of_target)
        lines = _folder(state_dir, name) / "lines.txt"
        targets[name] = {
            "inputs": len(of_target),
            "past_first_check": sum(row["past"] for row in of_target),
            **{outcome: outcomes[outcome] for outcome in (ACCEPTED, REFUSED)},
            "crashes": outcomes[CRASH],
            "lines": len(lines.read_text().split()) if lines.exists() else 0,
            "peak_mb": max((row.get("peak_mb", 0) for row in of_target), default=0),
        }
        for row in of_target:
            if row["outcome"] == CRASH:
                faults.setdefault(f"{name}: {row['line']}", f"{_folder(state_dir, name)}/crash_{row['number']}")
    keys = ("inputs", "past_first_check", ACCEPTED, REFUSED, "crashes", "lines")
    total = {key: sum(target[key] for target in targets.values()) for key in keys}
    total["peak_mb"] = max((target["peak_mb"] for target in targets.values()), default=0)
    return {**total, "targets": targets, "faults": [f"{line} ({path})" for line, path in faults.items()]}


def rows(state_dir: pathlib.Path, name: str) -> list[dict]:
    """What came of the inputs of a target up to here."""
    path = _folder(state_dir, name) / "done.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _folder(state_dir: pathlib.Path, name: str) -> pathlib.Path:
    return state_dir / name.strip(".").replace(" ", "_").lower()


def _in_a_process(state_dir: pathlib.Path, name: str, start: int, count: int) -> None:
    """Some inputs of a target; one at which the process dies is a crash."""
    folder = _folder(state_dir, name)
    folder.mkdir(exist_ok=True)
    code = f"from benchmarks.soak import fuzz; fuzz.chunk({str(state_dir)!r}, {name!r}, {start}, {count})"
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    with open(folder / "process.log", "w") as log:
        done = subprocess.run([sys.executable, "-c", code], cwd=_ROOT, env=environment, stdout=log, stderr=log)
    if done.returncode == 0:
        return
    number = len(rows(state_dir, name))
    current = sorted(folder.glob("input.*"))
    if done.returncode > 0 or not current:
        raise RuntimeError(f"the process of {name} failed; see {folder}/process.log")
    shutil.copy(current[0], folder / f"crash_{number}")
    line = f"the process died of {signal.Signals(-done.returncode).name}"
    _append(folder, {"number": number, "past": True, "outcome": CRASH, "line": line})


def _append(folder: pathlib.Path, row: dict) -> None:
    with open(folder / "done.jsonl", "a") as file:
        file.write(json.dumps(row) + "\n")


def chunk(state_dir: str, name: str, start: int, count: int) -> None:
    """`count` inputs of a target from number `start` on, in this process."""
    from benchmarks.soak.fuzz_targets import TARGETS

    target, folder = TARGETS[name], _folder(pathlib.Path(state_dir), name)
    addresses = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (addresses + MEMORY, addresses + MEMORY))
    kept = folder / "kept"
    kept.mkdir(exist_ok=True)
    pool = [*target.seeds(), *(path.read_bytes() for path in sorted(kept.iterdir()))]
    lines = folder / "lines.txt"
    seen = set(lines.read_text().split()) if lines.exists() else set()
    path = folder / f"input{target.suffix}"
    for number in range(start, start + count):
        data = target.mutate(random.Random(f"{SEED} {name} {number}"), pool[number % len(pool)], pool)
        path.write_bytes(data)
        past = target.passes(data)
        signal.alarm(SECONDS)
        reached: set[str] = set()
        with _traced(target.modules, reached):
            outcome, line = attempt(target, str(path))
        signal.alarm(0)
        if outcome == CRASH:
            shutil.copy(path, folder / f"crash_{number}")
        elif reached - seen and len(pool) < MOST_KEPT:
            (kept / f"{number:06d}").write_bytes(data)
            pool.append(data)
        seen |= reached
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        _append(folder, {"number": number, "past": past, "outcome": outcome, "line": line, "peak_mb": peak})
    lines.write_text("\n".join(sorted(seen)))


def attempt(target, path: str) -> tuple[str, str]:
    """What a reader does with a file, and in which words."""
    from fsaf_tf.errors import UserError
    from fsaf_tf.terminal import faults

    try:
        target.act(path)
    except UserError as error:
        line = str(error)
        if "\n" in line or len(line) > LONGEST:
            return CRASH, f"a line of {len(line)} letters, {line.count(chr(10))} breaks: {line[:80]!r}"
        return REFUSED, line
    except Exception as error:
        if faults.line(error):
            return REFUSED, faults.line(error)
        last = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in last if "fsaf_tf" in frame.filename] or last
        where = f"{pathlib.Path(ours[-1].filename).name}:{ours[-1].lineno}"
        return CRASH, f"{where} {type(error).__name__}: {' '.join(str(error).split())[:120]}"
    return ACCEPTED, ""


@contextlib.contextmanager
def _traced(modules: tuple[str, ...], reached: set[str]) -> Iterator[None]:
    """Adds `file:line` of each line of some modules of fsaf_tf that runs."""
    starts = tuple(f"{_ROOT}/fsaf_tf/{module}" for module in modules)

    def on_call(frame, event, argument):
        return on_line if frame.f_code.co_filename.startswith(starts) else None

    def on_line(frame, event, argument):
        if event == "line":
            reached.add(f"{frame.f_code.co_filename.removeprefix(f'{_ROOT}/fsaf_tf/')}:{frame.f_lineno}")
        return on_line

    sys.settrace(on_call)
    try:
        yield
    finally:
        sys.settrace(None)
