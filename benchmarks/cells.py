"""What the studies that train have in common: a run as its user would type it, and what is kept of it."""

import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parent.parent


def train(experiment: str, config_files: list[str], seed: int, model_dir: str) -> dict:
    """Trains in a process of its own, from the run's last checkpoint if there is one.

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
    words += [f"--params_override=task.train_data.seed={seed}", f"--model_dir={model_dir}"]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    start = time.time()
    ended = subprocess.run([sys.executable, *words[1:]], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    if ended.returncode in (130, -signal.SIGINT, -signal.SIGTERM):
        print(f"{model_dir} was stopped; the same command goes on with it")
        raise KeyboardInterrupt
    if ended.returncode:
        outcome = {"error": (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]}
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
