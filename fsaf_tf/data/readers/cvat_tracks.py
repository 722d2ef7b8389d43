"""The tracks of CVAT's video: the shapes of a thing, frame by frame.

In what CVAT writes today they stand in every frame. Where frames between two rectangles are missing, they are
interpolated as CVAT does it.
"""

import re
from collections.abc import Iterator

from fsaf_tf.data.coco_values import whole
from fsaf_tf.data.mistakes import Mistake
from fsaf_tf.data.readers import content
from fsaf_tf.data.readers.xml_lines import Node

CORNERS = ("xtl", "ytl", "xbr", "ybr")


def step(root: Node) -> int:
    """Frames from one that was annotated to the next: `step=5` of the task's filter."""
    meta = root.find("meta")
    words = [owner.text_of("frame_filter") or "" for owner in ([] if meta is None else [meta, *meta.children])]
    steps = [int(match[1]) for text in words if (match := re.search(r"step=(\d+)", text))]
    return steps[0] if steps else 1


def in_frames(track: Node, step: int, file: str) -> Iterator[tuple[int, Node]]:
    """The shapes of a track that are seen, by frame, those between two that are further apart than a step as well.

    Raises:
        Mistake: a shape without a number of its frame, or one between whose frames nothing is known.
    """
    shapes = []
    for shape in track.children:
        frame = whole(shape.attributes.get("frame"))
        if frame is None:
            raise Mistake("a shape of a track without the number of its frame", f"{file}:{shape.line}")
        shapes.append((frame, shape))
    shapes.sort(key=lambda pair: pair[0])
    for place, (frame, shape) in enumerate(shapes):
        if shape.attributes.get("outside") == "1":
            continue
        yield frame, shape
        if place + 1 < len(shapes) and shapes[place + 1][0] - frame > step:
            yield from _between((frame, shape), shapes[place + 1], step, file)


def _between(first: tuple[int, Node], last: tuple[int, Node], step: int, file: str) -> Iterator[tuple[int, Node]]:
    """The rectangles between two of a track, on straight lines, turned by the shorter way."""
    (start, one), (end, other) = first, last
    if {one.tag, other.tag} != {"box"}:
        raise Mistake("a track without the frames between two shapes that are no boxes", f"{file}:{one.line}")
    of_both = [
        content.numbers(
            {
                **{name: node.attributes.get(name) for name in CORNERS},
                "rotation": node.attributes.get("rotation") or 0,
            },
            f"{file}:{node.line}",
        )
        for node in (one, other)
    ]
    for frame in range(start + step, end, step):
        share = (frame - start) / (end - start)
        corners = [a + share * (b - a) for a, b in zip(of_both[0][:4], of_both[1][:4])]
        turn = (of_both[1][4] - of_both[0][4] + 180) % 360 - 180
        about = dict(zip(CORNERS, map(repr, corners)), rotation=repr(of_both[0][4] + share * turn))
        node = Node("box", {**one.attributes, **about}, one.line)
        node.children = one.children
        yield frame, node
