"""What the studies that train have in common: a run as its user would type it, and what is kept of it."""

import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

ROOT = pathlib.Path(__file__).parent.parent
# How a run ends that was asked to stop: by the signal, or after it by itself, with what it had saved.
STOPPED = [status for number in (signal.SIGINT, signal.SIGTERM) for status in (-number, 128 + number)]


def train(experiment: str, config_files: list[str], seed: int, model_dir: str, overrides: str = "") -> dict:
    """Trains in a process of its own, from the run's last checkpoint if there is one.

    Args:
        experiment: its name or file.
        config_files: on top of it.
        seed: of the order of the data and of what is drawn of them.
        model_dir: the folder of the run.
        overrides: `key=value` pairs, with commas, on top of these.

    Returns:
        `command`, `seconds` of this call, `commit`, `machine`, `date`, and `metrics`, or `error`, the line that the run
        ended with.
    """
    words = [
        "python",
        "tools/train.py",
        f"--experiment={experiment}",
        *[f"--config_file={file}" for file in config_files],
    ]
    keys = ",".join([f"task.train_data.seed={seed}", *([overrides] if overrides else [])])
    words += [f"--params_override={keys}", f"--model_dir={model_dir}"]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    start = time.time()
    ended, is_interrupted = _run([sys.executable, *words[1:]])
    if is_interrupted or ended.returncode in STOPPED:
        print(f"{model_dir} was stopped; the same command goes on with it")
        raise KeyboardInterrupt
    if ended.returncode:
        outcome = {"error": _last_line(ended)}
    else:
        outcome = {"metrics": json.loads((ROOT / model_dir / "metrics.json").read_text())}
    return {
        "command": " ".join(words),
        "seconds": round(time.time() - start),
        "commit": commit.stdout.strip(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "date": time.strftime("%Y-%m-%d"),
        **outcome,
    }


def run_missing(left: list[tuple], result_file: Callable[..., pathlib.Path], outcome_of: Callable[..., dict]) -> None:
    """Runs the cells of a study, one after another, with an ETA by the mean of those before.

    Args:
        left: a tuple for each cell that is not there yet.
        result_file: where a cell's outcome is written, once it is there.
        outcome_of: runs a cell.
    """
    start = time.time()
    for number, cell in enumerate(left):
        eta = f", ETA {(time.time() - start) / number * (len(left) - number) / 60:.0f} min" if number else ""
        print(f"--- {number + 1} of {len(left)}: {' '.join(map(str, cell))}{eta}", flush=True)
        outcome = outcome_of(*cell)
        file = result_file(*cell)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(outcome, indent=1) + "\n")


def mean_and_spread(values: list[float]) -> str:
    """The mean, and the standard deviation of two or more."""
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}" if values else ""


def _run(command: list[str]) -> tuple[subprocess.CompletedProcess, bool]:
    """Runs a command, and whether Ctrl-C came. It reaches the command too, which is given the time to save."""
    interrupts = []
    before = signal.signal(signal.SIGINT, lambda *_: interrupts.append(True))
    try:
        return subprocess.run(
            command, cwd=ROOT, stderr=subprocess.PIPE, encoding="utf-8", errors="backslashreplace"
        ), bool(interrupts)
    finally:
        signal.signal(signal.SIGINT, before)


def _last_line(ended: subprocess.CompletedProcess) -> str:
    """What a run ended with; one that was killed, as where memory is short, had no time to say it."""
    if ended.returncode < 0:
        return f"killed: {signal.strsignal(-ended.returncode)}"
    return (ended.stderr.strip() or f"exit {ended.returncode}").splitlines()[-1]
