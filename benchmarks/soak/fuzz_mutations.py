"""Inputs that are nearly right: values of another kind in a nest of them, bytes that are changed, cut and joined."""

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import yaml
from google.protobuf import message

from benchmarks.soak import fuzz_seeds

# What readers stumble over: other kinds, edges of numbers, letters that no file name or terminal likes.
ODD = (
    *(None, True, False, 0, 1, -1, 2**31, 2**53 + 1, -(2**63), 2**64, 10**30, 0.5, -0.0, 1e-320, 1e308),
    *(float("nan"), float("inf"), -float("inf"), "", " ", "0", "1", "-1", "1e3", "nan", "true", "null", "\u0000"),
    *("a\nb", "\ud800", "\u202e", "é", "e\u0301", "名", "../../x", "/etc/passwd", "a" * 3000, "%s", "{}", "CON"),
    *([], {}, [[]], [None], [0, 0, 0, 0], {"": ""}, {"id": 1}, [1, 2, 3], "2020-13-01", "!!python/object:x"),
)
DEEP = (30, 400, 3000)  # levels of a nest

Place = tuple[Any, Any]  # a dict or list, and a key or an index


def nested(rng: random.Random, value: Any) -> Any:
    """A nest of dicts and lists with one to four things changed."""
    whole = [copy.deepcopy(value)]
    for _ in range(rng.choice([1, 1, 2, 4])):
        places = _places(whole)
        rng.choice(_CHANGES)(rng, *rng.choice(places), places)
    return whole[0]


def _places(root: list) -> list[Place]:
    places, left = [], [root]
    while left and len(places) < 5000:
        holder = left.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            places.append((holder, key))
            if isinstance(holder[key], (dict, list)):
                left.append(holder[key])
    return places


def _replace(rng: random.Random, holder: Any, key: Any, places: list[Place]) -> None:
    holder[key] = copy.deepcopy(rng.choice(ODD))


def _other(rng: random.Random, holder: Any, key: Any, places: list[Place]) -> None:
    """What stands elsewhere: ids twice, a name in the place of a number."""
    other, at = rng.choice(places)
    if at in other if isinstance(other, dict) else at < len(other):
        holder[key] = copy.deepcopy(other[at])


def _drop(rng: random.Random, holder: Any, key: Any, places: list[Place]) -> None:
    if holder is not places[0][0]:
        del holder[key]


def _twice(rng: random.Random, holder: Any, key: Any, places: list[Place]) -> None:
    if isinstance(holder, list) and holder is not places[0][0]:
        holder.insert(rng.randint(0, len(holder)), copy.deepcopy(holder[key]))
    elif isinstance(holder, dict):
        holder[rng.choice([value for value in ODD if isinstance(value, str)])] = copy.deepcopy(holder[key])


def _rename(rng: random.Random, holder: Any, key: Any, places: list[Place]) -> None:
    if isinstance(holder, dict):
        holder[rng.choice([key.upper(), f"{key} ", key[:-1], f"{key}s"]) if isinstance(key, str) else "x"] = holder.pop(
            key
        )


def _deepen(rng: random.Random, holder: Any, key: Any, places: list[Place]) -> None:
    inner, is_list = holder[key], rng.random() < 0.5
    for _ in range(rng.choice([1, 1, 2, *DEEP])):
        inner = [inner] if is_list else {"a": inner}
    holder[key] = inner


def _scale(rng: random.Random, holder: Any, key: Any, places: list[Place]) -> None:
    value = holder[key]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        holder[key] = rng.choice(
            [-value, value + 1, value * 1000, str(value), float(value) if abs(value) < 1e300 else 0]
        )
    elif isinstance(value, str):
        holder[key] = rng.choice([value.upper(), value[::-1], f" {value}", value * 2, [value]])


_CHANGES: tuple[Callable, ...] = (_replace, _replace, _other, _drop, _twice, _rename, _scale, _scale)


def raw(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Bytes with one to four places changed, more often a little than a lot."""
    changed = bytearray(data or b"\0")
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at, kind = rng.randrange(len(changed) or 1), rng.random()
        if kind < 0.55:
            changed[at : at + 1] = bytes([rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])])
        elif kind < 0.7:  # a number of some bytes
            width = rng.choice([2, 4, 8])
            number = rng.choice([0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63])
            changed[at : at + width] = (number % 256**width).to_bytes(width, rng.choice(["little", "big"]))
        elif kind < 0.8:
            del changed[at : at + rng.choice([1, 4, 100])]
        elif kind < 0.88:
            changed[at:at] = changed[at : at + rng.choice([1, 8, 200])]
        elif kind < 0.95:
            other = rng.choice(others)
            start = rng.randrange(len(other) or 1)
            changed[at : at + 50] = other[start : start + 50]
        else:
            del changed[at:]
    return bytes(changed)


def as_json(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """JSON: four times of five its values are changed and it stays JSON, else its bytes are."""
    if rng.random() < 0.8:
        try:
            value = nested(rng, json.loads(data))
            if rng.random() < 0.05:
                holder, key = rng.choice(_places([value]))
                _deepen(rng, holder, key, [])
            return json.dumps(value).encode("utf-8", "surrogatepass")
        except (ValueError, RecursionError):
            pass
    return raw(rng, data, others)


def as_yaml(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """YAML, likewise."""
    if rng.random() < 0.8:
        try:
            return yaml.safe_dump(nested(rng, yaml.safe_load(data))).encode("utf-8", "surrogatepass")
        except (yaml.YAMLError, ValueError, RecursionError):
            pass
    return raw(rng, data, others)


def safetensors(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A file of safetensors: mostly its header is changed and stays one, else its bytes are."""
    if rng.random() < 0.7:
        end = 8 + int.from_bytes(data[:8], "little")
        try:
            header = json.dumps(nested(rng, json.loads(data[8:end]))).encode()
            return len(header).to_bytes(8, "little") + header + data[end:]
        except (ValueError, RecursionError):
            pass
    return raw(rng, data, others)


def example(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A record whose example was changed: mostly one of its lists, else its bytes, seldom the frame."""
    if rng.random() < 0.1:
        return raw(rng, data, others)
    payload = fuzz_seeds.payload(data)
    try:
        whole = tf.train.Example.FromString(payload)
    except message.DecodeError:
        whole = None
    if not (whole and whole.features.feature) or rng.random() < 0.3:
        return fuzz_seeds.framed(raw(rng, payload, [fuzz_seeds.payload(other) for other in others]))
    for _ in range(rng.randint(1, 3)):
        feature = whole.features.feature[rng.choice(sorted(whole.features.feature))]
        kind = feature.WhichOneof("kind") or "bytes_list"
        values = list(getattr(feature, kind).value)
        odd = list(_ODD_FEATURES[kind])
        if kind == "bytes_list" and values:
            odd.append(raw(rng, values[0], others))
        values = rng.choice([values[1:], values + values, [rng.choice(odd), *values[1:]], []])
        del getattr(feature, kind).value[:]
        getattr(feature, kind).value.extend(values)
    return fuzz_seeds.framed(whole.SerializeToString())


_ODD_FEATURES = {
    "float_list": [float("nan"), float("inf"), -1.0, 2.0, 1e30, 0.0],
    "int64_list": [0, -1, 2**40, 3, 1],
    "bytes_list": [b"", b"\xff\xfe", b"99999999999999999999"],
}
