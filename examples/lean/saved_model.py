"""Detects objects by a SavedModel, with TensorFlow alone.

python saved_model.py exported/mine photo.jpg more/*.jpg

The model is the folder of a version or of its versions, of which the newest is taken. Prints a JSON object a line for
each object that is found: its picture, label, score, and box, which is top, left, bottom and right in pixels of the
picture as it is seen.
"""

import json
import pathlib
import re
import sys

import tensorflow as tf


class Detector:
    """A model of `tools/export.py --format=saved_model`, called with the bytes of JPEG, PNG and WebP files."""

    def __init__(self, path):
        versions = [version for version in pathlib.Path(path).glob("*") if version.name.isdecimal()]
        folder = max(versions, key=lambda version: int(version.name), default=pathlib.Path(path))
        labels = json.loads((folder / "assets" / "labels.json").read_text(encoding="utf-8"))
        self.labels = dict(zip(labels["category_ids"], labels["names"]))
        self._model = tf.saved_model.load(str(folder))  # kept: the signature does not hold its variables
        self._detect = self._model.signatures["serving_default"]

    def __call__(self, data):
        """The objects of a picture, by falling score, as (label, score, box)."""
        outputs = self._detect(inputs=tf.constant([data]))
        found = {name: output[0].numpy().tolist() for name, output in outputs.items()}
        boxes, scores, ids = (found[f"detection_{name}"] for name in ("boxes", "scores", "classes"))
        for box, score, index in list(zip(boxes, scores, ids))[: found["num_detections"]]:
            yield self.labels[index], score, box


def main(path, *pictures):
    """Prints what is found, and the pictures that the model refuses; the exit status is 1 if there were any."""
    detect, refused = Detector(path), False
    for picture in pictures:
        try:
            found = list(detect(pathlib.Path(picture).read_bytes()))
        except tf.errors.InvalidArgumentError as error:  # the model says what is wrong with the picture
            print(f"{picture}: {re.search(r'inputs.0. (.*?)[];]', error.message)[1]}", file=sys.stderr)
            refused = True
            continue
        for label, score, box in found:
            print(json.dumps({"picture": picture, "label": label, "score": score, "box": box}))
    sys.exit(refused)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
