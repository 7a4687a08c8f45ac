"""Layer rows and architectures: what a table must keep to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers.rows import Architecture, LayerRow, check_rows, parse_rows, with_names

HEAD = LayerRow((0, 1), 1, "Detect", ("nc", "anchors"))
ROWS = (LayerRow(-1, 1, "Conv", (8, 3, 2)), LayerRow(-1, 1, "Conv", (8, 3, 2)), HEAD)
ANCHORS = (((1.0, 2.0),), ((3.0, 4.0),))


def architecture(**changes):
    return Architecture(
        **{"rows": ROWS, "names": ("a",), "anchors_px": ANCHORS, "strides": (2, 4), **changes}
    )


def test_other_names():
    other = with_names(architecture(), ["x", "y"])
    assert (other.names, other.class_count, other.rows) == (("x", "y"), 2, ROWS)


def test_parse_rows():
    assert parse_rows([]) == ()
    assert parse_rows([[-1, 1, "Conv", [8, "None", "True", "False", 0.5, None]]]) == (
        LayerRow(-1, 1, "Conv", (8, None, True, False, 0.5, None)),
    )
    assert parse_rows(([[-1, 5], 3, "Concat", [1]],))[0].sources == (-1, 5)
    assert LayerRow(4, 1, "Conv").sources == (4,)


@pytest.mark.parametrize(
    "row",
    ["Conv", None, [], [-1, 1, "Conv"], [-1, 1, "Conv", [], 1], [-1, 1, 7, []], ["-1", 1, "Conv", []],
     [-1, "1", "Conv", []], [-1, 1, "Conv", "8"], [[], 1, "Concat", [1]], [["a"], 1, "Concat", [1]],
     [1.5, 1, "Conv", []], {"from": -1}],
)  # fmt: skip
def test_rows_of_another_form(row):
    with pytest.raises(ValueError, match=r"layer 1: expected \[from, number, module, args\]"):
        parse_rows([[-1, 1, "Conv", []], row])


def test_arguments_of_another_kind():
    with pytest.raises(ValueError, match=r"layer 0 \(Conv\): expected numbers or text"):
        parse_rows([[-1, 1, "Conv", [{}]]])


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ((), "got nothing there"),
        (ROWS[:2], "one head .* got Conv there"),
        ((HEAD,), "reads layer 0"),
        ((*ROWS, ROWS[0]), "got Conv there"),
        ((*ROWS, replace(HEAD, source=(0, 1))), "one head"),
        ((replace(ROWS[0], source=-2), *ROWS[1:]), "reads layer -2"),
        ((ROWS[0], replace(ROWS[1], source=1), HEAD), "reads layer 1"),
        ((ROWS[0], replace(ROWS[1], source=-2), HEAD), "reads layer -2"),
        ((ROWS[0], replace(ROWS[1], number=0), HEAD), "1 to 100 repeats, got 0"),
        ((ROWS[0], replace(ROWS[1], number=101), HEAD), "got 101"),
    ],
)
def test_tables_that_make_no_sense(rows, match):
    with pytest.raises(ValueError, match=match):
        check_rows(rows)


def test_a_table_that_makes_sense():
    check_rows((ROWS[0], replace(ROWS[1], number=100), HEAD))
    assert architecture().class_count == 1


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"names": ()}, "names: expected at least one"),
        ({"names": (1,)}, "names"),
        ({"width_multiple": 0}, "above 0"),
        ({"depth_multiple": float("nan")}, "above 0"),
        ({"input_channels": -3}, "above 0"),
        ({"strides": (2, float("inf"))}, "above 0"),
        ({"strides": ("2", 4)}, "above 0"),
        ({"strides": (4, 2)}, "smallest first"),
        ({"strides": (2, 2)}, "smallest first"),
        ({"strides": (2.5, 4)}, "whole numbers"),
        ({"anchors_px": (((1.0, -2.0),), ((3.0, 4.0),))}, "above 0"),
        ({"anchors_px": ANCHORS[:1]}, "2 levels"),
        ({"anchors_px": ((), ())}, "2 levels"),
        ({"anchors_px": (ANCHORS[0], ANCHORS[1] * 2)}, "as many pairs"),
        ({"rows": (*ROWS[:2], replace(HEAD, source=(0,)))}, "expected 2 inputs, got 1"),
        ({"rows": (*ROWS[:2], replace(HEAD, module="IAuxDetect"))}, "expected 4 inputs, got 2"),
    ],
)
def test_architectures_that_make_no_sense(changes, match):
    with pytest.raises(ValueError, match=match):
        architecture(**changes)
