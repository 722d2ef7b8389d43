"""A soak: what a machine does to this program in months, in hours.

    make soak                                                    # some three hours on two cores
    python -m benchmarks.soak --parts=training_kills,disk_full   # some of its parts
    python -m benchmarks.soak --trials=2                         # of each part the first two trials

Each trial has its own seed and adds a line to OUTPUT/PART.jsonl; the same command goes on with the trials that are not
made yet. At the end stands a table, and the exit status is 1 if any trial has a fault. docs/reliability.md says what
each part does. gcc is wanted.
"""

import importlib
import os
import pathlib
import sys

from absl import flags

from benchmarks.soak import forks, scene, shim, trials
from fsaf_tf import cli
from fsaf_tf.errors import UserError

# The shortest first, so that what is wrong shows early.
PARTS = ("persistence_kills", "fuzz", "two_writers", "flat_memory", "training_kills", "disk_full", "tool_kills")
_FUZZ_CASES = 10_000

_FLAGS = flags.FlagValues()
_PARTS = flags.DEFINE_list("parts", list(PARTS), "Which, with commas.", flag_values=_FLAGS)
_OUTPUT = flags.DEFINE_string("output", "runs/soak", "Folder for results and work.", flag_values=_FLAGS)
_TRIALS = flags.DEFINE_integer("trials", 0, "Of each part only so many; 0: all.", lower_bound=0, flag_values=_FLAGS)


def _part(name: str) -> trials.Part:
    """A part by its module: `WHAT`, `TRIALS`, and `run`, as `trials.Run`. It is imported when it is wanted."""
    if name == "fuzz":
        return trials.Part(f"{_FUZZ_CASES:,} damaged or odd inputs", 1, _fuzz)
    module = importlib.import_module(f"benchmarks.soak.{name}")
    return trials.Part(module.WHAT, min(module.TRIALS, _TRIALS.value or module.TRIALS), module.run)


def _fuzz(folder: pathlib.Path, numbers):
    try:
        fuzz = importlib.import_module("benchmarks.soak.fuzz")
    except ModuleNotFoundError:
        raise UserError("benchmarks/soak/fuzz.py is not there; leave fuzz out of --parts") from None
    for _ in numbers:
        result = fuzz.run(folder, _TRIALS.value or _FUZZ_CASES)
        yield {**result, "faults": [str(fault) for fault in result.get("faults", ())]}


def _soak() -> None:
    unknown = [name for name in _PARTS.value if name not in PARTS]
    if unknown:
        raise UserError(f"--parts has no {unknown[0]}; there are {', '.join(PARTS)}")
    output = pathlib.Path(_OUTPUT.value).resolve()
    library = shim.build(output)
    if not shim.is_loaded():
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.soak", *sys.argv[1:]], shim.environment(library))
    os.environ.pop("LD_PRELOAD")  # of this process and its forks alone
    os.environ["PYTHONPATH"] = str(scene.ROOT)  # of the tools in processes of their own: this checkout
    parts = {name: _part(name) for name in _PARTS.value}
    forks.warm_up()
    for name, part in parts.items():
        trials.run(name, part, output)
    lines, bad = trials.table(parts, output)
    (output / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(*lines, sep="\n")
    if bad:
        raise UserError(f"{bad} trials have a fault; see {output}/*.jsonl")


if __name__ == "__main__":
    cli.run(_soak, _FLAGS, __doc__)
