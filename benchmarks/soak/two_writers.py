"""Two commands that write to one place at once: one is refused by name, or both end whole, as the documents say.

The second starts while the first is at its work: at a random moment of it. What is there afterwards is of one of them
alone, whole, as if the other had never been, or had come later.
"""

import functools
import pathlib
import shutil
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.soak import compare, forks, persistence, scene, tasks, tool_kills, trials


class Pair(NamedTuple):
    """Two commands.

    Attributes:
        first, second: of `tasks`, or `records`, what a training writes, or `training`, a real one, or `watching`, an
            evaluation of each new checkpoint.
        both: they may both come to their ends.
    """

    first: str
    second: str
    both: bool = False


RECORDS, TRAINING, WATCHING = "records", tasks.TRAINING, "watching"
PAIRS = (
    Pair(RECORDS, RECORDS),
    Pair(TRAINING, TRAINING),
    Pair("eval", "eval"),
    Pair(TRAINING, "eval"),
    Pair(TRAINING, WATCHING),  # the training is one that evaluates, too
    Pair("predict", "predict"),
    Pair("predict", "predict_video"),
    Pair("saved_model", "saved_model", both=True),
    Pair("tflite", "tflite", both=True),
    Pair("import", "import"),
)
EACH = 3
WHAT = "two at once: " + ", ".join(f"{pair.first} and {pair.second}" for pair in PAIRS)
TRIALS = EACH * len(PAIRS)


def run(folder: pathlib.Path, numbers: Sequence[int]) -> Iterator[trials.Row]:
    """See `trials.Run`."""
    data = folder.parent / "data"
    tasks.prepare(data, [PAIRS[number % len(PAIRS)].first for number in numbers])
    known: dict[str, tuple[float, list[dict[str, str]]]] = {}
    for number in numbers:
        pair = PAIRS[number % len(PAIRS)]
        key = f"{pair.first}_{pair.second}"
        if key not in known:
            known[key] = _alone(pair, data, folder / f"alone_{key}")
        length, wanted = known[key]
        wait = trials.dice("two_writers", number).uniform(0, length / 2)
        refused, faults = trial(pair, data, folder / f"trial_{number}", wait, wanted)
        if not faults:
            shutil.rmtree(folder / f"trial_{number}")
        yield {"pair": key, "faults": faults, "refused": refused}


def _start(name: str, data: pathlib.Path, out: pathlib.Path, log: pathlib.Path) -> int:
    if name == RECORDS:
        main = functools.partial(persistence.main, out / "run", persistence.STEPS, log.with_suffix(".note"))
        return forks.start_main(main, [name], log)
    if name not in (TRAINING, WATCHING):
        return forks.start_tool(tasks.words(name, data, out), log)
    steps = f"--params_override=trainer.train_steps={scene.STEPS + scene.SAVED},trainer.continuous_eval_timeout=1"
    words = ["train", f"--experiment={data}/tiny.yaml", f"--model_dir={out}/run", steps]
    return forks.start_tool([*words, "--mode=continuous_eval"] if name == WATCHING else words, log)


def _prepare(pair: Pair, data: pathlib.Path, out: pathlib.Path) -> None:
    tasks.new_output("eval" if "eval" in pair else pair.first, data, out)
    if TRAINING in pair and not (out / "run").exists():
        shutil.copytree(data / "undisturbed", out / "run")


def _alone(pair: Pair, data: pathlib.Path, out: pathlib.Path) -> tuple[float, list[dict[str, str]]]:
    """How long the first takes by itself, and what is there after one of them, or one after the other."""
    lengths, results, log = [], [], out.with_suffix(".log")
    orders = [(pair.first,), (pair.second,), tuple(pair[:2]), (pair.second, pair.first)]
    for order in dict.fromkeys(orders):
        _prepare(pair, data, out)
        start = time.monotonic()
        for place, name in enumerate(order):
            ended = forks.end_tool(_start(name, data, out, log), log)
            if ended.status and not (place and _is_refusal(ended)):
                raise RuntimeError(f"{name} ends with {ended.status}: {ended.said}")
        lengths.append(time.monotonic() - start)
        results.append(forks.call(tool_kills.results, pair.first, out))
    return lengths[0], results


def trial(
    pair: Pair, data: pathlib.Path, out: pathlib.Path, wait: float, wanted: Sequence[dict[str, str]]
) -> tuple[int, list[str]]:
    """Both of a pair, the second so many seconds after the first; how many were refused, and what is wrong."""
    _prepare(pair, data, out)
    logs = [out.with_suffix(f".{number}.log") for number in (1, 2)]
    first = _start(pair.first, data, out, logs[0])
    time.sleep(wait)
    second = _start(pair.second, data, out, logs[1])
    ended = [forks.end_tool(child, log) for child, log in zip((first, second), logs)]
    refused = [one for one in ended if one.status]
    faults = forks.call(compare.unwhole, out)
    faults += [f"it ends with {one.status}: {one.line}" for one in refused if not _is_refusal(one)]
    if len(refused) == len(ended):
        faults.append("both are refused")
    if pair.both and refused:
        faults.append(f"one is refused: {refused[0].line}")
    there = forks.call(tool_kills.results, pair.first, out)
    if all(compare.differences(each, there) for each in wanted):
        faults.append(f"what is there is neither's alone: {compare.differences(wanted[0], there)}")
    return len(refused), [*faults, *(f"{path} is left over" for path in compare.left_over(out))]


def _is_refusal(one: forks.Ended) -> bool:
    """Whether a command was refused because of the other, whose process or whose output it names."""
    words = ("is in use: ", "is there already", "the folder is not empty")
    return one.status == 1 and one.line.startswith("error: ") and any(each in one.line for each in words)
