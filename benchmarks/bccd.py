"""The three detectors on blood cells, from ImageNet weights, under the budget of a run of mmdetection.

    python benchmarks/bccd.py --output=runs/bccd

Trains one after another, each in a process of its own, and goes on where it was stopped. Writes `benchmarks/bccd.json`:
for each run its command, seconds, commit and figures, or the line that it ended with.
"""

import json

import cells
from absl import flags

from fsaf_tf import cli

FLAGS = flags.FlagValues()
OUTPUT = flags.DEFINE_string("output", "runs/bccd", "The folder of the runs.", FLAGS)
# Experiment, further settings, seed. The first three are the comparison; those without settings have the paper's
# constants.
RUNS = [
    ("fsaf_r50", "as_mmdet", 0),
    ("fsaf_r50", "as_mmdet", 1),
    ("fsaf_r50", "as_mmdet", 2),
    ("fsaf_r50", "", 0),
    ("retinanet_r50", "", 0),
    ("ab_fsaf_r50", "", 0),
    ("retinanet_r50", "as_mmdet", 0),
    ("ab_fsaf_r50", "as_mmdet", 0),
    ("fsaf_r50", "as_mmdet+imported", 0),
    ("fsaf_r50", "as_mmdet+random", 0),
]


def main():
    """Runs what is not in the file of results yet."""
    results_file = cells.ROOT / "benchmarks/bccd.json"
    results = json.loads(results_file.read_text()) if results_file.exists() else []
    done = {tuple(result["run"]) for result in results}
    for experiment, settings, seed in RUNS:
        if (experiment, settings, seed) in done:
            continue
        name = "_".join(filter(None, [experiment, settings, str(seed)]))
        files = ["benchmarks/bccd.yaml", *[f"benchmarks/bccd_{each}.yaml" for each in settings.split("+") if each]]
        outcome = cells.train(experiment, files, seed, f"{OUTPUT.value}/{name}")
        results.append({"run": [experiment, settings, seed], **outcome})
        results_file.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    cli.run(main, FLAGS, __doc__)
