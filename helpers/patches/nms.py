"""Raw predictions to finished detections: `[B, N, 5 + C]` to `[M, 7]`, with the NMS inside the graph.

The seven columns are those of the official exporter's `--end2end --max-wh`: picture in the batch, `x0, y0, x1, y1` in
input pixels, class, score. Only the best class of a box counts; its score is objectness x class score, and with a
single class objectness alone, because such a model is trained without a class loss. Non-maximum suppression knows no
classes here; an offset of `class x class_offset` moves the classes apart before it, so that only equal classes compete.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxscript import FLOAT, INT64, script
from onnxscript import opset12 as op

from helpers.patches import (
    PatchError,
    PatchResult,
    constant_value,
    copy_model,
    finish,
    nms_nodes,
    require_single_output,
    splice,
    unchanged,
)

__all__ = ["add_nms"]

DETECTIONS = "detections"


@script()
def corners_of(predictions: FLOAT) -> FLOAT:
    """Centre and size become corners: `[B, N, 4]`. No MatMul, which a GPU may run in TF32 (half a pixel at 640)."""
    centre = op.Slice(predictions, [0], [2], [2])
    size = op.Slice(predictions, [2], [4], [2])
    half = op.Mul(size, op.Constant(value_float=0.5))
    low = op.Sub(centre, half)
    high = op.Add(centre, half)
    corners = op.Concat(low, high, axis=2)
    return corners


@script()
def best_class_of(predictions: FLOAT) -> tuple[FLOAT, FLOAT]:
    """Best class of each box and its score, objectness x class score: `[B, N, 1]` each. One pass over the classes."""
    objectness = op.Slice(predictions, [4], [5], [2])
    class_scores = op.Slice(predictions, [5], [9223372036854775807], [2])  # to the end
    best = op.ArgMax(class_scores, axis=2, keepdims=1)
    class_id = op.Cast(best, to=1)
    class_score = op.GatherElements(class_scores, best, axis=2)
    score = op.Mul(objectness, class_score)
    return class_id, score


@script()
def only_class_of(predictions: FLOAT) -> tuple[FLOAT, FLOAT]:
    """The same for a model with a single class: class 0, and objectness is the score."""
    score = op.Slice(predictions, [4], [5], [2])
    class_id = op.Mul(score, op.Constant(value_float=0.0))
    return class_id, score


@script()
def safe_offset(corners: FLOAT) -> FLOAT:
    """One pixel more than all boxes span, wherever they are: `[1, 1, 1]`. No two classes can touch."""
    highest = op.ReduceMax(corners)
    lowest = op.ReduceMin(corners)
    span = op.Sub(highest, lowest)
    class_offset = op.Add(span, op.Constant(value_float=1.0))
    return class_offset


@script()
def suppress(
    corners: FLOAT, class_id: FLOAT, score: FLOAT, class_offset: FLOAT,
    max_detections: INT64, iou_threshold: FLOAT, score_threshold: FLOAT,
) -> FLOAT:
    """Class-aware NMS, then the seven columns of each box that is kept: `[M, 7]`."""
    shift = op.Mul(class_id, class_offset)
    apart = op.Add(corners, shift)
    score_row = op.Transpose(score, perm=[0, 2, 1])
    kept = op.NonMaxSuppression(apart, score_row, max_detections, iou_threshold, score_threshold)
    table = op.Concat(corners, class_id, score, axis=2)
    address = op.Gather(kept, [0, 2], axis=1)
    rows = op.GatherND(table, address)
    picture = op.Gather(kept, [0], axis=1)
    picture_column = op.Cast(picture, to=1)
    detections = op.Concat(picture_column, rows, axis=1)
    return detections


def add_nms(
    model: onnx.ModelProto,
    *,
    iou_threshold: float = 0.65,
    score_threshold: float = 0.35,
    max_detections: int = 100,
    class_offset: float | None = None,
) -> PatchResult:
    """Append non-maximum suppression to a raw YOLOv7 graph.

    Args:
        model: one float output `[B, N, 5 + C]`: `cx, cy, w, h` in pixels, objectness, `C` class scores.
        iou_threshold: of two boxes of a class that overlap by more, the worse is dropped; 0 to 1.
        score_threshold: boxes that score no more are dropped; 0 to 1.
        max_detections: at most so many rows a picture.
        class_offset: pixels between classes. `None` measures the span of all boxes inside the graph, right also for
            boxes beyond the picture; `640.0` gives the official exporter's numbers; `0.0` lets all classes compete.

    Returns:
        The end-to-end model with output `detections` `[detection_count, 7]`.

    Raises:
        PatchError: a parameter out of range, not a raw graph, or one whose NMS has other thresholds.

    >>> raw = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 17]>
    ...     raw (float[1, 9, 7] predictions) => (float[1, 9, 7] output) { output = Identity(predictions) }''')
    >>> result = add_nms(raw)
    >>> result.changed, add_nms(result.model).changed
    (True, False)
    """
    _validate(iou_threshold, score_threshold, max_detections, class_offset)
    patched = copy_model(model)
    output, shape = require_single_output(patched)
    limits = (max_detections, iou_threshold, score_threshold)
    for node in nms_nodes(patched):
        _require_same(patched, node, limits)
        return unchanged(model, f"{output}: the graph has an NMS with these thresholds already")
    if len(shape) == 2 and shape[1] == 7:
        return unchanged(model, f"{output}: [M, 7] already")
    columns = shape[-1] if len(shape) == 3 else None
    if not isinstance(columns, int) or columns < 6 :
        raise PatchError("model", expected="a raw output [B, N, 5 + classes]", got=f"{output} {list(shape)}",
                         fix="hand in the raw export (helpers.export), every class count but N and B fixed")
    _append(patched, output, columns, limits, class_offset)
    value = onnx.helper.make_tensor_value_info(DETECTIONS, onnx.TensorProto.FLOAT, ["detection_count", 7])
    patched.graph.output[0].CopyFrom(value)
    offset = "the span of the boxes" if class_offset is None else f"{class_offset:g} px"
    report = (f"{output} {list(shape)} -> {DETECTIONS} [detection_count, 7]",
              f"NMS: IoU {iou_threshold:g}, score {score_threshold:g}, at most {max_detections} a picture",
              f"classes kept apart by {offset}; score = objectness" + (" x class" if columns > 6 else ""))
    return finish(model, patched, report)


def _append(
    patched: onnx.ModelProto, output: str, columns: int, limits: tuple[int, float, float], class_offset: float | None
) -> None:
    """Splice the functions above behind the value `output`."""
    splice(patched, corners_of, {"predictions": output}, "nms")
    splice(patched, only_class_of if columns == 6 else best_class_of, {"predictions": output}, "nms")
    if class_offset is None:
        splice(patched, safe_offset, {"corners": "nms/corners"}, "nms")
    sources: dict[str, str | NDArray[Any]] = {name: f"nms/{name}" for name in ("corners", "class_id", "score")}
    sources["class_offset"] = "nms/class_offset" if class_offset is None else np.array(class_offset, np.float32)
    sources["max_detections"] = np.array([limits[0]])
    sources["iou_threshold"], sources["score_threshold"] = (np.array([limit], np.float32) for limit in limits[1:])
    splice(patched, suppress, sources, "nms", DETECTIONS)


def _validate(
    iou_threshold: float, score_threshold: float, max_detections: int, class_offset: float | None
) -> None:
    for name, value in (("iou_threshold", iou_threshold), ("score_threshold", score_threshold)):
        if not 0 <= value <= 1:
            raise PatchError(name, expected="a number from 0 to 1", got=repr(value), fix="0.65 and 0.35 are usual")
    if isinstance(max_detections, bool) or not isinstance(max_detections, int) or max_detections < 1:
        raise PatchError("max_detections", expected="a whole number from 1", got=repr(max_detections),
                         fix="100 is usual")
    if class_offset is not None and not 0 <= class_offset < math.inf:
        raise PatchError("class_offset", expected="None, or pixels from 0", got=repr(class_offset),
                         fix="leave it out: the graph then measures a safe offset itself")


def _require_same(model: onnx.ModelProto, node: onnx.NodeProto, limits: tuple[int, float, float]) -> None:
    """Refuse to patch again with other thresholds, which would be ignored silently."""
    found = [constant_value(model, name) for name in node.input[2:5]]
    same = [value is not None and np.float32(value.item()) == np.float32(limit)
            for value, limit in zip(found, limits, strict=False)]
    if not all(same) or len(same) < 3:
        values = ", ".join("none" if value is None else f"{value.item():g}" for value in found)
        raise PatchError("model", expected=f"a raw graph, or one whose NMS has the limits {limits}",
                         got=f"{node.name or 'an NMS'} with ({values})",
                         fix="start again from the raw graph, or leave the thresholds of this one as they are")
