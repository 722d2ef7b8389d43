"""Tables and curves of what `train.py` wrote.

    python benchmarks/accelerator/report.py RESULTS.jsonl [CURVES.png NAME NAME ..]

A job's name ends in its seed, ` s0`; what is before it is a row of the table. The curves are those of the named jobs:
the levels' shares of the objects, and what an object would lose in the mean on each level (Eq. 1).
"""

import collections
import json
import pathlib
import statistics
import sys

import numpy as np

from fsaf_tf.visualize import charts

SPLITS = ("val", "test")
FIGURES = ("AP", "AP50", "AP75")
TICKS = (0.5, 1, 2, 5)  # of the losses


def table(rows: list[dict]) -> str:
    """Mean, least, greatest and standard deviation of AP on each split, and more of the test split, in Markdown."""
    variants = collections.defaultdict(list)
    for row in rows:
        variants[row["job"]["name"].rsplit(" s", 1)[0]].append(row)
    heads = ["run", "seeds", *(f"AP {split}: mean, least, greatest, SD" for split in SPLITS), "AP50, AP75", "by class"]
    lines = [f"| {' | '.join([*heads, 'levels'])} |", "|---" * (len(heads) + 1) + "|"]
    for name, seeds in variants.items():
        figures = {split: [row["figures"][split] for row in seeds] for split in SPLITS if split in seeds[0]["figures"]}
        of_splits = [_spread([each["AP"] for each in figures[split]]) for split in figures]
        last = figures[list(figures)[-1]]
        others = ", ".join(f"{statistics.mean(each[key] for each in last):.3f}" for key in FIGURES[1:])
        classes = [key for key in last[0] if key.startswith("AP/")]
        by_class = ", ".join(f"{key[3:]} {statistics.mean(each[key] for each in last):.3f}" for key in classes)
        cells = [name, str(len(seeds)), *of_splits, others, by_class, "; ".join(_levels(row["last"]) for row in seeds)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    deviation = f", {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}, {min(values):.3f}, {max(values):.3f}{deviation}"


def _levels(scalars: dict[str, float]) -> str:
    shares = {name[-1]: share for name, share in scalars.items() if _is_share(name)}
    return " ".join(f"P{level} {share:.0%}" for level, share in shares.items() if share >= 0.05)


def _is_share(name: str) -> bool:
    return "/level_" in name and not name.endswith("_by_size")


def curves(rows: list[dict], path: str) -> None:
    """Draws a column for each run."""
    with charts.style():
        figure = charts.new(3.2 * len(rows) + 0.6, 5.6)
        charts.heading(figure, "Which level learns the objects, step by step, and what they would lose on each")
        panels = figure.subplots(2, len(rows), sharex=True, sharey="row", squeeze=False)
        for (above, below), row in zip(panels.T, rows):
            recorded = row["curves"]
            levels = [int(name[-1]) for name in recorded if _is_share(name)]
            colours, steps = charts.level_colours(levels), np.arange(len(next(iter(recorded.values()))))
            shares = [_smooth(recorded[f"anchor_free/level_{level}"]) for level in levels]
            above.stackplot(steps, shares, colors=colours, labels=[f"P{level}" for level in levels])
            for level, colour in zip(levels, colours):
                below.plot(steps, _smooth(recorded[f"loss_{level}"]), color=colour)
            above.set_title(f"{row['job']['name']}\nAP {row['figures']['test']['AP']:.3f}", loc="left", fontsize=10)
            above.set_ylim(0, 1)
            above.set_xlim(0, steps[-1])
            below.set_yscale("log")
            below.set_yticks(TICKS, [f"{loss:g}" for loss in TICKS])
            below.minorticks_off()
            below.set_xlabel("step")
        panels[0, 0].set_ylabel("share of the objects")
        panels[1, 0].set_ylabel("mean loss of an object (Eq. 1)")
        panels[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
        figure.savefig(path)


def _smooth(values: list[float], width: int = 3) -> np.ndarray:
    """Means of `width` steps."""
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def main(results: str, picture: str = "", *names: str) -> None:
    """Prints and draws."""
    rows = [json.loads(line) for line in pathlib.Path(results).read_text().splitlines()]
    rows.sort(key=lambda row: row["job"]["name"])
    print(table(rows))
    if picture:
        by_name = {row["job"]["name"]: row for row in rows}
        curves([by_name[name] for name in names], picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
