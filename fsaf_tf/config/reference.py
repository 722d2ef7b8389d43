"""Every key of an experiment with its type, default, what it may be and what it means, out of the code."""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator
from typing import NamedTuple

from official.core import config_definitions
from official.modeling import hyperparams

from fsaf_tf.config import checks, garden_keys, plain_values

_ENTRY = re.compile(r"    (\w+): (.*)")
_WORD = re.compile(r"( *)(\w+):")
_END, _PART = re.compile(r"(?<!Eq)\. "), re.compile(r"[;:,] ")
_BRIEF = 100  # letters of a comment at most, where there is a place to end it


class Key(NamedTuple):
    """A key.

    Attributes:
        path: with dots, from `task`, `trainer` or `runtime` on.
        type: of its value.
        default: as YAML has it.
        allowed: limits or choices; empty where there are none.
        meaning: sentences, or the start of one.
    """

    path: str
    type: str
    default: str
    allowed: str
    meaning: str

    @property
    def brief(self) -> str:
        """The first sentence of its meaning, or where that is long the first part of it."""
        sentence = _END.split(self.meaning)[0].rstrip(".")
        ends = [part.start() for part in _PART.finditer(sentence[:_BRIEF]) if _is_closed(sentence[: part.start()])]
        return sentence if len(sentence) <= _BRIEF else sentence[: max(ends, default=len(sentence))]


def keys(params: config_definitions.ExperimentConfig) -> Iterator[Key]:
    """All keys of an experiment, also those of families, optimizers and schedules that it does not choose."""
    return _of(params, "")


def _of(config: hyperparams.Config, above: str) -> Iterator[Key]:
    """The keys of a part of it, in the order of the code."""
    hints, told = typing.get_type_hints(type(config)), attributes(type(config))
    for field in dataclasses.fields(config):
        path, value = f"{above}{field.name}", getattr(config, field.name)
        part = value if isinstance(value, hyperparams.Config) else _optional_part(hints[field.name])
        if part is not value or value is None:
            allowed = _allowed(field, path)
            meaning = _unread(path) or told.get(field.name) or garden_keys.meaning(path)
            yield Key(path, _type(hints[field.name]), plain_values.shown(value), allowed, meaning)
        if part is not None:
            yield from _of(part, f"{path}.")


def _optional_part(hint: type) -> hyperparams.Config | None:
    """The part that a key may hold, one or several, with its defaults, where it is null or an empty list."""
    classes = [choice for choice in typing.get_args(hint) if inspect.isclass(choice)]
    return next((choice() for choice in classes if issubclass(choice, hyperparams.Config)), None)


def _unread(path: str) -> str:
    """What to know instead of a key that nothing reads."""
    return f"Not read: {checks.UNREAD[path]}." if path in checks.UNREAD else ""


def _allowed(field: dataclasses.Field, path: str) -> str:
    """What a value may be."""
    choices = field.metadata.get("choices") or checks.CHOICES.get(path)
    if choices:
        return ", ".join(str(choice) for choice in choices if choice not in (None, ""))
    if "least_count" in field.metadata:
        return "each above 0"
    least, greatest = field.metadata.get("limits", ("", float("inf")))
    if least == "":
        return ""
    return f"{least:g} or more" if greatest == float("inf") else f"{least:g} to {greatest:g}"


def _type(hint: type) -> str:
    """A type in a word or two: `list of float`, `int or null`."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return " or ".join("null" if part is type(None) else _type(part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is list:
        return f"list of {_type(typing.get_args(hint)[0])}"
    return getattr(hint, "__name__", str(hint))


def attributes(config: type) -> dict[str, str]:
    """What the docstrings of our classes say of their attributes, those of a class before those above it."""
    told: dict[str, str] = {}
    for owner in config.__mro__:
        if owner.__module__.startswith("fsaf_tf"):
            told = _parsed(inspect.cleandoc(owner.__doc__ or "")) | told
    return told


def _parsed(docstring: str) -> dict[str, str]:
    """The section `Attributes` of a docstring."""
    lines = docstring.partition("Attributes:\n")[2].splitlines()
    told, name = {}, ""
    for line in lines:
        if entry := _ENTRY.fullmatch(line):
            name, told[entry[1]] = entry[1], entry[2]
        elif line.startswith("        ") and name:
            told[name] += f" {line.strip()}"
        else:
            break
    return told


def _is_closed(text: str) -> bool:
    """Whether it does not end within brackets."""
    return text.count("(") == text.count(")")


def commented(params: config_definitions.ExperimentConfig, text: str) -> str:
    """YAML with what each key means at the end of its line.

    Args:
        params: the experiment.
        text: the same as YAML, a key a line.
    """
    brief = {key.path: key.brief for key in keys(params)}
    above, lines = [], text.splitlines()
    width = min(60, max(map(len, lines)))
    result = []
    for line in lines:
        word = _WORD.match(line)  # not of a line that goes on with a list
        above = [*above[: len(word[1]) // 2], word[2]] if word else above
        meaning = brief.get(".".join(above)) if word else None
        result.append(f"{line:{width}}  # {meaning}" if meaning else line)
    return "\n".join(result)
