"""The label map beside TFRecord files: JSON, `{"1": "person"}`, or the `.pbtxt` of the Object Detection API.

Of a `.pbtxt` the `display_name` of an item counts where it has one; the item `background` with the id 0 is no class.
"""

import json
import os
import re

import tensorflow as tf

from fsaf_tf.data.classes import Classes
from fsaf_tf.errors import UserError
from fsaf_tf.files import storage

DEFAULT = "label_map.json"
ENDING = ".pbtxt"
_WANTED = (
    'write the names of the category ids, {"1": "person", ...}, there, or set label_map to such a file or to the .pbtxt'
    " of the Object Detection API"
)
# A word, a text in quotes, a number, or a sign; what stands behind # is a remark.
_TOKEN = re.compile(r"""\s+|\#[^\n]*|(?P<token>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[\w.+-]+|[{}\[\]:,;<>])""")
_ENDS = {"{": "}", "<": ">"}


def find(file: str, folder: str) -> str:
    """The label map that is given, or lies in the folder of the shards.

    Raises:
        UserError: there is none, or several of the Object Detection API.
    """
    if file:
        return file
    beside = os.path.join(folder, DEFAULT)
    if tf.io.gfile.exists(beside):
        return beside
    others = sorted(tf.io.gfile.glob(os.path.join(folder, f"*{ENDING}")))
    if len(others) > 1:
        raise UserError(f"{others[0]} and {others[1]}: which is the label map? Set label_map")
    return others[0] if others else beside


def read(file: str) -> Classes:
    """The classes of a label map, in the order of their ids.

    Raises:
        UserError: it is missing or wrong.
    """
    if not tf.io.gfile.exists(file):
        raise UserError(f"{file}: there is no such label map; {_WANTED}")
    text = storage.read_text(file)
    is_json = text.lstrip().startswith("{") or not file.endswith(ENDING)
    pairs = (_of_json if is_json else _of_pbtxt)(file, text)
    names = dict(pairs)
    if not names or not all(isinstance(name, str) and name for name in names.values()):
        raise UserError(f"{file}: not a label map; {_WANTED}")
    if not len(set(names.values())) == len(names) == len(pairs):
        raise UserError(f"{file}: an id or a name stands twice in the label map")
    return Classes.by_id(names.items())


def _of_json(file: str, text: str) -> list[tuple[int, str]]:
    try:
        return [(int(number), name) for number, name in json.loads(text, object_pairs_hook=list)]
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{file}: not a label map ({error}); {_WANTED}") from None


def _of_pbtxt(file: str, text: str) -> list[tuple[int, str]]:
    """Ids and names of the items."""
    tokens, pairs = _tokens(file, text), []
    while tokens:
        line, word = tokens.pop(0)
        if word != "item":
            raise UserError(f"{file}:{line}: no `item {{ id: 1 name: 'person' }}` but {word}")
        item = _item(file, line, tokens)
        number, name = item.get("id", ""), item.get("display_name") or item.get("name")
        if not number.isdecimal() or not name:
            raise UserError(f"{file}:{line}: an item needs an `id`, a whole number, and a `name`")
        if number == "0" and name.lower() == "background":
            continue
        pairs.append((int(number), name))
    return pairs


def _tokens(file: str, text: str) -> list[tuple[int, str]]:
    """The words and signs of a text with their lines."""
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        line = text.count("\n", 0, position) + 1
        if match is None:
            raise UserError(f"{file}:{line}: no label map: {text[position : position + 20]!r}")
        if match["token"]:
            tokens.append((line, match["token"]))
        position = match.end()
    return tokens


def _item(file: str, line: int, tokens: list[tuple[int, str]]) -> dict[str, str]:
    """The values of an item, which are taken off the tokens; those of what is nested in it are passed over."""
    item: dict[str, str] = {}
    if tokens and tokens[0][1] == ":":
        tokens.pop(0)
    if not tokens or tokens[0][1] not in _ENDS:
        raise UserError(f"{file}:{line}: an item without braces")
    ends = [_ENDS[tokens.pop(0)[1]]]
    while ends:
        if not tokens:
            raise UserError(f"{file}:{line}: this item has no end; is the file cut off?")
        _, word = tokens.pop(0)
        if word in _ENDS:
            ends.append(_ENDS[word])
        elif word == ends[-1]:
            ends.pop()
        elif len(ends) == 1 and len(tokens) > 1 and tokens[0][1] == ":":
            item.setdefault(word, _value(tokens[1][1]))
            del tokens[:2]
    return item


def _value(token: str) -> str:
    """A text without its quotes and escapes, or a number."""
    if token[0] not in "\"'":
        return token
    return re.sub(r"\\(.)", r"\1", token[1:-1])
