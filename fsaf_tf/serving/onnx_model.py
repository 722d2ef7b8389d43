"""An ONNX file behind the same call as `trained.Detector`, by ONNX Runtime on the CPU."""

import json

import numpy as np

from fsaf_tf.data.classes import Classes
from fsaf_tf.detect import pictures
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths
from fsaf_tf.serving import canvas, named_outputs
from fsaf_tf.terminal import commands, faults

ENDING = ".onnx"  # such a file has no mark at its beginning
PROVIDERS = ["CPUExecutionProvider"]
_ERRORS_ALONE = 3  # of ONNX Runtime's levels of logging


class ONNX(pictures.OfPictures):
    """A file that `onnx_export.export` wrote.

    Attributes:
        classes, class_names, category_ids, most: see `trained.Detector`.
        canvas: how a picture is brought to the file's input; None of a file that takes pictures of any size.
    """

    def __init__(self, path: str, data: bytes | None = None):
        """Loads a file; a UserError if it is no such thing. `data` is its content, of one that is not written yet."""
        runtime, self._path = _library(), path
        options = runtime.SessionOptions()
        options.log_severity_level = _ERRORS_ALONE
        try:
            data = paths.read_bytes(path) if data is None else data
            self._session = runtime.InferenceSession(data, options, providers=PROVIDERS)
        except Exception as error:  # ONNX Runtime's are of many kinds
            reason = faults.any_line(error)
            raise UserError(f"{path} cannot be loaded as an ONNX file: {reason}") from error
        properties = self._session.get_modelmeta().custom_metadata_map
        if "class_names" not in properties:
            raise UserError(f"{path} has no properties of fsaf_tf: only files of tools/export.py can be run")
        try:
            settings = {key: json.loads(properties[key]) for key in ("class_names", "category_ids", "canvas")}
            self.classes = Classes(tuple(settings["class_names"]), tuple(settings["category_ids"]))
            self.canvas = canvas.from_settings(settings) if settings["canvas"] else None
            self.most = json.loads(properties["postprocess"])["max_detections"]
        except (UserError, ValueError, KeyError, TypeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else error
            raise UserError(f"{path} has damaged properties: {reason}; export it anew") from error
        self.class_names, self.category_ids = list(self.classes.names), list(self.classes.ids)
        self._outputs = [output.name for output in self._session.get_outputs()]

    def _detect_all(self, images: list[np.ndarray]) -> list[dict]:
        """The detections of each picture; see the base class."""
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: np.ndarray) -> dict:
        try:
            values = self._session.run(self._outputs, self._inputs(image))
        except Exception as error:
            height, width = image.shape[:2]
            reason = faults.any_line(error)
            raise UserError(f"{self._path} fails on a picture of {height} x {width} pixels: {reason}") from error
        outputs = {name: value[0] for name, value in zip(self._outputs, values)}
        return named_outputs.to_detections(outputs, self.classes)

    def _inputs(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """What the file takes of a picture."""
        size = image.shape[:2]
        if self.canvas is None:
            return {"inputs": image[None]}
        sizes = {"image_size": np.int32([self.canvas.size_of(size)]), "original_size": np.int32([size])}
        return {"canvas": self.canvas.fit(image), **sizes}


def _library():
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{ENDING} files need {error.name}: {commands.to_install('onnx')}") from error
    return onnxruntime
