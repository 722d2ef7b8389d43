"""Pieces of an HTML page that needs nothing beside itself: tables, bars, curves and pictures with boxes."""

import base64
import html
import io
import math
import textwrap
from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

from fsaf_tf.analysis.errors import CORRECT, CUT_OFF, MISSED, WRONG
from fsaf_tf.visualize import charts, fonts

COLOURS = ("#0b6fb8", "#d9730d", "#2a8f4f", "#a23b9e", "#c23b3b", "#6b5d4d")  # of the detectors
STATES = {CORRECT: "#35c26b", WRONG: "#ff5a4d", MISSED: "#ffd21f", CUT_OFF: "#b9c2cc"}
STYLE = """
body { font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", Arial, sans-serif; color: #1c2430; background: #fff;
  max-width: 1080px; margin: 2em auto; padding: 0 1.5em; }
h1 { font-size: 1.7em; margin-bottom: 0.2em; } h2 { font-size: 1.25em; margin: 2em 0 0.3em; }
p { margin: 0.3em 0 0.9em; max-width: 75ch; } .note { color: #5b6675; }
table { border-collapse: collapse; } th, td { padding: 0.3em 0.8em; text-align: left; vertical-align: middle; }
thead th { border-bottom: 2px solid #c9d1da; font-weight: 600; } tbody tr + tr > * { border-top: 1px solid #e7ebf0; }
tbody th { font-weight: 500; white-space: nowrap; }
th.number, .number { text-align: right; font-variant-numeric: tabular-nums; }
.bars { width: 32em; } .track { display: flex; align-items: center; gap: 0.5em; line-height: 1.35; }
.bar { height: 0.85em; border-radius: 2px; min-width: 1px; } .none { color: #8a94a1; }
.track span { font-size: 0.87em; font-variant-numeric: tabular-nums; }
.named { white-space: nowrap; }
.key { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 2px; margin-right: 0.4em; }
.heat { font-size: 0.87em; } .heat td, .heat th { padding: 0.25em 0.45em; }
.heat td { text-align: center; min-width: 2.6em; border: 1px solid #fff; font-variant-numeric: tabular-nums; }
.heat thead th { text-align: center; font-weight: 500; border: 0; }
.heat tbody tr + tr > * { border-top: 1px solid #fff; }
.heat tbody th { text-align: right; } .wide { font-size: 0.8em; }
.wide thead th { writing-mode: vertical-rl; text-align: left; }
.side { display: flex; flex-wrap: wrap; gap: 1em 1.5em; }
.charts img { max-width: 100%; } .pictures { display: grid; gap: 0.8em; margin-bottom: 1.6em; }
figure { margin: 0; } figcaption { font-size: 0.87em; color: #5b6675; overflow-wrap: anywhere; }
figure svg { font-weight: 600; width: 100%; height: auto; display: block; background: #222; }
"""


def escape(text) -> str:
    """Text that stands for itself in HTML, attributes too."""
    return html.escape(str(text))


def document(title: str, body: str) -> str:
    """The whole page, which names its tool."""
    named = '<meta name="viewport" content="width=device-width"><meta name="generator" content="fsaf-analyze">'
    head = f'<meta charset="utf-8">{named}<title>{escape(title)}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n'
    )


def figure_of(value: float | None) -> str:
    """An AP, or what there is where there are no objects."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def interval_of(values: Sequence[float] | None) -> str:
    """Two figures with what lies between them."""
    return "-" if values is None else f"{values[0]:.3f} to {values[1]:.3f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], css: str = "") -> str:
    """A table of cells that are HTML; the first of a row heads it, and one that starts with a digit is a number."""
    sides = ["", *map(_side, rows[0][1:])]
    head = "".join(f"<th{side}>{title}</th>" for title, side in zip(header, sides))
    lines = [f"<tr><th>{row[0]}</th>{''.join(map(_cell, row[1:]))}</tr>" for row in rows]
    return f'<table class="{css}"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


def _cell(cell: str) -> str:
    return cell if cell.startswith("<td") else f"<td{_side(cell)}>{cell}</td>"


def _side(cell: str) -> str:
    return ' class="number"' if cell == "-" or cell[:1].isdigit() else ""


def bars(values: Sequence[float | None], most: float = 1.0, notes: Sequence[str] = ()) -> str:
    """A cell with a bar for each detector, as long as its share of `most`, and its figure behind it."""
    if all(value is None or math.isnan(value) for value in values):
        return '<td class="bars"><span class="none">no objects</span></td>'
    lines = []
    for index, value in enumerate(values):
        note = f" {notes[index]}" if notes else ""
        share = 80 * max(value, 0.0) / most if most > 0 else 0.0  # the rest is for the figure
        bar = f'<div class="bar" style="width:{share:.1f}%;background:{COLOURS[index]}"></div>'
        lines.append(f'<div class="track">{bar}<span>{value:.3f}{note}</span></div>')
    return f'<td class="bars">{"".join(lines)}</td>'


def key(colour: str, text: str) -> str:
    """A patch of colour and what it stands for."""
    return f'<span class="named"><span class="key" style="background:{colour}"></span>{escape(text)}</span>'


def shade(count: int, share: float, is_right: bool) -> str:
    """A cell of a confusion matrix, the darker the larger its share of the row; green where it is right."""
    rgb = "42,143,79" if is_right else "194,59,59"
    white = ";color:#fff" if share > 0.6 else ""
    return f'<td style="background:rgba({rgb},{share:.2f}){white}">{count or ""}</td>'


def curves(panels: Sequence[tuple[str, Sequence[tuple[str, str | None, Sequence[float]]]]]) -> str:
    """Charts of precision against recall side by side, drawn by matplotlib as one picture inside the page.

    Args:
        panels: for each its title, and for each line its label, colour (None: matplotlib's own) and the precision at
            recall 0, 0.01 .. 1.
    """
    drawn = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "fsaf_tf", **charts.plain()}):  # the same file from the same figures
        _curves(panels).savefig(drawn, format="svg", metadata={"Date": None})
    source = f"data:image/svg+xml;base64,{base64.b64encode(drawn.getvalue()).decode()}"
    return f'<div class="charts"><img src="{source}" alt="{escape("; ".join(title for title, _ in panels))}"></div>'


def _curves(panels) -> Figure:
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


def picture(
    jpeg: bytes,
    size: tuple[int, int],
    boxes: Sequence[dict],
    caption: str,
    part: Sequence[float] | None = None,
) -> str:
    """A picture with boxes.

    Args:
        jpeg: a smaller file of it.
        size: its width and height.
        boxes: as from `errors.by_picture`.
        caption: HTML below it.
        part: x, y, width and height of what is shown; all if not given.
    """
    width, height = size
    x, y, shown_width, shown_height = part or (0, 0, width, height)
    source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    order = {CORRECT: 0, CUT_OFF: 1, MISSED: 2, WRONG: 3}
    letters = shown_width / (14 if part else 36)
    drawn = "".join(_box(box, shown_width, letters, x) for box in sorted(boxes, key=lambda box: order[box["state"]]))
    image = f'<image href="{source}" width="{width}" height="{height}" preserveAspectRatio="none"/>'
    svg = f'<svg viewBox="{x:g} {y:g} {shown_width:g} {shown_height:g}" role="img">{image}{drawn}</svg>'
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _box(box: dict, width: float, size: float, begin: float) -> str:
    """A box on what is shown of a picture, from `begin` on and `width` wide, with letters of a size."""
    x, y, w, h = box["box"]
    state, text = box["state"], escape(box["name"] + (f" {box['score']:.2f}" if "score" in box else ""))
    place = f'x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" fill="none" vector-effect="non-scaling-stroke"'
    dash = ' stroke-dasharray="5 3"' if state in (MISSED, CUT_OFF) else ""
    rim = f'<rect {place} stroke="#000" stroke-opacity="0.4" stroke-width="3.5"/>'
    frame = f'<rect {place} stroke="{STATES[state]}" stroke-width="{1 if state in (CORRECT, CUT_OFF) else 2}"{dash}/>'
    if state in (CORRECT, CUT_OFF):
        return f"<g>{frame}<title>{state}: {text}</title></g>"
    kind = box.get("kind") or state
    baseline = max(y - size / 4, size) if state == WRONG else y + h - size / 4
    is_right = x > begin + width / 2
    left, anchor = (min(x + w, begin + width), "end") if is_right else (max(x, begin), "start")
    place = f'x="{left:.1f}" y="{baseline:.1f}" text-anchor="{anchor}" font-size="{size:.1f}"'
    style = f'fill="{STATES[state]}" stroke="#000" stroke-width="{size / 6:.1f}" paint-order="stroke"'
    label = f"<text {place} {style}>{text}</text>"
    return f"<g>{rim}{frame}{label}<title>{kind}: {text}</title></g>"
