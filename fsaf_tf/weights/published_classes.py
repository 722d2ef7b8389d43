"""The classes of imported weights: their names and category ids."""

from typing import NamedTuple

from fsaf_tf import storage
from fsaf_tf.data import coco_classes
from fsaf_tf.errors import UserError

LABELS_WANTED = '--labels=FILE, COCO JSON of the data, or {"names": [...], "category_ids": [...]}'


class Classes(NamedTuple):
    """The K classes of an import.

    Attributes:
        names: in our order.
        ids: their category ids.
        order: the place of each in the file of weights.
        origin: where they come from, for a line to the user.
    """

    names: list[str]
    ids: list[int]
    order: list[int]
    origin: str


def find_classes(path: str, named: tuple[str, ...] | None, count: int | None, labels: str) -> Classes:
    """Names and ids from `labels`, else as the file of weights names them, else COCO's.

    Args:
        path: the file of weights, for messages.
        named: the names in it, None if it has none.
        count: K, None if that is open.
        labels: a JSON file, or empty.

    Raises:
        UserError: nothing says what the classes are, or two say it differently.
    """
    coco = list(coco_classes.NAMES.values())
    if labels:
        return _with_labels(path, named, count, labels)
    if named is None and count not in (None, len(coco)):
        raise UserError(f"{path} does not name its {count} classes; give {LABELS_WANTED}")
    names = coco if named is None else list(named)
    order = list(range(len(names)))
    if names == coco:
        return Classes(names, list(coco_classes.NAMES), order, "COCO's" + " (taken for granted)" * (named is None))
    ids = list(range(1, len(names) + 1))
    origin = f"named in {path}, which has no category ids: they become 1, 2, ...; {LABELS_WANTED} gives others"
    return Classes(names, ids, order, origin)


def _with_labels(path: str, named: tuple[str, ...] | None, count: int | None, labels: str) -> Classes:
    names, ids = _read_labels(labels)
    if count not in (None, len(names)):
        raise UserError(f"{labels} has {len(names)} classes, {path} has {count}")
    other = sorted(set(named or names) ^ set(names))
    if other:
        raise UserError(f"{labels} and {path} name other classes: {', '.join(other[:5])}")
    order = [named.index(name) for name in names] if named else list(range(len(names)))
    return Classes(names, ids, order, f"from {labels}")


def _read_labels(path: str) -> tuple[list[str], list[int]]:
    """Of COCO JSON the categories in the order of their ids, as when it is trained on."""
    content = storage.read_json(path)
    try:
        if "categories" in content:
            pairs = sorted((int(each["id"]), str(each["name"])) for each in content["categories"])
        else:
            pairs = list(zip(map(int, content["category_ids"]), map(str, content["names"]), strict=True))
    except (TypeError, KeyError, ValueError):
        raise UserError(f"--labels={path} is not there or holds something else; give {LABELS_WANTED}") from None
    if not pairs:
        raise UserError(f"--labels={path} holds no class")
    return [name for _, name in pairs], [number for number, _ in pairs]
