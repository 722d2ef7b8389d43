"""Label Studio's JSON: a task of each picture, boxes in hundredths of it."""

import json
from collections.abc import Iterator

from fsaf_tf.data.writers.form import LEFT_OUT, Content, Form, Picture


def _files(content: Content) -> Iterator[tuple[str, str]]:
    """All in one file."""
    tasks = [_task(number, picture, content) for number, picture in enumerate(content.each(), start=1)]
    yield f"{content.stem}.json", json.dumps(tasks, indent=1, ensure_ascii=False) + "\n"


def _task(number: int, picture: Picture, content: Content) -> dict:
    """A picture and one annotator's boxes."""
    size = {"original_width": picture.width, "original_height": picture.height, "image_rotation": 0}
    results = []
    for place, (label, (y1, x1, y2, x2), _) in enumerate(picture.rows(content.classes)):
        value = {"x": 100 * x1 / picture.width, "y": 100 * y1 / picture.height}
        value |= {"width": 100 * (x2 - x1) / picture.width, "height": 100 * (y2 - y1) / picture.height}
        value |= {"rotation": 0, "rectanglelabels": [label]}
        names = {"id": f"{number}-{place}", "type": "rectanglelabels", "from_name": "label", "to_name": "image"}
        results.append({**names, **size, "value": value})
    return {"id": number, "data": {"image": picture.name}, "annotations": [{"id": number, "result": results}]}


FORM = Form(
    "Label Studio JSON",
    _files,
    ending=".json",
    shown="{stem}.json",
    crowd=LEFT_OUT,
    ignored=LEFT_OUT,
    has_sizes=False,
)
