"""End-to-end detections of any number of pictures, `[M, 7]`, to one table a picture: `[B, slots, 6]`.

The rows of all pictures come in one list, and column 0 says whose they are. Dropping that column and padding
the list, as one does for one picture, hands every detection to the first picture. Here each picture chooses
among all rows with a contest of its own: its rows by their score, then empty rows, then those of the others.

Where the batch is 1 it is set free first. That takes a graph in which no number says 1, and
`helpers.patches.filter` leaves none: the fixed shapes of the full decode are gone.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnxscript import FLOAT, INT64, script
from onnxscript import opset12 as op

from helpers.patches import (
    PatchError,
    PatchResult,
    finish,
    graph_inputs,
    open_model,
    shape_of,
    single_output,
    splice,
    unchanged,
)
from helpers.patches.ultralytics import LAST, MOST_SLOTS, OUTPUT, pad, reorder

if TYPE_CHECKING:
    from helpers.patches import Source

__all__ = ["to_batched"]

EMPTY = LAST / 2  # padding stands behind every score, and before the rows of other pictures


@script()
def pictures_of(images: FLOAT, zero: INT64, one: INT64) -> FLOAT:
    """The numbers of the pictures: `[B, 1]`."""
    size = op.Shape(images)
    count = op.Gather(size, zero)
    numbers = op.Range(zero, count, one)
    column = op.Reshape(numbers, [-1, 1])
    return op.Cast(column, to=1)


@script()
def choose(
    rows: FLOAT, padded: FLOAT, pictures: FLOAT, others: FLOAT, empty_scores: FLOAT, slots: INT64
) -> FLOAT:
    """Of each picture the `slots` best rows, in their old order: `[B, slots, 6]`."""
    owner_column = op.Gather(rows, [0], axis=1)
    owner_row = op.Transpose(owner_column, perm=[1, 0])
    own = op.Equal(pictures, owner_row)
    score_column = op.Gather(rows, [6], axis=1)
    score_row = op.Transpose(score_column, perm=[1, 0])
    scores = op.Where(own, score_row, others)
    empty = op.Min(pictures, empty_scores)  # the same for each picture: no number of a picture is so low
    contest = op.Concat(scores, empty, axis=1)
    _best_scores, best = op.TopK(contest, slots, axis=1, largest=1, sorted=1)
    in_order, _places = op.TopK(best, slots, axis=1, largest=0, sorted=1)
    return op.Gather(padded, in_order, axis=0)


def to_batched(model: onnx.ModelProto, *, slots: int = 100) -> PatchResult:
    """Turn an end-to-end graph into one that takes any number of pictures and keeps them apart.

    Args:
        model: one float output `[M, 7]`: picture, `x0, y0, x1, y1`, class, score. A fixed batch is set free.
        slots: rows for each picture, 1 to 3839. Of more detections the best-scored stay.

    Returns:
        The model with input `[batch, 3, H, W]` and output `output0` `[batch, slots, 6]`: `x0, y0, x1, y1`,
        score, class.

    Raises:
        PatchError: `slots` out of range, not such a graph, or one that holds the size of its batch inside.

    >>> model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 17]>
    ...     end2end (float[b, 3, 8, 8] images, float[m, 7] rows) => (float[m, 7] output)
    ...     { output = Identity(rows) }''')
    >>> shape_of(to_batched(model).model.graph.output[0])
    ('b', 100, 6)
    """
    if type(slots) is not int or not 1 <= slots <= MOST_SLOTS:
        raise PatchError(
            "slots", f"1 to {MOST_SLOTS}, where TensorRT's TopK ends", repr(slots), "100 is usual"
        )
    patched = open_model(model)
    output, shape = single_output(patched)
    images = _pictures(patched)
    if shape[1:] == (slots, 6) and isinstance(shape[0], str):
        return unchanged(model, f"{output}: [{shape[0]}, {slots}, 6] already")
    if len(shape) != 2 or shape[1] != 7:
        fix = "start from the end-to-end graph, before to_ultralytics"
        raise PatchError("model", "an end-to-end output [M, 7]", f"{output} {list(shape)}", fix)
    batch, report = _free_batch(patched, images)
    report.insert(
        0, f"{output} {list(shape)} -> {OUTPUT} [{batch}, {slots}, 6]: x0, y0, x1, y1, score, class"
    )
    ordered, padded = "ultralytics/ordered", "ultralytics/padded"
    splice(patched, reorder, {"rows": output}, "ultralytics", ordered)
    empty_rows = np.zeros((slots, 6), np.float32)
    splice(patched, pad, {"ordered": ordered, "empty_rows": empty_rows}, "ultralytics", padded)
    counting: dict[str, Source] = {"images": images.name, "zero": np.array(0), "one": np.array(1)}
    splice(patched, pictures_of, counting, "ultralytics", "ultralytics/pictures")
    rest = {"others": np.array(LAST), "empty_scores": np.full((1, slots), EMPTY), "slots": np.array([slots])}
    given = {"rows": output, "padded": padded, "pictures": "ultralytics/pictures"}
    splice(patched, choose, {**given, **rest}, "ultralytics", OUTPUT)
    value = onnx.helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, [batch, slots, 6])
    patched.graph.output[0].CopyFrom(value)
    return finish(model, patched, report)


def _pictures(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    """The only input of four dimensions."""
    found = [value for value in graph_inputs(model) if len(shape_of(value) or ()) == 4]
    if len(found) != 1:
        got = ", ".join(value.name for value in found) or "none"
        raise PatchError("model", "one input [B, 3, H, W]", got, "hand in a detector's graph")
    return found[0]


def _free_batch(model: onnx.ModelProto, images: onnx.ValueInfoProto) -> tuple[str, list[str]]:
    """Give the pictures' input an open batch, in place; its name, and what was done, in words."""
    size = images.type.tensor_type.shape.dim[0]
    if size.dim_param:
        return size.dim_param, []
    report = [f"{images.name}: batch {size.dim_value or 'unknown'} -> batch"]
    another = size.dim_value + 1  # does everything up to the NMS follow?
    size.dim_value = another
    del model.graph.value_info[:]  # sizes that were worked out for the old batch
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except onnx.shape_inference.InferenceError as error:
        raise _baked(str(error).strip().splitlines()[0]) from error
    shapes = {value.name: shape_of(value) for value in inferred.value_info}
    suppressions = [node for node in model.graph.node if node.op_type == "NonMaxSuppression"]
    seen = {name: shapes.get(name) for node in suppressions for name in node.input[:2]}
    if not seen or any(shape is None or shape[0] != another for shape in seen.values()):
        found = (f"{name} {list(shape or ())} for {another} pictures" for name, shape in seen.items())
        raise _baked(", ".join(found) or "no NMS")
    size.dim_param = "batch"
    return "batch", report


def _baked(got: str) -> PatchError:
    fix = "run helpers.patches.filter.filter_candidates first, or export with dynamic_batch=True"
    return PatchError("model", "a graph for any batch up to the NMS", got, fix)
