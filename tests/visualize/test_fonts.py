"""Names in any language in pictures: letters of a font that has them, escapes and a line where none has."""

import warnings

import numpy as np
import pytest
from fontTools import fontBuilder
from fontTools.pens import ttGlyphPen
from matplotlib import font_manager

from fsaf_tf.analysis import charts as report_charts
from fsaf_tf.visualize import canvas, charts, fonts, legend

EVERY_SCRIPT = "Größe Жук ωμέγα عربي"  # in DejaVu Sans
HELMET = "安全帽"


@pytest.fixture
def only_dejavu(monkeypatch):
    """A machine with no font but those that come with Matplotlib; and the function that adds a font file."""

    def forget():
        for function in (fonts._paths, fonts._path, fonts._letters, fonts.families):
            function.cache_clear()

    manager = font_manager.fontManager
    monkeypatch.setattr(manager, "ttflist", [each for each in manager.ttflist if each.name.startswith("DejaVu")])
    forget()
    fonts.note()

    def add(path: str):
        manager.addfont(path)
        forget()

    yield add
    monkeypatch.undo()
    forget()
    fonts.note()


def write_font(path: str, letters: str) -> str:
    """A font in which each of some letters is a full square."""
    pen = ttGlyphPen.TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 800), (800, 800), (800, 0)):
        pen.lineTo(corner)
    pen.closePath()
    square, nothing = pen.glyph(), ttGlyphPen.TTGlyphPen(None).glyph()
    builder = fontBuilder.FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(letter): "square" for letter in letters})
    builder.setupGlyf({".notdef": nothing, "square": square})
    builder.setupHorizontalMetrics({".notdef": (900, 0), "square": (900, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, sTypoDescender=-200, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.save(path)
    return path


def test_plain_letters_are_drawn_as_ever():
    text, font = fonts.load("P4 person 0.83", 16)
    assert text == "P4 person 0.83" and font.getname()[0] == "Aileron"


def test_letters_that_come_with_matplotlib(only_dejavu):
    text, font = fonts.load(EVERY_SCRIPT, 16)
    assert text == fonts.readable(text) == EVERY_SCRIPT and font.getname()[0] == fonts.FALLBACK
    assert fonts.families() == (fonts.FALLBACK,) and fonts.note() is None


def test_letters_that_no_font_has_are_escaped_and_told(only_dejavu):
    text, _ = fonts.load(f"{HELMET} 0.83 👷\u200d♀", 16)
    assert text == "\\u5b89\\u5168\\u5e3d 0.83 \\U0001f477\u200d♀"
    assert fonts.readable(HELMET) == "\\u5b89\\u5168\\u5e3d"
    assert fonts.note() == (
        "4 letters of names (全 安 帽 👷) are in no font of this machine: pictures show them as \\u5168; install a font"
        " that has them (fonts-noto-cjk, fonts-noto-core, for emoji fonts-symbola)"
    )
    assert fonts.note() is None


def test_a_byte_that_is_no_letter_is_no_matter_of_fonts(only_dejavu):
    assert fonts.load("gr\udcfcn.jpg", 16)[0] == "gr\\udcfcn.jpg" and fonts.note() is None


def test_a_font_of_the_machine_is_taken(only_dejavu, tmp_path):
    only_dejavu(write_font(str(tmp_path / "squares.ttf"), f"中P4 0.83{HELMET}"))
    text, font = fonts.load(f"P4 {HELMET} 0.83", 16)
    assert text == f"P4 {HELMET} 0.83" and font.getname()[0] == "Squares"
    assert fonts.families() == (fonts.FALLBACK, "Squares") and fonts.readable(HELMET) == HELMET
    assert fonts.note() is None
    (tmp_path / "damaged.ttf").write_bytes(b"no font")
    assert fonts._letters(str(tmp_path / "damaged.ttf")) == frozenset()


def test_every_place_with_names_draws_them(only_dejavu):
    """Captions, titles, keys and charts; what has no font is an escape there, and Matplotlib warns of nothing."""
    image = np.zeros([60, 90, 3], np.uint8)
    for text in (EVERY_SCRIPT, HELMET, "gr\udcfcn.jpg"):
        marked = canvas.mark(image, 10, [canvas.Mark((1, 1, 50, 50), text, canvas.GOOD)])
        strips = [canvas.panel(marked, text), legend.heading(text, [text], 90)]
        strips.append(legend.key([(legend.filled(canvas.BAD), text)], 90))
        assert all(np.asarray(strip).any() for strip in strips)
        with charts.style(), warnings.catch_warnings():
            warnings.simplefilter("error")
            figure = charts.new(4, 3)
            figure.subplots().plot([0, 1], label=charts.legend_label(text))
            figure.legend()
            charts.heading(figure, text)
            figure.canvas.draw()
            report_charts.curves([(text, [(text, None, [1.0, 0.5])])])
