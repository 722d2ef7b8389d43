"""What data are, by their content: kept with every result, and compared wherever results meet data.

A path says nothing of that. A file that is exported again may have other ids, and detections are known by ids.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping

import tensorflow as tf

PICTURES, BOXES = "pictures", "boxes"
SIZE = 16  # bytes of a digest
_AT_ONCE = 2**22  # bytes of a file


def of(ground_truth: Mapping) -> dict[str, str]:
    """The digests of COCO's ground truth, whatever the order of its lists.

    Returns:
        `pictures`: of ids, file names and sizes, by which detections are known; `boxes`: of these and of all that
        figures come from: boxes, their classes, areas, crowds.
    """
    names = {row["id"]: row["name"] for row in ground_truth["categories"]}
    pictures = [[row["id"], row["file_name"], row["height"], row["width"]] for row in ground_truth["images"]]
    boxes = [
        [row["image_id"], row["category_id"], names[row["category_id"]], *map(float, (*row["bbox"], row["area"]))]
        + [int(row["iscrowd"])]
        for row in ground_truth["annotations"]
    ]
    return {PICTURES: of_rows(pictures), BOXES: of_rows([*pictures, *boxes])}


def of_file(path: str) -> str:
    """The digest of a file, whatever its size. Raises what TensorFlow raises of one that cannot be read."""
    content = hashlib.blake2b(digest_size=SIZE)
    with tf.io.gfile.GFile(path, "rb") as file:
        while piece := file.read(_AT_ONCE):
            content.update(piece)
    return content.hexdigest()


def of_rows(rows: Iterable[list]) -> str:
    """The digest of rows of texts and numbers, whatever their order."""
    lines = sorted(json.dumps(row) for row in rows)
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=SIZE).hexdigest()
