"""The house of docs/architecture.md: every file is in its list and imports only from files above it."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
HOUSE = re.findall(r"^    (\S+\.py) ", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), re.MULTILINE)
FILES = {path.relative_to(ROOT / "fsaf_tf").as_posix(): path for path in (ROOT / "fsaf_tf").rglob("*.py")}


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


@pytest.mark.parametrize("name", HOUSE)
def test_imports_only_from_above(name):
    assert imports(FILES[name]) <= set(HOUSE[: HOUSE.index(name)])
