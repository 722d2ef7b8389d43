"""Draws pictures of the kind of `shapes` that are in neither of its splits, for a detector to be tried on.

    python tools/draw_shapes.py --count=12 --output=runs/fsaf_demo/images

The same number of pictures is always the same pictures.
"""

import os
import pathlib

from absl import flags
from PIL import Image, PngImagePlugin

from fsaf_tf import cli
from fsaf_tf.cli import mistakes, outputs
from fsaf_tf.data import drawing
from fsaf_tf.files import parts

SEED = 3  # 1 and 2 are the splits'

_FLAGS = flags.FlagValues()
_COUNT = flags.DEFINE_integer("count", 12, "How many.", lower_bound=1, flag_values=_FLAGS)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.", flag_values=_FLAGS, allow_overwrite=False)
_OVERWRITE = outputs.define_overwrite(_FLAGS)
TOOL = "fsaf_tf draw_shapes"


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_draw, _FLAGS, __doc__)


def _draw() -> None:
    mistakes.require(_FLAGS, "output")
    folder = pathlib.Path(_OUTPUT.value)
    paths = [str(folder / f"{index + 1:03d}.png") for index in range(_COUNT.value)]
    outputs.check(paths, reads=(), is_ours=outputs.has_mark(TOOL), overwrite=_OVERWRITE.value)
    folder.mkdir(parents=True, exist_ok=True)
    named = PngImagePlugin.PngInfo()
    named.add_text("Software", TOOL)
    for index, path in enumerate(paths):
        part = parts.of_file(path)
        Image.fromarray(drawing.draw(SEED, index)[0]).save(part, "png", pnginfo=named)
        os.replace(part, path)
    print(f"{_COUNT.value} pictures in {folder}")


if __name__ == "__main__":
    main()
