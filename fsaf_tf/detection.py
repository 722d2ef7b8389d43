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
# Of each level and branch; see `postprocess.candidates`.
Candidates = Sequence[dict[str, tf.Tensor]]

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
        return self.of_candidates(postprocess.candidates(outputs, self.decoding), image_size, original_size)

    def of_candidates(self, candidates: Candidates, image_size, original_size) -> postprocess.Detections:
        """The same of the candidates of the pictures."""
        found = postprocess.suppress(candidates, image_size, self.num_classes, self.suppression)
        return postprocess.to_original(found, image_size, original_size)

    def with_each_branch(self, candidates: Candidates, image_size, original_size) -> postprocess.Detections:
        """The same, and of two branches what each finds alone, too: `anchor_free/boxes` and so on."""
        sizes, branches = (image_size, original_size), self.decoding.branches
        found = self.of_candidates(candidates, *sizes)
        for branch in branches if len(branches) > 1 else ():
            alone = self.of_candidates(postprocess.of_branch(candidates, branch), *sizes)
            found |= {f"{branch.name}/{key}": value for key, value in alone.items()}
        return found

    def detect_in_views(
        self, network: Network, sized: Sequence[tuple[tf.Tensor, tf.Tensor]], original_size: tf.Tensor
    ) -> postprocess.Detections:
        """The same of pictures in the sizes of the views, `canvases` and `image_size` of each."""
        return self.of_candidates(*self.candidates_in_views(network, sized), original_size)

    def candidates_in_views(
        self, network: Network, sized: Sequence[tuple[tf.Tensor, tf.Tensor]]
    ) -> tuple[Candidates, tf.Tensor]:
        """The candidates of all views in pixels of the first one, whose size `[B, 2]` comes with them.

        It belongs into a graph, which then holds the network once, not once a view.
        """

        @tf.function(autograph=False, input_signature=[CANVASES, SIZES], experimental_attributes={"_noinline": True})
        def candidates_of(canvases, image_size):
            return postprocess.candidates(network(self.normalize(canvases, image_size)), self.decoding)

        found, frame = views.candidates(sized, candidates_of, flip=self.views.flip)
        return [found], frame


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
