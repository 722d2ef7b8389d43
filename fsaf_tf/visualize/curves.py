"""The chart of runs over time."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from fsaf_tf.visualize import charts, fonts

COLOURS = ("#3a7ebf", "#d6393b", "#2e9e44", "#8b5fc0", "#e08a1e", "#555555", "#17a2a2", "#c4508f")
# Title, axis, and the terms that are drawn in one panel with the line that each has.
PANELS = (
    ("Total loss", "loss", {"training_loss": "-"}),
    ("Class loss", "loss an image", {"anchor_free/class_loss": "-", "anchor_based/class_loss": "--"}),
    ("Box loss", "loss an image", {"anchor_free/box_loss": "-", "anchor_based/box_loss": "--"}),
    ("Average precision on validation data", "AP (0 to 1)", {"AP": "-", "AP50": ":"}),
)
_SAID = {"anchor_free": "anchor-free branch", "anchor_based": "anchor-based branch"}

Scalars = dict[str, dict[int, float]]


def training(names: Sequence[str], runs: Sequence[Scalars], shares: Sequence[dict[int, dict[int, float]]]) -> Figure:
    """Losses and AP of runs in common panels, and below a panel for each run that selects levels.

    Args:
        names: what to call each run.
        runs: the scalars of each by tag and step; what a run does not have is not drawn.
        shares: for each run the shares of objects by level and step; empty for one without selection.
    """
    selecting = [(name, share) for name, share in zip(names, shares) if share]
    columns = min(2, len(selecting))
    rows = -(-len(selecting) // 2)
    with charts.style():
        figure = charts.new(11.0, 6.4 + 2.7 * rows)
        heights = [6.4, 2.7 * rows] if rows else [6.4]
        top, *below = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        charts.heading(figure, f"Training over time: {', '.join(names)}")
        for axes, (title, unit, tags) in zip(top.subplots(2, 2).ravel(), PANELS):
            _lines(axes, names, runs, tags)
            axes.set_title(title, loc="left")
            axes.set_ylabel(unit)
        if below:
            places = below[0].subplots(rows, columns, squeeze=False).ravel()
            for axes, (name, share) in zip(places, selecting):
                _levels(axes, name, share)
            for axes in places[len(selecting) :]:
                axes.axis("off")
    return figure


def _lines(axes, names: Sequence[str], runs: Sequence[Scalars], tags: dict[str, str]) -> None:
    """The terms of a panel; a run keeps its colour, a term its line."""
    several = sum(any(tag in run for run in runs) for tag in tags) > 1
    for index, (name, run) in enumerate(zip(names, runs)):
        for tag, line in tags.items():
            if tag in run:
                said = f"{name}: {_SAID.get(tag.split('/')[0], tag)}" if several else name
                marker = ("s" if line == ":" else "o") if len(run[tag]) < 15 else ""
                colour = COLOURS[index % len(COLOURS)]
                axes.plot(
                    *_points(run[tag]),
                    line,
                    color=colour,
                    label=charts.legend_label(said),
                    marker=marker,
                    markersize=4,
                    clip_on=False,
                )
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, max((step for run in runs for points in run.values() for step in points), default=1))
    axes.set_xlabel("step")
    if axes.lines:
        axes.legend(fontsize=8)
    else:
        axes.text(0.5, 0.5, "not recorded", ha="center", transform=axes.transAxes)


def _points(values: dict[int, float]) -> tuple[list[int], list[float]]:
    return list(values), list(values.values())


def _levels(axes, name: str, share: dict[int, dict[int, float]]) -> None:
    steps = sorted(set.intersection(*(set(points) for points in share.values())))
    colours = charts.level_colours(list(share))
    rows = [[points[step] for step in steps] for points in share.values()]
    axes.stackplot(steps, rows, colors=colours, labels=[f"P{level}" for level in share])
    axes.set_ylim(0, 1)
    axes.set_xlim(steps[0], max(steps[-1], steps[0] + 1))
    axes.set_title(f"Level that objects are trained on: {fonts.readable(name)}", loc="left")
    axes.set_ylabel("share of the objects")
    axes.set_xlabel("step")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5))
