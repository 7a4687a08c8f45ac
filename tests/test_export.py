"""The raw graph: right for any size and batch, silent, the same every time, and never written half."""

from __future__ import annotations

import logging
import sys
import warnings

import numpy as np
import official_form
import onnx
import onnxruntime
import pytest
import torch

from helpers import export
from helpers.checkpoint import load_checkpoint
from helpers.export import ExportError, check_size, export_onnx
from helpers.network import build_network, fuse

STRIDE = 16


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = official_form.save(tmp_path_factory.mktemp("k") / "best.pt", official_form.make_model("IDetect"))
    return fuse(build_network(load_checkpoint(path)))


@pytest.fixture(scope="module")
def exported(network):
    return export_onnx(network, size_wh=(64, 48))


def run(model, images):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


def ports(model):
    def shape(value):
        return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]

    return [(v.name, shape(v)) for v in (*model.graph.input, *model.graph.output)]


def test_static_graph(network, exported):
    assert ports(exported) == [("images", [1, 3, 48, 64]), ("output", [1, (6 * 8 + 3 * 4) * 2, 8])]
    assert [(o.domain, o.version) for o in exported.opset_import] == [("", 18)]
    images = np.random.default_rng(1).random((1, 3, 48, 64), dtype=np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    assert np.abs(run(exported, images) - expected).max() < 1e-3


def test_metadata_and_names(exported):
    assert {p.key: p.value for p in exported.metadata_props} == {
        "names": "{0: 'a', 1: 'b', 2: 'c'}",
        "stride": "16",
        "imgsz": "[48, 64]",
    }
    names = [node.name for node in exported.graph.node]
    assert len(set(names)) == len(names)
    assert "/model.1/conv/Conv" in names
    assert any(name.startswith("/decode/") for name in names)
    assert not exported.functions


def test_nothing_of_this_machine_is_in_the_file(exported, repository):
    content = exported.SerializeToString()
    for trace in (str(repository), sys.prefix, "site-packages", "/home", "stack_trace", ".py"):
        assert trace.encode() not in content, trace


def test_fused_graph_has_no_batch_normalization(exported):
    assert "BatchNormalization" not in {node.op_type for node in exported.graph.node}


def test_the_same_bytes_every_time_silently_and_atomically(network, tmp_path, capfd):
    path = tmp_path / "new" / "best.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = export_onnx(network, path, size_wh=(32, 32))
        second = export_onnx(network, size_wh=(32, 32))
    assert first.SerializeToString() == second.SerializeToString() == path.read_bytes()
    assert list(path.parent.iterdir()) == [path]
    assert tuple(capfd.readouterr()) == ("", "")
    assert logging.getLogger("torch.onnx").level == logging.NOTSET


def test_open_batch(network, monkeypatch):
    proven, real = [], export._run
    monkeypatch.setattr(export, "_run", lambda model, x: proven.append(x.shape) or real(model, x))
    model = export_onnx(network, size_wh=(48, 32), dynamic_batch=True)
    assert proven == [(3, 3, 32, 48)]  # one picture would not show a batch of 1 that was nailed down
    assert ports(model)[0] == ("images", ["batch", 3, 32, 48])
    assert ports(model)[1] == ("output", ["batch", (4 * 6 + 2 * 3) * 2, 8])
    images = np.random.default_rng(1).random((5, 3, 32, 48), dtype=np.float32)
    together = run(model, images)
    for index in range(5):
        assert np.abs(run(model, images[index : index + 1])[0] - together[index]).max() < 1e-4
    assert np.abs(together[0] - together[1]).max() > 1e-2


@pytest.mark.parametrize("opset", [20])
def test_newer_opsets(network, opset):
    model = export_onnx(network, size_wh=(16, 32), opset=opset)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", opset)]


def test_an_unfused_network_for_training_is_left_as_it_was(tmp_path):
    path = official_form.save(tmp_path / "best.pt", official_form.make_model("IAuxDetect"))
    network = build_network(load_checkpoint(path), dtype=torch.float64).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    model = export_onnx(network, size_wh=(32, 32))
    assert network.training
    for name, value in network.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name]), name
    images = np.random.default_rng(1).random((1, 3, 32, 32), dtype=np.float32)
    expected = official_form.predict(official_form.make_model("IAuxDetect"), torch.from_numpy(images)).numpy()
    assert np.abs(run(model, images) - expected).max() < 1e-2


@pytest.mark.parametrize(
    ("size_wh", "nearest"),
    [
        ((60, 64), "64x64"),
        ((64, 50), "64x48"),
        ((0, 64), "16x64"),
        ((-16, 64), "16x64"),
        ((1, 1), "16x16"),
        ((641, 360), "640x352"),
    ],
)
def test_sizes_that_do_not_fit(network, size_wh, nearest):
    with pytest.raises(
        ValueError, match=f"expected positive multiples of 16, got .* nearest valid size: {nearest}"
    ):
        export_onnx(network, size_wh=size_wh)


@pytest.mark.parametrize("size_wh", [(64.0, 64), (64,), (64, 64, 3), ("64", "64")])
def test_sizes_that_are_none(size_wh):
    with pytest.raises(ValueError, match="expected two whole numbers, width and height"):
        check_size(size_wh, STRIDE)


def test_sizes_that_fit():
    for size_wh in ((16, 16), (640, 480), (16, 1280)):
        check_size(size_wh, STRIDE)


@pytest.mark.parametrize("opset", [17, 12, 0])
def test_old_opsets(network, opset):
    with pytest.raises(ValueError, match="opset: expected 18 or newer"):
        export_onnx(network, size_wh=(32, 32), opset=opset)


def test_an_opset_that_torch_does_not_know(network, tmp_path, capfd):
    with pytest.raises(ExportError, match=r"opset: 99 was asked for, torch's exporter wrote \d+"):
        export_onnx(network, tmp_path / "a.onnx", size_wh=(16, 16), opset=99)
    assert list(tmp_path.iterdir()) == []
    assert tuple(capfd.readouterr()) == ("", "")


class Program:
    def __init__(self, model_proto):
        self.model_proto = model_proto


def returning(value):
    return lambda *_, **__: value


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def changed(model, change):
    """A program that holds a copy of `model` after `change`."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    change(copied)
    return returning(Program(copied))


def no_output(model):
    del model.graph.output[:]


def rename_input(model):
    model.graph.input[0].name = "pixels"
    for node in model.graph.node:
        node.input[:] = ["pixels" if name == "images" else name for name in node.input]


def shift_a_weight(model):
    weight = next(i for i in model.graph.initializer if len(i.dims) == 4 and i.dims[-1] == 3)
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * 1.05, weight.name))


def short_output(model):
    """The last value of every row is missing."""
    graph = model.graph
    graph.node[-1].output[0] = "whole"
    for name, value in (("s", 0), ("e", 7), ("x", 2)):
        graph.initializer.append(onnx.numpy_helper.from_array(np.array([value]), name))
    graph.node.append(onnx.helper.make_node("Slice", ["whole", "s", "e", "x"], ["output"]))
    graph.output[0].type.tensor_type.shape.dim[2].dim_value = 7


def unknown_operator(model):
    model.graph.node[0].op_type = "Magic"


def unrunnable(model):
    """What the checker lets pass and ONNX Runtime does not: an operator of another domain."""
    model.graph.node[0].domain = "com.example"
    model.graph.node[0].op_type = "Magic"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))


FAILURES = {
    "nothing": (lambda m: returning(None), "got NoneType"),
    "garbage": (lambda m: returning("garbage"), "torch.onnx.export failed .*AttributeError"),
    "a program of garbage": (lambda m: returning(Program(b"garbage")), "got bytes"),
    "an empty model": (lambda m: returning(Program(onnx.ModelProto())), "opset"),
    "a RuntimeError": (
        lambda m: raising(RuntimeError("no decomposition")),
        "failed for 64x48, opset 18: RuntimeError: no deco",
    ),
    "an AssertionError": (lambda m: raising(AssertionError("inside")), "AssertionError: inside"),
    "a KeyError": (lambda m: raising(KeyError("aten")), "KeyError"),
    "no output": (lambda m: changed(m, no_output), "invalid|expected images"),
    "another input": (lambda m: changed(m, rename_input), r"expected images -> output, got \['pixels'\]"),
    "other numbers": (
        lambda m: changed(m, shift_a_weight),
        "px and .* in score from float64, PyTorch's float32 only",
    ),
    "other shape": (
        lambda m: changed(m, short_output),
        r"expected an output \(1, 120, 8\), got \(1, 120, 7\)",
    ),
    "unknown operator": (lambda m: changed(m, unknown_operator), "invalid"),
    "unrunnable": (lambda m: changed(m, unrunnable), "ONNX Runtime cannot run"),
}


@pytest.mark.parametrize(("make", "match"), FAILURES.values(), ids=FAILURES)
def test_whatever_fails_raises_and_writes_nothing(network, exported, tmp_path, monkeypatch, make, match):
    old = tmp_path / "best.onnx"
    old.write_bytes(b"the file of last time")
    monkeypatch.setattr(torch.onnx, "export", make(exported))
    with pytest.raises(ExportError, match=match):
        export_onnx(network, old, size_wh=(64, 48))
    assert old.read_bytes() == b"the file of last time"
    assert list(tmp_path.iterdir()) == [old]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers(exported, network, tmp_path, monkeypatch, value):
    import copy

    broken = copy.deepcopy(network)
    broken.model[1].conv.weight.data[0, 0, 0, 0] = value
    monkeypatch.setattr(torch.onnx, "export", changed(exported, lambda m: None))
    with pytest.raises(ExportError, match=r"outputs are not finite\. Fix: its weights hold NaN or infinity"):
        export_onnx(broken, tmp_path / "a.onnx", size_wh=(64, 48))
    assert list(tmp_path.iterdir()) == []


def test_differences():
    a = np.zeros((1, 2, 7))
    b = a.copy()
    b[0, 0, 1], b[0, 1, 6] = 3, 0.5
    assert export._differences(a, b) == (3, 0.5)
    b[0, 0, 0] = np.nan
    assert export._differences(a, b) == (np.inf, np.inf)


@pytest.mark.parametrize(("column", "off", "allowed"), [(0, 0.02, True), (0, 0.4, False), (6, 2e-3, False)])
def test_how_far_an_export_may_be_off(network, exported, monkeypatch, column, off, allowed):
    real = export._run

    def shifted(model, images):
        found = real(model, images).copy()
        found[..., column] += off
        return found

    monkeypatch.setattr(export, "_run", shifted)
    if allowed:
        export._prove(exported, network, (64, 48), 1)
        return
    with pytest.raises(ExportError, match="from float64"):
        export._prove(exported, network, (64, 48), 1)


def test_warnings_of_ours_are_not_swallowed():
    with pytest.warns(UserWarning, match="ours"), export._without_torch_chatter():
        warnings.warn("ours", stacklevel=1)
