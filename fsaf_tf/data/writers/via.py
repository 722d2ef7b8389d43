"""VGG Image Annotator 2: the annotations of a project, as its menu exports and imports them."""

import json
from collections.abc import Iterator

from fsaf_tf.data.writers.form import IGNORE, Content, Form

LABEL = "class"  # the attribute of a region that names it
_NO_SIZE = -1  # bytes of a picture that are not known, as VIA writes them of addresses


def _files(content: Content) -> Iterator[tuple[str, str]]:
    """All in one file, by name and size of the pictures."""
    entries = {}
    for picture in content.each():
        regions = [
            {
                "shape_attributes": {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1},
                "region_attributes": {LABEL: label} | ({IGNORE: "true"} if mark else {}),
            }
            for label, (y1, x1, y2, x2), mark in picture.rows(content.classes)
        ]
        entry = {"filename": picture.name, "size": _NO_SIZE, "regions": regions, "file_attributes": {}}
        entries[f"{picture.name}{_NO_SIZE}"] = entry
    yield f"{content.stem}.json", json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


FORM = Form(
    "VIA JSON",
    _files,
    ending=".json",
    shown="{stem}.json",
    crowd="get the attribute ignore",
    has_sizes=False,
)
