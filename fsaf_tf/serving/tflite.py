"""A detector as a TFLite file: uint8 pictures of one size in, float detections out.

The network and the decoding are converted one by one and then joined: only the network is quantised. Boxes and scores
are decoded in float32 from outputs with a scale of their own on each level, and cost next to nothing.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fsaf_tf import pyramid
from fsaf_tf.detect import predict_files, trained
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths, storage
from fsaf_tf.serving import canvas as canvases
from fsaf_tf.serving import card, converter, mobile
from fsaf_tf.terminal import commands

QUANTIZATIONS = ("none", "float16", "int8")
ENOUGH_IMAGES = 100  # pictures that a calibration should have
MOST_IMAGES = 200  # and those that are taken at most


def export(
    detector: trained.Detector,
    output: str,
    canvas: canvases.Canvas | None = None,
    *,
    quantize: str = "none",
    images: Sequence[str] = (),
    raw: bool = False,
    say: Callable[[str], None] = print,
) -> str:
    """Writes `output/model_<float32, float16 or int8>[_<orientation>][_raw].tflite`, whole or not at all, and its card.

    Input: `image` `[1, height, width, 3]` uint8 RGB, as `canvas.fit` makes it of a picture. Outputs, all float32:
    `location` `[1, D, 4]` (yxyx in shares of the canvas' sides), `category` and `score` `[1, D]` and `number of
    detections` `[1]`; if `raw`, `boxes` `[1, P, 4]` likewise and `scores` `[1, P, K]` of every location.

    Args:
        detector: without the anchor-based branch.
        output: a folder.
        canvas: the input, and how pictures lie on it; if not given, that of `canvas.choose` without a choice.
        quantize: `none`, `float16` (the weights) or `int8` (the whole network, the kernels by channel).
        images: for int8, files of pictures such as the model will see; their ranges are taken.
        raw: no suppression inside.
        say: takes the lines that are worth telling.

    Returns:
        The file's path.

    Raises:
        UserError: a detector with anchors, or int8 without pictures; ai-edge-litert is missing.
    """
    _check(detector, quantize, images)
    if paths.is_file(output):
        raise UserError(f"{output} is a file; give a folder as --output")
    if canvas is None:
        (canvas,) = canvases.choose(detector.program, None, None)
    flatbuffer, metadata = _libraries()
    say(canvas.describe())
    integer = quantize == "int8"
    pictures = _calibration(images, canvas, say) if integer else None
    network = converter.convert(mobile.network(detector, canvas.size, integer), quantize, pictures)
    decoder = converter.convert(mobile.decoder(detector, canvas.size, raw))
    model = flatbuffer.join(flatbuffer.read(network), flatbuffer.read(decoder))
    names = ["boxes", "scores"]
    if not raw:
        flatbuffer.append_postprocess(model, _options(detector), mobile.SPARE_CLASSES)
        names = ["location", "category", "score", "number of detections"]
    flatbuffer.name_outputs(model, names)
    packed = metadata.pack(
        flatbuffer.write(model),
        name="fsaf_tf",
        description=f"FSAF, {len(detector.classes)} classes, {canvas.height} x {canvas.width} px, {quantize}",
        settings=_settings(detector, canvas, quantize, raw),
    )
    parts = ["model", {"none": "float32"}.get(quantize, quantize), canvas.orientation, "raw" if raw else ""]
    path = _write(packed, f"{output}/{'_'.join(filter(None, parts))}.tflite")
    form = f"TFLite, {parts[1]}{', boxes and scores before suppression' if raw else ''}"
    facts = card.Exported(form, canvas.describe().removeprefix("Input: "), (path,), title=os.path.basename(path))
    card.write(detector, facts, card.beside(path))
    return path


def _check(detector: trained.Detector, quantize: str, images: Sequence[str]) -> None:
    model = detector.config.model
    if model.anchor_based.enabled or not model.anchor_free.enabled:
        raise UserError(
            "--format=tflite is for anchor-free detectors alone (fsaf_*): nine anchors a location would give the"
            " suppression inside the file ten times the boxes, and it has no top 1,000 of a level to bound them;"
            " take --format=saved_model"
        )
    if quantize not in QUANTIZATIONS:
        raise UserError(f"--quantize is {quantize!r}, but must be one of: {', '.join(QUANTIZATIONS)}")
    if quantize == "int8" and not images:
        raise UserError(
            f"--quantize=int8 takes the ranges of the network's values from your pictures: give --images, a folder or a"
            f" glob of {ENOUGH_IMAGES} or more of the kind that the model will see"
        )
    if quantize != "int8" and images:
        raise UserError("--images is for --quantize=int8 only")


def _libraries():
    try:
        from fsaf_tf.serving import flatbuffer, metadata
    except ImportError as error:
        raise UserError(f"TFLite files need {error.name}: {commands.to_install('edge')}") from error
    return flatbuffer, metadata


def _calibration(files: Sequence[str], canvas: canvases.Canvas, say) -> Callable[[], Iterator[list[np.ndarray]]]:
    """The representative data set that the converter asks for."""
    say(f"calibrating with {min(len(files), MOST_IMAGES)} of {len(files)} pictures")
    if len(files) < ENOUGH_IMAGES:
        say(f"{len(files)} pictures are few: a range that they do not reach is cut off; {ENOUGH_IMAGES} are enough")
    chosen = np.linspace(0, len(files) - 1, min(len(files), MOST_IMAGES)).astype(int)

    def pictures():
        for number, index in enumerate(chosen):
            try:
                image = canvas.fit(predict_files.read_image(files[index])).astype(np.float32)
            except UserError as error:
                raise UserError(f"{files[index]} cannot be read: {error}") from error
            if number == 0:  # the input's range is then 0 to 255 whatever the pictures: a step of it is one of uint8
                image[0, 0, :2] = [[0.0], [255.0]]
            yield [image]

    return pictures


def _options(detector: trained.Detector) -> dict[str, int | float | bool]:
    """Of `TFLite_Detection_PostProcess`. Its regular suppression is class by class; the fast one is not."""
    suppression = detector.program.suppression
    return {
        "max_detections": suppression.max_detections,
        "detections_per_class": suppression.max_detections,
        "max_classes_per_detection": 1,
        "use_regular_nms": True,
        "nms_score_threshold": suppression.score_threshold,
        "nms_iou_threshold": suppression.nms_iou,
        "num_classes": mobile.SPARE_CLASSES + len(detector.classes),
        **{f"{axis}_scale": 1.0 for axis in "yxhw"},
    }


def _settings(detector: trained.Detector, canvas: canvases.Canvas, quantize: str, raw: bool) -> dict:
    """What our own tools want to know of the file."""
    levels = detector.program.geometry.levels
    return {
        "variant": "raw" if raw else "detections",
        "quantize": quantize,
        "canvas": dataclasses.asdict(canvas),
        "class_names": list(detector.classes.names),
        "category_ids": list(detector.classes.ids),
        "maps": {str(level): [pyramid.map_size(side, level) for side in canvas.size] for level in levels},
        "postprocess": detector.config.model.postprocess.as_dict(),
    }


def _write(data: bytes, path: str) -> str:
    storage.make_folder(os.path.dirname(path))
    storage.write_bytes(path, data)
    return path
