"""End-to-end detections to what Ultralytics reads: any `[M, 7]` to `[1, slots, 6]`, padded with zeros.

Ultralytics takes six columns for finished detections (`x0, y0, x1, y1, score, class`) and keeps rows that
score more than its `conf`, so it never sees rows of zeros. The shape must be fixed: a symbolic first
dimension switches it to pictures of varying shape, and TensorRT would need an output allocator.

Three edits: order the columns; append `slots` rows of zeros; choose `slots` rows, real ones before padding
and the best-scored where there are too many, in their old order. One `Gather` with indices `[1, slots]` both
cuts to length and adds the batch dimension: shape inference derives `[1, slots, 6]` by itself, and nothing
that may be empty meets a `Reshape`, which TensorRT refuses.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import numpy as np
import onnx
from onnxscript import FLOAT, INT64, script
from onnxscript import opset12 as op

from helpers.patches import (
    PatchError,
    PatchResult,
    Shape,
    finish,
    graph_inputs,
    open_model,
    shape_of,
    single_output,
    splice,
    unchanged,
)

__all__ = ["to_ultralytics"]

MOST_SLOTS = 3839  # TensorRT's TopK wants K < 3840
LAST = np.finfo(np.float32).min  # padding stands behind every score
OUTPUT = "output0"  # the name that Ultralytics' own exporter uses


@script()
def reorder(rows: FLOAT) -> FLOAT:
    """`picture, x0, y0, x1, y1, class, score` becomes `x0, y0, x1, y1, score, class`: `[M, 6]`."""
    return op.Gather(rows, [1, 2, 3, 4, 6, 5], axis=1)


@script()
def pad(ordered: FLOAT, empty_rows: FLOAT) -> FLOAT:
    """Append `slots` rows of zeros, so that there are always enough to choose from: `[M + slots, 6]`."""
    return op.Concat(ordered, empty_rows, axis=0)


@script()
def choose(ordered: FLOAT, padded: FLOAT, empty_scores: FLOAT, slots: INT64, row: INT64) -> FLOAT:
    """The `slots` best rows, in their old order: `[1, slots, 6]`."""
    score_column = op.Gather(ordered, [4], axis=1)
    score_row = op.Transpose(score_column, perm=[1, 0])
    contest = op.Concat(score_row, empty_scores, axis=1)
    _best_scores, best = op.TopK(contest, slots, axis=1, largest=1, sorted=1)
    in_order, _places = op.TopK(best, slots, axis=1, largest=0, sorted=1)
    picked = op.Reshape(in_order, row)
    return op.Gather(padded, picked, axis=0)


def to_ultralytics(model: onnx.ModelProto, *, slots: int = 100) -> PatchResult:
    """Turn an end-to-end graph for one picture into the form that Ultralytics and TensorRT like.

    Args:
        model: one float output `[M, 7]`: picture, `x0, y0, x1, y1`, class, score. A symbolic batch becomes 1.
        slots: rows of the new output, 1 to 3839. Of more detections the best-scored stay.

    Returns:
        The patched model with output `output0` `[1, slots, 6]`: `x0, y0, x1, y1, score, class`.

    Raises:
        PatchError: `slots` out of range, or not such a graph; the message names what it is and what to do.

    >>> model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 17]>
    ...     end2end (float[m, 7] rows) => (float[m, 7] output) { output = Identity(rows) }''')
    >>> shape_of(to_ultralytics(model).model.graph.output[0])
    (1, 100, 6)
    """
    if type(slots) is not int or not 1 <= slots <= MOST_SLOTS:
        raise PatchError(
            "slots", f"1 to {MOST_SLOTS}, where TensorRT's TopK ends", repr(slots), "100 is usual"
        )
    patched = open_model(model)
    output, shape = single_output(patched)
    if _is_patched(patched, shape):
        if shape[1] != slots:
            raise PatchError("slots", f"{shape[1]}, as in the graph", slots, "start from the [M, 7] graph")
        return unchanged(model, f"{output}: [1, {slots}, 6] already")
    _require_rows(output, shape)
    report = [f"{output} {list(shape)} -> {OUTPUT} [1, {slots}, 6]: x0, y0, x1, y1, score, class"]
    report += _fix_batch(patched)
    ordered, padded = "ultralytics/ordered", "ultralytics/padded"
    empty_rows, empty_scores = np.zeros((slots, 6), np.float32), np.full((1, slots), LAST)
    splice(patched, reorder, {"rows": output}, "ultralytics", ordered)
    splice(patched, pad, {"ordered": ordered, "empty_rows": empty_rows}, "ultralytics", padded)
    rest = {"empty_scores": empty_scores, "slots": np.array([slots]), "row": np.array([1, slots])}
    splice(patched, choose, {"ordered": ordered, "padded": padded, **rest}, "ultralytics", OUTPUT)
    value = onnx.helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, [1, slots, 6])
    patched.graph.output[0].CopyFrom(value)
    return finish(model, patched, report)


def _is_patched(model: onnx.ModelProto, shape: Shape) -> bool:
    """Is the output `[1, S, 6]` made from detections, not the raw output of a model with a single class?"""
    made = any(
        n.op_type == "NonMaxSuppression" or n.name.startswith("ultralytics/") for n in model.graph.node
    )
    return made and len(shape) == 3 and shape[0] == 1 and shape[2] == 6


def _require_rows(output: str, shape: Shape) -> None:
    if len(shape) != 2 or shape[1] != 7:
        raw = len(shape) == 3 and isinstance(shape[2], int) and shape[2] > 5
        fix = (
            "this looks raw: run helpers.patches.nms.add_nms first" if raw else "hand in an end-to-end export"
        )
        raise PatchError("model", "an end-to-end output [M, 7]", f"{output} {list(shape)}", fix)


def _fix_batch(patched: onnx.ModelProto) -> list[str]:
    """Give the pictures' input a batch of 1, in place; what was done, in words."""
    report = []
    pictures = [(value, shape) for value in graph_inputs(patched) if len(shape := shape_of(value) or ()) == 4]
    for value, shape in pictures:
        if value.name != "images":
            report.append(
                f"note: the input is {value.name!r}; an engine for Ultralytics needs it to be 'images'"
            )
        if isinstance(shape[0], int) and shape[0] != 1:
            fix = "export for one picture, or rows of several would be mixed"
            raise PatchError("model", "a batch of 1, or a symbolic one", f"{value.name} {list(shape)}", fix)
        if shape[0] != 1:
            report.append(f"{value.name}: batch {shape[0] or 'unknown'} -> 1")
            value.type.tensor_type.shape.dim[0].dim_value = 1
            stated = (d for info in patched.graph.value_info for d in info.type.tensor_type.shape.dim)
            for dimension in stated:
                if dimension.dim_param == shape[0]:
                    dimension.dim_value = 1
    return report
