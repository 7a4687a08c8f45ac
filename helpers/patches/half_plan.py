"""Which values of a graph go to FP16: the planning half of `helpers.patches.half`.

A *slot* is an input of a node. Each slot is FP16 or FP32, by the rule of the patch and by what the operator's
schema allows; where a value is made in one and read in the other, there will be a Cast.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto

from helpers.patches import PatchError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Plan", "make_plan"]

FULL, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
Types = dict[str, int]
Slots = list[tuple[onnx.NodeProto, int]]


@dataclass
class Plan:
    """What becomes FP16: nodes, values by name, values that are cast, constants and who reads them where."""

    nodes: list[onnx.NodeProto]
    values: set[str]
    slots: dict[str, Slots] = field(default_factory=dict)  # of FP16, by the value that they read
    up: list[str] = field(default_factory=list)
    down: list[str] = field(default_factory=list)
    roots: dict[str, str] = field(default_factory=dict)  # constant, or Identity of it -> constant
    constants: dict[str, Slots] = field(default_factory=dict)  # FP16 slots by constant
    shared: set[str] = field(default_factory=set)  # constants that FP32 needs, too


def make_plan(model: onnx.ModelProto, types: Types, chosen: list[onnx.NodeProto]) -> Plan:
    """Sort every place where a value is read into FP16 and FP32; where they meet, a Cast."""
    values = {name for node in chosen for _, name in floats_of(model, node, types, "outputs")}
    plan = Plan(chosen, values, roots=constants_of(model))
    full = [value.name for value in model.graph.output]
    members = {node.output[0] for node in chosen}
    for node in model.graph.node:
        if node.output[0] in plan.roots:
            continue
        halves = dict(floats_of(model, node, types))
        if node.output[0] not in members:  # a shape is the same in either type
            asks = node.op_type in ("Shape", "Size")
            halves = {index: name for index, name in halves.items() if asks and name in values}
        full += [name for index, name in enumerate(node.input) if index not in halves]
        for index, name in halves.items():
            owner = plan.constants if name in plan.roots else plan.slots
            owner.setdefault(plan.roots.get(name, name), []).append((node, index))
    plan.shared = {plan.roots[name] for name in full if name in plan.roots}
    plan.down = [name for name in dict.fromkeys(full) if name in values]
    plan.up = [name for name in plan.slots if name not in values]
    fed = {value.name for value in model.graph.input} & plan.constants.keys()
    if fed:
        fix = "export with keep_initializers_as_inputs=False"
        raise PatchError("model", "weights that are not inputs, too", some(sorted(fed)), fix)
    return plan


def types_of(model: onnx.ModelProto) -> Types:
    """The element type of every value."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in inferred.initializer}


def constants_of(model: onnx.ModelProto) -> dict[str, str]:
    """Every constant, under its own name and those that `Identity` gives it."""
    roots = {tensor.name: tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            roots[node.output[0]] = node.output[0]
        elif node.op_type == "Identity" and node.input[0] in roots:
            roots[node.output[0]] = roots[node.input[0]]
    return roots


def _allows_half(model: onnx.ModelProto, node: onnx.NodeProto, index: int, side: str) -> bool:
    """May this input or output be FP16? By the schema in the model's opset; never the scales of Resize."""
    domains = (node.domain,) if node.domain else ("", "ai.onnx")
    version = next((o.version for o in model.opset_import if o.domain in domains), 0)
    if not onnx.defs.has(node.op_type, node.domain) or (node.op_type == "Resize" and index > 0):
        return False
    formal = getattr(onnx.defs.get_schema(node.op_type, version, node.domain), side)
    return "tensor(float16)" in formal[min(index, len(formal) - 1)].types


def floats_of(
    model: onnx.ModelProto, node: onnx.NodeProto, types: Types, side: str = "inputs"
) -> Iterator[tuple[int, str]]:
    """The inputs or outputs of a node that hold FP32 or FP16 and may hold FP16."""
    for index, name in enumerate(node.input if side == "inputs" else node.output):
        if types.get(name) in (FULL, HALF) and _allows_half(model, node, index, side):
            yield index, name


def network_of(model: onnx.ModelProto, types: Types) -> list[onnx.NodeProto]:
    """Every `Conv` and every node whose floats reach one, in their order; constants are no nodes here."""
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    kinds = {types.get(node.output[0], 0) for node in convolutions}
    if len(kinds) != 1 or not kinds <= {FULL, HALF}:
        got = ", ".join(TensorProto.DataType.Name(kind) for kind in sorted(kinds)) or "none"
        raise PatchError("model", "convolutions in FP32", got, "start from the FP32 graph of a detector")
    roots, network = constants_of(model), []
    wanted = {node.output[0] for node in convolutions}
    for node in reversed(model.graph.node):
        found = wanted.intersection(node.output)
        if found and node.output[0] not in roots:
            if found - {name for _, name in floats_of(model, node, types, "outputs")}:
                got = f"{node.op_type} {node.name or node.output[0]}"
                raise PatchError("model", "a network of operators that have FP16", got, "keep it in FP32")
            network.append(node)
            wanted.update(name for _, name in floats_of(model, node, types))
    return network[::-1]


def all_able(model: onnx.ModelProto, types: Types) -> list[onnx.NodeProto]:
    """All nodes that can be FP16: what a careless conversion does."""
    roots = constants_of(model)
    able = []
    for node in model.graph.node:
        halves = {name for _, name in floats_of(model, node, types, "outputs")}
        read = {name for _, name in floats_of(model, node, types)}
        stuck = any(types.get(name) == FULL and name not in halves for name in node.output)
        if node.output[0] not in roots and not stuck and halves | read:
            able.append(node)
    return able


def some(names: list[str]) -> str:
    """The first five names, and how many more."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
