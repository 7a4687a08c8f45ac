"""Files become predictors: a checkpoint, a raw graph and a finished graph say the same where they can."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.session import DetectorError
from helpers.training import file_prediction
from helpers.training.file_prediction import file_predictor, select

NAMES = "{0: 'cat', 1: 'dog'}"


def row(x, y, side, objectness, *classes):
    return [x, y, side, side, objectness, *classes]


def write_graph(path, output, names=NAMES):
    """A graph that answers every picture of 64x64 with the same output."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    value = np.asarray(output, np.float32)
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["top"], keepdims=0),
        helper.make_node("Mul", ["top", "zero"], ["nothing"]),
        helper.make_node("Add", ["value", "nothing"], ["output"]),
    ]
    constants = [numpy_helper.from_array(value, "value"), numpy_helper.from_array(np.float32(0), "zero")]
    graph = helper.make_graph(
        nodes, "constant",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, list(value.shape))], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    if names:
        helper.set_model_props(model, {"names": names})
    onnx.save(model, path)
    return path


def test_nothing_to_select():
    assert len(select(np.zeros((0, 7), np.float32))) == 0
    assert len(select(np.zeros((3, 7), np.float32))) == 0
    assert len(select(np.zeros((0, 7), np.float32), multi_label=False)) == 0


def test_one_class_or_several():
    rows = np.array([row(20, 20, 10, 0.5, 0.8, 0.6)], np.float32)
    several, one = select(rows), select(rows, multi_label=False)
    assert several.class_ids.tolist() == [0, 1]
    assert several.scores.tolist() == pytest.approx([0.4, 0.3])
    assert several.boxes_xyxy.tolist() == [[15, 15, 25, 25]] * 2
    assert one.class_ids.tolist() == [0]


def test_a_single_class_is_its_objectness():
    assert select(np.array([row(20, 20, 10, 0.7, 0.1)], np.float32)).scores.tolist() == pytest.approx([0.7])


def test_overlaps_within_a_class_only():
    # 10 px boxes, 2 px apart: IoU 80 / 120 = 0.667, above 0.65; 3 px apart: 70 / 130, below.
    rows = np.array(
        [row(20, 20, 10, 1, 0.9, 0), row(22, 20, 10, 1, 0.8, 0), row(22, 20, 10, 1, 0, 0.7),
         row(23, 20, 10, 1, 0.6, 0)],
        np.float32,
    )  # fmt: skip
    found = select(rows)
    assert found.scores.tolist() == pytest.approx([0.9, 0.7, 0.6])
    assert found.class_ids.tolist() == [0, 1, 0]


def test_thresholds_and_limits(rng):
    rows = np.array([row(20, 20, 10, 1, 0.0011, 0), row(60, 20, 10, 1, 0.0009, 0)], np.float32)
    assert len(select(rows)) == 1
    many = np.zeros((400, 6), np.float32)
    many[:, 0], many[:, 2:4], many[:, 4] = np.arange(400) * 20, 10, rng.uniform(0.1, 1, 400)
    found = select(many)
    assert len(found) == 300
    assert found.scores.min() >= np.sort(many[:, 4])[100]


def test_raw_and_finished_graphs(tmp_path):
    picture = np.zeros((32, 64, 3), np.uint8)  # letterboxed into 64x64: 16 px above and below
    raw = write_graph(tmp_path / "raw.onnx", [[row(20, 30, 8, 1.0, 0.9, 0.5), row(20, 30, 8, 0, 0, 0)]])
    predict, names, line = file_predictor(raw)
    assert (names, line) == (("cat", "dog"), "raw ONNX, 64x64, several classes a box")
    found = predict(picture)
    assert found.boxes_xyxy.tolist() == [[16, 10, 24, 18]] * 2
    predict, _, line = file_predictor(raw, multi_label=False)
    assert len(predict(picture)) == 1
    assert "one class a box" in line
    rows = np.zeros((1, 5, 6))
    rows[0, 0] = [16, 26, 24, 34, 0.9, 1]
    predict, names, line = file_predictor(write_graph(tmp_path / "done.onnx", rows))
    assert predict(picture).boxes_xyxy.tolist() == [[16, 10, 24, 18]]
    assert names == ("cat", "dog")
    assert line.startswith("finished ONNX, 64x64, one class a box")


def test_a_raw_graph_without_names(tmp_path):
    raw = write_graph(tmp_path / "raw.onnx", [[row(20, 30, 8, 1.0, 0.9, 0.5)]], names="")
    assert file_predictor(raw)[1] == ("class0", "class1")


def test_a_checkpoint(tmp_path, rng):
    import official_form
    import torch

    from helpers.checkpoint import load_checkpoint
    from helpers.network import build_network, fuse

    path = official_form.save(tmp_path / "best.pt", official_form.make_model())
    predict, names, line = file_predictor(path, size=64)
    assert (names, line) == (("a", "b", "c"), "checkpoint, 64x64, several classes a box")
    picture = rng.integers(0, 255, (64, 64, 3), np.uint8)
    rgb = np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1)[None], np.float32) / 255
    with torch.no_grad():
        raw = fuse(build_network(load_checkpoint(path)))(torch.from_numpy(rgb))[0].numpy()
    expected = select(raw).clipped((64, 64))
    assert np.allclose(predict(picture).boxes_xyxy, expected.boxes_xyxy, atol=1e-3)
    assert len(expected) > 0
    assert "640x640" in file_predictor(path)[2]


def test_refusals(tmp_path):
    with pytest.raises(DetectorError, match=r"nowhere.engine: expected an engine, got none"):
        file_predictor(Path("nowhere.engine"))
    (tmp_path / "a.onnx").write_text("<html>")
    with pytest.raises(DetectorError, match="expected an ONNX file"):
        file_predictor(tmp_path / "a.onnx")
    odd = write_graph(tmp_path / "odd.onnx", np.zeros((2, 3)))
    with pytest.raises(DetectorError, match="expected one output"):
        file_predictor(odd)


def test_an_engine_is_loaded_only_if_built_here_or_trusted(tmp_path, monkeypatch):
    """The engine is TensorRT's double: it computes, and records."""
    import torch
    from trt_double import install, write_graph

    from helpers.engine import build_engine

    double = install(monkeypatch, "11.4")
    engine = build_engine(write_graph(tmp_path / "a.onnx"), tmp_path / "a.engine").path
    predict, names, line = file_predictor(engine)
    assert (names, line) == (("RBC", "WBC"), "engine, 96x64, one class a box, above its own score threshold")
    found = predict(np.full((64, 96, 3), 51, np.uint8))
    assert found.boxes_xyxy.tolist() == [[0, 1, 2, 3]]
    assert found.scores == pytest.approx([0.2])
    engine.write_bytes(engine.read_bytes() + b" ")
    loads = len(double.named("Runtime.deserialize_cuda_engine"))
    with pytest.raises(DetectorError, match="the manifest beside it does not know it"):
        file_predictor(engine)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DetectorError, match="needs an NVIDIA GPU"):
        file_predictor(engine, trust_engine=True)
    assert len(double.named("Runtime.deserialize_cuda_engine")) == loads


def test_limits_are_the_authors():
    values = (file_prediction.SCORE_THRESHOLD, file_prediction.IOU_THRESHOLD, file_prediction.LIMIT)
    assert values == (0.001, 0.65, 300)
