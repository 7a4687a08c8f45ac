"""The graphs that are compared: cut at the head convolutions, the tail behind them, the guide's patch."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import shape_inference

from helpers.node_costs import node_parts

GUIDE = """<ir_version: 8, opset_import: ["": 17]>
guide (float[m, 7] rows) => (float[1, 100, 6] padded)
<int64[1] g0 = {0}, int64[1] g1 = {1}, int64[1] g4 = {4}, int64[1] g5 = {5}, int64[1] g6 = {6},
 int64[1] g7 = {7}, int64[3] g_shape = {1, -1, 6}, int64[1] g_slots = {100},
 int64[3] g_before = {0, 0, 0}, float g_fill = {0}>
{
    g_boxes = Slice(rows, g1, g7, g1)
    g_corners = Slice(g_boxes, g0, g4, g1)
    g_class = Slice(g_boxes, g4, g5, g1)
    g_score = Slice(g_boxes, g5, g6, g1)
    g_swapped = Concat<axis = 1>(g_corners, g_score, g_class)
    g_batched = Reshape(g_swapped, g_shape)
    g_size = Shape(g_batched)
    g_rows = Gather(g_size, g1)
    g_missing = Sub(g_slots, g_rows)
    g_after = Concat<axis = 0>(g0, g_missing, g0)
    g_pads = Concat<axis = 0>(g_before, g_after)
    padded = Pad(g_batched, g_pads, g_fill)
}"""


def head_outputs(model: onnx.ModelProto) -> list[str]:
    """What the last convolutions write, in the order of the graph."""
    parts = node_parts(model)
    found = [node.output[0] for node, part in zip(model.graph.node, parts, strict=True) if part == "head"]
    if not found:
        raise ValueError("model: expected head convolutions, got none; hand in a detector's graph")
    return found


def between(model: onnx.ModelProto, inputs: list[str], outputs: list[str]) -> onnx.ModelProto:
    """The part of a graph that makes `outputs` of `inputs`: a copy with only these nodes and weights.

    Raises:
        ValueError: `outputs` cannot be made of `inputs` and constants.
    """
    inferred = shape_inference.infer_shapes(model)
    known = {v.name: v for v in (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)}
    wanted, nodes, given = set(outputs), [], set(inputs)
    for node in reversed(model.graph.node):
        if wanted & set(node.output) - given:
            nodes.append(node)
            wanted.update(name for name in node.input if name and name not in given)
    made = {name for node in nodes for name in node.output} | given
    weights = [tensor for tensor in model.graph.initializer if tensor.name in wanted]
    if missing := wanted - made - {tensor.name for tensor in weights}:
        raise ValueError(f"outputs: expected values made of {inputs}, got ones that need {sorted(missing)}")
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    del (
        cut.graph.node[:],
        cut.graph.initializer[:],
        cut.graph.input[:],
        cut.graph.output[:],
        cut.graph.value_info[:],
    )
    cut.graph.node.extend(reversed(nodes))
    cut.graph.initializer.extend(weights)
    cut.graph.input.extend(known[name] for name in inputs)
    cut.graph.output.extend(known.get(name, onnx.ValueInfoProto(name=name)) for name in outputs)
    onnx.checker.check_model(cut)
    return cut


def convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """The floor: the same graph, ended at its head convolutions."""
    return between(model, [model.graph.input[0].name], head_outputs(model))


def tail(model: onnx.ModelProto) -> onnx.ModelProto:
    """All that comes after the head convolutions: decode, filter, NMS, padding."""
    return between(model, head_outputs(model), [model.graph.output[0].name])


def guide_patch(end2end: onnx.ModelProto) -> onnx.ModelProto:
    """What the guide's script makes of an end-to-end graph, node for node: slice, swap, reshape, pad."""
    patch = onnx.parser.parse_model(GUIDE)
    source, made = end2end.graph.output[0].name, onnx.ModelProto()
    made.CopyFrom(end2end)
    for node in patch.graph.node:
        node.input[:] = [source if name == "rows" else name for name in node.input]
    made.graph.node.extend(patch.graph.node)
    made.graph.initializer.extend(patch.graph.initializer)
    made.graph.output[0].CopyFrom(patch.graph.output[0])
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.checker.check_model(made)
    return made


def logits(model: onnx.ModelProto, passing: int, columns: int, seed: int = 1) -> dict[str, np.ndarray]:
    """Values for a tail's inputs with `passing` candidates above the threshold, spread over the levels.

    A candidate has `columns` values, 5 + C.

    Boxes lie where their cells are, near their anchors' size, so the NMS has work as in a crowded picture.
    """
    random = np.random.default_rng(seed)
    shapes = {v.name: [d.dim_value or 1 for d in v.type.tensor_type.shape.dim] for v in model.graph.input}
    cells = {name: shape[0] * (shape[1] // columns) * shape[2] * shape[3] for name, shape in shapes.items()}
    total = sum(cells.values())
    chosen = np.zeros(total, bool)
    chosen[random.permutation(total)[: min(passing, total)]] = True
    feeds, start = {}, 0
    for name, (batch, channels, height, width) in shapes.items():
        anchors = channels // columns
        values = random.normal(0, 0.5, (batch, anchors, columns, height, width)).astype(np.float32)
        mask = chosen[start : start + cells[name]].reshape(batch, anchors, height, width)
        values[:, :, 4] = np.where(mask, 4.0, -12.0)
        values[:, :, 5:] = np.where(mask[:, :, None], 3.0 * random.random(values[:, :, 5:].shape), -6.0)
        feeds[name] = values.reshape(batch, channels, height, width)
        start += cells[name]
    return feeds
