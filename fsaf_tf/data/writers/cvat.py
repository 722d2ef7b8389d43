"""CVAT's XML 1.1 for images, with the labels of its task."""

from collections.abc import Iterator
from xml.etree import ElementTree

from fsaf_tf.data.writers import xml
from fsaf_tf.data.writers.form import Content, Form, number

_SIDES = ("ytl", "xtl", "ybr", "xbr")


def _files(content: Content) -> Iterator[tuple[str, str]]:
    """All in one file."""
    root = ElementTree.Element("annotations")
    xml.add(root, "version", "1.1")
    labels = xml.add(xml.add(xml.add(root, "meta"), "task"), "labels")
    for name in content.classes.names:
        xml.add(xml.add(labels, "label"), "name", name)
    for picture in content.each():
        size = {"width": str(picture.width), "height": str(picture.height)}
        image = xml.add(root, "image", id=str(picture.image_id), name=picture.name, **size)
        for label, box, mark in picture.rows(content.classes):
            sides = {name: number(value) for name, value in zip(_SIDES, box)}
            item = xml.add(image, "box", label=label, source="manual", occluded="0", **sides, z_order="0")
            if mark:
                xml.add(item, "attribute", "true", name=mark)
    yield f"{content.stem}.xml", xml.text(root)


FORM = Form(
    "CVAT XML",
    _files,
    ending=".xml",
    shown="{stem}.xml",
    has_empty_classes=True,
)
