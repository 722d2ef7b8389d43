"""Makes the figures that `tools/visualize.py` is asked for, and writes them with a word on each."""

import os
import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from PIL import Image

from fsaf_tf import adoption, experiment, inference, prediction, pyramid, run_files
from fsaf_tf.data.examples import Source
from fsaf_tf.data.source import open_source
from fsaf_tf.errors import UserError
from fsaf_tf.figures import compare as comparing
from fsaf_tf.figures import levels as level_figure
from fsaf_tf.figures import pictures, training
from fsaf_tf.figures import selection as selection_figure
from fsaf_tf.figures import targets as target_figure
from fsaf_tf.progress import Progress, Rate, prediction_line
from fsaf_tf.serving import exported
from fsaf_tf.visualize import curves


class Choice:
    """Which pictures: files with or without annotations, or else the validation data of a run, all or some."""

    def __init__(self, images: str = "", annotations: str = "", image_ids: Sequence[int] = (), count: int = 0):
        """Keeps the choice: a pattern of files, COCO JSON with their boxes, ids in the data, or at most so many."""
        self.images, self.annotations, self.image_ids, self.count = images, annotations, image_ids, count

    @property
    def has_truth(self) -> bool:
        """The pictures have boxes."""
        return bool(self.annotations) or not self.images

    def open(self, run: str | None, class_names: Sequence[str] = (), category_ids: Sequence[int] = ()) -> Source:
        """Opens the pictures.

        Args:
            run: the folder of the run whose validation data are taken where no files were named.
            class_names: those of pictures without annotations.
            category_ids: theirs.

        Raises:
            UserError: there are none.
        """
        if self.annotations:
            source = pictures.of_annotated_files(self.images, self.annotations)
        elif self.images:
            source = pictures.of_files(self.images, class_names, category_ids)
        elif run:
            source = open_source(experiment.read_params(run).task.validation_data)
        else:
            raise UserError("no run says which data to take; give --images and --annotations")
        return pictures.select(source, self.image_ids, self.count)


def targets(model: str, name: str, output: str, choice: Choice) -> None:
    """Fig. 5 of each picture."""
    detector = _of_a_run(model, needs_anchor_free=True)
    source = _with_its_classes(choice.open(adoption.folder(model)), detector)
    _write_each(target_figure.draw(detector, name, source), source, output, "targets")


def selection(model: str, name: str, output: str, choice: Choice, instance: int) -> None:
    """Fig. 6 of one object of each picture, or of the first ones."""
    detector = _of_a_run(model, needs_anchor_free=True)
    source = _with_its_classes(choice.open(adoption.folder(model)), detector)
    _write_each(selection_figure.draw(detector, name, source, instance), source, output, "selection")


def compare(models: Sequence[str], names: Sequence[str], output: str, choice: Choice, score_threshold: float) -> None:
    """Fig. 1 and 7 of each picture; a model is one of any kind, or a `detections.json`."""
    detectors = [None if model.endswith(".json") else exported.load_detector(model) for model in models]
    known = next((each for each in detectors if each), None)
    runs = [adoption.folder(os.path.dirname(m) or "." if m.endswith(".json") else m) for m in models]
    labels = (known.class_names, known.category_ids) if known else _labels(runs)
    source = choice.open(next((run for run in runs if run), None), *labels)
    categories = dict(zip(source.category_ids, source.class_names))
    sides = [
        comparing.of_detector(name, detector)
        if detector
        else comparing.of_results(name, _read_results(model), categories)
        for model, name, detector in zip(models, names, detectors)
    ]
    line = Progress()
    drawn = comparing.draw(
        sides, source, has_truth=choice.has_truth, score_threshold=score_threshold, say=lambda text: line.say(text)
    )
    _write_each(drawn, source, output, "compare", line)


def levels(
    model: str,
    name: str,
    output: str,
    choice: Choice,
    *,
    score_threshold: float,
    rule: str,
    pictures_wanted: int,
) -> None:
    """Fig. 8 of the first pictures, and a chart and a table of all."""
    detector = _of_a_run(model)
    source = choice.open(adoption.folder(model), detector.class_names, detector.category_ids)
    objects, line, rate, clock = level_figure.Objects(), Progress(), Rate(), [time.monotonic()]

    def after(count: int) -> None:
        now = time.monotonic()
        line.update(prediction_line(count, source.num_images, rate.add(1, now - clock[0]), "images"))
        clock[0] = now

    drawn = level_figure.draw(
        detector,
        name,
        source,
        objects,
        rule=rule,
        score_threshold=score_threshold,
        has_truth=choice.has_truth,
        pictures_wanted=pictures_wanted,
        after=after,
    )
    paths = [_write(figure, f"{output}/levels_{image_id}.png") for image_id, figure in drawn]
    task = detector.config
    all_levels = pyramid.levels(task.model.min_level, task.model.max_level)
    what = "objects found" if choice.has_truth else "detections"
    title = f"{len(objects.sizes)} {what} in {source.num_images} images by {name}, score {score_threshold:g} or more"
    paths.append(_write(level_figure.chart(objects, all_levels, title, rule), f"{output}/levels.png"))
    table = level_figure.table(objects, all_levels)
    facts = {"model": model, "data": source.name, "images": source.num_images, "score_threshold": score_threshold}
    run_files.write_json(f"{output}/levels.json", {**facts, **table})
    text = level_figure.as_csv(table, all_levels)
    run_files.write_text(f"{output}/levels.csv", text)
    line.say(f"{_listed(paths)}\n{output}/levels.csv and levels.json:\n{text.rstrip()}")


def over_time(models: Sequence[str], names: Sequence[str], output: str) -> None:
    """Losses, AP and level shares of runs."""
    runs = [training.read(model.rstrip("/")) for model in models]
    figure = curves.training(names, runs, [training.level_shares(run) for run in runs])
    Progress().say(_write(figure, f"{output}/training.png"))


def _of_a_run(model: str, *, needs_anchor_free: bool = False) -> inference.Detector:
    if exported.find(model):
        raise UserError(f"{model} is an exported model; this figure needs the run that it was made from")
    detector = exported.load_detector(model)
    if needs_anchor_free and not detector.config.model.anchor_free.enabled:
        raise UserError(f"{model} has no anchor-free branch (task.model.anchor_free.enabled), which this figure shows")
    return detector


def _with_its_classes(source: Source, detector: inference.Detector) -> Source:
    """The source, whose classes must be the detector's: the losses depend on them."""
    if list(source.class_names) != list(detector.class_names):
        raise UserError(
            f"{source.name} has the classes {', '.join(source.class_names[:8])}, the model"
            f" {', '.join(detector.class_names[:8])}; give annotations with the same"
        )
    return source


def _labels(runs: Sequence[str | None]) -> tuple[list[str], list[int]]:
    """The classes that a run with a `detections.json` has; none if there is no run."""
    run = next((run for run in runs if run), None)
    return inference.read_labels(f"{run}/labels.json") if run else ([], [])


def _read_results(path: str) -> list[dict]:
    results = run_files.read_json(path)
    wanted = {"category_id", "bbox", "score"}
    if not isinstance(results, list) or not all(isinstance(row, dict) and wanted <= set(row) for row in results):
        raise UserError(f"{path} is no list of COCO's results, as detections.json is")
    return results


def _write_each(figures: Iterable[tuple], source: Source, output: str, name: str, line: Progress | None = None) -> None:
    line, rate, clock, paths = line or Progress(), Rate(), time.monotonic(), []
    for number, (image_id, figure) in enumerate(figures, start=1):
        paths.append(_write(figure, f"{output}/{name}_{image_id}.png"))
        line.update(prediction_line(number, source.num_images, rate.add(1, time.monotonic() - clock), "images"))
        clock = time.monotonic()
    line.say(_listed(paths))


def _write(figure, path: str) -> str:
    """Writes a picture `[H, W, 3]` uint8, or a figure of Matplotlib, as PNG, and returns the path."""
    prediction.make_folder(os.path.dirname(path))
    save: Callable = Image.fromarray(figure).save if isinstance(figure, np.ndarray) else figure.savefig
    save(path)
    return path


def _listed(paths: Sequence[str]) -> str:
    more = len(paths) - prediction.FILES_SHOWN
    shown = [*paths[: prediction.FILES_SHOWN], *([f"and {more} more"] if more > 0 else [])]
    return "\n".join(shown)
