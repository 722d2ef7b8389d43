"""Trainings that are killed up to three times at random moments, and started again by the same command until they end.

Half of the moments are of the whole length of a training, which is mostly its start, half come after one of its saves.

A start after a kill succeeds; no more than `trainer.checkpoint_interval` steps are lost; and the end is that of a
training nobody disturbed, bit for bit: figures, detections, every tensor of the last checkpoint.
"""

import pathlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence

from benchmarks.soak import compare, forks, scene, trials

WHAT = "trainings, killed up to three times each at any moment"
TRIALS = 60  # some sixty kills: a later one may come after the end
KILLS = 3


def run(folder: pathlib.Path, numbers: Sequence[int]) -> Iterator[trials.Row]:
    """See `trials.Run`."""
    experiment = scene.write_data(folder.parent / "data")
    undisturbed = scene.trained(folder.parent / "data")
    moments = _moments(folder, experiment)
    wanted = forks.call(_results, undisturbed)
    for number in numbers:
        yield _trial(folder / f"trial_{number}", experiment, moments, wanted, number)


def _moments(folder: pathlib.Path, experiment: pathlib.Path) -> tuple[float, float]:
    """How many seconds a training by itself takes, and how many from its first save to its second one."""
    path, run = folder / "moments", folder / "timed"
    if not path.exists():
        shutil.rmtree(run, ignore_errors=True)
        start, process = time.monotonic(), _start(experiment, run, folder / "timed.log")
        seconds = [_until_saved(process, run, step) - start for step in (scene.SAVED, 2 * scene.SAVED)]
        if ended := process.wait():
            raise RuntimeError(f"a training that nobody disturbed ends with {ended}; see {folder}/timed.log")
        path.write_text(f"{time.monotonic() - start} {seconds[1] - seconds[0]}")
    length, between = map(float, path.read_text().split())
    return length, between


def _until_saved(process: subprocess.Popen, model_dir: pathlib.Path, step: int) -> float:
    """Waits for a checkpoint, or the end; the time then."""
    while process.poll() is None and not (model_dir / f"ckpt-{step}.index").exists():
        time.sleep(0.02)
    return time.monotonic()


def _start(experiment: pathlib.Path, model_dir: pathlib.Path, log: pathlib.Path) -> subprocess.Popen:
    with open(log, "a", encoding="utf-8") as file:
        command = scene.train_command(experiment, model_dir)
        return subprocess.Popen(command, cwd=scene.ROOT, stdout=file, stderr=subprocess.STDOUT)


def _trial(
    folder: pathlib.Path, experiment: pathlib.Path, moments: tuple[float, float], wanted: dict[str, str], number: int
) -> trials.Row:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    dice, faults, model_dir = trials.dice("training_kills", number), [], folder / "run"
    length, between = moments
    kills = lost = 0
    while True:
        moment = dice.uniform(0, length)
        process = _start(experiment, model_dir, folder / "log")
        if dice.random() < 0.5:
            _until_saved(process, model_dir, dice.choice(_to_come(model_dir)))
            moment = dice.uniform(0, between)
        try:
            status = process.wait(moment if kills < KILLS else forks.PATIENCE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            if kills == KILLS:
                return {"faults": [f"it hangs; see {folder}"], "kills": kills, "steps_lost": lost}
            kills += 1
            more, fault = forks.call(_lost, model_dir)
            lost += more
            faults += fault
            continue
        if status:
            faults.append(f"a start after {kills} kills ends with {status}")
        break
    faults += compare.differences(wanted, forks.call(_results, model_dir)) if not status else []
    if not faults:
        shutil.rmtree(folder)
    return {"faults": faults, "kills": kills, "steps_lost": lost}


def _to_come(model_dir: pathlib.Path) -> list[int]:
    """The steps that a run will be saved at."""
    steps = range(scene.SAVED, scene.STEPS + 1, scene.SAVED)
    return [step for step in steps if not (model_dir / f"ckpt-{step}.index").exists()] or [scene.STEPS]


def _lost(model_dir: pathlib.Path) -> tuple[int, list[str]]:
    """How many steps a kill cost, by the last step that was logged and the newest checkpoint that is whole."""
    from fsaf_tf.run import on_disk

    newest = on_disk.first_readable(on_disk.prefixes(str(model_dir)))[0] if model_dir.is_dir() else None
    kept = on_disk.number(newest) if newest else 0
    lost = max(_last_logged(model_dir) - kept, 0)
    # One loop of steps may be between the last line of the log and the save.
    return lost, [f"{lost} steps are lost, from {kept + lost} to {kept}"] * (lost > scene.SAVED)


def _last_logged(model_dir: pathlib.Path) -> int:
    """The last step in the event files of a training; one that is cut short counts up to there."""
    import tensorflow as tf

    last = 0
    for path in sorted((model_dir / "train").glob("events*")):
        try:
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                last = max(last, event.step)
        except tf.errors.DataLossError:
            continue
    return last


def _results(model_dir: pathlib.Path) -> dict[str, str]:
    """What a run came to: figures and detections of it and its best, and the tensors of its checkpoints."""
    names = compare.content(model_dir)
    kept = ("metrics.json", "detections.json", "best/", f"ckpt-{scene.STEPS} ")
    return {name: digest for name, digest in names.items() if name.startswith(kept)}
