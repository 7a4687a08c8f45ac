"""Building, against both surfaces; what TensorRT itself makes of a graph only a GPU can say."""

import _thread
import json
import sys
import time
import types

import pytest
import trt_double
from trt_double import install, write_graph

from helpers import engine
from helpers.artifacts import Manifest
from helpers.engine import build_engine, plan_build, require_tensorrt
from helpers.engine_header import EngineError, built_here, read_header, read_plan

LAYERS = {
    "10.16": {
        "Layers": [
            {
                "Name": "conv",
                "LayerType": "CaskConvolution",
                "Inputs": [{"Format/Datatype": "Row major linear FP16"}],
            },
            {"Name": "nms", "LayerType": "NMS", "Inputs": [{"Format/Datatype": "Row major linear FP32"}]},
        ],
        "Bindings": ["images", "output"],
    },
    "11.4": {
        "Layers": [
            {
                "Name": "conv",
                "LayerType": "Convolution",
                "Inputs": [{"Format": "kLINEAR", "Datatype": "Half"}],
            },
            {"Name": "nms", "LayerType": "NMS", "Inputs": [{"Format": "kLINEAR", "Datatype": "Float"}]},
        ],
        "I/O Tensors": [{"Name": "images"}, {"Name": "output"}],
    },
}


@pytest.fixture(params=trt_double.VERSIONS)
def double(request, monkeypatch):
    made = install(monkeypatch, request.param)
    made.script.inspector = LAYERS[request.param]
    return made


def test_one_call_on_both(double, tmp_path):
    graph = write_graph(tmp_path / "a.onnx", half=True)
    report = build_engine(graph, tmp_path / "a-fp16.engine", workspace_gb=2)
    version = double.module.__version__
    assert (report.tensorrt, report.cached, report.messages) == (version, False, ("a warning",))
    assert report.precisions == {"fp16": 1, "fp32": 1}
    assert report.shapes["output"] == (1, 100, 6)
    assert report.size == report.path.stat().st_size
    assert "1 in fp16, 1 in fp32" in report.lines()[1]
    # Strongly typed: bit 1 on 10, bit 0 on 11.
    assert double.named("Builder.create_network") == [(2 if version.startswith("10") else 1,)]
    ((pool, limit),) = double.named("IBuilderConfig.set_memory_pool_limit")
    assert (pool.name, limit) == ("WORKSPACE", 2 << 30)
    assert double.named("IBuilderConfig.profiling_verbosity")[0][0].name == "DETAILED"
    assert not double.named("IBuilderConfig.set_flag")
    assert not double.named("IBuilderConfig.clear_flag")
    assert not double.named("IBuilderConfig.add_optimization_profile")
    header = read_header(report.path)
    assert header["names"] == {"0": "RBC", "1": "WBC"}
    assert header["args"] == {"nms": True, "dynamic": False}
    assert header["made_by"]["tensorrt"] == version
    assert header["made_by"]["gpu"] == "Imaginary GPU, compute capability 9.0"
    assert read_plan(report.path).startswith(b"ftrt{")
    assert built_here(report.path)
    assert Manifest(tmp_path).state(report.path, sources=[graph]) == "current"


def test_ultralytics_own_reader_sees_the_same(double, tmp_path):
    from ultralytics.nn.backends.base import BaseBackend

    path = build_engine(write_graph(tmp_path / "a.onnx"), tmp_path / "a.engine").path
    start, header = BaseBackend.engine_header(path)
    assert path.read_bytes()[start:] == read_plan(path)
    assert header == read_header(path)
    backend = types.SimpleNamespace(dynamic=False)
    BaseBackend.apply_metadata(backend, header)
    assert backend.end2end is True
    assert backend.dynamic is False
    assert backend.imgsz == [64, 96]
    assert (backend.stride, backend.task, len(backend.names)) == (32, "detect", 2)


def test_timings_are_kept_and_used(double, tmp_path):
    graph, cache = write_graph(tmp_path / "a.onnx"), tmp_path / "t.cache"
    assert not build_engine(graph, tmp_path / "a.engine", timing_cache=cache).cached
    assert cache.read_bytes() == b"timed;"
    assert build_engine(graph, tmp_path / "a.engine", timing_cache=cache).cached
    assert cache.read_bytes() == b"timed;timed;"
    double.script.stale_cache = True  # written by another version or GPU
    build_engine(graph, tmp_path / "a.engine", timing_cache=cache)
    assert cache.read_bytes() == b"timed;"
    build_engine(graph, tmp_path / "a.engine")
    assert (tmp_path / f"timing-{double.module.__version__}-sm90.cache").is_file()


def test_options(double, tmp_path):
    graph = write_graph(tmp_path / "a.onnx", batch="batch")
    double.script.shapes = {"images": (-1, 3, 64, 96), "output": (-1, 100, 6)}
    build_engine(
        graph, tmp_path / "a.engine", batch=(1, 2, 4), version_compatible=True, hardware_compatible=True,
        tf32=False,
    )  # fmt: skip
    assert [flag.name for (flag,) in double.named("IBuilderConfig.clear_flag")] == ["TF32"]
    ((name, *shapes),) = double.named("IOptimizationProfile.set_shape")
    assert (name, [shape[0] for shape in shapes]) == ("images", [1, 2, 4])
    assert double.named("IBuilderConfig.set_flag")[0][0].name == "VERSION_COMPATIBLE"
    assert double.named("IBuilderConfig.hardware_compatibility_level")[0][0].name == "AMPERE_PLUS"
    assert double.named("Runtime.engine_host_code_allowed") == [(True,)]
    assert read_header(tmp_path / "a.engine")["args"]["dynamic"] is True
    double.script.failing = "profile"
    with pytest.raises(EngineError, match="TensorRT refuses"):
        build_engine(graph, tmp_path / "b.engine")
    assert not (tmp_path / "b.engine").exists()


def test_what_tensorrt_refuses(double, tmp_path):
    graph, target = write_graph(tmp_path / "a.onnx"), tmp_path / "a.engine"
    double.script.parser_errors = [("/nms", "NonMaxSuppression", "no such thing"), ("", "Pad", "never")]
    with pytest.raises(
        EngineError, match=r"node /nms \(NonMaxSuppression\): no such thing; node 7 \(Pad\): never"
    ):
        build_engine(graph, target)
    double.script.parser_errors, double.script.refuse = [], "out of memory"
    with pytest.raises(EngineError, match="could not build it: out of memory"):
        build_engine(graph, target)
    double.script.refuse, double.script.shapes = "", {"images": (1, 3, 64, 96), "output": (-1, 100, 6)}
    with pytest.raises(EngineError, match=r"expected one output \[1, 100, 6\]"):
        build_engine(graph, target)
    double.script.shapes["output"], double.script.inspector = (1, 100, 6), {"Layers": []}
    with pytest.raises(EngineError, match="expected layers that compute in FP16"):
        build_engine(write_graph(tmp_path / "h.onnx", half=True), target)
    assert not target.exists()


def test_ctrl_c_ends_the_build_at_the_next_step(double, tmp_path):
    graph = write_graph(tmp_path / "a.onnx")

    def interrupt(step):
        time.sleep(0.2)  # by now the other thread waits
        _thread.interrupt_main()
        time.sleep(0.5)

    double.script.on_step = interrupt
    with pytest.raises(KeyboardInterrupt):
        build_engine(graph, tmp_path / "a.engine")
    assert double.script.steps == [0]
    assert {path.name for path in tmp_path.iterdir()} == {"a.onnx"}


def test_bars(double, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(engine, "shown", lambda progress: progress)
    build_engine(write_graph(tmp_path / "a.onnx"), tmp_path / "a.engine", progress=True)
    assert "Building" in capsys.readouterr().err
    build_engine(tmp_path / "a.onnx", tmp_path / "a.engine", progress=False)
    assert capsys.readouterr().err == ""


def test_without_a_gpu_tensorrt_is_not_touched(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "tensorrt", None)  # importing it would raise
    with pytest.raises(EngineError, match=r"building a\.engine needs an NVIDIA GPU"):
        build_engine(write_graph(tmp_path / "a.onnx"), tmp_path / "a.engine")
    assert plan_build(tmp_path / "a.onnx", tmp_path / "a.engine").lines()
    monkeypatch.delitem(sys.modules, "tensorrt")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EngineError, match="pip install tensorrt"):
        require_tensorrt("this")
    with pytest.raises(EngineError, match="expected a file"):
        plan_build(tmp_path / "none.onnx", tmp_path / "a.engine")


def test_the_double_refuses_what_a_version_lacks():
    ten, eleven = (trt_double.Double(version) for version in trt_double.VERSIONS)
    assert int(ten.module.BuilderFlag.FP16) == 0
    with pytest.raises(AttributeError):
        _ = eleven.module.BuilderFlag.FP16
    config = ten.make("IBuilderConfig")
    with pytest.raises(TypeError, match="incompatible arguments"):
        config.set_memory_pool_limit("WORKSPACE", 1)
    with pytest.raises(AttributeError):
        config.workspace = 1
    with pytest.raises(TypeError, match="No constructor"):
        ten.module.IBuilderConfig()
    assert json.dumps(sorted(ten.module.NetworkDefinitionCreationFlag.__members__))
