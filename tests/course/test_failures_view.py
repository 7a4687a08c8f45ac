"""The drawing of the lesson on failures, read back from the figure."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.course.charts import render
from helpers.course.failures_view import in_half, nms_chart

FOUR = [[145, 123, 176, 149], [156, 125, 187, 151], [216, 117, 236, 139], [218, 118, 239, 141]]
NAMES = ("A", "B", "C", "C again")


@pytest.mark.parametrize(
    ("number", "grid"), [(0, 0.25), (12, 4), (24, 8), (30, 16), (50, 16), (52, 32), (79, 32)]
)
def test_boxes_lie_on_the_grid_of_fp16(number, grid):
    seen = in_half(FOUR, number)
    assert not (seen % grid).any()
    assert np.abs(seen - FOUR).max() <= grid / 2
    assert in_half(np.zeros((0, 4)), number).shape == (0, 4)


def test_panels_titles_and_boxes():
    kept = {0: ["A", "B", "C"], 30: ["A", "B", "C"], 79: ["A", "C", "C again"]}
    chart = nms_chart(FOUR, NAMES, kept)
    panels = chart.axes[1:]
    assert [axes.get_title(loc="left") for axes in panels] == [
        "class 0, grid 0.125 px: keeps A, B, C",
        "class 30, grid 16 px: keeps A, B, C",
        "class 79, grid 32 px: keeps A, C, C again",
    ]
    colours = [axes._left_title.get_color() for axes in panels]
    assert colours == ["#22303c", "#22303c", "#b3261e"]  # red, where the NMS keeps others
    assert not len(panels[0].get_xgridlines()) or not panels[0].xaxis.get_gridlines()[0].get_visible()
    for axes, step in ((panels[1], 16), (panels[2], 32)):
        assert set(np.diff(axes.get_xticks())) == set(np.diff(axes.get_yticks())) == {step}
        assert axes.xaxis.get_gridlines()[0].get_visible()
    for axes, number in zip(panels, kept, strict=True):
        drawn = [[*patch.get_xy(), patch.get_x() + patch.get_width(), patch.get_y() + patch.get_height()]
                 for patch in axes.patches]  # fmt: skip
        assert np.allclose(drawn, in_half(FOUR, number))
    assert [len(axes.lines) for axes in panels] == [0, 0, 2]  # dots, where nothing is left of a box
    assert [[text.get_text() for text in axes.texts] for axes in panels] == [
        ["A", "B", "C", "C again"], ["A", "B", "C, C again"], ["A, B", "C, C again"],
    ]  # fmt: skip
    assert render(chart).ndim == 3


def test_no_class_at_all():
    assert len(nms_chart(FOUR, NAMES, {}).axes) == 1
