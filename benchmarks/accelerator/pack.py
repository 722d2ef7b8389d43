"""Pictures and boxes for `train.py` beside it, from COCO JSON: any sizes, as they are in their files.

python benchmarks/accelerator/pack.py FOLDER MAX_INSTANCES IMAGES TRAIN.json IMAGES VAL.json [IMAGES TEST.json]
"""

import io
import json
import pathlib
import sys

import numpy as np
from PIL import Image

folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
arrays = {}
for name, images, annotations in zip(("train", "val", "test"), sys.argv[3::2], sys.argv[4::2]):
    truth = json.loads(pathlib.Path(annotations).read_text())
    place = {category["id"]: index for index, category in enumerate(truth["categories"])}
    pictures = sorted(truth["images"], key=lambda image: image["id"])
    boxes, classes = np.zeros((len(pictures), count, 4), np.float32), np.zeros((len(pictures), count), np.int32)
    valid = np.zeros((len(pictures), count), bool)
    for row, picture in enumerate(pictures):
        encoded = (pathlib.Path(images) / picture["file_name"]).read_bytes()
        image = Image.open(io.BytesIO(encoded))
        assert image.size == (picture["width"], picture["height"]), picture
        arrays[f"{name}.{row}"] = np.frombuffer(encoded, np.uint8)
        of_picture = [each for each in truth["annotations"] if each["image_id"] == picture["id"]]
        for index, annotation in enumerate([each for each in of_picture if not each.get("iscrowd")][:count]):
            x, y, w, h = annotation["bbox"]
            boxes[row, index], classes[row, index] = (y, x, y + h, x + w), place[annotation["category_id"]]
            valid[row, index] = True
    arrays[f"{name}.n"], arrays[f"{name}.ids"] = len(pictures), [picture["id"] for picture in pictures]
    arrays |= {f"{name}.boxes": boxes, f"{name}.classes": classes, f"{name}.valid": valid}
    arrays[f"{name}.json"] = np.frombuffer(json.dumps(truth).encode(), np.uint8)
folder.mkdir(parents=True, exist_ok=True)
np.savez(folder / "data.npz", **arrays)
