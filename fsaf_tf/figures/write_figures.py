"""Makes the figures that `tools/visualize.py` is asked for, and writes them with a word on each."""

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from official.core import config_definitions
from PIL import Image, PngImagePlugin

from fsaf_tf.analysis import evaluations, inputs
from fsaf_tf.config import experiment
from fsaf_tf.data import images
from fsaf_tf.data.classes import LABELS, Classes
from fsaf_tf.data.examples import Source, with_classes
from fsaf_tf.data.source import open_train
from fsaf_tf.detect import predict_files, trained
from fsaf_tf.errors import UserError
from fsaf_tf.figures import batch as batch_figure
from fsaf_tf.figures import compare as comparing
from fsaf_tf.figures import levels as level_figure
from fsaf_tf.figures import pictures, training
from fsaf_tf.figures import selection as selection_figure
from fsaf_tf.figures import targets as target_figure
from fsaf_tf.files import storage
from fsaf_tf.serving import load
from fsaf_tf.terminal.progress import Progress, prediction_line, track
from fsaf_tf.visualize import curves

TOOL = "fsaf-visualize"
NO_CLASSES = Classes((), ())


class Choice:
    """Which pictures: files with or without annotations, or else the data that a run was evaluated on, all or some."""

    def __init__(
        self, images: Sequence[str] = (), annotations: str = "", image_ids: Sequence[int] = (), count: int = 0
    ):
        """Keeps the choice: files, annotations with their boxes, ids in the data, or at most so many."""
        self.images, self.annotations, self.image_ids, self.count = images, annotations, image_ids, count

    @property
    def has_truth(self) -> bool:
        """The pictures have boxes."""
        return bool(self.annotations) or not self.images

    def open(self, run: str | None, classes: Classes = NO_CLASSES) -> Source:
        """Opens the pictures.

        Args:
            run: the folder of the run whose data are taken where no files were named: those of its last evaluation.
            classes: those of pictures without annotations, or of the model where annotations have no ids.

        Raises:
            UserError: there are none.
        """
        if self.annotations:
            source = pictures.of_annotated_files(self.images, self.annotations)
            if source.by_name and source.fits(classes):
                source = with_classes(source, classes, "the model")
        elif self.images:
            source = pictures.of_files(self.images, classes)
        elif run:
            source = inputs.open_run_data(run)
        else:
            raise UserError("no run says which data to take; give --images and --annotations")
        return pictures.select(source, self.image_ids, self.count)


class Model(NamedTuple):
    """A detector that figures are wanted of.

    Attributes:
        path: the folder of a run; for `compare` also an exported model or a `detections.json`.
        name: what to call it.
        checkpoint: which one of the run; see `checkpoints.choose`.
    """

    path: str
    name: str
    checkpoint: str | None = None


def targets(model: Model, output: str, choice: Choice) -> None:
    """Writes Fig. 5 of each picture, `targets_ID.png`.

    Args:
        model: a run with an anchor-free branch.
        output: the folder to write to.
        choice: the pictures.

    Raises:
        UserError: model or pictures cannot be read, or do not have the same classes.
    """
    detector = _of_a_run(model, needs_anchor_free=True)
    source = _with_its_classes(choice.open(evaluations.folder_of(model.path, detector)), detector)
    _write_each(target_figure.draw(detector, model.name, source), source, output, "targets", Progress())


def selection(model: Model, output: str, choice: Choice, instance: int) -> None:
    """Writes Fig. 6, `selection_ID.png`, of the object `instance` of each picture, from 1, or with 0 of the first ones.

    For the other arguments and errors see `targets`.
    """
    detector = _of_a_run(model, needs_anchor_free=True)
    source = _with_its_classes(choice.open(evaluations.folder_of(model.path, detector)), detector)
    drawn = selection_figure.draw(detector, model.name, source, instance)
    _write_each(drawn, source, output, "selection", Progress())


def compare(models: Sequence[Model], output: str, choice: Choice, score_threshold: float) -> None:
    """Writes Fig. 1 and 7 of each picture, `compare_ID.png`, and says how much each side found.

    Args:
        models: two, of any kind.
        output: the folder to write to.
        choice: the pictures.
        score_threshold: detections of less are left out.

    Raises:
        UserError: models or pictures cannot be read, or do not belong together.
    """
    compared, line = [comparing.Compared.open(*model) for model in models], Progress()
    for text in (text for each in compared for text in load.describe(each.detector)):
        line.say(text)
    evaluated = [each.folder for each in compared if each.folder and each.results is not None]
    if not choice.images:
        inputs.check_same_data(evaluated)
    folders = [each.folder for each in compared if each.folder]
    classes = next((each.detector.classes for each in compared if each.detector), None) or _recorded_classes(folders)
    source = choice.open(next(iter([*evaluated, *folders]), None), classes)
    has_ids = choice.has_truth and not (choice.annotations and source.form)
    drawn = comparing.draw(
        [each.side(source, has_ids=has_ids) for each in compared],
        source,
        has_truth=choice.has_truth,
        score_threshold=score_threshold,
        say=line.say,
    )
    _write_each(drawn, source, output, "compare", line)


def levels(
    model: Model,
    output: str,
    choice: Choice,
    *,
    score_threshold: float,
    rule: str,
    pictures_wanted: int,
) -> None:
    """Writes Fig. 8 of the first pictures, `levels_ID.png`, and of all `levels.png` (a chart), `.csv` and `.json`.

    Args:
        model: a run.
        output: the folder to write to.
        choice: the pictures.
        score_threshold: detections of less are left out.
        rule: of `levels.RULES`.
        pictures_wanted: draw so many.

    Raises:
        UserError: see `targets`.
    """
    detector = _of_a_run(model)
    source = choice.open(evaluations.folder_of(model.path, detector), detector.classes)
    if choice.has_truth:
        _with_its_classes(source, detector)
    rows, paths, line = [], [], Progress()
    looked = level_figure.look(detector, source, has_truth=choice.has_truth, score_threshold=score_threshold)
    for number, seen in enumerate(_tracked(looked, source, line), start=1):
        rows.append(seen.objects.of(seen.counts))
        if number <= pictures_wanted:
            figure = level_figure.draw(seen, model.name, rule, score_threshold)
            paths.append(write(figure, f"{output}/levels_{seen.picture['image_id']}.png"))
    objects, all_levels = level_figure.Objects.join(rows), detector.program.geometry.levels
    what = "objects found" if choice.has_truth else "detections"
    found = f"{len(objects.sizes)} {what} in {source.num_images} images by {model.name}"
    title = f"{found}, score {score_threshold:g} or more"
    paths.append(write(level_figure.chart(objects, all_levels, title, rule), f"{output}/levels.png"))
    table = level_figure.table(objects, all_levels)
    facts = {"model": model.path, "data": source.name, "images": source.num_images, "score_threshold": score_threshold}
    storage.write_json(f"{output}/levels.json", {**facts, **table})
    text = level_figure.as_csv(table, all_levels)
    storage.write_text(f"{output}/levels.csv", text)
    line.say(f"{_listed(paths)}\n{output}/levels.csv and levels.json:\n{text.rstrip()}")


def batch(params: config_definitions.ExperimentConfig, output: str, count: int) -> None:
    """Writes what training feeds the network, `batch.png`.

    Args:
        params: the experiment.
        output: the folder to write to.
        count: draw so many pictures, the first ones.

    Raises:
        UserError: the data cannot be read.
    """
    source = open_train(params.task)
    try:
        figure = batch_figure.draw(params, source, count)
    except tf.errors.InvalidArgumentError as error:
        raise images.user_error(error) or error from None
    Progress().say("\n".join([*(finding.line for finding in source.findings), write(figure, f"{output}/batch.png")]))


def over_time(models: Sequence[str], names: Sequence[str], output: str) -> None:
    """Writes losses, AP and level shares of runs, `training.png`.

    Args:
        models: folders of runs.
        names: what to call them.
        output: the folder to write to.

    Raises:
        UserError: a folder has no event files.
    """
    runs = [training.read(model.rstrip("/")) for model in models]
    figure = curves.training(names, runs, [training.level_shares(run) for run in runs])
    Progress().say(write(figure, f"{output}/training.png"))


def _of_a_run(model: Model, *, needs_anchor_free: bool = False) -> trained.Detector:
    detector = load.load_trained(model.path, model.checkpoint)
    if needs_anchor_free and not detector.config.model.anchor_free.enabled:
        raise UserError(
            f"{model.path} has no anchor-free branch (task.model.anchor_free.enabled), which this figure shows"
        )
    print(detector.checkpoint.line)
    return detector.at_one_size()  # a level means something at the size of training alone


def _with_its_classes(source: Source, detector: trained.Detector) -> Source:
    """The source, whose classes must be the detector's."""
    if source.fits(detector.classes):
        return with_classes(source, detector.classes, "the model")
    if source.classes.names != detector.classes.names:
        raise UserError(comparing.other_classes(source, detector))
    return source


def _recorded_classes(folders: Sequence[str]) -> Classes:
    """The classes that the run of the first folder recorded; none if there is no folder."""
    return Classes.read(f"{experiment.folder_of(folders[0])}/{LABELS}") if folders else NO_CLASSES


def _write_each(figures: Iterable[tuple], source: Source, output: str, name: str, line: Progress) -> None:
    for finding in source.findings:
        line.say(finding.line)
    paths = [write(figure, f"{output}/{name}_{image_id}.png") for image_id, figure in _tracked(figures, source, line)]
    line.say(_listed(paths))


def _tracked(items: Iterable, source: Source, line: Progress) -> Iterator:
    """The items, one a picture of the source, with the live line."""
    return track(items, line, lambda done, rate: prediction_line(done, source.num_images, rate, "images"))


def write(figure, path: str) -> str:
    """Writes a picture `[H, W, 3]` uint8, or a figure of Matplotlib, and returns the path; the PNG names its tool."""
    storage.make_folder(os.path.dirname(path) or ".")
    encoded = io.BytesIO()  # a picture of before is not lost to one that cannot be written
    if isinstance(figure, np.ndarray):
        named = PngImagePlugin.PngInfo()
        named.add_text("Software", TOOL)
        Image.fromarray(figure).save(encoded, format="png", pnginfo=named)
    else:
        figure.savefig(encoded, format="png", metadata={"Software": TOOL})
    storage.write_bytes(path, encoded.getvalue())
    return path


def _listed(paths: Sequence[str]) -> str:
    more = len(paths) - predict_files.FILES_SHOWN
    shown = [*paths[: predict_files.FILES_SHOWN], *([f"and {more} more"] if more > 0 else [])]
    return "\n".join(shown)
