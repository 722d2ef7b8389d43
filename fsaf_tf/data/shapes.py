"""`shapes`, a TFDS data set that draws its own pictures: no download, half a minute to make."""

import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from fsaf_tf.data import drawing

# Split: (seed, pictures).
SPLITS = {"train": (1, 2000), "validation": (2, 250)}


class Shapes(tfds.core.GeneratorBasedBuilder):
    """The TFDS builder, found by the name `shapes` once this file is imported."""

    VERSION = tfds.core.Version("1.0.0")
    url_infos = None  # Nothing is downloaded; TFDS looks for a list of checksums otherwise.

    def _info(self) -> tfds.core.DatasetInfo:
        objects = {
            "bbox": tfds.features.BBoxFeature(),
            "label": tfds.features.ClassLabel(names=drawing.CLASS_NAMES),
            "area": np.int64,
            "is_crowd": np.bool_,
        }
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "image/id": np.int64,
            "image/filename": tfds.features.Text(),
            "objects": tfds.features.Sequence(objects),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Drawn shapes on textured backgrounds, many small or thin.",
            features=tfds.features.FeaturesDict(features),
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        return {split: self._generate_examples(seed, count) for split, (seed, count) in SPLITS.items()}

    def _generate_examples(self, seed: int, count: int):
        for index in range(count):
            picture, objects = drawing.draw(seed, index)
            encoded = io.BytesIO()
            Image.fromarray(picture).save(encoded, "png", compress_level=1)
            encoded.seek(0)
            yield (
                index,
                {
                    "image": encoded,
                    "image/id": index + 1,
                    "image/filename": f"{index + 1:05d}.png",
                    "objects": [_feature(item, *picture.shape[:2]) for item in objects],
                },
            )


def _feature(item: dict, height: int, width: int) -> dict:
    """An object of `draw` as TFDS keeps it: the box in shares of the picture."""
    y1, x1, y2, x2 = item["box"]
    bbox = tfds.features.BBox(ymin=y1 / height, xmin=x1 / width, ymax=y2 / height, xmax=x2 / width)
    return {"bbox": bbox, "label": item["name"], "area": item["area"], "is_crowd": False}
