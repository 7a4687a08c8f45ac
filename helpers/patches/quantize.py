"""INT8 as a graph edit: Q/DQ nodes in the network, where they cost least; decoding and NMS stay in FP32.

A pair of `QuantizeLinear` and `DequantizeLinear` rounds a value to one of 256 steps and gives it back as a
float. A runtime that sees pairs on both sides of an operator runs it on bytes. Where the steps lie is
*calibrated* on pictures. Some layers do not bear the rounding, above all the last ones, whose outputs span
hundreds: these stay in float. A scan measures every layer; more stay until the noise at the head is small.

The nodes are put in by `onnxruntime.quantization`. NVIDIA's own quantiser (modelopt) asks for older versions
of onnx and onnxruntime than the rest of the course, so it cannot stand beside it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import onnx

from helpers.patches import PatchError, PatchResult, open_model, unchanged
from helpers.patches.half_plan import HALF, types_of
from helpers.patches.quantize_network import cut_network, join_network, layer_nodes, picture_size
from helpers.patches.quantize_nodes import RUNTIMES, insert_qdq, pad_channels, pool_first
from helpers.patches.quantize_ranges import Ranges, calibrate
from helpers.patches.quantize_scan import Scan, Switchboard

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LIMIT", "quantize", "scan"]

LIMIT = 0.012  # noise at the head, where every number is between 0 and 1
CHANNEL_OPSET = 13  # the first in which weights may have one scale a channel
PAIRS = ("QuantizeLinear", "DequantizeLinear")


def quantize(
    model: onnx.ModelProto,
    pictures: Iterable[NDArray[np.uint8]] | Ranges,
    *,
    runtime: str = "onnxruntime",
    floats: Sequence[str] | None = None,
    limit: float = LIMIT,
) -> PatchResult:
    """Put the network in INT8, except for the layers that do not bear it.

    Works on the raw, the end-to-end and the patched graph alike, and gives the same network for each.

    Args:
        model: a graph with FP32 convolutions; below opset 13 it is converted to that.
        pictures: what the detector will see, `uint8[H,W,3]` in BGR, never those that it is judged by; or what
            `calibrate` made of them.
        runtime: "onnxruntime": activations in uint8, fast on CPUs with VNNI. "tensorrt": symmetric, all zero
            points 0, only what convolutions read; ONNX Runtime gives the same numbers, slowly.
        floats: names of the convolutions that stay in FP32; where missing, the scan chooses.
        limit: noise at the head up to which the scan leaves layers in INT8 (see `Switchboard.noise`).

    Returns:
        The model with the same inputs, outputs and metadata, about a quarter of the size.

    Raises:
        PatchError: no FP32 convolutions, no pictures, an input of another form, Q/DQ nodes of another form,
            an unknown runtime or layer, or a limit that leaves nothing in INT8.

    >>> import numpy as np
    >>> model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 17]>
    ...     net (float[1, 3, 4, 4] images) => (float[1, 1, 4, 4] output) <float[1, 3, 1, 1] w = {1, 2, 3}>
    ...     { head = Conv(images, w)
    ...       output = Sigmoid(head) }''')
    >>> result = quantize(model, [np.full((4, 4, 3), 200, np.uint8)], floats=[])
    >>> [node.op_type for node in result.model.graph.node if "Linear" not in node.op_type]
    ['Pad', 'Conv', 'Sigmoid']
    """
    if runtime not in RUNTIMES:
        raise PatchError("runtime", " or ".join(RUNTIMES), repr(runtime), "name one of them")
    patched = open_model(model)
    if any(node.op_type in PAIRS for node in patched.graph.node):
        return _already(model, runtime)
    patched = _ready(patched)
    network = cut_network(patched)
    ranges = pictures if isinstance(pictures, Ranges) else calibrate(patched, pictures)
    found = scan(patched, ranges, runtime=runtime, limit=limit) if floats is None else None
    stay = found.floats if found else tuple(floats or ())
    report = _quantised_part(network, ranges, runtime, stay)
    if found:
        report.insert(1, _in_words(found))
    joined = join_network(patched, network)
    return PatchResult(_ensured(joined, patched), changed=True, report=tuple(report))


def scan(
    model: onnx.ModelProto, ranges: Ranges, *, runtime: str = "onnxruntime", limit: float = LIMIT
) -> Scan:
    """Try each layer in INT8 alone, and find the fewest that must stay in float.

    Args:
        model: a graph with FP32 convolutions.
        ranges: from `calibrate` with the same graph.
        runtime: see `quantize`.
        limit: noise at the head that is allowed.
    """
    return Switchboard(cut_network(model), ranges, runtime=runtime).scan(limit)


def _already(model: onnx.ModelProto, runtime: str) -> PatchResult:
    """A graph with Q/DQ nodes: of this form, or refused."""
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    kinds = {info.type.tensor_type.elem_type for info in inferred}
    form = "onnxruntime" if onnx.TensorProto.UINT8 in kinds else "tensorrt"
    if form == runtime:
        return unchanged(model, f"INT8 for {runtime} already")
    raise PatchError("model", "FP32 convolutions", f"INT8 for {form}", "start from the FP32 graph")


def _ready(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in an opset that has scales by channel.

    Raises:
        PatchError: FP16, or an input that is not a picture of fixed size.
    """
    if HALF in types_of(model).values():
        raise PatchError("model", "FP32 convolutions", "FP16", "start from the FP32 graph")
    picture_size(model)
    if all(entry.version >= CHANNEL_OPSET for entry in model.opset_import if entry.domain in ("", "ai.onnx")):
        return model
    newer = onnx.version_converter.convert_version(model, CHANNEL_OPSET)
    del newer.metadata_props[:]
    newer.metadata_props.extend(model.metadata_props)
    return newer


def _quantised_part(
    network: onnx.ModelProto, ranges: Ranges, runtime: str, floats: Sequence[str]
) -> list[str]:
    """Quantise the network in place; one line for each thing that was done."""
    layers = layer_nodes(network)
    unknown = [name for name in floats if name not in layers]
    if unknown or len(set(floats)) == len(layers):
        got = f"{unknown[0]!r}, which is none" if unknown else f"all {len(layers)}"
        raise PatchError("floats", "some of the convolutions", got, "leave some in INT8; raise the limit")
    stay = {node for name in floats for node in layers[name]}
    moved = pool_first(network) if runtime == "onnxruntime" else 0
    quantised = insert_qdq(network, ranges, runtime=runtime, floats=stay)
    padded = pad_channels(quantised) if runtime == "onnxruntime" else 0
    network.CopyFrom(quantised)
    pairs = Counter(node.op_type for node in network.graph.node)
    count = f"INT8 for {runtime}: {len(layers) - len(set(floats))} of {len(layers)} Conv"
    nodes = f"{pairs[PAIRS[0]]} {PAIRS[0]}, {pairs[PAIRS[1]]} {PAIRS[1]}"
    report = [f"{count}, ranges from {len(ranges.inputs)} pictures; {nodes}"]
    if moved:
        report.append(f"{moved} LeakyRelu moved behind the MaxPool that reads it")
    if padded:
        report.append("a channel of zeros beside the picture's three: the fast kernel takes four")
    return report


def _in_words(found: Scan) -> str:
    noise = f"noise at the head {found.curve[0]:.4f} with every layer in INT8"
    worst = ", ".join(f"{name} (alone {found.noise[name]:.4f})" for name in found.floats)
    return f"{noise}, {found.curve[-1]:.4f} with these in FP32: {worst}"


def _ensured(joined: onnx.ModelProto, before: onnx.ModelProto) -> onnx.ModelProto:
    """The model, checked, with the ports and the metadata that it had."""
    model = open_model(joined)
    for kind in ("input", "output"):
        if list(getattr(model.graph, kind)) != list(getattr(before.graph, kind)):
            raise PatchError("patch", f"every {kind} as it was", "a change", "report this graph")
    if list(model.metadata_props) != list(before.metadata_props):
        raise PatchError("patch", "the metadata as it was", "a change", "report this graph")
    return model
