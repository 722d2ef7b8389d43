"""The categories of COCO JSON: which of them are classes, and which class an id stands for.

Exporters write a category again for each region (VIA), a root that no box has (Roboflow), or one name under several
ids.
"""

from typing import NamedTuple

from fsaf_tf.classes import Classes
from fsaf_tf.data.coco_values import identity, is_too_large
from fsaf_tf.data.findings import Tally, listed, short
from fsaf_tf.data.mistakes import ID_TOO_LARGE, Findings

_NO_PARENT = (None, "", "none", "None")


class Categories(NamedTuple):
    """Attributes:
    classes: in the order of their ids.
    id_of: for each id in the file that of its class; ids of what was dropped are not there.
    """

    classes: Classes
    id_of: dict[int, int]


def read(file: str, items: list[dict], used: set[int] | None, tally: Tally) -> Categories:
    """The classes of a list of categories.

    Args:
        file: its path, for messages.
        items: the list.
        used: ids that annotations have; None where there are none, so that nothing is taken for unused.
        tally: gets what is joined and dropped.

    Raises:
        UserError: a category without id or name, or an id of two names.
    """
    names, parents = _names(file, items, tally)
    is_used = set(names) if used is None else used & set(names)
    roots = _roots(names, parents, is_used)
    first_of: dict[str, int] = {}
    for number in sorted(names, key=lambda number: number not in is_used):  # the used ones first, else as in the file
        if number not in roots:
            first_of.setdefault(names[number], number)
    for number, name in names.items():
        if number != first_of.get(name):
            tally.add("joined_category" if number in is_used else "unused_category", f"id {number}, {name!r}")
    id_of = {
        number: first_of[name] for number, name in names.items() if number in is_used or number == first_of.get(name)
    }
    return Categories(Classes.by_id((number, name) for name, number in first_of.items()), id_of)


def _names(file: str, items: list[dict], tally: Tally) -> tuple[dict[int, str], dict[int, str | None]]:
    """Name and supercategory of each id, in the order of the file."""
    mistakes = Findings(file, "categories", len(items))
    names: dict[int, str] = {}
    parents: dict[int, str | None] = {}
    for item in items:
        number, name = identity(item.get("id")), item.get("name")
        if is_too_large(item.get("id")):
            mistakes.add(ID_TOO_LARGE, f"id {short(item['id'])}")
        elif number is None or not isinstance(name, str) or not name:
            mistakes.add("needs an `id` that is a whole number and a `name` that is text", short(item))
        elif number not in names:
            names[number], parents[number] = name, item.get("supercategory")
            if type(item["id"]) is not int:
                tally.add("text_numbers", f"category {name!r}, id {item['id']!r}")
        elif names[number] == name:
            tally.add("repeated_category", f"id {number}, {name!r}")
        else:
            mistakes.add("id stands twice", f"id {number}, {listed([repr(names[number]), repr(name)])}")
    mistakes.raise_any()
    return names, parents


def _roots(names: dict[int, str], parents: dict[int, str | None], is_used: set[int]) -> set[int]:
    """Ids without a box and a parent that are the parent of others."""
    return {
        number
        for number, name in names.items()
        if number not in is_used
        and parents[number] in _NO_PARENT
        and any(parents[other] == name for other in names if other != number)
    }
