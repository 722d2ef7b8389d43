"""Writes a trained detector in a form that runs without this package.

    python tools/export.py --format=saved_model --model_dir=runs/fsaf_r50 --output=exported/fsaf_r50
    python tools/export.py --format=tflite --quantize=int8 --images=photos --model_dir=runs/fsaf_r50 --output=exported

The first writes exported/fsaf_r50/<version> for TensorFlow Serving, a new version each time; docs/serving.md describes
its inputs and outputs. It is of the best checkpoint, else the newest; --checkpoint=newest or a path says otherwise.
The second writes exported/model_int8.tflite, which takes uint8 pictures of one size; see docs/tflite.md.
"""

from absl import flags

from fsaf_tf import cli
from fsaf_tf.errors import UserError

_FLAGS = flags.FlagValues()
_FORMAT = flags.DEFINE_enum("format", None, ["saved_model", "tflite"], "What to write.", flag_values=_FLAGS)
_MODEL_DIR = flags.DEFINE_string(
    "model_dir",
    None,
    "The folder of a run or of imported weights.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_CHECKPOINT = cli.define_checkpoint(_FLAGS, "--model_dir")
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.", flag_values=_FLAGS, allow_overwrite=False)
_QUANTIZE = flags.DEFINE_enum(
    "quantize", "none", ["none", "float16", "int8"], "tflite: the type of the weights.", flag_values=_FLAGS
)
_IMAGES = flags.DEFINE_string(
    "images",
    None,
    "tflite, int8: a folder or a glob in quotes of 100 or more pictures of the kind that the model will see.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_HEIGHT = flags.DEFINE_integer(
    "height",
    None,
    "tflite: of the input, a multiple of 32 pixels; with --width. If not given, that of training's landscape canvas.",
    lower_bound=1,
    flag_values=_FLAGS,
)
_WIDTH = flags.DEFINE_integer("width", None, "tflite: of the input, likewise.", lower_bound=1, flag_values=_FLAGS)
_RAW = flags.DEFINE_bool("raw", False, "tflite: boxes and scores before suppression.", flag_values=_FLAGS)


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_export, _FLAGS, __doc__)


def _export() -> None:
    for flag in (_FORMAT, _MODEL_DIR, _OUTPUT):
        if not flag.value:
            raise UserError(f"--{flag.name} is missing (--help lists the flags)")
    {"saved_model": _saved_model, "tflite": _tflite}[_FORMAT.value]()


def _saved_model() -> None:
    unread = [flag.name for flag in (_QUANTIZE, _IMAGES, _HEIGHT, _WIDTH, _RAW) if flag.present]
    if unread:
        raise UserError(f"--{unread[0]} is for --format=tflite only")
    from fsaf_tf.serving import saved_model

    print(saved_model.export(_load(), _OUTPUT.value))


def _tflite() -> None:
    size = (_HEIGHT.value, _WIDTH.value) if _HEIGHT.value and _WIDTH.value else None
    if size is None and (_HEIGHT.value or _WIDTH.value):
        raise UserError("give both --height and --width, or neither")
    from fsaf_tf.serving import tflite

    written = tflite.export(
        _load(),
        _OUTPUT.value,
        quantize=_QUANTIZE.value,
        images=_IMAGES.value,
        size=size,
        raw=_RAW.value,
    )
    print(written)


def _load():
    """The detector; says which checkpoint it is, and what of its experiment an exported model does not have."""
    from fsaf_tf.serving import load

    detector = load.load_trained(_MODEL_DIR.value, _CHECKPOINT.value or None)
    print(detector.checkpoint.line)
    if detector.config.test_augmentation.enabled:
        print("task.test_augmentation is left out: an exported model sees a picture at one size")
    return detector


if __name__ == "__main__":
    main()
