"""Claims: rounding decides, every verdict is said and kept."""

from __future__ import annotations

import pytest

from helpers.course.claims import NOT_CHECKABLE, RIGHT, WRONG, Claims


def test_no_claims():
    claims = Claims()
    assert claims.counts() == {RIGHT: 0, WRONG: 0, NOT_CHECKABLE: 0}
    assert repr(claims.table()).split() == ["verdict", "the", "guides", "say", "recomputed"]


@pytest.mark.parametrize(
    ("said", "found", "digits", "verdict"),
    [
        (41, 41.46, 0, RIGHT),
        (41, 41.51, 0, WRONG),
        (41, 29.3, 0, WRONG),
        (8, 7.68, 0, RIGHT),
        (8, 7.5, 0, RIGHT),
        (8, 7.49, 0, WRONG),
        (10.7, 38.7 - 28.0, 1, RIGHT),
        (10.7, 10.8, 1, WRONG),
        (-3, -3.2, 0, RIGHT),
    ],
)
def test_a_number_is_right_if_it_rounds_to_what_was_said(said, found, digits, verdict, capsys):
    claims = Claims()
    claims.number("it", said, found, "fps", digits=digits)
    assert claims.verdicts[0].verdict == verdict
    assert capsys.readouterr().out == f"{verdict:<13}  it: {found:.{digits}f} fps\n"


def test_statements_and_what_cannot_be_checked(capsys):
    claims = Claims()
    claims.statement("all", False, "2 of 3")
    claims.statement("some", True, "2 of 3")
    claims.not_checkable("everybody <known>", "not in the table")
    assert claims.counts() == {RIGHT: 1, WRONG: 1, NOT_CHECKABLE: 1}
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "wrong          all: 2 of 3"
    assert len(repr(claims.table()).splitlines()) == 4
    page = claims.table()._repr_html_()
    assert page.count("<tr>") == 4
    assert "everybody &lt;known&gt;" in page
    assert page.index(">wrong<") < page.index(">right<") < page.index(">not checkable<")


def test_verdicts_are_said_in_the_lessons_language(marked, capsys):
    claims = Claims()
    claims.statement("all of <them>", False, "2 of 3")
    assert capsys.readouterr().out == "«wrong          all of <them>: 2 of 3»\n"
    page = claims.table()._repr_html_()
    said = ("verdict", "the guides say", "recomputed", "wrong", "all of &lt;them&gt;", "2 of 3")
    assert [text for text in said if f">«{text}»<" not in page] == []
    assert claims.counts()[WRONG] == 1
