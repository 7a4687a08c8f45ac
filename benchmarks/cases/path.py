"""Picture in, boxes out: our path against the session alone, Ultralytics, and other runtimes."""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.bench import Bench, NotHereError
from benchmarks.measure import paired_ratio
from benchmarks.row import Check, Row
from benchmarks.targets import PICTURE, ULTRALYTICS
from helpers.detections import Detections
from helpers.parity import Tolerance, compare_detections
from helpers.session import open_session

ALONE, OURS, THEIRS = "session.run alone", "Detector", "Ultralytics"
INSIDE = "Detector, picture in the graph"
QUICKER = "the same with ONNX's own Resize"


def picture(bench: Bench) -> Row:
    """A picture as pixels in, boxes in its own pixels out."""
    row = Row(
        "picture", "Picture in, boxes out, on the same file", "pixels in memory to boxes in their own pixels"
    )
    path, image_bgr = bench.files().ultralytics, bench.picture_bgr
    detector, alone, feed = bench.detector(path), bench.session(path), {"images": bench.tensor()}
    runs: dict[str, Any] = {ALONE: partial(alone.run, None, feed), OURS: partial(detector.detect, image_bgr)}
    found = {OURS: detector.detect(image_bgr)}
    for name in (INSIDE, QUICKER):
        try:
            inside = bench.detector(_with_picture(bench, path, exact=name == INSIDE))
            found[name] = inside.detect(image_bgr)
            runs[name] = partial(inside.detect, image_bgr)
        except (NotHereError, ValueError) as reason:
            row.not_run.append(f"{name}: {reason}")
    try:
        predict = ultralytics_on(path, bench.threads) if bench.peers else None
        if predict:
            found[THEIRS] = seen(predict(image_bgr))
            runs[THEIRS] = partial(predict, image_bgr)
    except NotHereError as reason:
        row.not_run.append(f"{THEIRS}: {reason}")
    seconds = bench.interleave(runs, rounds=bench.rounds)
    row.add(seconds, ALONE)
    row.checks.append(Check("Detector / session.run alone", row.ratio(OURS), PICTURE))
    if INSIDE in seconds:
        row.checks.append(
            Check("Detector with the picture in the graph / session.run alone", row.ratio(INSIDE), PICTURE)
        )
    against = paired_ratio(seconds[OURS], seconds[THEIRS]).median if THEIRS in seconds else None
    row.checks.append(Check("Detector / Ultralytics", against, ULTRALYTICS))
    same = [
        name for name in found if compare_detections(found[OURS], found[name]).within(Tolerance(0.5, 1e-3))
    ]
    row.notes.append(f"{len(found[OURS])} boxes; the same from {', '.join(same)} (0.5 px, 0.001)")
    row.notes.append(f"threads in every session, Ultralytics' too: {bench.threads}")
    return row


def _with_picture(bench: Bench, path: Path, *, exact: bool) -> Path:
    """The same model with letterbox and colours inside the graph, made here."""
    try:
        from helpers.patches.preprocess import add_picture
    except ImportError as error:
        raise NotHereError(str(error)) from error
    made = bench.folder / f"picture-{'exact' if exact else 'quicker'}.onnx"
    onnx.save(add_picture(onnx.load(path), exact=exact).model, made)
    return made


def ultralytics_on(path: Path, threads: int) -> Any:
    """A function of pixels that runs Ultralytics on a file, its session held to as many threads as ours.

    Raises:
        NotHereError: it is not installed, or does not load the file.
    """
    os.environ.setdefault("YOLO_AUTOINSTALL", "False")
    os.environ.setdefault("YOLO_OFFLINE", "True")
    try:
        from ultralytics import YOLO
    except ImportError as error:
        raise NotHereError(f"Ultralytics is not installed ({error})") from error
    logging.getLogger("ultralytics").setLevel(logging.ERROR)
    yolo = YOLO(path, task="detect")

    def predict(image_bgr: np.ndarray) -> Any:
        return yolo.predict(image_bgr, verbose=False, conf=0.001, device="cpu")[0]

    predict(np.zeros((64, 64, 3), np.uint8))
    backend = yolo.predictor.model
    backend = getattr(backend, "backend", backend)
    if not hasattr(backend, "session"):
        raise NotHereError("Ultralytics keeps its session somewhere else now; its threads cannot be set")
    backend.session = open_session(path, providers="cpu", threads=threads)
    return predict


def seen(result: Any) -> Detections:
    """Ultralytics' answer in our form."""
    boxes = result.boxes.cpu().numpy()
    return Detections(boxes.xyxy, boxes.conf, boxes.cls).sorted()


def peers(bench: Bench) -> Row:
    """The same ONNX file in other runtimes."""
    row = Row("peers", "Other runtimes on the same ONNX file", "one inference on a ready tensor")
    if not bench.peers:
        raise NotHereError("peers are switched off")
    path, tensor = bench.files().ultralytics, bench.tensor()
    session = bench.session(path)
    runs: dict[str, Any] = {"ONNX Runtime": partial(session.run, None, {"images": tensor})}
    expected = runs["ONNX Runtime"]()[0]
    for name, make in (("OpenVINO", _openvino), ("OpenVINO, convolutions alone", _openvino_floor)):
        try:
            runs[name] = make(bench, path, tensor)
        except NotHereError as reason:
            row.not_run.append(f"{name}: {reason}")
    row.add(bench.interleave(runs, rounds=bench.rounds), "ONNX Runtime")
    if "OpenVINO" in runs:
        same = np.allclose(np.sort(runs["OpenVINO"](), axis=1), np.sort(expected, axis=1), atol=0.05)
        row.notes.append(
            f"OpenVINO in FP32, latency hint, {bench.threads} threads; the same rows to 0.05: {same}"
        )
    return row


def _compiled(bench: Bench, path: Path) -> Any:
    try:
        import openvino
    except ImportError as error:
        raise NotHereError("OpenVINO is not installed (extra peers)") from error
    settings = {"INFERENCE_NUM_THREADS": bench.threads, "INFERENCE_PRECISION_HINT": "f32"}
    settings |= {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    try:
        return openvino.Core().compile_model(str(path), "CPU", settings)
    except RuntimeError as error:
        raise NotHereError(
            f"OpenVINO does not take the file: {str(error).strip().splitlines()[-1]}"
        ) from error


def _openvino(bench: Bench, path: Path, tensor: np.ndarray) -> Any:
    compiled = _compiled(bench, path)
    return lambda: compiled({"images": tensor})[0]


def _openvino_floor(bench: Bench, _path: Path, tensor: np.ndarray) -> Any:
    made = bench.folder / "convolutions.onnx"
    onnx.save(bench.graphs["convolutions alone"], made)
    compiled = _compiled(bench, made)
    return lambda: compiled({"images": tensor})[0]
