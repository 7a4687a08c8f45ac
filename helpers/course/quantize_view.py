"""What the lesson on INT8 draws: what calibration saw, noise by layers in float, accuracy against speed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from helpers.course.charts import PALETTE, figure, lines
from helpers.graph import op_counts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from helpers.patches.quantize_ranges import Ranges

__all__ = ["compiled_counts", "noise_chart", "range_chart", "short_name", "trade_off_chart"]


def range_chart(ranges: Ranges, values: Mapping[str, str]) -> Figure:
    """Histograms side by side; what the 256 steps cover is grey.

    Args:
        ranges: From `calibrate`.
        values: Label to name of a value.
    """
    chart, frame = figure("What calibration sees", (8.4, 3.0))
    frame.set_axis_off()
    for place, (label, value) in enumerate(values.items()):
        axes = chart.add_axes((0.07 + 0.5 * place, 0.1, 0.42, 0.71), facecolor=chart.get_facecolor())
        counts, edges = ranges.histograms[value]
        low, high = ranges.limits[value]
        axes.stairs(np.maximum(counts, 0.5), edges, fill=True, baseline=0.5, color=PALETTE[place])
        axes.set(yscale="log", xlim=(1.1 * low, 1.1 * high), ylim=(0.5, None))
        axes.set_title(f"{label}: {low:.1f} to {high:.1f}, step {(high - low) / 255:.2f}", fontsize=9.5)
        axes.axvspan(low, high, color="#9aa3ad", alpha=0.22, linewidth=0, zorder=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#d9d6ce")
        axes.tick_params(labelsize=8, length=0, which="both")
    return chart


def noise_chart(noise: Sequence[float], limit: float) -> Figure:
    """Noise at the head by the number of layers in float, in thousandths; the limit as a dashed line.

    >>> noise_chart([0.02, 0.004], 0.01).axes[0].get_ylabel()
    '‰'
    """
    values = [1000 * each for each in noise]
    chart = lines(
        range(len(values)), {"noise": values}, title="Noise at the head against layers kept in float",
        x_label="layers in float", y_label="‰",
    )  # fmt: skip
    axes = chart.axes[0]
    axes.plot(range(len(values)), values, "o", color=PALETTE[0])
    axes.axhline(1000 * limit, color=PALETTE[1], linestyle="--", linewidth=1.5)
    axes.set(xticks=range(len(values)), ylim=(0, None))
    return chart


def trade_off_chart(speed: Mapping[str, float], accuracy: Mapping[str, float]) -> Figure:
    """A dot for each form: how many times as fast as FP32, and its AP."""
    chart, axes = figure("Accuracy against speed, on this machine", (8.0, 4.0))
    for place, name in enumerate(speed):
        axes.scatter(speed[name], accuracy[name], s=60, color=PALETTE[place % len(PALETTE)], zorder=3)
    axes.set_xlabel("times as fast as FP32", fontsize=9)
    axes.set_ylabel("AP", fontsize=9)
    axes.margins(0.16)
    axes.grid(color="#d9d6ce", linewidth=0.8)
    _name_dots(chart, axes, {name: (speed[name], accuracy[name]) for name in speed})
    return chart


def _name_dots(chart: Figure, axes: Axes, spots: Mapping[str, tuple[float, float]]) -> None:
    """Write each name above or below its dot, further away where it would lie on another name or dot."""
    from matplotlib.transforms import Bbox

    chart.draw_without_rendering()
    pixels = axes.transData.transform(list(spots.values()))
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in pixels]
    for place, (name, spot) in enumerate(spots.items()):
        color = PALETTE[place % len(PALETTE)]
        text = axes.annotate(
            name, spot, xytext=(0, 8), textcoords="offset points", fontsize=9, ha="center", color=color
        )
        for rise in (8, -17, 21, -30, 34, -43):
            text.set_position((0, rise))
            frame = text.get_window_extent().padded(2)
            if frame.count_overlaps(taken) == 0:
                break
        taken.append(frame)


def compiled_counts(model: onnx.ModelProto) -> dict[str, int]:
    """Operators of the graph that ONNX Runtime makes of a model for this CPU, counted.

    >>> model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 17]>
    ...     net (float[n] x) => (float[n] y) { z = Identity(x) y = Relu(z) }''')
    >>> compiled_counts(model)
    {'Relu': 1}
    """
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(Path(folder) / "compiled.onnx")
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return op_counts(onnx.load(options.optimized_model_filepath))


def short_name(name: str) -> str:
    """A layer's name without what all names have.

    >>> short_name("/model.77/m/0/Conv"), short_name("/model.3/conv/Conv")
    ('77/m/0', '3')
    """
    return name.removeprefix("/model.").removesuffix("/Conv").removesuffix("/conv")
