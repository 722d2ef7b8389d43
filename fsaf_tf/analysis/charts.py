"""Charts of precision against recall, drawn by matplotlib as one picture inside a page."""

import base64
import io
import math
import textwrap
from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

from fsaf_tf.analysis.blocks import Chart
from fsaf_tf.visualize import charts, fonts

Panel = tuple[str, Sequence[tuple[str, str | None, Sequence[float]]]]


def curves(panels: Sequence[Panel]) -> Chart:
    """Charts side by side.

    Args:
        panels: for each its title, and for each line its label, colour (None: matplotlib's own) and the precision at
            recall 0, 0.01 .. 1.
    """
    drawn = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "fsaf_tf", **charts.plain()}):  # the same file from the same figures
        _drawn(panels).savefig(drawn, format="svg", metadata={"Date": None})
    source = f"data:image/svg+xml;base64,{base64.b64encode(drawn.getvalue()).decode()}"
    lines = "; ".join(f"{title}: {', '.join(label for label, _, _ in lines)}" for title, lines in panels)
    return Chart(source, f"Curves of precision against recall. {lines}")


def _drawn(panels: Sequence[Panel]) -> Figure:
    columns = min(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(min(4.9 * columns, 10.8), 3.7 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for axes in grid[len(panels) :]:
        axes.remove()
    for axes, (title, lines) in zip(grid, panels):
        for label, colour, values in lines:
            axes.plot(
                [0.01 * step for step in range(len(values))],
                values,
                color=colour,
                label=charts.legend_label(label),
                linewidth=1.8,
            )
        axes.set(
            title=textwrap.fill(fonts.readable(title), 40),
            xlabel="recall: share of the objects found",
            xlim=(0, 1),
            ylim=(0, 1.02),
        )
        axes.set_ylabel("precision: share of detections right")
        axes.grid(alpha=0.3)
        if lines:
            axes.legend(fontsize="small", loc="lower left", framealpha=0.85)
    return figure
