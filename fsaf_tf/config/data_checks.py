"""Whether the keys that name data make sense together."""

from collections.abc import Sequence

from fsaf_tf.config import data_sources, schema
from fsaf_tf.errors import UserError


def check(task: schema.Task, data: Sequence[str]) -> None:
    """Checks the data that a task names.

    Args:
        task: with `train_data` and `validation_data`.
        data: which of these are about to be read; they must be named.

    Raises:
        UserError: the first thing that is wrong; the message names the key.
    """
    for section in ("train_data", "validation_data"):
        is_parted = section == "train_data" and task.validation_data.fraction and "validation_data" in data
        _check_data(getattr(task, section), f"task.{section}", wanted=section in data or bool(is_parted))
    _check_fraction(task)
    _check_sources(task.train_data)


def _check_data(data: schema.Data, prefix: str, *, wanted: bool) -> None:
    given = [name for name in _named_by(data) if getattr(data, name)]
    if len(given) > 1:
        raise UserError(f"{prefix}: {' and '.join(given)} are both set; leave one, or empty the other with ''")
    if wanted and not given:
        raise UserError(f"{prefix} names no data: set {', or '.join(_source_keys(prefix))}")
    for name in (name for name in given if name in data_sources.SOURCES):
        for needed in data_sources.SOURCES[name].needed:
            if not getattr(data, needed):
                raise UserError(f"{prefix}.{name} is set, but {prefix}.{needed} is empty")


def _named_by(data: schema.Data) -> tuple[str, ...]:
    """The keys of which one names data."""
    own = {schema.TrainData: "sources", schema.ValidationData: "fraction"}.get(type(data))
    return (*data_sources.SOURCES, own) if own else tuple(data_sources.SOURCES)


def _check_fraction(task: schema.Task) -> None:
    """Of a part of the training data as validation data: which data can be parted, and whose keys hold."""
    train, validation = task.train_data, task.validation_data
    if not validation.fraction:
        return
    if train.source_keys() and not train.folders:
        splits = "task.train_data.tfds_split='train[:80%]' and of task.validation_data the same set, 'train[80%:]'"
        instead = (
            f"take {splits}" if train.tfds_name else "keep some of the files for it: task.validation_data.input_path"
        )
        raise UserError(f"task.validation_data.fraction is for annotation files; {instead}")
    for name in ("image_dir", "exif_orientation", "images_outside"):
        if getattr(validation, name) not in (getattr(schema.ValidationData(), name), getattr(train, name)):
            raise UserError(
                f"task.validation_data.{name} has no effect with task.validation_data.fraction: the pictures are those"
                " of task.train_data; leave it out"
            )


def _check_sources(train: schema.TrainData) -> None:
    """Of several sources: each whole, all or none with a weight."""
    key = "task.train_data.sources"
    for place, each in enumerate(train.sources):
        if not each.annotation_file:
            raise UserError(
                f"{key}[{place}] has no annotation_file: of TFDS sets with one name join splits by"
                " task.train_data.tfds_split=train+validation, of TFRecord files give a glob"
            )
    weights = [each.weight for each in train.sources]
    if any(weights) and not all(weights):
        raise UserError(
            f"{key}[{weights.index(0)}].weight is 0, and others are not; give all of them a weight, or none"
        )
    if any(weights) and train.repeat_rare:
        raise UserError(
            f"{key} with weights and task.train_data.repeat_rare both say how often pictures come; leave one of them"
        )
    files = [(each.annotation_file, each.image_dir) for each in train.sources]
    if len(set(files)) < len(files):
        twice = next(file for file, _ in files if [other for other, _ in files].count(file) > 1)
        raise UserError(f"{key} has {twice} twice; give it once, with a larger weight")


def _source_keys(prefix: str) -> list[str]:
    """For each kind of data what must be set: `task.train_data.tfds_name and task.train_data.tfds_split`."""
    formats = {name: f" ({keys.format})" if keys.format else "" for name, keys in data_sources.SOURCES.items()}
    return [
        " and ".join([f"{prefix}.{name}{formats[name]}", *(f"{prefix}.{needed}" for needed in keys.needed)])
        for name, keys in data_sources.SOURCES.items()
    ]
