"""Plain values into a typed config, strictly: the Garden's own reading lets unknown keys and wrong types pass."""

import difflib
import math
import re
import types
import typing

from official.modeling import hyperparams

from fsaf_tf.config import other_names, plain_values
from fsaf_tf.errors import UserError

_KINDS = {int: "an integer", float: "a number", str: "text", bool: "true or false", types.NoneType: "null"}


def merge(config: hyperparams.Config, values: dict, origin: str, prefix: str = "") -> None:
    """Sets the values in the config, each checked against the annotation of its field, at any depth.

    Args:
        config: changed in place.
        values: plain values by key, nested.
        origin: where the values come from, for messages.
        prefix: the dotted key of this config, with a dot at its end, for messages.

    Raises:
        UserError: an unknown key, a wrong type, or a value that would have no effect.
    """
    _merge(config, values, origin, prefix, config)


def _merge(config: hyperparams.Config, values: dict, origin: str, prefix: str, whole: hyperparams.Config) -> None:
    """The same; `whole` is where the keys are that may have been meant."""
    annotations = type(config)._get_annotations()
    for name, value in values.items():
        key = f"{prefix}{_on_a_line(name)}"
        if name not in annotations:
            raise UserError(f"{origin}: there is no key {key}{_meant(key, annotations, whole)}")
        current, kind = getattr(config, name), annotations[name]
        section = current if isinstance(current, hyperparams.Config) else _section(kind)
        if _listed_section(kind):
            setattr(config, name, [])
            setattr(config, name, _list_of(_listed_section(kind), value, key, origin))
        elif section is None or (value is None and _allows_none(kind)):
            setattr(config, name, _typed(value, kind, key, origin))
        elif not isinstance(value, dict):
            shown = plain_values.shown(value)
            known = type(section)._get_annotations()
            is_type = isinstance(section, hyperparams.OneOfConfig) and isinstance(value, str) and value in known
            instead = f"; write {key}.type={value}" if is_type else _choices("", known)
            raise UserError(f"{origin}: {key} wants keys of its own, not {shown}{instead}")
        else:
            _merge(section, value, origin, f"{key}.", whole)
            if section is not current:
                setattr(config, name, section)
    if isinstance(config, hyperparams.OneOfConfig):
        _check_choice(config, values, origin, prefix)


def _check_choice(config: hyperparams.OneOfConfig, values: dict, origin: str, prefix: str) -> None:
    """`type` names one of the other keys, and only that one is set: the rest would be ignored without a word."""
    known = [name for name in type(config)._get_annotations() if name != "type"]
    if config.type is not None and config.type not in known:
        raise UserError(f"{origin}: {prefix}type cannot be {config.type!r}{_choices(config.type, known)}")
    for name in values:
        if name not in ("type", config.type):
            key, shown = f"{prefix}{_on_a_line(name)}", plain_values.shown(config.type)
            raise UserError(f"{origin}: {key} has no effect, since {prefix}type is {shown}")


def _on_a_line(name) -> str:
    """A key as a message has it, however long and of however many lines it is in the file."""
    return f"{' '.join(str(name).split()):.120}"


def _choices(word, known) -> str:
    return f"{plain_values.hint(str(word), known)}; there are: {', '.join(sorted(known))}"


def _meant(wanted: str, known, whole: hyperparams.Config) -> str:
    """The key that may have been meant: one near it in its section, else one of that name elsewhere."""
    section, _, last = wanted.rpartition(".")
    keys = list(plain_values.flatten(whole.as_dict()))
    elsewhere = [key for key in keys if key.rpartition(".")[2] == last] or other_names.keys_of(last)
    if wanted in keys:
        return "; write a key with = and not with :, as a.b=1,c.d=[1,2], or nested as in a file"
    if difflib.get_close_matches(last, known, n=1) or not elsewhere or section.count(".") > 1:
        return _choices(last, known)
    return f", did you mean {' or '.join(elsewhere[:2])}?"


def _section(kind) -> hyperparams.Config | None:
    """A new config for a field such as `Optional[EMAConfig]`, else None."""
    for candidate in (kind, *typing.get_args(kind)):
        if isinstance(candidate, type) and issubclass(candidate, hyperparams.Config):
            return candidate()
    return None


def _listed_section(kind) -> type[hyperparams.Config] | None:
    """The config of which a field is a list, such as `list[AnnotatedFolder]`, else None."""
    inner = typing.get_args(kind)[0] if typing.get_origin(kind) is list else None
    return inner if isinstance(inner, type) and issubclass(inner, hyperparams.Config) else None


def _list_of(section: type[hyperparams.Config], values, key: str, origin: str) -> list[hyperparams.Config]:
    """A config for each of a list of keys with values."""
    if not isinstance(values, list) or not all(isinstance(item, dict) for item in values):
        known = ", ".join(section._get_annotations())
        shown = plain_values.shown(values)
        raise UserError(f"{origin}: {key} wants a list, each with keys of its own ({known}), not {shown}")
    configs = [section() for _ in values]
    for place, (config, item) in enumerate(zip(configs, values)):
        _merge(config, item, origin, f"{key}[{place}].", config)
    return configs


def _allows_none(kind) -> bool:
    return types.NoneType in typing.get_args(kind)


def _typed(value, kind, key: str, origin: str):
    """The value as its annotation wants it: an integer may stand for a float, and nothing (`key=`) for no text."""
    if kind is str and value is None:
        return ""
    try:
        return _convert(value, kind)
    except (TypeError, OverflowError):
        shown, several = plain_values.shown(value), isinstance(value, str) and re.search(r"[^\w.][\w.]+=", value)
        separate = "; between keys is a comma" if several else ""
        raise UserError(f"{origin}: {key} wants {_describe(kind)}, not {shown}{separate}") from None


def _convert(value, kind):
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        for candidate in typing.get_args(kind):
            try:
                return _convert(value, candidate)
            except TypeError:
                continue
    elif typing.get_origin(kind) is list and isinstance(value, list):
        return [_convert(item, typing.get_args(kind)[0]) for item in value]
    elif typing.get_origin(kind) is tuple and isinstance(value, list) and len(value) == len(typing.get_args(kind)):
        return tuple(_convert(item, part) for item, part in zip(value, typing.get_args(kind)))
    elif kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    elif kind is not float and type(value) is kind:
        return value
    raise TypeError


def _describe(kind) -> str:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return " or ".join(_describe(candidate) for candidate in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return f"a list of {len(typing.get_args(kind))} values"
    if typing.get_origin(kind) is list:
        return f"a list, each {_describe(typing.get_args(kind)[0])}"
    return _KINDS[kind]
