"""The part of a detector that INT8 is about: cut out of its graph, and put back.

The network is every node with a convolution downstream, and every convolution. What comes after, decoding and
NMS, is not handed to the quantiser at all, so it stays as it was, node by node.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto

from helpers.patches import PatchError, constant_value, graph_inputs
from helpers.patches.half_plan import constants_of, network_of, types_of

__all__ = ["cut_network", "join_network", "layer_nodes", "picture_size"]

ACTIVATIONS = ("LeakyRelu", "Relu", "Sigmoid", "Mul", "HardSwish", "Clip")


def picture_size(model: onnx.ModelProto) -> tuple[int, int]:
    """Width and height of the only input, `[B,3,H,W]` in FP32.

    Raises:
        PatchError: another input, or more than one.
    """
    inputs = graph_inputs(model)
    shapes = [[d.dim_value for d in value.type.tensor_type.shape.dim] for value in inputs]
    kinds = [value.type.tensor_type.elem_type for value in inputs]
    if kinds != [TensorProto.FLOAT] or len(shapes[0]) != 4 or shapes[0][1] != 3 or 0 in shapes[0][2:]:
        got = ", ".join(f"{value.name} {shape}" for value, shape in zip(inputs, shapes, strict=True))
        fix = "quantise before the picture goes into the graph, with a fixed size"
        raise PatchError("model", "one FP32 input [B,3,H,W] of fixed size", got or "no input", fix)
    return shapes[0][3], shapes[0][2]


def cut_network(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network alone, as a model of its own; its outputs are the values that the rest of the graph reads.

    Weights behind `Identity` or `Constant` become initializers, and every node has a name.

    Raises:
        PatchError: no convolution, or one that is not in FP32.

    >>> model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 17]>
    ...     net (float[1, 3, 4, 4] images) => (float[1, 1, 4, 4] output) <float[1, 3, 1, 1] w = {1, 2, 3}>
    ...     { head = Conv(images, w)
    ...       output = Sigmoid(head) }''')
    >>> network = cut_network(model)
    >>> [node.op_type for node in network.graph.node], [value.name for value in network.graph.output]
    (['Conv'], ['head'])
    """
    types = types_of(model)
    network_of(model, types)  # refuses what has no FP32 convolutions
    roots, members = constants_of(model), _members(model)
    network = onnx.ModelProto()
    network.CopyFrom(model)
    for field in ("node", "initializer", "output", "value_info"):
        network.graph.ClearField(field)
    network.ClearField("metadata_props")
    taken: set[str] = set()
    for index in members:
        node = network.graph.node.add()
        node.CopyFrom(model.graph.node[index])
        node.input[:] = [roots.get(name, name) for name in node.input]
        node.name = node.name if node.name and node.name not in taken else f"{node.op_type}/{node.output[0]}"
        taken.add(node.name)
    for name in dict.fromkeys(name for node in network.graph.node for name in node.input if name in roots):
        value = constant_value(model, name)
        if value is not None:
            network.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    shapes = {info.name: info for info in onnx.shape_inference.infer_shapes(model).graph.value_info}
    shapes |= {value.name: value for value in model.graph.output}
    made = {name for node in network.graph.node for name in node.output}
    outside = _read_outside(model, set(members))
    network.graph.output.extend(shapes[name] for name in dict.fromkeys(outside) if name in made)
    return onnx.shape_inference.infer_shapes(network)


def join_network(model: onnx.ModelProto, network: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with another network in the place of its own: nodes and weights; the rest as it was."""
    members = set(_members(model))
    rest = [node for index, node in enumerate(model.graph.node) if index not in members]
    read = {name for node in rest for name in node.input} | {value.name for value in model.graph.output}
    roots = constants_of(model)
    idle = [node for node in rest if node.output[0] in roots and node.output[0] not in read]
    weights = {tensor.name: tensor for tensor in network.graph.initializer}
    weights |= {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in read}
    values = {info.name: info for info in network.graph.value_info}
    values |= {info.name: info for info in model.graph.value_info if info.name in read}
    joined = onnx.ModelProto()
    joined.CopyFrom(model)
    del joined.graph.node[:], joined.graph.initializer[:], joined.graph.value_info[:]
    joined.graph.node.extend([*network.graph.node, *(node for node in rest if node not in idle)])
    joined.graph.initializer.extend(weights.values())
    ends = {value.name for value in (*joined.graph.input, *joined.graph.output)}
    joined.graph.value_info.extend(info for name, info in values.items() if name not in ends)
    return joined


def layer_nodes(network: onnx.ModelProto) -> dict[str, list[str]]:
    """For each convolution, by name, the nodes of its layer: itself and the activation behind it."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in network.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    layers = {}
    for node in network.graph.node:
        if node.op_type != "Conv":
            continue
        behind = [each for each in readers.get(node.output[0], []) if each.op_type in ACTIVATIONS]
        layers[node.name] = list(dict.fromkeys(each.name for each in (node, *behind)))
    return layers


def _members(model: onnx.ModelProto) -> list[int]:
    """Positions of the network's nodes; constants are no nodes here."""
    roots, wanted, members = constants_of(model), set[str](), []
    for index in range(len(model.graph.node) - 1, -1, -1):
        node = model.graph.node[index]
        if (node.op_type == "Conv" or wanted.intersection(node.output)) and node.output[0] not in roots:
            members.append(index)
            wanted.update(node.input)
    return members[::-1]


def _read_outside(model: onnx.ModelProto, members: set[int]) -> list[str]:
    rest = (node for index, node in enumerate(model.graph.node) if index not in members)
    return [*(name for node in rest for name in node.input), *(value.name for value in model.graph.output)]
