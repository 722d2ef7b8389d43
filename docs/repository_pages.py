"""A hook of MkDocs: what lies beside docs/ and is linked from there becomes a page of the site, too.

So the site needs neither the repository's address nor a network: CONTRIBUTING.md, an experiment or a script opens where
it is linked. Markdown is shown as it is, a folder by its README or its list of files, any other file as code.
"""

import pathlib
import posixpath
import re
from collections.abc import Callable, Iterator

from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).parent.parent
ROOM = "repository"  # of the site, where these pages are
# Named here because the nav has them, whether or not another page links to them.
NAMED = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "experiments")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".sh": "bash", ".toml": "toml", ".json": "json", ".kt": "kotlin"}
LANGUAGES |= {".html": "html", ".js": "javascript", ".cff": "yaml", ".swift": "swift"}
LAST_IN_SEARCH = "---\nsearch:\n  boost: 0.1\n---\n\n"
_LINK = re.compile(r"(\]\()([^)#\s]+)")
_FILE_NAME = re.compile(r"\[(?:\w+/)*(\w+)\.md\](?=\()")  # as the words of a link: a reader of the site sees no files
_FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2", re.M | re.S)


def on_files(files: Files, config) -> Files:
    """Adds a page for each place outside of docs/ that a page leads to, and for those that these lead to."""
    waiting = [*NAMED, *_outside(files)]
    known = set()
    while waiting:
        place = waiting.pop()
        if place in known:
            continue
        known.add(place)
        text = _text(place)
        files.append(File.generated(config, _page_of(place), content=text))
        if place.endswith(".md") or (ROOT / place).is_dir():
            waiting += [link for link in _links(_source_of(_page_of(place)), text) if _is_outside(link)]
    return files


def on_page_markdown(markdown: str, page, **_) -> str:
    """Turns links out of docs/ to the pages made above, those of such a page back into docs/; none names a file."""
    here = page.file.src_uri

    def to_page(target: str) -> str:
        place = _place(_source_of(here), target)
        if not (_is_outside(place) or here.startswith(f"{ROOM}/")):
            return target
        wanted = _page_of(place) if _is_outside(place) else posixpath.relpath(place, "docs")
        return posixpath.relpath(wanted, posixpath.dirname(here) or ".")

    return _FILE_NAME.sub(lambda words: f"[{words[1].replace('_', ' ')}]", _replaced(markdown, to_page))


def _outside(files: Files) -> Iterator[str]:
    for file in files.documentation_pages():
        yield from filter(_is_outside, _links(f"docs/{file.src_uri}", file.content_string))


def _links(source: str, text: str) -> list[str]:
    """Where the relative links of a Markdown file lead, as paths from the repository's root."""
    places = []
    _replaced(text, lambda target: places.append(_place(source, target)) or target)
    return places


def _replaced(text: str, new_target: Callable[[str], str]) -> str:
    """A text with other targets of its relative links; what is between fences stays."""
    pieces, end = [], 0

    def link(match: re.Match) -> str:
        target = match[2]
        return match[0] if ":" in target or target.startswith("/") else match[1] + new_target(target)

    for fence in _FENCE.finditer(text):
        pieces += [_LINK.sub(link, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*pieces, _LINK.sub(link, text[end:])])


def _place(source: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))


def _is_outside(place: str) -> bool:
    """Whether a place is in the repository, but not in docs/; what is not there stays a broken link."""
    return not place.startswith(("docs/", "..")) and (ROOT / place).exists()


def _page_of(place: str) -> str:
    """The page of a file or folder, by its path in the site's sources."""
    if (ROOT / place).is_dir():
        return f"{ROOM}/{place}/index.md"
    return f"{ROOM}/{place}" if place.endswith(".md") else f"{ROOM}/{place}.md"


def _source_of(page: str) -> str:
    """The Markdown file whose links a page has, from the repository's root."""
    if not page.startswith(f"{ROOM}/"):
        return f"docs/{page}"
    return page.removeprefix(f"{ROOM}/").replace("/index.md", "/README.md")


def _text(place: str) -> str:
    path = ROOT / place
    if path.is_dir():
        readme = path / "README.md"
        return readme.read_text(encoding="utf-8") if readme.exists() else _listing(place)
    content = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return content
    fence = "`" * (3 + max((len(run) for run in re.findall("`+", content)), default=0))
    return f"{LAST_IN_SEARCH}# {place}\n\n{fence}{LANGUAGES.get(path.suffix, 'text')}\n{content.rstrip()}\n{fence}\n"


def _listing(place: str) -> str:
    """The files of a folder, each with a page; folders in it have none."""
    names = sorted(path.name for path in (ROOT / place).iterdir() if path.is_file() and not path.name.startswith("."))
    return "\n".join([f"# {place}/\n", *(f"- [{name}]({name})" for name in names)]) + "\n"
