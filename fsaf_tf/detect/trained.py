"""A trained detector as a function from a picture to its detections."""

from collections.abc import Collection

import numpy as np
import tensorflow as tf
import tf_keras

from fsaf_tf import detection
from fsaf_tf.config import schema
from fsaf_tf.data import augment
from fsaf_tf.data.classes import LABELS, Classes
from fsaf_tf.detect import pictures
from fsaf_tf.errors import UserError
from fsaf_tf.modeling import detector
from fsaf_tf.run import restore
from fsaf_tf.run.checkpoints import Checkpoint


class Detector(pictures.OfPictures):
    """Detects the objects of pictures; made by `serving.load.load_detector`.

    Attributes:
        model: the Keras model: normalised float32 images `[B, H, W, 3]` in the channel order of its backbone, as
            `preprocess` makes them, to the outputs by level that `modeling.detector.build_detector` describes.
        classes: names and category ids of the K classes, those of the annotations that it was trained on.
        class_names: a list of these names.
        category_ids: a list of these ids.
        config: the experiment's `task`.
        program: all but the network, as `config` has it; its views or tiles are made of each picture if there are any.
        most: at most so many detections of a picture.
        checkpoint: where the variables come from: `checkpoint.prefix`, its `step`, the `ap` that is recorded of it.
    """

    def __init__(
        self, model: tf_keras.Model, config: schema.Task, classes: Classes, checkpoint: Checkpoint | None = None
    ):
        self.model = model
        self.classes = classes
        self.class_names, self.category_ids = list(classes.names), list(classes.ids)
        self.checkpoint = checkpoint
        self.config = config
        self.most = config.model.postprocess.max_detections
        self.program = detection.program(config, len(classes))
        canvas = (detection.CANVASES, detection.SIZES)
        views = tuple(canvas for _ in self.program.views.sizes) if self.program.views else ()
        # One graph for all sizes of pictures.
        self._detect = tf.function(self._detections, autograph=False, input_signature=[*canvas, detection.SIZES])
        self._detect_in_views = tf.function(
            self._detections_in_views, autograph=False, input_signature=[views, detection.SIZES]
        )
        self._detect_in_tiles = tf.function(
            self._detections_in_tiles, autograph=False, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)]
        )

    def _detect_all(self, images: list[np.ndarray], resize: bool = True) -> list[dict]:
        """The detections of pictures, of those that get onto one canvas together.

        Args:
            images: `[H, W, 3]` uint8 RGB.
            resize: bring them to the size of training (section 4: shorter side 800), or take them as they are.

        Raises:
            UserError: test-time augmentation or tiles without `resize`.
        """
        of_one = self._detect_in_tiles if self.program.tiles else self._in_views if self.program.views else None
        if of_one:
            if not resize:
                raise UserError(
                    "test-time augmentation and tiles resize what they look at; leave resize=False out, or load without"
                )
            return [self._result(of_one(image), 0) for image in images]
        fitted = [self._canvas(image, resize) for image in images]
        places_of: dict[tuple, list[int]] = {}
        for place, (canvas, _) in enumerate(fitted):
            places_of.setdefault(tuple(canvas.shape), []).append(place)
        results: dict[int, dict] = {}
        for places in places_of.values():
            canvases, sizes = (tf.concat(column, axis=0) for column in zip(*(fitted[place] for place in places)))
            found = self._detect(canvases, sizes, tf.constant([images[place].shape[:2] for place in places]))
            results |= {place: self._result(found, row) for row, place in enumerate(places)}
        return [results[place] for place in range(len(images))]

    def _in_views(self, image: np.ndarray) -> dict[str, tf.Tensor]:
        sized = self.program.fit_views(tf.constant(image))
        views = tuple((canvas[None], size[None]) for canvas, size in sized)
        return self._detect_in_views(views, tf.constant([image.shape[:2]]))

    def _result(self, detections: dict[str, tf.Tensor], row: int) -> dict:
        count = int(detections["num_detections"][row])
        kept = {key: value[row, :count].numpy() for key, value in detections.items() if key != "num_detections"}
        return dict(kept, names=[self.class_names[index] for index in kept["classes"]])

    def at_one_size(self) -> "Detector":
        """The same detector without test-time augmentation and tiles."""
        config = self.config.replace(test_augmentation={"enabled": False}, tiles={"size": 0})
        return Detector(self.model, config, self.classes, self.checkpoint)

    def preprocess(self, image: np.ndarray, resize: bool = True) -> tf.Tensor:
        """What `model` sees of a picture: resized, normalised, and padded with zeros below and to the right.

        Args:
            image: `[H, W, 3]` uint8 RGB.
            resize: to the canvas of training, landscape or portrait; else it is padded to multiples of 32 pixels only.

        Returns:
            `[1, H', W', 3]` float32.
        """
        return self.program.normalize(*self._canvas(pictures.read(image), resize))

    def _canvas(self, image: np.ndarray, resize: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """A picture on its canvas `[1, H', W', 3]` uint8, and its size there `[1, 2]` int32."""
        if resize:
            canvas, size = self.program.fit(tf.constant(image))
            return canvas[None], size[None]
        height, width = image.shape[:2]
        padding = [[0, -side % augment.MULTIPLE] for side in (height, width)]
        return tf.pad(image, [*padding, [0, 0]])[None], tf.constant([[height, width]])

    def _detections(self, canvases, image_size, original_size) -> dict[str, tf.Tensor]:
        return self.program.detect(self._network, canvases, image_size, original_size)

    def _detections_in_views(self, sized, original_size) -> dict[str, tf.Tensor]:
        return self.program.detect_in_views(self._network, sized, original_size)

    def _detections_in_tiles(self, picture) -> dict[str, tf.Tensor]:
        return self.program.detect_in_tiles(self._network, picture)[detection.ALL]

    def _network(self, images) -> dict[str, dict[str, tf.Tensor]]:
        return self.model(images, training=False)


def restore_detector(
    config: schema.Task, labels_dir: str, checkpoint: Checkpoint, left_out: Collection[str] = ()
) -> Detector:
    """Builds a detector and takes its variables from a checkpoint. No ImageNet weights are needed.

    Args:
        config: the experiment's `task`.
        labels_dir: the folder with `labels.json`.
        checkpoint: one that can be read.
        left_out: see `restore.restore`.

    Raises:
        UserError: `labels.json` is not there or does not fit, or the checkpoint is of another model.
    """
    classes, wanted = Classes.read(f"{labels_dir}/{LABELS}"), config.model.num_classes
    if wanted not in (0, len(classes)):
        raise UserError(f"{labels_dir}/{LABELS} has {len(classes)} classes, but task.model.num_classes is {wanted}")
    model = detector.build_detector(config.model, len(classes))
    restore.restore(tf.train.Checkpoint(model=model), checkpoint.prefix, left_out)
    return Detector(model, config, classes, checkpoint)
