"""The nodes of `helpers.patches.filter`, as onnxscript functions: a group for each level, one decode.

A level's head is `[B, A * V, H, W]`: `A` anchors of `V = 5 + C` values for each of `H * W` cells. A candidate
has an *index* in its level, `anchor * H * W + cell`: the order of rows that the full decode has, too.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from onnxscript import FLOAT, INT64, script
from onnxscript import opset12 as op
from onnxscript import opset18 as op18

__all__ = ["address", "any_picture", "any_picture_12", "best", "decode", "each_picture", "objectness"]
__all__ += ["same_rows", "survivors"]


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
def survivors(highest: FLOAT, limits: FLOAT) -> INT64:
    """Which candidates are above the limit: `[1, K]`. TensorRT's NonZero wants numbers, not truth values."""
    above = op.Greater(highest, limits)
    mask = op.Cast(above, to=1)
    return op.NonZero(mask)


@script()
def best(logits: FLOAT, k: INT64) -> INT64:
    """The `k` best of each picture, in their old order: `[B, k]`."""
    _values, ranked = op.TopK(logits, k, axis=1, largest=1, sorted=1)
    in_order, _places = op.TopK(ranked, k, axis=1, largest=0, sorted=1)
    return in_order


@script()
def address(
    index: INT64, cells: INT64, jump: INT64, places: FLOAT, scales: FLOAT
) -> tuple[FLOAT, FLOAT, INT64]:
    """Of `[., K]` candidates the place, how their numbers scale, and where their first value lies."""
    anchor = op.Div(index, cells)
    before = op.Mul(anchor, cells)
    cell = op.Sub(index, before)
    place = op.Gather(places, cell, axis=0)
    scale = op.Gather(scales, anchor, axis=0)
    ahead = op.Mul(anchor, jump)
    first = op.Add(index, ahead)
    return place, scale, first


@script()
def same_rows(head: FLOAT, first: INT64, lanes: INT64) -> FLOAT:
    """The `V` logits of each candidate, the same candidates in every picture: `[B, K, V]`."""
    column = op.Transpose(first, perm=[1, 0])
    wanted = op.Add(column, lanes)
    values = op.Reshape(head, [0, -1])
    return op.Gather(values, wanted, axis=1)


@script()
def each_picture(head: FLOAT, first: INT64, lanes: INT64, row: INT64) -> FLOAT:
    """The `V` logits of each candidate, every picture with its own: `[B, K, V]`."""
    column = op.Reshape(first, [0, -1, 1])
    wanted = op.Add(column, lanes)
    flat = op.Reshape(wanted, [0, -1])
    values = op.Reshape(head, [0, -1])
    picked = op.GatherElements(values, flat, axis=1)
    return op.Reshape(picked, row)


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
