"""Runs a script, and says on the last line of standard error which packages it has imported.

python alone.py SCRIPT ARGUMENT...
"""

import runpy
import sys


def main(script: str) -> None:
    sys.argv = sys.argv[1:]
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        print(*sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1])
