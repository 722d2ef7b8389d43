"""Annotation files of other tools, told by their looks, so that an error can name them."""

import json
import re
from typing import Any

READ_TODAY = (
    "what is read is COCO JSON, Pascal VOC, YOLO, labelme, CVAT's XML, CSV, VIA, Label Studio, OpenImages, TFDS and"
    " TFRecord files"
)

# By keys that all of them have: of an object, of the first of a list, or of the first line. The first row that fits is
# named. What stands after a colon is what to do, where that is not to export it as COCO JSON.
_KEYS = (
    (("modelTopology",), "a model of TensorFlow.js: give annotations"),
    (("weightsManifest",), "a model of TensorFlow.js: give annotations"),
    (("assets", "tags"), "VoTT's JSON"),
    (("assets", "asset"), "VoTT's JSON"),
    (("size", "objects", "tags"), "Supervisely's JSON, one file a picture"),
    (("items", "categories"), "Datumaro's JSON"),
    (("names", "category_ids"), "a labels.json of fsaf_tf: give annotations"),
    (("metainfo", "data_list"), "MMDetection's JSON"),
    (("imgs", "anns"), "COCO-Text's JSON"),
    (("label_classes", "images"), "Hasty's JSON"),
    (("metadata", "instances"), "SuperAnnotate's JSON, one file a picture"),
    (("item", "annotations"), "V7 Darwin's JSON, one file a picture"),
    (("dataset", "image", "annotations"), "V7 Darwin's JSON, one file a picture"),
    (("info", "objects"), "ISAT's JSON, one file a picture"),
    (("file_name", "predictions"), "Lightly's JSON, one file a picture"),
    (("samples", "name"), "FiftyOne's JSON"),
    (("image", "annotations"), "CreateML's JSON"),
    (("file_name", "image_id", "annotations"), "detectron2's list of pictures"),
    (("image_id", "score"), "detection results: give the annotations of their pictures"),
    (("image_id", "bbox"), "the `annotations` of COCO JSON alone: put them beside its `images` and `categories`"),
    (("Label", "External ID"), "Labelbox's JSON"),
    (("data_row", "projects"), "Labelbox's JSON"),
    (("label_hash", "data_units"), "Encord's JSON"),
    (("task_id", "response"), "Scale's JSON"),
    (("name", "labels"), "BDD100K's or Scale's JSON"),
    (("tags", "regions"), "Azure Custom Vision's JSON"),
    (("image_url", "label"), "Azure's JSON Lines"),
    (("source-ref",), "a manifest of SageMaker Ground Truth"),
)
_ANNOTATIONS = (
    (("segments_info",), "COCO's panoptic segmentation, which has no boxes of its own in `bbox`"),
    (("caption",), "COCO's captions, which have no boxes"),
)
_COCO = {"images", "annotations", "categories"}
_TEXTS = (
    (r"PK\x03\x04", "a ZIP archive: unpack it and take the JSON inside"),
    (r"%YAML|(.*\n)*(train|val):", "YAML without `names`, which the data.yaml of YOLO has"),
    (r"filename,file_size,file_attributes", "VIA's CSV; VIA's JSON is read"),
    (r"[\[{]\s*(\{\s*)?'", "a dict as Python prints it: write it with json.dump"),
)


def refusal(looks: str) -> str:
    """What to say of a file that looks like something else, in words of `of_content` and `of_text`."""
    return f"it looks like {looks}; {READ_TODAY}{'' if ':' in looks else '; export it as COCO JSON'}"


def of_content(content: Any) -> str | None:
    """What JSON looks like that is no COCO JSON with boxes, in words; None where it is not known."""
    if isinstance(content, dict):
        return _of_object(content)
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return _fitting(content[0], _KEYS)
    return None


def of_text(text: bytes) -> str | None:
    """What text looks like that is no JSON, in words; None where it is not known."""
    start = text[:4096].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    named = next((words for pattern, words in _TEXTS if re.match(pattern, start)), None)
    if named or not start:
        return named
    if start[0] in "[{":
        return _of_lines(text)
    lines = [line.split() for line in start.splitlines()[:3]]
    if len(lines[0]) >= 5 and all(map(_is_number, lines[0])):
        return "YOLO's text, one file a picture: give the folder of these, with the names in classes.txt"
    if any(sum(map(_is_number, words)) >= 8 for words in lines):
        return "text of one line a box, such as KITTI's or DOTA's"
    if all(len(words) == 1 and "," not in words[0] for words in lines):
        return "a list of names: Pascal VOC's lies in ImageSets, beside Annotations, and YOLO's names pictures"
    return "CSV whose columns are not known" if "," in start.splitlines()[0] else None


def _of_lines(text: bytes) -> str | None:
    """What JSON Lines look like; None where the first line is no JSON by itself."""
    try:
        first = json.loads(text.split(b"\n", 1)[0])
    except (ValueError, RecursionError):
        return None
    return (_fitting(first, _KEYS) if isinstance(first, dict) else None) or "JSON Lines, an object a line"


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _of_object(content: dict) -> str | None:
    annotations = content.get("annotations")
    if isinstance(annotations, list) and annotations and isinstance(annotations[0], dict):
        named = None if "bbox" in annotations[0] else _fitting(annotations[0], _ANNOTATIONS)
        if named or _COCO <= set(content):
            return named
    if content.get("type") == "FeatureCollection":
        return "GeoJSON"
    return _fitting(content, _KEYS)


def _fitting(item: dict, rows: tuple) -> str | None:
    return next((name for keys, name in rows if set(keys) <= set(item)), None)
