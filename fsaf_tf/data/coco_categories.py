"""The categories of COCO JSON: which of them are classes, and which class an id stands for.

Exporters write a category again for each region (VIA), a root that no box has (Roboflow), or one name under several
ids.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from fsaf_tf.data.classes import Classes
from fsaf_tf.data.coco_values import Ids
from fsaf_tf.data.findings import Tally, listed, short
from fsaf_tf.data.mistakes import ID_TOO_LARGE, Findings

_NO_PARENT = (None, "", "none", "None")


class Categories(NamedTuple):
    """Attributes:
    classes: in the order of their ids.
    id_of: for each id in the file that of its class; ids of what was dropped are not there.
    ids: how those of the file are compared.
    """

    classes: Classes
    id_of: dict[int | str, int]
    ids: Ids

    def find(self, value: Any) -> int | None:
        """The id of the class of an id as it stands in the file, None if there is none."""
        return self.id_of.get(self.ids.key(value))


def read(file: str, items: list[dict], used: Iterable[Any] | None, tally: Tally) -> Categories:
    """The classes of a list of categories.

    Args:
        file: its path, for messages.
        items: the list.
        used: ids that annotations have, as they stand there; None where there are none: then nothing is unused.
        tally: gets what is joined and dropped.

    Raises:
        UserError: a category without id or name, or an id of two names.
    """
    ids = Ids(item.get("id") for item in items)
    names, parents = _names(file, items, ids, tally)
    is_used = set(names) if used is None else {ids.key(value) for value in used} & set(names)
    roots = _roots(names, parents, is_used)
    first_of: dict[str, int | str] = {}
    for key in sorted(names, key=lambda key: key not in is_used):  # the used ones first, else as in the file
        if key not in roots:
            first_of.setdefault(names[key], key)
    for key, name in names.items():
        if key != first_of.get(name):
            tally.add("joined_category" if key in is_used else "unused_category", f"id {short(key)}, {name!r}")
    # By name, so that another file of the same classes numbers them alike.
    numbers = {name: place if ids.are_text else first_of[name] for place, name in enumerate(sorted(first_of), 1)}
    id_of = {key: numbers[name] for key, name in names.items() if key in is_used or key == first_of.get(name)}
    return Categories(Classes.by_id((number, name) for name, number in numbers.items()), id_of, ids)


def _names(file: str, items: list[dict], ids: Ids, tally: Tally) -> tuple[dict, dict]:
    """Name and supercategory of each id, in the order of the file."""
    mistakes = Findings(file, "categories", len(items))
    names: dict[int | str, str] = {}
    parents: dict[int | str, str | None] = {}
    for item in items:
        key, name = ids.key(item.get("id")), item.get("name")
        if type(name) in (int, float):
            name = str(name)
            tally.add("number_names", f"id {short(key)}, {name}")
        if ids.is_too_large(item.get("id")):
            mistakes.add(ID_TOO_LARGE, f"id {short(item['id'])}")
        elif key is None or not isinstance(name, str) or not name:
            mistakes.add("needs an `id`, a whole number or text, and a `name`, text", short(item))
        elif key not in names:
            names[key], parents[key] = name, item.get("supercategory")
            _count_id(item["id"], name, ids, tally)
        elif names[key] == name:
            tally.add("repeated_category", f"id {short(key)}, {name!r}")
        else:
            mistakes.add("id stands twice", f"id {short(key)}, {listed([repr(names[key]), repr(name)])}")
    mistakes.raise_any()
    return names, parents


def _count_id(value: Any, name: str, ids: Ids, tally: Tally) -> None:
    if ids.are_text or ids.is_rewritten(value):
        tally.add("text_ids" if ids.are_text else "text_numbers", f"category {name!r}, id {short(repr(value))}")


def _roots(names: dict, parents: dict, is_used: set) -> set[int | str]:
    """Ids without a box and a parent that are the parent of others."""
    return {
        key
        for key, name in names.items()
        if key not in is_used
        and parents[key] in _NO_PARENT
        and any(parents[other] == name for other in names if other != key)
    }
