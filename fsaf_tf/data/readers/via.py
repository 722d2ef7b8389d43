"""VIA, the VGG Image Annotator: projects and annotations of versions 1 and 2, projects of version 3.

Points and lines have no
box. VIA keeps no sizes: those of the pictures are taken.
"""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from fsaf_tf.data.findings import counted, short
from fsaf_tf.data.mistakes import Mistake
from fsaf_tf.data.readers import via_regions, via_third
from fsaf_tf.data.readers.content import Content, Entries
from fsaf_tf.data.readers.request import Request
from fsaf_tf.data.readers.via_regions import Region

NAME = "VIA"
_OTHERS = ("point", "line", "polyline")


def is_one(given: Any) -> bool:
    """Whether JSON is VIA's."""
    if not isinstance(given, dict):
        return False
    first = next(iter(given.values()), None)
    return bool(
        "_via_img_metadata" in given
        or {"project", "file", "metadata", "view"} <= set(given)
        or isinstance(first, dict)
        and {"filename", "regions"} <= set(first)
    )


def read(request: Request, given: Mapping[str, Any]) -> Content:
    """Reads a file.

    Raises:
        UserError: what is wrong, with the picture and the number of the region.
    """
    entries, file = Entries(request.file), posixpath.basename(request.file)
    if "metadata" in given and "_via_img_metadata" not in given:
        words, pictures = f"{NAME} 3", via_third.pictures(entries, given, file)
    else:
        words, pictures = NAME, _of_second(entries, given.get("_via_img_metadata", given), file)
    key = via_regions.class_of(request.file, [region for _, regions in pictures for region in regions])
    for name, regions in pictures:
        with entries.attempt():
            where = f"{file}, {name}"
            image_id = entries.image(name, request.pictures.needed_size(name, where), where)
            for region in regions:
                with entries.attempt():
                    if region.shape.get("name") in _OTHERS:
                        entries.leave_out("other_shapes", f"{region.where}: {region.shape['name']}")
                    else:
                        flags = {"attributes": dict(region.attributes)}
                        entries.box(
                            image_id,
                            via_regions.name_of(region, key),
                            {**via_regions.box_of(region), **flags},
                            region.where,
                        )
    return entries.content(f"{words}, {counted(len(pictures), 'picture', 'pictures')}")


def _of_second(entries: Entries, files: Any, file: str) -> list[tuple[str, list[Region]]]:
    """Names and regions of the pictures of versions 1 and 2, whose regions are a list or a dict."""
    pictures = []
    for item in files.values() if isinstance(files, dict) else ():
        with entries.attempt():
            name = item.get("filename") if isinstance(item, dict) else None
            if not isinstance(name, str) or not name:
                raise Mistake("a picture without `filename`", f"{file}: {short(item)}")
            given = item.get("regions") or []
            given = list(given.values()) if isinstance(given, dict) else given
            pictures.append((name, list(_regions(given, f"{file}, {name}"))))
    return pictures


def _regions(given: Any, where: str) -> Iterator[Region]:
    if not isinstance(given, list):
        raise Mistake("`regions` is no list", where)
    for place, region in enumerate(given, 1):
        parts = (
            [region.get(key) for key in ("shape_attributes", "region_attributes")] if isinstance(region, dict) else []
        )
        if not parts or not all(isinstance(part, dict) for part in parts):
            raise Mistake("a region without `shape_attributes` and `region_attributes`", f"{where}, region {place}")
        yield Region(*parts, f"{where}, region {place}")
