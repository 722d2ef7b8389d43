"""Plain values, as YAML and JSON have them: read strictly, written, shown on a line, nested and flat."""

import difflib
import re

import yaml

from fsaf_tf.errors import UserError
from fsaf_tf.files import paths

MOST_VALUES = 10_000  # that YAML may have by its aliases


def hint(word: str, known) -> str:
    """`, did you mean 'fsaf_r50'?` when a known word is near, else nothing."""
    near = difflib.get_close_matches(word, known, n=1)
    return f", did you mean {near[0]!r}?" if near else ""


def read(path) -> dict:
    """Reads a YAML file; see `parse`.

    Raises:
        UserError: it cannot be read; the message names it.
    """
    try:
        text = paths.read_bytes(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse(text, str(path))


def parse(text: str, origin: str, wanted: str = "keys with values") -> dict:
    """Reads YAML or JSON text into plain values: no tags, no key twice, and 1e-4 is a number.

    Args:
        text: the text.
        origin: where it comes from, for messages.
        wanted: what should stand there, for messages.

    Raises:
        UserError: it is not such a mapping; the message names the line.
    """
    try:
        values = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UserError(f"{origin}, line {mark.line + 1}: {' '.join(error.problem.split())}") from error
    except RecursionError as error:
        raise UserError(f"{origin}: it is nested too deep") from error
    except (yaml.YAMLError, ValueError) as error:  # a control character; a date such as 2020-13-01
        raise UserError(f"{origin}: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"{origin} wants {wanted}, not {shown(values)}")
    return values


def dump(values: dict) -> str:
    """Writes plain values as YAML that `parse` reads back exactly; keys keep their order, lists stand on one line."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def shown(value) -> str:
    """A value on one line, as YAML writes it, shortened."""
    text = " ".join(
        yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=10**6, allow_unicode=True)
        .replace("\n...", "")
        .split()
    )
    return text if len(text) <= 60 else text[:57] + "..."


def flatten(nested: dict, prefix: str = "") -> dict:
    """`{"a.b": 1}` of `{"a": {"b": 1}}`. Tuples become lists, as in a file."""
    result = {}
    for key, value in nested.items():
        value = list(value) if isinstance(value, tuple) else value
        result |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return result


def nest(flat: dict) -> dict:
    """`{"a": {"b": 1}}` of `{"a.b": 1}`."""
    result = {}
    for key, value in flat.items():
        *sections, name = key.split(".")
        place = result
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    return result


class _Loader(yaml.SafeLoader):
    """The safe loader, reading 1e-4 as YAML 1.2 does and refusing a key that stands twice.

    It looks at aliases before it makes values of them: nine of nine of nine ... are more than a machine holds.
    """

    def get_single_node(self):
        node = super().get_single_node()
        if node is not None:
            _count(node, {})
        return node

    def construct_mapping(self, node, deep=False):
        seen = []
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.append(key.value)
        return super().construct_mapping(node, deep)


def _count(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many values a node has when its aliases are written out.

    Args:
        node: of YAML.
        sizes: of the nodes up to here, by `id`; 0 of those that the node stands in.
    """
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise yaml.composer.ComposerError(None, None, "it contains itself, by an alias", node.start_mark)
        return sizes[id(node)]
    sizes[id(node)] = 0
    children = [] if isinstance(node, yaml.ScalarNode) else node.value
    pairs = children if isinstance(node, yaml.MappingNode) else [(child,) for child in children]
    total = 1 + sum(_count(child, sizes) for pair in pairs for child in pair)
    sizes[id(node)] = total
    if total > MOST_VALUES and total > len(sizes):  # else the text is as long
        reason = f"by its aliases it has {total} values, more than {MOST_VALUES}"
        raise yaml.composer.ComposerError(None, None, reason, node.start_mark)
    return total


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class _Dumper(yaml.SafeDumper):
    """The safe dumper, with lists on one line and no anchors."""

    def ignore_aliases(self, data):
        return True


_Dumper.add_representer(list, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, True))
