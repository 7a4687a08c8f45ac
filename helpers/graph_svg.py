"""Draw a part of an ONNX graph as a static SVG: layers from top to bottom, no program outside needed.

A small form of the layered method of Sugiyama et al. (1981): longest-path layers, stand-ins where an edge
passes a layer, sweeps that order each layer by the mean place of its neighbours. The drawing carries its own
light card, so it reads alike on a light and a dark page, and no style sheet, which would leak into the page.
JupyterLab and nbconvert show it as an image that nothing confines, so it is scaled to a page's width here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from helpers.wording import columns, wording

if TYPE_CHECKING:
    from helpers.graph import GraphView

__all__ = ["PAGE", "draw_view"]

PAGE = 880
"""Pixels that a drawing is wide at most; a wider one is scaled."""
FONT = "font-family='system-ui,Segoe UI,Helvetica,Arial,sans-serif'"
COLOURS = {  # border, fill
    "network": ("#2f6db3", "#e4eefa"),
    "arithmetic": ("#a8741a", "#fbf0db"),
    "selection": ("#b23a48", "#fbe5e7"),
    "movement": ("#6a5aa8", "#edeaf8"),
    "shape": ("#5c6773", "#eceff2"),
    "end": ("#2b7a55", "#e2f3ea"),
}
OPERATORS = {
    "network": "Conv LeakyRelu Relu Sigmoid MaxPool Resize BatchNormalization Softplus Tanh HardSwish Swish",
    "arithmetic": "Add Sub Mul Div Pow MatMul Exp Max Min ReduceMax ReduceMin Neg Sqrt Cast",
    "selection": "NonMaxSuppression TopK ArgMax NonZero Greater Less Where",
    "movement": "Concat Slice Gather GatherND GatherElements Transpose Split Pad ScatterND",
}
CATEGORY = {op: kind for kind, ops in OPERATORS.items() for op in ops.split()}
BOX_HEIGHT, LAYER_HEIGHT, GAP, MARGIN = 44, 96, 26, 24


@dataclass
class Box:
    """Something with a place: a node, an end of the graph, or a stand-in of no width on a long edge."""

    title: str
    subtitle: str
    kind: str
    layer: int
    hint: str = ""
    marked: bool = False
    x: float = 0.0
    above: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)

    @property
    def width(self) -> float:
        """Width in pixels, from the length of the text."""
        if self.kind == "bend":
            return 10
        return max(84.0, 8.4 * columns(self.title) + 26, 6.2 * len(self.subtitle) + 22)


def draw_view(view: GraphView) -> str:
    """An SVG of the view: boxes coloured by operator, each value's shape below the box that makes it."""
    boxes, links = _place_in_layers(view)
    paths = _bend_long_edges(boxes, links)
    layers = [
        [i for i, box in enumerate(boxes) if box.layer == n] for n in range(max(b.layer for b in boxes) + 1)
    ]
    _order(boxes, layers)
    _spread(boxes, layers)
    left = min(box.x - box.width / 2 for box in boxes) - MARGIN
    width = max(box.x + box.width / 2 for box in boxes) + MARGIN - left
    height = 2 * MARGIN + LAYER_HEIGHT * (len(layers) - 1) + BOX_HEIGHT
    for box in boxes:
        box.x -= left
    parts = [_edge(boxes, path) for path, _ in paths] + [_box(box) for box in boxes if box.kind != "bend"]
    labels = {(path[0], text): path[1] for path, text in reversed(paths) if text}
    makers = [source for source, _ in labels]
    for (source, text), target in labels.items():
        parts.append(_label(boxes[source], boxes[target], text, alone=makers.count(source) == 1))
    size = f"viewBox='0 0 {width:.0f} {height}' width='{min(width, PAGE):.0f}'"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' {size} {FONT} "
    card = f"<rect width='{width:.0f}' height='{height}' rx='10' fill='#fcfcfa' stroke='#d5d5cf'/>"
    said = escape(wording("a part of the graph"), quote=True)
    style = f"style='max-width:100%;height:auto' role='img' aria-label='{said}'>"
    return head + style + card + "".join(parts) + "</svg>"


def _place_in_layers(view: GraphView) -> tuple[list[Box], list[tuple[int, int, str]]]:
    """Boxes for nodes and ends with their layers, and links `(from, to, shape)` between boxes."""
    boxes = []
    for index, node in enumerate(view.nodes):
        name = node.name or next(iter(node.output), "")
        kind = CATEGORY.get(node.op_type, "shape")
        boxes.append(Box(node.op_type, _short(name), kind, 0, name, index in view.marked))
    inner = [(source, target) for source, target, _ in view.edges if source >= 0 and target >= 0]
    for source, target in inner:  # edges come in the order of their targets, which is topological
        boxes[target].layer = max(boxes[target].layer, boxes[source].layer + 1)
    for index in range(len(boxes) - 1, -1, -1):  # a node without a source in sight moves down to its reader
        readers = [boxes[target].layer for source, target in inner if source == index]
        if readers and all(target != index for _, target in inner):
            boxes[index].layer = min(readers) - 1
    links = []
    ends: dict[tuple[str, str], int] = {}
    for source, target, value in view.edges:
        if source < 0:
            source = _end(boxes, ends, view, value, "from above")
            boxes[source].layer = min(boxes[source].layer, boxes[target].layer - 1)
        elif target < 0:
            target = _end(boxes, ends, view, value, "further on")
            boxes[target].layer = boxes[source].layer + 1
        links.append((source, target, view.shapes.get(value, "")))
    boxes = boxes or [Box(wording("no nodes", label=True), "", "end", 0)]
    top = min(box.layer for box in boxes)
    for box in boxes:
        box.layer -= top
    return boxes, links


def _end(boxes: list[Box], ends: dict[tuple[str, str], int], view: GraphView, value: str, where: str) -> int:
    """Position of the box for a value that comes from outside the view or goes there."""
    if (where, value) not in ends:
        ends[where, value] = len(boxes)
        outside = (wording(where, label=True), _short(value), "shape")
        known = (_short(value), "", "end") if value in view.ends else outside
        boxes.append(Box(*known, layer=len(view.nodes), hint=value))
    return ends[where, value]


def _bend_long_edges(boxes: list[Box], links: list[tuple[int, int, str]]) -> list[tuple[list[int], str]]:
    """Put a stand-in on every layer that a link passes: the boxes of each link in order, and its text."""
    paths = []
    for source, target, text in links:
        path = [source]
        for layer in range(boxes[source].layer + 1, boxes[target].layer):
            path.append(len(boxes))
            boxes.append(Box("", "", "bend", layer))
        path.append(target)
        for upper, lower in pairwise(path):
            boxes[upper].below.append(lower)
            boxes[lower].above.append(upper)
        paths.append((path, text))
    return paths


def _order(boxes: list[Box], layers: list[list[int]]) -> None:
    """Sort each layer by the mean place of its neighbours, downwards and upwards a few times."""
    place = {index: float(rank) for layer in layers for rank, index in enumerate(layer)}
    for sweep in range(8):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            means = {}
            for index in layer:
                near = boxes[index].above if down else boxes[index].below
                means[index] = sum(place[other] for other in near) / len(near) if near else place[index]
            layer.sort(key=means.__getitem__)
            place |= {index: float(rank) for rank, index in enumerate(layer)}


def _spread(boxes: list[Box], layers: list[list[int]]) -> None:
    """Give each box an x: near the mean of its neighbours, in order, without overlap."""
    for sweep in range(10):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            wished = []
            for index in layer:
                near = boxes[index].above if down else boxes[index].below
                wished.append(sum(boxes[other].x for other in near) / len(near) if near else boxes[index].x)
            edge = float("-inf")
            for index, wish in zip(layer, wished, strict=True):
                boxes[index].x = max(wish, edge + boxes[index].width / 2)
                edge = boxes[index].x + boxes[index].width / 2 + GAP
            drift = sum(boxes[i].x - wish for i, wish in zip(layer, wished, strict=True)) / len(layer)
            for index in layer:
                boxes[index].x -= drift


def _top(box: Box) -> float:
    return MARGIN + LAYER_HEIGHT * box.layer


def _short(name: str, limit: int = 26) -> str:
    """The end of a long name."""
    return name if len(name) <= limit else "…" + name[-limit + 1 :]


def _edge(boxes: list[Box], path: list[int]) -> str:
    first, last = boxes[path[0]], boxes[path[-1]]
    points = [(first.x, _top(first) + BOX_HEIGHT)]
    points += [(boxes[i].x, _top(boxes[i]) + BOX_HEIGHT / 2) for i in path[1:-1]] + [(last.x, _top(last) - 5)]
    curve = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        curve += f"C{x0:.1f},{middle:.1f} {x1:.1f},{middle:.1f} {x1:.1f},{y1:.1f}"
    x, y = points[-1]
    tip = f"<path d='M{x - 4:.1f},{y - 3:.1f}L{x + 4:.1f},{y - 3:.1f}L{x:.1f},{y + 4:.1f}Z' fill='#8a8f98'/>"
    return f"<path d='{curve}' fill='none' stroke='#8a8f98' stroke-width='1.4'/>" + tip


def _box(box: Box) -> str:
    stroke, fill = COLOURS[box.kind]
    radius, weight = (BOX_HEIGHT / 2, 1.5) if box.kind == "end" else (8, 3.5 if box.marked else 1.5)
    y = _top(box)
    frame = (
        f"<rect x='{box.x - box.width / 2:.1f}' y='{y}' width='{box.width:.1f}' height='{BOX_HEIGHT}' "
        f"rx='{radius:g}' fill='{fill}' stroke='{stroke}' stroke-width='{weight}'/>"
    )
    line = y + (18 if box.subtitle else 27)
    middle = f"x='{box.x:.1f}' text-anchor='middle'"
    text = f"<text {middle} y='{line}' font-size='13' font-weight='600' fill='#1d2430'>"
    small = f"<text {middle} y='{y + 34}' font-size='11' fill='#4a5361'>"
    body = (
        text
        + escape(box.title)
        + "</text>"
        + (small + escape(box.subtitle) + "</text>" if box.subtitle else "")
    )
    return f"<g><title>{escape(box.hint)}</title>{frame}{body}</g>"


def _label(source: Box, target: Box, text: str, *, alone: bool) -> str:
    """The shape of a value, below the box that makes it, or above its reader if it makes several."""
    share, drop = (0.12, 16) if alone else (0.9, 34)
    x, y = source.x + (target.x - source.x) * share, _top(source) + BOX_HEIGHT + drop
    width = 6.4 * len(text) + 6
    back = f"<rect x='{x - width / 2:.1f}' y='{y - 11}' width='{width:.1f}' height='14' fill='#fcfcfa'/>"
    place = f"x='{x:.1f}' y='{y}' text-anchor='middle'"
    return f"{back}<text {place} font-size='11' fill='#333a45'>{escape(text)}</text>"
