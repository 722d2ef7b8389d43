"""XML with the line of each element, which `xml.etree` does not keep."""

from collections.abc import Iterator
from xml.parsers import expat

from fsaf_tf.data.mistakes import Mistake


class Node:
    """An element: its tag, its attributes, its text before the first child, its children, its line."""

    __slots__ = ("attributes", "children", "line", "tag", "text")

    def __init__(self, tag: str, attributes: dict[str, str], line: int):
        self.tag, self.attributes, self.line = tag, attributes, line
        self.text, self.children = "", []

    def all(self, tag: str) -> Iterator["Node"]:
        """The children of a tag."""
        return (child for child in self.children if child.tag == tag)

    def by_tag(self) -> dict[str, "Node"]:
        """The first child of each tag."""
        return {child.tag: child for child in reversed(self.children)}

    def find(self, *path: str) -> "Node | None":
        """The first child of a tag, of that the first of the next, and so on."""
        node = self
        for tag in path:
            for child in node.children:
                if child.tag == tag:
                    node = child
                    break
            else:
                return None
        return node

    def text_of(self, *path: str) -> str | None:
        """Its text without blanks around it; None where there is no such element."""
        node = self.find(*path)
        return None if node is None else node.text.strip()


def parse(data: bytes, where: str) -> Node:
    """The root of a file of XML.

    Args:
        data: its bytes.
        where: its name, for messages.

    Raises:
        Mistake: it is no XML, is cut off, or defines entities, by which a small file can become a huge one.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    top = Node("", {}, 0)
    open_nodes = [top]

    def start(tag: str, attributes: dict[str, str]) -> None:
        node = Node(tag, attributes, parser.CurrentLineNumber)
        open_nodes[-1].children.append(node)
        open_nodes.append(node)

    def text(words: str) -> None:
        if not open_nodes[-1].children:
            open_nodes[-1].text += words

    def refuse(*_) -> None:
        raise Mistake("XML that defines entities", f"{where}:{parser.CurrentLineNumber}")

    parser.StartElementHandler, parser.CharacterDataHandler, parser.EntityDeclHandler = start, text, refuse
    parser.EndElementHandler = lambda tag: open_nodes.pop()
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        why = expat.ErrorString(error.code)
        raise Mistake("XML that is damaged or cut off", f"{where}:{error.lineno}: {why}") from None
    except ValueError as error:  # an encoding that is not known
        raise Mistake("XML in an encoding that is not known", f"{where}:1: {error}") from None
    return top.children[0]
