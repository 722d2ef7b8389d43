"""YOLO: a text for each picture, with a line a box in shares of it; a picture without a text is background.

The ids of the classes are YOLO's own numbers, from 0. A line with more than five numbers is a polygon, or a turned box
of four corners; after the box of a pose stand its points, which are not read.
"""

import posixpath

from fsaf_tf.data.coco_values import number, whole
from fsaf_tf.data.findings import counted, found, short
from fsaf_tf.data.mistakes import Mistake
from fsaf_tf.data.readers import files
from fsaf_tf.data.readers.content import Content, Entries
from fsaf_tf.data.readers.request import Request
from fsaf_tf.data.readers.yolo_layout import Layout
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths

NAME = "YOLO"
_OVER = 0.01  # so much a share may lie outside of 0 to 1 by rounding; Ultralytics allows the same


def is_row(line: str) -> bool:
    """Whether a line looks like a box: five words or more, nearly all of them numbers."""
    words = line.split()
    return len(words) >= 5 and sum(number(word) is not None for word in words) >= len(words) - 1


def read(request: Request, layout: Layout) -> Content:
    """Reads all texts of a layout.

    Raises:
        UserError: what is wrong, with file and line.
    """
    entries, without = Entries(request.file, numbered=layout.names), []
    for name, text in layout.texts.items():
        with entries.attempt():
            size = request.pictures.needed_size(name, name)
            image_id = entries.image(name, size, name)
            if not paths.exists(text):
                without.append(name)
                continue
            for line, words in files.lines_of(text):
                where = f"{_shown(text, request.file)}:{line}"
                with entries.attempt():
                    category, box = _box(words.split(), layout, size, where)
                    entries.box(image_id, category, box, where)
    if layout.texts and len(without) == len(layout.texts):
        path = next(iter(layout.texts.values()))
        raise UserError(f"{request.file}: none of the {len(without)} pictures has a text; the first would be {path}")
    words = "pictures have no text of their own; they are background, as YOLO has it"
    entries.add_findings(found("no_text", len(without), len(layout.texts), words, without, request.file))
    texts = counted(len(layout.texts) - len(without), "text", "texts")
    return entries.content(", ".join(filter(None, (NAME, layout.words, texts))))


def _box(words: list[str], layout: Layout, size: tuple[int, int], where: str) -> tuple[int | str, dict]:
    """The number of the class and the box of a line. Raises `Mistake`."""
    values = [number(word) for word in words]
    if None in values:
        raise Mistake("a word that is no number", f"{where}: {short(words[values.index(None)])}")
    category, shares = whole(words[0]), values[1:]
    if layout.points and len(shares) == 4 + layout.points:
        shares = shares[:4]
    if len(shares) == 5:
        raise Mistake("six numbers, of a detection with a score? A box is a class and four shares", where)
    if len(shares) < 4 or len(shares) % 2:
        raise Mistake("neither a class with four shares nor one with a polygon", f"{where}: {len(words)} words")
    over = [share for share in shares if not -_OVER <= share <= 1 + _OVER]
    if over:
        raise Mistake("a share of the picture that is not from 0 to 1", f"{where}: {over[0]:g}")
    sides = [size[1], size[0]] * (len(shares) // 2)
    pixels = [share * side for share, side in zip(shares, sides)]
    if len(pixels) > 4:
        return words[0] if category is None else category, {"segmentation": [pixels]}
    x, y, width, height = pixels
    return words[0] if category is None else category, {"bbox": [x - width / 2, y - height / 2, width, height]}


def _shown(text: str, file: str) -> str:
    """The path of a text, from the folder that was given where it is in there."""
    folder = paths.absolute(file if paths.is_folder(file) else posixpath.dirname(file) or ".")
    return paths.absolute(text).removeprefix(f"{folder}/")
