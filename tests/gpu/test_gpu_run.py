"""Engines that must not load, and one that runs: each refusal in words, and the process lives on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gpu_support import Engines

from helpers.artifacts import Manifest
from helpers.detector import Detector, DetectorError
from helpers.engine_header import EngineError, pack_header, read_header, read_plan
from helpers.engine_run import Engine
from helpers.images import letterbox, to_tensor
from helpers.training.smears import draw_smear


def test_the_same_answer_every_time(engines: Engines) -> None:
    engine = Engine(engines.reports["fp16"].path)
    images = [to_tensor(letterbox(draw_smear(n).image_bgr, engine.size_wh).image_bgr) for n in range(2)]
    first, second, again = (engine.infer(image) for image in (images[0], images[1], images[0]))
    assert first.shape == (1, 100, 6)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)


def test_nothing_to_see(engines: Engines, size_wh: tuple[int, int]) -> None:
    engine = Engine(engines.reports["fp16"].path)
    rows = engine.infer(np.zeros((1, 3, size_wh[1], size_wh[0]), np.float32))
    assert np.isfinite(rows).all()
    assert not rows[rows[..., 4] == 0].any()


def changed(engines: Engines, target: Path, header: dict[str, object], plan: bytes) -> Path:
    """An engine with another header or plan, which the manifest knows."""
    known = read_header(engines.reports["fp16"].path)
    known["made_by"] |= header
    target.write_bytes(pack_header(known) + plan)
    Manifest(target.parent).record(target, call="changed for a test")
    return target


def test_cut_off(engines: Engines, tmp_path: Path) -> None:
    plan = read_plan(engines.reports["fp16"].path)
    path = changed(engines, tmp_path / "a.engine", {}, plan[: len(plan) // 2])
    with pytest.raises(EngineError, match="cut off or was changed"):
        Engine(path)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"tensorrt": "9.9.9.9"}, "built with tensorrt 9.9.9.9, and here is"),
        ({"gpu": "Another GPU, compute capability 1.0"}, "built with gpu Another GPU"),
        ({"platform": "win33"}, "built with platform win33"),
    ],
)
def test_another_origin(engines: Engines, tmp_path: Path, header: dict[str, object], reason: str) -> None:
    plan = read_plan(engines.reports["fp16"].path)
    with pytest.raises(EngineError, match=reason):
        Engine(changed(engines, tmp_path / "a.engine", header, plan))


LOAD = """
import sys
from helpers.engine_header import EngineError
from helpers.engine_run import Engine
try:
    Engine(sys.argv[1], trust=True)
except EngineError as error:
    print("refused:", error)
"""


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_tensorrt_itself_refuses_a_plan_that_is_cut_off(
    engines: Engines, tmp_path: Path, share: float
) -> None:
    """Without our header TensorRT sees the damage first; in a process of its own, should that be its end."""
    plan = read_plan(engines.reports["fp16"].path)
    path = tmp_path / "bare.engine"
    path.write_bytes(plan[: int(share * len(plan))] or b"no plan")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-2000:]}"
    assert "refused:" in done.stdout
    assert "its header does not say by what" in done.stdout


def test_a_strangers_engine(engines: Engines, tmp_path: Path) -> None:
    path = tmp_path / "stranger.engine"
    path.write_bytes(engines.reports["fp16"].path.read_bytes())
    with pytest.raises(DetectorError, match="runs code in it"):
        Detector(path)
    assert Detector(path, trust=True).names
