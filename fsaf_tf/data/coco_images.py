"""The images of COCO JSON: entries with ids and sizes as whole numbers, those of one file joined."""

import posixpath

from fsaf_tf.data.coco_values import identity, is_too_large, whole
from fsaf_tf.data.findings import Tally, short
from fsaf_tf.data.mistakes import ID_TOO_LARGE, Findings


def read(file: str, items: list[dict], tally: Tally) -> dict[int, dict]:
    """Reads a list of images.

    Args:
        file: its path, for messages.
        items: the list.
        tally: gets what is joined.

    Returns:
        `{image id: {"id", "file_name", "height", "width"}}` in the order of the file. Entries of one file are one
        image: all their ids have the entry of the first.

    Raises:
        UserError: an entry without one of the four, an id of two files, a file of two sizes.
    """
    mistakes = Findings(file, "images", len(items))
    images: dict[int, dict] = {}
    first_of: dict[str, dict] = {}
    for item in items:
        entry, mistake = _image(item)
        if mistake:
            mistakes.add(*mistake)
            continue
        number, name = entry["id"], entry["file_name"]
        first = first_of.setdefault(posixpath.normpath(name), entry)
        if number in images and images[number] is not first:
            mistakes.add("id stands twice", f"id {number}, {short(images[number]['file_name'])} and {short(name)}")
        elif any(first[key] != entry[key] for key in ("height", "width")):
            both = " and ".join(f"{each['width']} x {each['height']}" for each in (first, entry))
            mistakes.add("file stands twice with different sizes", f"{short(name)}, {both}")
        else:
            images[number] = first
        if entry is not first:
            tally.add("duplicate_pictures", f"image {number}, {name}")
        if any(type(item[key]) is not int for key in ("id", "height", "width")):
            tally.add("text_numbers", f"image {number}, {name}")
    mistakes.raise_any()
    return images


def _image(item: dict) -> tuple[dict, tuple[str, str] | None]:
    """What is read of an entry, and the mistake in it."""
    name, numbers = item.get("file_name"), {key: whole(item.get(key)) for key in ("height", "width")}
    entry = {"id": identity(item.get("id")), "file_name": name, **numbers}
    if is_too_large(item.get("id")):
        return entry, (ID_TOO_LARGE, f"id {short(item['id'])}, {short(name)}")
    if entry["id"] is None or not isinstance(name, str) or not name:
        return entry, ("needs an `id`, a whole number, and a `file_name`, text", short(item))
    if not all(value is not None and 0 < value < 2**31 for value in numbers.values()):
        return entry, ("needs `height` and `width` in whole pixels", f"image {entry['id']}, {short(name)}")
    return entry, None
