"""Memory over 2,000 steps of a training, and over 2,000 predictions on pictures of many sizes.

Resident memory is looked at after every hundredth part. After the first quarter, in which caches fill and functions are
traced, it may grow by no more than `BOUND` a thousand.
"""

import os
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from benchmarks.soak import forks, tasks, trials
from fsaf_tf.run import on_disk

COUNT = 2000
EACH = 100  # between two looks
BOUND = 20.0  # MiB a thousand steps or predictions, after the first quarter
# Height and width: sides of all kinds, so that what is kept for each size would show.
_SIZES = [(48 + 16 * (7 * n % 13), 48 + 16 * (5 * n % 17)) for n in range(221)]


def run(folder: pathlib.Path, numbers: Sequence[int]) -> Iterator[trials.Row]:
    """See `trials.Run`."""
    data = folder.parent / "data"
    tasks.prepare(data, [tasks.TRAINING])
    for number in numbers:
        name = list(_CASES)[number]
        looks = _CASES[name](data, folder, COUNT)
        growth = slope(looks)
        shown = [f"it grows by {growth:.0f} MiB a thousand"] * (growth > BOUND)
        yield {"case": name, "faults": shown, "mib": [round(look) for look in looks], "slope": round(growth, 1)}


def slope(looks: Sequence[float]) -> float:
    """MiB a thousand, by least squares, over all looks after the first quarter."""
    kept = np.array(looks[len(looks) // 4 :])
    return float(np.polyfit(np.arange(len(kept)) * EACH / 1000, kept, 1)[0]) if len(kept) > 1 else 0.0


def resident(process: int | str = "self") -> float:
    """MiB of resident memory of a process of this machine."""
    words = pathlib.Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()
    return int(words[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def _of_training(data: pathlib.Path, folder: pathlib.Path, count: int) -> list[float]:
    """A training in a child, looked at from outside at each of its checkpoints."""
    model_dir, log = folder / "run", folder / "run.log"
    shutil.rmtree(model_dir, ignore_errors=True)
    keys = f"trainer.train_steps={count},trainer.checkpoint_interval={EACH},trainer.validation_interval={5 * EACH}"
    words = ["train", f"--experiment={data}/tiny.yaml", f"--model_dir={model_dir}", f"--params_override={keys}"]
    child, looks = forks.start_tool(words, log), []
    while (status := forks.wait(child, 0.2)) is None:
        steps = [on_disk.number(prefix) for prefix in on_disk.prefixes(str(model_dir))]
        if steps and steps[0] >= EACH * (len(looks) + 1):
            looks.append(resident(child))
    if status or len(looks) < count // EACH - 2:
        raise RuntimeError(f"the training ends with {status} after {len(looks)} looks; see {log}")
    return looks


def _of_detector(data: pathlib.Path, folder: pathlib.Path, count: int, **options) -> list[float]:
    """Predictions of the run's detector."""

    def detect() -> Callable:
        import fsaf_tf

        detector = fsaf_tf.load_detector(str(data / "undisturbed"))
        return lambda picture: detector(picture, **options)

    return forks.call(_looks, detect, count)


def _of_saved_model(data: pathlib.Path, folder: pathlib.Path, count: int) -> list[float]:
    """Requests to both signatures of an export that take pictures, in turn."""
    out = tasks.new_output("saved_model", data, folder / "saved_model")
    ended = tasks.run("saved_model", data, out)
    if ended.status:
        raise RuntimeError(ended.said)

    def detect() -> Callable:
        import tensorflow as tf

        functions = tf.saved_model.load(str(out / "exported/1")).signatures

        def ask(picture: np.ndarray) -> None:
            functions["image_tensor"](inputs=tf.constant(picture[None]))
            functions["serving_default"](inputs=tf.io.encode_png(picture)[None])

        return ask

    return forks.call(_looks, detect, count)


def _looks(make: Callable[[], Callable], count: int) -> list[float]:
    detect, looks, random = make(), [], np.random.default_rng(0)
    for number in range(1, count + 1):
        height, width = _SIZES[number % len(_SIZES)]
        detect(random.integers(0, 255, [height, width, 3], np.uint8))
        if number % EACH == 0:
            looks.append(resident())
    return looks


_CASES = {
    "training": _of_training,
    "load_detector": _of_detector,
    "load_detector without resizing": lambda *arguments: _of_detector(*arguments, resize=False),
    "SavedModel": _of_saved_model,
}
TRIALS = len(_CASES)
WHAT = f"{COUNT} steps of a training, and {COUNT} predictions each of {', '.join(list(_CASES)[1:])}"
