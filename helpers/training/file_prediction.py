"""A file becomes what an evaluation takes, picture in, detections out: checkpoint, graph, engine.

Two things differ from the authors' own evaluation. They run pictures in rectangular batches; here each is
letterboxed to a square. And from raw predictions they let one box carry several classes (*multi-label*),
which finished graphs cannot: those keep the best class alone, and what is below the threshold inside the
graph is lost. A graph for evaluation is made with low thresholds: `convert MODEL --conf 0.001 --topk 300`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from helpers.detections import Detections, iou_matrix

__all__ = ["Predict", "file_predictor", "select"]

Image = npt.NDArray[np.uint8]
Predict = Callable[[Image], Detections]
SCORE_THRESHOLD, IOU_THRESHOLD, LIMIT, CANDIDATES = 0.001, 0.65, 300, 30_000  # the authors' own


def select(predictions: npt.NDArray[np.float32], *, multi_label: bool = True) -> Detections:
    """Non-maximum suppression for evaluation: class by class, from low scores on, at most 300 boxes.

    Args:
        predictions: `[N,5+C]` of one picture: cx, cy, w, h, objectness, class scores.
        multi_label: Every class above the threshold makes a box of its own; otherwise the best class alone.

    Example:
        >>> one = np.array([[20, 20, 10, 10, 1.0, 0.9, 0.8]], np.float32)
        >>> len(select(one)), len(select(one, multi_label=False))
        (2, 1)
    """
    scores = predictions[:, 4:5] * (predictions[:, 5:] if predictions.shape[1] > 6 else 1)
    if not multi_label and scores.size:
        scores = np.where(np.arange(scores.shape[1]) == scores.argmax(1)[:, None], scores, 0)
    rows, class_ids = np.nonzero(scores > SCORE_THRESHOLD)
    order = np.argsort(-scores[rows, class_ids], kind="stable")[:CANDIDATES]
    rows, class_ids = rows[order], class_ids[order]
    half = predictions[rows, 2:4].astype(np.float64) / 2
    boxes = np.concatenate([predictions[rows, :2] - half, predictions[rows, :2] + half], axis=1)
    span = np.ptp(boxes) + 1 if len(boxes) else 0.0  # classes are moved apart, so that they never overlap
    apart, left = boxes + (class_ids * span)[:, None], np.arange(len(boxes))
    kept: list[int] = []
    while len(left) and len(kept) < LIMIT:
        first, left = left[0], left[1:]
        kept.append(int(first))
        left = left[iou_matrix(apart[first : first + 1], apart[left])[0] <= IOU_THRESHOLD]
    return Detections(boxes[kept], scores[rows[kept], class_ids[kept]], class_ids[kept])


def file_predictor(
    path: Path, *, size: int | None = None, multi_label: bool = True, trust_engine: bool = False
) -> tuple[Predict, tuple[str, ...], str]:
    """What looks at pictures, for a checkpoint, a raw ONNX graph, a finished one, or a TensorRT engine.

    Args:
        path: `.pt`, `.safetensors`, `.onnx` or `.engine`.
        size: Side of a checkpoint's square input; by default 640, or 1280 where the largest stride is 64.
        multi_label: See `select`; finished graphs keep one class a box whatever it says.
        trust_engine: Load an engine that this project did not build; loading one runs code that is in it.

    Returns:
        The predictor, its class names, and one line about what it does.

    Raises:
        DetectorError, CheckpointError: The file cannot be evaluated.
    """
    from helpers.session import DetectorError, open_session

    labels = "several classes a box" if multi_label else "one class a box"
    if path.suffix == ".engine":
        from helpers.detector import Detector

        detector = Detector(path, trust=trust_engine)
        width, height = detector.size_wh
        line = f"engine, {width}x{height}, one class a box, above its own score threshold"
        return detector.detect, detector.names, line
    if path.suffix != ".onnx":
        predict, names, side = _from_checkpoint(path, size, multi_label)
        return predict, names, f"checkpoint, {side}x{side}, {labels}"
    shape = open_session(path).get_outputs()[0].shape
    from helpers.detector import Detector

    try:
        detector = Detector(path)
    except DetectorError:
        if len(shape) != 3:
            raise
        predict, names, (width, height) = _from_raw(path, multi_label)
        return predict, names, f"raw ONNX, {width}x{height}, {labels}"
    width, height = detector.size_wh
    line = f"finished ONNX, {width}x{height}, one class a box, above the graph's own score threshold"
    return detector.detect, detector.names, line


def _from_checkpoint(path: Path, size: int | None, multi_label: bool) -> tuple[Predict, tuple[str, ...], int]:
    import torch

    from helpers.checkpoint import load_checkpoint
    from helpers.export import check_size
    from helpers.network import build_network, fuse

    checkpoint = load_checkpoint(path)
    stride = max(checkpoint.architecture.strides)
    side = size or (1280 if stride == 64 else 640)
    check_size((side, side), stride)
    network = fuse(build_network(checkpoint))

    def run(images_nchw: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(images_nchw)).numpy())

    return _letterboxed(run, (side, side), multi_label), checkpoint.names, side


def _from_raw(path: Path, multi_label: bool) -> tuple[Predict, tuple[str, ...], tuple[int, int]]:
    from helpers.session import DetectorError, open_session, read_metadata

    session = open_session(path)
    height, width = session.get_inputs()[0].shape[2:]
    values, known = session.get_outputs()[0].shape[2], read_metadata(session).get("names", {})
    if not all(isinstance(number, int) for number in (height, width, values)):
        raise DetectorError(f"{path}: expected a fixed input size, got {height} x {width}. Fix: export it so")
    names = tuple(str(name) for name in (known.values() if isinstance(known, dict) else known))

    def run(images_nchw: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(session.run(None, {session.get_inputs()[0].name: images_nchw})[0])

    names = names or tuple(f"class{index}" for index in range(values - 5))
    return _letterboxed(run, (width, height), multi_label), names, (width, height)


def _letterboxed(
    run: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    size_wh: tuple[int, int],
    multi_label: bool,
) -> Predict:
    """Letterbox, run, select, and back into the picture."""
    from helpers.images import letterbox, to_tensor

    def predict(image_bgr: Image) -> Detections:
        boxed = letterbox(image_bgr, size_wh)
        found = select(run(to_tensor(boxed.image_bgr))[0], multi_label=multi_label)
        boxes_xyxy = boxed.boxes_to_picture(found.boxes_xyxy)
        return Detections(boxes_xyxy, found.scores, found.class_ids).clipped(boxed.picture_wh)

    return predict
