"""Projects of VIA 3."""

from collections.abc import Mapping, Sequence
from typing import Any

from fsaf_tf.data.findings import short
from fsaf_tf.data.mistakes import Mistake
from fsaf_tf.data.readers.content import Entries
from fsaf_tf.data.readers.via_regions import Region

# What the numbers of a shape of version 3 are, by the first of them.
_SHAPES = {
    1: ("point", ("cx", "cy")),
    2: ("rect", ("x", "y", "width", "height")),
    3: ("circle", ("cx", "cy", "r")),
    4: ("ellipse", ("cx", "cy", "rx", "ry")),
    5: ("line", ()),
    6: ("polyline", ()),
    7: ("polygon", ()),
}
_IMAGE = 2  # a file's type in version 3


def pictures(entries: Entries, given: Mapping[str, Any], file: str) -> list[tuple[str, list[Region]]]:
    """Names and regions of the pictures: a view is a picture, and metadata with `xy` are its regions.

    Args:
        entries: gets mistakes, and what is left out.
        given: the project.
        file: its name, for messages.
    """
    files, known, views = (_dict(given.get(key)) for key in ("file", "attribute", "view"))
    regions: dict[str, list[Region]] = {}
    for key, item in _dict(given.get("metadata")).items():
        with entries.attempt():
            where = f"{file}, metadata {key}"
            if not isinstance(item, dict) or not isinstance(item.get("xy"), list):
                raise Mistake("metadata without `xy`", where)
            if str(item.get("vid")) not in views:
                raise Mistake("metadata of a view that is not there", f"{where}: {short(repr(item.get('vid')))}")
            if item.get("z") or not item["xy"]:
                entries.leave_out("other_shapes", f"{where}: of a time or of a whole picture")
                continue
            attributes = {
                _attribute(known, aid): _option(known, aid, word) for aid, word in _dict(item.get("av")).items()
            }
            regions.setdefault(str(item.get("vid")), []).append(Region(_shape(item["xy"], where), attributes, where))
    of_views = []
    for vid, view in views.items():
        with entries.attempt():
            fids = view.get("fid_list") if isinstance(view, dict) else None
            about = files.get(str(fids[0])) if isinstance(fids, list) and len(fids) == 1 else None
            if not isinstance(about, dict) or not isinstance(about.get("fname"), str):
                raise Mistake("a view that is not of one file", f"{file}, view {vid}")
            if about.get("type", _IMAGE) != _IMAGE:
                raise Mistake("a video or a sound, where pictures are read", f"{file}, {about['fname']}")
            of_views.append((about["fname"], regions.get(str(vid), [])))
    return of_views


def _attribute(known: Mapping[str, Any], aid: str) -> str:
    about = known.get(aid)
    return str(about.get("aname", aid)) if isinstance(about, dict) else aid


def _option(known: Mapping[str, Any], aid: str, word: Any) -> Any:
    """What an option's number stands for."""
    about = known.get(aid)
    options = about.get("options") if isinstance(about, dict) else None
    return options.get(str(word), word) if isinstance(options, dict) else word


def _shape(values: Sequence[Any], where: str) -> dict[str, Any]:
    """A shape of version 3 as one of version 2."""
    kind, *rest = values
    if not isinstance(kind, int) or kind not in _SHAPES:
        raise Mistake("a shape that is not known", f"{where}: {short(values)}")
    name, keys = _SHAPES[kind]
    if name == "polygon":
        return {"name": name, "all_points_x": rest[::2], "all_points_y": rest[1::2]}
    return {"name": name, **dict(zip(keys, rest))}


def _dict(value: Any) -> dict:
    """A value that should be an object; of something else nothing."""
    return value if isinstance(value, dict) else {}
