"""Lesson 07's drawings, read back from the figures."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from helpers.course.charts import render
from helpers.course.quantize_view import (
    compiled_counts,
    noise_chart,
    range_chart,
    short_name,
    trade_off_chart,
)
from helpers.patches.quantize_ranges import Ranges


def test_ranges_show_the_histogram_and_what_is_covered():
    counts, edges = np.array([0, 3, 50, 2]), np.linspace(-2, 2, 5)
    ranges = Ranges(
        {"a": (-1.0, 1.55), "b": (-2.0, 2.0)}, {"a": (counts, edges), "b": (counts * 2, edges)}, []
    )
    chart = range_chart(ranges, {"first": "a", "second": "b"})
    titles = [axes.get_title() for axes in chart.axes[1:]]
    assert titles == ["first: -1.0 to 1.6, step 0.01", "second: -2.0 to 2.0, step 0.02"]
    steps = chart.axes[1].patches[0].get_data()
    assert steps.values.tolist() == [0.5, 3, 50, 2]
    assert chart.axes[1].get_xlim() == pytest.approx((-1.1, 1.705))
    assert render(chart).ndim == 3


def test_noise_is_in_thousandths_with_its_limit():
    axes = noise_chart([0.02, 0.008, 0.004], 0.01).axes[0]
    assert axes.lines[0].get_ydata().tolist() == [20, 8, 4]
    assert list(axes.lines[-1].get_ydata()) == [10, 10]


def test_every_form_has_a_dot_and_a_label():
    speed, accuracy = {"FP32": 1.0, "all": 3.0, "INT8": 2.9}, {"FP32": 91.0, "all": 70.0, "INT8": 90.8}
    axes = trade_off_chart(speed, accuracy).axes[0]
    assert [text.get_text() for text in axes.texts] == ["FP32", "all", "INT8"]
    assert [text.get_position()[1] for text in axes.texts] == [8, 8, 8], "where there is room, above"
    assert [spot.get_offsets()[0].tolist() for spot in axes.collections] == [[1, 91], [3, 70], [2.9, 90.8]]


def test_names_of_dots_that_lie_close_do_not_cover_each_other():
    speed = {"FP32": 1.0, "FP16": 0.8, "INT8, two edits less": 1.1, "INT8": 1.05, "20 left": 1.0, "all": 3}
    chart = trade_off_chart(speed, dict.fromkeys(speed, 87.0) | {"all": 65.0})
    (axes,) = chart.axes
    chart.draw_without_rendering()
    frames = [text.get_window_extent() for text in axes.texts]
    dots = axes.transData.transform([spot.get_offsets()[0] for spot in axes.collections])
    for number, frame in enumerate(frames):
        assert frame.count_overlaps(frames[number + 1 :]) == 0
        assert not [dot for dot in dots if frame.contains(*dot)]
        assert frame.y1 < axes.get_window_extent().y1 + 1


def test_counts_are_those_of_the_compiled_graph():
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        net (float[1, 1, 4, 4] x) => (float[1, 1, 4, 4] y) <float[1, 1, 1, 1] w = {2}>
        { z = Identity(x) c = Conv(z, w) y = Relu(c) }""")
    assert "Relu" not in compiled_counts(model)


def test_short_names():
    names = ("/model.77/m/0/Conv", "/model.3/conv/Conv", "first", "Conv/a")
    assert [short_name(each) for each in names] == ["77/m/0", "3", "first", "Conv/a"]
