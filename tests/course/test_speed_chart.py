"""The chart: the specification holds the rows and finds the same front, the still picture shows them."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest

from helpers.course import charts, speed_chart
from helpers.course.sota import comparison, front

ROWS = list(comparison().values())


def front_of(specification, values):
    """What the specification's transforms keep, computed as Vega-Lite documents them."""
    running, lagged, kept = specification["layer"][0]["transform"]
    assert running["window"] == [{"op": "max", "field": "ap", "as": "best"}]
    assert "frame" not in running, "the default: all rows up to this one"
    assert lagged["window"][0]["op"] == "lag"
    assert "datum.ap > datum.best_faster" in kept["filter"]
    order = [(key["field"], key["order"]) for key in running["sort"]]
    assert order == [("fps", "descending"), ("ap", "descending")]
    assert lagged["sort"] == running["sort"]
    best, out = None, []
    for value in sorted(values, key=lambda value: (-value["fps"], -value["ap"])):
        if best is None or value["ap"] > best:
            out.append(value["model"])
        best = value["ap"] if best is None else max(best, value["ap"])
    return out


def test_of_no_rows_there_is_a_chart_without_marks():
    assert speed_chart.specification([])["data"]["values"] == []
    assert charts.render(speed_chart.figure([])).shape[2] == 3


def test_the_front_is_the_same_whatever_is_shown():
    spec = speed_chart.specification(ROWS)
    for hidden in ("", "YOLOv7", "YOLOR", "PPYOLOE"):
        rows = [row for row in ROWS if row.family != hidden]
        values = [value for value in spec["data"]["values"] if value["family"] != hidden]
        assert front_of(spec, values) == [row.model for row in front(rows)]


def test_every_family_has_a_box_to_tick_and_every_control_is_used():
    spec = speed_chart.specification(ROWS)
    names = [param["name"] for param in spec["params"]]
    boxes = [p["bind"]["name"].strip() for p in spec["params"] if p["bind"]["input"] == "checkbox"]
    assert boxes[:5] == list(speed_chart.COLOURS)
    text = json.dumps(spec["transform"]) + json.dumps(spec["layer"])
    assert all(re.search(rf"\b{name}\b", text) for name in names)
    shown = spec["transform"][0]["filter"]
    assert all(f"datum.family === '{family}'" in shown for family in speed_chart.COLOURS)
    sizes = next(p["bind"]["options"] for p in spec["params"] if p["name"] == "size")
    assert sizes == [None, 640, 1280]


def test_hovering_shows_fields_that_are_there():
    spec = speed_chart.specification(ROWS)
    fields = {entry["field"] for entry in spec["layer"][1]["encoding"]["tooltip"]}
    assert fields <= set(spec["data"]["values"][0])
    assert json.loads(json.dumps(spec)) == spec, "plain data: a notebook stores it as it is"


def test_all_marks_lie_inside_both_charts():
    for row in ROWS:
        assert speed_chart.FPS[0] < row.fps_v100 < speed_chart.FPS[1]
        assert speed_chart.AP[0] < row.ap_val < speed_chart.AP[1]
    axes = speed_chart.figure(ROWS).axes[0]
    assert [text.get_text() for text in axes.texts] == [row.model for row in front(ROWS)]
    assert len(axes.get_legend().get_texts()) == 7


def test_one_output_carries_both_forms(monkeypatch, capsys):
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: bundles.append(bundle))
    speed_chart.explore(ROWS, "a line")
    assert capsys.readouterr().out == "a line\n"
    assert set(bundles[0]) == {speed_chart.MIME, "image/jpeg", "text/plain"}
    assert base64.b64decode(bundles[0]["image/jpeg"])[:2] == b"\xff\xd8"
    assert len(json.dumps(bundles[0][speed_chart.MIME])) < 10_000


def test_jupyterlab_draws_this_version():
    jupyterlab = pytest.importorskip("jupyterlab")
    from pathlib import Path

    static = Path(jupyterlab.__file__).parents[4] / "share" / "jupyter" / "lab" / "static"
    scripts = list(static.glob("*.js")) if static.is_dir() else []
    if not scripts:
        pytest.skip("JupyterLab's page lies elsewhere")
    assert any(speed_chart.MIME in script.read_text(encoding="utf-8", errors="replace") for script in scripts)


def test_both_forms_speak_the_lessons_language(marked, monkeypatch):
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: bundles.append(bundle))
    drawn = []
    monkeypatch.setattr(charts, "render", lambda chart: drawn.append(chart) or np.zeros((4, 4, 3), np.uint8))
    speed_chart.explore(ROWS, "")
    page = json.dumps(bundles[0][speed_chart.MIME], ensure_ascii=False)
    words = (
        *(speed_chart.TITLE, speed_chart.FRONT, speed_chart.X_TITLE, speed_chart.Y_TITLE),
        *("both", "input size ", "family", "input, px", "model", "AP val, %", "pictures/s", "parameters, M"),
    )
    assert [word for word in words if f'"«{word}»"' not in page] == []
    assert bundles[0]["text/plain"] == f"<«chart of {len(ROWS)} detectors»>"
    assert page.count('"«input, px»"') == 2, "in the legend, and where the pointer rests"
    axes = drawn[0].axes[0]
    titles = [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
    assert titles == [f"«{text}»" for text in (speed_chart.TITLE, speed_chart.X_TITLE, speed_chart.Y_TITLE)]
