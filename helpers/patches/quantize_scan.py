"""Which layers suffer in INT8: each is switched to INT8 alone, and the damage is read at the head.

One session does the whole scan. In the quantised network every Q/DQ pair becomes an `If` with a switch:
round, or hand on what came. So a layer is tried by one run with its own switches on, on a picture's middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto

from helpers.patches.quantize_network import layer_nodes
from helpers.patches.quantize_nodes import BYTEWISE, insert_qdq

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import onnxruntime
    from numpy.typing import NDArray

    from helpers.patches.quantize_ranges import Ranges

__all__ = ["Scan", "Switchboard"]

ANCHORS = 3  # boxes a cell, in every head of YOLOv7
SCORES = 6  # numbers of a box that has scores
MULTIPLE = 64  # the largest stride
LOCAL = {*BYTEWISE, "Relu", "Clip", "HardSwish", "Slice"}  # the same on a part of a picture


@dataclass(frozen=True)
class Scan:
    """What a sensitivity scan found.

    Attributes:
        noise: For each convolution by name, the noise at the head when its layer alone is in INT8, the worst
            layer first.
        curve: The noise with all layers in INT8, then with the first of `floats` in float, then the first
            two, and so on, until it is within the limit.
        floats: The layers that stay in float, the most rewarding first.
    """

    noise: Mapping[str, float]
    curve: tuple[float, ...]
    floats: tuple[str, ...]


class Switchboard:
    """A network in which each layer can be run in INT8 or in float, by ONNX Runtime on the CPU.

    Args:
        network: From `cut_network`.
        ranges: From `calibrate`; its first pictures are the ones that are run.
        runtime: "onnxruntime" or "tensorrt": where the Q/DQ nodes are.
        pictures: How many pictures to run; each layer costs one run of each.
    """

    def __init__(self, network: onnx.ModelProto, ranges: Ranges, *, runtime: str, pictures: int = 2) -> None:
        self.layers, self.work = layer_nodes(network), _multiplications(network)
        ends = {value.name for value in network.graph.output}
        self.heads = {n.name for n in network.graph.node if n.op_type == "Conv" and n.output[0] in ends}
        quantised = insert_qdq(network, ranges, runtime=runtime)
        self._owners = _install_switches(network, quantised)
        self._session = _plain_session(quantised)
        self._input = network.graph.input[0].name
        local = {node.op_type for node in network.graph.node} <= LOCAL
        self._images = [_middle(image) if local else image for image in ranges.inputs[:pictures]]
        self._exact = self._run(())

    def noise(self, layers: Iterable[str]) -> float:
        """How far the head is off with these layers in INT8.

        Compared is every box after the sigmoid, so from 0 to 1: the root of the mean square, where a box
        weighs what the surer of the two networks thinks of it. Positions and sizes count level by level, the
        worst one: small objects have a level of their own. Scores count over all levels, where they compete.
        What adds up to less than one box counts for less.
        """
        pairs = list(zip(self._exact, self._run(layers), strict=True))
        if any(exact.shape[1] < SCORES for exact, _ in pairs):
            return max(_noise(exact, found, np.ones(len(exact))) for exact, found in pairs)
        weights = [np.maximum(exact[:, 4], found[:, 4]) for exact, found in pairs]
        places = [_noise(a[:, :4], b[:, :4], weight) for (a, b), weight in zip(pairs, weights, strict=True)]
        a, b = (np.concatenate([pair[side][:, 4:] for pair in pairs]) for side in (0, 1))
        return max(*places, _noise(a, b, np.concatenate(weights)))

    def scan(self, limit: float) -> Scan:
        """Try each layer alone; then keep layers in float until all others together are within `limit`.

        The head's convolutions come first, and stay in float in any case: they cost little, nothing averages
        their noise away, and it is they who suffer when the real pictures go beyond the calibrated ranges.
        Then, as noise adds up in squares and a layer in float costs its multiplications, the next one is
        always that which takes away most noise for its work.
        """
        found = {name: self.noise([name]) for name in self.layers}
        gain = {name: found[name] ** 2 / self.work[name] for name in found}
        order = sorted(found, key=lambda name: (name not in self.heads, -gain[name]))
        curve = [self.noise(order)]
        while (curve[-1] > limit or len(curve) <= len(self.heads)) and len(curve) <= len(order):
            curve.append(self.noise(order[len(curve) :]))
        worst = sorted(found, key=lambda name: -found[name])
        return Scan({name: found[name] for name in worst}, tuple(curve), tuple(order[: len(curve) - 1]))

    def _run(self, layers: Iterable[str]) -> list[NDArray[np.float64]]:
        """Every box of every picture: for each level `[boxes, 5 + classes]`, after the sigmoid."""
        nodes = {node for layer in layers for node in self.layers[layer]}
        feeds = {name: np.array(not owners.isdisjoint(nodes)) for name, owners in self._owners.items()}
        runs = [self._session.run(None, {**feeds, self._input: image}) for image in self._images]
        return [np.concatenate([_boxes(head) for head in level]) for level in zip(*runs, strict=True)]


def _noise(exact: NDArray[np.float64], found: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """The weighted root of the mean square of the difference, `[boxes, numbers]`."""
    squares = weight @ (found - exact) ** 2
    return float(np.sqrt(squares.mean() / max(float(weight.sum()), 1.0)))


def _boxes(head: NDArray[np.float32]) -> NDArray[np.float64]:
    """`[1, 3(5+C), H, W]` to `[3HW, 5+C]`, after the sigmoid; another head to `[HW, channels]`."""
    anchors = ANCHORS if head.shape[1] % ANCHORS == 0 and head.shape[1] // ANCHORS >= SCORES else 1
    split = head.astype(np.float64).reshape(anchors, head.shape[1] // anchors, -1)
    boxes = split.transpose(0, 2, 1).reshape(-1, split.shape[1])
    return 0.5 + 0.5 * np.tanh(0.5 * boxes)


def _multiplications(network: onnx.ModelProto) -> dict[str, int]:
    """How many multiplications each convolution makes, by name; where sizes are open, for one cell."""
    values = (*network.graph.value_info, *network.graph.output)
    sides = {v.name: [max(d.dim_value, 1) for d in v.type.tensor_type.shape.dim[2:]] for v in values}
    weights = {tensor.name: int(np.prod(tensor.dims)) for tensor in network.graph.initializer}
    convolutions = [node for node in network.graph.node if node.op_type == "Conv"]
    return {
        node.name: weights.get(node.input[1], 1) * int(np.prod(sides.get(node.output[0], [1])))
        for node in convolutions
    }


def _middle(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The middle of a picture, half as high and wide, in whole cells."""
    ends = []
    for side in image.shape[2:]:
        size = side // 2 // MULTIPLE * MULTIPLE or side
        ends.append(slice((side - size) // 2, (side - size) // 2 + size))
    return np.ascontiguousarray(image[:, :, ends[0], ends[1]])


def _install_switches(network: onnx.ModelProto, quantised: onnx.ModelProto) -> dict[str, set[str]]:
    """Put every Q/DQ pair under a switch, in place; the nodes that each switch belongs to.

    A value belongs to the node that makes it and to those that read it, a weight to its reader. Biases stay
    rounded: they lose nothing in int32.
    """
    graph = quantised.graph
    makers = {output: node for node in graph.node for output in node.output}
    exact = {tensor.name: tensor for tensor in network.graph.initializer}
    have = {tensor.name for tensor in graph.initializer}
    nodes, owners = [], dict[str, set[str]]()
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            continue
        if node.op_type != "DequantizeLinear" or node.output[0] in exact:
            nodes.append(node)
            continue
        label, maker = node.output[0], makers.get(node.input[0])
        source = maker.input[0] if maker is not None else node.input[0].removesuffix("_quantized")
        if source in exact and source not in have:
            graph.initializer.append(exact[source])
            have.add(source)
        owners[f"switch/{label}"] = {each.name for each in graph.node if label in each.input}
        if source in makers:
            owners[f"switch/{label}"].add(makers[source].name)
        nodes.append(_switched(source, label, [each for each in (maker, node) if each is not None]))
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(copies)
    graph.input.extend(onnx.helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in owners)
    for value in (graph.input[0], *graph.output):
        for name, side in zip("hw", value.type.tensor_type.shape.dim[2:], strict=False):
            side.dim_param = f"{value.name}/{name}"
    return owners


def _switched(source: str, label: str, pair: list[onnx.NodeProto]) -> onnx.NodeProto:
    """`If` that runs a Q/DQ pair, or hands on its source."""
    rounded, handed = f"rounded/{label}", f"exact/{label}"
    last = onnx.NodeProto.FromString(pair[-1].SerializeToString())
    last.output[0] = rounded
    identity = onnx.helper.make_node("Identity", [source], [handed])
    branches = {}
    for key, name, nodes in (("then", rounded, [*pair[:-1], last]), ("else", handed, [identity])):
        value = onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        branches[f"{key}_branch"] = onnx.helper.make_graph(nodes, name, [], [value])
    return onnx.helper.make_node("If", [f"switch/{label}"], [label], name=f"if/{label}", **branches)


def _plain_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session on one thread: the runs are short."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
