"""The images of COCO JSON: entries with an id, a path and a size, those of one file joined."""

import posixpath
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib import parse

from fsaf_tf.data.coco_values import Ids, whole
from fsaf_tf.data.findings import Tally, short
from fsaf_tf.data.mistakes import ID_TOO_LARGE, Findings, Mistake

SizeOf = Callable[[str], tuple[int, int] | None]
_NAMES = ("file_name", "coco_url")  # the first that is there; LVIS has the latter alone
_NO_SIZE = (None, "", 0, "0", -1)


class Images(NamedTuple):
    """Attributes:
    entries: `{"id", "file_name", "height", "width"}` of each id that stands in the file, in its order. Entries of one
        file are one image: all their ids have the entry of the first.
    ids: how they are compared.
    """

    entries: dict[int | str, dict]
    ids: Ids

    def find(self, value: Any) -> dict | None:
        """The entry of an id as it stands in the file, None if there is none."""
        return self.entries.get(self.ids.key(value))

    def distinct(self) -> list[dict]:
        """Each entry once."""
        return list({image["id"]: image for image in self.entries.values()}.values())


def read(file: str, items: list[dict], size_of: SizeOf, tally: Tally, where: Sequence[str] | None = None) -> Images:
    """Reads a list of images.

    Args:
        file: its path, for messages.
        items: the list.
        size_of: height and width of the picture of a name, None where it is not known.
        tally: gets what is joined and rewritten.
        where: where each stands, for messages; by its id if not given.

    Raises:
        UserError: an entry without one of the four, an id of two files, a file of two sizes.
    """
    mistakes = Findings(file, "images", len(items))
    ids = Ids(item.get("id") for item in items)
    images: dict[int | str, dict] = {}
    first_of: dict[str, dict] = {}
    for place, item in enumerate(items):
        try:
            key, entry = _image(item, ids, size_of, tally, where and where[place])
        except Mistake as mistake:
            mistakes.add(mistake.kind, mistake.case)
            continue
        name = entry["file_name"]
        entry["id"] = len(images) + 1 if ids.are_text else key
        first = first_of.setdefault(posixpath.normpath(name), entry)
        if key in images and images[key] is not first:
            mistakes.add("id stands twice", f"id {short(key)}, {short(images[key]['file_name'])} and {short(name)}")
        elif any(first[side] != entry[side] for side in ("height", "width")):
            both = " and ".join(f"{image['width']} x {image['height']}" for image in (first, entry))
            start = f"{where[place]}: " if where else ""
            mistakes.add("file stands twice with different sizes", f"{start}{short(name)}, {both}")
        else:
            images[key] = first
        if entry is not first:
            tally.add("duplicate_pictures", f"{where[place] if where else f'image {short(key)}'}, {name}")
    mistakes.raise_any()
    return Images(images, ids)


def _image(item: dict, ids: Ids, size_of: SizeOf, tally: Tally, where: str | None) -> tuple[int | str, dict]:
    """The key of an entry, and its name and size. Raises `Mistake`."""
    key, given = ids.key(item.get("id")), next((item[name] for name in _NAMES if item.get(name)), None)
    if ids.is_too_large(item.get("id")):
        raise Mistake(ID_TOO_LARGE, f"id {short(item['id'])}, {short(given)}")
    if key is None or not isinstance(given, str):
        raise Mistake("needs an `id`, a whole number or text, and a `file_name`, text", short(item))
    name = _path(given)
    label = f"{where or f'image {short(key)}'}, {short(given)}"
    sides = [item.get(side) for side in ("height", "width")]
    has_size = not any(side in _NO_SIZE for side in sides)
    height, width = sides if has_size else _size_of_picture(name, sides, size_of, label)
    kinds = {
        "text_ids": ids.are_text,
        "text_numbers": ids.is_rewritten(item["id"]) or not {type(height), type(width)} <= {int},
        "file_names": name != given,
        "no_size": not has_size,
    }
    height, width = whole(height), whole(width)
    if not all(side is not None and 0 < side < 2**31 for side in (height, width)):
        raise Mistake("needs `height` and `width` in whole pixels", label)
    for kind in (kind for kind, is_so in kinds.items() if is_so):
        tally.add(kind, label)
    return key, {"file_name": name, "height": height, "width": width}


def _size_of_picture(name: str, sides: list, size_of: SizeOf, label: str) -> list:
    """Height and width, those that the file does not have of the picture."""
    sides_of_picture = size_of(name)
    if sides_of_picture is None:
        raise Mistake("no `height` and `width`, and no picture that tells them", label)
    return [other if side in _NO_SIZE else side for side, other in zip(sides, sides_of_picture)]


def _path(name: str) -> str:
    """A file name as a path: of an address what stands between host and query, Windows' backslashes turned."""
    if "://" in name:
        name = parse.unquote(parse.urlsplit(name).path).lstrip("/") or name
    return name.replace("\\", "/")
