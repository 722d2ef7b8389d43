"""Figures as CSV: what pandas reads of them, and what becomes of rows that are taken again, torn or in the way."""

import math
import os
import resource

import pandas
import pytest

from fsaf_tf.run.figure_table import FigureTable

ODD = 'AP_by_class/"a", b'


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train.csv"


@pytest.fixture
def said():
    return []


def read(path):
    return pandas.read_csv(path, index_col="step")


def test_rows_columns_that_come_later_and_cells_without_a_value(path, said):
    table = FigureTable(str(path), said.append)
    assert table.go_on_from(0) == -1 and not path.exists()
    table.add(10, {"loss": 0.1, ODD: None})
    table.add(20, {"loss": 1 / 3, ODD: math.nan, "bad_pictures": 2})
    table.add(30, {"loss": 1e-12, ODD: 0.5})
    rows = read(path)
    assert list(rows.columns) == ["loss", ODD, "bad_pictures"] and list(rows.index) == [10, 20, 30]
    assert rows["loss"].tolist() == pytest.approx([0.1, 1 / 3, 1e-12], rel=1e-8)
    assert rows[ODD].isna().tolist() == [True, True, False]
    assert rows["bad_pictures"].dropna().to_dict() == {20: 2}
    assert not said and os.listdir(path.parent) == ["train.csv"]


def test_steps_that_are_taken_again_are_there_once(path, said):
    table = FigureTable(str(path), said.append)
    for step in (10, 20, 30):
        table.add(step, {"loss": step})
    again = FigureTable(str(path), said.append)
    assert again.go_on_from(15) == 30  # the newest checkpoint was that of step 15
    assert list(read(path).index) == [10]
    again.add(20, {"loss": 21})
    again.add(20, {"loss": 22})  # an evaluation that is made again
    again.add(30, {"loss": 31})
    assert read(path)["loss"].to_dict() == {10: 10, 20: 22, 30: 31}
    FigureTable(str(path), said.append).add(20, {"loss": 23})  # a process that only evaluates begins anywhere
    assert read(path)["loss"].to_dict() == {10: 10, 20: 23} and not said


@pytest.mark.parametrize("torn", ["30,0.", "30", '30,"0.3', "30,0.3,7\n", "thirty,0.3\n", "\n"])
def test_a_row_that_a_kill_tore_is_left_out(path, said, torn):
    FigureTable(str(path), said.append).add(20, {"loss": 0.2})
    path.write_text(path.read_text() + torn)
    table = FigureTable(str(path), said.append)
    table.go_on_from(100)
    table.add(110, {"loss": 0.4})
    assert read(path)["loss"].to_dict() == {20: 0.2, 110: 0.4}
    assert said == [f"{path}: 1 of its rows could not be read and are left out."]


@pytest.mark.parametrize(
    "content, words",
    [(b"date,place\n1,2\n", "is another table"), (b"step,a,a\n", "is another table"), (b"step,\xff\n", "is not UTF-8")],
)
def test_a_file_of_others_stays_as_it_is_and_is_told_once(path, said, content, words):
    path.write_bytes(content)
    table = FigureTable(str(path), said.append)
    table.go_on_from(0)
    for step in (10, 20):
        table.add(step, {"loss": step})
    assert path.read_bytes() == content and len(said) == 1 and words in said[0] and str(path) in said[0]
    path.unlink()
    table.add(30, {"loss": 30})  # moved away, it has all rows
    assert read(path)["loss"].to_dict() == {10: 10, 20: 20, 30: 30}


def test_a_disk_without_room_is_told_once_and_rows_wait(path, said):
    """The largest size that a file may have stands for the disk; what it takes of a row is no row."""
    table = FigureTable(str(path), said.append)
    table.add(10, {"loss": 0.1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 2, limits[1]))
    try:
        for step in (20, 30):
            table.add(step, {"loss": step / 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(said) == 1 and str(path) in said[0] and "The run goes on" in said[0]
    table.add(40, {"loss": 0.4})
    assert read(path)["loss"].to_dict() == {10: 0.1, 20: 0.2, 30: 0.3, 40: 0.4}


def test_a_folder_where_the_file_should_be(path, said):
    path.mkdir()
    table = FigureTable(str(path), said.append)
    table.go_on_from(0)
    table.add(10, {"loss": 0.1})
    assert len(said) == 1 and str(path) in said[0]
