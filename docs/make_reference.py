"""Writes the pages of the reference, docs/keys.md and docs/tools.md, out of the code.

python docs/make_reference.py
"""

import importlib
import pathlib
import re

from absl import flags

from fsaf_tf import cli

cli.quiet()

from official.core import exp_factory  # noqa: E402

from fsaf_tf.config import reference, schema  # noqa: E402, F401  registers the experiment
from fsaf_tf.modeling import backbones  # noqa: E402

DOCS = pathlib.Path(__file__).parent
# What absl puts before and after the words of a flag.
_ABSL = re.compile(r"^<[^>]+>: |;\s+repeat this option to specify a list of values")
_PAGE = re.compile(r"\bdocs/(\w+\.md)")  # as the words of a key name it
TOOLS = ("train", "predict", "export", "analyze", "visualize", "data", "prepare_data", "import_weights", "replay")
TOOLS += ("serve_client", "benchmark", "draw_shapes")
KEYS_HEAD = """# Keys of an experiment

Every key, with its default: the paper's, which is what an experiment has where its file does not say otherwise.
`python tools/train.py --experiment=NAME --print_config` prints those of one experiment with the same words, shorter.
Set them in a file ([training.md](training.md)) or by `--params_override=task.input_size.shorter_side=320`; a key that
does not exist, a wrong type or a value out of its limits ends with a line that names it.

Written by `python docs/make_reference.py` out of the code, do not edit.
"""
TOOLS_HEAD = """# Flags of the tools

What `--help` of each tool says, without its examples. Every tool is `python tools/NAME.py` in a checkout, and a command
where the package is installed: `fsaf-train`, `fsaf-import-weights`.

Written by `python docs/make_reference.py` out of the code, do not edit.
"""


def keys_page() -> str:
    """docs/keys.md: a table for each part of the configuration."""
    by_part: dict[str, list[reference.Key]] = {}
    for key in reference.keys(exp_factory.get_exp_config("fsaf")):
        if _can_be_built(key.path):
            by_part.setdefault(key.path.rpartition(".")[0], []).append(key)
    parts = [KEYS_HEAD]
    for above, of_part in by_part.items():
        rows = [
            f"| `{key.path.rpartition('.')[2]}` | {key.type} | `{key.default}` | {_meaning(key)} |" for key in of_part
        ]
        parts.append(
            "\n".join([f"## `{above}`\n", "| key | type | default | meaning |", "|---|---|---|---|", *rows, ""])
        )
    return "\n".join(parts)


def _can_be_built(path: str) -> bool:
    """Not of the Garden's backbones that do not fit."""
    words = path.split(".")
    is_of_family = words[:3] == ["task", "model", "backbone"] and len(words) > 4
    return not is_of_family or words[3] in backbones.FAMILIES


def _meaning(key: reference.Key) -> str:
    """With what it may be."""
    allowed = f" ({key.allowed})" if key.allowed else ""
    return _cell(f"{key.meaning.rstrip('.')}{allowed}")


def _cell(text: str) -> str:
    text = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
    return _PAGE.sub(r"[\1](\1)", text)


def tools_page() -> str:
    """docs/tools.md: a table for each tool."""
    parts = [TOOLS_HEAD]
    for tool in TOOLS:
        module = importlib.import_module(f"fsaf_tf.cli.{tool}")
        (values,) = {
            id(value): value for value in vars(module).values() if isinstance(value, flags.FlagValues)
        }.values()
        rows = [_flag_row(values[name]) for name in sorted(values)]
        first = module.__doc__.partition("\n")[0]
        parts.append(
            "\n".join([f"## {tool}\n", f"{first}\n", "| flag | default | meaning |", "|---|---|---|", *rows]) + "\n"
        )
    return "\n".join(parts)


def _flag_row(flag: flags.Flag) -> str:
    """A flag: its name, default and help, with what it may be."""
    choices = getattr(flag.parser, "enum_values", None)
    allowed = f" ({', '.join(choices)})" if choices else ""
    words = _ABSL.sub("", flag.help or "").rstrip(".;")
    default = "" if flag.default in (None, "") else f"`{flag.default}`"
    return f"| `--{flag.name}` | {default} | {_cell(words + allowed)} |"


PAGES = {"keys.md": keys_page, "tools.md": tools_page}


def main():
    """Writes both."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
