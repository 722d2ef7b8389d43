"""The data of an experiment: where images and boxes come from, and what training draws for each of them."""

import dataclasses
from typing import NamedTuple

from official.modeling import hyperparams

from fsaf_tf.config.fields import above_zero, chosen, limited

FRAMES = ("auto", "upright", "stored")


class SourceKeys(NamedTuple):
    """What goes with the key of `Data` that names data of one format.

    Attributes:
        format: a word for it in messages; empty where the key says it.
        needed: keys that must be set, too.
        optional: keys that may be.
    """

    format: str = ""
    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


# By the key that names the data. How each is opened: `data.source`.
SOURCES = {
    "annotation_file": SourceKeys("COCO JSON, Pascal VOC, YOLO and others", optional=("image_dir",)),
    "tfds_name": SourceKeys(needed=("tfds_split",)),
    "input_path": SourceKeys("TFRecord files", optional=("label_map",)),
}
SOURCE_KEYS = tuple(key for name, keys in SOURCES.items() for key in (name, *keys.needed, *keys.optional))


@dataclasses.dataclass
class Data(hyperparams.Config):
    """Where images and boxes come from: exactly one of the keys of `SOURCES`, and what goes with it.

    Attributes:
        tfds_name: a TFDS data set, such as `coco/2017`, `voc/2007` or the built-in `shapes`.
        tfds_split: its split.
        tfds_data_dir: where TFDS keeps its data; empty for TFDS's own place.
        annotation_file: COCO JSON, or a file or folder of Pascal VOC, YOLO, labelme, CVAT, CSV, VIA, Label Studio or
            OpenImages; docs/data.md. Of a YOLO data.yaml training takes `train` and evaluation `val`; `data.yaml:test`
            names another part.
        image_dir: the folder of the images that `annotation_file` names; empty for the one that lies beside Pascal VOC,
            YOLO or labelme.
        images_outside: these names may lead out of `image_dir`, as `../1.jpg` and `/photos/1.jpg` do. If not, such a
            picture is looked for in `image_dir` by the end of its name, and refused where it is not there.
        input_path: TFRecord files in the Garden's keys, or of the Object Detection API, a glob; or the folder that
            `tools/prepare_data.py` has written.
        label_map: names of the category ids of `input_path`: a JSON file `{"1": "person", ...}`, or the `.pbtxt` of the
            Object Detection API; empty for `label_map.json` or the only `.pbtxt` beside the shards.
        exif_orientation: which way up boxes take a picture with an EXIF orientation: `upright`, `stored` or `auto`. The
            last is for COCO JSON what the declared size fits, upright if it fits both; for what `tools/prepare_data.py`
            has written what that was; and else stored.
        global_batch_size: images a step, over all replicas.
        max_instances: N, boxes that there is room for in an image of a batch; more where COCO JSON has an image with
            more. Of other data such an image is an error that names it.
    """

    tfds_name: str = ""
    tfds_split: str = ""
    tfds_data_dir: str = ""
    annotation_file: str = ""
    image_dir: str = ""
    images_outside: bool = False
    input_path: str = ""
    label_map: str = ""
    exif_orientation: str = chosen("auto", FRAMES)
    global_batch_size: int = limited(8, 1)
    max_instances: int = limited(100, 1)

    def source_keys(self) -> dict[str, str]:
        """The keys that say which data these are, as far as they are set."""
        return {key: getattr(self, key) for key in SOURCE_KEYS if getattr(self, key)}


@dataclasses.dataclass
class ValidationData(Data):
    """Data for evaluation: every image once.

    Attributes:
        fraction: so much of the pictures of `train_data` is not trained on, but is the validation data: each class by
            its share of boxes, pictures of one content together, by the `seed` of `train_data`. It is for annotation
            files. 0: the validation data are named here.
    """

    fraction: float = limited(0.0, 0, 0.9)


@dataclasses.dataclass
class AnnotatedFolder(hyperparams.Config):
    """One of several sources of training data.

    Attributes:
        annotation_file: of this source; see `task.train_data.annotation_file`.
        image_dir: of this source; see `task.train_data.image_dir`.
        weight: its share of the pictures that are drawn, as a multiple of the others' weights. 0 in all of them: each
            picture is drawn as often.
    """

    annotation_file: str = ""
    image_dir: str = ""
    weight: float = limited(0.0, 0)


@dataclasses.dataclass
class Augmentation(hyperparams.Config):
    """What training draws for each image, beside `random_flip` and `shorter_sides`; as it is here, nothing.

    Attributes:
        brightness: at most so much is added to all channels or taken from them, as a share of white.
        contrast: differences from a channel's mean become 1 - contrast to 1 + contrast times what they were.
        saturation: likewise of the colours.
        hue: at most so much of the circle of colours.
        vertical_flip: mirror top to bottom with probability 1/2.
        quarter_turns: turn by 0, 90, 180 or 270 degrees, each as often.
        tile: side in pixels of a square that is seen of the image, of large ones with small objects; an object is in
            most of them. 0: all of the image. `task.tiles.size` is the same for evaluation.
        crop: least and greatest share of the image's area of a part that is seen in its place: `[0.3, 1.0]`. Its sides
            are as 1 to 2 at most, and one object or more has half of its box in it. Empty: no crop.
        zoom: least and greatest scale, between which each is as likely on a logarithmic scale: `[0.5, 2.0]`. Above 1 a
            part of the image is seen that is so many times smaller, below 1 the image is smaller on its canvas. Empty:
            no zoom.
        least_kept: a box of which less is seen in a tile, after a crop, a zoom or in a mosaic is not trained on. (What
            is seen of a box has this IoU with it.)
        mosaic: the share of the images that are made of parts of four images of the batch.
        mixup: the share of the images that are the mean of two images of the batch, with the boxes of both.
    """

    brightness: float = limited(0.0, 0, 1)
    contrast: float = limited(0.0, 0, 1)
    saturation: float = limited(0.0, 0, 1)
    hue: float = limited(0.0, 0, 0.5)
    vertical_flip: bool = False
    quarter_turns: bool = False
    tile: int = limited(0, 0)
    crop: list[float] = above_zero(list)
    zoom: list[float] = above_zero(list)
    least_kept: float = limited(0.4, 0, 1)
    mosaic: float = limited(0.0, 0, 1)
    mixup: float = limited(0.0, 0, 1)

    @property
    def mixes(self) -> bool:
        """Whether images are made of several of their batch."""
        return bool(self.mosaic or self.mixup)


@dataclasses.dataclass
class TrainData(Data):
    """Data for training: shuffled, repeated, flipped.

    Attributes:
        sources: several annotation files in the place of one, `[{annotation_file: a.json, image_dir: a}, ...]`; classes
            of one name are one class.
        random_flip: mirror an image left to right with probability 1/2.
        shorter_sides: scale jitter (Table 3): an image's shorter side becomes one of these, each as often, in the place
            of `input_size.shorter_side`, which none may exceed. Empty: no jitter.
        augmentation: what else is drawn for each image.
        repeat_rare: images with a class that less than this share of the images have come more often: the square root
            of how many times less, in the mean. 0 takes all images equally often.
        shuffle_buffer_size: examples held for shuffling; of TFDS and TFRecord with their encoded images.
        max_bad_pictures: the share of the images that may be left out because they are missing or cannot be read; they
            are counted and named. With 0 the first one ends the run.
        service: `host:port` of the dispatcher of a tf.data service whose workers read, decode and draw; empty: this
            process does. Its order and draws do not follow from `seed`; see docs/scaling.md.
        seed: of order and of what is drawn.
    """

    global_batch_size: int = limited(16, 1)
    random_flip: bool = True
    shorter_sides: list[int] = dataclasses.field(default_factory=list)
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    repeat_rare: float = limited(0.0, 0, 1)
    shuffle_buffer_size: int = limited(1000, 1)
    max_bad_pictures: float = limited(0.0, 0, 1)
    service: str = ""
    seed: int = 0
    sources: list[AnnotatedFolder] = dataclasses.field(default_factory=list)

    @property
    def folders(self) -> list[AnnotatedFolder]:
        """The annotation files with their folders, one or several; none of other data."""
        one = [AnnotatedFolder(annotation_file=self.annotation_file, image_dir=self.image_dir)]
        return list(self.sources) or one * bool(self.annotation_file)

    def source_keys(self) -> dict[str, str | list]:
        """The same, and `sources`."""
        sources = [{"annotation_file": each.annotation_file, "image_dir": each.image_dir} for each in self.sources]
        return super().source_keys() | ({"sources": sources} if sources else {})
