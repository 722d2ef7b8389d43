"""Pictures that are one file: by content, and by path through links."""

import pytest

from fsaf_tf.data import same_pictures
from fsaf_tf.data.same_pictures import Pictures


@pytest.fixture
def folder(tmp_path):
    for name, content in {"a": b"1", "b": b"2", "c": b"1", "d": b"34"}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link").symlink_to(tmp_path / "d")
    return tmp_path


def test_the_same_content_twice(folder):
    [finding] = same_pictures.repeated(Pictures(str(folder), ["a", "b", "c", "d"]), "x")
    assert finding.line == "1 of 4 pictures has the content of another one (first: c as a)"
    assert finding.kind == "duplicate_pictures"
    assert same_pictures.repeated(Pictures(str(folder), ["a", "b", "d"]), "x") == []


def test_pictures_of_both_sets(folder):
    train, validation = Pictures(str(folder), ["a", "d"]), Pictures(str(folder), ["b", "c", "link"])
    [finding] = same_pictures.shared(train, validation, "t and v")
    assert (finding.kind, finding.count, finding.of) == ("shared_pictures", 2, 3)
    assert "2 of 3 validation pictures are trained on, too, 1 of them under another name; " in finding.line
    assert finding.examples == ("link", "c")
    assert same_pictures.shared(train, Pictures(str(folder), ["b"]), "t and v") == []


def test_of_too_many_only_paths_are_compared(folder, monkeypatch):
    monkeypatch.setattr(same_pictures, "MOST_PICTURES", 2)
    pictures = Pictures(str(folder), ["a", "b", "c"])
    assert same_pictures.repeated(pictures, "x") == []
    [finding] = same_pictures.shared(Pictures(str(folder), ["a"]), pictures, "x")
    assert finding.examples == ("a",) and "another name" not in finding.line


def test_a_file_that_is_gone_is_no_copy_of_another(folder):
    assert same_pictures.repeated(Pictures(str(folder), ["none", "gone", "a"]), "x") == []
