"""Where a detector decodes: its heads, its `[B, N, 5 + C]`, and what lies between. By structure, not by name.

The decode is all that lies between the last convolutions and the first value of three dimensions through
which everything behind them passes. What it computes is not read off its nodes, of which every exporter
writes others: `helpers.patches.filter_proof` runs it, and compares with the formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx

from helpers.patches import PatchError, constant_value, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["Decode", "Level", "between", "find_decode", "read_decode", "reading"]

NOT_UNDERSTOOD = (
    "leave this graph unfiltered, or hand in an export of YOLOv7's official or of this course's exporter"
)
SAME_SHAPE = {"Add", "Cast", "DequantizeLinear", "Identity", "Mul", "QuantizeLinear"}
Shapes = dict[str, tuple[int | str | None, ...]]


@dataclass(frozen=True)
class Level:
    """One head `[B, A * V, H, W]` and the geometry of its candidates.

    Attributes:
        head: name of the value.
        places: `[H * W, 2]`: `x, y` in pixels of a cell's centre less one stride.
        scales: `[A, 4]`: twice the stride, again, and four times the anchor's width and height.
    """

    head: str
    places: NDArray[np.float32]
    scales: NDArray[np.float32]

    @property
    def candidates(self) -> int:
        """`A * H * W`."""
        return len(self.places) * len(self.scales)


@dataclass(frozen=True)
class Decode:
    """The decode of a graph: levels in the order of their rows, `V = 5 + C`, the name of `[B, N, V]`."""

    levels: tuple[Level, ...]
    columns: int
    output: str

    @property
    def candidates(self) -> int:
        """`N`."""
        return sum(level.candidates for level in self.levels)


def find_decode(model: onnx.ModelProto) -> tuple[list[str], str, Shapes]:
    """Heads and decoded value of a graph, and the shapes of its values.

    Raises:
        PatchError: no convolutions, heads of unknown size, or no single `[B, N, 5 + C]` behind them.
    """
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    shapes = {value.name: shape for value in values if (shape := shape_of(value)) is not None}
    heads = [_last_of_its_shape(model, name, shapes) for name in _last_convolutions(model)]
    output = _meeting_point(model, set(heads), shapes)
    fed = {name for node in between(model, heads, output)[0] for name in node.input}
    heads = [name for name in heads if name in fed]
    for name in heads:
        shape = shapes.get(name, ())
        columns = shapes[output][2]
        fixed = len(shape) == 4 and all(isinstance(size, int) for size in shape[1:])
        if not fixed or int(shape[1] or 0) % int(columns or 1):
            expected = f"heads [B, anchors x {columns}, H, W] of fixed size"
            raise PatchError("model", expected, f"{name} {list(shape)}", "export for a fixed size")
    return heads, output, shapes


def _last_convolutions(model: onnx.ModelProto) -> list[str]:
    """Outputs of the convolutions that no other convolution reads from."""
    upstream: set[str] = set()
    last = []
    for node in reversed(model.graph.node):
        feeds = not upstream.isdisjoint(node.output)
        if node.op_type == "Conv" and not feeds:
            last.append(node.output[0])
        if node.op_type == "Conv" or feeds:
            upstream.update(node.input)
    if not last:
        raise PatchError("model", "a detector with convolutions", "none", NOT_UNDERSTOOD)
    return last[::-1]


def _last_of_its_shape(model: onnx.ModelProto, name: str, shapes: Shapes) -> str:
    """Follow a head through casts, scaling and quantisation: all that leaves its four dimensions alone."""
    ends = {value.name for value in model.graph.output}
    while name not in ends:
        readers = [node for node in model.graph.node if name in node.input]
        if len(readers) != 1 or readers[0].op_type not in SAME_SHAPE:
            break
        following = readers[0].output[0]
        if shapes.get(following) != shapes.get(name):
            break
        name = following
    return name


def _meeting_point(model: onnx.ModelProto, heads: set[str], shapes: Shapes) -> str:
    """The first value `[B, N, 5 + C]` that alone carries on what the heads found."""
    read_until = {name: place for place, node in enumerate(model.graph.node) for name in node.input}
    read_until |= {value.name: len(model.graph.node) for value in model.graph.output}
    to_come, alive, seen = set(heads), set[str](), set(heads)
    for place, node in enumerate(model.graph.node):
        if node.op_type == "NonMaxSuppression":
            break
        if not seen.isdisjoint(node.input):
            seen.update(node.output)
        alive |= seen.intersection(node.output)
        alive = {name for name in alive if read_until.get(name, -1) > place}
        to_come.difference_update(node.output)
        shape = shapes.get(next(iter(alive), ""), ())
        columns = shape[2] if len(shape) == 3 else None
        if not to_come and len(alive) == 1 and isinstance(columns, int) and columns > 5:
            return alive.pop()
    expected = "one value [B, N, 5 + classes] between the last convolutions and the NMS"
    raise PatchError("model", expected, f"none behind {', '.join(sorted(heads))}", NOT_UNDERSTOOD)


def between(model: onnx.ModelProto, starts: Iterable[str], end: str) -> tuple[list[onnx.NodeProto], set[str]]:
    """The nodes that make `end` from `starts`, in order, and what they read from elsewhere."""
    wanted, known, nodes = {end}, set(starts), []
    for node in reversed(model.graph.node):
        if not wanted.isdisjoint(node.output) and known.isdisjoint(node.output):
            nodes.append(node)
            wanted.update(name for name in node.input if name)
    made = {name for node in nodes for name in node.output}
    return nodes[::-1], wanted - made - {end}


def reading(model: onnx.ModelProto, heads: Iterable[str]) -> onnx.ModelProto:
    """A model from the heads to the output of `model`: what it makes of logits.

    Raises:
        PatchError: the output needs more from the network than its heads.
    """
    heads, graph = list(heads), model.graph
    end = graph.output[0].name
    nodes, needed = between(model, heads, end)
    if any(node.op_type == "Conv" for node in nodes):
        raise PatchError(
            "model", "detections made from the heads alone", "a convolution beside them", NOT_UNDERSTOOD
        )
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    values = {value.name: value for value in (*inferred.value_info, *graph.input)}
    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.node[:], part.graph.input[:], part.graph.initializer[:], part.graph.value_info[:]
    part.graph.node.extend(nodes)
    weights = {tensor.name for tensor in graph.initializer}
    part.graph.initializer.extend(tensor for tensor in graph.initializer if tensor.name in needed)
    part.graph.input.extend(values[name] for name in (*heads, *sorted(needed - weights - set(heads))))
    return part


def read_decode(model: onnx.ModelProto) -> Decode | None:
    """The decode of a graph that is filtered already, from the patch's constants; `None` for any other."""
    levels = []
    for node in model.graph.node:
        prefix, _, last = node.name.rpartition("/")
        if prefix.startswith("filter/level") and last == "planes":
            tables = [constant_value(model, f"{prefix}/{name}") for name in ("places", "scales")]
            levels.append(Level(node.input[0], *(np.asarray(table, np.float32) for table in tables)))
    ends = [node.output[0] for node in model.graph.node if node.name.startswith("filter/")]
    if not levels:
        return None
    lanes = np.asarray(constant_value(model, "filter/level0/lanes"))
    return Decode(tuple(levels), len(lanes), ends[-1])
