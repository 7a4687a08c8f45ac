"""What is to be built, from the graph alone."""

import numpy as np
import onnx
import pytest
from trt_double import write_graph

from helpers.engine_header import EngineError
from helpers.engine_plan import Plan, Wish


def plan_of(path, engine="a.engine", batch=None):
    return Plan.of(onnx.load(path), path, path.with_name(engine), batch)


def test_fixed_batch(tmp_path):
    plan = plan_of(write_graph(tmp_path / "a.onnx"))
    assert (plan.input_name, plan.dynamic, plan.half) == ("images", False, False)
    assert plan.shapes == ((1, 3, 64, 96),) * 3
    assert plan.header["args"] == {"nms": True, "dynamic": False}
    assert plan.header["names"] == {0: "RBC", 1: "WBC"}
    assert plan.header["imgsz"] == [64, 96]
    assert (plan.header["batch"], plan.header["stride"], plan.header["task"]) == (1, 32, "detect")
    assert plan.lines()[1] == "input images: [1, 3, 64, 96]"


@pytest.mark.parametrize(
    ("note", "told"), [(None, False), ("mask: objectness above 0.35", True), ("topk: objectness", False)]
)
def test_shapes_that_change_are_told(tmp_path, note, told):
    path = write_graph(tmp_path / "a.onnx")
    model = onnx.load(path)
    if note:
        entry = model.metadata_props.add()
        entry.key, entry.value = "filter", note
    onnx.save(model, path)
    assert any("shapes change with the picture" in line for line in plan_of(path).lines()) is told


def test_int8_is_told_from_its_nodes(tmp_path):
    path = write_graph(tmp_path / "a.onnx")
    assert plan_of(path).lines()[2] == "precision: FP32, from the graph"
    model = onnx.load(path)
    model.graph.node.add(op_type="QuantizeLinear")
    plan = Plan.of(model, path, path.with_name("a.engine"))
    assert plan.lines()[2] == "precision: INT8 between the Q/DQ nodes, elsewhere FP32, from the graph"


def test_open_batch(tmp_path):
    plan = plan_of(write_graph(tmp_path / "a.onnx", batch="batch", half=True), batch=(1, 4, 16))
    assert [shape[0] for shape in plan.shapes] == [1, 4, 16]
    assert plan.dynamic
    assert plan.half
    assert plan.header["args"] == {"nms": True, "dynamic": True}
    assert "batch 1 to 16" in plan.lines()[1]
    assert "FP16" in plan.lines()[2]


@pytest.mark.parametrize(
    ("graph", "engine", "batch", "reason"),
    [
        ({"output": (1, 101, 6)}, "a.engine", None, r"expected one output \[B,100,6\]"),
        ({"output": (1, "rows", 6)}, "a.engine", None, r"expected one output \[B,100,6\]"),
        ({"output": ("rows", 7)}, "a.engine", None, "python -m helpers patch a.onnx makes it"),
        ({"input_name": "input"}, "a.engine", None, r"expected one input, images"),
        ({"names": ()}, "a.engine", None, "imgsz, names, stride is missing. Fix: .* patch a.onnx"),
        ({}, "a-fp16.engine", None, "says FP16, but a.onnx computes in FP32"),
        ({}, "a.engine", (1, 2, 4), "the graph's is fixed at 1"),
        ({"batch": "batch"}, "a.engine", (2, 1, 4), "expected fewest <= usual <= most"),
        ({"batch": "batch"}, "a.engine", (0, 1, 4), "expected fewest <= usual <= most"),
    ],
)
def test_refusals(tmp_path, graph, engine, batch, reason):
    with pytest.raises(EngineError, match=reason):
        plan_of(write_graph(tmp_path / "a.onnx", **graph), engine, batch)


@pytest.mark.parametrize(
    ("zero", "got"),
    [
        (np.int8(0), None),
        (np.int32(0), None),
        (np.zeros(3, np.int8), None),
        (np.uint8(0), "got 2 unsigned and 0 other zero points"),
        (np.uint8(7), "got 2 unsigned and 2 other zero points"),
        (np.int8(-3), "got 0 unsigned and 2 other zero points"),
        (np.array([0, 0, 1], np.int8), "got 0 unsigned and 2 other zero points"),
    ],
)
def test_int8_for_cpus_is_refused_with_the_form_to_build(tmp_path, zero, got):
    path = write_graph(tmp_path / "best-int8.onnx")
    model = onnx.load(path)
    for kind in ("QuantizeLinear", "DequantizeLinear"):
        model.graph.node.add(op_type=kind, input=["x", "scale", f"zero of {kind}"], output=["y"])
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(zero), f"zero of {kind}"))
    if got is None:
        assert Plan.of(model, path, tmp_path / "a.engine").int8
        return
    with pytest.raises(EngineError, match=got) as refusal:
        Plan.of(model, path, tmp_path / "a.engine")
    assert "patch best-ultralytics.onnx --form int8-tensorrt makes" in str(refusal.value)


@pytest.mark.parametrize("shape", [(1, 100, 7), (-1, 100, 6), (2, 100, 6), (1, 100)])
def test_another_output_is_refused(tmp_path, shape):
    plan = plan_of(write_graph(tmp_path / "a.onnx"))
    plan.check({"images": (1, 3, 64, 96), "output": (1, 100, 6)}, {}, "11.4")
    with pytest.raises(EngineError, match=r"expected one output \[1, 100, 6\]"):
        plan.check({"images": (1, 3, 64, 96), "output": shape}, {}, "11.4")


@pytest.mark.parametrize("precisions", [{}, {"fp32": 3}, {"?": 3}])
def test_fp16_that_is_none_is_refused(tmp_path, precisions):
    plan = plan_of(write_graph(tmp_path / "a.onnx", half=True), "a-fp16.engine")
    shapes = {"images": (1, 3, 64, 96), "output": (1, 100, 6)}
    plan.check(shapes, {"fp16": 1, "fp32": 9}, "10.16")
    with pytest.raises(EngineError, match="expected layers that compute in FP16"):
        plan.check(shapes, precisions, "10.16")


def test_workspace(tmp_path):
    assert Wish(0.5, tmp_path).workspace_bytes == 1 << 29
    with pytest.raises(EngineError, match="expected more than 0, got 0"):
        _ = Wish(0, tmp_path).workspace_bytes
