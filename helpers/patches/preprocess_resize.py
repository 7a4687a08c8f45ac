"""Scale a picture inside the graph: OpenCV's own arithmetic, or ONNX's `Resize`.

OpenCV's bilinear interpolation of bytes is not the formula of the books: weights are whole numbers of 1/2048,
and it rounds down twice on its way, which makes pictures darker by 0.1 of a grey level. `Resize` does as the
books say. One grey level looks like nothing, but where two boxes score alike it decides which of them the NMS
keeps; so the exact way is the default, and costs about 50 small nodes and a few milliseconds on a CPU.

Source of the arithmetic: OpenCV, modules/imgproc/src/resize.cpp (`HResizeLinear`, `VResizeLinear`), as built
for x86; its builds for other processors may differ in the last bit.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnxscript import FLOAT, INT64, script
from onnxscript import opset12 as op

from helpers.patches import splice

if TYPE_CHECKING:
    import onnx

    from helpers.patches import Source

__all__ = ["add_resize", "blend_columns", "blend_rows", "neighbours", "resize"]

STEPS = np.array(2048, np.float32)


@script()
def resize(
    pixels: FLOAT,
    picture_wh: INT64,
    content_wh: INT64,
    one: INT64,
    three: INT64,
    nothing: FLOAT,
    rounding: FLOAT,
) -> FLOAT:
    """The picture `[H, W, 3]` scaled to its content's size, in whole grey levels: `[1, 3, h, w]`."""
    picture_row = op.Reshape(picture_wh, [2])
    picture_hw = op.Gather(picture_row, [1, 0], axis=0)
    picture_shape = op.Concat(one, picture_hw, three, axis=0)
    nhwc = op.Reshape(pixels, picture_shape)
    nchw = op.Transpose(nhwc, perm=[0, 3, 1, 2])
    content_row = op.Reshape(content_wh, [2])
    content_hw = op.Gather(content_row, [1, 0], axis=0)
    content_shape = op.Concat(one, three, content_hw, axis=0)
    scaled = op.Resize(
        nchw, nothing, nothing, content_shape, mode="linear", coordinate_transformation_mode="half_pixel"
    )
    lifted = op.Add(scaled, rounding)
    return op.Floor(lifted)


@script()
def neighbours(
    picture_wh: INT64, content_wh: INT64, axis: INT64, zero: INT64, one: INT64, two: INT64, steps: FLOAT
) -> tuple[FLOAT, INT64]:
    """For each pixel of the content, on one axis, the two of the picture it lies between, and their weights.

    Both are `[2, n]`; weights are in 1/2048. A position is rounded to float32, as in OpenCV.
    """
    picture_row = op.Reshape(picture_wh, [2])
    content_row = op.Reshape(content_wh, [2])
    picture = op.Gather(picture_row, axis, axis=0)
    content = op.Gather(content_row, axis, axis=0)
    doubled = op.Add(content, content)
    odds = op.Range(one, doubled, two)
    scaled = op.Mul(odds, picture)
    shifted = op.Add(scaled, content)
    whole = op.Div(shifted, doubled)
    taken = op.Mul(whole, doubled)
    rest = op.Sub(shifted, taken)
    rest_real = op.Cast(rest, to=1)
    doubled_real = op.Cast(doubled, to=1)
    share = op.Div(rest_real, doubled_real)
    unshifted = op.Sub(whole, one)
    start = op.Cast(unshifted, to=1)
    position = op.Add(start, share)
    lower = op.Floor(position)
    offset = op.Sub(position, lower)
    stepped = op.Mul(offset, steps)
    weight = op.Round(stepped)
    rest_weight = op.Sub(steps, weight)
    both_weights = op.Concat(rest_weight, weight, axis=0)
    weights = op.Reshape(both_weights, [2, -1])
    first = op.Cast(lower, to=7)
    second = op.Add(first, one)
    both = op.Concat(first, second, axis=0)
    pairs = op.Reshape(both, [2, -1])
    edge = op.Sub(picture, one)
    below = op.Min(pairs, edge)
    return weights, op.Max(below, zero)


@script()
def blend_columns(
    pixels: FLOAT,
    rows: INT64,
    columns: INT64,
    weights: FLOAT,
    first: INT64,
    second: INT64,
    three: INT64,
    every: INT64,
    scale: FLOAT,
) -> FLOAT:
    """Both rows that each row of the content lies between, their columns blended: `[2 h, w * 3]`."""
    flat_rows = op.Reshape(rows, [-1])
    taken = op.Gather(pixels, flat_rows, axis=0)
    left_columns = op.Gather(columns, first, axis=0)
    right_columns = op.Gather(columns, second, axis=0)
    left_pixels = op.Gather(taken, left_columns, axis=1)
    right_pixels = op.Gather(taken, right_columns, axis=1)
    count = op.Shape(flat_rows)
    flat_shape = op.Concat(count, every, axis=0)
    left = op.Reshape(left_pixels, flat_shape)
    right = op.Reshape(right_pixels, flat_shape)
    scaled = op.Mul(weights, scale)
    weight_column = op.Reshape(scaled, [2, -1, 1])
    weight_triple = op.Tile(weight_column, three)
    weight_rows = op.Reshape(weight_triple, [2, -1])
    left_weights = op.Gather(weight_rows, first, axis=0)
    right_weights = op.Gather(weight_rows, second, axis=0)
    left_part = op.Mul(left, left_weights)
    right_part = op.Mul(right, right_weights)
    total = op.Add(left_part, right_part)
    return op.Floor(total)


@script()
def blend_rows(
    blended: FLOAT,
    weights: FLOAT,
    content_wh: INT64,
    first: INT64,
    second: INT64,
    one: INT64,
    two: INT64,
    three: INT64,
    every: INT64,
    scale: FLOAT,
    half: FLOAT,
    quarter: FLOAT,
) -> FLOAT:
    """The content, in whole grey levels: `[1, 3, h, w]`. OpenCV rounds down twice on its way."""
    weight_column = op.Reshape(weights, [-1, 1])
    scaled = op.Mul(weight_column, scale)
    weighted = op.Mul(blended, scaled)
    quarters = op.Floor(weighted)
    content_row = op.Reshape(content_wh, [2])
    content_hw = op.Gather(content_row, [1, 0], axis=0)
    height = op.Gather(content_row, second, axis=0)
    height_row = op.Reshape(height, [1])
    half_shape = op.Concat(two, height_row, every, axis=0)
    halves = op.Reshape(quarters, half_shape)
    upper = op.Gather(halves, first, axis=0)
    lower = op.Gather(halves, second, axis=0)
    total = op.Add(upper, lower)
    lifted = op.Add(total, half)
    levels = op.Mul(lifted, quarter)
    whole = op.Floor(levels)
    shape = op.Concat(one, content_hw, three, axis=0)
    nhwc = op.Reshape(whole, shape)
    return op.Transpose(nhwc, perm=[0, 3, 1, 2])


def add_resize(model: onnx.ModelProto, pixels: str, picture_wh: str, content_wh: str, *, exact: bool) -> str:
    """Append the nodes that scale `pixels` `[H, W, 3]` to the content's size, in place.

    Returns:
        The name of the scaled picture, `[1, 3, h, w]`, whole grey levels of 0 to 255 in float32.
    """
    sizes: dict[str, Source] = {"picture_wh": picture_wh, "content_wh": content_wh}
    if not exact:
        sources = sizes | {"pixels": pixels, "one": np.array([1]), "three": np.array([3])}
        sources |= {"nothing": np.zeros(0, np.float32), "rounding": np.array(0.5, np.float32)}
        splice(model, resize, sources, "resize", "resize/content")
        return "resize/content"
    numbers: dict[str, Source] = {"zero": np.array(0), "one": np.array(1), "two": np.array(2), "steps": STEPS}
    for axis, prefix in enumerate(("columns", "rows")):
        places = sizes | numbers | {"axis": np.array(axis)}
        splice(model, neighbours, places, prefix, f"{prefix}/neighbours")
    blend: dict[str, Source] = {"first": np.array(0), "second": np.array(1), "every": np.array([-1])}
    sources = blend | {"pixels": pixels, "rows": "rows/neighbours", "columns": "columns/neighbours"}
    sources |= {"weights": "columns/weights", "three": np.array([1, 1, 3])}
    sources |= {"scale": np.array(1 / 16, np.float32)}
    splice(model, blend_columns, sources, "blend_columns", "blend_columns/blended")
    sources = blend | {
        "blended": "blend_columns/blended",
        "weights": "rows/weights",
        "content_wh": content_wh,
    }
    sources |= {"one": np.array([1]), "two": np.array([2]), "three": np.array([3])}
    sources |= {"scale": np.array(1 / 65536, np.float32), "half": np.array(2, np.float32)}
    sources |= {"quarter": np.array(0.25, np.float32)}
    splice(model, blend_rows, sources, "blend_rows", "blend_rows/content")
    return "blend_rows/content"
