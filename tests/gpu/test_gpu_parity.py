"""The ladder: PyTorch, ONNX Runtime in FP32 and FP16, the engine in FP32, TF32 and FP16, box by box.

Bounds: FP32 against FP32 0.1 px and 0.0005 in score, every box with its partner. Where anything rounds to ten
binary digits (FP16, and TF32, in which TensorRT multiplies FP32 unless it is told not to) every box that
scores the threshold + 0.02 has a partner with IoU 0.95 and a score within 0.01, on either side; but where two
candidates score alike to the fourth digit, no two arithmetics need agree: two in a thousand may differ.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gpu_support import DOUBLE, REPOSITORY, THRESHOLD, Agreement, Engines, Note

from helpers.checkpoint import load_checkpoint
from helpers.detections import Detections
from helpers.detector import Detector
from helpers.images import letterbox, to_tensor
from helpers.network import build_network, fuse
from helpers.parity import Ladder, Tolerance, reference_nms
from helpers.session import CUDA

EXACT = Tolerance(corner_px=0.1, score=5e-4)
ROUNDED = Tolerance(corner_px=5.0, score=0.01)
TIES = 2e-3

Found = dict[str, Detections]


@pytest.fixture(scope="module")
def torch_found(pictures: dict[str, np.ndarray], size_wh: tuple[int, int]) -> Found:
    """PyTorch on the CPU in FP32, NMS in NumPy: the top of the ladder."""
    network = fuse(build_network(load_checkpoint(REPOSITORY / "data" / "blood-cells.safetensors"))).eval()
    found = {}
    for name, image_bgr in pictures.items():
        box = letterbox(image_bgr, size_wh)
        with torch.inference_mode():
            table = network(torch.from_numpy(to_tensor(box.image_bgr)))[0].numpy()
        rows = reference_nms(table, score_threshold=THRESHOLD)[:, [1, 2, 3, 4, 6, 5]]
        here = Detections.from_rows(rows)
        back = Detections(box.boxes_to_picture(here.boxes_xyxy), here.scores, here.class_ids)
        found[name] = back.clipped(box.picture_wh)
    return found


def stages(engines: Engines) -> dict[str, Detector]:
    """Every stage after PyTorch."""
    made = {
        "ONNX Runtime, CPU, FP32": Detector(engines.files.ultralytics, providers="cpu"),
        "ONNX Runtime, CPU, FP16 weights": Detector(engines.graphs["fp16"], providers="cpu"),
        "engine, FP32": engines.detector("exact"),
        "engine, TF32": engines.detector("fp32"),
        "engine, FP16": engines.detector("fp16"),
    }
    import onnxruntime

    if CUDA in onnxruntime.get_available_providers():
        made["ONNX Runtime, CUDA, FP16"] = Detector(engines.graphs["fp16"], providers="cuda")
    return made


def test_the_ladder(
    engines: Engines, torch_found: Found, pictures: dict[str, np.ndarray], note: Note
) -> None:
    ladder_of = {name: Ladder(EXACT) for name in list(pictures)[:1]}
    for name, ladder in ladder_of.items():
        ladder.add("PyTorch, CPU, FP32", torch_found[name])
    wrong = {}
    for stage, detector in stages(engines).items():
        found = {name: detector.detect(image_bgr) for name, image_bgr in pictures.items()}
        rounds = stage not in ("ONNX Runtime, CPU, FP32", "engine, FP32")
        for name, ladder in ladder_of.items():
            ladder.add(stage, found[name], ROUNDED if rounds else EXACT)
        agreement = Agreement.of({name: (torch_found[name], found[name]) for name in pictures}, THRESHOLD)
        note(f"{stage}: {agreement.sure} sure boxes, {agreement.alone} alone {agreement.pictures}")
        if agreement.alone > (TIES * agreement.sure if rounds else 0):
            wrong[stage] = agreement
    note("\n".join(map(str, ladder_of.values())))
    assert not wrong
    assert sum(map(len, torch_found.values())) >= (1 if DOUBLE else 500)


@pytest.mark.parametrize("kind", ["exact"])
def test_fp32_to_the_pixel(
    engines: Engines, torch_found: Found, pictures: dict[str, np.ndarray], kind: str
) -> None:
    detector = engines.detector(kind)
    ladders = []
    for name, image_bgr in pictures.items():
        ladder = Ladder(EXACT)
        ladder.add("PyTorch", torch_found[name])
        ladder.add("engine", detector.detect(image_bgr))
        ladders.append(ladder)
    broken = [str(ladder) for ladder in ladders if not ladder.agrees]
    assert not broken, "\n".join(broken)
