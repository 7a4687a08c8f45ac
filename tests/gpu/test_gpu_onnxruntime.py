"""ONNX Runtime on the GPU: really there, with every convolution."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from gpu_support import Agreement, Engines, Note

from helpers.detector import Detector
from helpers.session import CUDA


@pytest.fixture(autouse=True)
def cuda(real: None) -> None:
    if CUDA not in onnxruntime.get_available_providers():
        pytest.skip("not run: this is onnxruntime for the CPU; onnxruntime-gpu has the CUDA provider")


@pytest.mark.parametrize("kind", ["fp32", "fp16"])
def test_the_provider_is_the_one_that_was_asked_for(engines: Engines, kind: str) -> None:
    assert Detector(engines.graphs[kind], providers="cuda").provider == CUDA


@pytest.mark.parametrize("kind", ["fp32", "fp16"])
def test_every_convolution_runs_there(engines: Engines, kind: str, tmp_path: Path, note: Note) -> None:
    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "profile")
    session = onnxruntime.InferenceSession(engines.graphs[kind], options, providers=[CUDA])
    shape = session.get_inputs()[0].shape
    session.run(None, {"images": np.zeros(shape, np.float32)})
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    ran = [event["args"] for event in events if event.get("cat") == "Node" and "provider" in event["args"]]
    places = {args["provider"] for args in ran if "Conv" in args["op_name"]}
    assert places == {CUDA}
    elsewhere = sorted({args["op_name"] for args in ran if args["provider"] != CUDA})
    note(f"{kind}: on the CPU: {', '.join(elsewhere) or 'nothing'}")


def test_the_same_boxes(engines: Engines, pictures: dict[str, np.ndarray]) -> None:
    cpu, gpu = (Detector(engines.graphs["fp32"], providers=name) for name in ("cpu", "cuda"))
    pairs = {name: (cpu.detect(picture), gpu.detect(picture)) for name, picture in pictures.items()}
    agreement = Agreement.of(pairs)
    assert agreement.alone <= 1e-3 * agreement.sure, agreement
