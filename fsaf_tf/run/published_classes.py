"""The classes of imported weights."""

from typing import NamedTuple

from fsaf_tf.data import coco_json
from fsaf_tf.data.classes import Classes, in_place_of
from fsaf_tf.data.coco_classes import COCO
from fsaf_tf.data.readers import door
from fsaf_tf.errors import UserError
from fsaf_tf.files import storage

LABELS_WANTED = '--labels=FILE, annotations of the data, or {"names": [...], "category_ids": [...]}'


class Published(NamedTuple):
    """The K classes of an import.

    Attributes:
        classes: in our order.
        order: the place of each in the file of weights.
        origin: where they come from, for a line to the user.
    """

    classes: Classes
    order: tuple[int, ...]
    origin: str

    @property
    def names_in_file(self) -> list[str]:
        """The names in the order of the file of weights."""
        return [name for _, name in sorted(zip(self.order, self.classes.names))]


def find_classes(path: str, named: tuple[str, ...] | None, count: int | None, labels: str) -> Published:
    """Names and ids from `labels`, else as the file of weights names them, else COCO's.

    Args:
        path: the file of weights, for messages.
        named: the names in it, None if it has none.
        count: K, None if that is open.
        labels: a JSON file, or empty.

    Raises:
        UserError: nothing says what the classes are, or two say it differently.
    """
    if labels:
        return _with_labels(path, named, count, labels)
    if named is None and count not in (None, len(COCO)):
        raise UserError(f"{path} does not name its {count} classes; give {LABELS_WANTED}")
    if named in (None, COCO.names):
        return Published(COCO, tuple(range(len(COCO))), "COCO's" + " (taken for granted)" * (named is None))
    origin = f"named in {path}, which has no category ids: they become 1, 2, ...; {LABELS_WANTED} gives others"
    try:
        return Published(Classes(named, tuple(range(1, len(named) + 1))), tuple(range(len(named))), origin)
    except UserError as error:
        raise UserError(f"{path} does not tell its classes apart: {error}") from None


def _with_labels(path: str, named: tuple[str, ...] | None, count: int | None, labels: str) -> Published:
    classes = _read(labels)
    if count not in (None, len(classes)):
        raise UserError(f"{labels} has {len(classes)} classes, {path} has {count}")
    named = named or classes.names
    difference = in_place_of(sorted(classes.names), sorted(named))
    if difference:
        raise UserError(f"{labels} has other classes than {path}: {difference}; give the labels of these weights")
    return Published(classes, tuple(named.index(name) for name in classes.names), f"from {labels}")


def _read(path: str) -> Classes:
    """Of annotations the classes in the order of their ids, as when they are trained on."""
    if not path.lower().endswith(".json"):
        return coco_json.classes_of(path)
    content = storage.read_json(path)
    if door.reader_of(content):
        return coco_json.classes_of(path)
    if not (isinstance(content, dict) and "categories" in content):
        return Classes.read(path)
    return coco_json.categories(path, content)
