"""Data as people have them, kind by kind: what is told of each, what is trained on, what is refused."""

import data_cases
import pytest


@pytest.mark.parametrize("case", data_cases.CASES, ids=lambda case: f"{case.kind}, {case.words}")
def test_each_case_is_told_counted_or_refused(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case.write()
    report = data_cases.report()
    assert {finding.kind: (finding.count, finding.of) for finding in report.findings} == case.findings
    assert case.error in (report.error or "") and bool(case.error) == bool(report.error)
    assert "\n" not in (report.error or "") and len(report.lines()) < 25
    values = report.values()
    assert (case.trained is None) == (values["boxes"] is None)
    if case.trained:
        assert (values["trained_boxes"], values["boxes"]) == case.trained


@pytest.mark.parametrize("case", data_cases.first_of_each_kind(), ids=lambda case: case.kind)
def test_the_page_shows_it_as_it_is(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case.write()
    assert data_cases.shown(case) in data_cases.PAGE.read_text(encoding="utf-8")


def test_every_kind_has_three():
    for first in data_cases.first_of_each_kind():
        assert sum(case.kind == first.kind for case in data_cases.CASES) >= 3
