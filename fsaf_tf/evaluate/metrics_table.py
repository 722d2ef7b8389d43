"""The figures of an evaluation for the terminal."""

import math
from collections.abc import Sequence

from fsaf_tf.evaluate import average_precision


def format_table(metrics: dict) -> str:
    """The figures in two rows, the classes by falling AP, and the levels.

    `-` is a figure without boxes (NaN, or None of JSON).

    Args:
        metrics: of `average_precision.coco_metrics`, or of a `metrics.json`.
    """
    rows = [*_figure_rows("AP", metrics), *_figure_rows("AR", metrics), *_class_rows(metrics["AP_by_class"])]
    if metrics.get("levels"):
        rows += ["", "  objects by level   " + level_shares(metrics["levels"])]
        rows += ["  by size (Eq. 3)    " + level_shares(metrics["levels_by_size"])]
    if metrics.get("branches"):
        rows += ["", *_branch_rows(metrics)]
    rows += [f"  {line}" for line in ceiling_lines(metrics)]
    return "\n".join(rows)


def ceiling_lines(metrics: dict) -> list[str]:
    """How many detections the figures count, where it is not COCO's number, and the objects that are beyond it."""
    most, beyond = metrics.get("max_detections"), metrics.get("ceiling")
    lines = [f"evaluated at {most} detections of a class in an image (COCO: {average_precision.MOST})"] if most else []
    if beyond:
        lines.append(
            f"{beyond['images']} of {beyond['all_images']} images have more than {most or average_precision.MOST}"
            f" objects of a class (up to {beyond['most']}), and no more detections of it are counted in an image:"
            f" {beyond['objects']} of {beyond['all_objects']} objects cannot be found; task.evaluation.max_detections"
            " and task.model.postprocess.max_detections raise that"
        )
    return lines


def format_rows(figures: dict[str, dict], images: int) -> str:
    """AP and AP50 of several detectors on the same images, a row each, under their headings.

    Args:
        figures: by the name of the detector, of `average_precision.coco_metrics`.
        images: how many there are.
    """
    width = max(map(len, figures))
    lines = [f"  {'':<{width}}       AP     AP50   images"]
    for name, metrics in figures.items():
        cells = "".join(f"{cell:>9}" for cell in (_cell(metrics["AP"]), _cell(metrics["AP50"]), images))
        lines.append(f"  {name:<{width}}{cells}")
    return "\n".join(lines)


def level_shares(shares: dict[str, float]) -> str:
    """The levels that objects are on, lowest first: `P3 71%, P4 29%`."""
    return ", ".join(level_share(level, share) for level, share in shares.items() if round(share, 2))


def level_share(level: int | str, share: float) -> str:
    """`P3 71%`."""
    return f"P{level} {share:.0%}"


def _figure_rows(row: str, metrics: dict) -> list[str]:
    figures = average_precision.of_row(row)
    columns = {str(average_precision.MOST): str(metrics.get("max_detections") or average_precision.MOST)}
    headings = [columns.get(figure.column, figure.column) for figure in figures]
    values = [_cell(metrics.get(figure.name)) for figure in figures]
    return [_row("", headings), _row(row, values), ""]


def _branch_rows(metrics: dict) -> list[str]:
    """Both branches together and each alone, and a line if one is better alone."""
    together = "both branches"
    figures = {together: metrics, **{f"{name} alone": alone for name, alone in metrics["branches"].items()}}
    names = ("AP", "AP50", "AP75")
    width = max(map(len, figures))
    rows = [f"  {'':<{width}}" + "".join(f"{name:>9}" for name in names)]
    for title, values in figures.items():
        rows.append(f"  {title:<{width}}" + "".join(f"{_cell(values.get(name)):>9}" for name in names))
    alone = {name: values["AP"] for name, values in metrics["branches"].items() if not _is_unknown(values["AP"])}
    best = max(alone, key=alone.get, default=None)
    if best and alone[best] > metrics["AP"]:
        rows.append(f"  {best} is better alone: --branch={best} of predict, export and --mode=eval takes it")
    return rows


def _row(title: str, cells: Sequence[str]) -> str:
    return f"  {title:<10}" + "".join(f"{cell:>{12 if index == 0 else 9}}" for index, cell in enumerate(cells))


def _cell(value: float | None) -> str:
    return "-" if _is_unknown(value) else f"{value:.3f}"


def _is_unknown(value: float | None) -> bool:
    return value is None or math.isnan(value)


def _class_rows(by_class: dict[str, float], width: int = 78) -> list[str]:
    """`AP  name` in as many columns as fit, read downwards."""
    ranked = sorted(by_class.items(), key=lambda item: -1.0 if _is_unknown(item[1]) else item[1], reverse=True)
    cells = [f"{_cell(value):>5} {name}" for name, value in ranked]
    widest = max(map(len, cells), default=0) + 3
    columns = max(1, width // widest)
    rows = math.ceil(len(cells) / columns)
    table = ["".join(f"{cell:<{widest}}" for cell in cells[row::rows]).rstrip() for row in range(rows)]
    return ["  AP by class", *("    " + line for line in table)]
