"""From pictures to detections: the steps that evaluation, prediction, exported models and figures share."""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from fsaf_tf import postprocess, pyramid
from fsaf_tf.config import schema
from fsaf_tf.data import augment
from fsaf_tf.modeling import detector, tiles, views
from fsaf_tf.modeling.normalization import Normalization

# Normalised images `[B, H, W, 3]` to the outputs of `detector.build_detector`.
Network = Callable[[tf.Tensor], postprocess.Outputs]
# Of each level and branch; see `postprocess.candidates`.
Candidates = Sequence[dict[str, tf.Tensor]]

CANVASES = tf.TensorSpec([None, None, None, 3], tf.uint8)
SIZES = tf.TensorSpec([None, 2], tf.int32)
ALL = "all"  # the detections of all branches together


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
        tiles: of large pictures, if they are cut into tiles; not together with views.
        normalization: of the backbone.
        geometry: of boxes, cells and offsets.
        decoding: from outputs to candidates.
        suppression: from candidates to detections.
    """

    num_classes: int
    sides: tuple[int, int]
    keep_aspect: bool
    views: views.Views | None
    tiles: tiles.Tiles | None
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

    def by_branch(self, candidates: Candidates, image_size, original_size) -> dict[str, postprocess.Detections]:
        """The same as `ALL`, and of two branches what each finds alone by its name."""
        sizes, branches = (image_size, original_size), self.decoding.branches
        found = {ALL: self.of_candidates(candidates, *sizes)}
        alone = dataclasses.replace(self, suppression=self.suppression.of_one_branch())
        for branch in branches if len(branches) > 1 else ():
            found[branch.name] = alone.of_candidates(postprocess.of_branch(candidates, branch), *sizes)
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

    def fit_tile(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """A square tile as `fit` puts a picture, but that a square canvas is enough for it."""
        sides = (self.sides[0], self.sides[0]) if self.keep_aspect else self.sides
        return augment.resize_and_pad(image, *sides, self.keep_aspect)

    def detect_in_tiles(self, network: Network, picture: tf.Tensor) -> dict[str, postprocess.Detections]:
        """What `by_branch` gives of one picture `[h, w, 3]` uint8 (B is 1), one tile after the other in memory.

        Each has a suppression of its own. Then there is one over all tiles for the objects that a tile sees whole, and
        one for the rest, of which those stay that lie in none of the former.
        """
        size = tf.shape(picture)[:2]

        def of_window(given):
            window, is_whole = given
            part = picture[window[0] : window[2], window[1] : window[3]]
            original_size = (window[2:] - window[:2])[None]
            is_square = original_size[0, 0] == original_size[0, 1]
            fitted = tf.cond(is_square & ~is_whole, lambda: self.fit_tile(part), lambda: self.fit(part))
            canvas, part_size = fitted[0], fitted[1][None]
            outputs = network(self.normalize(canvas[None], part_size))
            found = self.by_branch(postprocess.candidates(outputs, self.decoding), part_size, original_size)
            edge = tiles.EDGE * tf.cast(original_size[0] / part_size[0], tf.float32)
            return {name: _in_picture(each, window, size, edge) for name, each in found.items()}

        names = [ALL, *(branch.name for branch in self.decoding.branches if len(self.decoding.branches) > 1)]
        signature = postprocess.signature(self.suppression.max_detections)
        signature = dict(signature, is_cut=tf.TensorSpec(signature["scores"].shape, tf.bool))
        found = tf.map_fn(
            of_window,
            tiles.windows(size, self.tiles),
            fn_output_signature=dict.fromkeys(names, signature),
            parallel_iterations=1,
        )
        return {name: self._of_windows(each, size) for name, each in found.items()}

    def detect_in_tiles_of_one(self, network: Network, pictures: tf.Tensor) -> dict[str, postprocess.Detections]:
        """The same of a batch `[B, h, w, 3]` of one picture, or of none, as a replica may get it."""
        nothing = tf.zeros([detector.LEAST_SIDE, detector.LEAST_SIDE, 3], pictures.dtype)
        picture = tf.cond(tf.shape(pictures)[0] > 0, lambda: pictures[0], lambda: nothing)
        found = self.detect_in_tiles(network, picture)
        return tf.nest.map_structure(lambda value: value[: tf.shape(pictures)[0]], found)

    def _of_windows(self, rows: dict[str, tf.Tensor], size: tf.Tensor) -> postprocess.Detections:
        """The detections of one picture, of those in its windows, `[T, D, ...]` each."""
        sides = {"boxes": [4]}
        flat = {key: tf.reshape(rows[key], [1, -1, *sides.get(key, [])]) for key in rows.keys() - {"num_detections"}}
        is_cut = flat.pop("is_cut")  # [1, C]: all rows, those of padding have a score of 0
        # Each window has fused its own, and met the threshold before.
        once = dataclasses.replace(self.suppression.of_one_branch(), score_threshold=0.0)

        def suppressed(is_wanted):
            some = dict(flat, scores=tf.where(is_wanted, flat["scores"], 0.0))
            return postprocess.suppress([some], size[None], self.num_classes, once)

        uncut, cut = suppressed(~is_cut), suppressed(is_cut)
        is_covered = tiles.is_covered(*({key: value[0] for key, value in each.items()} for each in (cut, uncut)))
        left = dict(cut, scores=tf.where(is_covered, 0.0, cut["scores"]))  # [1, D]
        return postprocess.best([uncut, left], self.suppression.max_detections)


def _in_picture(detections: postprocess.Detections, window, size, edge) -> dict[str, tf.Tensor]:
    """Detections of one window, `[D, ...]` in pixels of the picture, and which of them the window cuts."""
    rows = {key: value[0] for key, value in detections.items()}
    boxes = rows["boxes"] + tf.cast(tf.tile(window[:2], [2]), tf.float32)
    return dict(rows, boxes=boxes, is_cut=tiles.is_cut(boxes, window, size, edge))


def flat(found: dict[str, postprocess.Detections]) -> dict[str, tf.Tensor]:
    """What `Program.by_branch` gives as one dict: `boxes` of `ALL`, `anchor_free/boxes` and so on."""
    return {
        key if name == ALL else f"{name}/{key}": value for name, each in found.items() for key, value in each.items()
    }


def program(task: schema.Task, num_classes: int) -> Program:
    """The program of an experiment's detector of K classes."""
    size, suppression = task.input_size, task.model.postprocess.suppression()
    return Program(
        num_classes=num_classes,
        sides=(size.shorter_side, size.longer_side),
        keep_aspect=size.keep_aspect,
        views=views_of(task),
        tiles=tiles_of(task),
        normalization=detector.normalization(task.model.backbone),
        geometry=task.model.geometry(),
        decoding=task.decoding(),
        suppression=suppression if len(task.branches()) > 1 else suppression.of_one_branch(),
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


def tiles_of(task: schema.Task) -> tiles.Tiles | None:
    """The tiles that an experiment's evaluation and prediction cut pictures into; None where it does not."""
    wanted = task.tiles
    return tiles.Tiles(wanted.size, wanted.overlap, wanted.whole) if wanted.size else None


def also_of(task: schema.Task) -> Callable[[tf.Tensor], dict]:
    """What an evaluation wants of each picture `[h, w, 3]` uint8 beside its canvas; see `validation_step`."""
    wanted = program(task, num_classes=1)
    if wanted.tiles:
        return lambda image: {"picture": image}
    if wanted.views:
        return lambda image: {
            "views": tuple({"image": canvas, "image_size": size} for canvas, size in wanted.fit_views(image))
        }
    return lambda image: {}
