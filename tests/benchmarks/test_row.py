"""A row: entries of interleaved runs, ratios to the baseline, states in the JSON."""

import json

from benchmarks.measure import spread
from benchmarks.row import Check, Row
from benchmarks.targets import Target


def test_an_empty_row():
    row = Row("x", "title", "nothing")
    assert row.ratio("a") is None
    plain = row.to_dict(quiet=True)
    assert (plain["entries"], plain["checks"], plain["series"], plain["not_run"]) == ([], [], {}, [])
    json.dumps(plain)


def test_entries_and_ratios():
    row = Row("x", "title", "runs")
    row.add({"floor": [0.1, 0.2, 0.3], "ours": [0.2, 0.4, 0.9]}, "floor", note="n")
    floor, ours = row.entries
    assert floor.ratio is None
    assert (floor.value.median, ours.value.median) == (200.0, 400.0)
    assert ours.ratio == spread([2.0, 2.0, 0.9 / 0.3])
    assert row.ratio("ours") == 2.0
    assert row.ratio("floor") is None
    assert ours.note == "n"


def test_checks_are_judged_when_written():
    row = Row("x", "t", "r", checks=[Check("a", 1.5, Target(2)), Check("b", None, Target(2), "why")])
    calm, busy = row.to_dict(quiet=True), row.to_dict(quiet=False)
    assert [check["state"] for check in calm["checks"]] == ["met", "not judged"]
    assert [check["state"] for check in busy["checks"]] == ["not judged", "not judged"]
    assert calm["checks"][0]["target"] == "≤ 2"
    assert calm["checks"][1]["note"] == "why"
