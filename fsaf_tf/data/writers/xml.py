"""Elements of XML, and their text."""

import re
from xml.etree import ElementTree

from fsaf_tf.errors import UserError

# What XML 1.0 has no way to write.
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def add(parent: ElementTree.Element, tag: str, text: str = "", **attributes: str) -> ElementTree.Element:
    """Adds an element to another one.

    Raises:
        UserError: XML cannot hold the text.
    """
    for value in (text, *attributes.values()):
        if _IMPOSSIBLE.search(value):
            raise UserError(f"{value!a} has a character that XML cannot hold; rename it, or take another --form")
    element = ElementTree.SubElement(parent, tag, attributes)
    element.text = text or None
    return element


def text(root: ElementTree.Element) -> str:
    """An element as a document, indented."""
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
