"""Writes a trained detector in a form that runs without this package.

    python tools/export.py --format=saved_model --model_dir=runs/fsaf_r50 --output=exported/fsaf_r50
    python tools/export.py --format=tflite --quantize=int8 --images=photos --model_dir=runs/fsaf_r50 --output=exported

The first writes exported/fsaf_r50/<version> for TensorFlow Serving, a new version each time; docs/serving.md describes
its inputs and outputs. It is of the best checkpoint, else the newest; --checkpoint=newest or a path says otherwise.
The second writes exported/model_int8.tflite, which takes uint8 pictures of one size; see docs/tflite.md. With
--evaluate it prints what AP that costs on the run's validation data.

    python tools/export.py --format=onnx --model_dir=runs/fsaf_r50 --output=exported

writes exported/model.onnx, which takes pictures of any size, or with --canvas or --height and --width one of a fixed
size, such as exported/model_800x1344.onnx; see docs/onnx.md.

Beside each model is its card, model_card.md or model_int8.card.md: data, figures, limits and origin, from the files of
the run.
"""

from absl import flags

from fsaf_tf import cli
from fsaf_tf.cli import mistakes, outputs
from fsaf_tf.errors import UserError

_FLAGS = flags.FlagValues()
_FORMAT = flags.DEFINE_enum("format", None, ["saved_model", "tflite", "onnx"], "What to write.", flag_values=_FLAGS)
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
_WEIGHTS = flags.DEFINE_enum(
    "weights",
    "variables",
    ["variables", "constants"],
    "saved_model: how the graph holds them. Constants are faster by some percent where pictures are small, and take"
    " several times the memory: docs/serving.md.",
    flag_values=_FLAGS,
)
_IMAGES = flags.DEFINE_string(
    "images",
    None,
    "tflite, int8: a folder or a glob in quotes of 100 or more pictures of the kind that the model will see.",
    flag_values=_FLAGS,
    allow_overwrite=False,
)
_RECURSIVE = cli.define_recursive(_FLAGS)
_CANVAS = flags.DEFINE_enum(
    "canvas",
    None,
    ["square", "landscape", "portrait", "both"],
    "tflite, onnx: the input, by the sides of training; both writes a file for each orientation. If not given, an ONNX"
    " file takes pictures of any size, a TFLite file those on a square that all fit on; where"
    " task.input_size.keep_aspect is false, on the landscape canvas.",
    flag_values=_FLAGS,
)
_HEIGHT = flags.DEFINE_integer(
    "height",
    None,
    "tflite, onnx: of the input, a multiple of 32 pixels; with --width, in the place of --canvas.",
    lower_bound=1,
    flag_values=_FLAGS,
)
_WIDTH = flags.DEFINE_integer("width", None, "tflite, onnx: of the input, likewise.", lower_bound=1, flag_values=_FLAGS)
_RAW = flags.DEFINE_bool("raw", False, "tflite: boxes and scores before suppression.", flag_values=_FLAGS)
_EVALUATE = flags.DEFINE_bool(
    "evaluate",
    False,
    "tflite, onnx: print AP of the checkpoint and of what was written, on the run's validation data.",
    flag_values=_FLAGS,
)
_BRANCH = cli.define_branch(_FLAGS)
_tiles = cli.define_tiles(_FLAGS)
_OVERWRITE = outputs.define_overwrite(_FLAGS)
_OF_TFLITE = (_QUANTIZE, _IMAGES, _RECURSIVE, _RAW)  # no other format reads them
_FILES = {"tflite": "a .tflite file", "onnx": "an .onnx file"}  # that see one picture


def main() -> None:
    """The tool: reads its flags, runs and exits."""
    cli.run(_export, _FLAGS, __doc__)


def _export() -> None:
    mistakes.require(_FLAGS, "format", "model_dir", "output")
    mistakes.want_folders(_FLAGS, "output")
    {"saved_model": _saved_model, "tflite": _tflite, "onnx": _onnx}[_FORMAT.value]()


def _saved_model() -> None:
    _refuse(_OF_TFLITE, "tflite only")
    _refuse((_CANVAS, _HEIGHT, _WIDTH, _EVALUATE, _OVERWRITE), "tflite and --format=onnx only")
    from fsaf_tf.serving import saved_model

    print(saved_model.export(_load(), _OUTPUT.value, constants=_WEIGHTS.value == "constants"))


def _refuse(unread: tuple[flags.FlagHolder, ...], formats: str) -> None:
    for flag in unread:
        if flag.present:
            raise UserError(f"--{flag.name} is for --format={formats}")


def _size() -> tuple[int, int] | None:
    """Height and width of a file's input, where they are given."""
    size = (_HEIGHT.value, _WIDTH.value) if _HEIGHT.value and _WIDTH.value else None
    if size is None and (_HEIGHT.value or _WIDTH.value):
        raise UserError("give both --height and --width, or neither")
    return size


def _refuse_tiles() -> None:
    if _tiles():
        file = _FILES[_FORMAT.value]
        raise UserError(f"--tile: {file} sees one picture of its input's size; docs/tiles.md has the code around it")


def _onnx() -> None:
    _refuse_tiles()
    _refuse(_OF_TFLITE, "tflite only")
    _refuse((_WEIGHTS,), "saved_model only")
    size = _size()
    from fsaf_tf.serving import canvas, card, evaluate_exported, onnx_export

    outputs.check(
        outputs.in_folder(_OUTPUT.value, r"model(_\d+x\d+)?\.(onnx|card\.md)"),
        reads=(),
        is_ours=outputs.by_ending(onnx=outputs.has_mark(onnx_export.MARK), md=outputs.has_mark(card.MARK)),
        overwrite=_OVERWRITE.value,
    )
    detector = _load()
    canvases = canvas.choose(detector.program, _CANVAS.value, size) if _CANVAS.value or size else [None]
    source = evaluate_exported.open_validation(detector) if _EVALUATE.value else None
    written = [onnx_export.export(detector, _OUTPUT.value, each) for each in canvases]
    print(*written, sep="\n")
    if source:
        _evaluate(detector, written, source)


def _tflite() -> None:
    _refuse_tiles()
    _refuse((_WEIGHTS,), "saved_model only")
    size = _size()
    if _RECURSIVE.present and not _IMAGES.value:
        raise UserError("--recursive is for --images, a folder")
    from fsaf_tf.detect import image_files
    from fsaf_tf.serving import canvas, card, evaluate_exported, tflite

    files = image_files.find(_IMAGES.value, recursive=_RECURSIVE.value) if _IMAGES.value else ()
    outputs.check(
        outputs.in_folder(_OUTPUT.value, r"model_(float32|float16|int8)(_\w+)?\.(tflite|card\.md)"),
        reads=files,
        # The former in the archive at the end.
        is_ours=outputs.by_ending(tflite=outputs.has_mark("canvas.json"), md=outputs.has_mark(card.MARK)),
        overwrite=_OVERWRITE.value,
    )
    detector = _load()
    canvases = canvas.choose(detector.program, _CANVAS.value, size)
    source = evaluate_exported.open_validation(detector) if _EVALUATE.value else None
    options = {"quantize": _QUANTIZE.value, "images": files, "raw": _RAW.value}
    written = [tflite.export(detector, _OUTPUT.value, each, **options) for each in canvases]
    print(_stretch(detector.config, canvases), *written, sep="\n")
    if source:
        _evaluate(detector, written, source)


def _evaluate(detector, written: list[str], source) -> None:
    """Prints the table of what the files cost, and puts their figures into their cards."""
    from fsaf_tf.serving import card, evaluate_exported

    evaluated = evaluate_exported.compare(detector, written, source)
    name = evaluate_exported.name_of(written)
    for path in written:
        card.add_figures(card.beside(path), name, evaluated[name], source.num_images)


def _stretch(task, canvases) -> str:
    """A line on how far the run's pictures are stretched, as far as an annotation file tells their sizes."""
    from fsaf_tf.data import coco_json
    from fsaf_tf.serving import canvas

    data = task.validation_data if task.validation_data.annotation_file else task.train_data
    file = data.annotation_file
    most = "not known (the run has no annotation file with the sizes of its pictures)"
    try:
        if file:
            split = "val" if data is task.validation_data else "train"
            sizes = set(coco_json.sizes(file, image_dir=data.image_dir, split=split))
            most = f"up to {canvas.greatest_stretch(canvases, sizes):.2f} ({file})"
    except UserError as error:  # nothing else needs the data
        most = f"not known ({error})"
    padded = "1.00; by a library that does not pad, " if canvases[0].keep_aspect else ""
    return f"Stretch of pictures: {padded}{most}"


def _load():
    """The detector; says which checkpoint it is, and what of its experiment an exported model does not have."""
    from fsaf_tf.serving import load

    detector = load.load_trained(_MODEL_DIR.value, _CHECKPOINT.value or None, branch=_BRANCH.value, tile=_tiles())
    print(detector.checkpoint.line)
    if detector.program.tiles and _FORMAT.value == "saved_model":
        print(f"every picture of a request: {detector.program.tiles.describe()}")
    if detector.config.test_augmentation.enabled:
        print("task.test_augmentation is left out: an exported model sees a picture at one size")
    if detector.program.tiles and _FORMAT.value in _FILES:
        print(f"task.tiles is left out: {_FILES[_FORMAT.value]} sees one picture; docs/tiles.md has the code around it")
    return detector


if __name__ == "__main__":
    main()
