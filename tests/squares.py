"""Pictures of a bright square each, and their COCO JSON, for the smallest trainings."""

import json
import pathlib

import numpy as np
import PIL.Image

FILE = "squares.json"


def write(folder: pathlib.Path, count: int, step: int = 8) -> None:
    """Writes so many pictures of 64 px, 1.png and on, each with a square `step` px further to the right, of classes odd
    and even in turns, and `FILE`."""
    images, annotations = [], []
    for number in range(1, count + 1):
        picture = np.full([64, 64, 3], 10 * number, np.uint8)
        picture[8:40, step * number : step * number + 24] = 220
        PIL.Image.fromarray(picture).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 64, "height": 64})
        box = {"bbox": [step * number, 8, 24, 32], "area": 24 * 32, "iscrowd": 0}
        annotations.append({"id": number, "image_id": number, "category_id": 1 + number % 2, **box})
    categories = [{"id": 1, "name": "odd"}, {"id": 2, "name": "even"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / FILE).write_text(json.dumps(content))
