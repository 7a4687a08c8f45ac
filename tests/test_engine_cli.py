"""`python -m helpers build`: what it says and hands on, with TensorRT's double and without a GPU."""

import sys

import numpy as np
import pytest
import trt_double
from trt_double import install, write_graph

from helpers import convert as convert_module
from helpers import engine_cli
from helpers.__main__ import main
from helpers.artifacts import Manifest
from helpers.convert import Files, Recipe
from helpers.engine_header import built_here, read_header
from helpers.images import save_image


@pytest.fixture(params=trt_double.VERSIONS)
def double(request, monkeypatch):
    return install(monkeypatch, request.param)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_gpu(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "tensorrt", None)  # importing it would raise


PLAN = """a.onnx -> a.engine
input images: [1, 3, 64, 96]
precision: FP32, from the graph
header: 2 class names, args {'nms': True, 'dynamic': False}
workspace: 4 GiB a layer; fits this TensorRT and this kind of GPU alone
"""


@pytest.mark.usefixtures("no_gpu")
def test_the_plan_alone_needs_nothing(here, capsys):
    write_graph(here / "a.onnx")
    assert main(["build", "a.onnx", "--plan"]) == 0
    assert capsys.readouterr() == (PLAN, "")
    assert [path.name for path in here.iterdir()] == ["a.onnx"]


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_the_plan_and_one_line_why(here, capsys):
    write_graph(here / "a.onnx")
    assert main(["build", "a.onnx"]) == 1
    said = capsys.readouterr()
    assert said.out == PLAN
    assert said.err.startswith("error: building a.engine needs an NVIDIA GPU with its driver")
    assert len(said.err.splitlines()) == 1


def test_build(double, here, capsys):
    write_graph(here / "a.onnx")
    assert main(["build", "a.onnx"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(PLAN)
    assert f"built in 0 s by {double.module.__version__}\n" in said
    assert "TensorRT says: a warning\n" in said
    assert "use it: python -m helpers detect a.engine PICTURES" in said
    assert built_here(here / "a.engine")


def test_every_option(double, here, capsys):
    write_graph(here / "a.onnx", batch="batch")
    double.script.shapes = {"images": (-1, 3, 64, 96), "output": (-1, 100, 6)}
    options = ["--workspace", "0.5", "--batch", "2,3,5", "--timing-cache", "t.cache", "--no-tf32"]
    compatible = ["--version-compatible", "--hardware-compatible"]
    assert main(["build", "a.onnx", "--out", "deep/b.engine", *options, *compatible]) == 0
    said = capsys.readouterr().out
    assert "input images: [3, 3, 64, 96], batch 2 to 5\n" in said
    assert "workspace: 0.5 GiB a layer; version-compatible, hardware-compatible\n" in said
    assert double.named("IBuilderConfig.set_memory_pool_limit")[0][1] == 1 << 29
    assert [shape[0] for shape in double.named("IOptimizationProfile.set_shape")[0][1:]] == [2, 3, 5]
    assert double.named("IBuilderConfig.set_flag")[0][0].name == "VERSION_COMPATIBLE"
    assert double.named("IBuilderConfig.hardware_compatibility_level")[0][0].name == "AMPERE_PLUS"
    assert (here / "t.cache").is_file()
    assert len(double.named("IBuilderConfig.clear_flag")) == 1
    header = read_header(here / "deep" / "b.engine")
    assert header["made_by"]["version_compatible"] is header["made_by"]["hardware_compatible"] is True


@pytest.mark.parametrize(("quiet", "progress"), [([], True), (["--no-progress"], False)])
def test_progress(double, here, monkeypatch, quiet, progress):
    asked = []
    monkeypatch.setattr("helpers.engine.shown", lambda wanted: bool(asked.append(wanted)))
    write_graph(here / "a.onnx")
    assert main(["build", "a.onnx", *quiet]) == 0
    assert asked == [progress]


@pytest.mark.parametrize(
    ("options", "graph", "asked"),
    [
        ([], "best-fp16.onnx", Recipe((96, 64), half=True)),
        (["--fp32"], "best-fp32.onnx", Recipe((96, 64))),
        (["--batch", "1,2,4"], "best-batched-fp16.onnx", Recipe((96, 64), batched=True)),
        (["--batch", "1,2,4", "--fp32"], "best-batched-fp32.onnx", Recipe((96, 64), batched=True)),
    ],
)
@pytest.mark.usefixtures("no_gpu")
def test_a_checkpoint_is_converted_first(here, monkeypatch, capsys, options, graph, asked):
    given = []

    def convert(checkpoint, build, *, recipe, progress):
        given.append((checkpoint.name, str(build), recipe))
        progress("best.onnx: current")
        return Files.of(checkpoint, build)

    def engine_graph(files, *, half, batched):
        files.folder.mkdir(parents=True)
        kind = ("-batched" if batched else "") + ("-fp16" if half else "-fp32")
        batch = "batch" if batched else 1
        return write_graph(files.folder / f"{files.name}{kind}.onnx", half=half, batch=batch)

    monkeypatch.setattr(convert_module, "convert", convert)
    monkeypatch.setattr("helpers.engine_graph.engine_graph", engine_graph)
    (here / "best.pt").write_bytes(b"weights")
    assert main(["build", "best.pt", "--plan", "--size", "96x64", "--build", "out", *options]) == 0
    assert given == [("best.pt", "out", asked)]
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["  best.onnx: current", f"{graph} -> {graph.replace('.onnx', '.engine')}"]
    assert said[2].endswith("batch 1 to 4") == ("batched" in graph)
    assert said[3].startswith("precision: FP32" if "fp32" in graph else "precision: FP16")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["a.onnx", "--batch", "1,2"], "expected three numbers such as 1,4,16, got '1,2'"),
        (["a.onnx", "--batch", "1,2,x"], "expected three numbers"),
        (["a.onnx", "--out", "a.plan"], "expected the name of an .engine file to write, got 'a.plan'"),
        (["a.onnx", "--out", "folder.engine"], "expected the name of an .engine file"),
        (["a.onnx", "--workspace", "0"], "expected a number from 0.001"),
        ([], "the following arguments are required: model"),
    ],
)
def test_wrong_arguments_end_it_before_any_work(here, capsys, arguments, reason):
    (here / "folder.engine").mkdir()
    with pytest.raises(SystemExit) as caught:
        main(["build", *arguments])
    assert caught.value.code == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("graph", "arguments", "reason"),
    [
        ({}, ["--batch", "1,2,4"], "batch: expected none, the graph's is fixed at 1"),
        ({}, ["--out", "a-fp16.engine"], "a-fp16.engine says FP16, but a.onnx computes in FP32"),
        ({"output": (1, 25200, 85)}, [], "expected one output [B,100,6]"),
        ({"names": ()}, [], "expected metadata"),
        (None, [], "onnx_path: expected a file"),
    ],
)
@pytest.mark.usefixtures("no_gpu")
def test_a_plan_that_cannot_be(here, capsys, graph, arguments, reason):
    if graph is not None:
        write_graph(here / "a.onnx", **graph)
    assert main(["build", "a.onnx", "--plan", *arguments]) == 1
    assert reason in capsys.readouterr().err


def test_detect_with_an_engine(double, here, capsys):
    write_graph(here / "a.onnx")
    assert main(["build", "a.onnx"]) == 0
    for number in (1, 2):
        save_image(here / f"{number}.png", np.full((64, 96, 3), 51 * number, np.uint8))
    capsys.readouterr()
    assert main(["detect", "a.engine", "1.png", "2.png", "--out", "drawn"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(" -> ")[0] for line in said] == ["1.png: 1 RBC", "2.png: 1 RBC"]
    assert sorted(path.name for path in (here / "drawn").iterdir()) == ["1.jpg", "2.jpg"]
    (here / "b.engine").write_bytes((here / "a.engine").read_bytes())
    assert main(["detect", "b.engine", "1.png", "--out", "drawn"]) == 1
    assert "does not know it" in capsys.readouterr().err
    assert main(["detect", "b.engine", "1.png", "--out", "drawn", "--trust-engine"]) == 0


def test_evaluate_takes_engines_too(double, here, monkeypatch, capsys):
    from helpers.training import coco

    write_graph(here / "a.onnx", names=("RBC", "WBC"))
    assert main(["build", "a.onnx"]) == 0
    monkeypatch.setattr(coco.CocoFolder, "read", lambda self: None)
    seen, picture = [], np.full((64, 96, 3), 255, np.uint8)

    def evaluate(predict, folder, names, **_):
        seen.append((predict(picture), names))

    monkeypatch.setattr(coco, "evaluate_coco", evaluate)
    assert main(["evaluate", "a.engine", "--coco", "folder"]) == 0
    ((found, names),) = seen
    assert (names, found.scores.tolist()) == (("RBC", "WBC"), [1.0])
    assert "a.engine: engine, 96x64, one class a box" in capsys.readouterr().out


def test_the_manifest_knows_the_graph(double, here):
    write_graph(here / "a.onnx")
    main(["build", "a.onnx"])
    entry = Manifest(here).entries()["a.engine"]
    assert list(entry["sources"]) == ["a.onnx"]
    assert callable(engine_cli.add_parser)
