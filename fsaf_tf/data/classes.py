"""The classes that a detector tells apart: one value of names and category ids, and `labels.json`, which keeps it."""

import collections
import dataclasses
import functools
import unicodedata
from collections.abc import Iterable, Sequence

import tensorflow as tf

from fsaf_tf.errors import UserError
from fsaf_tf.files import storage

LABELS = "labels.json"
SHOWN = 4  # of the classes that differ, on either side
GREATEST_ID = 2**53  # of categories and images: JavaScript and others that read JSON hold no greater number exactly
# Control characters, halves of characters, ends of lines and paragraphs: no name of a thing has them.
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")


@dataclasses.dataclass(frozen=True)
class Classes:
    """K classes in the order of the class index. A UserError if they have not one name and one id each, all different.

    Names are in any language, without control characters; ids are whole numbers to 2^53.

    Attributes:
        names: what they are called.
        ids: their category ids in the annotations.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]

    def __post_init__(self):
        if len(self.names) != len(self.ids):
            raise UserError(f"{len(self.names)} names and {len(self.ids)} category ids; a class has one of each")
        _check("name", self.names, str)
        _check("category id", self.ids, int)
        unseen = [name for name in self.names if any(unicodedata.category(letter) in _UNSEEN for letter in name)]
        if unseen:
            raise UserError(
                f"the name {unseen[0]!a} has a line break or another control character ({len(unseen)} of"
                f" {len(self.names)} names); rename the class where its data name it"
            )
        large = [category_id for category_id in self.ids if abs(category_id) > GREATEST_ID]
        if large:
            raise UserError(
                f"the category id {large[0]} is beyond 2^53, the greatest number that JSON holds everywhere"
                f" ({len(large)} of {len(self.ids)} ids); number the classes anew"
            )

    @classmethod
    def by_id(cls, pairs: Iterable[tuple[int, str]]) -> "Classes":
        """The classes of category ids and names, one or more, in the order of the ids: that of all data."""
        ids, names = zip(*sorted(pairs))
        return cls(names, ids)

    @classmethod
    def read(cls, path: str) -> "Classes":
        """Reads a `labels.json`.

        Raises:
            UserError: it is not there, is damaged, or holds no classes.
        """
        if not tf.io.gfile.exists(path):
            raise UserError(f"{path} is missing, the file with the names and category ids of the classes")
        labels = storage.read_json(path)
        keys = ("names", "category_ids")
        if not (isinstance(labels, dict) and all(labels.get(key) and isinstance(labels[key], list) for key in keys)):
            raise UserError(f'{path} is damaged; it holds {{"names": [...], "category_ids": [...]}}, one a class')
        try:
            return cls(*(tuple(labels[key]) for key in keys))
        except UserError as error:
            raise UserError(f"{path} is damaged: {error}") from None

    def write(self, path: str) -> None:
        """Writes a `labels.json`: name and category id of class k at place k."""
        storage.write_json(path, {"names": self.names, "category_ids": self.ids})

    def __len__(self) -> int:
        return len(self.ids)

    def index_of(self, category_id: int) -> int:
        """The class index of a category id; a UserError if no class has it."""
        if category_id not in self._indices:
            raise UserError(f"no class has the category id {category_id}")
        return self._indices[category_id]

    @functools.cached_property
    def _indices(self) -> dict[int, int]:
        return {category_id: index for index, category_id in enumerate(self.ids)}

    def categories(self) -> list[dict]:
        """COCO's categories, `[{"id", "name"}]`."""
        return [{"id": category_id, "name": name} for category_id, name in zip(self.ids, self.names)]

    def is_part_of(self, other: "Classes") -> bool:
        """Whether these are some or all of others, by id and name, in whatever order."""
        return set(zip(self.ids, self.names)) <= set(zip(other.ids, other.names))

    def difference(self, other: "Classes") -> str | None:
        """How these classes differ from others, in words; None if they are the same.

        It goes after "has other classes than ...": "17 cow in place of 17 cat, 18 dog".
        """
        these, those = ([f"{each['id']} {each['name']}" for each in side.categories()] for side in (self, other))
        return in_place_of(these, those)


def in_place_of(these: Sequence[str], those: Sequence[str]) -> str | None:
    """How a list of different things differs from another, in words; None if it does not."""
    only_these, only_those = ([each for each in a if each not in b] for a, b in ((these, those), (those, these)))
    if only_these or only_those:
        return f"{_shown(only_these)} in place of {_shown(only_those)}"
    moved = [f"{this} in place of {that}" for this, that in zip(these, those) if this != that]
    return f"the same in another order, {moved[0]}" if moved else None


def recorded_classes(folder: str) -> Classes | None:
    """The classes that `labels.json` in a folder records; None if it is not there, a UserError if it is damaged."""
    path = f"{folder}/{LABELS}"
    return Classes.read(path) if tf.io.gfile.exists(path) else None


def _check(what: str, values: Sequence, kind: type) -> None:
    """Raises a UserError if one of the values is of another kind, or stands twice."""
    wrong = [value for value in values if type(value) is not kind]
    if wrong:
        raise UserError(f"{wrong[0]!r:.200} is no {what}")
    twice = [value for value, count in collections.Counter(values).items() if count > 1]
    if twice:
        raise UserError(f"the {what} {twice[0]!r:.200} stands twice")


def _shown(classes: Sequence[str]) -> str:
    more = f" and {len(classes) - SHOWN} more" if len(classes) > SHOWN else ""
    return ", ".join(classes[:SHOWN]) + more or "nothing"
