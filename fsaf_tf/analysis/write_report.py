"""Makes a report: reads what it is of, measures, and writes the page and its JSON."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

from fsaf_tf.analysis import blocks, bootstrap, inputs, measures, picture_pages, report, templates, thresholds
from fsaf_tf.analysis.evaluations import Evaluation
from fsaf_tf.data.examples import Source
from fsaf_tf.errors import UserError
from fsaf_tf.evaluate import average_precision, coco_results, metrics_table
from fsaf_tf.files import storage
from fsaf_tf.terminal import faults
from fsaf_tf.terminal.progress import Progress


class Wanted(NamedTuple):
    """What a report shows.

    Attributes:
        score_threshold: confusions and pictures are of detections of at least this score.
        pictures: at most so many, of the worst and of labels that may be wrong.
        browse: so many pictures at most, the worst first, have pages beside it with all their errors.
        thresholds: a report on other data, whose thresholds are tried on these; may be None.
    """

    score_threshold: float
    pictures: int
    browse: int
    thresholds: str | None = None


def make(
    evaluated: Sequence[Evaluation],
    files: Sequence[str],
    output: str,
    *,
    data: inputs.Data,
    labels: Sequence[str],
    wanted: Wanted,
) -> dict:
    """Writes the report on some detectors, and says where.

    Args:
        evaluated: evaluations of runs or of exported models.
        files: further files of COCO's results.
        output: the page, NAME.html; NAME.json is what is returned, without the boxes of pictures that are not on it;
            NAME_pictures are pages on every picture.
        data: what they are compared with.
        labels: names of the detectors; if there are none, as much of their paths as tells them apart.
        wanted: what is shown.

    Returns:
        What `report.render` takes.

    Raises:
        UserError: something cannot be read, or the detectors are not of the same data; or a picture cannot, and the
            report is written without it.
    """
    templates.check_installed()
    folders = [evaluation.folder for evaluation in evaluated]
    asked = _detections_in([evaluation.asked for evaluation in evaluated])
    names = list(labels) or coco_results.names_of([*asked, *files])
    _check(names, folders, data.annotations)
    most = data.max_detections or max_detections(folders)
    if wanted.thresholds:
        thresholds.read(wanted.thresholds)  # before the measuring, which may take minutes
    for path in (output, _json(output)):
        storage.try_writing(path)
    progress = Progress()
    truth, results = _read(evaluated, files, data, names, progress)
    runs = _measured(results, truth.dict, wanted, most, progress)
    for name, evaluation in zip(names, evaluated):
        metrics = storage.read_dict(f"{evaluation.folder}/metrics.json")
        runs[name] |= {key: metrics[key] for key in ("levels", "levels_by_size", "branches") if metrics.get(key)}
    found = {
        "title": f"Detections of {', '.join(names)}",
        "data": _facts(data.annotations or truth.source.name, truth.dict),
        "score_threshold": wanted.score_threshold,
        "runs": storage.plain(runs),
    }
    progress.update("pictures")
    shown = report.shown(runs, wanted.pictures) if truth.source else []
    pages = picture_pages.plan(output, report.ranked(runs), wanted.browse if truth.source else 0)
    pages, problem = _write(output, found, wanted.pictures, _Pictures(truth.source, shown, pages))
    _say_end(output, found, pages, progress)
    if problem:
        raise UserError(problem)
    return found


def _read(
    evaluated: Sequence[Evaluation], files: Sequence[str], data: inputs.Data, names: Sequence[str], progress: Progress
) -> tuple[inputs.GroundTruth, dict[str, list[dict]]]:
    """The ground truth, and the detections by the names of the detectors; says what is odd about them."""
    folders = [evaluation.folder for evaluation in evaluated]
    for evaluation in evaluated:
        if evaluation.line:
            progress.say(evaluation.line)
    truth = inputs.open_ground_truth(data, folders, files)
    notes = [f"{finding.where}: {finding.line}" for finding in truth.findings]
    for line in filter(None, [*notes, *(inputs.check_unchanged(folder, truth.dict) for folder in folders)]):
        progress.say(line)
    # What a folder says of its data is compared with these above.
    known = [*(True for _ in folders), *(truth.has_ids for _ in files)]
    paths = [*_detections_in(folders), *files]
    return truth, {
        name: inputs.read_results(path, truth.dict, has_ids=each) for name, path, each in zip(names, paths, known)
    }


def _say_end(output: str, found: dict, pages: picture_pages.Pages, progress: Progress) -> None:
    """The figures of each detector, and where the report is."""
    progress.close()
    for name, analysis in found["runs"].items():
        progress.say(f"{name}: {_said(analysis)}")
    for line in metrics_table.ceiling_lines(next(iter(found["runs"].values()))["metrics"]):
        progress.say(line)
    more = f"; {pages.said()}: {pages.folder}/index.html" if pages.number_of else ""
    progress.say(f"The report is in {output}, its figures in {_json(output)}{more}")


def _measured(
    results: dict[str, Sequence[dict]], ground_truth: dict, wanted: Wanted, most: int, progress: Progress
) -> dict[str, dict]:
    """What there is to say of each detector, and of one beside the other."""
    runs, values = {}, {"score_threshold": wanted.score_threshold, "max_detections": most}
    for name, rows in results.items():
        tell = functools.partial(_tell, progress, name)
        runs[name] = measures.analyze(ground_truth, rows, tell=tell, **values)
    progress.update("how far AP could be off")
    _add_intervals(runs, results, ground_truth, most)
    given = thresholds.read(wanted.thresholds) if wanted.thresholds else None
    for name, rows in results.items() if given else ():
        tried = thresholds.measured(ground_truth, rows, most, given)
        runs[name]["given_thresholds"] = {"file": wanted.thresholds, **tried}
    return runs


def _tell(progress: Progress, name: str, text: str) -> None:
    progress.update(f"{name}: {text}")


def _add_intervals(runs: dict[str, dict], results: dict[str, Sequence[dict]], ground_truth: dict, most: int) -> None:
    """`AP_interval` of each detector, and of all but the first `AP_difference` from that."""
    count = bootstrap.number_of_draws(max(map(len, results.values())))
    drawn = bootstrap.draw(len(ground_truth["images"]), count)
    aps = {name: bootstrap.aps(ground_truth, rows, drawn, most) for name, rows in results.items()}
    first = next(iter(runs))
    for name, run in runs.items():
        run["AP_interval"] = {"draws": count, "interval": bootstrap.interval(aps[name])}
        if name != first:
            difference = run["metrics"]["AP"] - runs[first]["metrics"]["AP"]
            run["AP_difference"] = {"from": first, "value": difference}
            run["AP_difference"]["interval"] = bootstrap.interval(aps[name] - aps[first])


def _detections_in(folders: Sequence[str]) -> list[str]:
    return [f"{folder}/{coco_results.DETECTIONS}" for folder in folders]


def _said(analysis: dict) -> str:
    """The figures of a detector, and the kind of error to look at first."""
    metrics, kinds = analysis["metrics"], analysis["errors"]["kinds"]
    worst = max(kinds, key=lambda kind: _cost(kinds[kind]))
    shown = [figure.name for figure in average_precision.FIGURES if figure.in_line]
    figures = ", ".join(f"{name} {blocks.figure_of(metrics[name])}" for name in shown)
    if analysis["AP_interval"]["interval"]:
        figures += f" (95% of AP: {blocks.interval_of(analysis['AP_interval']['interval'])})"
    if "given_thresholds" in analysis:
        mean = analysis["given_thresholds"]["mean"]
        figures += f", mean F1 {blocks.figure_of(mean['F1'])} by thresholds of the classes"
        figures += f" and {blocks.figure_of(mean['F1_of_one'])} by one"
    found = f"{analysis['detections']} detections on {analysis['images']} images"
    if _cost(kinds[worst]) <= 0:
        return f"{found}; {figures}; no errors that cost AP50"
    return f"{found}; {figures}; costliest errors: {worst}, {blocks.figure_of(kinds[worst]['cost'])} AP50"


def _cost(kind: dict) -> float:
    """The cost of a kind of errors; 0 where there are no objects that could be lost."""
    return kind["cost"] or 0.0


def _check(names: Sequence[str], folders: Sequence[str], annotations: str | None) -> None:
    if len(set(names)) < len(names):
        raise UserError(f"the detectors need names that differ; they are called {', '.join(names)}")
    if len(names) > len(blocks.COLOURS):
        raise UserError(f"{len(names)} detectors are too many for one page; give at most {len(blocks.COLOURS)}")
    if not annotations:
        inputs.check_same_data(folders)


def max_detections(folders: Sequence[str]) -> int:
    """What some evaluations were taken with."""
    recorded = [storage.read_dict(f"{folder}/metrics.json").get("max_detections") for folder in folders]
    numbers = [number or average_precision.MOST for number in recorded] or [average_precision.MOST]
    if len(set(numbers)) > 1:
        differing = ", ".join(f"{folder} at {number}" for folder, number in zip(folders, numbers))
        raise UserError(
            f"the detectors were evaluated at different numbers of detections: {differing}; give --max_detections"
        )
    return numbers[0]


def _facts(name: str, ground_truth: dict) -> dict:
    objects = sum(not row.get("iscrowd") for row in ground_truth["annotations"])
    counts = {"images": len(ground_truth["images"]), "classes": len(ground_truth["categories"])}
    return {"name": name, "objects": objects, **counts}


class _Pictures(NamedTuple):
    """The pictures of a report: where they come from, which are on its page, and its other pages."""

    source: Source | None
    shown: Sequence[int]
    pages: picture_pages.Pages


def _taken(pictures: _Pictures) -> tuple[dict[int, bytes], set[int], str | None]:
    """Files of the pictures on the page, the ids of those that are written for the others, and why some are not there.

    That is no reason to lose the figures.
    """
    thumbnails, written, problem = {}, set(), None
    wanted = {*pictures.shown, *pictures.pages.number_of}
    try:
        for image_id, picture in inputs.pictures(pictures.source, wanted) if wanted else ():
            if image_id in pictures.shown:
                thumbnails[image_id] = inputs.jpeg(picture, inputs.THUMBNAIL_SIDE)
            if image_id in pictures.pages.number_of:
                data = inputs.jpeg(picture, picture_pages.SIDE)
                storage.write_bytes(picture_pages.file_of(pictures.pages, image_id), data)
                written.add(image_id)
    except Exception as error:
        reason = str(error) if isinstance(error, UserError) else faults.line(error)
        if not reason:
            raise
        lost = len(wanted - written - thumbnails.keys())
        problem = f"{lost} of {len(wanted)} pictures are not in the report: {reason}"
    return thumbnails, written, problem


def _json(output: str) -> str:
    return f"{output.removesuffix('.html')}.json"


def _write(output: str, found: dict, count: int, pictures: _Pictures) -> tuple[picture_pages.Pages, str | None]:
    """Writes the page, those on every picture, and the figures; the pages that are there, and why some are not."""
    picture_pages.begin(pictures.pages)
    thumbnails, written, problem = _taken(pictures)
    pages = picture_pages.of_those(pictures.pages, written)
    storage.write_text(output, report.render(found, thumbnails, count, pages))
    picture_pages.write(pages, found, output)
    for run in found["runs"].values():
        for picture in run["pictures"]:
            if picture["image_id"] not in thumbnails:
                del picture["boxes"]
    storage.write_json(_json(output), found)
    return pages, problem
