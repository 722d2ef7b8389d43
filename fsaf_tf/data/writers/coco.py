"""COCO JSON, with images and categories behind the annotations: a reader sees none of them before all are there."""

import json
from collections.abc import Iterator

from fsaf_tf.data.classes import Classes
from fsaf_tf.data.writers.form import Content, Form

DESCRIPTION = "fsaf-data"


def image(number: int, name: str, height: int, width: int) -> dict:
    """An entry of `images`."""
    return {"id": number, "file_name": name, "width": width, "height": height}


def tail(images: list[dict], classes: Classes) -> str:
    """What stands behind the annotations, the end of the list first."""
    rest = {"images": images, "categories": classes.categories()}
    return f"\n], {json.dumps(rest, indent=1, ensure_ascii=False)[1:]}\n"


def head(description: str) -> str:
    """What stands before them."""
    return json.dumps({"info": {"description": description}})[:-1] + ', "annotations": ['


def _files(content: Content) -> Iterator[tuple[str, str]]:
    """All in one file, a line an annotation."""
    table, images, lines = content.table, [], []
    for picture in content.each():
        images.append(image(picture.image_id, picture.name, picture.height, picture.width))
    ids = [content.classes.ids[index] for index in table.class_indices]
    image_ids = table.image_ids[table.image_index].tolist()
    columns = (image_ids, ids, table.boxes_xywh.tolist(), table.area.tolist(), table.crowd.tolist(), table.ignored)
    for place, (image_id, category_id, box, area, crowd, ignored) in enumerate(zip(*columns), start=1):
        row = {"id": place, "image_id": image_id, "category_id": category_id, "bbox": box, "area": area}
        lines.append(json.dumps(row | {"iscrowd": int(crowd)} | ({"ignore": 1} if ignored else {})))
    yield f"{content.stem}.json", head(DESCRIPTION) + "\n" + ",\n".join(lines) + tail(images, content.classes)


FORM = Form(
    "COCO JSON", _files, ending=".json", shown="{stem}.json", has_areas=True, has_ids=True, has_empty_classes=True
)
