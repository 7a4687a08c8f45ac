"""Running, against both surfaces, with real memory: the double reads and writes where it is pointed to."""

import numpy as np
import pytest
import torch
import trt_double
from trt_double import HostMemory, install, write_graph

from helpers.artifacts import Manifest
from helpers.engine import build_engine
from helpers.engine_header import EngineError, pack_header, read_header, read_plan
from helpers.engine_run import Engine


@pytest.fixture(params=trt_double.VERSIONS)
def double(request, monkeypatch):
    return install(monkeypatch, request.param)


def built(double, folder, batch=1, **options):
    double.script.most = 4 if batch == "batch" else 1
    if batch == "batch":
        double.script.shapes = {"images": (-1, 3, 64, 96), "output": (-1, 100, 6)}
        options["batch"] = (1, 2, 4)
    return build_engine(write_graph(folder / "a.onnx", batch=batch), folder / "a.engine", **options).path


def pictures(count):
    return np.stack([np.full((3, 64, 96), (n + 1) / 8, np.float32) for n in range(count)])


def test_pictures_in_rows_out(double, tmp_path):
    engine = Engine(built(double, tmp_path))
    assert (engine.names, engine.size_wh, engine.largest_batch) == (("RBC", "WBC"), (96, 64), 1)
    made = HostMemory.made
    rows = engine.infer(pictures(1))
    assert rows.shape == (1, 100, 6)
    np.testing.assert_allclose(rows[0, 0], [0, 1, 2, 3, 1 / 8, 0])
    assert not rows[0, 1:].any()
    again = engine.infer(pictures(1) * 2)
    assert rows[0, 0, 4] == 1 / 8, "the first answer is the caller's own"
    assert again[0, 0, 4] == 1 / 4
    assert HostMemory.made == made, "buffers are made once"
    assert len(double.named("IExecutionContext.set_tensor_address")) == 2
    assert double.named("IExecutionContext.execute_async_v3") == [(HostMemory.stream,)] * 2
    assert not double.named("IExecutionContext.set_input_shape")


def test_open_batch(double, tmp_path):
    engine = Engine(built(double, tmp_path, "batch"))
    for count in (2, 4, 1):
        rows = engine.infer(pictures(count))
        assert rows.shape == (count, 100, 6)
        np.testing.assert_allclose(rows[:, 0, 4], (np.arange(count) + 1) / 8)
    assert [shape[0] for _, shape in double.named("IExecutionContext.set_input_shape")] == [2, 4, 1]


@pytest.mark.parametrize(
    "images",
    [pictures(1)[:0], pictures(2), pictures(1).astype(np.float64), pictures(1)[..., 1:], pictures(1)[0]],
)
def test_other_pictures_are_refused(double, tmp_path, images):
    with pytest.raises(EngineError, match=r"images_nchw: expected float32 \[1, 3, 64, 96\]"):
        Engine(built(double, tmp_path)).infer(images)


def test_not_contiguous(double, tmp_path):
    turned = np.ascontiguousarray(pictures(1).transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert Engine(built(double, tmp_path)).infer(turned)[0, 0, 4] == 1 / 8


@pytest.mark.parametrize("call", ["context", "set_tensor_address", "set_input_shape", "execute_async_v3"])
def test_every_status_is_checked(double, tmp_path, call):
    path, double.script.failing = built(double, tmp_path, "batch"), call
    with pytest.raises(EngineError, match=call):
        Engine(path).infer(pictures(1))


def test_only_what_was_built_here_is_loaded(double, tmp_path):
    path = built(double, tmp_path)
    before = len(double.named("Runtime.deserialize_cuda_engine"))
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(EngineError, match="runs code in it"):
        Engine(path)
    stranger = tmp_path / "stranger.engine"
    stranger.write_bytes(read_plan_of(double))
    with pytest.raises(EngineError, match="runs code in it"):
        Engine(stranger)
    assert len(double.named("Runtime.deserialize_cuda_engine")) == before
    assert Engine(stranger, trust=True).names == ()


def read_plan_of(double):
    import json

    return trt_double.PLAN + json.dumps(double.script.shapes).encode()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tensorrt": "10.3.0.26"}, r"built with tensorrt 10.3.0.26, and here is 1[01]\.\d+\.0"),
        (
            {"gpu": "Old GPU, compute capability 7.5"},
            "built with gpu Old GPU.*here is compute capability 9.0",
        ),
        ({"platform": "win33"}, "built with platform win33"),
        ({"plan_bytes": 1 << 20}, "the file is cut off"),
    ],
)
def test_another_origin_is_told_before_the_plan_is_loaded(double, tmp_path, change, reason):
    path = built(double, tmp_path)
    loads = len(double.named("Runtime.deserialize_cuda_engine"))
    header, plan = read_header(path), read_plan(path)
    header["made_by"] |= change
    path.write_bytes(pack_header(header) + plan)
    Manifest(tmp_path).record(path, call="build_engine")
    with pytest.raises(EngineError, match=reason):
        Engine(path)
    assert len(double.named("Runtime.deserialize_cuda_engine")) == loads


def test_a_compatible_engine_may_come_from_elsewhere(double, tmp_path):
    path = built(double, tmp_path, version_compatible=True, hardware_compatible=True)
    header, plan = read_header(path), read_plan(path)
    header["made_by"] |= {"tensorrt": "10.3.0.26", "gpu": "Old GPU, compute capability 8.0"}
    path.write_bytes(pack_header(header) + plan)
    assert Engine(path, trust=True).names == ("RBC", "WBC")
    assert double.named("Runtime.engine_host_code_allowed")[-1] == (True,)


def test_garbage_that_is_trusted(double, tmp_path):
    path = tmp_path / "a.engine"
    path.write_bytes(b"no plan at all")
    with pytest.raises(EngineError, match=r"magic tag does not match.*its header does not say by what"):
        Engine(path, trust=True)


def test_no_gpu(double, tmp_path, monkeypatch):
    path = built(double, tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineError, match=r"running a\.engine needs an NVIDIA GPU"):
        Engine(path)
