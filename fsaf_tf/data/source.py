"""Opens the data that a config names, whatever its kind."""

import dataclasses
from typing import Any

import numpy as np

from fsaf_tf.config import data_sources, schema
from fsaf_tf.data import annotated, coco, frames, hold_out, join, records, shares, tfds
from fsaf_tf.data.examples import Source, with_classes
from fsaf_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Sources:
    """The data of a run; None is what it does not use. Where there are both, their classes are the same."""

    train: Source | None
    validation: Source | None

    @property
    def of_classes(self) -> Source:
        """The one that the classes are taken from."""
        source = self.validation if self.train is None else self.train
        assert source is not None  # a run uses one of them
        return source


def open_sources(task: schema.Task, *, train: bool, validation: bool, download: bool = False) -> Sources:
    """Opens and checks the data that a run uses; see `open_source`.

    Args:
        task: with `train_data` and `validation_data`.
        train: whether the run trains.
        validation: whether it evaluates.
        download: let TFDS fetch what is not there.

    Raises:
        UserError: one line that says what is wrong, or in what the classes of the two differ.
    """
    if task.validation_data.fraction:
        left, held_out = _parts(task)
        if train:  # what is to be said of both is said once
            held_out = dataclasses.replace(held_out, findings=(), notes=())
        return Sources(
            _checked(task.train_data, left) if train else None,
            _checked(task.train_data, held_out, is_held_out=True) if validation else None,
        )
    return matched(
        open_source(task.train_data, download=download) if train else None,
        open_source(task.validation_data, download=download) if validation else None,
    )


def open_train(task: schema.Task) -> Source:
    """The training data alone; see `open_sources`."""
    return open_sources(task, train=True, validation=False).of_classes


def open_validation(task: schema.Task, *, download: bool = False) -> Source:
    """The validation data alone; see `open_sources`."""
    return open_sources(task, train=False, validation=True, download=download).of_classes


def matched(train: Source | None, validation: Source | None) -> Sources:
    """The data of a run, the validation data with the classes of the training, of which they may list only some.

    Raises:
        UserError: names of the classes disagree, or ids where these are no mere numbers of the names.
    """
    if train is None or validation is None:
        return Sources(train, validation)
    whose = f"the training data {train.name}"
    return Sources(train, with_classes(validation, train.classes, whose, by_name=train.by_name))


def open_source(config: schema.Data, *, download: bool = False) -> Source:
    """Opens and checks a data set; see `data.tfds`, `data.coco` and `data.records` for what is checked when.

    Args:
        config: `train_data` or `validation_data`.
        download: let TFDS fetch what is not there.

    Raises:
        UserError: one line that says what is wrong.
    """
    given = [name for name in data_sources.SOURCES if getattr(config, name)]
    is_training = isinstance(config, schema.TrainData)
    given += ["sources"] * bool(is_training and config.sources)
    if len(given) != 1:
        raise UserError(
            f"data needs exactly one of {', '.join(data_sources.SOURCES)}; it has {', '.join(given) or 'none'}"
        )
    frame = config.exif_orientation
    if is_training and config.folders:
        return _checked(config, _read(config))
    if config.annotation_file:
        ways: dict[str, Any] = {"frame": frame, "outside": config.images_outside, "split": "val"}
        return coco.open_coco(config.annotation_file, config.image_dir, **ways)
    max_bad, upright = config.max_bad_pictures if is_training else 0.0, frame == frames.UPRIGHT
    if config.tfds_name:
        name, split, folder = config.tfds_name, config.tfds_split, config.tfds_data_dir
        return tfds.open_tfds(name, split, folder, download=download, upright=upright, max_bad=max_bad)
    source = records.open_records(config.input_path, config.label_map, upright=upright, max_bad=max_bad)
    if source.boxes and frame != frames.AUTO:
        raise UserError(f"{source.name}: its records say which way up each picture is; leave exif_orientation out")
    return source


def _read(config: schema.TrainData) -> annotated.Annotated:
    """The annotations of one or several files, their pictures not checked yet."""
    ways: dict[str, Any] = {"frame": config.exif_orientation, "outside": config.images_outside, "split": "train"}
    sets = [annotated.read(each.annotation_file, each.image_dir, **ways) for each in config.folders]
    return join.join(sets, [each.weight for each in config.folders if each.weight])


def _parts(task: schema.Task) -> tuple[annotated.Annotated, annotated.Annotated]:
    """What is trained on and what is held out of the training data."""
    if not task.train_data.folders:
        raise UserError("task.validation_data.fraction needs task.train_data.annotation_file or its sources")
    return hold_out.parts(_read(task.train_data), task.validation_data.fraction, task.train_data.seed)


def _checked(config: schema.TrainData, read: annotated.Annotated, *, is_held_out: bool = False) -> Source:
    """A source of annotations, or the part of them that is evaluated on, whose pictures are checked."""
    frame, max_bad = config.exif_orientation, config.max_bad_pictures
    opened = annotated.check(read, frame=frame, outside=config.images_outside, max_bad=max_bad)
    if is_held_out:
        opened = dataclasses.replace(opened, bad=opened.bad.closed())
    elif config.sources:
        files, boxes = [each.annotation_file for each in config.sources], np.diff(opened.table.splits)
        of_files = shares.lines(files, opened.origin, boxes, opened.mixture)
        opened = dataclasses.replace(opened, notes=(*of_files, *opened.notes))
    return coco.source(opened, frame)
