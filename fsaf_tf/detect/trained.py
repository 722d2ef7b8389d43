"""A trained detector as a function from a picture to its detections."""

import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
import tf_keras

from fsaf_tf.classes import LABELS, Classes
from fsaf_tf.config import experiment, schema
from fsaf_tf.data import augment
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import detector, postprocess, views
from fsaf_tf.run import checkpoints


class Detector:
    """Detects the objects of one picture; made by `load_detector`.

    Attributes:
        model: the Keras model: normalised float32 images `[B, H, W, 3]` in the channel order of its backbone, as
            `preprocess` makes them, to the outputs by level that `modeling.detector.build_detector` describes.
        classes: names and category ids of the K classes, those of the annotations that it was trained on.
        class_names: a list of these names.
        category_ids: a list of these ids.
        config: the experiment's `task`; its `test_augmentation` is done for each picture if it is enabled.
    """

    def __init__(self, model: tf_keras.Model, config: schema.Task, classes: Classes):
        self.model = model
        self.classes = classes
        self.class_names, self.category_ids = list(classes.names), list(classes.ids)
        self.config = config
        self._normalization = detector.normalization(config.model.backbone)
        self._arguments = postprocess.arguments(config.model)
        sizes = tf.TensorSpec([None, 2], tf.int32)
        images = tf.TensorSpec([None, None, None, 3], tf.float32)
        self._detect = tf.function(self._detections, input_signature=[images, sizes, sizes])  # one graph for all sizes
        self._candidates_of = tf.function(self._candidates, input_signature=[images])
        found = dict.fromkeys(("classes", "levels", "branch"), tf.TensorSpec([None, None], tf.int32))
        found |= {"boxes": tf.TensorSpec([None, None, 4]), "scores": tf.TensorSpec([None, None])}
        self._suppress = tf.function(self._suppressed, input_signature=[found, sizes, sizes])

    def __call__(self, image: np.ndarray, resize: bool = True) -> dict:
        """Detects what is in a picture.

        Args:
            image: `[H, W, 3]` uint8 RGB of any size.
            resize: bring it to the size of training (section 4: shorter side 800), or take it as it is.

        Returns:
            By falling score, D detections: `boxes` `[D, 4]` float32 yxyx in pixels of `image`, `scores` `[D]` float32,
            `classes` `[D]` int32, `names` list of D, `levels` `[D]` int32 (the pyramid level it comes from), and
            `branch` `[D]` int32 (0 anchor-free, 1 anchor-based).

        Raises:
            UserError: another type or shape of image; test-time augmentation without `resize`.
        """
        if self.config.test_augmentation.enabled:
            detections = self._detect_in_views(image, resize)
        else:
            images, size = self._prepare(image, resize)
            detections = self._detect(images, size[None], tf.constant([image.shape[:2]]))
        count = int(detections.pop("num_detections")[0])
        result = {key: value[0, :count].numpy() for key, value in detections.items()}
        return dict(result, names=[self.class_names[index] for index in result["classes"]])

    def preprocess(self, image: np.ndarray, resize: bool = True) -> tf.Tensor:
        """What `model` sees of a picture: resized, normalised, and padded with zeros below and to the right.

        Args:
            image: `[H, W, 3]` uint8 RGB.
            resize: to the canvas of training, landscape or portrait; else it is padded to multiples of 32 pixels only.

        Returns:
            `[1, H', W', 3]` float32.
        """
        return self._prepare(image, resize)[0]

    def _prepare(self, image, resize: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """The input `[1, H', W', 3]`, and the size `[2]` int32 of the picture in it."""
        check_image(image)
        if resize:
            return self._resized(image, **self.config.input_size.as_dict())
        return self._padded(image, [-(-side // augment.MULTIPLE) * augment.MULTIPLE for side in image.shape[:2]])

    def _resized(self, image, shorter_side: int, longer_side: int, keep_aspect: bool) -> tuple[tf.Tensor, tf.Tensor]:
        canvas, size = augment.resize_and_pad(tf.constant(image), shorter_side, longer_side, keep_aspect)
        return self._padded(canvas[: size[0], : size[1]], canvas.shape[:2])

    def _padded(self, image, limits) -> tuple[tf.Tensor, tf.Tensor]:
        height, width = image.shape[:2]
        padding = [[0, limits[0] - height], [0, limits[1] - width], [0, 0]]
        return tf.pad(self._normalization.normalize(image), padding)[None], tf.constant([height, width])

    def _detect_in_views(self, image, resize: bool) -> dict[str, tf.Tensor]:
        """Detections of a picture by `task.test_augmentation`; one view after the other is made, seen and let go."""
        check_image(image)
        if not resize:
            raise UserError("test-time augmentation resizes the picture; leave resize=False out, or load without it")
        size, augmentation = self.config.input_size, self.config.test_augmentation

        def sized() -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
            for sides in views.sizes(augmentation, size):
                images, image_size = self._resized(image, *sides, size.keep_aspect)
                yield images, image_size[None]

        found, frame = views.candidates(sized(), lambda images, _: self._candidates_of(images), flip=augmentation.flip)
        return self._suppress(found, frame, tf.constant([image.shape[:2]]))

    def _candidates(self, images) -> list[dict[str, tf.Tensor]]:
        return postprocess.candidates(self.model(images, training=False), **postprocess.decoding(self.config.model))

    def _suppressed(self, found, image_size, original_size) -> dict[str, tf.Tensor]:
        limits = postprocess.suppression(self.config.model)
        detections = postprocess.suppress([found], image_size, len(self.class_names), **limits)
        return _to_original(detections, image_size, original_size)

    def _detections(self, images, image_size, original_size) -> dict[str, tf.Tensor]:
        return original_detections(self.model(images, training=False), image_size, original_size, self._arguments)


def original_detections(
    outputs: dict[str, dict[str, tf.Tensor]], image_size: tf.Tensor, original_size: tf.Tensor, arguments: dict
) -> dict[str, tf.Tensor]:
    """Detections in pixels of the original pictures.

    Args:
        outputs: of a detector, B images.
        image_size: `[B, 2]` int32, height and width that the pictures were resized to.
        original_size: `[B, 2]` int32, height and width that they had.
        arguments: of `postprocess.detect`, by keyword.

    Returns:
        What `postprocess.detect` returns, with other boxes.
    """
    return _to_original(postprocess.detect(outputs, image_size, **arguments), image_size, original_size)


def _to_original(detections, image_size, original_size) -> dict[str, tf.Tensor]:
    scale = tf.cast(image_size, tf.float32) / tf.cast(original_size, tf.float32)
    boxes = postprocess.to_original(detections["boxes"], scale, original_size)
    return dict(detections, boxes=boxes)


def load_detector(
    model_dir: str | os.PathLike, checkpoint: str | os.PathLike | None = None, test_augmentation: dict | None = None
) -> Detector:
    """Loads the detector that a run trained. No ImageNet weights are needed.

    Args:
        model_dir: the run's folder, with `params.yaml` and `labels.json`.
        checkpoint: a file prefix such as `runs/fsaf_r50/ckpt-90000`, or a folder of checkpoints; if not given, the
            best one (`model_dir/best`), or the newest where there is no best one.
        test_augmentation: keys of `task.test_augmentation`, which then is done: `{"ratios": [0.5, 1.0, 1.5]}`.

    Returns:
        A callable; see `Detector`.

    Raises:
        UserError: no such folder, no checkpoint, or one of another model; a wrong key or value of test_augmentation.
    """
    model_dir = os.fspath(model_dir)
    if not tf.io.gfile.isdir(model_dir):
        raise UserError(f"{model_dir} is not a folder; give the model_dir of a run")
    params = experiment.read_params(model_dir)
    best = params.trainer.best_checkpoint_export_subdir or checkpoints.BEST
    if test_augmentation is not None:
        experiment.augment_tests(params, test_augmentation)
    prefix = checkpoints.find(os.fspath(checkpoint or model_dir), best)
    return restore_detector(params.task, model_dir, prefix)


def restore_detector(config: schema.Task, labels_dir: str, prefix: str) -> Detector:
    """Builds a detector and takes its variables from a checkpoint.

    Args:
        config: the experiment's `task`.
        labels_dir: the folder with `labels.json`.
        prefix: of the checkpoint's files.

    Raises:
        UserError: `labels.json` is not there or does not fit, or the checkpoint is of another model.
    """
    classes, wanted = Classes.read(f"{labels_dir}/{LABELS}"), config.model.num_classes
    if wanted not in (0, len(classes)):
        raise UserError(f"{labels_dir}/{LABELS} has {len(classes)} classes, but task.model.num_classes is {wanted}")
    problem = checkpoints.problem(prefix)
    if problem:
        raise UserError(f"{prefix} cannot be read ({problem}); give another checkpoint")
    model = detector.build_detector(config.model, len(classes))
    checkpoints.restore(tf.train.Checkpoint(model=model), prefix)
    return Detector(model, config, classes)


def check_image(image) -> None:
    """Raises a UserError if `image` is no uint8 RGB picture with pixels."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UserError(f"an image must be a uint8 array [height, width, 3], RGB, not {found}")
    if 0 in image.shape:
        raise UserError(f"an image of {image.shape[0]} x {image.shape[1]} pixels shows nothing")
