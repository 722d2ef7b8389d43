"""Pascal VOC: an XML of each picture. Coordinates are as they are, from 0, as most tools write and read them today."""

from collections.abc import Iterator
from xml.etree import ElementTree

from fsaf_tf.data.writers import xml
from fsaf_tf.data.writers.form import DIFFICULT, Content, Form, check_distinct, number, path_of

FOLDER = "Annotations"
_SIDES = ("ymin", "xmin", "ymax", "xmax")


def _files(content: Content) -> Iterator[tuple[str, str]]:
    """A file of each picture, in the folders that the picture has."""
    paths = ((path_of(FOLDER, name, ".xml"), name) for name in content.table.file_names)
    for path, picture in zip(check_distinct(paths, "give one of them another name"), content.each()):
        root = ElementTree.Element("annotation")
        xml.add(root, "filename", picture.name)
        size = xml.add(root, "size")
        for name, value in (("width", picture.width), ("height", picture.height), ("depth", 3)):
            xml.add(size, name, str(value))
        for label, box, mark in picture.rows(content.classes):
            item = xml.add(root, "object")
            xml.add(item, "name", label)
            xml.add(item, "difficult", str(int(bool(mark))))
            sides = xml.add(item, "bndbox")
            for name, value in zip(_SIDES, box):
                xml.add(sides, name, number(value))
        yield path, xml.text(root)


FORM = Form("Pascal VOC", _files, shown=FOLDER, picture_folder="JPEGImages", crowd=DIFFICULT)
