"""The house of docs/architecture.md: every file has a place, and imports only from rooms and files above it."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PAGE = TEXT.split("\n## Who sees")[0]
ROOMS = [re.findall(r"^    (\S+\.py)\b", room, re.MULTILINE) for room in PAGE.split("\n## ")[1:]]
SEES = [name for line in re.findall(r"^    sees: (.+)$", TEXT, re.MULTILINE) for name in line.split()]
ROOMS_THAT_SEE = ("config", "run", "cli")
EXPERIMENT = tuple(
    f"config/{name}.py" for name in ("schedule", "data_sources", "backbone_keys", "schema", "experiment")
)
HOUSE = [name for room in ROOMS for name in room]
FILES = {path.relative_to(ROOT / "fsaf_tf").as_posix(): path for path in (ROOT / "fsaf_tf").rglob("*.py")}
MOST_AT_THE_ROOT = 16


def file_of(module: str) -> str | None:
    """`data/coco.py` of `fsaf_tf.data.coco`, None of what is no file of ours."""
    place = "/".join(module.split(".")[1:])
    names = (f"{place}.py", f"{place}/__init__.py" if place else "__init__.py")
    return next((name for name in names if name in FILES), None) if module.split(".")[0] == "fsaf_tf" else None


def imports(path: pathlib.Path) -> set[str]:
    """Our files that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {file_of(f"{node.module}.{alias.name}") or file_of(node.module) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {file_of(alias.name) for alias in node.names}
    return found - {None}


def test_the_house_lists_every_file():
    empty = {name for name, path in FILES.items() if not path.read_text(encoding="utf-8").strip()}
    assert sorted(HOUSE) == sorted(set(FILES) - empty)


def test_a_room_is_one_folder_and_a_folder_one_room():
    """A folder inside of it belongs to it, but for one that has a room of its own."""
    folders = [{name.rpartition("/")[0] for name in room} for room in ROOMS]
    assert all(folder.startswith(f"{min(names)}/") for names in folders for folder in names - {min(names)})
    inner = [min(names) for names in folders if names != {""}]
    assert len(set(inner)) == len(inner)
    assert sum("/" not in name for name in FILES) <= MOST_AT_THE_ROOT


@pytest.mark.parametrize("name", HOUSE)
def test_imports_only_from_above(name):
    """In the order of the page, which is the order of rooms and the order inside them."""
    assert imports(FILES[name]) <= set(HOUSE[: HOUSE.index(name)])


@pytest.mark.parametrize("name", HOUSE)
def test_only_these_see_the_experiment(name):
    """Everything else takes values; the page says who makes them."""
    path = FILES[name]
    seen = imports(path) & set(EXPERIMENT) or "config_definitions" in path.read_text(encoding="utf-8")
    may = name.split("/")[0] in ROOMS_THAT_SEE or name in SEES
    assert bool(seen) <= may


def test_no_name_without_a_file_among_those_who_see_it():
    assert set(SEES) <= set(FILES) and len(set(SEES)) == len(SEES)
