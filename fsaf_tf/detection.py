"""From pictures to detections: the steps that evaluation, prediction, exported models and figures share."""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from fsaf_tf import postprocess, pyramid
from fsaf_tf.config import schema
from fsaf_tf.data import augment
from fsaf_tf.modeling import detector, views
from fsaf_tf.modeling.normalization import Normalization

# Normalised images `[B, H, W, 3]` to the outputs of `detector.build_detector`.
Network = Callable[[tf.Tensor], postprocess.Outputs]

CANVASES = tf.TensorSpec([None, None, None, 3], tf.uint8)
SIZES = tf.TensorSpec([None, 2], tf.int32)


@dataclasses.dataclass(frozen=True)
class Program:
    """All that a detector does with pictures, except for its network.

    `canvases` are pictures that were brought to their size, `[B, H, W, 3]` uint8, with zeros below and to the right;
    `image_size` and `original_size` are their height and width on it and before, `[B, 2]` int32.

    Attributes:
        num_classes: K.
        sides: what shorter and longer side of a picture become, in pixels; see `augment.resize_and_pad`.
        keep_aspect: see there.
        views: test-time augmentation, if there is any.
        normalization: of the backbone.
        geometry: of boxes, cells and offsets.
        decoding: from outputs to candidates.
        suppression: from candidates to detections.
    """

    num_classes: int
    sides: tuple[int, int]
    keep_aspect: bool
    views: views.Views | None
    normalization: Normalization
    geometry: pyramid.Geometry
    decoding: postprocess.Decoding
    suppression: postprocess.Suppression

    def fit(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """A picture `[h, w, 3]` uint8 on its canvas `[H, W, 3]`, and its size there `[2]`."""
        return augment.resize_and_pad(image, *self.sides, self.keep_aspect)

    def fit_views(self, image: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], ...]:
        """The same in each size of the views."""
        return tuple(augment.resize_and_pad(image, *sides, self.keep_aspect) for sides in self.views.sizes)

    def normalize(self, canvases: tf.Tensor, image_size: tf.Tensor) -> tf.Tensor:
        """What the network sees of canvases: `[B, H, W, 3]` float32."""
        return augment.normalize(canvases, image_size, self.normalization)

    def detect(
        self, network: Network, canvases: tf.Tensor, image_size: tf.Tensor, original_size: tf.Tensor
    ) -> postprocess.Detections:
        """The detections of pictures on their canvases; see `postprocess.detect`, with boxes in original pixels."""
        return self.of_outputs(network(self.normalize(canvases, image_size)), image_size, original_size)

    def of_outputs(
        self, outputs: postprocess.Outputs, image_size: tf.Tensor, original_size: tf.Tensor
    ) -> postprocess.Detections:
        """The same of what the network made of the pictures."""
        found = postprocess.detect(outputs, image_size, self.num_classes, self.decoding, self.suppression)
        return postprocess.to_original(found, image_size, original_size)

    def by_branch(self) -> dict[str, "Program"]:
        """The program with each of its branches alone, by their names."""
        alone = {
            branch.name: dataclasses.replace(self.decoding, branches=(branch,)) for branch in self.decoding.branches
        }
        return {name: dataclasses.replace(self, decoding=decoding) for name, decoding in alone.items()}

    def detect_in_views(
        self, network: Network, sized: Sequence[tuple[tf.Tensor, tf.Tensor]], original_size: tf.Tensor
    ) -> postprocess.Detections:
        """The same of pictures in the sizes of the views, `canvases` and `image_size` of each.

        It belongs into a graph, which then holds the network once, not once a view.
        """

        @tf.function(autograph=False, input_signature=[CANVASES, SIZES], experimental_attributes={"_noinline": True})
        def candidates_of(canvases, image_size):
            return postprocess.candidates(network(self.normalize(canvases, image_size)), self.decoding)

        found, frame = views.candidates(sized, candidates_of, flip=self.views.flip)
        detections = postprocess.suppress([found], frame, self.num_classes, self.suppression)
        return postprocess.to_original(detections, frame, original_size)


def program(task: schema.Task, num_classes: int) -> Program:
    """The program of an experiment's detector of K classes."""
    size = task.input_size
    return Program(
        num_classes=num_classes,
        sides=(size.shorter_side, size.longer_side),
        keep_aspect=size.keep_aspect,
        views=views_of(task),
        normalization=detector.normalization(task.model.backbone),
        geometry=task.model.geometry(),
        decoding=task.decoding(),
        suppression=task.model.postprocess.suppression(),
    )


def views_of(task: schema.Task) -> views.Views | None:
    """The views of an experiment's test-time augmentation; None where it is off."""
    augmentation = task.test_augmentation
    if not augmentation.enabled:
        return None
    short, long = task.input_size.shorter_side, task.input_size.longer_side
    ratios = augmentation.ratios or [side / short for side in augmentation.shorter_sides]
    sizes = tuple((max(round(ratio * short), 1), max(round(ratio * long), 1)) for ratio in ratios)
    return views.Views(sizes, augmentation.flip)
