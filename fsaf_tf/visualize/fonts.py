"""Letters for pictures in any language: a font of this machine that has them, and escapes where none has.

For text in ASCII it is Pillow's own font. For the rest it is DejaVu Sans, which comes with Matplotlib (its licence lets
it be passed on) and has Latin, Greek, Cyrillic, Arabic and others; for what that lacks, as Chinese, Japanese and Korean
letters, a font that is installed.
"""

import functools
import os
import unicodedata

from matplotlib import font_manager, ft2font
from PIL import ImageFont

FALLBACK = "DejaVu Sans"
# What to install for letters that no font has, by how their Unicode names begin.
_PACKAGES = {
    ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC", "FULLWIDTH"): "fonts-noto-cjk",
    ("",): "fonts-noto-core, for emoji fonts-symbola",
}
_SAMPLES = "中あ한กअ😀"  # letters of the scripts that DejaVu Sans lacks
_MISSING: set[str] = set()  # letters that were escaped since the last `note`


def load(text: str, size: float) -> tuple[str, ImageFont.FreeTypeFont]:
    """A font for a text, and the text with what that font lacks as escapes: `\\u5b89`.

    Args:
        text: to be drawn.
        size: pixels of the letters.
    """
    if text.isascii():
        return text, ImageFont.load_default(size)
    path = _path("".join(sorted(set(text))))
    letters = _letters(path)
    return "".join(_or_escape(letter, letters) for letter in text), ImageFont.truetype(path, size)


@functools.cache
def families() -> tuple[str, ...]:
    """Names of fonts for Matplotlib, which takes each letter from the first that has it: those of `load`."""
    paths = [_path(letter) for letter in _SAMPLES if ord(letter) in _letters(_path(letter))]
    return FALLBACK, *dict.fromkeys(ft2font.FT2Font(path).family_name for path in paths if path != _paths()[0])


def readable(text: str) -> str:
    """The text with the letters that none of `families` has as escapes."""
    if text.isascii():
        return text
    paths = [_path(letter) for letter in _SAMPLES]
    letters = frozenset().union(_letters(_paths()[0]), *map(_letters, paths))
    return "".join(_or_escape(letter, letters) for letter in text)


def note() -> str | None:
    """A line on letters that were escaped and on what to install, once for the same letters; None if there are none."""
    if not _MISSING:
        return None
    shown = " ".join(sorted(_MISSING)[:5])
    packages = {_package(letter) for letter in _MISSING}
    count = len(_MISSING)
    _MISSING.clear()
    return (
        f"{count} letters of names ({shown}{' ...' if count > 5 else ''}) are in no font of this machine: pictures show"
        f" them as {_escape(shown[0])}; install a font that has them ({', '.join(sorted(packages))})"
    )


def _or_escape(letter: str, letters) -> str:
    if ord(letter) in letters or letter.isascii() or unicodedata.category(letter) in ("Cf", "Mn", "Zs"):
        return letter  # joiners, marks above letters and spaces need no picture of their own
    if unicodedata.category(letter) != "Cs":
        _MISSING.add(letter)
    return _escape(letter)


def _escape(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode()


def _package(letter: str) -> str:
    name = unicodedata.name(letter, "")
    return next(package for starts, package in _PACKAGES.items() if name.startswith(starts))


@functools.cache
def _paths() -> list[str]:
    """The fonts of this machine: DejaVu Sans, then regular ones before bold and slanted ones."""
    first = font_manager.findfont(font_manager.FontProperties(FALLBACK))
    entries = sorted(font_manager.fontManager.ttflist, key=lambda entry: (entry.style != "normal", entry.weight != 400))
    others = (entry.fname for entry in entries if "Last Resort" not in entry.name and os.path.exists(entry.fname))
    return list(dict.fromkeys([first, *others]))


@functools.cache
def _letters(path: str) -> frozenset[int]:
    """The code points that a font has; none of one that cannot be read, or not be drawn in any size."""
    try:
        ImageFont.truetype(path, 16)
        return frozenset(ft2font.FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@functools.cache
def _path(letters: str) -> str:
    """The font that has most of some letters, the first of several that have as many."""
    codes = {ord(letter) for letter in letters}
    paths = _paths()
    if codes <= _letters(paths[0]):
        return paths[0]
    return max(paths, key=lambda path: len(codes & _letters(path)))
