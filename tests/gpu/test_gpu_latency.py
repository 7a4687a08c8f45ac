"""How long a picture takes, by every path in the same rounds: a report in build/gpu, no judgement."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gpu_support import DOUBLE, Engines, Latency, Note, Row, interleaved, machine

from helpers.detector import Detector
from helpers.engine_run import Engine
from helpers.images import letterbox, to_tensor
from helpers.session import CUDA, open_session

ROUNDS, WARM_UP = (3, 1) if DOUBLE else (200, 20)
NAMES = {"fp16": "FP16", "fp32": "TF32", "exact": "FP32"}


def ours(engines: Engines, picture: np.ndarray, images: np.ndarray) -> dict[Row, Callable[[], object]]:
    """The engines, from tensor to rows, and from picture to boxes."""
    calls: dict[Row, Callable[[], object]] = {}
    for kind, precision in NAMES.items():
        path = engines.reports[kind].path
        engine, detector = Engine(path), Detector(path)
        calls[Row("tensor to rows", "TensorRT", precision, False, False)] = partial(engine.infer, images)
        calls[Row("picture to boxes", "TensorRT", precision, False, True)] = partial(detector.detect, picture)
    return calls


def of_onnxruntime(
    engines: Engines, picture: np.ndarray, images: np.ndarray
) -> dict[Row, Callable[[], object]]:
    """ONNX Runtime on the GPU, where it has one."""
    import onnxruntime

    calls: dict[Row, Callable[[], object]] = {}
    if CUDA not in onnxruntime.get_available_providers():
        return calls
    for kind, precision in {"fp16": "FP16", "fp32": "FP32"}.items():
        session: Any = open_session(engines.graphs[kind], providers="cuda")
        detector, feed = Detector(engines.graphs[kind], providers="cuda"), {"images": images}
        runtime = "ONNX Runtime, CUDA"
        calls[Row("tensor to rows", runtime, precision, False, False)] = partial(session.run, None, feed)
        calls[Row("picture to boxes", runtime, precision, False, True)] = partial(detector.detect, picture)
    return calls


def of_ultralytics(engines: Engines, picture: np.ndarray) -> dict[Row, Callable[[], object]]:
    """Ultralytics on the same engine."""
    if DOUBLE:
        return {}
    from ultralytics import YOLO

    model: Any = YOLO(engines.reports["fp16"].path, task="detect")
    model.predict(picture, verbose=False)
    recorded = model.predictor.model.backend.graph is not None
    row = Row("picture to boxes", "Ultralytics, TensorRT", "FP16", recorded, True)
    return {row: lambda: model.predict(picture, verbose=False)}


def test_latency(
    engines: Engines, folder: Path, pictures: dict[str, np.ndarray], size_wh: tuple[int, int], note: Note
) -> None:
    picture = next(iter(pictures.values()))
    images = to_tensor(letterbox(picture, size_wh).image_bgr)
    calls = ours(engines, picture, images) | of_onnxruntime(engines, picture, images)
    calls |= of_ultralytics(engines, picture)
    by_name = {str(row): call for row, call in calls.items()}
    taken = interleaved(by_name, rounds=ROUNDS, warm_up=WARM_UP)
    report = Latency(machine(), ROUNDS, WARM_UP, [(row, taken[str(row)]) for row in calls])
    path = report.write(folder)
    note(path.with_suffix(".txt").read_text(encoding="utf-8"))
    assert path.is_file()
    assert len(report.rows) >= 6
    assert all(len(times) == ROUNDS and min(times) > 0 for _, times in report.rows)
