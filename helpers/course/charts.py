"""Charts in one style, on a card of their own so that they read on a light and on a dark page.

Figures are made without pyplot, so importing this switches no backend. Each shows itself as a JPEG through
`helpers.drawing.show` and says one line that can be checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from helpers.course.place import say

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["PALETTE", "bars", "figure", "lines", "present", "render"]

PALETTE = ("#3b6fb6", "#d1622b", "#2f8f6b", "#8a5bb0", "#b8860b", "#5c6b7a")
_INK, _CARD, _RULE = "#22303c", "#fbfaf7", "#d9d6ce"


def figure(title: str, size_in: tuple[float, float] = (7.2, 3.6)) -> tuple[Figure, Axes]:
    """An empty chart in the course's style.

    >>> chart, axes = figure("Nodes per part")
    >>> axes.get_title(loc="left")
    'Nodes per part'
    """
    from matplotlib.figure import Figure

    chart = Figure(figsize=size_in, dpi=110, facecolor=_CARD, layout="constrained")
    axes = chart.add_subplot(facecolor=_CARD)
    axes.set_title(title, loc="left", color=_INK, fontsize=12, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_RULE)
    axes.tick_params(colors=_INK, labelsize=9, length=0)
    axes.set_prop_cycle(color=PALETTE)
    return chart, axes


def bars(values: Mapping[str, float], *, title: str, unit: str = "", digits: int = 0) -> Figure:
    """Horizontal bars, the first on top, each with its value.

    Args:
        values: Label to value.
        title: What the reader should see.
        unit: Behind each value, for example `ms`.
        digits: After the point.
    """
    chart, axes = figure(title, (7.2, 1.0 + 0.34 * max(1, len(values))))
    drawn = axes.barh(list(values), list(values.values()), color=PALETTE[0], height=0.68)
    texts = [f"{value:,.{digits}f}{' ' + unit if unit else ''}" for value in values.values()]
    axes.bar_label(drawn, texts, padding=4, color=_INK, fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.14)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    return chart


def lines(
    x: Sequence[float],
    series: Mapping[str, Sequence[float]],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
) -> Figure:
    """Lines over one axis, named in a legend where there are several."""
    chart, axes = figure(title)
    for name, y in series.items():
        axes.plot(x, y, label=name, linewidth=2)
    axes.set_xlabel(x_label, color=_INK, fontsize=9)
    axes.set_ylabel(y_label, color=_INK, fontsize=9)
    axes.grid(axis="y", color=_RULE, linewidth=0.8)
    if len(series) > 1:
        axes.legend(frameon=False, labelcolor=_INK, fontsize=9)
    return chart


def render(chart: Figure) -> NDArray[np.uint8]:
    """The figure's pixels, `image_bgr` `uint8[H, W, 3]`.

    >>> render(bars({"Conv": 58.0, "Mul": 3.0}, title="Operators")).shape[2]
    3
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from helpers.course.language import translate_figure

    translate_figure(chart)
    canvas: Any = FigureCanvasAgg(chart)
    canvas.draw()
    rgba = np.asarray(canvas.buffer_rgba())
    return np.ascontiguousarray(rgba[:, :, 2::-1])


def present(chart: Figure, line: str, *, quality: int = 92) -> None:
    """Show a figure and say the line beside it, which a check compares: it cannot see pictures.

    Args:
        chart: The figure.
        line: What can be compared.
        quality: Of the JPEG, 0 to 100.
    """
    from helpers.drawing import show

    show(render(chart), quality=quality, alt=f"chart: {chart.axes[0].get_title(loc='left')}")
    say(line)
