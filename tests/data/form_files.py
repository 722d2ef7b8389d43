"""Small sets of each form, of the pictures and boxes of `annotation_files/scene.py`, to be changed by the tests."""

import pathlib

from annotation_files import scene

from fsaf_tf.data import coco
from fsaf_tf.data.examples import Source

BOXES = sorted(box for _, _, box in scene.BOXES)


def pictures(folder: pathlib.Path) -> pathlib.Path:
    """A folder with the three pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    scene.draw(folder)
    return folder


def opened(path, image_dir="", split: str = "train") -> Source:
    """A source, as a run opens it."""
    return coco.open_coco(str(path), str(image_dir), frame="auto", split=split)


def boxes_of(source: Source) -> list[tuple]:
    """Name of the picture, of the class, and x, y, width, height of each box, sorted."""
    table = source.boxes()
    rows = zip(table.image_index, table.class_indices, table.given_xywh.round(6).tolist())
    return sorted((table.file_names[image], source.classes.names[index], tuple(box)) for image, index, box in rows)


def kinds(source: Source) -> list[str]:
    """The kinds of the findings."""
    return [finding.kind for finding in source.findings]


EXPECTED = sorted((picture, name, tuple(map(float, box))) for picture, name, box in scene.BOXES)
