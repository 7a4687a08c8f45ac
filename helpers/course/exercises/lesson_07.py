"""Exercises of lesson 07."""

from __future__ import annotations

from typing import Any

from helpers.course.exercises import wrong_type

_RANGES = (
    ((-1.0, 4.1), "-1 to 4.1"),
    ((0.0, 1.0), "0 to 1"),
    ((2.0, 6.0), "2 to 6"),
    ((-8.0, -2.0), "-8 to -2"),
)
_NET = """<ir_version: 8, opset_import: ["": 17]>
net (float[1, 1, 4, 4] images) => (float[1, 1, 4, 4] output)
    <float[1, 1, 1, 1] weight = {1}, int8[1, 1, 1, 1] small = {1}, float scale = {0.5}, int8 zero = {0}> """
_BYTES = "q = QuantizeLinear(images, scale, zero) d = DequantizeLinear(q, scale, zero)"
_WEIGHT = "w = DequantizeLinear(small, scale, zero)"
_GRAPHS = {
    "a graph without pairs": (["a"], "{ [a] output = Conv(images, weight) }"),
    "a graph whose only convolution is in bytes": ([], f"{{ {_BYTES} {_WEIGHT} [a] output = Conv(d, w) }}"),
    "a pair in front of a convolution with a float weight": (
        ["a"],
        f"{{ {_BYTES} [a] output = Conv(d, weight) }}",
    ),
    "one convolution of each kind": (
        ["b"],
        f"{{ {_BYTES} {_WEIGHT} [a] first = Conv(d, w) [b] output = Conv(first, weight) }}",
    ),
}


def exercise_1(answer: object) -> str | None:
    """A function from numbers and a range to bytes, scale and zero point, tried on several ranges.

    >>> exercise_1(lambda x, low, high: 0)
    'For the range -1 to 4.1 it should return three things: bytes, scale, zero point; got int.'
    """
    if not callable(answer):
        return f"Expected a function that takes an array, low and high, got {type(answer).__name__}."
    for (low, high), text in _RANGES:
        import numpy as np

        x = np.linspace(min(low, 0) - 1, max(high, 0) + 1, 41, dtype=np.float32)
        x[20] = 0
        found = answer(x, low, high)
        if hint := _wrong_bytes(found, x, min(low, 0.0), max(high, 0.0)):
            return f"For the range {text} {hint}"
    return None


def _wrong_bytes(found: Any, x: Any, low: float, high: float) -> str | None:
    import numpy as np

    if not isinstance(found, tuple) or len(found) != 3:
        return f"it should return three things: bytes, scale, zero point; got {type(found).__name__}."
    steps, scale, zero = found
    if not isinstance(steps, np.ndarray) or steps.dtype != np.uint8 or steps.shape != x.shape:
        return "the bytes should be an array of uint8, of the same shape."
    if float(zero) != round(float(zero)) or not 0 <= float(zero) <= 255:
        return "the zero point should be a whole number from 0 to 255; does the range contain 0?"
    back = (steps.astype(np.float64) - float(zero)) * float(scale)
    if back[20] != 0:
        return "0 does not come back as 0."
    if not np.isclose(float(scale), (high - low) / 255, rtol=1e-3):
        return "the scale is not the width of the range, with 0 in it, in 255 steps."
    inside = (x > low + float(scale)) & (x < high - float(scale))
    if (np.abs(back - x)[inside] > 0.51 * float(scale)).any():
        return "some numbers come back more than half a step off. Rounded, or cut?"
    ends = back[x <= low - float(scale)], back[x >= high + float(scale)]
    if any(np.ptp(end) > 0 for end in ends):
        return "numbers beyond the range should be cut off at its ends."
    return None


def exercise_2(answer: object) -> str | None:
    """A function that names the convolutions in float, tried on small graphs.

    >>> exercise_2(lambda model: [])
    'On a graph without pairs it says [].'
    """
    if not callable(answer):
        return f"Expected a function that takes a model, got {type(answer).__name__}."
    import onnx

    for what, (right, nodes) in _GRAPHS.items():
        model = onnx.parser.parse_model(_NET + nodes)
        before = model.SerializeToString(deterministic=True)
        found = answer(model)
        if hint := wrong_type(found, (list, tuple, set), "a list of names"):
            return f"On {what}: {hint}"
        if sorted(found) != right:
            return f"On {what} it says {list(found)}."
        if model.SerializeToString(deterministic=True) != before:
            return "The model that was handed in has changed; only look at it."
    return None


def exercise_3(answer: object) -> str | None:
    """The largest weight with which two products always fit into 16 bits.

    >>> exercise_3(32767 // (2 * 255)) is None
    True
    """
    if hint := wrong_type(answer, int, "a whole number"):
        return hint
    right = 32767 // (2 * 255)
    if answer == right:
        return None
    if answer == 32767 // (2 * 127):
        return "The inputs are the unsigned ones: how large can they be?"
    if answer == 32767 // 255:
        return "That is one product; two are added."
    return "Both inputs at their largest, both weights at theirs: where does the sum reach 32767?"
