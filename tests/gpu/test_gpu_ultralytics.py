"""Ultralytics on our engine, and Ultralytics' own way to one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from gpu_support import THRESHOLD, Agreement, Engines, Note

from helpers.artifacts import Manifest
from helpers.detections import Detections
from helpers.detector import Detector
from helpers.engine_build import tensorrt_version
from helpers.engine_header import read_header
from helpers.patches.metadata import read_metadata

os.environ["YOLO_AUTOINSTALL"] = "False"  # it must not install anything by itself


def predict(
    path: Path, pictures: dict[str, np.ndarray]
) -> tuple[dict[str, Detections], tuple[str, ...], Any]:
    """What Ultralytics finds in a list of pictures; the class names; its backend."""
    from ultralytics import YOLO

    model: Any = YOLO(path, task="detect")
    found, names = {}, ()
    for name, result in zip(
        pictures, model.predict(list(pictures.values()), conf=THRESHOLD, verbose=False), strict=True
    ):
        boxes = result.boxes.cpu().numpy()
        found[name] = Detections(boxes.xyxy, boxes.conf, boxes.cls.astype(np.int64))
        names = tuple(result.names.values())
    return found, names, model.predictor.model.backend


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("kind", ["fp16", "fp32"])
def test_our_engine(engines: Engines, pictures: dict[str, np.ndarray], kind: str) -> None:
    found, names, backend = predict(engines.reports[kind].path, pictures)
    detector = engines.detector(kind)
    assert names == detector.names
    assert backend.graph is None, "a CUDA graph cannot hold an NMS"
    pairs = {name: (detector.detect(image_bgr), found[name]) for name, image_bgr in pictures.items()}
    agreement = Agreement.of(pairs)
    assert agreement.sure > 0
    assert agreement.alone == 0, agreement


@pytest.mark.usefixtures("real")
def test_their_own_way(engines: Engines, tmp_path: Path, pictures: dict[str, np.ndarray], note: Note) -> None:
    """`onnx2engine` on our FP16 file: without `quantize`, for the graph is half already.

    TensorRT 10 builds a network there that is not strongly typed and takes the types in the graph for advice.
    """
    from ultralytics.utils.export import onnx2engine

    graph = engines.graphs["fp16"]
    target = tmp_path / "theirs.engine"
    onnx2engine(str(graph), target, metadata=read_metadata(onnx.load(graph)))
    assert read_header(target)["args"]["nms"] is True
    found, names, _ = predict(target, pictures)
    detector = engines.detector("fp16")
    assert names == detector.names
    pairs = {name: (detector.detect(image_bgr), found[name]) for name, image_bgr in pictures.items()}
    agreement = Agreement.of(pairs, THRESHOLD)
    note(f"onnx2engine on TensorRT {tensorrt_version()}: {agreement}")
    assert agreement.alone <= (1e-3 if tensorrt_version() >= "11" else 1e-2) * agreement.sure, agreement
    Manifest(tmp_path).record(target, call="onnx2engine")
    assert Detector(target).names == names


@pytest.mark.usefixtures("real")
def test_with_quantize_it_wants_packages_that_it_may_not_install(engines: Engines, tmp_path: Path) -> None:
    """On TensorRT 11 `quantize=16` needs NVIDIA's quantiser; it may not install that, and stops."""
    import importlib.util

    if tensorrt_version() < "11":
        pytest.skip("not run: TensorRT 10 has the FP16 flag, so Ultralytics needs no quantiser there")
    if importlib.util.find_spec("modelopt"):
        pytest.skip("not run: nvidia-modelopt is installed here")
    from ultralytics.utils.export import onnx2engine

    with pytest.raises((ImportError, ModuleNotFoundError), match="modelopt"):
        onnx2engine(str(engines.graphs["fp32"]), tmp_path / "a.engine", quantize=16)
