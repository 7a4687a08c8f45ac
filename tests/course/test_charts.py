"""Charts: one style, real pixels, one line, and no backend switched."""

from __future__ import annotations

import subprocess
import sys

from helpers.course import charts


def test_no_bars_and_some():
    assert charts.render(charts.bars({}, title="nothing")).shape[2] == 3
    chart = charts.bars({"Conv": 58.0, "Mul": 3.0}, title="Operators", unit="nodes")
    texts = [text.get_text() for text in chart.axes[0].texts]
    assert texts == ["58 nodes", "3 nodes"]
    pixels = charts.render(chart)
    blue, _, red = pixels[pixels.shape[0] // 2 - 30, pixels.shape[1] // 2]
    assert blue > red, "the first bar, in the palette's blue"
    assert tuple(pixels[1, 1]) == (0xF7, 0xFA, 0xFB), "a card that reads on light and dark pages"


def test_lines_have_a_legend_where_there_are_several():
    one = charts.lines([0, 1], {"a": [0, 1]}, title="t")
    two = charts.lines([0, 1], {"a": [0, 1], "b": [1, 0]}, title="t", x_label="x", y_label="y")
    assert one.axes[0].get_legend() is None
    assert len(two.axes[0].get_legend().get_texts()) == 2


def test_presenting_shows_a_jpeg_and_says_the_line(monkeypatch, capsys):
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw, metadata: bundles.append(bundle))
    charts.present(charts.bars({"a": 1}, title="t"), "a 1")
    assert capsys.readouterr().out == "a 1\n"
    assert len(bundles[0]["image/jpeg"]) <= 75_000


def test_importing_switches_no_backend():
    program = "import sys; from helpers.course import charts; charts.bars({}, title='t')\n"
    program += "print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
