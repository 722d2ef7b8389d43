"""Command lines: that of this process, and those that a user may type next."""

import os
import shlex
import sys


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
    is_installed = os.path.basename(sys.argv[0]).startswith("fsaf-")
    program = f"fsaf-{name.replace('_', '-')}" if is_installed else f"python tools/{name}.py"
    return " ".join([program, *map(shlex.quote, flags)])
