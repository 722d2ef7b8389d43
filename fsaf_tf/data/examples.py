"""What every kind of data set is turned into: examples that are not decoded yet, and ground truth in COCO form."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from fsaf_tf.data import images
from fsaf_tf.data.bad_pictures import NONE_ALLOWED, BadPictures
from fsaf_tf.data.box_table import BoxTable
from fsaf_tf.data.classes import Classes
from fsaf_tf.data.findings import Finding, found
from fsaf_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Order:
    """Which examples, and in what order.

    Attributes:
        seed: shuffle whole files, or single images where that costs nothing, anew each time the data is gone through;
            None for the fixed order. Of sources with weights it goes on without end.
        num_shards: of how many parts each example is in exactly one.
        shard: the part wanted.
        places: ascending, of those wanted in the fixed order; all if not given.
    """

    seed: int | tf.Tensor | None = None
    num_shards: int = 1
    shard: int = 0
    places: Sequence[int] | None = None


FIXED_ORDER = Order()


@dataclasses.dataclass(frozen=True)
class Source:
    """An opened data set.

    Attributes:
        name: for messages.
        classes: K of them, their ids those of the annotations.
        num_images: images, those without objects among them.
        rows: gives, for an `Order`, the examples as far as they are known without reading picture files.
        read_pictures: makes examples of rows; where the pictures are in the same files as the boxes, they are that.
        read_in_graph: the same by TensorFlow's ops alone, without Python; None where they do not do.
        ground_truth: gives COCO's dict (`images`, `annotations`, `categories`) with the same image ids.
        findings: what was taken, joined, clipped or left out when it was opened.
        bad: its pictures that cannot be read.
        boxes: gives all boxes without going through the pictures; None where only the examples have them.
        image_dir: the local folder that `file_name`s start from; empty where there is none.
        most_boxes: of a picture, 0 where that is not known before they are gone through.
        given: gives the examples with their boxes as they are in the files, not clipped and none left out; None where
            `boxes` has them.
        sizes: height and width `[..., 2]` of the pictures that were looked at; None where none were, or `boxes` has
            them.
        notes: lines on how it was put together, of several files or as a part of one.
        held_out: names of the pictures that are evaluated on, where they were dealt out from those trained on.
        form: of annotations that are no COCO JSON, in words.
        by_name: the ids of its classes mean nothing: they are known by their names alone.
    """

    name: str
    classes: Classes
    num_images: int
    rows: Callable[[Order], tf.data.Dataset]
    ground_truth: Callable[[], dict]
    findings: tuple[Finding, ...] = ()
    read_pictures: Callable[[tf.data.Dataset], tf.data.Dataset] = staticmethod(lambda rows: rows)
    read_in_graph: Callable[[tf.data.Dataset], tf.data.Dataset] | None = None
    bad: BadPictures = NONE_ALLOWED
    boxes: Callable[[], BoxTable] | None = None
    image_dir: str = ""
    most_boxes: int = 0
    given: Callable[[], tf.data.Dataset] | None = None
    sizes: np.ndarray | None = dataclasses.field(default=None, compare=False)
    notes: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    form: str = ""
    by_name: bool = False

    def fits(self, classes: Classes, *, by_name: bool = False) -> bool:
        """Whether its classes are some or all of others; see `with_classes`."""
        if self.by_name or by_name:
            return set(self.classes.names) <= set(classes.names)
        return self.classes.is_part_of(classes)

    def examples(self, order: Order = FIXED_ORDER) -> tf.data.Dataset:
        """The examples, their pictures not decoded yet, as a data set of dicts.

        Args:
            order: which of them, and in what order.

        Returns:
            image_bytes: the encoded file.
            file_name: relative to `image_dir`.
            image_id: int64.
            size: `[2]` int32, height and width.
            boxes: `[n, 4]` float32, yxyx in pixels of the image in its frame, clipped to it.
            classes: `[n]` int32.
            crowd: `[n]` bool, not trained on and ignored in evaluation.
            area: `[n]` float32.
            turn: where the frame may not be the stored one, the EXIF orientation that leads there.
        """
        return self.read_pictures(self.rows(order))

    def decode(
        self,
        examples: tf.data.Dataset,
        then: Callable[[dict], dict] = dict,
        bytes_of_pixel: int = images.BYTES_OF_PIXEL,
        *,
        in_graph: bool = False,
    ) -> tf.data.Dataset:
        """Puts `image` `[h, w, 3]` uint8, turned by `turn`, in the place of `image_bytes`.

        Args:
            examples: some of its own.
            then: what else becomes of an example. What makes pictures smaller belongs here: a later stage of the data
                set would hold whole ones of its own.
            bytes_of_pixel: what that takes at most.
            in_graph: by TensorFlow's ops alone; see `images.decode_examples`.
        """

        def finish(decoded: tf.data.Dataset) -> tf.data.Dataset:
            return self.bad.leave_out(decoded).map(then)

        return images.decode_examples(examples, self.at_once(bytes_of_pixel), finish, in_graph=in_graph)

    def known_sizes(self) -> np.ndarray | None:
        """Height and width `[..., 2]` of its pictures, or of those that were looked at; None where none is known."""
        return self.boxes().sizes if self.boxes else self.sizes

    def at_once(self, bytes_of_pixel: int = images.BYTES_OF_PIXEL) -> int:
        """How many of its pictures are decoded at a time, by their sizes where these are known."""
        sizes = self.known_sizes()
        return images.AT_ONCE if sizes is None else images.fitting_at_once(sizes, bytes_of_pixel)


def with_classes(source: Source, classes: Classes, whose: str, *, by_name: bool = False) -> Source:
    """A source with the classes of a detector or of other data, of which it may list only some.

    Args:
        source: its classes keep their names, and their ids where these are not made of the names.
        classes: those wanted.
        whose: for the message, such as "the training data train.json".
        by_name: the ids of `classes` mean nothing.

    Raises:
        UserError: an id has another name there, or a class is not there.
    """
    if source.classes == classes:
        return source if source.by_name == by_name else dataclasses.replace(source, by_name=by_name)
    if not source.fits(classes, by_name=by_name):
        raise UserError(
            f"{source.name} has other classes than {whose}: {source.classes.difference(classes)}; give both the same,"
            f" or here some of them with the same {'names' if source.by_name or by_name else 'ids'}"
        )
    index_of = {name: index for index, name in enumerate(classes.names)}
    indices = [index_of[name] for name in source.classes.names]  # names and ids fit, or names alone have to
    places = tf.constant(indices, tf.int32)
    missing = tuple(name for name in classes.names if name not in source.classes.names)
    words = "classes are listed; the others have no box here"
    fewer = found("fewer_classes", len(source.classes), len(classes), words, missing, source.name) if missing else []

    def renumbered(examples: tf.data.Dataset) -> tf.data.Dataset:
        return examples.map(lambda row: {**row, "classes": tf.gather(places, row["classes"])})

    def boxes() -> BoxTable:
        table = source.boxes()
        return dataclasses.replace(table, class_indices=places.numpy()[table.class_indices])

    return dataclasses.replace(
        source,
        classes=classes,
        rows=lambda order: renumbered(source.rows(order)),
        given=source.given and (lambda: renumbered(source.given())),
        boxes=source.boxes and boxes,
        ground_truth=lambda: _with_ids(source, classes),
        findings=(*source.findings, *fewer),
        by_name=by_name,
    )


def _with_ids(source: Source, classes: Classes) -> dict:
    """The ground truth of a source with other ids of its classes, which keep their names."""
    new_ids, ground_truth = dict(zip(classes.names, classes.ids)), source.ground_truth()
    id_of = {number: new_ids[name] for number, name in zip(source.classes.ids, source.classes.names)}
    annotations = [
        {**annotation, "category_id": id_of[annotation["category_id"]]} for annotation in ground_truth["annotations"]
    ]
    return {**ground_truth, "annotations": annotations, "categories": classes.categories()}


def at_places(examples: tf.data.Dataset, order: Order) -> tf.data.Dataset:
    """Those of an order's places, of data that can only be gone through."""
    if order.places is None:
        return examples
    wanted = tf.constant(order.places, tf.int64)
    return examples.enumerate().filter(lambda place, _: tf.reduce_any(place == wanted)).map(lambda _, example: example)


def check_finite(example: dict) -> dict:
    """Checks that the boxes of an example are numbers.

    Raises (when the data set runs): one is infinite or not a number.
    """
    boxes = example["boxes"]
    bad = tf.boolean_mask(boxes, ~tf.reduce_all(tf.math.is_finite(boxes), axis=1))
    first = tf.strings.reduce_join(tf.strings.as_string(bad[:1], precision=1), separator=", ")
    words = (example["file_name"], ": the box y1, x1, y2, x2 = ", first, " px is no box: its numbers are not finite")
    with tf.control_dependencies([images.require(tf.size(bad) == 0, *words)]):
        return {**example, "boxes": tf.identity(boxes)}


def clip_boxes(example: dict) -> dict:
    """Clips the boxes `[n, 4]` of an example to its `size`, and leaves out what is outside or ends too early.

    As of COCO JSON; `data.inspection` counts them.
    """
    boxes = example["boxes"]
    clipped = tf.clip_by_value(boxes, 0.0, tf.cast(tf.tile(example["size"], [2]), tf.float32))
    # A box without area is left out of training later; one whose area is all outside is a mistake.
    sides, left = boxes[:, 2:] - boxes[:, :2], clipped[:, 2:] - clipped[:, :2]
    kept = tf.reduce_all(sides >= 0, axis=1)
    kept &= tf.reduce_any(sides == 0, axis=1) | tf.reduce_all(left > 0, axis=1)  # [n]
    columns = {key: example[key] for key in ("classes", "crowd", "area")} | {"boxes": clipped}
    return {**example, **{key: tf.boolean_mask(column, kept) for key, column in columns.items()}}


def collect_ground_truth(examples: tf.data.Dataset, classes: Classes) -> dict:
    """COCO's dict from the examples themselves, for data that has no annotation file.

    Raises:
        UserError: a bad example, or an image id that stands twice.
    """
    pictures, annotations = {}, []
    for example in named_errors(without_images(examples)):
        image_id, (height, width) = int(example["image_id"]), example["size"].tolist()
        name = example["file_name"].decode()
        if image_id in pictures:
            raise UserError(f"image id {image_id} stands twice: {pictures[image_id]['file_name']} and {name}")
        pictures[image_id] = {"id": image_id, "file_name": name, "height": height, "width": width}
        corners = example["boxes"].astype(np.float64)
        boxes = np.concatenate([corners[:, 1::-1], (corners[:, 2:] - corners[:, :2])[:, ::-1]], axis=1)  # xywh
        rows = zip(boxes.tolist(), example["classes"], example["area"].tolist(), example["crowd"].tolist())
        for box, label, area, crowd in rows:
            annotations.append(annotation(len(annotations) + 1, image_id, classes.ids[label], box, area, crowd))
    return {
        "images": list(pictures.values()),
        "annotations": annotations,
        "categories": classes.categories(),
    }


def without_images(examples: tf.data.Dataset) -> tf.data.Dataset:
    """The examples without their `image_bytes`."""
    return examples.map(lambda example: {key: example[key] for key in example if key != "image_bytes"})


def annotation(number: int, image_id: int, category_id: int, box_xywh: list[float], area: float, crowd: bool) -> dict:
    """One of COCO's annotations. Numbers start at 1: pycocotools takes 0 for no match."""
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": box_xywh,
        "area": area,
        "iscrowd": int(crowd),
    }


def named_errors(dataset: tf.data.Dataset):
    """Goes through a data set as NumPy; a failed check comes out as a `UserError`."""
    try:
        yield from dataset.as_numpy_iterator()
    except tf.errors.InvalidArgumentError as error:
        raise images.user_error(error) or error from None
