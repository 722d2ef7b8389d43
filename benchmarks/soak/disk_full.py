"""Each tool on a disk that gets full, at one call after the other: every write, new file, folder and renaming.

From that call on nothing more can be written. The tool ends with exit status 1 and one line, or goes on where
docs/reliability.md says so; what was there before is whole, no new file is cut short; and with space again the same
command ends as if nothing had been.
"""

import errno
import functools
import pathlib
import shutil
from collections.abc import Iterator, Sequence

from benchmarks.soak import compare, forks, persistence, persistence_kills, scene, shim, tasks, tool_kills, trials
from fsaf_tf.run import on_disk

RECORDS, TRAINING = "records", tasks.TRAINING  # what a training writes, without a network; a real one
_TOOLS = (RECORDS, TRAINING, *tasks.TASKS)
WHAT = f"full disks, at one call after the other, of {', '.join(_TOOLS)}"
_TENSORFLOWS = "_temp"  # in the name of a folder in which TensorFlow writes a checkpoint: the next start takes it away
EACH = 10  # calls of each tool, spread evenly over all that it makes
TRIALS = EACH * len(_TOOLS)


def run(folder: pathlib.Path, numbers: Sequence[int]) -> Iterator[trials.Row]:
    """See `trials.Run`."""
    data = folder.parent / "data"
    tasks.prepare(data, [_TOOLS[number % len(_TOOLS)] for number in numbers])
    known: dict[str, tuple[list[str], dict[str, str]]] = {}
    for number in numbers:
        name, place = _TOOLS[number % len(_TOOLS)], number // len(_TOOLS)
        if name not in known:
            known[name] = _undisturbed(name, data, folder / f"undisturbed_{name}")
        calls, wanted = known[name]
        at = 1 + place * len(calls) // EACH
        faults = trial(name, data, folder / f"trial_{number}", at, wanted)
        if not faults:
            shutil.rmtree(folder / f"trial_{number}")
        yield {"tool": name, "call": calls[at - 1], "of": str(len(calls)), "faults": faults}


def _run(name: str, data: pathlib.Path, out: pathlib.Path, at: int, log: pathlib.Path | None = None) -> forks.Ended:
    """A command on a disk that is full from call `at` on; 0: never."""

    def arm() -> None:
        shim.arm(out, at, errno.ENOSPC, log)

    said = out.with_suffix(".log")
    if name == RECORDS:
        main = functools.partial(persistence.main, out / "run", 2 * persistence.STEPS, out.with_suffix(".note"))
        return forks.end_tool(forks.start_main(main, [name], said, arm), said)
    if name != TRAINING:
        return tasks.run(name, data, out, arm)
    words = ["train", f"--experiment={data}/tiny.yaml", f"--model_dir={out}/run"]
    steps = f"--params_override=trainer.train_steps={scene.STEPS + scene.SAVED}"
    return forks.end_tool(forks.start_tool([*words, steps], said, arm), said)


def _new_output(name: str, data: pathlib.Path, out: pathlib.Path) -> None:
    """For a training a run, which goes on for some steps, evaluates and saves."""
    tasks.new_output(name, data, out)
    if name == RECORDS:
        out.with_suffix(".note").unlink(missing_ok=True)
        persistence_kills.start(out / "run", persistence.STEPS, out.with_suffix(".note"))
    if name == TRAINING:
        shutil.copytree(data / "undisturbed", out / "run")


def _undisturbed(name: str, data: pathlib.Path, out: pathlib.Path) -> tuple[list[str], dict[str, str]]:
    """The calls that a command makes, and what it writes."""
    _new_output(name, data, out)
    log = out.with_suffix(".calls")
    log.unlink(missing_ok=True)
    ended = _run(name, data, out, 0, log)
    if ended.status:
        raise RuntimeError(f"{name}, which nobody disturbed, ends with {ended.status}: {ended.said}")
    return shim.calls(log), forks.call(tool_kills.results, name, out)


def trial(name: str, data: pathlib.Path, out: pathlib.Path, at: int, wanted: dict[str, str]) -> list[str]:
    """What is wrong with a command on a full disk, and with the same once there is space."""
    _new_output(name, data, out)
    before = forks.call(_newest, out / "run")
    full = _run(name, data, out, at)
    faults = forks.call(compare.unwhole, out)
    if full.status not in (0, 1) or "Traceback" in full.said:
        faults.append(f"it ends with {full.status}: {full.line}")
    elif full.status == 1 and not full.line.startswith("error: "):
        faults.append(f"its last line is {full.line}")
    if full.status == 0 and name not in (RECORDS, TRAINING) and (lost := compare.differences(wanted, _now(name, out))):
        faults.append(f"it says nothing, and {lost} are missing")
    left = [path for path in compare.left_over(out) if ".unfinished" not in path.name]  # which is kept, as it should be
    faults += [f"{path} is left over" for path in left if _TENSORFLOWS not in str(path)]
    faults += ["the checkpoint of before is gone"] * (forks.call(_newest, out / "run") < before)
    ended = _run(name, data, out, 0)
    if ended.status:
        return [*faults, f"with space it ends with {ended.status}: {ended.line}"]
    faults += [f"with space {path} is left over" for path in compare.left_over(out)]
    return [*faults, *(f"with space it differs in {each}" for each in compare.differences(wanted, _now(name, out)))]


def _newest(model_dir: pathlib.Path) -> int:
    """The step of the newest checkpoint that can be read; 0 where there is none."""
    prefix = on_disk.first_readable(on_disk.prefixes(str(model_dir)))[0]
    return on_disk.number(prefix) if prefix else 0


def _now(name: str, out: pathlib.Path) -> dict[str, str]:
    return forks.call(tool_kills.results, name, out)
