"""End-to-end detections to what Ultralytics reads: any `[M, 7]` to `[1, slots, 6]`, padded with zeros.

Ultralytics takes an output with six columns for finished detections (`x0, y0, x1, y1, score, class`) and keeps the rows
that score more than its `conf`, so rows of zeros are never seen. The shape must be fixed: a symbolic first dimension
switches it to pictures of varying shape, and TensorRT would need an output allocator.

Three edits: the columns are put in order; `slots` rows of zeros are appended; `slots` rows are chosen, real ones before
padding, and the best-scored of those where there are too many. The chosen rows stay in their order. One `Gather` with
indices `[1, slots]` cuts to length and adds the batch dimension at once, so shape inference derives `[1, slots, 6]`
by itself, and there is no `Reshape` of an empty tensor, which TensorRT refuses.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import FLOAT, INT64, script
from onnxscript import opset12 as op

from helpers.patches import (
    PatchError,
    PatchResult,
    Shape,
    copy_model,
    finish,
    graph_inputs,
    nms_nodes,
    require_single_output,
    shape_of,
    splice,
    unchanged,
)

__all__ = ["to_ultralytics"]

MOST_SLOTS = 3839  # TensorRT's TopK wants K < 3840
LAST_IN_LINE = float(np.finfo(np.float32).min)  # a score below any other
OUTPUT = "output0"  # the name that Ultralytics' own exporter uses


@script()
def reorder(rows: FLOAT) -> FLOAT:
    """`batch, x0, y0, x1, y1, class, score` becomes `x0, y0, x1, y1, score, class`: `[M, 6]`."""
    ordered = op.Gather(rows, [1, 2, 3, 4, 6, 5], axis=1)
    return ordered


@script()
def pad(ordered: FLOAT, empty_rows: FLOAT) -> FLOAT:
    """Append `slots` rows of zeros: `[M + slots, 6]`, so there are always enough to choose from."""
    padded = op.Concat(ordered, empty_rows, axis=0)
    return padded


@script()
def choose(ordered: FLOAT, padded: FLOAT, empty_scores: FLOAT, slots: INT64) -> FLOAT:
    """The `slots` best rows, in their old order: `[1, slots, 6]`."""
    score_column = op.Gather(ordered, [4], axis=1)
    score_row = op.Transpose(score_column, perm=[1, 0])
    line = op.Concat(score_row, empty_scores, axis=1)
    best_scores, best = op.TopK(line, slots, axis=1, largest=1, sorted=1)
    in_order, positions = op.TopK(best, slots, axis=1, largest=0, sorted=1)
    chosen = op.Gather(padded, in_order, axis=0)
    return chosen


def to_ultralytics(model: onnx.ModelProto, *, slots: int = 100) -> PatchResult:
    """Turn an end-to-end graph for one picture into the form that Ultralytics and TensorRT like.

    Args:
        model: one float output `[M, 7]`: picture, `x0, y0, x1, y1`, class, score. A symbolic batch becomes 1.
        slots: rows of the new output, 1 to 3839. With more detections the best-scored stay; with fewer the rest is 0.

    Returns:
        The patched model with output `output0` `[1, slots, 6]`: `x0, y0, x1, y1, score, class`.

    Raises:
        PatchError: `slots` out of range, or not such a graph; the message names what it is and what to do.

    >>> model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 17]>
    ...     end2end (float[m, 7] rows) => (float[m, 7] output) { output = Identity(rows) }''')
    >>> [dimension.dim_value for dimension in to_ultralytics(model).model.graph.output[0].type.tensor_type.shape.dim]
    [1, 100, 6]
    """
    if isinstance(slots, bool) or not isinstance(slots, int) or not 1 <= slots <= MOST_SLOTS:
        raise PatchError("slots", expected=f"a whole number from 1 to {MOST_SLOTS} (TensorRT's TopK ends there)",
                         got=repr(slots), fix="100 is what the official exporter keeps")
    patched = copy_model(model)
    output, shape = require_single_output(patched)
    if _is_patched(patched, shape):
        if shape[1] != slots:
            raise PatchError("slots", expected=f"{shape[1]}, as the graph has", got=str(slots),
                             fix="start again from the end-to-end graph [M, 7]")
        return unchanged(model, f"{output}: [1, {slots}, 6] already")
    _require_rows(output, shape)
    report = [f"{output} {list(shape)} -> {OUTPUT} [1, {slots}, 6]: x0, y0, x1, y1, score, class"]
    report += _fix_batch(patched)
    splice(patched, reorder, {"rows": output}, "ultralytics")
    splice(patched, pad, {"ordered": "ultralytics/ordered", "empty_rows": np.zeros((slots, 6), np.float32)}, "ultralytics")
    sources = {"ordered": "ultralytics/ordered", "padded": "ultralytics/padded", "slots": np.array([slots]),
               "empty_scores": np.full((1, slots), LAST_IN_LINE, np.float32)}
    splice(patched, choose, sources, "ultralytics", OUTPUT)
    value = onnx.helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, [1, slots, 6])
    patched.graph.output[0].CopyFrom(value)
    return finish(model, patched, report)


def _is_patched(model: onnx.ModelProto, shape: Shape) -> bool:
    """Is the output `[1, S, 6]` made from detections, not the raw output of a model with a single class?"""
    ours = any(node.name.startswith("ultralytics/") for node in model.graph.node)
    return len(shape) == 3 and shape[0] == 1 and shape[2] == 6 and (ours or any(nms_nodes(model)))


def _require_rows(output: str, shape: Shape) -> None:
    if len(shape) == 2 and shape[1] == 7:
        return
    fix = "this patch reads picture, x0, y0, x1, y1, class, score, and nothing else"
    if len(shape) == 3 and isinstance(shape[2], int) and shape[2] > 5:
        fix = "this is a raw graph: run helpers.patches.nms.add_nms first"
    raise PatchError("model", expected="an end-to-end output [M, 7]", got=f"{output} {list(shape)}", fix=fix)


def _fix_batch(patched: onnx.ModelProto) -> list[str]:
    """Give the pictures' input the batch size 1, in place; what was done, in words."""
    report = []
    for value in graph_inputs(patched):
        shape = shape_of(value)
        if shape is None or len(shape) != 4:  # no pictures
            continue
        if value.name != "images":
            report.append(f"note: the input is called {value.name!r}; in a TensorRT engine Ultralytics wants 'images'")
        if isinstance(shape[0], int) and shape[0] != 1:
            raise PatchError("model", expected="a batch of 1 or a symbolic one", got=f"{value.name} {list(shape)}",
                             fix="export for a single picture: rows of several pictures would be mixed")
        if shape[0] != 1:
            _replace_symbol(patched, value, shape[0])
            report.append(f"{value.name}: batch {shape[0] or 'unknown'} -> 1")
    return report


def _replace_symbol(patched: onnx.ModelProto, value: onnx.ValueInfoProto, symbol: int | str | None) -> None:
    value.type.tensor_type.shape.dim[0].dim_value = 1
    for other in patched.graph.value_info:
        for dimension in other.type.tensor_type.shape.dim:
            if symbol and dimension.dim_param == symbol:
                dimension.dim_value = 1
