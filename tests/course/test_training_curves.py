"""The curves of a run: what is drawn, when it is drawn anew, and what a resumed run replaces."""

from __future__ import annotations

import json

import pytest

from helpers.course import training_curves
from helpers.course.charts import render
from helpers.course.training_curves import LiveCurves, _means, curves_figure, read_history, recorded_history

RUN = [
    {"step": 20, "box": 0.06, "objectness": 0.04, "classes": 0.02, "auxiliary": 0.03},
    {"step": 40, "box": 0.05, "objectness": 0.03, "classes": 0.0, "auxiliary": 0.02},
    {"step": 40, "AP50": 0.5, "AP": 0.25},
    {"step": 60, "AP50": 0.75, "AP": 0.5},
]


def drawn(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines}


def test_nothing_to_draw():
    chart = curves_figure({"this run": []}, 100)
    assert [len(axes.lines) for axes in chart.axes] == [0, 0]
    assert chart.axes[0].get_xlim() == (0, 100)
    assert render(chart).shape[2] == 3


def test_terms_and_precision():
    chart = curves_figure({"this run": RUN}, 80, [30])
    left, right = chart.axes
    losses = drawn(left)
    assert losses["box"] == [[20, 0.06], [40, 0.05]]
    assert losses["classes"] == [[20, 0.02]], "a term of 0 has no place on a scale by powers of ten"
    assert drawn(right)["AP50"] == [[40, 0.5], [60, 0.75]]
    assert drawn(right)["AP"] == [[40, 0.25], [60, 0.5]]
    assert left.get_xlim() == (0, 80)
    assert right.get_xlim()[1] > 80, "room for the names of the lines"
    assert max(right.get_xticks()) <= 80
    assert [text.get_text() for text in right.texts] == ["AP 0.50", "AP50 0.75"]
    assert left.lines[-1].get_xdata()[0] == 30, "where the run was interrupted"
    assert left.get_yscale() == "log"


def test_a_run_without_lines_beside_one_with():
    """No warning from matplotlib, which warnings-as-errors would turn into a failure."""
    chart = curves_figure({"stopped at once": [], "long": RUN})
    assert [(axes.get_legend(), len(axes.texts)) for axes in chart.axes] == [(None, 0), (None, 0)]
    assert render(chart).shape[2] == 3


def test_two_runs_by_their_share():
    """60 and 600 steps are both 100 %; the second is dashed, and named."""
    longer = [{**entry, "step": entry["step"] * 10} for entry in RUN]
    left, right = curves_figure({"short": RUN, "long": longer}).axes
    boxes = [line for line in left.lines if line.get_color() == left.lines[0].get_color()]
    assert boxes[0].get_xdata()[0] == pytest.approx(100 / 3)
    assert boxes[0].get_xydata().tolist() == pytest.approx(boxes[1].get_xydata())
    assert [line.get_linestyle() for line in boxes] == ["-", "--"]
    assert right.get_title(loc="left") == "AP; solid: short, dashed: long"
    assert max(right.get_xticks()) == 100
    assert [text.xy[0] for text in right.texts] == [100, 100], "of the solid run alone"


def extents(chart, artists):
    chart.draw_without_rendering()
    return [artist.get_window_extent() for artist in artists]


@pytest.mark.parametrize("last", [0.0, 0.02, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_nothing_lies_on_the_names_of_the_lines(last, share):
    """Names stand right of the last point, clear of each other and of the axes' edges; so does the legend."""
    entries = [{**RUN[0], "step": step} for step in range(20, 121, 20)]
    entries += [{"step": step, "AP50": last, "AP": last * 0.95} for step in (40, 120)]
    chart = curves_figure({"this run": entries}, round(120 / share))
    left, right = chart.axes
    low, high = extents(chart, right.texts)
    assert low.y1 <= high.y0
    panel, figure = right.get_window_extent(), chart.bbox
    assert panel.y0 <= low.y0 + 1
    assert high.y1 <= panel.y1 + 6
    assert high.x1 <= figure.x1
    end_x = max(line.get_transform().transform(line.get_xydata()[-1])[0] for line in right.lines)
    assert min(low.x0, high.x0) > end_x
    legend = left.get_legend().get_window_extent()
    for line in left.lines:
        path = line.get_transform().transform(line.get_xydata())
        assert path[:, 1].min() > legend.y1, line.get_label()


@pytest.mark.parametrize(
    ("count", "most", "kept"), [(0, 5, 0), (3, 5, 3), (5, 5, 5), (6, 5, 3), (100, 30, 25), (60, 30, 30)]
)
def test_means_keep_few_points(count, most, kept):
    points = _means([(step, 1.0) for step in range(count)], most)
    assert len(points) == kept
    assert all(value == 1.0 for _, value in points)


def test_history_is_read_line_by_line(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in RUN) + "\n", encoding="utf-8")
    assert read_history(path) == RUN
    with pytest.raises(FileNotFoundError):
        read_history(tmp_path / "none.jsonl")


def test_the_recorded_run_has_losses_and_precision():
    entries = recorded_history()
    assert any("box" in entry for entry in entries)
    assert max(entry.get("AP50", 0) for entry in entries) > 0.8
    assert [entry["step"] for entry in entries] == sorted(entry["step"] for entry in entries)


class Handle:
    """What IPython gives back for a picture that can be changed."""

    def __init__(self):
        self.updates = []

    def update(self, bundle, raw):
        assert raw
        self.updates.append(bundle)


@pytest.fixture
def screen(monkeypatch):
    handle, shown = Handle(), []

    def display(bundle, raw, display_id=False):
        shown.append(bundle)
        return handle if display_id else None

    monkeypatch.setattr("IPython.display.display", display)
    return handle, shown


def test_without_a_screen_there_is_one_picture_at_the_end(screen):
    handle, shown = screen
    curves = LiveCurves(60)
    with curves:
        for entry in RUN:
            curves(entry)
        assert shown == []
    assert len(shown) == 1
    assert shown[0]["image/jpeg"][:2] == b"\xff\xd8"
    assert handle.updates == []


def test_on_a_screen_it_is_redrawn_as_it_goes(screen, monkeypatch):
    handle, shown = screen
    clock = [100.0]
    monkeypatch.setattr(training_curves, "is_headless", lambda: False)
    monkeypatch.setattr(training_curves.time, "monotonic", lambda: clock[0])
    curves = LiveCurves(60, every_s=2.0)
    with curves:
        assert len(shown) == 1
        curves(RUN[0])
        assert handle.updates == [], "too soon"
        clock[0] += 2.0
        curves(RUN[1])
        assert len(handle.updates) == 1
        curves(RUN[2])
        assert len(handle.updates) == 1, "too soon again"
    assert len(handle.updates) == 2, "a last time at the end"
    assert len(shown) == 1
    curves(RUN[3])
    assert len(handle.updates) == 2, "nothing outside of the block"


def test_a_resumed_run_replaces_what_it_writes_again():
    curves = LiveCurves(60)
    for entry in RUN:
        curves(entry)
    curves({"step": 40, "box": 0.01})
    assert [entry for entry in curves.history if "box" in entry] == [RUN[0], {"step": 40, "box": 0.01}]
    assert [entry["step"] for entry in curves.history if "AP50" in entry] == [40, 60]


def test_blocks_mark_where_the_run_was_interrupted(screen):
    curves = LiveCurves(60)
    with curves:
        curves(RUN[0])
    with curves:
        curves(RUN[1])
    assert curves.stops == [20]
