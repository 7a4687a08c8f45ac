"""An engine inside `Detector`: what goes in and comes out is what an ONNX Runtime session would have had."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import trt_double
from trt_double import install, write_graph

from helpers.detector import Detector
from helpers.engine import build_engine
from helpers.engine_header import EngineError
from helpers.engine_session import EngineSession, looks_like_engine
from helpers.patches.metadata import write_metadata
from helpers.session import DetectorError, open_session
from helpers.video import write_video

# The brightest red, green and blue of the picture decide where the boxes are and how they score.
COMPUTES = """<ir_version: 8, opset_import: ["": 17]>
    g (float[{batch}, 3, 64, 96] images) => (float[{batch}, 100, 6] output)
    <int64[3] shape = {{-1, 3, 1}}, int64[6] pads = {{0, 0, 0, 0, 97, 0}},
    float[1, 1, 6] weights = {{20, 10, 60, 50, 0.9, 0}}, float[6] first = {{0, 0, 0, 0, 0, 1}}> {{
    top = ReduceMax<axes = [2, 3], keepdims = 0>(images) column = Reshape(top, shape)
    scaled = Mul(column, weights) rows = Add(scaled, first) output = Pad(rows, pads) }}"""


@pytest.fixture(params=trt_double.VERSIONS)
def double(request, monkeypatch):
    return install(monkeypatch, request.param)


def graph(path, batch=1):
    model = write_metadata(
        onnx.parser.parse_model(COMPUTES.format(batch=batch)), names=NAMES, stride=32
    ).model
    onnx.save(model, path)
    return path


NAMES = tuple(f"kind {number}" for number in range(12))  # as text, "10" comes before "2"


def built(double, folder, batch=1, sizes=(1, 2, 4)):
    """The graph, and an engine that computes what the graph computes."""
    path = graph(folder / "a.onnx", batch)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    double.script.compute = lambda images: session.run(None, {"images": images})[0]
    options, first = {}, -1 if batch == "batch" else batch
    double.script.shapes = {"images": (first, 3, 64, 96), "output": (first, 100, 6)}
    if batch == "batch":
        double.script.fewest, _, double.script.most = options["batch"] = sizes
    return path, build_engine(path, folder / "a.engine", **options).path


def pictures(count, seed=3):
    rng = np.random.default_rng(seed)
    sizes = [(50, 80), (64, 96), (120, 60), (33, 200)]
    return [rng.integers(0, 40 + 50 * (n % 4), (*sizes[n % 4], 3)).astype(np.uint8) for n in range(count)]


def same(a, b):
    np.testing.assert_array_equal(a.to_rows(), b.to_rows())
    assert len(a)


def test_no_pictures(double, tmp_path):
    _, engine = built(double, tmp_path)
    assert list(Detector(engine).detect_many([])) == []
    with pytest.raises(EngineError, match="images_nchw"):
        open_session(engine).run(None, {"images": np.zeros((0, 3, 64, 96), np.float32)})


@pytest.mark.parametrize("batch", [1, 2, "batch"])
def test_engine_and_graph_say_the_same(double, tmp_path, batch):
    path, engine = built(double, tmp_path, batch)
    one, other = Detector(path, providers="cpu"), Detector(engine)
    assert other.provider == "TensorRT"
    assert (other.names, other.size_wh, other.batch) == (one.names, one.size_wh, one.batch)
    assert other.names == NAMES
    for key in ("names", "stride", "imgsz"):
        assert str(other.metadata[key]) == str(one.metadata[key])
    for picture in pictures(4):
        same(one.detect(picture), other.detect(picture))
    given = pictures(7)
    for a, b in zip(
        one.detect_many(given, batch_size=7), other.detect_many(given, batch_size=7), strict=True
    ):
        same(a.detections, b.detections)


def test_more_pictures_than_the_engine_takes_and_fewer(double, tmp_path):
    path, engine = built(double, tmp_path, "batch", sizes=(2, 3, 4))
    asked = []
    compute = double.script.compute
    double.script.compute = lambda images: asked.append(len(images)) or compute(images)
    found = list(Detector(engine).detect_many(pictures(9), batch_size=9))
    assert asked == [4, 4, 2], "the last one is filled up with a black picture"
    (rows,) = open_session(engine).run(None, {"images": np.ones((1, 3, 64, 96), np.float32)})
    assert rows.shape == (1, 100, 6), "and the rows of that one are dropped"
    for picture, result in zip(pictures(9), found, strict=True):
        same(Detector(path, providers="cpu").detect(picture), result.detections)


def test_video(double, tmp_path):
    path, engine = built(double, tmp_path)
    write_video(tmp_path / "v.avi", [np.full((48, 64, 3), 60 * n, np.uint8) for n in range(1, 4)],
                frames_per_second=5)  # fmt: skip
    detectors = Detector(path, providers="cpu"), Detector(engine)
    results = [list(detector.detect_video(tmp_path / "v.avi")) for detector in detectors]
    assert [result.frame for result in results[1]] == [0, 1, 2]
    for a, b in zip(*results, strict=True):
        same(a.detections, b.detections)


def test_score_threshold(double, tmp_path):
    _, engine = built(double, tmp_path)
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[..., 2], picture[..., 1] = 255, 51  # red 1.0, green 0.2: scores 0.9 and 0.18
    assert Detector(engine).detect(picture).scores == pytest.approx([0.9, 0.18])
    assert Detector(engine, score_threshold=0.5).detect(picture).scores == pytest.approx([0.9])


def test_only_known_files_or_trusted_ones(double, tmp_path):
    _, engine = built(double, tmp_path)
    stranger = tmp_path / "elsewhere" / "a.engine"
    stranger.parent.mkdir()
    stranger.write_bytes(engine.read_bytes())
    loads = len(double.named("Runtime.deserialize_cuda_engine"))
    with pytest.raises(
        DetectorError, match=r"a\.engine: the manifest beside it does not know it.*trust=True"
    ):
        Detector(stranger)
    assert len(double.named("Runtime.deserialize_cuda_engine")) == loads
    assert Detector(stranger, trust=True).names == NAMES


def test_by_content_not_by_name(double, tmp_path):
    _, engine = built(double, tmp_path)
    other = tmp_path / "a.plan"
    other.write_bytes(engine.read_bytes())
    assert Detector(other, trust=True).provider == "TensorRT"


@pytest.mark.parametrize(
    ("name", "data", "engine"),
    [
        ("a.engine", b"", True),
        ("a.engine", None, True),
        ("a.onnx", None, False),
        ("a.onnx", b"", False),
        ("a.onnx", b"\x08\x08\x12\x05torch", False),
        ("a.plan", b"ftrt...", True),
        ("a.plan", b"ptrt...", True),
        ("a", b"\x10\x00\x00\x00{", True),
        ("a", b"\x10\x00\x00{\x00", False),
    ],
)
def test_what_looks_like_an_engine(tmp_path, name, data, engine):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    assert looks_like_engine(tmp_path / name) is engine


@pytest.mark.parametrize("providers", ["cpu", ["CUDAExecutionProvider"], "CPUExecutionProvider"])
def test_other_providers(double, tmp_path, providers):
    _, engine = built(double, tmp_path)
    with pytest.raises(DetectorError, match=r"providers: expected none, 'cuda' or 'TensorRT'.*\.onnx"):
        Detector(engine, providers=providers)
    for allowed in ("cuda", "TensorRT", ["TensorRT"], None):
        assert Detector(engine, providers=allowed).provider == "TensorRT"


def test_without_a_gpu_tensorrt_is_not_touched(double, tmp_path, monkeypatch):
    import torch

    _, engine = built(double, tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "tensorrt", None)  # importing it would raise
    with pytest.raises(DetectorError, match=r"running a\.engine needs an NVIDIA GPU"):
        Detector(engine)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DetectorError, match=r"a\.engine: expected an engine, got none"):
        Detector(tmp_path / "a.engine")


def test_an_engine_without_names(double, tmp_path):
    from helpers.artifacts import Manifest
    from helpers.engine_header import read_plan

    path = build_engine(write_graph(tmp_path / "a.onnx"), tmp_path / "a.engine").path
    path.write_bytes(read_plan(path))
    Manifest(tmp_path).record(path, call="the plan alone")
    assert Detector(path).names == ()
    assert EngineSession(path).get_inputs()[0].shape == [1, 3, 64, 96]
