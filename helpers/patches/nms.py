"""Raw predictions to finished detections: `[B, N, 5 + C]` to `[M, 7]`, with the NMS inside the graph.

The seven columns are the official exporter's (`--end2end --max-wh`): picture in the batch, `x0, y0, x1, y1`
in input pixels, class, score. Only the best class of a box counts, with objectness x class score; a single
class has objectness alone, because it is trained without a class loss. `NonMaxSuppression` sees one class;
boxes of different classes are moved apart by `class x class_offset` before it.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnxscript import FLOAT, INT64, script
from onnxscript import opset12 as op

from helpers.patches import (
    PatchError,
    PatchResult,
    constant_value,
    finish,
    open_model,
    single_output,
    splice,
    unchanged,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from helpers.patches import Shape, Source

__all__ = ["add_nms"]

OUTPUT = "detections"


@script()
def corners_of(predictions: FLOAT) -> FLOAT:
    """Corners from centre and size: `[B, N, 4]`. No MatMul: in TF32 it is half a pixel off at 640."""
    centre = op.Slice(predictions, [0], [2], [2])
    size = op.Slice(predictions, [2], [4], [2])
    half = op.Mul(size, op.Constant(value_float=0.5))
    low = op.Sub(centre, half)
    high = op.Add(centre, half)
    return op.Concat(low, high, axis=2)


@script()
def best_class_of(predictions: FLOAT) -> tuple[FLOAT, FLOAT]:
    """Best class of each box, and objectness x its score: `[B, N, 1]` each."""
    objectness = op.Slice(predictions, [4], [5], [2])
    class_scores = op.Slice(predictions, [5], [9223372036854775807], [2])
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
    """One pixel more than all boxes span, wherever they lie, so no two classes can touch: `[1, 1, 1]`."""
    highest = op.ReduceMax(corners)
    lowest = op.ReduceMin(corners)
    span = op.Sub(highest, lowest)
    return op.Add(span, op.Constant(value_float=1.0))


@script()
def suppress(
    corners: FLOAT,
    class_id: FLOAT,
    score: FLOAT,
    class_offset: FLOAT,
    max_detections: INT64,
    iou_threshold: FLOAT,
    score_threshold: FLOAT,
) -> FLOAT:
    """NMS within each class, then the seven columns of every box that is kept: `[M, 7]`."""
    shift = op.Mul(class_id, class_offset)
    apart = op.Add(corners, shift)
    score_row = op.Transpose(score, perm=[0, 2, 1])
    kept = op.NonMaxSuppression(apart, score_row, max_detections, iou_threshold, score_threshold)
    table = op.Concat(corners, class_id, score, axis=2)
    address = op.Gather(kept, [0, 2], axis=1)
    rows = op.GatherND(table, address)
    picture = op.Gather(kept, [0], axis=1)
    picture_column = op.Cast(picture, to=1)
    return op.Concat(picture_column, rows, axis=1)


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
        class_offset: pixels between classes. `None` measures the span of all boxes in the graph, so it
            holds beyond the picture too; `640.0` is the official one; at `0.0` all classes compete.

    Returns:
        The end-to-end model with output `detections` `[detection_count, 7]`.

    Raises:
        PatchError: a parameter out of range, not a raw graph, or one whose NMS has other thresholds.

    >>> raw = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 17]>
    ...     raw (float[1, 9, 7] predictions) => (float[1, 9, 7] output) { output = Identity(predictions) }''')
    >>> add_nms(raw).model.graph.output[0].name
    'detections'
    """
    limits = _limits(iou_threshold, score_threshold, max_detections)
    if class_offset is not None and not 0 <= class_offset < math.inf:
        raise PatchError(
            "class_offset", "None, or pixels from 0", repr(class_offset), "leave it out: None is safe"
        )
    patched = open_model(model)
    output, shape = single_output(patched)
    done = _done(patched, shape, limits)
    if done:
        return unchanged(model, f"{output}: {done}")
    columns = _columns(output, shape)
    report = [f"{output} {list(shape)} -> {OUTPUT} [detection_count, 7]"]
    report += _append(patched, output, columns, limits, class_offset)
    value = onnx.helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, ["detection_count", 7])
    patched.graph.output[0].CopyFrom(value)
    return finish(model, patched, report)


def _limits(iou: float, score: float, max_detections: int) -> dict[str, NDArray[Any]]:
    """The checked thresholds, as the last inputs of `NonMaxSuppression`."""
    for name, value in (("iou_threshold", iou), ("score_threshold", score)):
        if not 0 <= value <= 1:
            raise PatchError(
                name, "a number from 0 to 1", repr(value), "the official values are 0.65 and 0.35"
            )
    if type(max_detections) is not int or max_detections < 1:
        raise PatchError("max_detections", "a whole number from 1", repr(max_detections), "100 is usual")
    return {
        "max_detections": np.array([max_detections]),
        "iou_threshold": np.array([iou], np.float32),
        "score_threshold": np.array([score], np.float32),
    }


def _done(model: onnx.ModelProto, shape: Shape, limits: Mapping[str, NDArray[Any]]) -> str:
    """Why there is nothing to do, or an empty text. An NMS with other thresholds is refused, not ignored."""
    for node in model.graph.node:
        if node.op_type == "NonMaxSuppression":
            found = [constant_value(model, name) for name in node.input[2:5]]
            if found != list(limits.values()):
                fix = "start from the raw graph, or ask for the same thresholds"
                raise PatchError("model", f"no NMS, or one with {limits}", f"one with {found}", fix)
            return "an NMS with these thresholds is there already"
    return "[M, 7] already" if len(shape) == 2 and shape[1] == 7 else ""


def _columns(output: str, shape: Shape) -> int:
    """The number of columns of a raw output, 5 + classes."""
    columns = shape[2] if len(shape) == 3 else None
    if not isinstance(columns, int) or columns < 6:
        fix = "hand in the raw export, with its number of classes fixed"
        raise PatchError("model", "a raw output [B, N, 5 + classes]", f"{output} {list(shape)}", fix)
    return columns


def _append(
    patched: onnx.ModelProto,
    output: str,
    columns: int,
    limits: Mapping[str, NDArray[Any]],
    class_offset: float | None,
) -> list[str]:
    """Splice the functions above behind the value `output`; what was done, in words."""
    splice(patched, corners_of, {"predictions": output}, "nms", "nms/corners")
    splice(patched, only_class_of if columns == 6 else best_class_of, {"predictions": output}, "nms")
    offset: Source = "nms/class_offset"
    if class_offset is None:
        splice(patched, safe_offset, {"corners": "nms/corners"}, "nms", "nms/class_offset")
    else:
        offset = np.array(class_offset, np.float32)
    values: dict[str, Source] = {name: f"nms/{name}" for name in ("corners", "class_id", "score")}
    splice(patched, suppress, values | {"class_offset": offset, **limits}, "nms", OUTPUT)
    return [
        ", ".join(f"{name} {value.item():g}" for name, value in limits.items()),
        f"classes apart by {'the span of the boxes' if class_offset is None else f'{class_offset:g} px'}",
        "score = objectness x class" if columns > 6 else "score = objectness: a single class",
    ]
