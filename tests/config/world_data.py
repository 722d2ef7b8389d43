"""The data of the small world: four pictures of two colours each, in every form that data can have, each form twice.

All sides are whole pixels, and what is annotated is known here. `a` and `b` are the two variants: of annotation files
and TFRecord files they have other boxes, of folders and TFDS sets other colours.
"""

import io
import json
import pathlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from encoded import turned
from PIL import Image

NAMES, IDS = ("cat", "dog", "bird"), (3, 5, 9)
VARIANTS = ("a", "b")
SIZES = {1: (64, 96), 2: (64, 96), 3: (96, 64), 4: (96, 64)}  # height and width by the picture's id
_ROWS = {  # class index and box yxyx
    "a": {
        1: [(0, (4, 6, 40, 30)), (1, (10, 20, 60, 90)), (2, (30, 60, 42, 78))],
        2: [(1, (8, 10, 30, 60)), (0, (20, 4, 33, 5))],
        3: [(2, (2, 2, 70, 60)), (0, (50, 30, 90, 44))],
        4: [(1, (12, 8, 50, 54))],
    },
    "b": {
        1: [(2, (44, 40, 62, 60))],
        2: [(0, (32, 64, 60, 92)), (1, (40, 8, 60, 30))],
        3: [(1, (74, 4, 94, 24))],
        4: [(0, (60, 4, 80, 60)), (2, (82, 30, 94, 60))],
    },
}
UPSIDE_DOWN = 3  # as EXIF says it
SPLITS = {"every": (1, 2, 3, 4), "some": (1, 3)}  # of the TFDS sets


class Picture(NamedTuple):
    """A picture and what is in it.

    Attributes:
        size: height and width.
        colours: of its left and of its right half, RGB.
        classes: `[n]` class indices.
        boxes: `[n, 4]` yxyx.
    """

    size: tuple[int, int]
    colours: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray


def picture(number: int, colours: str = "a", boxes: str = "a") -> Picture:
    """Picture `number` in the colours of one variant, with the boxes of one."""
    classes, corners = zip(*_ROWS[boxes][number])
    seed = np.random.default_rng([number, VARIANTS.index(colours)])
    return Picture(SIZES[number], seed.integers(0, 256, [2, 3]), np.array(classes), np.array(corners, np.float32))


def encoded(one: Picture, orientation: int = 1) -> bytes:
    """The picture as a PNG file, with an EXIF orientation."""
    height, width = one.size
    pixels = np.repeat(one.colours[None].repeat(height, axis=0), width // 2, axis=1)
    return turned(Image.fromarray(pixels.astype(np.uint8)), orientation, "PNG")


def write(folder: pathlib.Path) -> None:
    """Writes `pictures_a/`, `a.json`, `a.tfrecord`, likewise `b`, `label_map.json`, `other_map.json` and `turned_a/`.

    That has the pictures of `pictures_a` with an EXIF orientation: upside down. `outside_a.json` and
    `outside_b.json` have names that lead out of the folder, to `pictures_a`. In `few_a` the first picture is missing.
    """
    (folder / "few_a").mkdir()
    for number in [*SIZES][1:]:
        (folder / "few_a" / f"{number}.png").write_bytes(encoded(picture(number)))
    (folder / "turned_a").mkdir()
    for number in SIZES:
        (folder / "turned_a" / f"{number}.png").write_bytes(encoded(picture(number), UPSIDE_DOWN))
    for variant in VARIANTS:
        (folder / f"pictures_{variant}").mkdir()
        for number in SIZES:
            (folder / f"pictures_{variant}" / f"{number}.png").write_bytes(encoded(picture(number, variant)))
        (folder / f"{variant}.json").write_text(json.dumps(_coco(variant)))
        (folder / f"outside_{variant}.json").write_text(json.dumps(_coco(variant, "../pictures_a/")))
        with tf.io.TFRecordWriter(str(folder / f"{variant}.tfrecord")) as file:
            for number in SIZES:
                file.write(_record(number, variant))
    names = dict(zip(IDS, NAMES))
    (folder / "label_map.json").write_text(json.dumps(names))
    (folder / "other_map.json").write_text(json.dumps({1: "ant", **names}))


def _coco(variant: str, prefix: str = "") -> dict:
    annotations = []
    for number in SIZES:
        for k, (y1, x1, y2, x2) in _ROWS[variant][number]:
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "image_id": number, "category_id": IDS[k]}
            annotations.append({"id": len(annotations) + 1, **box})
    return {
        "images": [{"id": n, "file_name": f"{prefix}{n}.png", "height": h, "width": w} for n, (h, w) in SIZES.items()],
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in zip(IDS, NAMES)],
    }


def _record(number: int, variant: str) -> bytes:
    one = picture(number, boxes=variant)
    sides = zip(("ymin", "xmin", "ymax", "xmax"), (one.boxes / np.tile(one.size, 2)).T)
    values = {
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded(one)])),
        "image/source_id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[str(number).encode()])),
        "image/object/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=np.array(IDS)[one.classes])),
    }
    for side, column in sides:
        values[f"image/object/bbox/{side}"] = tf.train.Feature(float_list=tf.train.FloatList(value=column))
    return tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString()


class _Pictures(tfds.core.GeneratorBasedBuilder):
    """The pictures as a TFDS set."""

    VERSION = tfds.core.Version("1.0.0")
    SKIP_REGISTRATION = True
    url_infos = None
    variant: str

    def _info(self) -> tfds.core.DatasetInfo:
        objects = {"bbox": tfds.features.BBoxFeature(), "label": tfds.features.ClassLabel(names=NAMES)}
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "image/id": np.int64,
            "objects": tfds.features.Sequence(objects),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(numbers) for split, numbers in SPLITS.items()}

    def _generate_examples(self, numbers):
        for number in numbers:
            one = picture(number, colours=self.variant)
            rows = [
                {"bbox": tfds.features.BBox(*(box / np.tile(one.size, 2)).tolist()), "label": int(k)}
                for k, box in zip(one.classes, one.boxes)
            ]
            yield number, {"image": io.BytesIO(encoded(one)), "image/id": number, "objects": rows}


class WorldA(_Pictures):
    """`world_a`."""

    variant = "a"


class WorldB(_Pictures):
    """`world_b`."""

    variant = "b"


def prepare_tfds(folder: pathlib.Path) -> None:
    """Prepares `world_a` and `world_b` in a folder of TFDS."""
    tfds.disable_progress_bar()
    for builder in (WorldA, WorldB):
        builder(data_dir=str(folder)).download_and_prepare()
