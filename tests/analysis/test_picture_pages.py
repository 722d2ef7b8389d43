"""Pages on every picture with its errors: what is on them, how they are linked, and how many there are."""

import json
import sys

import in_process
import pytest
from PIL import Image
from test_analysis import AWAY, BAR, OBJECT, OTHER, SHIFTED, Reader, truth

from fsaf_tf.analysis import inputs, measures, picture_pages, shown_picture
from fsaf_tf.cli import analyze
from fsaf_tf.errors import UserError

IMAGES = 23


@pytest.fixture
def flags(tmp_path):
    """Pictures of which the first has an error of each of three kinds, the second a missed object, the others none."""
    content = truth((OBJECT, BAR), (AWAY, OTHER), images=IMAGES)
    content["annotations"].append({**content["annotations"][0], "id": 9, "image_id": 2})
    (tmp_path / "val.json").write_text(json.dumps(content))
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for number in range(1, IMAGES + 1):
        Image.new("RGB", (200, 100), (number, 90, 90)).save(tmp_path / f"images/deep/{number}.png")
    found = ((AWAY, BAR, 0.8), (SHIFTED, BAR, 0.9), ([100, 5, 20, 20], BAR, 0.7), (OBJECT, BAR, 0.1))
    rows = [{"image_id": 1, "bbox": box, "category_id": category, "score": score} for box, category, score in found]
    (tmp_path / "found.json").write_text(json.dumps(rows))
    names = {"detections": "found.json", "annotations": "val.json", "images": "images", "output": "report.html"}
    return [f"--{flag}={tmp_path}/{name}" for flag, name in names.items()]


def read(path) -> Reader:
    """A page, whose files are there, and whose links lead to something."""
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert not reader.open
    for address in reader.fetched:
        assert address.startswith("data:") or (path.parent / address).is_file()
    for link in reader.links:
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.is_file() and (not anchor or f'id="{anchor}"' in target.read_text(encoding="utf-8"))
    return reader


def test_every_picture_has_its_errors(flags, tmp_path, monkeypatch, capsys):
    assert in_process.call(analyze, monkeypatch, *flags) == 0
    folder = tmp_path / "report_pictures"
    assert f"all {IMAGES} pictures with all their errors: {folder}/index.html" in capsys.readouterr().out
    assert {path.name for path in folder.glob("*.html")} == {"index.html", "page-1.html", "page-2.html"}
    index, first, second = (read(folder / name) for name in ("index.html", "page-1.html", "page-2.html"))
    read(tmp_path / "report.html")
    assert [link for link in index.links if "#picture" in link][:2] == [
        "page-1.html#picture-1",
        "page-1.html#picture-2",
    ]
    on_pages = [sum(name.startswith("picture-") for name in page.ids) for page in (first, second)]
    assert on_pages == [picture_pages.OF_A_PAGE, IMAGES - picture_pages.OF_A_PAGE]
    assert (folder / "page-1.html").read_text().count('loading="lazy"') == picture_pages.OF_A_PAGE
    told = " ".join(first.text.split("deep/1.png")[-1].split("deep/2.png")[0].split())
    assert "1 localisation bar 0.90 30, 10, 40, 20" in told
    assert "2 class bar, on a <b> & 'c' 0.80 150, 60, 20, 20" in told
    assert "3 background bar 0.70 100, 5, 20, 20" in told
    assert "4 missed bar - 10, 10, 40, 20" in told  # what is on it scores less than what is shown
    assert "No errors of detections that score at least 0.3." in second.text
    assert "../report.html" in first.links and "page-2.html" in first.links and "page-1.html" in second.links


def test_fewer_pages_are_said_and_take_the_place_of_earlier_ones(flags, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "report_pictures"
    assert in_process.call(analyze, monkeypatch, *flags) == 0
    (folder / "notes.txt").write_text("mine")
    assert in_process.call(analyze, monkeypatch, *flags, "--browse=2") == 0
    assert f"2 of {IMAGES} pictures with all their errors, those whose errors cost most" in capsys.readouterr().out
    assert "--browse=N makes pages of N" in read(folder / "index.html").text
    assert {path.name for path in folder.iterdir()} == {"index.html", "page-1.html", "1.jpg", "2.jpg", "notes.txt"}
    read(tmp_path / "report.html")
    assert in_process.call(analyze, monkeypatch, *flags, "--browse=0") == 0
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert "report_pictures" not in (tmp_path / "report.html").read_text()
    (folder / "page-1.html").write_text("<p>of somebody</p>")
    refused = in_process.call(analyze, monkeypatch, *flags)
    assert f"{folder}/page-1.html is there and was not written by this tool" in refused


def test_a_picture_that_cannot_be_had_is_left_out(flags, tmp_path, monkeypatch):
    """One that is damaged ends the reading of the pictures; those before it are there, and no link leads nowhere."""
    fine = inputs.pictures

    def pictures(source, image_ids):
        yield next(fine(source, image_ids))
        raise UserError("3.png is damaged")

    monkeypatch.setattr(inputs, "pictures", pictures)
    said = in_process.call(analyze, monkeypatch, *flags)
    assert said == f"error: {IMAGES - 1} of {IMAGES} pictures are not in the report: 3.png is damaged"
    report, index = (read(tmp_path / name) for name in ("report.html", "report_pictures/index.html"))
    assert "report_pictures/page-1.html#picture-1" in report.links
    assert [link for link in index.links if "#picture" in link] == ["page-1.html#picture-1"]


def test_without_jinja_nothing_is_measured(flags, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setattr(measures, "analyze", None)
    assert "a page needs Jinja2: pip install " in in_process.call(analyze, monkeypatch, *flags)
    assert not (tmp_path / "report.html").exists()


def label(box, text, rank):
    return {"box": box, "text": text, "rank": rank, "colour": "#fff"}


def test_labels_do_not_lie_on_each_other():
    """Of many boxes in one place those of the highest rank have labels, and none is cut off by the border."""
    part = shown_picture.Part(10, 0, 200, 100)
    boxes = [label([20 + shift, 5 + shift, 60, 30], f"class {shift} 0.50", shift) for shift in range(0, 40, 2)]
    ranked = sorted(boxes, key=lambda box: -box["rank"])
    found = list(shown_picture._labels(ranked, part, size=8))
    assert found[0].text == ranked[0]["text"] and 4 < len(found) < len(boxes)
    places = [(each.x, each.y - 0.85 * 8, each.x + 0.66 * 8 * len(each.text), each.y + 0.3 * 8) for each in found]
    for number, (left, top, right, bottom) in enumerate(places):
        assert 10 <= left and right <= 210.01 and top >= -0.01 and bottom <= 100.01
        for other in places[number + 1 :]:
            assert (
                right <= other[0] + 1e-6
                or other[2] <= left + 1e-6
                or bottom <= other[1] + 0.01
                or other[3] <= top + 0.01
            )


def test_a_wide_letter_takes_more_room():
    part = shown_picture.Part(0, 0, 100, 50)
    [narrow], [wide] = (
        list(shown_picture._labels([label([95, 30, 5, 5], text, 0)], part, size=10)) for text in ("abcd", "安安安安")
    )
    assert wide.x < narrow.x


def test_a_label_that_fits_nowhere_is_left_out():
    part = shown_picture.Part(0, 0, 30, 30)
    assert not list(shown_picture._labels([label([0, 0, 30, 30], "much too long a name", 0)], part, size=10))
