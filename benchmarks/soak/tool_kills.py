"""Each tool but training, killed at random moments; then the same command, which ends as if there had been no kill.

After a kill no file under the name of a result is cut short, what the tool reads is as it was, and what is left over
has a name that says so; after the same command nothing is.
"""

import pathlib
import shutil
import signal
import time
from collections.abc import Iterator, Sequence

from benchmarks.soak import compare, forks, tasks, trials

WHAT = f"kills at any moment of {', '.join(tasks.TASKS)}"
EACH = 20  # kills of each tool
TRIALS = EACH * len(tasks.TASKS)
_BACKBONE = "layer_with_weights-0/"  # in the names of its variables


def run(folder: pathlib.Path, numbers: Sequence[int]) -> Iterator[trials.Row]:
    """See `trials.Run`."""
    data, names = folder.parent / "data", list(tasks.TASKS)
    tasks.prepare(data, [names[number % len(names)] for number in numbers])
    before = tasks.inputs(data)
    undisturbed: dict[str, tuple[float, dict[str, str]]] = {}
    for number in numbers:
        name = names[number % len(names)]
        if name not in undisturbed:
            undisturbed[name] = _undisturbed(name, data, folder / f"undisturbed_{name}")
        faults = _trial(name, data, folder / f"trial_{number}", number, *undisturbed[name])
        faults += [f"{name} changed what it reads"] * (tasks.inputs(data) != before)
        if not faults:
            shutil.rmtree(folder / f"trial_{number}")
        yield {"tool": name, "faults": faults, "kills": 1}


def _undisturbed(name: str, data: pathlib.Path, out: pathlib.Path) -> tuple[float, dict[str, str]]:
    """How many seconds a command takes, and what it writes."""
    tasks.new_output(name, data, out)
    start = time.monotonic()
    ended = tasks.run(name, data, out)
    if ended.status:
        raise RuntimeError(f"{name}, which nobody disturbed, ends with {ended.status}: {ended.said}")
    return time.monotonic() - start, forks.call(results, name, out)


def _trial(
    name: str, data: pathlib.Path, out: pathlib.Path, number: int, length: float, wanted: dict[str, str]
) -> list[str]:
    tasks.new_output(name, data, out)
    killed = tasks.run(name, data, out, kill_after=trials.dice("tool_kills", number).uniform(0, length))
    faults = forks.call(compare.unwhole, out)
    if killed.status not in (0, -signal.SIGKILL):
        faults.append(f"{name} ends with {killed.status}: {killed.line}")
    if (out / "imported").exists():  # it was whole before the kill; a second one is refused, as it should be
        shutil.rmtree(out / "imported")
    ended = tasks.run(name, data, out)
    if ended.status:
        return [*faults, f"{name}, once more, ends with {ended.status}: {ended.line}"]
    faults += [f"{name} differs in {each}" for each in compare.differences(wanted, forks.call(results, name, out))]
    return [*faults, *(f"{path} is left over" for path in compare.left_over(out))]


def results(name: str, out: pathlib.Path) -> dict[str, str]:
    """What a command wrote; of an export the newest version alone, asked for what it finds in a picture."""
    if name == "import":  # all but the backbone is random
        return {key: value for key, value in compare.content(out).items() if _BACKBONE in key or "/ckpt-" not in key}
    if name != "saved_model":
        return compare.content(out)
    versions = [int(path.name) for path in (out / "exported").iterdir() if path.name.isdecimal()]
    loaded = [of_saved_model(out / "exported" / str(version)) for version in sorted(versions)]
    return loaded[-1]  # those before it could be loaded


def of_saved_model(version: pathlib.Path) -> dict[str, str]:
    """A digest of each output of a SavedModel for one picture, and of the files beside it."""
    import numpy as np
    import tensorflow as tf

    picture = np.random.default_rng(1).integers(0, 255, [1, 96, 128, 3], np.uint8)
    found = tf.saved_model.load(str(version)).signatures["image_tensor"](inputs=tf.constant(picture))
    return {key: compare.digest(value.numpy().tobytes()) for key, value in sorted(found.items())}
