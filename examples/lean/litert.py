"""Detects objects by a TFLite file, with ai-edge-litert, NumPy and Pillow alone.

python litert.py model_float32.tflite photo.jpg more/*.jpg

Prints a JSON object a line for each object that is found: its picture, label, score, and box, which is top, left,
bottom and right in pixels of the picture as it is seen.
"""

import json
import os
import sys
import zipfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

MOST_THREADS = 31  # with more, the runtime would miss classes


class Detector:
    """A file of `tools/export.py --format=tflite`, called with pictures of Pillow."""

    def __init__(self, path):
        with zipfile.ZipFile(path) as archive:
            self.labels = archive.read("labels.txt").decode().splitlines()
            self.canvas = json.loads(archive.read("canvas.json"))
        self.runtime = Interpreter(path, num_threads=min(os.cpu_count() or 1, MOST_THREADS))
        self.runtime.allocate_tensors()
        if len(self.runtime.get_output_details()) != 4:
            sys.exit(f"{path} was exported with --raw: its boxes are not suppressed")

    def __call__(self, photo):
        """The objects of a picture, by falling score, as (label, score, box)."""
        canvas = np.array([self.canvas["height"], self.canvas["width"]])
        size = np.array([photo.height, photo.width])
        height, width = fitted = self._fitted(canvas, size)
        image = np.full((*canvas, 3), self.canvas["padding"], np.uint8)
        image[:height, :width] = np.round(resized(photo, width, height))
        self.runtime.set_tensor(self.runtime.get_input_details()[0]["index"], image[None])
        self.runtime.invoke()
        outputs = (self.runtime.get_tensor(output["index"])[0] for output in self.runtime.get_output_details())
        shares, classes, scores, count = outputs
        boxes = np.clip(shares * np.tile(canvas * size / fitted, 2), 0, np.tile(size, 2))
        for box, index, score in zip(boxes[: int(count)], classes, scores):
            if box[0] < box[2] and box[1] < box[3]:  # others lie in the padding
                yield self.labels[int(index)], float(score), box.tolist()

    def _fitted(self, canvas, size):
        """Height and width of a picture of this size on the canvas."""
        if not self.canvas["keep_aspect"]:
            return canvas
        scale = min(self.canvas["shorter_side"] / min(size), self.canvas["longer_side"] / max(size))
        fitted = np.maximum(np.round(size * scale), 1)
        return np.maximum(np.round(fitted * min(1, *(canvas / fitted))), 1).astype(int)


def resized(photo, width, height):
    """`[height, width, 3]` of a picture, in float32: in whole numbers Pillow rounds twice, which training does not."""
    channels = (channel.convert("F") for channel in photo.convert("RGB").split())
    return np.stack([channel.resize((width, height), Image.Resampling.BILINEAR) for channel in channels], axis=-1)


def main(path, *pictures):
    """Prints what is found."""
    detect = Detector(path)
    for picture in pictures:
        photo = ImageOps.exif_transpose(Image.open(picture))  # as it is seen
        if photo.mode.startswith(("I", "F")):
            sys.exit(f"{picture} has more than 8 bits a channel, which Pillow would cut off at 255: convert it first")
        if detect.canvas["orientation"] == ("landscape" if photo.height > photo.width else "portrait"):
            print(f"{picture} is smaller here than in training: it wants the other file of the two", file=sys.stderr)
        for label, score, box in detect(photo):
            print(json.dumps({"picture": picture, "label": label, "score": score, "box": box}))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
