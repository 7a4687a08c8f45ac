"""The comparison table: read whole, and who beats whom in it."""

from __future__ import annotations

import csv

import pytest

from helpers.counts import PUBLISHED
from helpers.course import sota
from helpers.course.sota import Row


def row(model: str, fps: int, ap: float) -> Row:
    return Row(model, "YOLOv7", 1.0, 2.0, 640, fps, None, ap, None, None, None, None, None)


def test_of_nobody_nobody_is_on_the_front():
    assert sota.front([]) == []


def test_the_front_leaves_out_what_somebody_beats():
    fast, good = row("fast", 100, 30.0), row("good", 10, 50.0)
    slower, worse, both = row("slower", 99, 30.0), row("worse", 100, 29.0), row("both", 9, 20.0)
    assert sota.front([both, good, worse, fast, slower]) == [fast, good]
    assert sota.beaten_by(both, [good, both, worse]) == [good, worse]


def test_equals_do_not_beat_each_other():
    twins = [row("one", 10, 20.0), row("two", 10, 20.0)]
    assert sota.front(twins) == twins


def test_the_table_is_whole():
    rows = list(sota.comparison().values())
    assert len(rows) == 31
    assert {r.family for r in rows} == set(sota.FAMILIES)
    assert {r.size_px for r in rows} == {640, 1280}
    assert all(r.ap_test is None for r in rows if r.family == "YOLOv5")
    assert all(r.ap_test is not None for r in rows if r.family != "YOLOv5")


def test_both_copies_of_the_published_figures_agree():
    ours = [r for r in sota.comparison().values() if r.family == "YOLOv7"]
    published = [(p.parameters_m, p.flops_g, p.fps, p.ap_test, p.ap_val) for p in PUBLISHED.values()]
    assert [(r.params_m, r.flops_g, r.fps_v100, r.ap_test, r.ap_val) for r in ours] == published


@pytest.mark.shared
def test_the_figures_are_those_of_the_guides(shared):
    lines = (shared / "facts" / "sota.csv").read_text(encoding="utf-8").splitlines()
    facts = list(csv.DictReader(lines))
    assert [line["model"] for line in facts] == list(sota.comparison())
    for line in facts:
        ours = sota.comparison()[line["model"]]
        for name, text in line.items():
            if name not in ("model", "family"):
                assert getattr(ours, name) == (float(text) if text else None), (line["model"], name)


@pytest.mark.parametrize(
    ("small", "large", "less", "more"), [(50, 100, 50, 100), (3, 4, 25, 100 / 3), (7, 7, 0, 0)]
)
def test_a_percentage_has_a_base(small, large, less, more):
    assert sota.less(small, large) == pytest.approx(less)
    assert sota.more(large, small) == pytest.approx(more)


def test_the_entry_can_be_cited():
    assert sota.BIBTEX.startswith("@article{")
    assert sota.BIBTEX.count("{") == sota.BIBTEX.count("}")
    assert "2207.02696" in sota.BIBTEX
