"""A folder of annotations, a file for each picture: which form they have, and where their pictures are."""

import posixpath
import re
from collections.abc import Callable

from fsaf_tf.data import coco_file, other_formats
from fsaf_tf.data.findings import counted
from fsaf_tf.data.readers import files, labelme, voc, yolo, yolo_layout
from fsaf_tf.data.readers.content import Content
from fsaf_tf.data.readers.request import Request
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths

_SNIFFED = 20  # files of one kind, the first of which says what they are


def read(request: Request) -> Content:
    """Reads the files of a folder.

    Raises:
        UserError: nothing in it is known, or it has files of several forms, or something is wrong with them.
    """
    return _FORMS[_kind_of(request.file)][0](request)


def image_dir(folder: str, split: str) -> str:
    """Where the pictures of a folder's files are by where these lie; empty where nothing tells it.

    Raises:
        UserError: as `read`.
    """
    return _FORMS[_kind_of(folder)][1](folder, split)


def _kind_of(folder: str) -> str:
    """The form of the files in a folder."""
    kinds = {}
    if paths.exists(f"{folder}/data.yaml") and yolo_layout.has_splits(f"{folder}/data.yaml"):
        kinds["data.yaml"] = ["data.yaml"]
    elif names := _yolo_names(folder):
        kinds[yolo.NAME] = names
    if _is_voc(folder):
        kinds[voc.NAME] = voc.of_folder(folder).names
    if names := _labelme_names(folder):
        kinds[labelme.NAME] = names
    if len(kinds) == 1:
        return next(iter(kinds))
    if kinds:
        shown = " and ".join(f"{counted(len(names), 'file', 'files')} of {kind}" for kind, names in kinds.items())
        raise UserError(f"{folder}: {shown} lie there; give a folder with one of them")
    raise UserError(f"{folder}: no annotations of a known form are in this folder; {other_formats.READ_TODAY}")


def _is_voc(folder: str) -> bool:
    annotations = voc.of_folder(folder)
    for name in annotations.names[:_SNIFFED]:
        start = files.read_bytes(posixpath.join(annotations.folder, name))[:4096]
        if re.search(rb"<annotation\b", start):
            return True
        if re.search(rb"<annotations\b", start):
            raise UserError(f"{annotations.folder}: {name} is CVAT's XML of many pictures; give that file")
    return False


def _labelme_names(folder: str) -> list[str]:
    """The files of JSON in a folder, where one of the first is labelme's."""
    names = files.names_in(folder, (".json",))
    for name in names[:_SNIFFED]:
        try:
            given = coco_file.decode(name, files.read_bytes(posixpath.join(folder, name)))
        except UserError:
            continue
        if labelme.is_one(given):
            return names
    return []


def _yolo_names(folder: str) -> list[str]:
    """The texts in a folder, where the first that is not empty is YOLO's, or all are."""
    labels = yolo_layout.labels_in(folder)
    names = yolo_layout.text_names(labels)
    for name in names:
        lines = files.lines_of(posixpath.join(labels, name))
        if lines:
            return names if yolo.is_row(lines[0][1]) else []
    return names


def _of_voc(request: Request) -> Content:
    return voc.read(request, voc.of_folder(request.file))


def _of_labelme(request: Request) -> Content:
    return labelme.read(request, request.file, files.names_in(request.file, (".json",)))


def _of_yolo(request: Request) -> Content:
    layout = yolo_layout.of_folder(request.file, request.pictures.folder)
    if not layout.folder:
        raise UserError(f"{request.file}: no pictures lie beside YOLO's texts, which need their sizes; set image_dir")
    return yolo.read(request, layout)


def _of_yaml(request: Request) -> Content:
    path = posixpath.join(request.file, "data.yaml")
    return yolo.read(request, yolo_layout.of_yaml(path, request.split, request.pictures.folder))


# How a folder of each form is read, and where its pictures are.
_FORMS: dict[str, tuple[Callable[[Request], Content], Callable[[str, str], str]]] = {
    "Pascal VOC": (_of_voc, lambda folder, split: voc.image_dir(voc.of_folder(folder))),
    "labelme": (_of_labelme, lambda folder, split: labelme.image_dir(folder, _labelme_names(folder))),
    "YOLO": (_of_yolo, lambda folder, split: yolo_layout.of_folder(folder, "").folder),
    "data.yaml": (_of_yaml, lambda folder, split: yolo_layout.of_yaml(f"{folder}/data.yaml", split, "").folder),
}
