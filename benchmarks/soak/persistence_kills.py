"""Kills at the N-th call that changes a file of a run: a rename, an unlink, in the middle of a write, ...

The calls are those of Python and of TensorFlow's C++, counted by `shim.c`; every write of a training is among them, in
the controller's order (`persistence`). After each kill a tool that only reads finds what there is, and a start goes on:
at the last checkpoint that was whole, with the numbers of that step; figures are of the detections beside them.
"""

import functools
import os
import pathlib
import re
import shutil
from collections.abc import Iterator, Sequence

from benchmarks.soak import forks, persistence, shim, trials

WHAT = "kills at a call that changes a file of a run: its checkpoints, its best, its records, its lock"
TRIALS = 100
_KILLS = 2  # of a trial: the second may come while the first is cleared away


def run(folder: pathlib.Path, numbers: Sequence[int]) -> Iterator[trials.Row]:
    """See `trials.Run`."""
    log = folder / "calls.log"
    log.unlink(missing_ok=True)
    shutil.rmtree(folder / "counted", ignore_errors=True)
    start(folder / "counted", persistence.STEPS, folder / "counted.note", log=log)
    total = len(shim.calls(log))
    for number in numbers:
        yield trial(folder / f"trial_{number}", number, total)


def start(folder: pathlib.Path, last: int, note: pathlib.Path, at: int = 0, log: pathlib.Path | None = None) -> int:
    """A start of a run in a child, killed at call `at`; its exit status."""
    folder.mkdir(exist_ok=True)
    said = note.with_suffix(".said")
    main = functools.partial(persistence.main, folder, last, note)
    return forks.end_tool(forks.start_main(main, ["records"], said, lambda: shim.arm(folder, at, log=log)), said).status


def trial(folder: pathlib.Path, number: int, total: int) -> trials.Row:
    """One run with its kills; every call of an undisturbed start is as likely as any other."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    dice, faults, calls = trials.dice("persistence_kills", number), [], []
    model_dir, note, kills = folder / "run", folder / "note", 0
    for last in range(persistence.STEPS, persistence.STEPS * (_KILLS + 1), persistence.STEPS):
        log = folder / f"calls_{last}"
        status = start(model_dir, last, note, at=dice.randint(1, total), log=log)
        kills += status == -9
        calls += shim.calls(log)[-1:]
        faults += _after(status, model_dir, note, f"killed at {calls[-1]}") if status else []
    status = start(model_dir, persistence.STEPS * (_KILLS + 1), note)
    faults += [f"the start after {calls} ends with {status}"] * bool(status)
    faults += forks.call(_at_the_end, model_dir) if not status else []
    if not faults:
        shutil.rmtree(folder)
    return {"faults": faults, "kills": kills, "calls": calls}


def _after(status: int, model_dir: pathlib.Path, note: pathlib.Path, when: str) -> list[str]:
    """What is wrong after a kill."""
    if status != -9:
        said = note.with_suffix(".said").read_text(errors="replace").strip().splitlines()[-1:]
        return [f"{when}: it ends with {status}, {said}"]
    return [f"{when}: {fault}" for fault in forks.call(look, model_dir, note)]


def look(model_dir: pathlib.Path, note: pathlib.Path) -> list[str]:
    """What a tool that reads a run's folder finds wrong in it, and what the run said of itself."""
    said = note.read_text().splitlines() if note.exists() else []
    faults = [line for line in said if line.endswith("MIXED")]
    saved = [int(match[1]) for line in said if (match := re.fullmatch(r"saved (\d+)", line))]
    begun = [int(match[1]) for line in said if (match := re.fullmatch(r"from (\d+) whole", line))]
    faults += _went_back(said)
    if saved:
        faults += _of_checkpoint(model_dir, saved[-1])
    elif begun and begun[-1]:
        faults += _of_checkpoint(model_dir, begun[-1])
    return faults + of_evaluations(model_dir) + of_evaluations(model_dir / "best")


def _went_back(said: list[str]) -> list[str]:
    """A start that went on from before the last step that had been saved."""
    faults, last = [], 0
    for line in said:
        word, _, rest = line.partition(" ")
        if word == "saved":
            last = int(rest)
        elif word == "from" and int(rest.split()[0]) < last:
            faults.append(f"step {last} was saved, and the next start goes on from {rest}")
    return faults


def _of_checkpoint(model_dir: pathlib.Path, saved: int) -> list[str]:
    """What is wrong with the checkpoints of a run that saved a step: training's, and the one that tools take."""
    from fsaf_tf.run import checkpoints, on_disk

    newest = on_disk.first_readable(on_disk.prefixes(str(model_dir)))[0]
    if not newest or on_disk.number(newest) < saved:
        return [f"step {saved} was saved, and {newest} is the newest that can be read"]
    chosen = checkpoints.choose(str(model_dir))
    return [
        f"{prefix} has numbers of another step" for prefix in (newest, chosen.prefix) if not _is_of_its_step(prefix)
    ]


def _is_of_its_step(prefix: str) -> bool:
    import tensorflow as tf

    from fsaf_tf.run import on_disk

    numbers = tf.train.load_checkpoint(prefix).get_tensor("model/.ATTRIBUTES/VARIABLE_VALUE")
    return on_disk.step_of(prefix) == on_disk.number(prefix) and bool((numbers == on_disk.step_of(prefix)).all())


def of_evaluations(folder: pathlib.Path) -> list[str]:
    """Figures that are not of the detections beside them, and JSON that is not whole."""
    from fsaf_tf.files import storage

    broken = [path for path in folder.glob("*.json") if storage.read_json(str(path)) is None]
    metrics = storage.read_dict(f"{folder}/metrics.json")
    detections = storage.read_json(f"{folder}/detections.json")
    is_of_both = not metrics or (detections and detections[0]["image_id"] == metrics["step"])
    return [f"{path.name} is cut short" for path in broken] + ["figures of other detections"] * (not is_of_both)


def _at_the_end(model_dir: pathlib.Path) -> list[str]:
    """What is wrong with a run that came to its end at last: what lies about, which is the best, what is recorded."""
    from fsaf_tf.files import storage
    from fsaf_tf.run import checkpoints

    last = persistence.STEPS * (_KILLS + 1)
    faults = _of_checkpoint(model_dir, last) + of_evaluations(model_dir) + of_evaluations(model_dir / "best")
    aside = re.compile(r"(unreadable|unfinished)-(best_)?ckpt-\d+\..*")
    wanted = {"checkpoint", "params.yaml", "labels.json", "run.json", "evaluations.json", "metrics.json", "best"}
    wanted |= {"detections.json", "info.json", "train.csv", "validation.csv"}
    whole = re.compile(r"(best_)?ckpt-\d+\.(index|data-00000-of-00001)")
    paths = [path.relative_to(model_dir) for path in model_dir.rglob("*")]
    faults += [
        f"{path} lies about"
        for path in paths
        if path.name not in wanted and not whole.fullmatch(path.name) and not aside.fullmatch(path.name)
    ]
    steps = [row["step"] for row in storage.read_json(f"{model_dir}/evaluations.json")]
    all_steps = list(range(persistence.EVALUATED, last + 1, persistence.EVALUATED))
    faults += [f"evaluations of {steps}"] * (steps != all_steps)
    kept, notes = checkpoints.find_best(f"{model_dir}/best")
    wanted_best = max(steps, key=persistence.figure)
    is_best = kept and os.path.basename(kept) == f"best_ckpt-{wanted_best}" and not notes
    return faults + [f"the best is {kept}, {notes}, not step {wanted_best}"] * (not is_best)
