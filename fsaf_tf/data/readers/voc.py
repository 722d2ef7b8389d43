"""Pascal VOC: a file of XML for each picture, in a folder or named by a list of `ImageSets`.

A picture is that of the file's own name, as VOC's tools have it, else the one in `filename`. Coordinates are taken as
they stand, but for VOC's own data sets, which count pixels from 1: these say so in `source`.
"""

import posixpath
from typing import NamedTuple

from fsaf_tf.data.coco_values import number
from fsaf_tf.data.findings import counted, short
from fsaf_tf.data.mistakes import Mistake
from fsaf_tf.data.readers import content, files, xml_lines
from fsaf_tf.data.readers.content import Content, Entries
from fsaf_tf.data.readers.pictures import Pictures, first_folder
from fsaf_tf.data.readers.request import Request
from fsaf_tf.data.readers.xml_lines import Node
from fsaf_tf.files import paths

NAME = "Pascal VOC"
ANNOTATIONS = "Annotations"
_PICTURES = ("JPEGImages", "images", "Images", "imgs")
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_TURNED = ("cx", "cy", "w", "h", "angle")
_FLAGS = ("difficult", "ignore", "iscrowd")
_ITS_OWN = ("PASCAL VOC20", "The VOC20")


class Files(NamedTuple):
    """Attributes:
    folder: that the names start from.
    names: of the files of XML.
    stems: of each the path of its picture without an ending.
    are_all: of the folder; else a list names some of them.
    """

    folder: str
    names: list[str]
    stems: list[str]
    are_all: bool


def of_folder(folder: str) -> Files:
    """The files of a folder: VOC's own with `Annotations` in it, or that itself."""
    inner = posixpath.join(folder, ANNOTATIONS)
    folder = inner if paths.is_folder(inner) else folder
    names = files.names_in(folder, (".xml",))
    return Files(folder, names, [posixpath.splitext(name)[0] for name in names], True)


def of_list(file: str, lines: list[tuple[int, str]]) -> Files | None:
    """The files that a list of `ImageSets` names by what stands first on its lines; None where it is no such list.

    Raises:
        UserError: some are not there.
    """
    folder = _root_of_list(file)
    if not folder:
        return None
    entries, stems = Entries(file), []
    known = set(files.names_in(posixpath.join(folder, ANNOTATIONS), (".xml",)))
    for line, words in lines:
        with entries.attempt():
            stem = words.split()[0]
            if f"{stem}.xml" not in known:
                raise Mistake(f"no such file in {folder}/{ANNOTATIONS}", f"{_base(file)}:{line}: {short(stem)}.xml")
            stems.append(stem)
    entries.content(NAME)
    return Files(folder, [f"{ANNOTATIONS}/{stem}.xml" for stem in stems], stems, False)


def image_dir(annotations: Files) -> str:
    """Where the pictures of some files are: in `JPEGImages` beside them, or among them; empty if they are nowhere."""
    above = annotations.folder if not annotations.are_all else posixpath.dirname(paths.absolute(annotations.folder))
    return first_folder(
        *(posixpath.join(above, name) for name in _PICTURES), *[annotations.folder] * annotations.are_all
    )


def read(request: Request, annotations: Files) -> Content:
    """Reads some files.

    Raises:
        UserError: what is wrong, with file and line.
    """
    entries, one_based = Entries(request.file), []
    for name, stem in zip(annotations.names, annotations.stems):
        with entries.attempt():
            root = xml_lines.parse(files.read_bytes(posixpath.join(annotations.folder, name)), name)
            if root.tag != "annotation":
                raise Mistake("not Pascal VOC's XML", f"{name}:{root.line}: <{short(root.tag)}> and no <annotation>")
            one_based += _picture(entries, request.pictures, root, name, stem)
    if one_based and all(min(box["bbox"][:2]) >= 1 for box, _ in one_based):
        for box, where in one_based:
            x, y, width, height = box["bbox"]
            box["bbox"] = [x - 1, y - 1, width + 1, height + 1]
            entries.tally.add("starts_at_one", where)
    if annotations.are_all:
        entries.add_findings(request.pictures.unused(entries.names, request.file))
    return entries.content(f"{NAME}, {counted(len(annotations.names), 'file', 'files')}")


def _picture(entries: Entries, pictures: Pictures, root: Node, name: str, stem: str) -> list[tuple[dict, str]]:
    """Adds the picture of a file; gives the boxes that may count from 1, and where they are."""
    where = f"{name}:{root.line}"
    file_name = _file_name(entries, pictures, root, stem, name)
    size = content.size(root.text_of("size", "height"), root.text_of("size", "width"), where)
    image_id = entries.image(file_name, size, where)
    source = [root.text_of("source", key) or "" for key in ("annotation", "database")]
    is_its_own = any(words.startswith(_ITS_OWN) for words in source)
    boxes = []
    for thing in root.all("object"):
        with entries.attempt():
            place = f"{name}:{thing.line}"
            box = entries.box(image_id, thing.text_of("name"), _box(thing, name), place)
            boxes += [(box, place)] * (is_its_own and "bbox" in box)
    return boxes


def _file_name(entries: Entries, pictures: Pictures, root: Node, stem: str, name: str) -> str:
    """The picture of a file; counts where `filename` is another one."""
    given = (root.text_of("filename") or "").replace("\\", "/")
    own = pictures.of_stem(stem, name)
    if own is None:
        ending = posixpath.splitext(given)[1]
        return given if ending else f"{given or stem}.jpg"
    if given and posixpath.splitext(_base(given))[0] not in (_base(stem), posixpath.splitext(_base(stem))[0]):
        entries.tally.add("other_filename", f"{name}: {short(given)}, and {own} is taken")
    return own


def _box(thing: Node, name: str) -> dict:
    """The box of an object, and its flags. Raises `Mistake`."""
    parts = thing.by_tag()
    flags = {key: _flag(parts[key].text.strip()) for key in _FLAGS if key in parts}
    bounds, turned, polygon = (parts.get(tag) for tag in ("bndbox", "robndbox", "polygon"))
    if bounds:
        return {"bbox": content.of_corners(*_numbers(bounds, _SIDES, name)), **flags}
    if turned:  # of roLabelImg: the angle is in radians
        x, y, width, height, angle = _numbers(turned, _TURNED, name)
        degrees = angle * 180 / 3.141592653589793
        return {"bbox": [x - width / 2, y - height / 2, width, height], "attributes": {"rotation": degrees}, **flags}
    if polygon:
        return {"segmentation": [_points(polygon, name)], **flags}
    raise Mistake("an object without <bndbox>", f"{name}:{thing.line}")


def _numbers(bounds: Node, names: tuple[str, ...], name: str) -> list[float]:
    parts = bounds.by_tag()
    read = [number(parts[side].text) if side in parts else None for side in names]
    if None in read:
        side = names[read.index(None)]
        node = parts.get(side)
        content.numbers({f"<{side}>": node and node.text.strip()}, f"{name}:{(node or bounds).line}")
    return read


def _points(polygon: Node, name: str) -> list[float]:
    """x1, y1, x2, y2 ... of `<x1>`, `<y1>`, ..., or of `<pt>` with `<x>` and `<y>`."""
    points = list(polygon.all("pt"))
    nodes = [node for point in points for node in (point.find("x"), point.find("y"))]
    flat = nodes if points else [node for node in polygon.children if node.tag[:1] in ("x", "y")]
    if None in flat:
        raise Mistake("a point without <x> or <y>", f"{name}:{polygon.line}")
    for node in flat:
        content.numbers({f"<{node.tag}>": node.text.strip()}, f"{name}:{node.line}")
    return [number(node.text) for node in flat]


def _flag(words: str) -> str:
    """What stands there; `Unspecified` of older tools is no."""
    return "0" if words.lower() == "unspecified" else words


def _root_of_list(file: str) -> str:
    """The folder above a list in which there are `Annotations`; empty if there is none."""
    folder = paths.absolute(file)
    for _ in range(3):
        folder = posixpath.dirname(folder)
        if paths.is_folder(posixpath.join(folder, ANNOTATIONS)):
            return folder
    return ""


def _base(name: str) -> str:
    return posixpath.basename(name)
