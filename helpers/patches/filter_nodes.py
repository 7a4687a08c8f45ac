"""The nodes of `helpers.patches.filter`, as onnxscript functions: a group for each level, one decode.

A level's head is `[B, A * V, H, W]`: `A` anchors of `V = 5 + C` values for each of `H * W` cells. A candidate
has an *index* in its level, `anchor * H * W + cell`: the order of rows that the full decode has, too.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from onnxscript import FLOAT, INT64, script
from onnxscript import opset12 as op
from onnxscript import opset18 as op18

__all__ = [
    "any_picture",
    "any_picture_12",
    "best",
    "decode",
    "geometry",
    "objectness",
    "rows_of",
    "survivors",
]
__all__ += ["zero_each"]


@script()
def objectness(head: FLOAT, objectness_channels: INT64) -> FLOAT:
    """Of a level the objectness logits alone: `[B, A * H * W]`."""
    planes = op.Gather(head, objectness_channels, axis=1)
    return op.Reshape(planes, [0, -1])


@script()
def any_picture(logits: FLOAT) -> FLOAT:
    """The highest over the pictures of a batch, so all get the same rows: `[A * H * W]`."""
    return op18.ReduceMax(logits, [0], keepdims=0)


@script()
def any_picture_12(logits: FLOAT) -> FLOAT:
    """The same before opset 18, where axes were an attribute."""
    return op.ReduceMax(logits, axes=[0], keepdims=0)


@script()
def zero_each(logits: FLOAT) -> INT64:
    """A zero for each picture, `[B, 1]`: what it is added to is there once for each."""
    anything = op.ArgMax(logits, axis=1, keepdims=1)
    return op.Sub(anything, anything)


@script()
def survivors(highest: FLOAT, limits: FLOAT, zeros: INT64) -> INT64:
    """Which candidates are above the limit, the same for each picture: `[B, K]`.

    TensorRT's NonZero wants numbers, not truth values.
    """
    above = op.Greater(highest, limits)
    mask = op.Cast(above, to=1)
    found = op.NonZero(mask)
    return op.Add(found, zeros)


@script()
def best(logits: FLOAT, k: INT64) -> INT64:
    """The `k` best of each picture, in their old order: `[B, k]`."""
    _values, ranked = op.TopK(logits, k, axis=1, largest=1, sorted=1)
    in_order, _places = op.TopK(ranked, k, axis=1, largest=0, sorted=1)
    return in_order


@script()
def geometry(index: INT64, cells: INT64, places: FLOAT, scales: FLOAT) -> tuple[INT64, FLOAT, FLOAT]:
    """The anchor of each candidate, its place in the picture, and how its numbers scale."""
    anchor = op.Div(index, cells)
    before = op.Mul(anchor, cells)
    cell = op.Sub(index, before)
    place = op.Gather(places, cell, axis=0)
    scale = op.Gather(scales, anchor, axis=0)
    return anchor, place, scale


@script()
def rows_of(head: FLOAT, index: INT64, anchor: INT64, jump: INT64, lanes: INT64, form: INT64) -> FLOAT:
    """The `V` logits of each candidate, which lie `H * W` apart in its head: `[B, K, V]`."""
    ahead = op.Mul(anchor, jump)
    first = op.Add(index, ahead)
    column = op.Reshape(first, [0, 0, 1])
    wanted = op.Add(column, lanes)
    flat = op.Reshape(wanted, [0, -1])
    values = op.Reshape(head, [0, -1])
    picked = op.GatherElements(values, flat, axis=1)  # several times faster than Gather in ONNX Runtime
    return op.Reshape(picked, form)


@script()
def decode(logits: FLOAT, place: FLOAT, scale: FLOAT) -> FLOAT:
    """`xy = 2 s(t) stride + place`, `wh = s(t)^2 4 anchor`, where `s` is the sigmoid: `[B, K, V]`."""
    values = op.Sigmoid(logits)
    xy = op.Slice(values, [0], [2], [2])
    span = op.Slice(scale, [0], [2], [2])
    moved = op.Mul(xy, span)
    centre = op.Add(moved, place)
    wh = op.Slice(values, [2], [4], [2])
    anchor = op.Slice(scale, [2], [4], [2])
    square = op.Mul(wh, wh)
    size = op.Mul(square, anchor)
    scores = op.Slice(values, [4], [9223372036854775807], [2])
    return op.Concat(centre, size, scores, axis=2)
