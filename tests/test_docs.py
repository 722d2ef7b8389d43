"""The documentation: links that lead somewhere, pages that are in the site's order, public names that are there."""

import importlib
import inspect
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BESIDE = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
BESIDE += [ROOT / "experiments" / "README.md", ROOT / "docker" / "README.md"]
FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# Each row of a table of public names: the name, the page that describes it, and what it is called there.
PUBLIC = re.findall(r"^\| \[`([\w.]+)`\]\((api/\w+\.md)#([\w.]+)\)", (DOCS / "api.md").read_text("utf-8"), re.M)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def text_of(path):
    """Without what is between fences."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path):
    """Of a page's headings, as code hosts make them; of a page of the reference, the names on it too."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", text_of(path), re.M):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        repeats = sum(other == slug or re.fullmatch(rf"{re.escape(slug)}-\d+", other) is not None for other in found)
        found.add(f"{slug}-{repeats}" if slug in found else slug)
    return found | set(re.findall(r"^::: ([\w.]+)$", text_of(path), re.M))


def broken(path, target):
    """What is wrong with a link; None if nothing is."""
    file, _, anchor = target.partition("#")
    place = (path.parent / file).resolve() if file else path
    if not place.exists():
        return f"{target}: there is no {os.path.relpath(place, ROOT)}"
    if anchor and anchor not in anchors(place):
        return f"{target}: no such heading; there are {', '.join(sorted(anchors(place)))}"
    return None


@pytest.mark.parametrize("path", [*BESIDE, *PAGES], ids=name_of)
def test_links_lead_somewhere(path):
    targets = [target for target in LINK.findall(text_of(path)) if not re.match(r"\w+:", target)]
    assert [words for words in (broken(path, target) for target in targets) if words] == []


def test_a_link_to_nowhere_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n## `a.key`\n\n## Twice\n\n## Twice\n")
    for target in ("#akey", "#twice", "#twice-1", "page.md#a-page", "."):
        assert broken(page, target) is None, target
    for target in ("#a.key", "#twice-2", "other.md", "page.md#nothing"):
        assert broken(page, target), target


def test_every_page_is_in_the_order_of_the_site_once():
    pages = []

    def gather(entry):
        for value in entry.values() if isinstance(entry, dict) else entry:
            pages.append(value) if isinstance(value, str) else gather(value)

    gather(yaml.safe_load("nav:" + (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]))
    own = [page for page in pages if not page.startswith("repository/")]
    assert sorted(own) == sorted(path.relative_to(DOCS).as_posix() for path in PAGES)


def test_pages_that_the_tools_name_are_there():
    named = set()
    for file in (ROOT / "fsaf_tf").rglob("*.py"):
        named |= set(re.findall(r"docs/[\w/]+\.md", file.read_text(encoding="utf-8")))
    assert named and [page for page in sorted(named) if not (ROOT / page).exists()] == []


def arguments(function):
    """Names and defaults."""
    return {name: argument.default for name, argument in inspect.signature(function).parameters.items()}


@pytest.mark.parametrize("name, page, described_as", PUBLIC)
def test_public_names_are_there_and_described(name, page, described_as):
    module, _, attribute = name.rpartition(".")
    public = getattr(importlib.import_module(module), attribute)
    module, _, attribute = described_as.rpartition(".")
    described = getattr(importlib.import_module(module), attribute)
    # `fsaf_tf.load_detector` is a door: it takes the arguments of what it is described as.
    assert public is described or arguments(public) == arguments(described)
    assert f"\n::: {described_as}\n" in (DOCS / page).read_text(encoding="utf-8")


def test_what_is_described_is_public():
    pages = "\n".join(path.read_text("utf-8") for path in DOCS.glob("api/*.md"))
    described = re.findall(r"^::: ([\w.]+)$", pages, re.M)
    assert sorted(described) == sorted(name for *_, name in PUBLIC)


def test_docstrings_of_public_names_come_apart_as_they_are_meant():
    """Of several lines, a result is either one, with its further lines set in, or each is named."""
    griffe = pytest.importorskip("griffe", reason="the extra docs is not installed")
    package = griffe.load("fsaf_tf", search_paths=[ROOT], docstring_parser="google", allow_inspection=False)
    for *_, name in PUBLIC:
        member = package[name.removeprefix("fsaf_tf.")]
        functions = [member] if member.is_function else list(member.functions.values())
        for function in functions:
            sections = function.docstring.parsed if function.docstring else []
            results = [section.value for section in sections if section.kind.value == "returns"]
            assert all(len(lines) == 1 or all(line.name for line in lines) for lines in results), function.path


def test_the_site_is_built_strictly(tmp_path):
    """No broken link or anchor, no page outside of the order, no name that is not there."""
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", f"--site-dir={tmp_path}/site"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "api" / "losses.html").read_text(encoding="utf-8")
    assert 'id="fsaf_tf.criterion.anchor_free_losses"' in page and "effective box" in page
    experiment = tmp_path / "site" / "repository" / "experiments" / "custom.yaml.html"
    assert "selection_warmup_share" in experiment.read_text(encoding="utf-8")
    assert not re.search(r'(?:src|<link[^>]* href)="https?://', page)  # nothing is loaded from other servers
