"""The operators that take a raw picture to the network's input, and boxes back: small onnxscript functions.

`Cast` comes first, because TensorRT knows `UINT8` at the border of an engine alone; what follows is float32
and int64. Sizes are whole numbers throughout, `[B, 2]`, so that rounding is exact. Scaling is in
`preprocess_resize`.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from onnxscript import FLOAT, FLOAT16, INT64, UINT8, script
from onnxscript import opset12 as op

__all__ = ["centre", "colours", "fit", "half_colours", "measure", "pad", "planes", "to_picture"]


@script()
def measure(picture: UINT8) -> INT64:
    """Width and height of a picture `[H, W, 3]`: `[1, 2]`."""
    pixels = op.Cast(picture, to=1)
    height_width_channels = op.Shape(pixels)
    width_height = op.Gather(height_width_channels, [1, 0], axis=0)
    return op.Reshape(width_height, [1, 2])


@script()
def fit(picture_wh: INT64, size_wh: INT64, size_hw: INT64, one: INT64, two: INT64) -> INT64:
    """Size of the scaled picture inside the input, `[B, 2]`: rounded as Python does it, half to even.

    Each side may fill the input (`size`), or be what the other side's scale makes of it: the smaller counts.
    Exact halves are even here. Python's floating point misses some: for inputs of 416, 736 or 960 pixels one
    picture's size in 50 000 is a pixel apart, for 320, 512, 640 and 1280 none.
    """
    other_side = op.Gather(picture_wh, [1, 0], axis=1)
    filled = op.Mul(picture_wh, size_hw)
    doubled = op.Add(filled, filled)
    numerator = op.Add(doubled, other_side)
    denominator = op.Add(other_side, other_side)
    half_up = op.Div(numerator, denominator)
    whole = op.Mul(half_up, denominator)
    rest = op.Sub(numerator, whole)
    no_tie = op.Min(rest, one)
    tie = op.Sub(one, no_tie)
    halved = op.Div(half_up, two)
    even = op.Mul(halved, two)
    odd = op.Sub(half_up, even)
    step_back = op.Mul(tie, odd)
    half_even = op.Sub(half_up, step_back)
    within = op.Min(half_even, size_wh)
    return op.Max(within, one)


@script()
def centre(content_wh: INT64, size_wh: INT64, two: INT64) -> INT64:
    """Grey left of the content and above it, `[B, 2]`; of an odd rest the smaller half."""
    grey_wh = op.Sub(size_wh, content_wh)
    return op.Div(grey_wh, two)


@script()
def pad(
    content: FLOAT, content_wh: INT64, before_wh: INT64, size_wh: INT64, none: INT64, grey: FLOAT
) -> FLOAT:
    """Grey around the content: `[1, 3, height, width]` of the network."""
    left_over = op.Sub(size_wh, content_wh)
    after_wh = op.Sub(left_over, before_wh)
    before_row = op.Reshape(before_wh, [2])
    after_row = op.Reshape(after_wh, [2])
    before_hw = op.Gather(before_row, [1, 0], axis=0)
    after_hw = op.Gather(after_row, [1, 0], axis=0)
    pads = op.Concat(none, before_hw, none, after_hw, axis=0)
    return op.Pad(content, pads, grey)


@script()
def planes(pictures: UINT8) -> FLOAT:
    """Pictures `[B, H, W, 3]` as planes `[B, 3, H, W]`."""
    pixels = op.Cast(pictures, to=1)
    return op.Transpose(pixels, perm=[0, 3, 1, 2])


@script()
def colours(nchw: FLOAT, white: FLOAT) -> FLOAT:
    """Blue, green, red of 0 to 255 become red, green, blue of 0 to 1."""
    red_green_blue = op.Gather(nchw, [2, 1, 0], axis=1)
    return op.Div(red_green_blue, white)


@script()
def half_colours(nchw: FLOAT, white: FLOAT) -> FLOAT16:
    """The same for a network whose input is FP16."""
    red_green_blue = op.Gather(nchw, [2, 1, 0], axis=1)
    scaled = op.Div(red_green_blue, white)
    return op.Cast(scaled, to=10)


@script()
def to_picture(rows: FLOAT, picture_wh: INT64, content_wh: INT64, before_wh: INT64, edge: FLOAT) -> FLOAT:
    """Rows `[B, S, 6]` with their corners in the picture's pixels, inside it; rows of zeros stay as they are.

    Grey before the content is never negative, so a corner at 0 comes out at most 0 and is clipped back to it.
    """
    picture_twice = op.Concat(picture_wh, picture_wh, axis=1)
    content_twice = op.Concat(content_wh, content_wh, axis=1)
    before_twice = op.Concat(before_wh, before_wh, axis=1)
    picture_column = op.Reshape(picture_twice, [-1, 1, 4])
    content_column = op.Reshape(content_twice, [-1, 1, 4])
    before_column = op.Reshape(before_twice, [-1, 1, 4])
    limits = op.Cast(picture_column, to=1)
    contents = op.Cast(content_column, to=1)
    befores = op.Cast(before_column, to=1)
    corners = op.Gather(rows, [0, 1, 2, 3], axis=2)
    score_class = op.Gather(rows, [4, 5], axis=2)
    unpadded = op.Sub(corners, befores)
    multiplied = op.Mul(unpadded, limits)
    unscaled = op.Div(multiplied, contents)
    below = op.Min(unscaled, limits)
    inside = op.Max(below, edge)
    return op.Concat(inside, score_class, axis=2)
