"""The one door for annotations: what they are is found by what is in them, and the reader of that form is called.

A path may end in `:train`, `:val` or `:test`, the part that is meant of a file that has several, as YOLO's data.yaml.
"""

import posixpath
import re
from collections.abc import Callable, Sequence
from typing import Any

from fsaf_tf.data import coco_file, other_formats
from fsaf_tf.data.coco_values import number
from fsaf_tf.data.findings import Tally
from fsaf_tf.data.mistakes import Mistake
from fsaf_tf.data.readers import (
    csv_table,
    cvat,
    files,
    folders,
    label_studio,
    labelme,
    via,
    voc,
    xml_lines,
    yolo,
    yolo_layout,
)
from fsaf_tf.data.readers.content import LISTS, Content
from fsaf_tf.data.readers.pictures import ENDINGS
from fsaf_tf.data.readers.request import Request
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths

_SPLIT = re.compile(r"(.+):(train|val|test)")


def read(request: Request, wanted: Sequence[str] = LISTS) -> Content:
    """Reads annotations of any form.

    Args:
        request: which, and the pictures that they are of.
        wanted: of COCO JSON these lists alone are looked at.

    Raises:
        UserError: they are missing, of a form that is not read, or something in them is wrong.
    """
    file, split = _parts(request.file)
    request = request._replace(file=file, split=split or request.split)
    try:
        return _read(request, wanted)
    except Mistake as mistake:  # of the whole
        raise UserError(f"{file}: {mistake.kind}: {mistake.case}") from None


def _read(request: Request, wanted: Sequence[str]) -> Content:
    file = request.file
    if paths.is_folder(file):
        return folders.read(request)
    data = files.read(file)
    start = _start_of(data)
    if start.startswith(b"<"):
        return _of_xml(request, data)
    if not start.startswith((b"{", b"[")):
        content = _of_text(request, files.text_of(file, data)) if not start.startswith(b"PK") else None
        if content:
            return content
    given = coco_file.decode(file, data)
    reader = reader_of(given)
    if reader:
        return reader(request, given)
    return Content("", {key: coco_file.entries(file, given, key) for key in wanted}, Tally(file))


def reader_of(given: Any) -> Callable[[Request, Any], Content] | None:
    """What reads JSON that is no COCO JSON; None where nothing does."""
    return next((reader for is_one, reader in _OF_JSON.items() if is_one(given)), None)


def image_dir_of(file: str, split: str) -> str:
    """The folder of the pictures that annotations are of, by where these lie.

    Args:
        file: as `Request` has it.
        split: likewise.

    Returns:
        The folder; empty where nothing tells it, as beside COCO JSON.

    Raises:
        UserError: something is wrong with them.
    """
    file, split = _parts(file)[0], _parts(file)[1] or split
    if paths.is_folder(file):
        return folders.image_dir(file, split)
    if posixpath.splitext(file)[1].lower() in (".json", ".xml", ".csv", ".gz"):
        return ""
    data = files.read(file)
    if _start_of(data).startswith((b"{", b"[", b"<", b"PK")):
        return ""
    text = files.text_of(file, data)
    if _is_yaml(text):
        return yolo_layout.of_yaml(file, split, "").folder
    lines = _list_of(text)
    if lines and lines[0][1].lower().endswith(ENDINGS):
        return yolo_layout.of_list(file, "").folder
    of_voc = voc.of_list(file, lines) if lines else None
    return voc.image_dir(of_voc) if of_voc else ""


def _start_of(data: bytes) -> bytes:
    """The first bytes without marks of an encoding and blanks, of UTF-16 every other one."""
    return data[:4096].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")


def _parts(path: str) -> tuple[str, str]:
    """A path and the part that is meant, which may stand behind it."""
    match = _SPLIT.fullmatch(path)
    return (match[1], match[2]) if match and not paths.exists(path) else (path, "")


def _of_xml(request: Request, data: bytes) -> Content:
    name = posixpath.basename(request.file)
    root = xml_lines.parse(data, name)
    if root.tag == cvat.ROOT:
        return cvat.read(request, root)
    if root.tag == "annotation":
        stem = posixpath.splitext(name)[0]
        return voc.read(request, voc.Files(posixpath.dirname(request.file) or ".", [name], [stem], False))
    raise UserError(
        f"{request.file}: XML of <{root.tag}>, which is neither Pascal VOC's nor CVAT's; {other_formats.READ_TODAY}"
    )


def _of_text(request: Request, text: str) -> Content | None:
    """A YAML, a list of pictures or a table; None where it is none."""
    file, folder = request.file, request.pictures.folder
    if _is_yaml(text):
        return yolo.read(request, yolo_layout.of_yaml(file, request.split, folder))
    lines = _list_of(text)
    if lines:
        if lines[0][1].lower().endswith(ENDINGS):
            return yolo.read(request, yolo_layout.of_list(file, folder))
        of_voc = voc.of_list(file, lines)
        return voc.read(request, of_voc) if of_voc else None
    table = csv_table.of_text(file, text)
    return csv_table.read(request, table) if table else None


def _is_yaml(text: str) -> bool:
    """Whether a text is YOLO's data.yaml."""
    return bool(re.search(r"^names\s*:", text, re.M))


def _list_of(text: str) -> list[tuple[int, str]]:
    """The lines of a list: of names alone, or of VOC's with 1, 0 or -1 behind each; none where it is no list."""
    lines = [(place, line.strip()) for place, line in enumerate(text.splitlines(), 1) if line.strip()]
    is_list = all(_is_entry(line) for _, line in lines)
    return lines if is_list else []


def _is_entry(line: str) -> bool:
    words = line.split()
    is_one = line.lower().endswith(ENDINGS) or len(words) == 1 or len(words) == 2 and number(words[1]) in (1, 0, -1)
    return is_one and not re.search("[,;\t]", line)


def _of_one_labelme(request: Request, given: Any) -> Content:
    del given
    return labelme.read(request, posixpath.dirname(request.file) or ".", [posixpath.basename(request.file)])


_OF_JSON: dict[Callable[[Any], bool], Callable[[Request, Any], Content]] = {
    labelme.is_one: _of_one_labelme,
    via.is_one: via.read,
    label_studio.is_one: label_studio.read,
}
