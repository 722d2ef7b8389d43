"""COCO JSON with the habits of scripts, and in other encodings."""

import gzip
import io
import json
import zipfile

import plain
import scene

_MAKERS: plain.Makers = {}
UUIDS = [f"{number}f1c2b1e-9d0a-4f55-8a3e-0c7d1f2a9b1{number}" for number in (6, 0, 3)]


@plain.changing(_MAKERS, "scripts/voc2coco.json")
def _voc2coco(content):
    """Dates as ids, `ignore` for what VOC calls difficult, paths of another machine."""
    plain.put_names(content, "/home/me/VOC2007/JPEGImages/{}")
    for item in content["images"]:
        item["id"] += 20240507000000
    for item in content["annotations"]:
        item.update(image_id=item["image_id"] + 20240507000000, ignore=int(item["id"] == 2))


@plain.changing(_MAKERS, "scripts/yolo2coco.json", first_class=0)
def _yolo2coco(content):
    """Ids as text and as floats, sizes as floats, the number of a class as its name."""
    content["categories"][1]["name"] = 1
    for item in content["images"]:
        item.update(id=str(item["id"]), width=float(item["width"]), height=float(item["height"]))
    for item in content["annotations"]:
        item.update(image_id=str(item["image_id"]), category_id=float(item["category_id"]))


@plain.changing(_MAKERS, "scripts/windows_paths.json")
def _windows(content):
    plain.put_names(content, "C:\\Users\\me\\parts\\{}")


@plain.changing(_MAKERS, "scripts/relative_windows_paths.json")
def _relative_windows(content):
    plain.put_names(content, ".\\images\\{}")


@plain.changing(_MAKERS, "scripts/uuids.json")
def _uuids(content):
    """Ids of a database, the same in all three lists."""
    for key in ("images", "annotations", "categories"):
        for item in content[key]:
            item["id"] = f"{key}-{UUIDS[item['id'] - 1]}"
    for item in content["annotations"]:
        item["image_id"] = f"images-{UUIDS[item['image_id'] - 1]}"
        item["category_id"] = f"categories-{UUIDS[item['category_id'] - 1]}"


@plain.changing(_MAKERS, "scripts/names_as_ids.json")
def _names_as_ids(content):
    names = list(scene.PICTURES)
    for item in content["images"]:
        item["id"] = item["file_name"]
    for item in content["categories"]:
        item["id"] = item["name"]
    for item in content["annotations"]:
        item["image_id"] = names[item["image_id"] - 1]
        item["category_id"] = scene.CLASSES[item["category_id"] - 1]


@plain.changing(_MAKERS, "scripts/no_sizes.json")
def _no_sizes(content):
    """Of exporters that never opened the pictures: nothing, null, 0."""
    first, second, third = content["images"]
    del first["width"], first["height"]
    second.update(width=None, height=None)
    third.update(width=0, height=0)


@plain.changing(_MAKERS, "scripts/bbox_of_sides.json")
def _bbox_of_sides(content):
    plain.put_boxes(content, lambda box: dict(zip(("x", "y", "width", "height"), box)))


@plain.changing(_MAKERS, "scripts/bbox_of_corners.json")
def _bbox_of_corners(content):
    plain.put_boxes(content, lambda box: dict(zip(("xmin", "ymin", "xmax", "ymax"), scene.corners(box))))


@plain.changing(_MAKERS, "scripts/bbox_as_text.json")
def _bbox_as_text(content):
    plain.put_boxes(content, json.dumps)


@plain.changing(_MAKERS, "detectron2/corners.json")
def _corners(content):
    """BoxMode.XYXY_ABS as a number."""
    plain.put_boxes(content, scene.corners)
    for item in content["annotations"]:
        item["bbox_mode"] = 0


@plain.changing(_MAKERS, "detectron2/turned.json")
def _turned(content):
    """BoxMode.XYWHA_ABS as a number: centre, sides and an angle."""
    plain.put_boxes(content, lambda box: [box[0] + box[2] / 2, box[1] + box[3] / 2, *box[2:], 30.0])
    for item in content["annotations"]:
        item["bbox_mode"] = 4


@plain.changing(_MAKERS, "scripts/ids_start_anew.json")
def _ids_start_anew(content):
    """Annotations are numbered anew in each picture."""
    content["annotations"][2]["id"] = 1


@plain.changing(_MAKERS, "scripts/masks_alone.json")
def _masks_alone(content):
    """Runs and no bbox. Of the first picture of 90 rows: columns 10 to 39, rows 10 to 29."""
    del content["annotations"][0]["bbox"]
    counts = [10 * 90 + 10] + [20, 70] * 29 + [20, 60 + 80 * 90]
    content["annotations"][0]["segmentation"] = {"counts": counts, "size": [90, 120]}


@plain.changing(_MAKERS, "scripts/truths_as_words.json")
def _truths(content):
    for item, word in zip(content["annotations"], ("false", "no", "1")):
        item["iscrowd"] = word


@plain.changing(_MAKERS, "scripts/nan_areas.json")
def _nan_areas(content):
    for item, area in zip(content["annotations"], (float("nan"), None, float("inf"))):
        item["area"] = area


@plain.changing(_MAKERS, "scripts/drawn_backwards.json")
def _drawn_backwards(content):
    """A box from its lower right corner on, and one beyond the border."""
    content["annotations"][0]["bbox"] = [40, 30, -30, -20]
    content["annotations"][1]["bbox"] = [60.5, 30, 70, 45.5]


@plain.changing(_MAKERS, "encodings/utf8_with_mark.json")
def _mark(content):
    content["categories"][0]["name"] = "größer"
    return json.dumps(content, ensure_ascii=False).encode("utf-8-sig")


@plain.changing(_MAKERS, "encodings/utf16.json")
def _utf16(content):
    return b"\xff\xfe" + json.dumps(content).encode("utf-16-le")


@plain.changing(_MAKERS, "encodings/latin1.json")
def _latin1(content):
    content["categories"][0]["name"] = "größer"
    return json.dumps(content, ensure_ascii=False).encode("latin-1")


@plain.changing(_MAKERS, "encodings/gzip.json.gz")
def _gzip(content):
    return gzip.compress(json.dumps(content).encode(), mtime=0)


@plain.changing(_MAKERS, "encodings/zip.zip")
def _zip(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("annotations/instances_default.json"), json.dumps(content))
    return buffer.getvalue()


@plain.changing(_MAKERS, "encodings/printed_by_python.json")
def _printed(content):
    return str(content).encode()


@plain.changing(_MAKERS, "encodings/cut_off.json")
def _cut_off(content):
    return json.dumps(content).encode()[:500]


def files() -> dict[str, bytes]:
    """Contents by path."""
    return plain.files(_MAKERS)
