"""The report of `measures.analyze` as one HTML page, several detectors side by side."""

import collections
from collections.abc import Sequence

from fsaf_tf.analysis import errors, measures, page, suspects_section
from fsaf_tf.evaluate import average_precision, metrics_table

CLASSES_SHOWN = 20  # in a confusion matrix
CURVES_SHOWN = 10  # classes in one chart
MEANINGS = {
    errors.CLASS: "on an object (IoU 0.5 or more), but of another class",
    errors.LOCALISATION: "the right class, but the box fits badly (IoU 0.1 to 0.5)",
    errors.BOTH: "another class, and the box fits badly",
    errors.DUPLICATE: "right, but a detection with a higher score has the object already",
    errors.BACKGROUND: "on nothing (IoU under 0.1 with every object)",
    errors.MISSED: "an object that no detection is on, not even one of another class or a bad fit",
    errors.CUT_OFF: "an object that could not be found: its image has more of its class than detections are counted",
}


def render(report: dict, thumbnails: dict[int, bytes], pictures: int) -> str:
    """The page.

    Args:
        report: `title`, `data` (`name`, `images`, `objects`, `classes`), `score_threshold`, and `runs`, a dict of what
            `measures.analyze` returns by the detector's name, with `levels`,
            `levels_by_size` and `branches` of its `metrics.json`, and `AP_interval` and the like of `write_report`.
        thumbnails: JPEG files by image id.
        pictures: at most so many are shown, of each kind.
    """
    data, runs = report["data"], report["runs"]
    names = list(runs)
    facts = f"{data['images']} images, {data['objects']} objects, {data['classes']} classes"
    sections = [
        f'<h1>{page.escape(report["title"])}</h1><p class="note">{page.escape(data["name"])}: {facts}</p>',
        _summary(runs),
        _branches(runs),
        _levels(runs),
        _precision_recall(runs),
        _bins(runs, names),
        _classes(runs, names),
        _kinds(runs, names),
        _confusion(runs, report["score_threshold"]),
        _thresholds(runs),
        _pictures(runs, thumbnails, report["score_threshold"], pictures),
        suspects_section.render(runs, thumbnails, pictures),
    ]
    return page.document(report["title"], "\n".join(sections))


def shown(runs: dict[str, dict], count: int) -> list[int]:
    """The images that `render` shows: the worst, then those of the likeliest suspects."""
    return list(dict.fromkeys([*worst(runs, count), *suspects_section.shown(runs, count)]))


def worst(runs: dict[str, dict], count: int) -> list[int]:
    """The images whose errors cost most, all detectors together."""
    costs: dict[int, float] = {}
    for analysis in runs.values():
        for picture in analysis["pictures"]:
            costs[picture["image_id"]] = costs.get(picture["image_id"], 0.0) + picture["cost"]
    ranked = sorted(costs, key=lambda image_id: -costs[image_id])
    return [image_id for image_id in ranked[:count] if costs[image_id] > 0]


def _summary(runs: dict[str, dict]) -> str:
    metrics = next(iter(runs.values()))["metrics"]
    most = metrics.get("max_detections") or average_precision.MOST
    rows, shown = [], [figure for row in ("AP", "AR") for figure in average_precision.of_row(row) if figure.in_report]
    for index, (name, analysis) in enumerate(runs.items()):
        figures = [page.figure_of(analysis["metrics"][figure.name]) for figure in shown]
        rows.append(
            [page.key(page.COLOURS[index], name), *figures, str(analysis["detections"]), str(analysis["images"])]
        )
    text = (
        "COCO's figures, as pycocotools has them: AP is the mean over IoU 0.5 to 0.95, small is under 32 x 32 pixels,"
        " large over 96 x 96, thin more than 8 times as long as wide. AR100 is the share of the objects found by"
        f" {most} detections of a class in an image. - is a figure without objects."
    )
    notes = "".join(f"<p>{page.escape(line)}</p>" for line in metrics_table.ceiling_lines(metrics))
    headings = ["", *(figure.in_report for figure in shown), "detections", "on images"]
    return f"<h2>Average precision</h2><p>{text}</p>{notes}{page.table(headings, rows)}{_intervals(runs)}"


def _intervals(runs: dict[str, dict]) -> str:
    """How far AP could be off, and which differences are more than chance."""
    rows = []
    for name, run in runs.items():
        cells = [page.figure_of(run["metrics"]["AP"]), page.interval_of(run["AP_interval"]["interval"])]
        difference = run.get("AP_difference")
        if difference:
            sides = difference["interval"] or [-1, 1]
            verdict = "no more than chance" if sides[0] <= 0 <= sides[1] else "more than chance"
            value = "-" if difference["value"] is None else f"{difference['value']:+.3f}"
            cells += [f"<td>{value} ({page.interval_of(difference['interval'])}): {verdict}</td>"]
        rows.append([page.escape(name), *cells, *["<td></td>"] * (len(runs) > 1 and not difference)])
    first = next(iter(runs))
    text = (
        "95% of what AP is when as many pictures are drawn anew from these,"
        f" {runs[first]['AP_interval']['draws']} times (bootstrap over the pictures). It says what other pictures of"
        " the kind could give, and nothing of another training of the detector."
    )
    headings = ["", "AP", "95% interval", *[f"difference from {page.escape(first)}"] * (len(runs) > 1)]
    return f"<p>{text}</p>{page.table(headings, rows)}"


def _branches(runs: dict[str, dict]) -> str:
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
                rows.append([page.escape(f"{name}, {title}"), *(page.figure_of(figures[key]) for key in names)])
    if not rows:
        return ""
    text = (
        "What both branches find together, and each alone. Where one is better alone, predict, export and train"
        " --mode=eval take it by --branch."
    )
    return f"<h2>Branches</h2><p>{text}</p>{page.table(['', *names], rows)}"


def _levels(runs: dict[str, dict]) -> str:
    """Which level the objects select, where that was counted."""
    counted = {name: run for name, run in runs.items() if run.get("levels")}
    if not counted:
        return ""
    levels = sorted({level for run in counted.values() for level in run["levels"]}, key=int)
    rows = []
    for name, run in counted.items():
        for title, key in ((page.escape(name), "levels"), ("by size", "levels_by_size")):
            rows.append([title, *(f"{run[key].get(level, 0):.0%}" for level in levels)])
    text = (
        "The share of the objects of the evaluation that each level of the pyramid would learn by the run's selection,"
        " and below by their size (Eq. 3). Nearly all on a level that sizes do not ask for may be a selection that has"
        " fallen onto it."
    )
    return f"<h2>Levels</h2><p>{text}</p>{page.table(['', *(f'P{level}' for level in levels)], rows)}"


def _precision_recall(runs: dict[str, dict]) -> str:
    """All detectors at two IoU thresholds, then each with its classes."""
    means = []
    for iou, index in measures.CURVES.items():
        figure = "AP50" if index == 0 else "AP75"
        lines = [
            (f"{name}: {figure} {page.figure_of(run['metrics'][figure])}", colour, run["precision_recall"][iou]["mean"])
            for (name, run), colour in zip(runs.items(), page.COLOURS)
        ]
        means.append((f"IoU {iou}, mean over the classes", [line for line in lines if line[2]]))
    by_class = [(f"{name}, IoU 0.5, by class", _class_curves(run)) for name, run in runs.items()]
    text = (
        "From left to right detections of ever lower score are taken in: more objects are found, more detections are"
        " wrong. The area under a curve is the AP; where a curve ends at 0, the rest is not found at any score."
    )
    charts = page.curves(means) + page.curves(by_class) if len(runs) > 1 else page.curves(means + by_class)
    return f"<h2>Precision and recall</h2><p>{text}</p>{charts}"


def _class_curves(run: dict) -> list[tuple[str, None, list[float]]]:
    """Those with the most objects."""
    rows = sorted(run["by_class"], key=lambda row: -row["objects"])[:CURVES_SHOWN]
    curves = run["precision_recall"]["0.5"]["by_class"]
    return [
        (f"{row['name']}: {page.figure_of(row['AP50'])}", None, curves[row["name"]]) for row in rows if row["objects"]
    ]


def _bins(runs: dict[str, dict], names: Sequence[str]) -> str:
    first = next(iter(runs.values()))

    def rows(key):
        return [
            [_range(bin_), str(bin_["objects"]), page.bars([run[key][index]["AP"] for run in runs.values()])]
            for index, bin_ in enumerate(first[key])
        ]

    size = (
        "The side in pixels of a square of the box's area. AP counts objects of that size alone, by COCO's rule: others"
        " are ignored, and so are detections of another size that hit nothing."
    )
    shape = (
        "The longer side over the shorter one, by the same rule. The last row is the thin objects of the first table."
    )
    head = ["objects", f"AP {_keys(names)}"]
    return (
        f"<h2>AP by size</h2><p>{size}</p>{page.table(['side, px', *head], rows('by_size'))}"
        f"<h2>AP by shape</h2><p>{shape}</p>{page.table(['long : short', *head], rows('by_shape'))}"
    )


def _keys(names: Sequence[str]) -> str:
    return (
        " &ensp; ".join(page.key(colour, name) for name, colour in zip(names, page.COLOURS)) if len(names) > 1 else ""
    )


def _range(bin_: dict) -> str:
    return f"over {bin_['from']:g}" if bin_["to"] is None else f"{bin_['from']:g} to {bin_['to']:g}"


def _classes(runs: dict[str, dict], names: Sequence[str]) -> str:
    first = next(iter(runs.values()))
    by_name = [{row["name"]: row["AP"] for row in run["by_class"]} for run in runs.values()]
    ranked = sorted(first["by_class"], key=lambda row: (row["objects"] == 0, -(row["AP"] if row["objects"] else 0)))
    rows = [
        [page.escape(row["name"]), str(row["objects"]), page.bars([aps[row["name"]] for aps in by_name])]
        for row in ranked
    ]
    return f"<h2>AP by class</h2>{page.table(['class', 'objects', f'AP {_keys(names)}'], rows)}"


def _kinds(runs: dict[str, dict], names: Sequence[str]) -> str:
    found = [run["errors"]["kinds"] for run in runs.values()]
    most = max(kinds[kind]["cost"] or 0.0 for kinds in found for kind in kinds)
    rows = []
    for kind, meaning in MEANINGS.items():
        of_runs = [kinds.get(kind, {"count": 0, "cost": 0.0}) for kinds in found]
        if any(kind in kinds for kinds in found):
            counts = [f"({one['count']})" for one in of_runs]
            rows.append([kind, meaning, page.bars([one["cost"] for one in of_runs], most, counts)])
    text = (
        "Each wrong detection, of whatever score, is of one kind; so is each object that none of them is about. The"
        " cost is the AP50 that would be won if the errors of that kind alone were mended; costs do not add up. In"
        " brackets their number: many errors of low score may cost little. Kinds and costs are those of TIDE (Bolya et"
        " al., 2020)."
    )
    table = page.table(["", "what it is", f"cost in AP50 {_keys(names)}"], rows)
    return f"<h2>Errors and what they cost</h2><p>{text}</p>{table}"


def _confusion(runs: dict[str, dict], score_threshold: float) -> str:
    tables = "".join(
        f"<div><p><b>{page.escape(name)}</b></p>{_matrix(run['confusion'])}</div>" for name, run in runs.items()
    )
    text = (
        f"Detections that score at least {score_threshold:g}, each with the object that it overlaps by IoU 0.5 or more."
        " A row is what the objects are, a column what they were taken for; colours are shares of the row. The last row"
        " is detections on no object, or on one that a better detection has."
    )
    return f'<h2>Confusions</h2><p>{text}</p><div class="side">{tables}</div>'


def _matrix(confusion: dict) -> str:
    """All classes if they are few, else those that are most confused with another."""
    names, matrix = confusion["names"], confusion["matrix"]
    count = len(names)
    mistakes = [sum(matrix[k][j] + matrix[j][k] for j in range(count) if j != k) for k in range(count)]
    kept = sorted(sorted(range(count), key=lambda k: -mistakes[k])[:CLASSES_SHOWN])
    rows = []
    for k in [*kept, count]:
        total = sum(matrix[k]) or 1
        cells = [
            page.shade(matrix[k][j], matrix[k][j] / total, j == k) for j in [*kept, count][: None if k < count else -1]
        ]
        rows.append([page.escape(names[k]) if k < count else "<i>no object</i>", *cells])
    css = "heat wide" if len(kept) > 10 else "heat"
    left_out = (
        f'<p class="note">The {len(kept)} of {count} classes that are most confused.</p>' if len(kept) < count else ""
    )
    return left_out + page.table(["", *(page.escape(names[k]) for k in kept), "<i>missed</i>"], rows, css)


def _thresholds(runs: dict[str, dict]) -> str:
    """From which score on detections are worth showing, as chosen on these data or, where some are given, as tried."""
    blocks, tried = [], False
    for name, run in runs.items():
        given = run.get("given_thresholds")
        tried = bool(given)
        title = f"<p><b>{page.escape(name)}</b></p>" if len(runs) > 1 else ""
        rows = given["by_class"] if given else [*run["thresholds"]["by_class"], run["thresholds"]["one"]]
        cells = [_threshold_row(row) for row in rows]
        if given:
            mean = {
                "name": "mean of the classes",
                "threshold": None,
                "precision": None,
                "recall": None,
                **given["mean"],
            }
            every = {"name": "all detections", "threshold": None, **given["all"]}
            cells += [_threshold_row(row) for row in (mean, every)]
        headings = ["", "objects", "threshold", "precision", "recall", "F1", *["F1 of one threshold"] * tried]
        blocks.append(f"<div>{title}{page.table(headings, cells)}</div>")
    file = next(iter(runs.values())).get("given_thresholds", {}).get("file")
    text = (
        "For each class the score from which on its detections have the greatest F1 (the harmonic mean of precision and"
        " recall, IoU 0.5), and the best single one for all classes."
    )
    if tried:
        text = (
            f"Thresholds that were chosen on other data ({page.escape(file)}), and what they come to on these:"
            " precision and recall at IoU 0.5, F1, and the F1 of the best single threshold from there."
        )
    else:
        text += (
            " They were chosen on these pictures, on which they look better than on others: make the report of"
            " validation data, and give its JSON to predict and to a report on test data by --thresholds."
        )
    return f'<h2>Score thresholds</h2><p>{text}</p><div class="side">{"".join(blocks)}</div>'


def _threshold_row(row: dict) -> list[str]:
    threshold = "-" if row["threshold"] is None else f"{row['threshold']:g}"
    figures = [page.figure_of(row[key]) for key in ("precision", "recall", "F1", "F1_of_one") if key in row]
    return [page.escape(row["name"]), str(row.get("objects", "-")), threshold, *figures]


def _pictures(runs: dict[str, dict], thumbnails: dict[int, bytes], score_threshold: float, count: int) -> str:
    thumbnails = {image_id: thumbnails[image_id] for image_id in worst(runs, count) if image_id in thumbnails}
    if not thumbnails:
        return ""
    states = {box["state"] for run in runs.values() for picture in run["pictures"] for box in picture["boxes"]}
    shown = [state for state in page.STATES if state != errors.CUT_OFF or state in states]
    keys = " &ensp; ".join(page.key(page.STATES[state], state) for state in shown)
    text = (
        f"Where errors cost most: detections that score at least {score_threshold:g}, and dashed the objects that none"
        " of them is on. The cost is the sum of the scores of wrong detections and the number of objects missed. A box"
        " under the pointer tells its kind of error."
    )
    found = {name: {picture["image_id"]: picture for picture in run["pictures"]} for name, run in runs.items()}
    several = len(runs) > 1
    figures = []
    for image_id, jpeg in thumbnails.items():
        for name, pictures in found.items():
            one = pictures[image_id]
            caption = page.escape(f"{one['file_name']}{f', {name}' * several}, {_said(one)}")
            figures.append(page.picture(jpeg, (one["width"], one["height"]), one["boxes"], caption))
    grid = f'<div class="pictures" style="grid-template-columns:repeat({len(runs) if several else 3},1fr)">'
    return f"<h2>The worst pictures</h2><p>{text}</p><p>{keys}</p>{grid}{''.join(figures)}</div>"


def _said(picture: dict) -> str:
    """The cost, and how many errors of which kind it is made of."""
    counts = collections.Counter(box.get("kind") or box["state"] for box in picture["boxes"])
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in MEANINGS if counts[kind])
    return f"cost {picture['cost']:.1f}: {kinds or 'no errors'}"
