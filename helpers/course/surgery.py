"""Two graphs side by side, and detections as a table: what the lesson on patches shows after every edit."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from helpers.course.place import say
from helpers.wording import columns, wording

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx
    from numpy.typing import ArrayLike

    from helpers.graph import GraphView
    from helpers.table import Table

__all__ = ["SEVEN", "SIX", "before_after", "output_text", "pair_svg", "rows_table"]

SEVEN = ("picture", "x0", "y0", "x1", "y1", "class", "score")
SIX = ("x0", "y0", "x1", "y1", "score", "class")
_GAP, _CAPTION = 28, 34


def output_text(model: onnx.ModelProto) -> str:
    """Name and shape of a graph's output, in one line.

    >>> import onnx
    >>> output_text(onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 17]>
    ...     g (float[n, 7] x) => (float[n, 7] y) { y = Identity(x) }'''))
    'y [n, 7]'
    """
    from helpers.patches import shape_of

    value = model.graph.output[0]
    return f"{value.name} [{', '.join(str(size or '?') for size in shape_of(value) or ())}]"


def rows_table(rows: ArrayLike, columns: Sequence[str], limit: int = 4, *, first: int = 0) -> Table:
    """Some rows of detections under their column names: pixels and classes whole, scores to hundredths.

    Args:
        rows: `[n, len(columns)]`.
        columns: Their names.
        limit: How many rows are shown.
        first: The first row that is shown.

    >>> print(rows_table([[10.4, 20, 30, 40, 0.912, 1]], SIX))
    row  x0  y0  x1  y1  score  class
      0  10  20  30  40  0.91       1

    Raises:
        ValueError: The rows have another number of columns.
    """
    import numpy as np

    from helpers.table import Table

    table = np.asarray(rows, np.float64)
    if table.ndim != 2 or table.shape[1] != len(columns):
        raise ValueError(
            f"rows: expected shape [n, {len(columns)}], got {list(table.shape)}. Fix: name every column"
        )
    lines = tuple(
        (
            number,
            *(f"{v:.2f}" if name == "score" else round(v) for v, name in zip(row, columns, strict=True)),
        )
        for number, row in enumerate(table[first : first + limit].tolist(), first)
    )
    return Table(("row", *columns), lines)


def before_after(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    *,
    context: int = 1,
    captions: tuple[str, str] = ("before", "after"),
) -> None:
    """Show the ends of two graphs side by side, nodes that only one has in bold, and say what changed.

    Args:
        before: One graph.
        after: The other one, which begins with the same nodes.
        context: How many of the nodes they share are drawn, counted from the last.
        captions: Above the drawings.
    """
    from IPython.display import display

    from helpers.graph import diff_graphs, subgraph

    names = [[node.name or node.output[0] for node in model.graph.node] for model in (before, after)]
    alike = 0
    for one, other in zip(*names, strict=False):
        if one != other:
            break
        alike += 1
    views = [
        subgraph(model, own[max(0, alike - context) :], own[alike:])
        for model, own in zip((before, after), names, strict=True)
    ]
    line = f"nodes: {diff_graphs(before, after)}; output: {output_text(before)} -> {output_text(after)}"
    bundle = {
        "image/svg+xml": pair_svg(views, captions),
        "text/plain": f"<two graphs: {' | '.join(map(wording, captions))}>",
    }
    display(bundle, raw=True)  # type: ignore[no-untyped-call]
    say(line)


def pair_svg(views: Sequence[GraphView], captions: Sequence[str]) -> str:
    """Drawings of graphs in a row, each with a caption, in one SVG no wider than a page; on a light card."""
    from helpers.graph import to_svg
    from helpers.graph_svg import PAGE

    parts, left, tallest = [], 0.0, 0.0
    for view, caption in zip(views, captions, strict=True):
        svg = to_svg(view)
        found = re.search(r"viewBox='0 0 (\d+) (\d+)'", svg)
        width, height = (int(found[1]), int(found[2])) if found else (400, 300)
        own = f" x='{left:g}' y='{_CAPTION}' width='{width}' height='{height}'"
        inner = re.sub(r" width='\d+'([^>]*?) style='[^']*'", rf"{own}\1", svg, count=1)
        caption = wording(caption, label=True)
        place = f"x='{left + 4:g}' y='22' font-size='15' font-weight='600' fill='#1d2430'"
        text = f"<text {place}>{escape(caption)}</text>"
        parts.append(text + inner)
        left += max(width, 9 * columns(caption)) + _GAP
        tallest = max(tallest, height)
    wide, high = left - _GAP + 24, tallest + _CAPTION + 12
    shown = f"width='{min(wide, PAGE):g}' style='max-width:100%;height:auto' role='img'"
    box = f"viewBox='-12 0 {wide:g} {high:g}' {shown}"
    card = f"<rect x='-12' width='{wide:g}' height='{high:g}' rx='10' fill='#ffffff'/>"
    font = "font-family='system-ui,Segoe UI,Helvetica,Arial,sans-serif'"
    return f"<svg xmlns='http://www.w3.org/2000/svg' {box} {font}>{card}{''.join(parts)}</svg>"
