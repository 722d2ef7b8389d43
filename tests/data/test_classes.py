"""Names and category ids as one value: kept in `labels.json`, and compared in words."""

import pytest

from fsaf_tf.data.classes import Classes, in_place_of, recorded_classes
from fsaf_tf.errors import UserError

CATS = Classes(("cat", "dog", "traffic light"), (17, 18, 10))


def test_index_and_id_of_each_class():
    assert len(CATS) == 3 and [CATS.index_of(category_id) for category_id in CATS.ids] == [0, 1, 2]
    assert CATS.categories()[1:] == [{"id": 18, "name": "dog"}, {"id": 10, "name": "traffic light"}]
    with pytest.raises(UserError, match="no class has the category id 1$"):
        CATS.index_of(1)


def test_data_order_classes_by_their_ids():
    assert Classes.by_id({18: "dog", 3: "zebra"}.items()) == Classes(("zebra", "dog"), (3, 18))


def test_written_and_read(tmp_path):
    path = tmp_path / "labels.json"
    assert recorded_classes(str(tmp_path)) is None
    CATS.write(str(path))
    assert path.read_text() == (
        '{\n  "names": [\n    "cat",\n    "dog",\n    "traffic light"\n  ],\n'
        '  "category_ids": [\n    17,\n    18,\n    10\n  ]\n}\n'
    )
    assert Classes.read(str(path)) == recorded_classes(str(tmp_path)) == CATS


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "it holds"),
        ('{"names": ["cat"], "category', "it holds"),
        ('["cat"]', "it holds"),
        ('{"names": ["cat"]}', "it holds"),
        ('{"names": "cat", "category_ids": [1, 2, 3]}', "it holds"),
        ('{"names": [], "category_ids": []}', "it holds"),
        ('{"names": ["cat"], "category_ids": [1, 2]}', "1 names and 2 category ids; a class has one of each"),
        ('{"names": ["cat", 5], "category_ids": [1, 2]}', "5 is no name"),
        ('{"names": ["cat", ["dog"]], "category_ids": [1, 2]}', r"\['dog'\] is no name"),
        ('{"names": ["cat", "dog"], "category_ids": [1, "2"]}', "'2' is no category id"),
        ('{"names": ["cat", "dog"], "category_ids": [1, 2.5]}', "2.5 is no category id"),
        ('{"names": ["cat", "dog"], "category_ids": [1, true]}', "True is no category id"),
        ('{"names": ["cat", "dog", "cat"], "category_ids": [1, 2, 3]}', "the name 'cat' stands twice"),
        ('{"names": ["cat", "dog"], "category_ids": [7, 7]}', "the category id 7 stands twice"),
        (
            '{"names": ["cat", "dog"], "category_ids": [7, 9007199254740993]}',
            "the category id 9007199254740993 is beyo",
        ),
        (
            '{"names": ["line\\nbreak", "dog"], "category_ids": [7, 8]}',
            r"the name 'line\\nbreak' has a line break .*1 of 2",
        ),
        (
            '{"names": ["cat", "d\\u0000g"], "category_ids": [7, 8]}',
            r"the name 'd\\x00g' has a line break or another c",
        ),
        (
            '{"names": ["cat", "d\\udcfcg"], "category_ids": [7, 8]}',
            r"the name 'd\\udcfcg' has a line break or another c",
        ),
    ],
)
def test_damage_is_one_line(tmp_path, content, problem):
    (tmp_path / "labels.json").write_text(content)
    for read, argument in ((Classes.read, tmp_path / "labels.json"), (recorded_classes, tmp_path)):
        with pytest.raises(UserError, match=f"^{tmp_path}/labels.json is damaged[;:] {problem}"):
            read(str(argument))


def test_names_in_any_language_and_ids_to_2_to_the_53(tmp_path):
    """With a joiner between letters, as Persian and emoji have it; CRC-32 of a name is beyond 31 bits."""
    many = Classes(("安全帽", "می\u200cخواهم", "👷\u200d♀️", "car, parked "), (3089631150, 2**53, -(2**53), 0))
    many.write(str(tmp_path / "labels.json"))
    assert Classes.read(str(tmp_path / "labels.json")) == many


def test_no_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path}/none.json is missing"):
        Classes.read(f"{tmp_path}/none.json")


@pytest.mark.parametrize(
    ("names", "ids", "words"),
    [
        (("cat", "dog", "traffic light"), (17, 18, 10), None),
        (("cow", "dog", "traffic light"), (17, 18, 10), "17 cow in place of 17 cat"),
        (("cat", "dog", "traffic light"), (1, 2, 10), "1 cat, 2 dog in place of 17 cat, 18 dog"),
        (("cat", "dog"), (17, 18), "nothing in place of 10 traffic light"),
        (
            ("cat", "traffic light", "dog"),
            (17, 10, 18),
            "the same in another order, 10 traffic light in place of 18 dog",
        ),
    ],
)
def test_the_difference_in_words(names, ids, words):
    classes = Classes(names, ids)
    assert classes.difference(CATS) == words and (classes == CATS) == (words is None)


def test_some_of_other_classes():
    assert CATS.is_part_of(CATS) and Classes(("dog", "cat"), (18, 17)).is_part_of(CATS)
    assert not CATS.is_part_of(Classes(("dog", "cat"), (18, 17)))
    assert not Classes(("dog", "cat"), (17, 18)).is_part_of(CATS)


def test_of_many_that_differ_some_are_shown():
    many = [f"class {index}" for index in range(80)]
    assert in_place_of(many, many[:73]) == ("class 73, class 74, class 75, class 76 and 3 more in place of nothing")


@pytest.mark.parametrize("names", [("a" * 9000, "a" * 9000), (["a" * 9000], "b")])
def test_a_name_of_any_length_is_a_short_line(names):
    with pytest.raises(UserError) as error:
        Classes(names, (1, 2))
    assert "aaa" in str(error.value) and len(str(error.value)) < 300
