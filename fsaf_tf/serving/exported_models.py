"""Exported models behind the same call as `trained.Detector`: a picture in, its detections out."""

import copy
import os

import numpy as np
import tensorflow as tf

from fsaf_tf import postprocess
from fsaf_tf.data.classes import Classes
from fsaf_tf.detect import pictures
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths
from fsaf_tf.serving import canvas, mobile, named_outputs, onnx_model
from fsaf_tf.terminal import commands, faults

SAVED_MODEL, LABELS = "saved_model.pb", "assets/labels.json"
SIGNATURE = "image_tensor"
FILES = (".tflite", onnx_model.ENDING)
_TFLITE = b"TFL3"  # at byte 4


class SavedModel(pictures.OfPictures):
    """A version that `saved_model.export` wrote; called as `trained.Detector` is.

    Attributes:
        classes: names and category ids of the K classes.
        class_names: a list of these names.
        category_ids: a list of these ids.
        most: at most so many detections of a picture.
    """

    def __init__(self, path: str):
        """Loads the folder of a version; a UserError if it is no such thing."""
        if not paths.is_file(f"{path}/{LABELS}"):
            raise UserError(f"{path} has no {LABELS}: only SavedModels of tools/export.py can be run")
        self.classes = Classes.read(f"{path}/{LABELS}")
        self.class_names, self.category_ids = list(self.classes.names), list(self.classes.ids)
        try:
            self._loaded = tf.saved_model.load(path)  # kept: the signature does not hold its variables
            self._detect = self._loaded.signatures[SIGNATURE]
        except Exception as error:  # what TensorFlow raises of a damaged one is of many kinds
            raise UserError(f"{path} cannot be loaded: {faults.any_line(error)}") from error
        self.most = self._detect.structured_outputs["detection_scores"].shape[1]

    def _detect_all(self, images: list[np.ndarray]) -> list[dict]:
        """The detections of each picture; see the base class."""
        found = [self._detect(inputs=tf.constant(image[None])) for image in images]
        return [
            named_outputs.to_detections({key: value[0].numpy() for key, value in of_one.items()}, self.classes)
            for of_one in found
        ]


class TFLite(pictures.OfPictures):
    """A file that `tflite.export` wrote; called as `trained.Detector` is.

    Attributes:
        classes: names and category ids of the K classes.
        class_names: a list of these names.
        category_ids: a list of these ids.
        most: at most so many detections of a picture.
        canvas: how a picture is brought to the file's input, and boxes back.
        quantize: what the file was exported with.
    """

    def __init__(self, path: str, threads: int | None = None):
        """Loads a file; a UserError if it is no such thing. `threads` is the number of CPUs if not given.

        More than `mobile.MOST_THREADS` are not taken: classes would be missed.
        """
        interpreter, metadata = _libraries()
        threads = min(threads or os.cpu_count() or 1, mobile.MOST_THREADS)
        try:
            data = paths.read_bytes(path)
            if not _starts_as_tflite(data):
                raise ValueError("it does not begin as one")
            settings = metadata.settings(data)
            self._interpreter = interpreter.Interpreter(model_content=data, num_threads=threads)
            self._interpreter.allocate_tensors()
        except Exception as error:  # flatbuffers raises whatever damaged bytes lead it to
            reason = faults.any_line(error)
            raise UserError(f"{path} cannot be loaded as a TFLite file: {reason}") from error
        if settings is None:
            raise UserError(f"{path} has no settings of fsaf_tf: only files of tools/export.py can be run")
        try:
            self.classes = Classes(*(tuple(_listed(settings, key)) for key in ("class_names", "category_ids")))
            self.canvas, self.quantize = canvas.from_settings(settings), settings["quantize"]
            self.most = settings["postprocess"]["max_detections"]
        except (UserError, KeyError, TypeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{path} has damaged settings: {reason}; export it anew") from error
        self.class_names, self.category_ids = list(self.classes.names), list(self.classes.ids)
        self._settings = settings

    def _detect_all(self, images: list[np.ndarray]) -> list[dict]:
        """The detections of each picture; see the base class.

        Suppression inside the file forgets where a box came from: `levels` and `branch` are only there of one that was
        exported with `raw`.
        """
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: np.ndarray) -> dict:
        outputs = self._run(self.canvas.fit(image))
        if self._settings["variant"] == "raw":
            boxes, scores = outputs
            return self._suppressed(boxes, scores, image.shape[:2])
        shares, classes, scores, count = (output[0] for output in outputs)
        boxes = self.canvas.to_picture(shares[: int(count)], image.shape[:2])
        kept = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))  # others are of the padding
        found = {"boxes": boxes[kept], "scores": scores[kept], "classes": classes[kept].astype(np.int32)}
        return dict(found, names=[self.class_names[index] for index in found["classes"]])

    def stretching(self) -> "TFLite":
        """The same file in the hands of a library that stretches pictures to the input, such as MediaPipe."""
        other = copy.copy(self)
        other.canvas = self.canvas.stretching()
        return other

    def _run(self, image: np.ndarray) -> list[np.ndarray]:
        self._interpreter.set_tensor(self._interpreter.get_input_details()[0]["index"], image)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(detail["index"]) for detail in self._interpreter.get_output_details()]

    def _suppressed(self, boxes: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> dict:
        """Detections of `[1, P, 4]` in shares of the canvas and `[1, P, K]`, as `postprocess.detect` has them."""
        settings, boxes = self._settings["postprocess"], self.canvas.to_picture(boxes, size)
        candidates, start = [], 0
        for level, (height, width) in sorted(self._settings["maps"].items(), key=lambda item: int(item[0])):
            rows = slice(start, start := start + height * width)
            best, location, classes = postprocess.best_of(
                tf.constant(scores[:, rows]), settings["max_per_level"], settings["multi_label"]
            )
            of_level = tf.gather(boxes[:, rows], location, batch_dims=1)
            levels = tf.fill(tf.shape(classes), int(level))
            branch = tf.zeros_like(classes)
            candidates.append(
                {"boxes": of_level, "scores": best, "classes": classes, "levels": levels, "branch": branch}
            )
        suppression = postprocess.Suppression(
            settings["score_threshold"], settings["nms_iou"], settings["max_detections"], fusion="best"
        )
        found = postprocess.suppress(candidates, tf.constant([size]), len(self.class_names), suppression)
        count = int(found.pop("num_detections")[0])
        result = {key: value[0, :count].numpy() for key, value in found.items()}
        return dict(result, names=[self.class_names[index] for index in result["classes"]])


def find(path: str | os.PathLike) -> str | None:
    """The exported model that a path names: a file, a version of a SavedModel, or of its parent the newest.

    Returns:
        The path of the file or of the version; None if there is none, as in the folder of a run.
    """
    path = os.fspath(path).rstrip("/")
    if paths.is_file(path):
        with faults.named(path), paths.open_to_read(path) as file:
            return path if path.endswith(FILES) or _starts_as_tflite(file.read(8)) else None
    if paths.is_file(f"{path}/{SAVED_MODEL}"):
        return path
    if path.endswith(FILES) and not paths.exists(path):
        raise UserError(f"there is no {path}")
    names = paths.names(path)
    versions = [name for name in names if name.isdecimal() and paths.is_file(f"{path}/{name}/{SAVED_MODEL}")]
    if versions:
        return f"{path}/{max(versions, key=int)}"
    files = sorted(name for name in names if name.endswith(FILES))
    if files and not paths.is_file(f"{path}/params.yaml"):
        raise UserError(f"{path} holds {', '.join(files)}; name one of them")
    return None


def refuse_augmentation(path: str, wanted: bool) -> None:
    """Raises a UserError if test-time augmentation is wanted of an exported model, which sees a picture at one size."""
    if wanted:
        raise UserError(f"{path} is an exported model, which has no test-time augmentation; give the run it came from")


def load(path: str) -> SavedModel | TFLite | onnx_model.ONNX:
    """Loads what `find` found."""
    if path.endswith(onnx_model.ENDING):
        return onnx_model.ONNX(path)
    return SavedModel(path) if paths.is_folder(path) else TFLite(path)


def _listed(settings: dict, key: str) -> list:
    if not (isinstance(settings, dict) and isinstance(settings.get(key), list)):
        raise UserError(f"{key} is no list")
    return settings[key]


def _starts_as_tflite(data: bytes) -> bool:
    return data[4:8] == _TFLITE


def _libraries():
    try:
        from ai_edge_litert import interpreter

        from fsaf_tf.serving import metadata
    except ImportError as error:
        raise UserError(f".tflite files need {error.name}: {commands.to_install('edge')}") from error
    return interpreter, metadata
