"""docs/paper.md names the files and functions that there are."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
ROWS = re.findall(
    r"^\| (\d+) \| (.+?) \| (.+) \|$", (ROOT / "docs" / "paper.md").read_text(encoding="utf-8"), re.MULTILINE
)


def defined(file: str) -> set[str]:
    """The functions, classes, methods and constants of a file of the package."""
    tree = ast.parse((ROOT / "fsaf_tf" / file).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    constants = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    return names | {target.id for target in constants if isinstance(target, ast.Name)}


@pytest.mark.parametrize("number, said, places", ROWS)
def test_what_section_3_says_is_where_the_page_says(number, said, places):
    """`modeling/heads.py: Heads` or `regions.cell_ranges`; a name alone is in the file named before it."""
    file = None
    without_remarks = re.sub(r"\([^)]*\)", "", places)
    for place in re.findall(r"`([^`]+)`", without_remarks):
        if ": " in place:
            file, name = place.split(": ")
        elif "." in place:
            file, name = place.split(".", 1)
            file += ".py"
        else:
            name = place
        assert name.split(".")[-1] in defined(file), place


def test_all_of_section_3_is_there():
    assert [int(number) for number, *_ in ROWS] == list(range(1, 41))
