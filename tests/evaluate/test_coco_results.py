"""Files of results: which picture each is of, whatever form its letters have, and numbers that are too large."""

import json
import unicodedata

import pytest

from fsaf_tf.errors import UserError
from fsaf_tf.evaluate import coco_results


def test_a_name_is_known_in_any_unicode_form():
    """macOS gives the names of files in NFD; annotations that were typed are in NFC."""
    typed, of_macos = (unicodedata.normalize(form, "photos/grün.jpg") for form in ("NFC", "NFD"))
    assert typed != of_macos
    assert coco_results.by_path_end([typed])(of_macos) == typed
    assert coco_results.by_path_end([of_macos])(typed) == of_macos
    with pytest.raises(UserError, match="may be"):
        coco_results.by_path_end([f"a/{typed}", f"b/{of_macos}"])("grün.jpg")


@pytest.mark.parametrize("key", ["image_id", "category_id"])
def test_numbers_to_2_to_the_53(tmp_path, key):
    row = {"image_id": 3089631150, "category_id": 2**53, "bbox": [0, 0, 1, 1], "score": 0.5}
    (tmp_path / "a.json").write_text(json.dumps([row]))
    assert coco_results.read(str(tmp_path / "a.json")) == [row]
    (tmp_path / "a.json").write_text(json.dumps([row, {**row, key: 2**53 + 1}]))
    with pytest.raises(UserError, match=f"entry 1, {key} is beyond 2\\^53: 9007199254740993"):
        coco_results.read(str(tmp_path / "a.json"))


@pytest.mark.parametrize("key", ["image_id", "bbox", "score"])
def test_a_wrong_value_of_any_length_is_a_short_line(tmp_path, key):
    row = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5, key: "a" * 10_000}
    (tmp_path / "a.json").write_text(json.dumps([row]))
    with pytest.raises(UserError, match="entry 0, .*aaa") as error:
        coco_results.read(str(tmp_path / "a.json"))
    assert len(str(error.value)) < 1000
