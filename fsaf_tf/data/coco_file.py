"""A file of COCO JSON: decoded, and its three lists; or what it is instead."""

import json
from typing import Any

from fsaf_tf.data import other_formats
from fsaf_tf.data.findings import short
from fsaf_tf.errors import UserError


def decode(file: str, data: bytes) -> Any:
    """What JSON holds; what is large and not needed is dropped while reading.

    Raises:
        UserError: it is no JSON; other annotations are named by their looks.
    """
    try:
        return json.loads(data, object_hook=_without_masks)
    except (ValueError, RecursionError) as error:
        looks = other_formats.of_text(data)
        why = other_formats.refusal(looks) if looks else _not_json(data, error)
        raise UserError(f"{file}: not JSON: {why}") from None


def _not_json(text: bytes, error: Exception) -> str:
    """Why text is no JSON."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not of {error.encoding}; save it as UTF-8"
    text = text.strip(b" \r\n\t\0")
    is_cut = text.startswith((b"{", b"[")) and not text.endswith((b"}", b"]"))
    return f"it ends in the middle, as if it was cut off: {short(error)}" if is_cut else short(error)


def entries(file: str, content: Any, key: str) -> list[dict]:
    """One of the three lists of COCO JSON.

    Raises:
        UserError: it is not there, is empty, or is no list of objects.
    """
    items = content.get(key) if isinstance(content, dict) else None
    looks = other_formats.of_content(content)
    if looks and (key == "annotations" or not isinstance(items, list)):
        raise UserError(f"{file}: not COCO JSON with boxes: {other_formats.refusal(looks)}")
    if key == "annotations" and items == []:
        raise UserError(
            f"{file}: no box is in it, `annotations` is empty: a training and an evaluation need one or more, and AP"
            " has no value without; add pictures with boxes: others beside them may have none"
        )
    if not isinstance(items, list) or not items:
        raise UserError(f"{file}: not COCO JSON with boxes: it needs `{key}`, a list that is not empty")
    if not all(isinstance(item, dict) for item in items):
        raise UserError(f"{file}: not COCO JSON: an entry of `{key}` is no object")
    return items


def _without_masks(item: dict) -> dict:
    if item.get("bbox"):
        item.pop("segmentation", None)
    return item
