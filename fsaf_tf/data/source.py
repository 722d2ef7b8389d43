"""Opens the data that a config names, whatever its kind."""

import dataclasses

from fsaf_tf.config import data_sources, schema
from fsaf_tf.data import coco, frames, records, tfds
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
        return self.validation if self.train is None else self.train


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
    return matched(
        open_source(task.train_data, download=download) if train else None,
        open_source(task.validation_data, download=download) if validation else None,
    )


def matched(train: Source | None, validation: Source | None) -> Sources:
    """The data of a run, the validation data with the classes of the training, of which they may list only some.

    Raises:
        UserError: ids and names of the classes disagree.
    """
    if train is None or validation is None:
        return Sources(train, validation)
    return Sources(train, with_classes(validation, train.classes, f"the training data {train.name}"))


def open_source(config: schema.Data, *, download: bool = False) -> Source:
    """Opens and checks a data set; see `data.tfds`, `data.coco` and `data.records` for what is checked when.

    Args:
        config: `train_data` or `validation_data`.
        download: let TFDS fetch what is not there.

    Raises:
        UserError: one line that says what is wrong.
    """
    given = [name for name in data_sources.SOURCES if getattr(config, name)]
    if len(given) != 1:
        raise UserError(
            f"data needs exactly one of {', '.join(data_sources.SOURCES)}; it has {', '.join(given) or 'none'}"
        )
    max_bad = config.max_bad_pictures if isinstance(config, schema.TrainData) else 0.0
    frame = config.exif_orientation
    if config.annotation_file:
        file, folder, outside = config.annotation_file, config.image_dir, config.images_outside
        return coco.open_coco(file, folder, frame=frame, outside=outside, max_bad=max_bad)
    upright = frame == frames.UPRIGHT
    if config.tfds_name:
        name, split, folder = config.tfds_name, config.tfds_split, config.tfds_data_dir
        return tfds.open_tfds(name, split, folder, download=download, upright=upright, max_bad=max_bad)
    source = records.open_records(config.input_path, config.label_map, upright=upright, max_bad=max_bad)
    if source.boxes and frame != frames.AUTO:
        raise UserError(f"{source.name}: its records say which way up each picture is; leave exif_orientation out")
    return source
