"""A detector as an ONNX file: a picture in, its detections out, for ONNX Runtime and what else reads ONNX.

docs/onnx.md describes inputs and outputs. The file is one graph: the program of the detector as it is, converted by
tf2onnx, and before it the resizing, which tf2onnx cannot convert.
"""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable

import numpy as np

from fsaf_tf.detect import trained
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths, storage
from fsaf_tf.run.checkpoints import Checkpoint
from fsaf_tf.serving import canvas as canvases
from fsaf_tf.serving import card, frozen, onnx_model
from fsaf_tf.terminal import commands

MARK = "docs/onnx.md of fsaf_tf"  # near the start of every file


def export(
    detector: trained.Detector,
    output: str,
    canvas: canvases.Canvas | None = None,
    say: Callable[[str], None] = print,
) -> str:
    """Writes `output/model.onnx`, or `model_<height>x<width>.onnx` of a canvas, whole or not at all, and its card.

    It is checked by `onnx.checker` and tried by ONNX Runtime before it is written.

    Args:
        detector: of any branches; test-time augmentation and tiles are left out.
        output: a folder.
        canvas: the input, and how pictures lie on it; if not given, the file takes pictures of any size.
        say: takes the line that describes the input.

    Returns:
        The file's path.

    Raises:
        UserError: `output` is a file; onnx, tf2onnx or onnxruntime is missing; a network that tf2onnx cannot convert.
    """
    if paths.is_file(output):
        raise UserError(f"{output} is a file; give a folder as --output")
    onnx, graphs = _libraries()
    takes = canvas.describe() if canvas else _describe(detector.program.sides, detector.program.keep_aspect)
    say(takes)
    size = canvas.size if canvas else (None, None)
    model = graphs.detect(detector.program, frozen.freeze_to_constants(detector.model), detector.category_ids, size)
    if not canvas:
        model = graphs.joined(graphs.fit(detector.program.sides, detector.program.keep_aspect), model)
    model.producer_name, model.doc_string = "fsaf_tf", f"Detections of a picture: {MARK}"
    onnx.helper.set_model_props(model, _properties(detector, canvas))
    path = f"{output}/{name_of(canvas)}"
    data = _tried(onnx, model, path)
    storage.make_folder(output)
    storage.write_bytes(path, data)
    facts = card.Exported("ONNX", takes.removeprefix("Input: "), (path,), title=name_of(canvas))
    card.write(detector, facts, card.beside(path))
    return path


def name_of(canvas: canvases.Canvas | None) -> str:
    """The name of the file with this input."""
    return f"model_{canvas.height}x{canvas.width}.onnx" if canvas else "model.onnx"


def _tried(onnx, model, path: str) -> bytes:
    """The content of the file, which is known to run."""
    try:
        onnx.checker.check_model(model, full_check=True)
        data = model.SerializeToString()
        onnx_model.ONNX(path, data)(np.zeros([48, 64, 3], np.uint8))
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, UserError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            "tf2onnx makes a file of this network that does not run; try the other input, with or without --canvas,"
            f" or take --format=saved_model ({reason:.300})"
        ) from error
    return data


def _properties(detector: trained.Detector, canvas: canvases.Canvas | None) -> dict[str, str]:
    """What the file says of itself, values in JSON; `onnx_model.ONNX` reads the first four."""
    program = detector.program
    facts = {
        "class_names": detector.class_names,
        "category_ids": detector.category_ids,
        "canvas": dataclasses.asdict(canvas) if canvas else None,
        "postprocess": detector.config.model.postprocess.as_dict(),
        "branches": [branch.name for branch in program.decoding.branches],
        "input_size": dict(zip(("shorter_side", "longer_side"), program.sides), keep_aspect=program.keep_aspect),
        "checkpoint": _facts_of(detector.checkpoint) if detector.checkpoint else None,
    }
    return {key: json.dumps(value, ensure_ascii=False) for key, value in facts.items()}


def _facts_of(checkpoint: Checkpoint) -> dict:
    """Which checkpoint it is; the digest is that of its index, which holds the checksums of all tensors."""
    digest = hashlib.sha256(paths.read_bytes(f"{checkpoint.prefix}.index")).hexdigest()
    name = "/".join(paths.absolute(checkpoint.prefix).split("/")[-3:])  # of a machine's folders no more
    return {"name": name, "step": checkpoint.step, "ap": checkpoint.ap, "index_sha256": digest}


def _libraries():
    try:
        import onnx
        import onnxruntime  # noqa: F401 (tries the file)

        logging.getLogger("tf2onnx").setLevel(logging.ERROR)
        from fsaf_tf.serving import onnx_graphs
    except ImportError as error:
        raise UserError(f"--format=onnx needs {error.name}: {commands.to_install('onnx')}") from error
    return onnx, onnx_graphs


def _describe(sides: tuple[int, int], keep_aspect: bool) -> str:
    """The line of `Canvas.describe` for a file that brings pictures to their size itself."""
    how = "keep their aspect" if keep_aspect else "are stretched"
    return (
        f"Input: pictures of any size, which the file resizes as training did ({sides[0]} x {sides[1]} px; they {how})"
    )
