"""Speed against accuracy: an interactive chart where a notebook draws Vega-Lite, a picture where it does not.

JupyterLab brings Vega-Lite 5 and needs no network for it; so does VS Code. A page that does not know it
(GitHub, an HTML export) shows the JPEG that travels in the same output. The specification is written by hand,
as the data structure that it is (https://vega.github.io/vega-lite/docs/): Altair 6 writes version 6, which
JupyterLab 4.6 does not draw.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from helpers.course.place import say
from helpers.course.sota import FAMILIES, Row, front
from helpers.wording import wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MIME", "explore", "figure", "specification"]

MIME = "application/vnd.vegalite.v5+json"
COLOURS = dict(zip(FAMILIES, ("#c2410c", "#3b6fb6", "#2f8f6b", "#8a5bb0", "#7a7465"), strict=True))
SHAPES = {640: ("circle", "o"), 1280: ("diamond", "D")}
TICKS = (40, 60, 80, 100, 150, 200, 300)
FPS, AP = (31, 380), (27, 60)
TITLE, FRONT = "Faster to the right, more accurate to the top", "Pareto front of these "
X_TITLE, Y_TITLE = "pictures a second (V100, batch 1; logarithmic)", "AP on COCO val, %"
_INK, _CARD, _RULE = "#22303c", "#fbfaf7", "#d9d6ce"
Spec = dict[str, Any]


def explore(rows: Iterable[Row], line: str) -> None:
    """Show the chart in the richest form that the page knows, and a line that a check compares.

    Args:
        rows: What to draw.
        line: What the chart shows, in words.
    """
    from IPython.display import display

    from helpers.course.charts import render
    from helpers.course.language import translate_figure
    from helpers.drawing import encode_jpeg

    rows = list(rows)
    translate_figure(chart := figure(rows))
    jpeg = b64encode(encode_jpeg(render(chart), quality=92)).decode()
    text = f"<{wording(f'chart of {len(rows)} detectors')}>"
    bundle = {MIME: specification(rows), "image/jpeg": jpeg, "text/plain": text}
    display(bundle, raw=True)  # type: ignore[no-untyped-call]
    say(line)


def specification(rows: Iterable[Row]) -> Spec:
    """The interactive chart: a box to tick for each family, input size, Pareto front of what is shown, hover.

    Example:
        >>> from helpers.course.sota import comparison
        >>> spec = specification(comparison().values())
        >>> len(spec["data"]["values"]), [layer["mark"]["type"] for layer in spec["layer"]]
        (31, ['line', 'point', 'text'])
    """
    encoding = {
        "x": {
            "field": "fps", "type": "quantitative", "title": wording(X_TITLE),
            "scale": {"type": "log", "domain": list(FPS), "nice": False}, "axis": {"values": list(TICKS)},
        },
        "y": {
            "field": "ap", "type": "quantitative", "title": wording(Y_TITLE), "scale": {"domain": list(AP)},
        },
    }  # fmt: skip
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": 620, "height": 380, "background": _CARD, "padding": 12,
        "title": {"text": wording(TITLE), "anchor": "start", "fontSize": 15},
        "data": {"values": [_value(row) for row in rows]},
        "params": _controls(),
        "transform": [{"filter": _shown()}],
        "encoding": encoding,
        "layer": [_front_line(), _points(), _names()],
        "config": {
            "font": "sans-serif", "title": {"color": _INK}, "view": {"stroke": None},
            "axis": {"labelColor": _INK, "titleColor": _INK, "gridColor": _RULE, "domainColor": _RULE,
                     "tickColor": _RULE, "titleFontWeight": "normal"},
            "legend": {"labelColor": _INK, "titleColor": _INK},
        },
    }  # fmt: skip


def _value(row: Row) -> Spec:
    return {
        "model": row.model, "family": row.family, "fps": row.fps_v100, "ap": row.ap_val, "test": row.ap_test,
        "params": row.params_m, "flops": row.flops_g, "px": row.size_px,
    }  # fmt: skip


def _controls() -> list[Spec]:
    """A box to tick for each family, one for the front; one choice of the input size."""
    sizes = [None, *SHAPES]
    labels = [wording("both"), *(f"{size} px" for size in SHAPES)]
    ticks: list[Spec] = [
        {"name": f"family{place}", "value": True, "bind": {"input": "checkbox", "name": f"{family} "}}
        for place, family in enumerate(FAMILIES)
    ]
    size = {"input": "radio", "options": sizes, "labels": labels, "name": wording("input size ")}
    return [
        *ticks,
        {"name": "size", "value": None, "bind": size},
        {"name": "front", "value": True, "bind": {"input": "checkbox", "name": wording(FRONT)}},
    ]  # fmt: skip


def _shown() -> str:
    """Is this row's family ticked, and its input size chosen?"""
    ticked = " || ".join(f"(family{p} && datum.family === '{family}')" for p, family in enumerate(FAMILIES))
    return f"({ticked}) && (size === null || size === datum.px)"


def _on_the_front() -> list[Spec]:
    """Keep what is more accurate than everything faster; Vega-Lite computes it anew at every click.

    The best so far, then the best before: a frame that ends before the row itself would be shorter, but Vega
    takes it for one that ends after it.
    """
    faster_first = [{"field": "fps", "order": "descending"}, {"field": "ap", "order": "descending"}]
    return [
        {"window": [{"op": "max", "field": "ap", "as": "best"}], "sort": faster_first, "ignorePeers": True},
        {"window": [{"op": "lag", "field": "best", "as": "best_faster"}], "sort": faster_first},
        {"filter": "front && (!isValid(datum.best_faster) || datum.ap > datum.best_faster)"},
    ]


def _front_line() -> Spec:
    look = {"color": _INK, "strokeDash": [5, 4], "opacity": 0.55}
    mark = {"type": "line", "interpolate": "step-before", **look}
    return {"transform": _on_the_front(), "mark": mark}


def _points() -> Spec:
    shapes = [shape for shape, _ in SHAPES.values()]
    names = {
        "model": "model", "ap": "AP val, %", "test": "AP test, %", "fps": "pictures/s",
        "params": "parameters, M", "flops": "FLOPs, G", "px": "input, px",
    }  # fmt: skip
    over = {"name": "over", "select": {"type": "point", "on": "pointerover", "clear": "pointerout"}}
    return {
        "params": [over],
        "mark": {"type": "point", "filled": True, "opacity": 0.9, "cursor": "pointer"},
        "encoding": {
            "color": {"field": "family", "type": "nominal", "title": wording("family"),
                      "scale": {"domain": list(FAMILIES), "range": list(COLOURS.values())}},
            "shape": {"field": "px", "type": "nominal", "title": wording("input, px"),
                      "scale": {"domain": list(SHAPES), "range": shapes}},
            "size": {"condition": {"param": "over", "empty": False, "value": 260}, "value": 110},
            "tooltip": [{"field": field, "title": wording(title)} for field, title in names.items()],
        },
    }  # fmt: skip


def _names() -> Spec:
    mark = {"type": "text", "align": "left", "dx": 8, "dy": -6, "angle": -14, "fontSize": 10.5, "color": _INK}
    return {"transform": _on_the_front(), "mark": mark, "encoding": {"text": {"field": "model"}}}


def figure(rows: Iterable[Row]) -> Figure:
    """The same as a still picture: colour is the family, form the input size, dashes the Pareto front.

    Example:
        >>> from helpers.course.sota import comparison
        >>> figure(comparison().values()).axes[0].get_xscale()
        'log'
    """
    from helpers.course.charts import figure as empty

    rows = list(rows)
    chart, axes = empty(TITLE, (8.2, 5.0))
    axes.set(xscale="log", xlim=FPS, ylim=AP, xticks=TICKS, xticklabels=[str(tick) for tick in TICKS])
    axes.minorticks_off()
    axes.grid(color=_RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel(X_TITLE, color=_INK, fontsize=9)
    axes.set_ylabel(Y_TITLE, color=_INK, fontsize=9)
    best = front(rows)
    x, y = [row.fps_v100 for row in best], [row.ap_val for row in best]
    axes.step(x[::-1], y[::-1], where="pre", color=_INK, linestyle=(0, (5, 4)), linewidth=1.2, alpha=0.6)
    for row in rows:
        marker = SHAPES[row.size_px][1]
        colour = COLOURS[row.family]
        axes.scatter(row.fps_v100, row.ap_val, 46, colour, marker=marker, zorder=3, linewidths=0)
    for row in best:
        text = axes.annotate(row.model, (row.fps_v100, row.ap_val), (5, 4), textcoords="offset points")
        text.set(fontsize=8, color=_INK, rotation=14)
    _add_legend(axes)
    return chart


def _add_legend(axes: Axes) -> None:
    for family, colour in COLOURS.items():
        axes.scatter([], [], 46, colour, label=family)
    for size, (_, marker) in SHAPES.items():
        axes.scatter([], [], 40, "none", marker=marker, edgecolors=_INK, label=f"{size} px")
    axes.legend(loc="lower left", frameon=False, labelcolor=_INK, fontsize=9, ncols=1)
