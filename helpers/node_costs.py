"""Which part of a detector a node belongs to, and what each node and part costs on this machine's CPU."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from helpers.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["NodeCost", "cost_table", "node_parts", "profile_nodes"]


def node_parts(model: onnx.ModelProto) -> list[str]:
    """The part of a detector each node belongs to, by position in the graph, not by name.

    A node with a convolution downstream is `backbone`; the last convolutions are `head`; `NonMaxSuppression`
    and what follows is `nms`; between is `decode`. Nodes that a patch or the official exporter named for the
    NMS are `nms` too, and those of the last patch `ultralytics`.
    """
    before_conv: set[str] = set()
    parts: list[str] = []
    for node in reversed(model.graph.node):
        upstream_of_conv = any(name in before_conv for name in node.output)
        parts.append("backbone" if upstream_of_conv else "head" if node.op_type == "Conv" else "decode")
        if upstream_of_conv or node.op_type == "Conv":
            before_conv.update(node.input)
    parts.reverse()
    after_nms: set[str] = set()
    for position, node in enumerate(model.graph.node):
        named = node.name.startswith(("nms/", "/end2end/", "ultralytics/"))
        if named or node.op_type == "NonMaxSuppression" or not after_nms.isdisjoint(node.input):
            parts[position] = "ultralytics" if node.name.startswith("ultralytics/") else "nms"
            after_nms.update(node.output if node.op_type != "Constant" else ())
    return parts


@dataclass(frozen=True)
class NodeCost:
    """Time of one node as ONNX Runtime ran it, in milliseconds a run."""

    name: str
    op: str
    part: str
    ms: float


def profile_nodes(
    path: str | Path, feeds: Mapping[str, NDArray[np.generic]], runs: int = 10
) -> list[NodeCost]:
    """Median time of each node on the CPU, the most expensive first, from ONNX Runtime's own profiler.

    The runtime fuses and rewrites nodes; a fused node is named after the value it makes, so keeps its part.
    The runtime's own changes of memory layout count as `layout`. One run warms up and is not counted.
    """
    import onnxruntime

    model = onnx.load(path, load_external_data=False)
    part_of: dict[str, str] = {}
    for node, part in zip(model.graph.node, node_parts(model), strict=True):
        part_of |= dict.fromkeys((node.name, *node.output), part)
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for _ in range(runs + 1):
            session.run(None, dict(feeds))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            times[event["name"].removesuffix("_kernel_time"), event["args"]["op_name"]].append(
                event["dur"] / 1000
            )
    costs = []
    for (name, op), durations in times.items():
        part = _part(name, op, part_of)
        costs.append(NodeCost(name, op, part, float(np.median(durations[len(durations) // (runs + 1) :]))))
    return sorted(costs, key=lambda cost: -cost.ms)


def _part(name: str, op: str, part_of: Mapping[str, str]) -> str:
    """The runtime appends to the name of a node or value it starts from: `_nchwc`, `/QuickGeluFusion/`."""
    stem = name.removesuffix("_nchwc")
    while stem and stem not in part_of:
        stem = stem.rpartition("/")[0]
    return part_of.get(stem) or ("layout" if op.startswith(("Reorder", "Transpose")) else "other")


def cost_table(costs: list[NodeCost], by: str = "part") -> Table:
    """Cost grouped by `part` or `op`: nodes, milliseconds, share in percent; the most expensive first.

    >>> print(cost_table([NodeCost("a", "Conv", "head", 3.0), NodeCost("b", "Mul", "decode", 1.0)]))
    part    nodes   ms   %
    head        1  3.0  75
    decode      1  1.0  25
    """
    if by not in ("part", "op"):
        raise ValueError(f"by: expected 'part' or 'op', got {by!r}; choose one of them")
    groups: dict[str, list[float]] = defaultdict(list)
    for cost in costs:
        groups[getattr(cost, by)].append(cost.ms)
    total = sum(cost.ms for cost in costs) or 1.0
    ordered = sorted(groups.items(), key=lambda item: -sum(item[1]))
    rows = tuple((name, len(ms), round(sum(ms), 2), round(100 * sum(ms) / total)) for name, ms in ordered)
    return Table((by, "nodes", "ms", "%"), rows)
