"""Tables: text for the terminal, HTML for the notebook."""

from __future__ import annotations

from helpers.table import Table


def test_an_empty_table_is_its_header():
    table = Table(("a", "b"), ())
    assert str(table) == "a  b"
    assert len(table) == 0
    left = " style='text-align:left'"
    assert table._repr_html_() == f"<table><tr><th{left}>a</th><th{left}>b</th></tr></table>"
    assert repr(table) == str(table)


def test_numbers_stand_right_and_text_left_and_the_head_is_a_table():
    table = Table(("name", "n"), (("x", 5), ("long name", 12.5)))
    assert str(table).splitlines() == ["name          n", "x             5", "long name  12.5"]
    assert str(table.head(1)).splitlines() == ["name  n", "x     5"]


def test_numbers_as_text_stand_right_too():
    table = Table(("off", "share", "shape"), (("+0.32%", "5 %", "[1, 3]"), ("-12", "", "4")))
    assert str(table).splitlines() == ["   off  share  shape", "+0.32%    5 %  [1, 3]", "   -12         4"]
    assert table._repr_html_().count("text-align:left") == 3


def test_a_dash_stands_for_no_number():
    table = Table(("n", "why"), (("-", "-"), (12, "late")))
    assert str(table).splitlines() == [" n  why", " -  -", "12  late"]
    assert str(Table(("what", "n"), (("a", "-"), ("b", "")))).splitlines() == ["what  n", "a     -", "b"]


def test_html_is_escaped():
    assert "&lt;b&gt;" in Table(("a",), (("<b>",),))._repr_html_()
