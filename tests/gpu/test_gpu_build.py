"""Engines of real graphs: what is built, what is read back, what is refused, and Ctrl-C."""

from __future__ import annotations

import _thread
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from gpu_support import DOUBLE, Agreement, Engines, Note, converted

from helpers.checkpoint import load_checkpoint
from helpers.convert import Recipe
from helpers.detector import Detector
from helpers.engine import build_engine
from helpers.engine_graph import engine_graph
from helpers.engine_header import EngineError, built_here, read_header
from helpers.images import to_tensor
from helpers.training.smears import draw_smear

FIXTURES = [
    "deploy-yolov7-tiny", "deploy-yolov7", "deploy-yolov7x", "deploy-yolov7-w6", "deploy-yolov7-e6",
    "deploy-yolov7-d6", "training-yolov7-tiny", "training-yolov7", "training-yolov7-w6",
    "training-yolov7-e6e", "genuine-structure-yolov7-tiny",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["fp16", "fp32", "exact", "batched-fp16"])
def test_the_bundled_model(engines: Engines, kind: str, note: Note) -> None:
    report = engines.reports[kind]
    assert built_here(report.path)
    assert [shape[1:] for name, shape in report.shapes.items() if name != "images"] == [(100, 6)]
    assert ("fp16" in report.precisions) == ("fp16" in kind), report.precisions
    header = read_header(report.path)
    assert header["args"]["nms"] is True
    assert len(header["names"]) == 3
    assert header["made_by"]["tensorrt"] == report.tensorrt
    note("; ".join(report.lines()))


def test_timings_are_used_again(engines: Engines, tmp_path: Path, note: Note) -> None:
    cache = tmp_path / "timings.cache"
    first, second = (
        build_engine(
            engines.graphs["fp16"], tmp_path / f"{n}-fp16.engine", timing_cache=cache, progress=False
        )
        for n in range(2)
    )
    assert (first.cached, second.cached) == (False, True)
    note(f"built in {first.seconds:.1f} s, with its timings in {second.seconds:.1f} s")


@pytest.mark.parametrize("options", [{"version_compatible": True}, {"hardware_compatible": True}], ids=str)
def test_compatible_engines_load_and_find_the_same(
    engines: Engines, tmp_path: Path, options: dict[str, bool], pictures: dict[str, np.ndarray]
) -> None:
    report = build_engine(
        engines.graphs["fp16"], tmp_path / "a-fp16.engine", progress=False,
        version_compatible=options.get("version_compatible", False),
        hardware_compatible=options.get("hardware_compatible", False),
    )  # fmt: skip
    one, other = engines.detector("fp16"), Detector(report.path)
    few = list(pictures.items())[:4]
    pairs = {name: (one.detect(image_bgr), other.detect(image_bgr)) for name, image_bgr in few}
    agreement = Agreement.of(pairs)
    assert agreement.alone == 0, agreement
    assert agreement.sure > 0


@pytest.mark.shared
@pytest.mark.parametrize("name", FIXTURES[:1] if DOUBLE else FIXTURES)
def test_every_variant(fixtures: Path, tmp_path: Path, name: str) -> None:
    """Every variant builds, and its engine finds what ONNX Runtime finds in the same graph.

    The weights are random, so boxes lie close and one that falls out of the NMS lets others in; hence the
    share, and FP32 with all its digits.
    """
    checkpoint = fixtures / f"{name}.pt"
    with np.load(fixtures / f"{name}.npz") as stored:
        images, table = stored["x"].astype(np.float32), stored["y"][0]
    scores = np.sort(table[:, 4] * table[:, 5:].max(axis=1))
    recipe = Recipe((128, 192), score_threshold=float(scores[-40:].mean()), half=True)
    files = converted(checkpoint, tmp_path, recipe)
    half = build_engine(files.fp16, files.folder / "a-fp16.engine", progress=False)
    assert half.precisions.get("fp16", 0) > 10, half.precisions
    graph = engine_graph(files, half=False)
    full = build_engine(graph, files.folder / "a.engine", tf32=False, progress=False)
    picture = np.ascontiguousarray(np.rint(images[0].transpose(1, 2, 0)[..., ::-1] * 255).astype(np.uint8))
    assert to_tensor(picture).shape == images.shape
    expected = Detector(files.ultralytics, providers="cpu").detect(picture)
    found = Detector(full.path).detect(picture)
    agreement = Agreement.of({name: (expected, found)}, recipe.score_threshold)
    assert agreement.sure > 10
    assert agreement.alone <= 0.05 * agreement.sure, agreement
    assert Detector(half.path).names == tuple(load_checkpoint(checkpoint).names)


def test_any_batch(engines: Engines, pictures: dict[str, np.ndarray]) -> None:
    """Each picture its own boxes, whatever else is in the batch, an empty one included."""
    one, many = engines.detector("fp16"), engines.detector("batched-fp16")
    empty = np.full((480, 640, 3), 114, np.uint8)
    given = {"empty": empty} | dict(list(pictures.items())[:6])
    found = [result.detections for result in many.detect_many(list(given.values()), batch_size=7)]
    pairs = {
        name: (one.detect(image_bgr), boxes)
        for (name, image_bgr), boxes in zip(given.items(), found, strict=True)
    }
    assert len(pairs["empty"][1]) == len(pairs["empty"][0])
    agreement = Agreement.of(pairs)
    assert agreement.alone == 0, agreement


def test_ctrl_c(engines: Engines, tmp_path: Path, note: Note) -> None:
    """The build stops, leaves nothing behind, and the next one works."""
    begun = time.perf_counter()
    timer = threading.Timer(0.1 if DOUBLE else 2.0, _thread.interrupt_main)
    timer.start()
    target, cache = tmp_path / "a-fp16.engine", tmp_path / "t.cache"
    with pytest.raises(KeyboardInterrupt):
        build_engine(engines.graphs["fp16"], target, timing_cache=cache, progress=False)
    timer.join()
    note(f"stopped {time.perf_counter() - begun - timer.interval:.1f} s after Ctrl-C")
    assert not target.exists()
    assert not cache.exists()
    assert build_engine(engines.graphs["fp16"], target, timing_cache=cache, progress=False).path == target


def test_what_the_parser_refuses_is_named(engines: Engines, tmp_path: Path) -> None:
    model = onnx.load(engines.graphs["fp16"])
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["before/unique" if name == output.name else name for name in node.output]
    flat = onnx.helper.make_node(
        "Unique", ["before/unique"], ["unique/values", "", "unique/inverse"], name="odd"
    )
    shape = onnx.helper.make_node("Shape", ["before/unique"], ["unique/shape"])
    back = onnx.helper.make_node("Gather", ["unique/values", "unique/inverse"], ["unique/flat"])
    last = onnx.helper.make_node("Reshape", ["unique/flat", "unique/shape"], [output.name])
    model.graph.node.extend([flat, shape, back, last])
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(EngineError, match=r"odd\.onnx: TensorRT .* refuses it: node odd \(Unique\)"):
        build_engine(tmp_path / "odd.onnx", tmp_path / "odd.engine", progress=False)
    assert not (tmp_path / "odd.engine").exists()


def test_another_gpu_memory_limit(engines: Engines, tmp_path: Path) -> None:
    """A quarter of a GiB is enough for this network."""
    report = build_engine(
        engines.graphs["fp16"], tmp_path / "a-fp16.engine", workspace_gb=0.25, progress=False
    )
    assert Detector(report.path).detect(draw_smear(0).image_bgr)
