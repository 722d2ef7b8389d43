"""Command lines: that of this process, and those that a user may type next."""

import os
import pathlib
import re
import shlex
import sys

_FILE_OF_TOOL = re.compile(r"(?<![\w/.])(?:python )?tools/([a-z_]+)\.py")


def this_one() -> str:
    """The command line of this process, as one would type it."""
    program = [sys.argv[0]] if os.access(sys.argv[0], os.X_OK) else ["python", sys.argv[0]]
    return shlex.join([*program, *sys.argv[1:]])


def of_tool(name: str, *flags: str) -> str:
    """The command line of a tool, typed as this process was: `fsaf-predict`, or `python tools/predict.py`.

    Args:
        name: `predict`, `import_weights`.
        flags: such as `--output=out`.
    """
    program = _command(name) if _is_installed() else f"python tools/{name}.py"
    return " ".join([program, *map(shlex.quote, flags)])


def as_typed(text: str) -> str:
    """A text that names tools by their files, such as a `--help`, with their names where this process was typed so."""
    return _FILE_OF_TOOL.sub(lambda found: _command(found[1]), text) if _is_installed() else text


def to_install(extra: str) -> str:
    """The command that installs what an extra of `setup.py` has: in a checkout with the pinned versions."""
    is_checkout = os.path.exists(pathlib.Path(__file__).parents[2] / "constraints.txt")
    return f'pip install -c constraints.txt -e ".[{extra}]"' if is_checkout else f'pip install "fsaf_tf[{extra}]"'


def _is_installed() -> bool:
    return os.path.basename(sys.argv[0]).startswith("fsaf-")


def _command(name: str) -> str:
    return f"fsaf-{name.replace('_', '-')}"
