"""Parts of a detector and what they cost."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from helpers import graph
from helpers.node_costs import NodeCost, cost_table
from helpers.patches.nms import add_nms
from helpers.patches.ultralytics import to_ultralytics


def test_parts_of_a_patched_graph(small):
    patched = to_ultralytics(add_nms(small).model).model
    parts = graph.node_parts(patched)
    assert parts[:6] == ["backbone", "backbone", "head", "decode", "decode", "decode"]
    names = [node.name for node in patched.graph.node]
    assert {part for part, name in zip(parts, names, strict=True) if name.startswith("nms/")} == {"nms"}
    assert {p for p, name in zip(parts, names, strict=True) if name.startswith("ultralytics/")} == {
        "ultralytics"
    }


def test_parts_without_names_follow_the_nms(small):
    patched = add_nms(small).model
    for node in patched.graph.node:
        node.name = ""
    ops = [node.op_type for node in patched.graph.node]
    parts = graph.node_parts(patched)
    assert parts[ops.index("NonMaxSuppression")] == parts[ops.index("GatherND")] == parts[-1] == "nms"
    assert parts[ops.index("ArgMax")] == "decode"
    assert graph.node_table(patched).rows[0][3] == "a"


def test_profile_counts_every_part_and_leaves_nothing_behind(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.onnx"
    patched = to_ultralytics(add_nms(small).model).model
    onnx.save(patched, path)
    costs = graph.profile_nodes(path, {"images": np.ones((1, 3, 8, 8), np.float32)}, runs=3)
    assert [cost.ms for cost in costs] == sorted((cost.ms for cost in costs), reverse=True)
    assert {"backbone", "head", "decode", "nms", "ultralytics"} <= {cost.part for cost in costs}
    assert "other" not in {cost.part for cost in costs}
    assert all(cost.ms >= 0 for cost in costs)
    assert [entry.name for entry in tmp_path.iterdir()] == ["small.onnx"]


def test_cost_table():
    assert len(cost_table([])) == 0
    costs = [
        NodeCost("a", "Conv", "head", 1.0),
        NodeCost("b", "Conv", "backbone", 2.0),
        NodeCost("c", "Mul", "head", 1.0),
    ]
    assert cost_table(costs, "op").rows == (("Conv", 2, 3.0, 75), ("Mul", 1, 1.0, 25))
    assert cost_table(costs).rows == (("head", 2, 2.0, 50), ("backbone", 1, 2.0, 50))
    with pytest.raises(ValueError, match="by: expected 'part' or 'op', got 'name'"):
        cost_table(costs, "name")
