"""Findings as lines, and that the page explains each kind that there is."""

import pathlib
import re

from fsaf_tf.data.findings import READ, Finding, Tally, found, listed

ROOT = pathlib.Path(__file__).parent.parent.parent


def test_the_page_has_every_kind():
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    explained = {kind for line in page.splitlines() if line.startswith("|") for kind in re.findall(r"`(\w+)`", line)}
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "fsaf_tf").rglob("*.py")]
    made = {kind for text in sources for kind in re.findall(r"\b(?:found|Finding|shared_names)\(\s*\"(\w+)\"", text)}
    assert {"corners", "lost_boxes", "shared_pictures", "fewer_classes"} <= made
    assert set(READ) | made - {"fewer_classes"} <= explained and "(`fewer_classes`)" in page


def test_a_line_has_the_first_example_once():
    [finding] = found("crowd", 1200, 3000, "boxes are odd", (f"box {n}" for n in range(1200)), "x.json")
    assert finding.line == "1,200 of 3,000 boxes are odd (first: box 0)" and len(finding.examples) == 8
    assert Finding("crowd", 1, 2, "1 of 2 is odd: a", ("a",), "x").line == "1 of 2 is odd: a"
    assert found("crowd", 0, 3, "boxes are odd", (), "x") == []


def test_what_is_listed_is_short():
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(n) for n in range(1009)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 1,001 more"
    assert len(listed(["x" * 10_000] * 20)) < 1100


def test_a_tally_keeps_the_first_cases_of_each_kind():
    tally = Tally("x.json")
    for place in range(20):
        tally.add("outside", f"annotation {place}")
    tally.add("text_numbers", "image 3")
    numbers, outside = tally.findings({"text_numbers": 50}, 40)
    assert (numbers.kind, numbers.count, numbers.of) == ("text_numbers", 1, 50)
    assert (outside.count, outside.of, outside.where) == (20, 40, "x.json")
    assert outside.examples == tuple(f"annotation {place}" for place in range(8))
