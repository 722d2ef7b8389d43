"""From how many steps on both branches together are better than each: RetinaNet, FSAF and both, on a small backbone.

    python benchmarks/joint.py --output=runs/joint

trains what is not in `benchmarks/joint/` yet, one run after another, each in a process of its own and with a schedule
of its own length, and goes on where it was stopped. A run of both branches is evaluated by each rule of
`task.model.postprocess.fusion`, and each branch alone. Then, and with --table alone at once, it prints the table of
docs/results.md and draws `docs/images/joint.png`.
"""

import json
import pathlib
import statistics
import subprocess
import sys

import cells
from absl import flags

from fsaf_tf import cli

cli.quiet()

from fsaf_tf.visualize import charts, curves  # noqa: E402

FLAGS = flags.FlagValues()
OUTPUT = flags.DEFINE_string("output", "runs/joint", "The folder of the runs.", FLAGS)
DATA = flags.DEFINE_list("data", ["bccd", "shapes", "bccd_r50"], "Which of the settings to train.", FLAGS)
STEPS = flags.DEFINE_list("steps", ["300", "1000", "3000"], "Which of the lengths to train.", FLAGS)
TABLE = flags.DEFINE_bool("table", False, "Train nothing; print the table of what is there, and draw it.", FLAGS)

RESULTS = cells.ROOT / "benchmarks/joint"
# An experiment, and the files on top of it.
SETTINGS = {
    "bccd": ("custom_edge", ["benchmarks/joint_bccd.yaml"]),
    "shapes": ("custom_edge", ["benchmarks/joint_shapes.yaml"]),
    "bccd_r50": (
        "fsaf_r50",
        ["benchmarks/bccd.yaml", "benchmarks/bccd_as_mmdet.yaml", "benchmarks/bccd_1000.yaml"],
    ),
}
AF, AB = "task.model.anchor_free.enabled", "task.model.anchor_based.enabled"
# As in custom and custom_edge, objects are learnt on the level of their size for a tenth of the steps.
SIZED = "task.model.anchor_free.selection_warmup_share=0.1"
RECIPES = {
    "retinanet": f"{AF}=false,{AB}=true",
    "fsaf": f"{AF}=true,{AB}=false,{SIZED}",
    "joint": f"{AF}=true,{AB}=true,{SIZED}",
}
CELLS = [
    (data, steps, recipe, seed)
    for steps, seeds in ((300, 3), (1000, 3), (3000, 1))
    for data in ("bccd", "shapes")
    for seed in range(seeds)
    for recipe in RECIPES
]
CELLS += [("bccd_r50", 1000, recipe, 0) for recipe in RECIPES]
# What a run is evaluated as, by the run that has it: a row of the table and a line of the figure.
ROWS = {
    "RetinaNet": ("retinanet", "both"),
    "FSAF": ("fsaf", "both"),
    "both, mean of their boxes": ("joint", "mean"),
    "both, one suppression": ("joint", "both"),
    "of both, the anchor-free": ("joint", "anchor_free"),
    "of both, the anchor-based": ("joint", "anchor_based"),
}
SHOWN = ("AP", "AP50", "AP75")


def result_file(data: str, steps: int, recipe: str, seed: int) -> pathlib.Path:
    """Where a cell is kept."""
    return RESULTS / f"{data}_{steps}_{recipe}_{seed}.json"


def outcome_of(data: str, steps: int, recipe: str, seed: int) -> dict:
    """Trains a cell and evaluates its last checkpoint; AP, AP50 and AP75 by what finds."""
    experiment, files = SETTINGS[data]
    folder = f"{OUTPUT.value}/{data}_{steps}_{recipe}_{seed}"
    overrides = f"{RECIPES[recipe]},trainer.train_steps={steps},trainer.validation_interval={steps}"
    outcome = cells.train(experiment, files, seed, folder, overrides)
    if "error" in outcome:
        return outcome
    metrics = outcome.pop("metrics")
    found = {"both": metrics, **metrics.get("branches", {})}
    if recipe == "joint":
        found["mean"] = _evaluated(folder, "task.model.postprocess.fusion=mean")
    by_part = {name: {key: figures[key] for key in SHOWN} for name, figures in found.items()}
    return {**outcome, "metrics": by_part, "levels": metrics.get("levels", {})}


def _evaluated(folder: str, override: str) -> dict:
    """The newest checkpoint of a run, with another key."""
    words = ["tools/train.py", "--mode=eval", f"--model_dir={folder}", "--checkpoint=newest"]
    subprocess.run([sys.executable, *words, f"--params_override={override}"], cwd=cells.ROOT, check=True)
    return json.loads((cells.ROOT / folder / "metrics.json").read_text())


def read(data: str, steps: int, row: str) -> list[dict]:
    """The figures of a row, of each seed that has ended."""
    recipe, part = ROWS[row]
    ended = [json.loads(file.read_text()) for file in sorted(RESULTS.glob(f"{data}_{steps}_{recipe}_*.json"))]
    return [outcome["metrics"][part] for outcome in ended if "metrics" in outcome]


def lengths(data: str) -> list[int]:
    """The steps of which a setting has cells."""
    return sorted({steps for name, steps, *_ in CELLS if name == data})


def table(data: str) -> str:
    """The rows on one data set in Markdown."""
    lines = ["| " + " | ".join([f"`{data}`", *(f"{key}, {steps:,}" for steps in lengths(data) for key in SHOWN)])]
    lines[0] += " |\n" + "|---" * (1 + len(SHOWN) * len(lengths(data))) + "|"
    for row in ROWS:
        seeds = [read(data, steps, row) for steps in lengths(data)]
        figures = [cells.mean_and_spread([run[key] for run in runs]) for runs in seeds for key in SHOWN]
        lines.append(f"| {row} | " + " | ".join(figures) + " |")
    return "\n".join(lines)


def draw() -> None:
    """AP against steps: a line for the mean of the seeds, a point for each of them."""
    names = [data for data in SETTINGS if len(lengths(data)) > 1]
    with charts.style():
        figure = charts.new(5.5 * len(names), 4.2)
        charts.heading(figure, "Both branches beside each alone, by the steps of a run")
        for axes, data in zip(figure.subplots(1, len(names), sharey=True, squeeze=False)[0], names):
            for row, colour in zip(ROWS, curves.COLOURS):
                ended = {steps: [run["AP"] for run in read(data, steps, row)] for steps in lengths(data)}
                points = [(steps, value) for steps, values in ended.items() for value in values]
                means = [(steps, statistics.mean(values)) for steps, values in ended.items() if values]
                line = "--" if ROWS[row][0] == "joint" else "-"
                axes.plot(*zip(*means), line, color=colour, label=row) if means else None
                axes.plot(*zip(*points), "o", color=colour, markersize=3.5) if points else None
            axes.set_xscale("log")
            axes.set_xticks(lengths(data), [f"{steps:,}" for steps in lengths(data)])
            axes.set_title(data, loc="left")
            axes.set_xlabel("steps, each with a schedule of its own")
        figure.axes[0].set_ylabel("AP, validation")
        figure.axes[-1].legend(fontsize=8)
        figure.savefig(cells.ROOT / "docs/images/joint.png")


def main():
    """Trains and prints."""
    if not TABLE.value:
        wanted = [cell for cell in CELLS if cell[0] in DATA.value and str(cell[1]) in STEPS.value]
        cells.run_missing([cell for cell in wanted if not result_file(*cell).exists()], result_file, outcome_of)
    print(*(table(data) for data in SETTINGS), sep="\n\n")
    draw()


if __name__ == "__main__":
    cli.run(main, FLAGS, __doc__)
