"""Q/DQ nodes into a network, by ONNX Runtime's own quantiser, in the form that a runtime likes best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto

if TYPE_CHECKING:
    from collections.abc import Collection

    from helpers.patches.quantize_ranges import Ranges

__all__ = ["RUNTIMES", "insert_qdq", "pad_channels", "pool_first"]

RUNTIMES = ("onnxruntime", "tensorrt")
BYTEWISE = ("Add", "Concat", "Conv", "LeakyRelu", "MaxPool", "Mul", "Resize", "Sigmoid")
GROUP = 4  # channels that a VNNI instruction multiplies at once


def insert_qdq(
    network: onnx.ModelProto, ranges: Ranges, *, runtime: str, floats: Collection[str] = ()
) -> onnx.ModelProto:
    """A copy of a network with Q/DQ nodes: weights in int8, a scale a channel; activations, a scale each.

    For ONNX Runtime on a CPU every value between the convolutions is uint8, so that nothing in between goes
    back to float: its kernels then run on bytes from the picture to the head. For TensorRT, which fuses by
    itself, only what a convolution reads is int8, symmetric, and biases stay FP32.

    Args:
        network: From `cut_network`.
        ranges: From `calibrate`.
        runtime: "onnxruntime" or "tensorrt".
        floats: Names of the nodes that stay in FP32.
    """
    from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType, TensorData, TensorsData

    byte = runtime == "onnxruntime"
    limits = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges.limits.items()
    }
    kinds = BYTEWISE if byte else ("Conv",)
    chosen = [node.name for node in network.graph.node if node.op_type in kinds and node.name not in floats]
    inputs_only = {"OpTypesToExcludeOutputQuantization": ["Conv"], "QuantizeBias": False}
    options = {} if byte else {"ActivationSymmetric": True, **inputs_only}
    copied = onnx.ModelProto()
    copied.CopyFrom(network)
    if not chosen:
        return copied
    quantizer: Any = QDQQuantizer(
        copied, per_channel=True, reduce_range=False, weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8 if byte else QuantType.QInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, limits), nodes_to_quantize=chosen,
        nodes_to_exclude=[], op_types_to_quantize=list(kinds), extra_options=options,
    )  # fmt: skip
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    result: onnx.ModelProto = quantizer.model.model
    return result


def pool_first(network: onnx.ModelProto) -> int:
    """Move each LeakyRelu behind the MaxPool that alone reads it, in place: a quarter of the work, no change.

    Returns:
        How many moved.
    """
    readers: dict[str, list[onnx.NodeProto]] = {value.name: [] for value in network.graph.output}
    kept = set(readers)
    for node in network.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    moved = 0
    for node in network.graph.node:
        slope = next((a.f for a in node.attribute if a.name == "alpha"), 0.01)
        behind = readers.get(node.output[0], [])
        if node.op_type != "LeakyRelu" or slope < 0 or node.output[0] in kept or len(behind) != 1:
            continue
        pool = behind[0]
        if pool.op_type != "MaxPool" or len(pool.output) != 1:
            continue
        leaky = onnx.NodeProto.FromString(node.SerializeToString())
        source, between, result = node.input[0], node.output[0], pool.output[0]
        node.CopyFrom(pool)
        node.input[0], node.output[0] = source, between
        pool.CopyFrom(leaky)
        pool.input[0], pool.output[0] = between, result
        stale = [info for info in network.graph.value_info if info.name == between]
        for info in stale:
            network.graph.value_info.remove(info)
        moved += 1
    return moved


def pad_channels(network: onnx.ModelProto) -> int:
    """Give the picture channels of zeros until their number is a multiple of four, in place.

    ONNX Runtime's fast kernel multiplies four channels at once and refuses three, so that the first
    convolution falls back to a slow one. Zero weights for channels that are zero change no result.

    Returns:
        How many convolutions read the padded picture; 0 where other nodes read it, too.
    """
    graph = network.graph
    name = graph.input[0].name
    quantize = next((n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == name), None)
    if quantize is None:
        return 0
    dequantize = next(n for n in graph.node if n.input[0] == quantize.output[0])
    makers = {output: n for n in graph.node for output in n.output}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    readers = [n for n in graph.node if dequantize.output[0] in n.input]
    stored = [_stored_weight(n, makers, weights) for n in readers]
    channels = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    missing = -channels % GROUP
    if not missing or not readers or any(tensor is None for tensor in stored):
        return 0
    for tensor in {tensor.name: tensor for tensor in stored if tensor is not None}.values():
        wider = np.pad(onnx.numpy_helper.to_array(tensor), [(0, 0), (0, missing), (0, 0), (0, 0)])
        tensor.CopyFrom(onnx.numpy_helper.from_array(wider, tensor.name))
    pads = np.array([0, 0, 0, 0, 0, missing, 0, 0], np.int64)
    graph.initializer.append(onnx.numpy_helper.from_array(pads, "quantize/pads"))
    padded = "quantize/padded"
    pad = onnx.helper.make_node(
        "Pad", [quantize.output[0], "quantize/pads", quantize.input[2]], [padded], name="quantize/Pad"
    )
    position = next(index for index, n in enumerate(graph.node) if n.name == dequantize.name)
    graph.node.insert(position, pad)
    graph.node[position + 1].input[0] = padded
    return len(readers)


def _stored_weight(
    node: onnx.NodeProto, makers: dict[str, onnx.NodeProto], weights: dict[str, TensorProto]
) -> TensorProto | None:
    """The int8 weight of an ordinary quantised convolution."""
    maker = makers.get(node.input[1]) if node.op_type == "Conv" else None
    group = next((a.i for a in node.attribute if a.name == "group"), 1)
    tensor = weights.get(maker.input[0]) if maker is not None and group == 1 else None
    return tensor if tensor is not None and tensor.data_type == TensorProto.INT8 else None
