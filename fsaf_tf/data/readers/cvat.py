"""CVAT's XML: of images, and of a video's tracks.

Rectangles, turned ones, polygons, ellipses and masks give boxes; points, lines, tags, skeletons and cuboids do not.
"""

import math
import posixpath
import re

from fsaf_tf.data.coco_values import number
from fsaf_tf.data.findings import counted, short
from fsaf_tf.data.mistakes import Mistake
from fsaf_tf.data.readers import content, cvat_tracks
from fsaf_tf.data.readers.content import Content, Entries
from fsaf_tf.data.readers.cvat_tracks import CORNERS
from fsaf_tf.data.readers.pictures import Pictures
from fsaf_tf.data.readers.request import Request
from fsaf_tf.data.readers.xml_lines import Node
from fsaf_tf.errors import UserError

NAME = "CVAT"
ROOT = "annotations"
_BOXES = ("box", "polygon", "ellipse", "mask")
_OTHERS = ("points", "polyline", "tag", "skeleton", "cuboid")


def read(request: Request, root: Node) -> Content:
    """Reads a file.

    Raises:
        UserError: what is wrong, with file and line.
    """
    file = posixpath.basename(request.file)
    entries = Entries(request.file, listed=_labels(root))
    images, tracks = list(root.all("image")), list(root.all("track"))
    if images and tracks:
        raise UserError(f"{request.file}: it has images and tracks of a video; export one of them")
    for image in images:
        with entries.attempt():
            _add_image(entries, image, file)
    if not tracks:
        return entries.content(f"{NAME}, {counted(len(images), 'image', 'images')}")
    _add_tracks(entries, request.pictures, root, file)
    return entries.content(f"{NAME}, {counted(len(tracks), 'track', 'tracks')} of a video")


def _labels(root: Node) -> list[str]:
    """The names of the labels, wherever the file lists them; parts of skeletons have a parent."""
    meta = root.find("meta")
    owners = [] if meta is None else [node for node in (meta, *meta.children) if node.find("labels")]
    labels = [label for owner in owners for label in owner.find("labels").all("label") if not label.text_of("parent")]
    return [name for label in labels if (name := label.text_of("name"))]


def _add_image(entries: Entries, image: Node, file: str) -> None:
    where, about = f"{file}:{image.line}", image.attributes
    if not about.get("name"):
        raise Mistake("an image without a name", where)
    image_id = entries.image(about["name"], content.size(about.get("height"), about.get("width"), where), where)
    for shape in image.children:
        with entries.attempt():
            _add_shape(entries, image_id, shape, shape.attributes.get("label"), f"{file}:{shape.line}")


def _add_shape(entries: Entries, image_id: int, shape: Node, label: str | None, where: str) -> None:
    if shape.tag in _OTHERS:
        entries.leave_out("other_shapes", f"{where}: {shape.tag}")
    elif shape.tag in _BOXES:
        entries.box(image_id, label, {**_box(shape, where), "attributes": _attributes(shape)}, where)
    else:
        raise Mistake("a shape that is not known", f"{where}: <{short(shape.tag)}>")


def _attributes(shape: Node) -> dict[str, str | float]:
    """The attributes of a shape, of which `ignore`, `difficult` and the rotation of a box are read."""
    given = {node.attributes.get("name", ""): node.text.strip() for node in shape.all("attribute")}
    given.pop("rotation", None)
    rotation = shape.attributes.get("rotation") if shape.tag == "box" else None
    return {
        **given,
        **({"rotation": number(rotation) if number(rotation) is not None else rotation} if rotation else {}),
    }


def _box(shape: Node, where: str) -> dict:
    """The box of a shape in COCO's form, and whether it is a crowd. Raises `Mistake`."""
    about = shape.attributes
    words = {node.attributes.get("name"): node.text.strip() for node in shape.all("attribute")}
    word = words.get("iscrowd", words.get("is_crowd"))
    crowd = {} if word is None else {"iscrowd": word}
    if shape.tag == "box":
        corners = content.numbers({name: about.get(name) for name in CORNERS}, where)
        return {"bbox": content.of_corners(*corners), **crowd}
    if shape.tag == "mask":
        names = ("left", "top", "width", "height")
        x, y, width, height = content.numbers({name: about.get(name) for name in names}, where)
        outline = [x, y, x + width, y, x + width, y + height, x, y + height]
    elif shape.tag == "ellipse":
        outline = _around_ellipse(about, where)
    else:
        outline = _polygon(about.get("points", ""), where)
    return {"segmentation": [outline], **crowd}


def _polygon(points: str, where: str) -> list[float]:
    values = [number(value) for value in re.split("[,;]", points)]
    if None in values or len(values) < 6 or len(values) % 2:
        raise Mistake("`points` is no list of three or more x,y;", f"{where}: {short(repr(points))}")
    return values


def _around_ellipse(about: dict[str, str], where: str) -> list[float]:
    """The corners of the box around an ellipse, which may be turned."""
    x, y, a, b = content.numbers({name: about.get(name) for name in ("cx", "cy", "rx", "ry")}, where)
    [degrees] = content.numbers({"rotation": about.get("rotation") or 0}, where)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    width, height = math.hypot(a * cos, b * sin), math.hypot(a * sin, b * cos)
    return [x - width, y - height, x + width, y - height, x + width, y + height, x - width, y + height]


def _add_tracks(entries: Entries, pictures: Pictures, root: Node, file: str) -> None:
    """Adds the frames of a video with the boxes of its tracks."""
    size, step = _size_of_video(root, file), cvat_tracks.step(root)
    shapes: dict[int, list[tuple[Node, str | None]]] = {}
    for track in root.all("track"):
        with entries.attempt():
            for frame, shape in cvat_tracks.in_frames(track, step, file):
                shapes.setdefault(frame, []).append((shape, track.attributes.get("label")))
    names = _frames_in(pictures)
    missing = sorted(frame for frame in shapes if names and frame not in names)
    for frame in missing:
        for shape, _ in shapes.pop(frame):
            entries.leave_out("no_frame", f"{file}:{shape.line}, frame {frame}")
    for frame in sorted({*shapes, *names}):
        image_id = entries.image(names.get(frame, f"frame_{frame:06d}.PNG"), size, f"frame {frame}")
        for shape, label in shapes.get(frame, []):
            with entries.attempt():
                _add_shape(entries, image_id, shape, label, f"{file}:{shape.line}")


def _size_of_video(root: Node, file: str) -> tuple[int, int] | None:
    meta = root.find("meta")
    owners = [] if meta is None else [meta, *meta.children]
    sizes = [node for owner in owners if (node := owner.find("original_size"))]
    return content.size(sizes[0].text_of("height"), sizes[0].text_of("width"), file) if sizes else None


def _frames_in(pictures: Pictures) -> dict[int, str]:
    """The pictures of a folder by the number at the end of their names."""
    numbered = {name: re.search(r"(\d+)\.\w+$", name) for name in pictures.names}
    return {int(match[1]): name for name, match in numbered.items() if match}
