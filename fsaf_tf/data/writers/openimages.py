"""OpenImages' CSV: a row a box, in shares of its picture, which is named with its ending."""

from collections.abc import Iterator

from fsaf_tf.data.writers import table
from fsaf_tf.data.writers.form import Content, Form, number

COLUMNS = ("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax")
FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")


def _files(content: Content) -> Iterator[tuple[str, str]]:
    """All in one file."""
    rows = []
    for picture in content.each():
        height, width = picture.height, picture.width
        for label, (y1, x1, y2, x2), mark in picture.clipped().rows(content.classes):
            shares = map(number, (x1 / width, x2 / width, y1 / height, y2 / height))
            rows.append((picture.name, "fsaf-data", label, 1, *shares, 0, 0, int(bool(mark)), 0, 0))
    yield f"{content.stem}.csv", table.text([(*COLUMNS, *FLAGS), *rows])


FORM = Form(
    "OpenImages CSV",
    _files,
    ending=".csv",
    shown="{stem}.csv",
    ignored="are written as groups (IsGroupOf)",
    has_sizes=False,
    has_empty_pictures=False,
    is_clipped=True,
)
