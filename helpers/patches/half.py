"""Half precision as a graph edit: the network in FP16; inputs, outputs, decoding and NMS in FP32.

TensorRT 11 has no precision flag any more: an engine is as precise as the types in its graph say. The
boundary rule: every node whose numbers reach a `Conv`, and every `Conv`, is the network and goes to FP16; all
that comes after the head convolutions stays. That takes one Cast at the input and one behind each head
convolution. Decoded corners must not be FP16: from 1024 px its step is 1 px, and the class-aware NMS moves
class 79 by 79 x 640 px, where it is 32 px.

Why not a converter? Tried with the tests of this module: `onnxruntime.transformers.float16` (1.31), with the
tail in its block list, writes casts behind their readers and names two values alike (15 in our patched
graph), so `onnx.checker` and ONNX Runtime refuse it; onnxconverter-common (1.16) is its ancestor and fails
likewise; NVIDIA's AutoCast loses the metadata, raises the opset, and chooses by a calibration picture;
onnx-ir and onnxscript have no such pass (the latter has one for graphs that are bfloat16 throughout).
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from onnx import TensorProto

from helpers.patches import PatchError, PatchResult, constant_value, graph_inputs, open_model, unchanged
from helpers.patches.half_plan import (
    FULL,
    HALF,
    Plan,
    Types,
    all_able,
    constants_of,
    floats_of,
    make_plan,
    network_of,
    some,
    types_of,
)

__all__ = ["to_half"]

LARGEST = 65504.0  # in FP16


def to_half(model: onnx.ModelProto, *, tail: bool = False) -> PatchResult:
    """Put the network up to and including the head convolutions in FP16.

    Works on the raw, the end-to-end and the patched graph alike. What stays in FP32
    keeps its names and nodes; so do the scales of `Resize`, as ONNX and TensorRT ask for.

    Args:
        model: a graph with FP32 convolutions.
        tail: **wrong, for the lesson only**: decode, class offset and output go through FP16, too. The
            boxes that `NonMaxSuppression` sees are then up to 16 px off. Constants beyond 65504 are clipped.

    Returns:
        The model with the same inputs and outputs, half the size.

    Raises:
        PatchError: no convolution, FP16 or BF16 in another form, weights outside the file or beyond the range
            of FP16 (65504), control flow, an operator of the network that has no FP16 form.

    >>> model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 17]>
    ...     net (float[1, 3, 4, 4] images) => (float[1, 1, 4, 4] output) <float[1, 3, 1, 1] w = {1, 2, 3}>
    ...     { head = Conv(images, w)
    ...       output = Sigmoid(head) }''')
    >>> [node.op_type for node in to_half(model).model.graph.node]
    ['Cast', 'Conv', 'Cast', 'Sigmoid']
    """
    _require_plain(model)
    patched = open_model(model)
    before = types_of(patched)
    network = network_of(patched, before)
    if HALF in before.values():
        return _already(model, patched, network, before, tail)
    chosen = all_able(patched, before) if tail else network
    plan = make_plan(patched, before, chosen)
    report = _halve_constants(patched, plan, clip=tail)
    _rewire(patched, plan)
    patched = _ensured(patched, before, plan)
    counts = Counter(node.op_type for node in plan.nodes).most_common()
    report.insert(0, "FP16: " + ", ".join(f"{count} {kind}" for kind, count in counts))
    report.insert(1, f"FP32 to FP16: {', '.join(plan.up)}; back to FP32: {', '.join(plan.down)}")
    if tail:
        report.append("WRONG on purpose: decoded boxes in FP16")
    return PatchResult(patched, changed=True, report=tuple(report))


def _require_plain(model: object) -> None:
    """Refuse what the checker would not, or not so clearly."""
    if not isinstance(model, onnx.ModelProto):
        return
    outside = [t.name for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL]
    if outside:
        fix = "read it with onnx.load(path), which fetches them"
        raise PatchError("model", "weights inside the model", f"{some(outside)} elsewhere", fix)
    if model.graph.sparse_initializer:
        raise PatchError("model", "dense weights", "sparse initializers", "export without them")
    graphs = {onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS}
    control = [
        node.name or node.op_type
        for node in model.graph.node
        if any(a.type in graphs for a in node.attribute)
    ]
    if control:
        raise PatchError("model", "a graph without control flow", some(control), "export for a fixed size")


def _already(
    model: onnx.ModelProto, patched: onnx.ModelProto, network: list[onnx.NodeProto], types: Types, tail: bool
) -> PatchResult:
    """A graph with FP16 in it: this patch's own work, or refused."""
    inside = {name for node in network for _, name in floats_of(patched, node, types, "outputs")}
    made = {name for node in patched.graph.node for name in node.output if types.get(name) == HALF}
    made -= constants_of(patched).keys()
    ends = {types[value.name] for value in (*graph_inputs(patched), *patched.graph.output)}
    forms = {HALF in ends: "FP16 inputs or outputs", made == inside: "FP16 to the head convolutions"}
    form = forms.get(True, "FP16 beyond the head convolutions" if made > inside else "FP16 in another form")
    if form == ("FP16 beyond the head convolutions" if tail else "FP16 to the head convolutions"):
        return unchanged(model, f"{form} already")
    got = f"{form}: {some(sorted(made ^ inside))}".removesuffix(": ")
    raise PatchError("model", "FP32, or FP16 to the head convolutions", got, "start from the FP32 graph")


def _halve_constants(model: onnx.ModelProto, plan: Plan, *, clip: bool) -> list[str]:
    """An FP16 copy of every constant that FP16 reads, in its old place where FP32 has no use for it."""
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    beyond, lost, count = [], 0, 0
    for root, slots in plan.constants.items():
        full = np.asarray(constant_value(model, root))
        outside = np.isfinite(full) & (np.abs(full) > LARGEST)
        if outside.any() and not clip:
            beyond.append(f"{root} ({np.abs(full[outside]).max():g})")
        half = np.where(outside, np.copysign(LARGEST, full), full).astype(np.float16)
        lost, count = lost + int(((half == 0) & (full != 0)).sum()), count + full.size
        name = f"half/{root}" if root in plan.shared else root
        target = tensors[name] if name in tensors else graph.initializer.add()
        target.CopyFrom(onnx.numpy_helper.from_array(half, name))
        plan.values.add(name)
        for node, index in slots:
            node.input[index] = name
    if beyond:
        fix = "keep this model in FP32, or scale these weights"
        raise PatchError("model", "weights up to 65504, where FP16 ends", some(beyond), fix)
    _drop_unread(model, plan)
    return [f"{len(plan.constants)} weights in FP16, {lost} of {count} numbers too small for it became 0"]


def _drop_unread(model: onnx.ModelProto, plan: Plan) -> None:
    """Remove the `Constant` and `Identity` nodes that only handed weights to the network."""
    graph = model.graph
    kept = {tensor.name for tensor in graph.initializer}
    ours = {name for name, root in plan.roots.items() if root in plan.constants}
    read = {value.name for value in graph.output}
    for node in reversed(list(graph.node)):
        if node.output[0] in ours and (node.output[0] in kept or node.output[0] not in read):
            graph.node.remove(node)
            continue
        read.update(node.input)
    gone = [info for info in graph.value_info if info.name in ours - read - kept]
    for info in gone:
        graph.value_info.remove(info)


def _rewire(model: onnx.ModelProto, plan: Plan) -> None:
    """Point every FP16 slot at FP16, and put a Cast where a value is needed in both."""
    graph = model.graph
    crossing = {*plan.up, *plan.down}
    for name in crossing:
        for node, index in plan.slots.get(name, ()):
            node.input[index] = f"half/{name}"
    for node in plan.nodes:
        node.output[:] = [f"half/{name}" if name in plan.down else name for name in node.output]
        _retype(node)
    made = {value.name for value in graph_inputs(model)}
    nodes = [_cast(name, HALF) for name in plan.up if name in made]
    for node in graph.node:
        nodes.append(node)
        outputs = [name.removeprefix("half/") for name in node.output]
        nodes += [_cast(name, FULL) for name in outputs if name in plan.down]
        nodes += [_cast(name, HALF) for name in outputs if name in plan.up]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    for info in graph.value_info:
        if info.name in plan.values and info.name not in crossing:
            info.type.tensor_type.elem_type = HALF


def _cast(name: str, to: int) -> onnx.NodeProto:
    ends = [name, f"half/{name}"] if to == HALF else [f"half/{name}", name]
    return onnx.helper.make_node("Cast", ends[:1], ends[1:], name=f"half/Cast/{name}", to=to)


def _retype(node: onnx.NodeProto) -> None:
    """Operators that state the type of their result in an attribute state FP16."""
    for attribute in node.attribute:
        if attribute.name in ("to", "dtype") and attribute.i == FULL:
            attribute.i = HALF
        elif node.op_type == "ConstantOfShape" and attribute.t.data_type == FULL:
            filled = onnx.numpy_helper.to_array(attribute.t).astype(np.float16)
            attribute.t.CopyFrom(onnx.numpy_helper.from_array(filled))


def _ensured(model: onnx.ModelProto, before: Types, plan: Plan) -> onnx.ModelProto:
    """The model, valid, with every value in the type that the plan gave it."""
    promise = ("model", "a network that stays right in FP16")
    fix = "keep it in FP32; an operator in it does not go to FP16 with its inputs"
    try:
        model = open_model(model)
    except PatchError as error:
        raise PatchError(*promise, str(error.__cause__).strip().splitlines()[0], fix) from error
    crossing = {*plan.up, *plan.down}
    expected = {name: HALF if name in plan.values - crossing else kind for name, kind in before.items()}
    wrong = [name for name, kind in types_of(model).items() if expected.get(name, HALF) != kind]
    if wrong:
        raise PatchError(*promise, some(wrong), fix)
    return model
