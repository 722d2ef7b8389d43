"""Charts: the losses of an object by level (Fig. 6), levels against sizes (Fig. 8), a run over time."""

import dataclasses
import textwrap
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fsaf_tf.visualize import fonts, targets

DPI = 110
CLASS_LOSS, BOX_LOSS = "#3a7ebf", "#f0a13c"
AGREES, DIFFERS = "#2e9e44", "#d6393b"
_STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "legend.frameon": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
}


@dataclasses.dataclass(frozen=True)
class Losses:
    """An object and its losses by level: its caption, both losses `[L]`, its level, and the level of its size."""

    title: str
    class_loss: np.ndarray
    box_loss: np.ndarray
    chosen: int
    by_size: int


def new(width: float, height: float) -> Figure:
    """An empty figure of so many inches in the common style, to be filled within `style`."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def heading(figure: Figure, *lines: str) -> None:
    """A title of lines, each wrapped to the width of the figure."""
    letters = int(12.5 * figure.get_figwidth())
    figure.suptitle("\n".join(textwrap.fill(fonts.readable(line), letters) for line in lines))


def style():
    """The common style, as a context."""
    return matplotlib.rc_context({**_STYLE, **plain()})


def plain() -> dict:
    """Settings of Matplotlib for names of classes and runs, which may have any letters."""
    return {"text.parse_math": False, "font.family": list(fonts.families())}


def legend_label(text: str) -> str:
    """A name as a label: Matplotlib leaves those that start with _ out of legends."""
    text = fonts.readable(text)
    return f" {text}" if text.startswith("_") else text


def level_colours(levels: Sequence[int]) -> list[np.ndarray]:
    """A colour for each level, the lowest darkest."""
    return list(targets.scale(np.linspace(0, 1, len(levels))) / 255)


def selection(
    overview: np.ndarray, objects: Sequence[Losses], levels: Sequence[int], title: str, *, is_online: bool
) -> Figure:
    """The two terms of Eq. 1 as bars, object by object, beside the picture with their numbers.

    Args:
        overview: `[H, W, 3]` uint8.
        objects: what is on it.
        levels: the L levels, lowest first.
        title: the picture and the run.
        is_online: the chosen level is that of the least loss; else that of the size.
    """
    columns = min(3, max(1, len(objects)))
    rows = max(1, -(-len(objects) // columns))
    with style():
        figure = new(5.0 + 2.7 * columns, max(4.4, 1.2 + 2.5 * rows))
        picture, bars = figure.subfigures(1, 2, width_ratios=[4.6, 2.8 * columns])
        axes = picture.subplots()
        axes.imshow(overview)
        axes.axis("off")
        rule = "the least sum" if is_online else "by the object's size, Eq. 3, as the experiment says"
        heading(
            figure,
            f"Loss of each object on each pyramid level, and the level it is trained on ({rule}): {title}",
            "A bar is what the object would lose there, averaged over the cells of its effective area (Eq. 1)",
        )
        places = np.atleast_1d(bars.subplots(rows, columns, squeeze=False)).ravel()
        for axes, each in zip(places, objects):
            _bars(axes, each, levels)
        for axes in places[len(objects) :]:
            axes.axis("off")
        handles = [
            Patch(color=CLASS_LOSS, label="class loss (focal)"),
            Patch(color=BOX_LOSS, label="box loss (IoU)"),
            Patch(facecolor="white", edgecolor="black", linewidth=2, label="trained on this level"),
            Line2D([], [], color="black", marker="v", linestyle="", label="level by size (Eq. 3)"),
        ]
        picture.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _bars(axes, each: Losses, levels: Sequence[int]) -> None:
    place, total = np.arange(len(levels)), each.class_loss + each.box_loss
    axes.bar(place, each.class_loss, color=CLASS_LOSS)
    axes.bar(place, each.box_loss, bottom=each.class_loss, color=BOX_LOSS)
    chosen = list(levels).index(each.chosen)
    axes.bar(chosen, total[chosen], facecolor="none", edgecolor="black", linewidth=2.2)
    for x, y in zip(place, total):
        axes.text(x, y, f"{y:.2f}", ha="center", va="bottom", fontsize=8, weight="bold" if x == chosen else "normal")
    axes.plot(list(levels).index(each.by_size), 1.13 * total.max(), marker="v", color="black", clip_on=False)
    axes.set_ylim(0, 1.2 * total.max() or 1.0)
    axes.set_xticks(place, [f"P{level}" for level in levels])
    axes.set_title(fonts.readable(each.title), loc="left")
    axes.set_ylabel("loss")
    axes.grid(axis="x", visible=False)


@dataclasses.dataclass(frozen=True)
class BySize:
    """M objects, their sizes and the levels that found them.

    Attributes:
        sizes: `[M]` square roots of the areas, in pixels of the network's input.
        found: `[M]` the levels that found them.
        ruled: `[M]` the levels of a rule.
        edges: of the classes of size, in pixels.
        levels: the L levels, lowest first.
        prescribed: the level of Eq. 3 from each of the edges on.
    """

    sizes: np.ndarray
    found: np.ndarray
    ruled: np.ndarray
    edges: Sequence[float]
    levels: Sequence[int]
    prescribed: Sequence[int]


def levels_by_size(objects: BySize, *, title: str, rule: str) -> Figure:
    """The level that found an object against the object's size: each object, and shares by size.

    Args:
        objects: what was found.
        title: what was looked at.
        rule: the rule in words.
    """
    with style():
        figure = new(12.0, 4.8)
        heading(figure, title)
        points, shares = figure.subplots(1, 2)
        _points(points, objects, rule)
        _shares(shares, objects)
    return figure


def _points(axes, objects: BySize, rule: str) -> None:
    sizes, found, edges, levels = objects.sizes, objects.found, objects.edges, objects.levels
    agrees = found == objects.ruled
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(sizes))
    for kind, colour, marker, text in (
        (agrees, AGREES, "o", f"{rule} says the same"),
        (~agrees, DIFFERS, "x", f"{rule} says another level"),
    ):
        share = f"{np.mean(kind):.0%}" if len(sizes) else "none"
        label = f"{text}: {kind.sum()} ({share})"
        axes.scatter(sizes[kind], found[kind] + jitter[kind], s=16, c=colour, marker=marker, alpha=0.6, label=label)
    steps = [*objects.prescribed[:-1], objects.prescribed[-2]]
    axes.step(edges, steps, where="post", color="#777777", linewidth=1, label="Eq. 3")
    axes.set_xscale("log", base=2)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xticks(edges, [f"{edge:g}" for edge in edges])
    axes.minorticks_off()
    axes.set_yticks(levels, [f"P{level}" for level in levels])
    axes.set_ylim(levels[0] - 0.6, levels[-1] + 0.6)
    axes.set_xlabel("object size: square root of its area, px at the network's input")
    axes.set_ylabel("level that found it (spread for sight)")
    axes.legend(loc="upper left")
    axes.set_title("Each object", loc="left")


def _shares(axes, objects: BySize) -> None:
    edges, levels = objects.edges, objects.levels
    place, bottom = np.arange(len(edges) - 1), np.zeros(len(edges) - 1)
    kind = np.digitize(objects.sizes, edges) - 1
    counts = np.array([[np.sum((kind == each) & (objects.found == level)) for each in place] for level in levels])
    total = counts.sum(axis=0)
    for level, row, colour in zip(levels, counts, level_colours(levels)):
        share = row / np.maximum(total, 1)
        axes.bar(place, share, bottom=bottom, color=colour, width=0.85, label=f"P{level}")
        bottom += share
    for x, count in zip(place, total):
        axes.text(x, 1.01, f"{count}", ha="center", va="bottom", fontsize=9)
    axes.set_xticks(place, [f"{low:g}-{high:g}" for low, high in zip(edges, edges[1:])])
    axes.set_xlabel("object size, px (above the bars: objects)")
    axes.set_ylabel("share of the objects of that size")
    axes.set_ylim(0, 1.08)
    axes.set_title("Which level finds which size", loc="left", pad=14)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5))
