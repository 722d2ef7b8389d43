"""The page on data: it holds all that it shows, and text of the data stays text."""

import html.parser
import json
import sys

import pytest
from PIL import Image

from fsaf_tf.analysis import data_page
from fsaf_tf.config import schema
from fsaf_tf.errors import UserError
from fsaf_tf.run import data_report

ODD = '<b>nut</b> & "bolt"'


class Tags(html.parser.HTMLParser):
    """Counts the tags and collects what they refer to."""

    def __init__(self):
        super().__init__()
        self.counts: dict[str, int] = {}
        self.references: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.references += [value for key, value in attrs if key in ("href", "src")]


def task(folder, boxes) -> schema.Task:
    """Two pictures of two classes; `boxes` are place of the picture, class, x, y, w, h."""
    for number in range(2):
        Image.new("RGB", (64, 48), (90, 90, 90)).save(folder / f"{number}.png")
    content = {
        "images": [{"id": number, "file_name": f"{number}.png", "width": 64, "height": 48} for number in range(2)],
        "annotations": [{"image_id": place, "category_id": k, "bbox": list(box)} for place, k, *box in boxes],
        "categories": [{"id": 1, "name": ODD}, {"id": 2, "name": "washer"}],
    }
    (folder / "x.json").write_text(json.dumps(content))
    params = schema.Task()
    params.input_size.override({"shorter_side": 48, "longer_side": 64})
    params.train_data.override({"annotation_file": f"{folder}/x.json", "image_dir": str(folder)})
    return params


def test_a_page_needs_nothing_beside_itself(tmp_path):
    report = data_report.check(task(tmp_path, [(0, 1, 5, 5, 20, 30), (0, 1, 9, 9, 0.5, 9), (1, 1, 0, 0, 64, 48)]))
    data_page.write(report, f"{tmp_path}/out/page.html")
    text = (tmp_path / "out" / "page.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert tags.references and all(each.startswith("data:image/jpeg;base64,") for each in tags.references)
    # Smallest, largest, most, and the one class with boxes: both pictures in each.
    assert tags.counts["image"] == 8 and tags.counts["rect"] == 10 + 4 * 3
    assert tags.counts["h2"] == 6 and text.count("stroke-dasharray") == 4  # the box under a pixel
    assert ODD not in text and "&lt;b&gt;nut&lt;/b&gt; &amp; &#34;bolt&#34;" in text
    assert all(f"<b>{finding.kind}</b>" in text for finding in report.findings) and len(report.findings) > 1
    assert "A run would be refused" not in text


def test_a_page_of_what_would_be_refused(tmp_path):
    report = data_report.check(task(tmp_path, [(0, 9, 5, 5, 20, 30)]))
    data_page.write(report, f"{tmp_path}/page.html")
    assert "A run would be refused: " in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_without_jinja(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UserError, match="needs Jinja2: pip install "):
        data_page.check_installed()
