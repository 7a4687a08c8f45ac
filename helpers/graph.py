"""Look inside an ONNX graph: what goes in and out, which operators, what each part costs, who feeds whom."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np
import onnx

from helpers.node_costs import NodeCost, cost_table, node_parts, profile_nodes
from helpers.patches import Shape, graph_inputs, shape_of
from helpers.table import Table
from helpers.wording import Name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["GraphDiff", "GraphView", "NodeCost", "cost_table", "diff_graphs", "io_table", "neighbourhood"]
__all__ += ["node_parts", "node_table", "op_counts", "profile_nodes", "subgraph", "summarize", "to_svg"]


def _type_name(value: onnx.ValueInfoProto) -> str:
    return str(onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)).lower()


def shape_text(shape: Shape | None) -> str:
    """A shape for people.

    >>> shape_text((1, "n", None)), shape_text(()), shape_text(None)
    ('1 x n x ?', 'scalar', '')
    """
    if shape is None:
        return ""
    sizes = ("?" if size is None or str(size).startswith("unk__") else str(size) for size in shape)
    return " x ".join(sizes) or "scalar"


def io_table(model: onnx.ModelProto) -> Table:
    """Inputs and outputs of a graph: name, type, shape."""
    values = [("input", value) for value in graph_inputs(model)] + [("output", v) for v in model.graph.output]
    rows = tuple((kind, Name(v.name), _type_name(v), shape_text(shape_of(v))) for kind, v in values)
    return Table(("", "name", "type", "shape"), rows)


def summarize(model: onnx.ModelProto) -> Table:
    """A model in a dozen lines: inputs, outputs, opset, nodes, parameters, bytes, producer, metadata.

    >>> text = '''<ir_version: 8, opset_import: ["": 17]>
    ...     g (float[1, 4] x) => (float[1, 4] y) <float[1] two = {2.0}> { y = Mul(x, two) }'''
    >>> print(summarize(onnx.parser.parse_model(text)))  # doctest: +ELLIPSIS
                value
    input x     float, 1 x 4
    output y    float, 1 x 4
    opset       17
    nodes       1
    parameters  1
    bytes       ...
    """
    rows: list[tuple[object, ...]] = [
        (f"{kind} {name}", f"{form}, {shape}") for kind, name, form, shape in io_table(model).rows
    ]
    opsets = ", ".join(f"{entry.domain} {entry.version}".strip() for entry in model.opset_import)
    parameters = sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)
    rows += [("opset", opsets), ("nodes", str(len(model.graph.node))), ("parameters", f"{parameters:,}")]
    rows += [("bytes", f"{model.ByteSize():,}")]
    producer = f"{model.producer_name} {model.producer_version}".strip()
    rows += [("producer", producer)] if producer else []
    rows += [(entry.key, entry.value[:60]) for entry in model.metadata_props]
    return Table(("", "value"), tuple(rows))


def op_counts(model: onnx.ModelProto) -> dict[str, int]:
    """How many nodes of each operator, the most frequent first, then by name.

    >>> op_counts(onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 17]>
    ...     g (float[4] x) => (float[4] y) { a = Exp(x) b = Abs(a) y = Exp(b) }'''))
    {'Exp': 2, 'Abs': 1}
    """
    counts = Counter(node.op_type for node in model.graph.node)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def value_shapes(model: onnx.ModelProto) -> dict[str, str]:
    """Every value's shape for people, as far as shape inference gets; weights included."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: shape_text(shape_of(value))
        for value in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    return shapes | {tensor.name: shape_text(tuple(tensor.dims)) for tensor in inferred.initializer}


def node_table(model: onnx.ModelProto) -> Table:
    """Every node but constants: position, part, operator, name, shapes in and out."""
    shapes = value_shapes(model)
    rows = []
    for index, (node, part) in enumerate(zip(model.graph.node, node_parts(model), strict=True)):
        if node.op_type != "Constant":
            sources, results = (
                ", ".join(shapes.get(n) or "?" for n in names if n) for names in (node.input, node.output)
            )
            name = Name(node.name or node.output[0])
            rows.append((index, part, node.op_type, name, sources, results))
    return Table(("#", "part", "op", "name", "in", "out"), tuple(rows))


@dataclass(frozen=True)
class GraphView:
    """Some nodes of a graph in order, and who feeds whom; constants are left out.

    `edges` are `(from, to, value)` with positions in `nodes`; -1 is whatever lies outside. `ends` are the
    graph's own inputs and outputs, `shapes` has a text for each value, `marked` positions to point out.
    """

    nodes: tuple[onnx.NodeProto, ...]
    edges: tuple[tuple[int, int, str], ...]
    shapes: Mapping[str, str]
    ends: frozenset[str]
    marked: frozenset[int] = frozenset()

    def _repr_html_(self) -> str:
        """The drawing, for a notebook."""
        return to_svg(self)


def subgraph(model: onnx.ModelProto, names: Iterable[str], marked: Iterable[str] = ()) -> GraphView:
    """A view of the nodes with these names (a node without a name goes by its first output)."""
    wanted, pointed = set(names), set(marked)
    nodes = [node for node in _operators(model) if _key(node) in wanted]
    maker = {value: index for index, node in enumerate(nodes) for value in node.output}
    dynamic = {value for node in _operators(model) for value in node.output if value}
    dynamic |= {value.name for value in graph_inputs(model)}
    edges = [
        (maker.get(value, -1), index, value)
        for index, node in enumerate(nodes)
        for value in dict.fromkeys(node.input)
        if value in dynamic
    ]
    ends = {value.name for value in (*graph_inputs(model), *model.graph.output)}
    elsewhere = {
        value for node in _operators(model) if _key(node) not in wanted for value in node.input
    } | ends
    edges += [(index, -1, value) for value, index in maker.items() if value in elsewhere]
    places = frozenset(index for index, node in enumerate(nodes) if _key(node) in pointed)
    return GraphView(tuple(nodes), tuple(edges), value_shapes(model), frozenset(ends), places)


def neighbourhood(model: onnx.ModelProto, node_name: str, hops: int = 2) -> GraphView:
    """The nodes at most `hops` edges away from one that is named by itself or by a value it makes.

    Raises:
        ValueError: no such node; the message names the nearest.
    """
    nodes = _operators(model)
    start = next((n for n in nodes if node_name == n.name or node_name in n.output), None)
    if start is None:
        near = get_close_matches(node_name, [_key(node) for node in nodes], n=3, cutoff=0.3)
        raise ValueError(
            f"node_name: expected a node or a value, got {node_name!r}; near: {', '.join(near) or '-'}"
        )
    maker = {value: node for node in nodes for value in node.output if value}
    linked: dict[str, set[str]] = defaultdict(set)
    for node in nodes:
        for value in set(node.input) & maker.keys():
            linked[_key(node)].add(_key(maker[value]))
            linked[_key(maker[value])].add(_key(node))
    reached = {_key(start)}
    for _ in range(hops):
        reached |= {other for name in reached for other in linked[name]}
    return subgraph(model, reached, [_key(start)])


def _operators(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type != "Constant"]


def _key(node: onnx.NodeProto) -> str:
    return node.name or next(iter(node.output), "")


@dataclass(frozen=True)
class GraphDiff:
    """Names of the nodes that only one of two graphs has, and of those that both have but not alike."""

    removed: tuple[str, ...]
    added: tuple[str, ...]
    changed: tuple[str, ...]

    def __str__(self) -> str:
        """One line."""
        return f"{len(self.removed)} removed, {len(self.added)} added, {len(self.changed)} changed"


def diff_graphs(before: onnx.ModelProto, after: onnx.ModelProto) -> GraphDiff:
    """Compare the nodes of two graphs by name.

    >>> texts = "{ y = Exp(x) }", "{ y = Exp(x) z = Abs(y) }"
    >>> head = '<ir_version: 8, opset_import: ["": 17]> g (float[4] x) => (float[4] y) '
    >>> one, two = (onnx.parser.parse_model(head + text) for text in texts)
    >>> diff_graphs(one, two).added
    ('z',)
    """
    old, new = ({_key(node): node for node in model.graph.node} for model in (before, after))
    changed = tuple(name for name in old.keys() & new.keys() if old[name] != new[name])
    removed = tuple(name for name in old if name not in new)
    return GraphDiff(removed, tuple(name for name in new if name not in old), tuple(sorted(changed)))


def to_svg(view: GraphView) -> str:
    """A static drawing of a view, the flow from top to bottom: see `helpers.graph_svg.draw_view`."""
    from helpers.graph_svg import draw_view

    return draw_view(view)
