"""One experiment with several seeds: mean, least, greatest and spread of AP, by class and by branch, and the levels.

    python benchmarks/seeds.py --experiment=fsaf_r50 --config_file=benchmarks/bccd.yaml --output=runs/seeds/a

trains the seeds one after the other, each in a process of its own as its user would, into OUTPUT/<seed>. It goes on
where it was stopped. The table is printed and, with every figure, written to OUTPUT/seeds.json.

Machines differ, and so a budget is named by what it costs in the time of 100 steps of `fsaf_r50` at 320 x 240, 4 images
a step, on the same machine, which is measured once into OUTPUT/reference.json.
"""

import json
import pathlib
import statistics
import time

import cells
from absl import flags

from fsaf_tf import cli

cli.quiet()

import tensorflow as tf  # noqa: E402

from fsaf_tf.config import experiment  # noqa: E402
from fsaf_tf.errors import UserError  # noqa: E402
from fsaf_tf.evaluate import metrics_table  # noqa: E402
from fsaf_tf.files import storage  # noqa: E402
from fsaf_tf.modeling.detector import build_detector  # noqa: E402
from fsaf_tf.run.task import FSAFTask  # noqa: E402

FLAGS = flags.FlagValues()
EXPERIMENT = flags.DEFINE_string("experiment", None, "As of tools/train.py.", FLAGS)
CONFIG_FILE = flags.DEFINE_list("config_file", [], "Files on top of it.", FLAGS)
OVERRIDE = flags.DEFINE_string("params_override", "", "Keys on top of these, as of tools/train.py.", FLAGS)
SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Values of task.train_data.seed.", FLAGS)
OUTPUT = flags.DEFINE_string("output", None, "The folder of the runs.", FLAGS)
TABLE = flags.DEFINE_bool("table", False, "Train nothing; print the table of what is there.", FLAGS)

REFERENCE_STEPS, WARM = 100, 10
SHOWN = ("AP", "AP50", "AP75", "APs", "APm", "APl")


def train(seed: int, folder: pathlib.Path) -> None:
    """One seed, if it is not there: what `cells.train` returns."""
    result = folder / f"{seed}.json"
    if result.exists():
        return
    outcome = cells.train(EXPERIMENT.value, CONFIG_FILE.value, seed, f"{folder}/{seed}", OVERRIDE.value)
    storage.write_json(str(result), {"seed": seed, **outcome})


def reference_seconds(folder: pathlib.Path) -> float:
    """Seconds of 100 steps of `fsaf_r50` at 320 x 240, 4 random pictures a step; measured once a folder."""
    path = folder / "reference.json"
    if not path.exists():
        storage.write_json(str(path), {"seconds": _measure_reference()})
    return json.loads(path.read_text())["seconds"]


def _measure_reference() -> float:
    overrides = "task.model.backbone.resnet.weights='',task.model.num_classes=3"
    params = experiment.load("fsaf_r50", overrides=overrides)
    task, draw = FSAFTask(params.task), tf.random.Generator.from_seed(0)
    model = build_detector(params.task.model, 3)
    optimizer = task.create_optimizer(params.trainer.optimizer_config)
    corner = draw.uniform([4, 12, 2], 0, 200)
    batch = {
        "image": tf.cast(draw.uniform([4, 256, 320, 3], 0, 255), tf.uint8),
        "image_size": tf.constant([[240, 320]] * 4),
        "image_id": tf.range(4, dtype=tf.int64),
        "boxes": tf.concat([corner, corner + draw.uniform([4, 12, 2], 15, 100)], axis=-1),
        "classes": tf.zeros([4, 12], tf.int32),
        "valid": tf.ones([4, 12], tf.bool),
        "left_out": tf.zeros([4], tf.int32),
    }
    step = tf.function(lambda: task.train_step(batch, model, optimizer))
    for _ in range(WARM):
        step()
    start = time.monotonic()
    for number in range(REFERENCE_STEPS):
        step()
        print(f"\rreference: {number + 1}/{REFERENCE_STEPS} steps", end="", flush=True)
    print()
    return time.monotonic() - start


def table(rows: list[dict], reference: float) -> str:
    """All seeds and what they have in common, in Markdown."""
    ended = [row for row in rows if "metrics" in row]
    lines = [f"| seed | {' | '.join(SHOWN)} | levels | by branch | time |", "|---" * (len(SHOWN) + 4) + "|"]
    for row in rows:
        if "error" in row:
            lines.append(f"| {row['seed']} | {row['error']} " + "| " * (len(SHOWN) + 2) + "|")
            continue
        all_figures = " | ".join(_figure(row["metrics"][name]) for name in SHOWN)
        of_branches = row["metrics"].get("branches", {})
        branches = ", ".join(f"{name} {_figure(figures['AP'])}" for name, figures in of_branches.items())
        seconds = f"{row['seconds'] / reference:.1f}"
        lines.append(f"| {row['seed']} | {all_figures} | {_levels(row['metrics'])} | {branches} | {seconds} |")
    for name, summary in (("mean", statistics.mean), ("least", min), ("greatest", max), ("spread", _spread)):
        values = [[row["metrics"][key] for row in ended if row["metrics"][key] is not None] for key in SHOWN]
        lines.append(f"| **{name}** | {' | '.join(_figure(summary(each)) if each else '' for each in values)} | | | |")
    classes = {name: [row["metrics"]["AP_by_class"][name] for row in ended] for name in _classes(ended)}
    by_class = ", ".join(f"{name} {_figure(statistics.mean(values))}" for name, values in classes.items())
    return "\n".join([*lines, "", f"AP by class, mean: {by_class}. Time: in 100 steps of the reference."])


def _classes(ended: list[dict]) -> list[str]:
    """Those that have an AP with every seed."""
    rows = [row["metrics"]["AP_by_class"] for row in ended]
    return [name for name in rows[0] if all(row[name] is not None for row in rows)] if rows else []


def _spread(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _levels(metrics: dict) -> str:
    return metrics_table.level_shares(metrics.get("levels", {}))


def main():
    """Trains what is not there, and prints."""
    if not (EXPERIMENT.value and OUTPUT.value):
        raise UserError("--experiment and --output are needed (--help says more)")
    folder, seeds = pathlib.Path(OUTPUT.value).absolute(), [int(seed) for seed in SEEDS.value]
    folder.mkdir(parents=True, exist_ok=True)
    if not TABLE.value:
        start = time.time()
        for number, seed in enumerate(seeds):
            eta = f", ETA {(time.time() - start) / number * (len(seeds) - number) / 60:.0f} min" if number else ""
            print(f"--- seed {seed}, {number + 1} of {len(seeds)}{eta}", flush=True)
            train(seed, folder)
    rows = [json.loads(path.read_text()) for seed in seeds if (path := folder / f"{seed}.json").exists()]
    if not any("metrics" in row for row in rows):
        raise UserError(f"no seed has ended in {folder}; run without --table, or see its error lines: {rows}")
    reference = reference_seconds(folder)
    storage.write_json(str(folder / "seeds.json"), {"reference_seconds": reference, "seeds": rows})
    print(table(rows, reference))


if __name__ == "__main__":
    cli.run(main, FLAGS, __doc__)
