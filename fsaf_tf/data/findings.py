"""What is found in data, ends no run, and must not pass without a word: counted, with a total."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

SHOWN = 8  # of anything that a line lists
LONGEST = 120  # characters of one thing that a line shows

# The words after "3 of 40 " for what a reader takes, joins or leaves out. docs/data.md has all kinds with their rules.
READ = {
    "repeated_category": "categories repeat another one; joined",
    "joined_category": "categories have the name of another one; their boxes get its id",
    "unused_category": "categories have no box, and the name of another one or nothing but subcategories; dropped",
    "text_ids": "ids of pictures and classes are no numbers; pictures are numbered as in the file, classes by name",
    "number_names": "categories have a number as their name; read as text",
    "text_numbers": "entries have numbers as text, or ids as 7.0; read as numbers",
    "file_names": "file names are addresses or have backslashes; read as paths",
    "no_size": "image entries have no height or width; those of their pictures are taken",
    "duplicate_pictures": "image entries name the file of an earlier one; joined, with the boxes of both",
    "repeated": "annotations repeat another one word for word; left out",
    "repeated_ids": "annotations have the id of another one; kept, nothing uses it",
    "duplicate_boxes": "boxes stand there again under another id; trained on once, evaluation keeps all of the file",
    "outside": "boxes are wholly outside of their picture; left out",
    "negative_side": "boxes have a negative side; left out",
    "other_filename": "files name another picture than the one with their own name, which is taken",
    "annotators": "pictures have annotations of several people; the boxes of all are taken",
    "starts_at_one": "boxes are of VOC's own data, which count pixels from 1; read as from 0",
    "other_shapes": "shapes are points, lines, tags, skeletons or brushes, which have no box; left out",
    "no_frame": "boxes are in frames of which there is no picture; left out",
    "other_set": "rows are of another set; not read",
    "grouped": "shapes are of a group with another one of their label; one box around both is taken",
    "depiction": "boxes are of depictions, such as drawings; taken as others",
    "inside": "boxes are of things seen from inside; taken as others",
    "scores": "boxes have a score, as detections do; taken as boxes of annotations",
    "ignored": "boxes are marked as ignore or difficult; not trained on, ignored in evaluation",
    "rotated": "boxes are turned (attributes.rotation); the upright box around each is taken",
    "area": "areas cannot be those of their boxes; width times height is taken",
    "from_polygon": "annotations have no bbox; the box around their polygons or mask is taken",
    "other_bbox": "boxes are no list of x, y, width, height: named sides, text, or corners by bbox_mode; read as such",
    "crowd": "boxes are marked as a crowd; not trained on, ignored in evaluation",
    "clipped": "boxes reach over the border by more than half a pixel; clipped for training",
    "no_area": "boxes are without area; not trained on",
    "empty_pictures": "pictures are without boxes; they are background",
}
_OF_ONE = {"are": "is", "have": "has", "reach": "reaches", "repeat": "repeats", "name": "names", "stand": "stands"}
_OF_ONE |= {"get": "gets", "lose": "loses"}
_VERB = re.compile(rf"\b({'|'.join(_OF_ONE)})\b")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One kind of thing that was found.

    Attributes:
        kind: a word for it, the same for every data set.
        count: how many there are.
        of: of how many.
        message: a sentence with both numbers, and what is done about it.
        examples: the first ones, at most `SHOWN`.
        where: the name of the data, or of both sets with " and " between them.
    """

    kind: str
    count: int
    of: int
    message: str
    examples: tuple[str, ...]
    where: str

    @property
    def line(self) -> str:
        """The message, with the first example where it does not name that."""
        unnamed = self.examples and self.examples[0] not in self.message
        return f"{self.message} (first: {self.examples[0]})" if unnamed else self.message


def found(kind: str, count: int, of: int, words: str, examples: Iterable[str], where: str) -> list[Finding]:
    """The finding "3 of 40 <words>" as a list, which is empty where nothing was counted.

    The first verb of the words follows the count: "1 of 40 pictures has".
    """
    if not count:
        return []
    shown = tuple(short(example) for example, _ in zip(examples, range(SHOWN)))
    words = _VERB.sub(lambda verb: _OF_ONE[verb[0]], words, count=1) if count == 1 else words
    return [Finding(kind, int(count), int(of), f"{count:,} of {of:,} {words}", shown, where)]


class Tally:
    """Counts by kind while a file is gone through; keeps the first cases of each."""

    def __init__(self, where: str):
        self._where = where
        self._counts: dict[str, int] = {}
        self._cases: dict[str, list[str]] = {}

    def add(self, kind: str, case: str) -> None:
        """Counts one of a kind of `READ`; `case` says which one it is."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        cases = self._cases.setdefault(kind, [])
        if len(cases) < SHOWN:
            cases.append(case)

    def findings(self, totals: dict[str, int], of_all: int) -> tuple[Finding, ...]:
        """The findings, in the order of `READ`; a kind that is not in `totals` is of `of_all`."""
        return tuple(
            finding
            for kind, words in READ.items()
            for finding in found(
                kind,
                self._counts.get(kind, 0),
                totals.get(kind, of_all),
                words,
                self._cases.get(kind, ()),
                self._where,
            )
        )


def counted(count: int, one: str, many: str) -> str:
    """A number and its noun."""
    return f"{count:,} {one if count == 1 else many}"


def short(text: object) -> str:
    """One thing on a line, cut where it is long."""
    words = str(text)
    return words if len(words) <= LONGEST else f"{words[:LONGEST]}..."


def listed(things: Sequence[str]) -> str:
    """The first ones with commas between them, and how many more there are."""
    more = f" and {len(things) - SHOWN:,} more" if len(things) > SHOWN else ""
    return ", ".join(short(thing) for thing in things[:SHOWN]) + more
