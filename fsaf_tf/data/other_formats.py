"""Annotation files of other tools, told by their looks, so that an error can name them."""

from typing import Any

READ_TODAY = "what is read is COCO JSON, TFDS and TFRecord files; export it as COCO JSON"

# By keys that all of them have. The first row that fits is named.
_OBJECTS = (
    (("shapes", "imagePath"), "labelme's JSON, one file a picture"),
    (("_via_img_metadata",), "a project of VIA"),
    (("modelTopology",), "a model of TensorFlow.js"),
    (("weightsManifest",), "a model of TensorFlow.js"),
    (("assets", "tags"), "VoTT's JSON"),
    (("size", "objects", "tags"), "Supervisely's JSON, one file a picture"),
    (("info", "items", "categories"), "Datumaro's JSON"),
    (("names", "category_ids"), "a labels.json of fsaf_tf, not annotations"),
)
_ROWS = (
    (("image", "annotations"), "CreateML's JSON"),
    (("image_id", "score"), "detection results, not annotations"),
    (("image_id", "bbox"), "the `annotations` of COCO JSON alone"),
    (("data", "annotations"), "Label Studio's JSON"),
    (("data", "completions"), "Label Studio's JSON"),
    (("Label", "External ID"), "Labelbox's JSON"),
    (("name", "labels"), "BDD100K's or Scale's JSON"),
    (("shapes", "imagePath"), "a list of labelme's files"),
)
_ANNOTATIONS = (
    (("segments_info",), "COCO's panoptic segmentation, which has no boxes of its own in `bbox`"),
    (("caption",), "COCO's captions, which have no boxes"),
)


def of_content(content: Any) -> str | None:
    """What JSON looks like that is no COCO JSON with boxes, in words; None where it is not known."""
    if isinstance(content, dict):
        return _of_object(content)
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return _fitting(content[0], _ROWS)
    return None


def of_text(text: bytes) -> str | None:
    """What text looks like that is no JSON, in words; None where it is not known."""
    start = text[:4096].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if start.startswith("<"):
        return "Pascal VOC's XML" if "<annotation" in start else "XML"
    if start.startswith(("%YAML", "names:", "train:")):
        return "YAML, such as the data.yaml of YOLO"
    lines = [line.split() for line in start.splitlines() if line.strip()]
    if lines and len(lines[0]) >= 5 and all(map(_is_number, lines[0])):
        return "YOLO's text, one file a picture"
    if lines and "," in start.splitlines()[0]:
        return "CSV"
    return None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _of_object(content: dict) -> str | None:
    if content.get("type") == "FeatureCollection":
        return "GeoJSON"
    annotations = content.get("annotations")
    if isinstance(annotations, list) and annotations and isinstance(annotations[0], dict):
        return None if "bbox" in annotations[0] else _fitting(annotations[0], _ANNOTATIONS)
    named = _fitting(content, _OBJECTS)
    first = next(iter(content.values()), None)
    if named is None and isinstance(first, dict) and {"filename", "regions"} <= set(first):
        return "VIA's JSON"
    return named


def _fitting(item: dict, rows: tuple) -> str | None:
    return next((name for keys, name in rows if set(keys) <= set(item)), None)
