"""The report of `measures.analyze` as one HTML page, several detectors side by side."""

from collections.abc import Sequence

from fsaf_tf.analysis import blocks, charts, errors, measures, picture_pages, shown_picture, suspects_section, templates
from fsaf_tf.analysis.blocks import COLOURS, Gallery, Keys, Section, Side, Table, figure_of, section
from fsaf_tf.evaluate import average_precision, metrics_table

CLASSES_SHOWN = 20  # in a confusion matrix
CURVES_SHOWN = 10  # classes in one chart


def render(report: dict, thumbnails: dict[int, bytes], pictures: int, pages: picture_pages.Pages) -> str:
    """The page.

    Args:
        report: `title`, `data` (`name`, `images`, `objects`, `classes`), `score_threshold`, and `runs`, a dict of what
            `measures.analyze` returns by the detector's name, with `levels`,
            `levels_by_size` and `branches` of its `metrics.json`, and `AP_interval` and the like of `write_report`.
        thumbnails: JPEG files by image id.
        pictures: at most so many are shown, of each kind.
        pages: on every picture, which this one leads to.
    """
    data, runs = report["data"], report["runs"]
    names = list(runs)
    facts = f"{data['images']} images, {data['objects']} objects, {data['classes']} classes"
    sections = [
        _summary(runs),
        _branches(runs),
        _levels(runs),
        _precision_recall(runs),
        *_bins(runs, names),
        _classes(runs, names),
        _kinds(runs, names),
        _confusion(runs, report["score_threshold"]),
        _thresholds(runs),
        _pictures(runs, thumbnails, report["score_threshold"], pictures, pages),
        suspects_section.section_of(runs, thumbnails, pictures, pages),
    ]
    values = {"title": report["title"], "tool": "fsaf-analyze", "note": f"{data['name']}: {facts}"}
    return templates.render({**values, "sections": list(filter(None, sections)), "links": pages.links()})


def shown(runs: dict[str, dict], count: int) -> list[int]:
    """The images that `render` shows: the worst, then those of the likeliest suspects."""
    return list(dict.fromkeys([*worst(runs, count), *suspects_section.shown(runs, count)]))


def worst(runs: dict[str, dict], count: int) -> list[int]:
    """The images whose errors cost most, of those that have any."""
    costs = _costs(runs)
    return [image_id for image_id in ranked(runs)[:count] if costs[image_id] > 0]


def ranked(runs: dict[str, dict]) -> list[int]:
    """All images, those first whose errors cost most, all detectors together."""
    costs = _costs(runs)
    return sorted(costs, key=lambda image_id: -costs[image_id])


def _costs(runs: dict[str, dict]) -> dict[int, float]:
    costs: dict[int, float] = {}
    for analysis in runs.values():
        for picture in analysis["pictures"]:
            costs[picture["image_id"]] = costs.get(picture["image_id"], 0.0) + picture["cost"]
    return costs


def _summary(runs: dict[str, dict]) -> Section:
    metrics = next(iter(runs.values()))["metrics"]
    most = metrics.get("max_detections") or average_precision.MOST
    rows, shown = [], [figure for row in ("AP", "AR") for figure in average_precision.of_row(row) if figure.in_report]
    for (name, analysis), colour in zip(runs.items(), COLOURS):
        figures = [figure_of(analysis["metrics"][figure.name]) for figure in shown]
        rows.append([Keys("", [(colour, name)]), *figures, str(analysis["detections"]), str(analysis["images"])])
    text = (
        "COCO's figures, as pycocotools has them: AP is the mean over IoU 0.5 to 0.95, small is under 32 x 32 pixels,"
        " large over 96 x 96, thin more than 8 times as long as wide. AR100 is the share of the objects found by"
        f" {most} detections of a class in an image. - is a figure without objects."
    )
    headings = ["", *(figure.in_report for figure in shown), "detections", "on images"]
    lines = metrics_table.ceiling_lines(metrics)
    return section("Average precision", text, *lines, Table(headings, rows), *_intervals(runs))


def _intervals(runs: dict[str, dict]) -> tuple[str, Table]:
    """How far AP could be off, and which differences are more than chance."""
    rows = []
    for name, run in runs.items():
        cells = [figure_of(run["metrics"]["AP"]), blocks.interval_of(run["AP_interval"]["interval"])]
        difference = run.get("AP_difference")
        if difference:
            sides = difference["interval"] or [-1, 1]
            verdict = "no more than chance" if sides[0] <= 0 <= sides[1] else "more than chance"
            value = "-" if difference["value"] is None else f"{difference['value']:+.3f}"
            cells += [f"{value} ({blocks.interval_of(difference['interval'])}): {verdict}"]
        rows.append([name, *cells, *[""] * (len(runs) > 1 and not difference)])
    first = next(iter(runs))
    text = (
        "95% of what AP is when as many pictures are drawn anew from these,"
        f" {runs[first]['AP_interval']['draws']} times (bootstrap over the pictures). It says what other pictures of"
        " the kind could give, and nothing of another training of the detector."
    )
    headings = ["", "AP", "95% interval", *[f"difference from {first}"] * (len(runs) > 1)]
    return text, Table(headings, rows)


def _branches(runs: dict[str, dict]) -> Section | None:
    """What each branch of a detector with both finds alone, where that was counted."""
    names = ("AP", "AP50", "AP75")
    rows = []
    for name, run in runs.items():
        if run.get("branches"):
            of_each = {
                "both branches": run["metrics"],
                **{f"{key} alone": value for key, value in run["branches"].items()},
            }
            for title, figures in of_each.items():
                rows.append([f"{name}, {title}", *(figure_of(figures[key]) for key in names)])
    if not rows:
        return None
    text = (
        "What both branches find together, and each alone. Where one is better alone, predict, export and train"
        " --mode=eval take it by --branch."
    )
    return section("Branches", text, Table(["", *names], rows))


def _levels(runs: dict[str, dict]) -> Section | None:
    """Which level the objects select, where that was counted."""
    counted = {name: run for name, run in runs.items() if run.get("levels")}
    if not counted:
        return None
    levels = sorted({level for run in counted.values() for level in run["levels"]}, key=int)
    rows = []
    for name, run in counted.items():
        for title, key in ((name, "levels"), ("by size", "levels_by_size")):
            rows.append([title, *(f"{run[key].get(level, 0):.0%}" for level in levels)])
    text = (
        "The share of the objects of the evaluation that each level of the pyramid would learn by the run's selection,"
        " and below by their size (Eq. 3). Nearly all on a level that sizes do not ask for may be a selection that has"
        " fallen onto it."
    )
    return section("Levels", text, Table(["", *(f"P{level}" for level in levels)], rows))


def _precision_recall(runs: dict[str, dict]) -> Section:
    """All detectors at two IoU thresholds, then each with its classes."""
    means = []
    for iou, index in measures.CURVES.items():
        figure = "AP50" if index == 0 else "AP75"
        lines = [
            (f"{name}: {figure} {figure_of(run['metrics'][figure])}", colour, run["precision_recall"][iou]["mean"])
            for (name, run), colour in zip(runs.items(), COLOURS)
        ]
        means.append((f"IoU {iou}, mean over the classes", [line for line in lines if line[2]]))
    by_class = [(f"{name}, IoU 0.5, by class", _class_curves(run)) for name, run in runs.items()]
    text = (
        "From left to right detections of ever lower score are taken in: more objects are found, more detections are"
        " wrong. The area under a curve is the AP; where a curve ends at 0, the rest is not found at any score."
    )
    groups = [means, by_class] if len(runs) > 1 else [means + by_class]
    return section("Precision and recall", text, *map(charts.curves, groups))


def _class_curves(run: dict) -> list[tuple[str, None, list[float]]]:
    """Those with the most objects."""
    rows = sorted(run["by_class"], key=lambda row: -row["objects"])[:CURVES_SHOWN]
    curves = run["precision_recall"]["0.5"]["by_class"]
    return [(f"{row['name']}: {figure_of(row['AP50'])}", None, curves[row["name"]]) for row in rows if row["objects"]]


def _bins(runs: dict[str, dict], names: Sequence[str]) -> tuple[Section, Section]:
    first = next(iter(runs.values()))

    def rows(key):
        return [
            [_range(bin_), str(bin_["objects"]), blocks.bars([run[key][index]["AP"] for run in runs.values()])]
            for index, bin_ in enumerate(first[key])
        ]

    size = (
        "The side in pixels of a square of the box's area. AP counts objects of that size alone, by COCO's rule: others"
        " are ignored, and so are detections of another size that hit nothing."
    )
    shape = (
        "The longer side over the shorter one, by the same rule. The last row is the thin objects of the first table."
    )
    head = ["objects", _keys("AP", names)]
    return (
        section("AP by size", size, Table(["side, px", *head], rows("by_size"))),
        section("AP by shape", shape, Table(["long : short", *head], rows("by_shape"))),
    )


def _keys(word: str, names: Sequence[str]) -> str | Keys:
    """A heading of bars, with the colours of the detectors if there are several."""
    return Keys(word, list(zip(COLOURS, names))) if len(names) > 1 else word


def _range(bin_: dict) -> str:
    return f"over {bin_['from']:g}" if bin_["to"] is None else f"{bin_['from']:g} to {bin_['to']:g}"


def _classes(runs: dict[str, dict], names: Sequence[str]) -> Section:
    first = next(iter(runs.values()))
    by_name = [{row["name"]: row["AP"] for row in run["by_class"]} for run in runs.values()]
    ranked = sorted(first["by_class"], key=lambda row: (row["objects"] == 0, -(row["AP"] if row["objects"] else 0)))
    rows = [[row["name"], str(row["objects"]), blocks.bars([aps[row["name"]] for aps in by_name])] for row in ranked]
    return section("AP by class", Table(["class", "objects", _keys("AP", names)], rows))


def _kinds(runs: dict[str, dict], names: Sequence[str]) -> Section:
    found = [run["errors"]["kinds"] for run in runs.values()]
    most = max(kinds[kind]["cost"] or 0.0 for kinds in found for kind in kinds)
    rows = []
    for kind, meaning in errors.MEANINGS.items():
        of_runs = [kinds.get(kind, {"count": 0, "cost": 0.0}) for kinds in found]
        if any(kind in kinds for kinds in found):
            counts = [f"({one['count']})" for one in of_runs]
            rows.append([kind, meaning, blocks.bars([one["cost"] for one in of_runs], most, counts)])
    text = (
        "Each wrong detection, of whatever score, is of one kind; so is each object that none of them is about. The"
        " cost is the AP50 that would be won if the errors of that kind alone were mended; costs do not add up. In"
        " brackets their number: many errors of low score may cost little. Kinds and costs are those of TIDE (Bolya et"
        " al., 2020)."
    )
    table = Table(["", "what it is", _keys("cost in AP50", names)], rows)
    return section("Errors and what they cost", text, table)


def _confusion(runs: dict[str, dict], score_threshold: float) -> Section:
    tables = [(name if len(runs) > 1 else "", _matrix(run["confusion"])) for name, run in runs.items()]
    left_out = {_left_out(run["confusion"]) for run in runs.values()}
    text = (
        f"Detections that score at least {score_threshold:g}, each with the object that it overlaps by IoU 0.5 or more."
        " A row is what the objects are, a column what they were taken for; colours are shares of the row. The last row"
        " is detections on no object, or on one that a better detection has."
    )
    return section("Confusions", text, *left_out, Side(tables))


def _left_out(confusion: dict) -> str:
    count = len(confusion["names"])
    return f"The {CLASSES_SHOWN} of {count} classes that are most confused." if count > CLASSES_SHOWN else ""


def _matrix(confusion: dict) -> Table:
    """All classes if they are few, else those that are most confused with another."""
    names, matrix = confusion["names"], confusion["matrix"]
    count = len(names)
    mistakes = [sum(matrix[k][j] + matrix[j][k] for j in range(count) if j != k) for k in range(count)]
    kept = sorted(sorted(range(count), key=lambda k: -mistakes[k])[:CLASSES_SHOWN])
    rows = []
    for k in [*kept, count]:
        shown = [*kept, count][: None if k < count else -1]
        cells = [blocks.shade(matrix[k][j], sum(matrix[k]), j == k) for j in shown]
        rows.append([names[k] if k < count else "(no object)", *cells])
    css = "heat wide" if len(kept) > 10 else "heat"
    return Table(["", *(names[k] for k in kept), "(missed)"], rows, css)


def _thresholds(runs: dict[str, dict]) -> Section:
    """From which score on detections are worth showing, as chosen on these data or, where some are given, as tried."""
    tables, tried = [], False
    for name, run in runs.items():
        given = run.get("given_thresholds")
        tried = bool(given)
        rows = given["by_class"] if given else [*run["thresholds"]["by_class"], run["thresholds"]["one"]]
        cells = [_threshold_row(row) for row in rows]
        if given:
            blank = {"threshold": None, "precision": None, "recall": None}
            mean = {"name": "mean of the classes", **blank, **given["mean"]}
            every = {"name": "all detections", "threshold": None, **given["all"]}
            cells += [_threshold_row(row) for row in (mean, every)]
        headings = ["", "objects", "threshold", "precision", "recall", "F1", *["F1 of one threshold"] * tried]
        tables.append((name if len(runs) > 1 else "", Table(headings, cells)))
    file = next(iter(runs.values())).get("given_thresholds", {}).get("file")
    text = (
        "For each class the score from which on its detections have the greatest F1 (the harmonic mean of precision and"
        " recall, IoU 0.5), and the best single one for all classes."
    )
    if tried:
        text = (
            f"Thresholds that were chosen on other data ({file}), and what they come to on these:"
            " precision and recall at IoU 0.5, F1, and the F1 of the best single threshold from there."
        )
    else:
        text += (
            " They were chosen on these pictures, on which they look better than on others: make the report of"
            " validation data, and give its JSON to predict and to a report on test data by --thresholds."
        )
    return section("Score thresholds", text, Side(tables))


def _threshold_row(row: dict) -> list[str]:
    threshold = "-" if row["threshold"] is None else f"{row['threshold']:g}"
    figures = [figure_of(row[key]) for key in ("precision", "recall", "F1", "F1_of_one") if key in row]
    return [row["name"], str(row.get("objects", "-")), threshold, *figures]


def _pictures(
    runs: dict[str, dict], thumbnails: dict[int, bytes], score_threshold: float, count: int, pages: picture_pages.Pages
) -> Section | None:
    ids = [image_id for image_id in worst(runs, count) if image_id in thumbnails]
    if not ids:
        return None
    text = (
        f"Where errors cost most: detections that score at least {score_threshold:g}, and dashed the objects that none"
        " of them is on. The cost is the sum of the scores of wrong detections and the number of objects missed. A box"
        " under the pointer tells its kind of error; a label that would lie on another is left out."
    )
    found = {name: {picture["image_id"]: picture for picture in run["pictures"]} for name, run in runs.items()}
    shown = []
    for image_id in ids:
        for name, pictures in found.items():
            one = pictures[image_id]
            caption = f"{one['file_name']}{f', {name}' * (len(runs) > 1)}, {picture_pages.said(one)}"
            texts = list(map(shown_picture.words, one["boxes"]))
            source, size = shown_picture.data_uri(thumbnails[image_id]), (one["width"], one["height"])
            drawn = shown_picture.of_errors(source, size, one["boxes"], texts, caption)
            shown.append({**drawn, "href": pages.address(image_id)})
    more = [pages.line()] * bool(pages.line())
    columns = len(runs) if len(runs) > 1 else 0
    return section("The worst pictures", text, *more, picture_pages.keys(runs), Gallery(shown, columns=columns))
