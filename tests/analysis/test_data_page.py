"""The page on data: it holds all that it shows, and text of the data stays text."""

import base64
import html.parser
import io
import json
import re
import sys

import encoded
import numpy as np
import pytest
from PIL import Image

from fsaf_tf.analysis import data_page, templates
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
        self.references += [value for key, value in attrs if key in ("href", "src") and tag != "a"]


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
    # A frame that is meant has a rim.
    assert tags.counts["img"] == 8 and tags.counts["rect"] == 10 + 4 * 3 + 10
    assert tags.counts["h2"] == 6 and text.count("stroke-dasharray") == 4  # the box under a pixel
    assert ODD not in text and "&lt;b&gt;nut&lt;/b&gt; &amp; &#34;bolt&#34;" in text
    assert all(f">{finding.kind}<" in "".join(text.split()) for finding in report.findings) and len(report.findings) > 1
    assert "A run would be refused" not in text


def test_boxes_lie_on_pictures_that_are_seen_turned(tmp_path):
    """A red square of a picture that is stored on its side."""
    params = task(tmp_path, [(0, 1, 40, 4, 16, 16)])
    upright = np.zeros((48, 64, 3), np.uint8)
    upright[4:20, 40:56, 0] = 255
    data = encoded.turned(Image.fromarray(np.rot90(upright)), 6, "PNG")
    (tmp_path / "0.png").write_bytes(data)
    data_page.write(data_report.check(params), f"{tmp_path}/page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    jpeg = re.search(r'64/48">\s<img src="data:image/jpeg;base64,([^"]+)"', text)[1]
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(jpeg))))
    np.testing.assert_array_equal(seen[..., 0] > 128, upright[..., 0] > 128)
    assert '<rect x="40.0" y="4.0" width="16.0" height="16.0"' in text and 'viewBox="0 0 64 48"' in text


def test_a_gallery_is_of_some_boxes(tmp_path):
    report = data_report.check(task(tmp_path, [(0, 1, 5, 5, 20, 30), (0, 2, 9, 9, 6, 9), (1, 1, 0, 0, 64, 48)]))
    galleries = data_page._galleries(report.train)
    assert list(galleries) == [
        "The smallest boxes",
        "The largest boxes",
        "The most boxes",
        f"{ODD}, 2 boxes",
        "washer, 1 box",
    ]
    smallest, largest = (galleries[f"The {size} boxes"][0] for size in ("smallest", "largest"))
    assert smallest["caption"] == smallest["alt"] == "0.png, 64 x 48, 2 boxes, this one 6 x 9"
    assert [box["is_bold"] for box in smallest["boxes"]] == [False, True]
    assert largest["caption"] == "1.png, 64 x 48, 1 box, this one 64 x 48"
    assert galleries["The most boxes"][0]["caption"] == "0.png, 64 x 48, 2 boxes"
    [washer] = galleries["washer, 1 box"]
    assert [(box["title"], box["is_bold"]) for box in washer["boxes"]] == [(ODD, False), ("washer", True)]


def test_a_page_of_what_would_be_refused(tmp_path):
    report = data_report.check(task(tmp_path, [(0, 9, 5, 5, 20, 30)]))
    data_page.write(report, f"{tmp_path}/page.html")
    assert "A run would be refused: " in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_without_jinja(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UserError, match="needs Jinja2: pip install "):
        templates.check_installed()
