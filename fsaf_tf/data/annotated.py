"""Annotations together with their pictures: read, the pictures found in their folder, some of them taken, checked."""

import dataclasses

import numpy as np

from fsaf_tf.data import coco_json, picture_files
from fsaf_tf.data.bad_pictures import BadPictures
from fsaf_tf.data.coco_json import Annotations
from fsaf_tf.data.findings import Finding
from fsaf_tf.data.readers import door
from fsaf_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Annotated:
    """Attributes:
    table: the annotations, of pictures that can be read.
    image_dir: the folder that their names start from.
    findings: what was taken, joined and left out of the annotations.
    bad: the pictures that were left out.
    of_files: what there is to be known of the picture files.
    notes: lines on how the data were put together.
    held_out: names of the pictures that are evaluated on and not trained on, where these were dealt out.
    origin: `[I]` int, of which of several files each picture is; empty of one.
    mixture: weights of these files, for drawing from them; empty where all pictures are drawn as often.
    """

    table: Annotations
    image_dir: str
    findings: tuple[Finding, ...]
    bad: BadPictures
    of_files: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    origin: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, int))
    mixture: tuple[float, ...] = ()

    def of_images(self, kept: np.ndarray) -> "Annotated":
        """The same of some of the images, `[I]` bool."""
        origin = self.origin[kept] if len(self.origin) else self.origin
        return dataclasses.replace(self, table=self.table.of_images(kept), origin=origin)


def read(annotation_file: str, image_dir: str, *, frame: str, outside: bool = False, split: str = "") -> Annotated:
    """Reads an annotation file, and finds its pictures; none of them is looked at but for sizes that it lacks.

    Args:
        annotation_file: a file or a folder, of any form that `readers.door` reads.
        image_dir: the folder that its file names start from; empty for the one that lies beside it, of some forms.
        frame: which way up boxes take the pictures, `exif_orientation` of the data.
        outside: names may lead out of the folder, `images_outside` of the data.
        split: the part of the data, `train` or `val`, where one file has several.

    Raises:
        UserError: see `coco_json` and `picture_files.find`.
    """
    derived = image_dir or door.image_dir_of(annotation_file, split)
    if not derived:
        raise UserError(f"{annotation_file}: nothing beside it tells where its pictures are; set image_dir (--images)")
    folder = picture_files.Folder(derived, frame, outside)
    table = coco_json.read(annotation_file, folder.size_of, image_dir=derived, split=split)
    names, moved = picture_files.find(annotation_file, folder, table.file_names)
    form = table.form if image_dir or not table.form else f"{table.form}; pictures in {derived}"
    table = dataclasses.replace(table, file_names=names, form=form)
    return Annotated(table, derived, (*table.findings, *moved), BadPictures(0.0, len(names)))


def check(annotated: Annotated, *, frame: str, outside: bool = False, max_bad: float = 0.0) -> Annotated:
    """Checks the picture files.

    Args:
        annotated: what was read.
        frame: as for `read`.
        outside: likewise.
        max_bad: the share of pictures that may be left out because they are missing or cannot be read.

    Raises:
        UserError: see `picture_files.check`.
    """
    table, folder = annotated.table, picture_files.Folder(annotated.image_dir, frame, outside)
    bad = BadPictures(max_bad, len(table.file_names))
    of_files = picture_files.check(table.file, folder, table.file_names, table.sizes, bad)
    if bad.problems:
        annotated = annotated.of_images(np.array([name not in bad.problems for name in table.file_names]))
    return dataclasses.replace(annotated, of_files=of_files, bad=bad)
