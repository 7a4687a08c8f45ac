"""Tests that need an NVIDIA GPU with TensorRT: `make test-gpu`. Elsewhere each says why it did not run.

`YOLOV7_GPU_DOUBLE=10.16` or `11.4` runs them against TensorRT's double (tests/gpu_double.py); what only a GPU
can say is skipped then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gpu_support import DOUBLE, REPOSITORY, THRESHOLD, Engines, Note, converted

from helpers.convert import Recipe
from helpers.engine import build_engine, require_tensorrt
from helpers.engine_graph import engine_graph
from helpers.engine_header import EngineError
from helpers.training.smears import draw_smear

NOTES: list[str] = []


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder has the marker `gpu`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was seen, beside what passed."""
    if NOTES:
        terminalreporter.section("seen")
        terminalreporter.write_line("\n".join(NOTES))


@pytest.fixture(scope="session", autouse=True)
def device() -> Iterator[str]:
    """The GPU's name; every test of this folder is skipped without one, with the reason."""
    import torch

    with pytest.MonkeyPatch.context() as patch:
        if DOUBLE:
            import gpu_double

            gpu_double.act(patch, DOUBLE)
        for name in ("CI", "YOLOV7_HEADLESS"):  # they would keep ONNX Runtime on the CPU
            patch.delenv(name, raising=False)
        try:
            require_tensorrt("this test")
        except EngineError as error:
            pytest.skip(f"not run: {error}")
        yield torch.cuda.get_device_name()


@pytest.fixture
def real() -> None:
    """Skips what the double cannot say."""
    if DOUBLE:
        pytest.skip(f"needs a real GPU: this is the double of TensorRT {DOUBLE}")


@pytest.fixture(scope="session")
def size_wh() -> tuple[int, int]:
    """Of the network's input; small where a CPU computes."""
    return (128, 96) if DOUBLE else (640, 640)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where reports stay: build/gpu, or what `YOLOV7_GPU_FOLDER` names; of the double nothing stays."""
    named = os.environ.get("YOLOV7_GPU_FOLDER", "")
    usual = REPOSITORY / "build" / "gpu"
    made = Path(named) if named else tmp_path_factory.mktemp("gpu") if DOUBLE else usual
    made.mkdir(parents=True, exist_ok=True)
    yield made
    (made / "seen.txt").write_text("\n".join([*NOTES, ""]), encoding="utf-8")


@pytest.fixture
def note(request: pytest.FixtureRequest, folder: Path) -> Note:
    """Keeps a line for the summary and for build/gpu/seen.txt."""
    return lambda line: NOTES.append(f"{request.node.name}: {line}")


@pytest.fixture(scope="session")
def engines(folder: Path, size_wh: tuple[int, int]) -> Engines:
    """FP16, FP32 as TensorRT likes it (in TF32), FP32 with all its digits ("exact"), and an open batch."""
    recipe = Recipe(size_wh, score_threshold=THRESHOLD, half=True, batched=True)
    files = converted(REPOSITORY / "data" / "blood-cells.safetensors", folder, recipe)
    half, full = (engine_graph(files, half=half) for half in (True, False))
    graphs = {"fp16": half, "fp32": full, "exact": full, "batched-fp16": engine_graph(files, batched=True)}
    reports = {}
    for kind, graph in graphs.items():
        target = files.folder / f"{files.name}-{kind}.engine"
        batch = (1, 2, 4) if "batched" in kind else None
        reports[kind] = build_engine(graph, target, batch=batch, tf32=kind != "exact", progress=False)
    return Engines(files, graphs, reports)


@pytest.fixture(scope="session")
def pictures() -> dict[str, np.ndarray]:
    """Drawn smears, by name."""
    count = 4 if DOUBLE else 50
    return {f"smear-{seed}": draw_smear(seed).image_bgr for seed in range(count)}
