"""Where YOLO's pictures and texts are: by the splits of a data.yaml, by a list of pictures, or in a folder of texts."""

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fsaf_tf.data.coco_values import whole
from fsaf_tf.data.findings import short
from fsaf_tf.data.mistakes import Findings, Mistake
from fsaf_tf.data.readers import files, yolo_names
from fsaf_tf.data.readers.pictures import ENDINGS, Pictures, first_folder
from fsaf_tf.errors import UserError
from fsaf_tf.files import paths

SPLITS = ("train", "val", "test")
_WORDS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_NO_TEXTS = ("readme", "notes", "license")


class Layout(NamedTuple):
    """Attributes:
    folder: of the pictures; empty where nothing says it.
    texts: where the text of each picture is, by its name; it need not be there.
    names: of the classes, by number.
    words: which part of which file, for the terminal; may be empty.
    points: numbers on each line after the box, of poses.
    """

    folder: str
    texts: dict[str, str]
    names: dict[int, str]
    words: str = ""
    points: int = 0


def has_splits(path: str) -> bool:
    """Whether a YAML says where the pictures of a part of the data are."""
    values = yolo_names.read_yaml(path)
    return any(_places(values, key) for key in SPLITS)


def of_yaml(path: str, split: str, image_dir: str) -> Layout:
    """The layout of a split of a data.yaml.

    Args:
        path: the file.
        split: one of `SPLITS`; may be empty where the file has one alone.
        image_dir: a folder of pictures in the place of the file's; may be empty.

    Raises:
        UserError: there is no such split, or it is not where the file says.
    """
    values = yolo_names.read_yaml(path)
    names = yolo_names.of_yaml(path, values)
    given = {key: places for key in SPLITS if (places := _places(values, key))}
    split = split or (next(iter(given)) if len(given) == 1 else "")
    if split not in given:
        shown = ", ".join(f"{path}:{key}" for key in given) or "none; set `train` and `val` to folders of pictures"
        raise UserError(f"{path}: {f'no `{split}` is in it' if split else 'which part of it?'} There are: {shown}")
    tried = [_tried(path, values, place) for place in given[split]]
    there = [next(filter(paths.exists, ways), None) for ways in tried]
    own = _of_places(path, there, names) if None not in there else None
    if image_dir and (own is None or paths.absolute(image_dir) != own.folder):
        layout = _in_another(path, image_dir, names, tried[0])
    elif own is None:
        ways = tried[there.index(None)]
        shown = " and no ".join(dict.fromkeys((ways[0], ways[-1])))
        raise UserError(f"{path}: `{split}` is {short(given[split])}, and there is no {shown}")
    else:
        layout = own
    words = f"`{split}` of {posixpath.basename(path)}"
    return layout._replace(words=words, points=_points(values.get("kpt_shape")))


def of_list(path: str, image_dir: str) -> Layout:
    """The layout of a list of pictures, a path a line.

    Raises:
        UserError: some are not there, or nothing names the classes.
    """
    layout = _of_places(path, [path], yolo_names.near(_above(path)))
    if not image_dir:
        return layout
    texts = {
        posixpath.relpath(posixpath.join(layout.folder, name), image_dir): text for name, text in layout[1].items()
    }
    return layout._replace(folder=image_dir, texts=texts)


def of_folder(folder: str, image_dir: str) -> Layout:
    """The layout of a folder of texts, or of one with a folder `labels` in it: of all pictures beside them.

    Raises:
        UserError: a text without a picture, or nothing names the classes.
    """
    labels = labels_in(folder)
    place = paths.absolute(labels)
    pictures = image_dir or first_folder(_swap(f"{place}/", "labels", "images").rstrip("/"), place)
    pictures = pictures or first_folder(posixpath.join(_above(place), "images"))
    names = yolo_names.near(labels)
    if not pictures:
        return Layout("", {}, names)
    known, texts = Pictures(pictures), text_names(labels)
    mistakes, text_of = Findings(folder, "texts", len(texts)), {}
    for name in texts:
        try:
            picture = known.of_stem(posixpath.splitext(name)[0], name)
        except Mistake as mistake:
            mistakes.add(mistake.kind, mistake.case)
            continue
        if picture is None:
            mistakes.add(f"text without a picture in {pictures}", name)
        elif text_of.setdefault(picture, posixpath.join(labels, name)) != posixpath.join(labels, name):
            mistakes.add("two texts of one picture", f"{name}, {picture}")
    mistakes.raise_any()
    return Layout(pictures, {**dict.fromkeys(known.names, ""), **text_of}, names)


def labels_in(folder: str) -> str:
    """The folder of the texts: `labels` in a folder, or that itself."""
    inner = posixpath.join(folder, "labels")
    return inner if paths.is_folder(inner) else folder


def text_names(folder: str) -> list[str]:
    """The texts of boxes in a folder, by their names alone."""
    names = files.names_in(folder, (".txt",))
    bases = [posixpath.basename(name).lower() for name in names]
    return [name for name, base in zip(names, bases) if base not in yolo_names.TEXTS and not base.startswith(_NO_TEXTS)]


def _places(values: Mapping[str, Any], split: str) -> list[str]:
    """The folders and lists that a YAML names for a split."""
    given = next((values[word] for word in _WORDS[split] if values.get(word)), None)
    return [str(place) for place in (given if isinstance(given, list) else [given] if given else [])]


def _tried(path: str, values: Mapping[str, Any], place: str) -> list[str]:
    """Where a folder or a list of a YAML may be: beside the YAML, too, for data that were moved.

    Roboflow writes `../train/images` for what is beside it.
    """
    root, base = _above(path), str(values.get("path") or "")
    starts = [posixpath.join(root, base), base, root]
    return [
        paths.absolute(posixpath.join(start, end)) for start in starts for end in (place, place.removeprefix("../"))
    ]


def _in_another(path: str, image_dir: str, names: dict[int, str], tried: list[str]) -> Layout:
    """The layout of pictures in another folder than the YAML's, whose texts may have stayed where that has them."""
    layout = _of_places(path, [image_dir], names)
    if any(map(paths.exists, layout.texts.values())):
        return layout
    folders = [_swap(f"{way}/", "images", "labels") for way in tried]
    labels = next(filter(paths.is_folder, folders), None)
    texts = {name: f"{labels}{posixpath.splitext(name)[0]}.txt" for name in layout.texts}
    return layout._replace(texts=texts) if labels else layout


def _of_places(path: str, places: Sequence[str], names: dict[int, str]) -> Layout:
    """The layout of folders and lists of pictures, each text where Ultralytics looks for it."""
    pictures: list[str] = []
    for place in map(paths.absolute, places):
        if paths.is_folder(place):
            pictures += [posixpath.join(place, name) for name in files.names_in(place, ENDINGS)]
        else:
            pictures += _listed(place)
    if not pictures:
        raise UserError(f"{path}: there is no picture in {', '.join(places)}")
    folders = {posixpath.dirname(picture) for picture in pictures}
    root = paths.absolute(places[0]) if len(places) == 1 and paths.is_folder(places[0]) else files.common(folders)
    return Layout(root, {picture[len(root) + 1 :]: _text_of(picture) for picture in pictures}, names)


def _listed(path: str) -> list[str]:
    """The pictures of a list, whose paths start from its folder or from where the tool runs."""
    lines = files.lines_of(path)
    mistakes, pictures = Findings(path, "pictures", len(lines)), []
    for line, name in lines:
        ways = (paths.absolute(posixpath.join(_above(path), name)), paths.absolute(name))
        there = next((way for way in ways if paths.exists(way)), None)
        if there is None:
            mistakes.add("no such picture", f"{posixpath.basename(path)}:{line}: {short(name)}")
        else:
            pictures.append(there)
    mistakes.raise_any()
    return pictures


def _text_of(picture: str) -> str:
    return posixpath.splitext(_swap(picture, "images", "labels"))[0] + ".txt"


def _swap(path: str, this: str, that: str) -> str:
    """A path with another name in the place of the last folder of a name."""
    start, folder, end = path.rpartition(f"/{this}/")
    return f"{start}/{that}/{end}" if folder else path


def _points(shape: Any) -> int:
    """How many numbers the points of a pose are."""
    sides = [whole(side) for side in shape] if isinstance(shape, list) else []
    return sides[0] * sides[1] if len(sides) == 2 and None not in sides else 0


def _above(path: str) -> str:
    return posixpath.dirname(paths.absolute(path))
