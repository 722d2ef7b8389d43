"""The ablation of Table 1 at a size that a CPU can train: its five rows, and more, under one budget.

    python benchmarks/table1.py --output=runs/table1

trains what is not in `benchmarks/table1/` yet, one run after another, each in a process of its own, and goes on where
it was stopped. A run that ends is written to `benchmarks/table1/<data>_<experiment>_<seed>.json` at once: command,
seconds, commit and figures, or the line that it ended with. Then, and with --table alone at once, it prints the tables
of docs/results.md: the mean of the seeds and their standard deviation.
"""

import json
from typing import NamedTuple

import cells
from absl import flags

from fsaf_tf import cli
from fsaf_tf.errors import UserError

FLAGS = flags.FlagValues()
OUTPUT = flags.DEFINE_string("output", "runs/table1", "The folder of the runs.", FLAGS)
DATA = flags.DEFINE_list("data", [], "Settings to train, of these: shapes, bccd, ..; all if not given.", FLAGS)
TABLE = flags.DEFINE_bool("table", False, "Train nothing; print the tables of what is there.", FLAGS)

RESULTS = cells.ROOT / "benchmarks/table1"


class Row(NamedTuple):
    """A row of Table 1, from above: `paper` is the paper's AP on COCO minival, if the row is in the paper."""

    label: str
    paper: float | None
    experiment: str
    overrides: str = ""


# For the first tenth of the steps Eq. 3, or a level drawn at random: docs/selection.md.
SIZED = "task.model.anchor_free.selection_warmup_share=0.1"
RANDOM = f"{SIZED},task.model.anchor_free.selection_warmup=random"
ROWS = {
    "retinanet_r50": Row("RetinaNet", 35.7, "retinanet_r50"),
    "fsaf_r50_heuristic": Row("FSAF, heuristic", 34.7, "fsaf_r50_heuristic"),
    "fsaf_r50": Row("FSAF, online", 35.9, "fsaf_r50"),
    "fsaf_r50_sized": Row("FSAF, online after Eq. 3", None, "fsaf_r50", SIZED),
    "fsaf_r50_random": Row("FSAF, online after random levels", None, "fsaf_r50", RANDOM),
    "ab_fsaf_r50_heuristic": Row("AB+FSAF, heuristic", 36.1, "ab_fsaf_r50_heuristic"),
    "ab_fsaf_r50": Row("AB+FSAF, online", 37.2, "ab_fsaf_r50"),
    "ab_fsaf_r50_sized": Row("AB+FSAF, online after Eq. 3", None, "ab_fsaf_r50", SIZED),
}
SETTINGS = {
    "shapes": ["benchmarks/table1_shapes.yaml"],
    "shapes_1800": ["benchmarks/table1_shapes.yaml", "benchmarks/table1_shapes_1800.yaml"],
    "bccd": ["benchmarks/bccd.yaml", "benchmarks/table1_bccd.yaml"],
    "bccd_600": ["benchmarks/bccd.yaml", "benchmarks/table1_bccd.yaml", "benchmarks/table1_bccd_600.yaml"],
}
CELLS = [(data, row, seed) for seed in range(3) for data in ("shapes", "bccd") for row in ROWS]
# What the order of the two selections is after more steps.
MORE_STEPS = [("shapes_1800", 1), ("shapes_1800", 0), ("shapes_1800", 2), ("bccd_600", 0)]
CELLS += [(data, row, seed) for data, seed in MORE_STEPS for row in ("fsaf_r50_heuristic", "fsaf_r50")]
COLUMNS = {
    "AP": "AP",
    "AP50": "AP50",
    "AP75": "AP75",
    "AP_S": "APs",
    "AP_M": "APm",
    "AP_L": "APl",
    "AR100": "AR100",
    "AP thin": "AP_thin",
}


def result_file(data: str, row: str, seed: int):
    """Where a cell is kept."""
    return RESULTS / f"{data}_{row}_{seed}.json"


def read(data: str, row: str) -> list[dict]:
    """The finished cells of a row, all seeds."""
    return [json.loads(file.read_text()) for file in sorted(RESULTS.glob(f"{data}_{row}_[0-9]*.json"))]


def table(data: str) -> str:
    """The rows on one data set in Markdown."""
    lines = [f"| `{data}` | paper | seeds | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 3) + "|"]
    for row, (name, paper, *_) in ROWS.items():
        ended = read(data, row)
        if not ended:
            continue
        metrics = [cell["metrics"] for cell in ended if "metrics" in cell]
        # None where there is no object of that kind.
        found = [[run[key] for run in metrics if run[key] is not None] for key in COLUMNS.values()]
        figures = [cells.mean_and_spread(values) for values in found]
        failed = f", {len(ended) - len(metrics)} failed" if len(metrics) < len(ended) else ""
        lines.append(f"| {name} | {paper or ''} | {len(metrics)}{failed} | " + " | ".join(figures) + " |")
    return "\n".join(lines)


def outcome_of(data: str, row: str, seed: int) -> dict:
    """Trains a cell."""
    folder, experiment = f"{OUTPUT.value}/{data}_{row}_{seed}", ROWS[row].experiment
    outcome = cells.train(experiment, SETTINGS[data], seed, folder, ROWS[row].overrides)
    return {"data": data, "experiment": experiment, "seed": seed, **outcome}


def train():
    """Runs the cells that are not there."""
    left = [cell for cell in CELLS if not result_file(*cell).exists() and (not DATA.value or cell[0] in DATA.value)]
    cells.run_missing(left, result_file, outcome_of)


def main():
    """Trains and prints."""
    if not TABLE.value:
        train()
    elif not RESULTS.exists():
        raise UserError(f"{RESULTS} is not there; run without --table first")
    print(*(table(data) for data in SETTINGS), sep="\n\n")


if __name__ == "__main__":
    cli.run(main, FLAGS, __doc__)
