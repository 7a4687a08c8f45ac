"""What the lesson on failures draws: the boxes that an NMS compares, on the grid of FP16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from helpers.course.charts import PALETTE, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

__all__ = ["in_half", "nms_chart"]

OFFSET = 640  # pixels by which the official exporter moves each class


def in_half(boxes_xyxy: ArrayLike, number: int) -> NDArray[np.float32]:
    """Boxes `[n, 4]` of a class as an NMS in FP16 sees them, moved back to where they were, pixels.

    >>> in_half([[100, 96, 118, 128]], 79).tolist()
    [[96.0, 96.0, 128.0, 128.0]]
    """
    moved = np.asarray(boxes_xyxy, np.float32) + number * OFFSET
    return np.asarray(moved.astype(np.float16).astype(np.float32) - number * OFFSET, np.float32)


def nms_chart(boxes_xyxy: ArrayLike, names: Sequence[str], kept: Mapping[int, Sequence[str]]) -> Figure:
    """The same boxes for some classes, two panels a row; a box without a size becomes a dot.

    Args:
        boxes_xyxy: `[n, 4]`, pixels.
        names: Of the boxes.
        kept: Class number to the names of the boxes that its NMS keeps.
    """
    boxes = np.asarray(boxes_xyxy, np.float32)
    rows = -(-len(kept) // 2)
    chart, frame = figure("The same boxes, as the NMS sees them in FP16", (8.4, 0.5 + 2.3 * rows))
    frame.set_axis_off()
    low, high = boxes[:, :2].min(0) - 18, boxes[:, 2:].max(0) + 18
    for place, (number, left) in enumerate(kept.items()):
        height = (1 - 0.12 / rows) / rows
        corner = (0.02 + 0.5 * (place % 2), 0.01 + height * (rows - 1 - place // 2))
        axes = chart.add_axes((*corner, 0.46, height * 0.8))
        _panel(axes, in_half(boxes, number), names)
        step = float(np.spacing(np.float16(number * OFFSET + boxes.max())))
        if step > 2:
            axes.set_xticks(np.arange(low[0] // step * step, high[0], step))
            axes.set_yticks(np.arange(low[1] // step * step, high[1], step))
            axes.grid(color="#d9d6ce", linewidth=0.7)
        axes.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]), aspect="equal")
        color = "#22303c" if list(left) == list(next(iter(kept.values()))) else "#b3261e"
        text = f"class {number}, grid {step:g} px: keeps {', '.join(left)}"
        axes.set_title(text, fontsize=10, color=color, loc="left")
    return chart


def _panel(axes: Axes, seen: NDArray[np.float32], names: Sequence[str]) -> None:
    from matplotlib.patches import Rectangle

    axes.set_facecolor("#fbfaf7")
    axes.tick_params(labelbottom=False, labelleft=False, length=0)
    axes.spines[:].set_color("#d9d6ce")
    axes.set_axisbelow(True)
    said: dict[tuple[float, ...], list[str]] = {}
    for place, (box, name) in enumerate(zip(seen.tolist(), names, strict=True)):
        x0, y0, x1, y1 = box
        color, style = PALETTE[place % len(PALETTE)], "--" if place % 2 else "-"
        if x1 <= x0 or y1 <= y0:
            axes.plot([x0], [y0], "o", color=color, markersize=9 - 4 * (place % 2), zorder=3)
        size = (x1 - x0, y1 - y0)
        axes.add_patch(
            Rectangle((x0, y0), *size, fill=False, edgecolor=color, linewidth=2.4, linestyle=style)
        )
        said.setdefault(tuple(box), []).append(name)
    for (x0, y0, x1, y1), who in said.items():
        below = len(who) == 1 and names.index(who[0]) % 2  # so that labels of neighbours keep apart
        spot, offset = ((x1, y1), (0, -11)) if below else ((x0, y0), (0 if x1 > x0 else 6, 4))
        axes.annotate(
            ", ".join(who), spot, xytext=offset, textcoords="offset points", fontsize=9,
            color="#22303c", ha="right" if below else "left",
        )  # fmt: skip
