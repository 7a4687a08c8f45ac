"""Exercises of lesson 05."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from helpers.course.exercises import wrong_type

_OFFSET, _STEP = 640, 4
_NET = """<ir_version: 8, opset_import: ["": 17]>
net (float[1, 1, 4, 4] images) => (float[1, 1, 4, 4] output)
    <float[1, 1, 1, 1] weight = {1}, float16[1, 1, 1, 1] small = {1}> """
_GRAPHS = {
    "an FP32 graph": (0, "{ output = Conv(images, weight) }"),
    "FP16 weights that are cast to FP32": (
        0,
        """{ long = Cast <to = 1> (small)
             output = Conv(images, long) }""",
    ),
    "one convolution in FP16 and one in FP32": (
        1,
        """{ short = Cast <to = 10> (images)
             first = Conv(short, small)
             back = Cast <to = 1> (first)
             output = Conv(back, weight) }""",
    ),
    "two convolutions in FP16, the weight of one cast in the graph": (
        2,
        """{ short = Cast <to = 10> (images)
             cut = Cast <to = 10> (weight)
             first = Conv(short, cut)
             second = Conv(first, small)
             output = Cast <to = 1> (second) }""",
    ),
    "a graph in FP16 without a convolution": (
        0,
        """{ short = Cast <to = 10> (images)
             product = Mul(short, small)
             output = Cast <to = 1> (product) }""",
    ),
}


def exercise_1(answer: object) -> str | None:
    """The highest class whose corners never lie on a grid coarser than 4 px in FP16.

    >>> exercise_1(_highest_class()) is None
    True
    """
    if hint := wrong_type(answer, int, "a whole number"):
        return hint
    right = _highest_class()
    if answer == right:
        return None
    if answer == right + 1:
        return "The first boxes of this class are fine, the last ones are not: its corners go up to 640 more."
    return "np.spacing(np.float16(x)) is the step at x. What is the largest x that a class can reach?"


def _highest_class() -> int:
    import numpy as np

    steps = (np.spacing(np.float16(_OFFSET * number + _OFFSET)) for number in range(80))
    return sum(bool(step <= _STEP) for step in steps) - 1


def exercise_2(answer: object) -> str | None:
    """A function from an engine's bytes to its header and its plan, tried on engines of several kinds.

    >>> exercise_2(lambda data: ({}, data))
    'With a header in front of the plan, the header that comes back is not the one in the file.'
    """
    if not callable(answer):
        return f"Expected a function that takes bytes, got {type(answer).__name__}."
    return next((hint for case in _engines() if (hint := _try_engine(answer, *case))), None)


def _engines() -> list[tuple[str, bytes, dict[str, Any], bytes]]:
    """What it is, the file's bytes, and the header and plan that are in it."""
    header = {"names": {"0": "Zelle", "1": "Plättchen"}, "stride": 32, "args": {"nms": True}}
    long = header | {"names": {str(number): f"class {number}" for number in range(80)}}
    cases = [
        (what, _pack(json.dumps(each).encode(), b"ftrt\x00plan"), each, b"ftrt\x00plan")
        for what, each in (
            ("a header in front of the plan", header),
            ("a header of more than 255 bytes", long),
        )
    ]
    plain = json.dumps(header, ensure_ascii=False).encode()
    cases.append(("a header with letters beyond ASCII", _pack(plain, b"\xff\x00"), header, b"\xff\x00"))
    for what, data in (
        ("a plan and no header", b"ftrt" + bytes(60)),
        ("a plan that begins with a small number", b"\x08\x00\x00\x00" + b"\xff\xfe\xfd" * 9),
        ("an empty file", b""),
    ):
        cases.append((what, data, {}, data))
    return cases


def _pack(text: bytes, plan: bytes) -> bytes:
    return len(text).to_bytes(4, "little") + text + plan


def _try_engine(
    read: Callable[[bytes], Any], what: str, data: bytes, header: dict[str, Any], plan: bytes
) -> str | None:
    intro = f"With {what}"
    found = read(data)  # what it raises is the reader's to see
    if not isinstance(found, tuple) or len(found) != 2:
        return f"{intro}, it should return two things, a dictionary and bytes; got {type(found).__name__}."
    if found[0] != header:
        return f"{intro}, the header that comes back is not the one in the file."
    if not isinstance(found[1], bytes) or found[1] != plan:
        return f"{intro}, the plan that comes back is not the one in the file."
    return None


def exercise_3(answer: object) -> str | None:
    """A function that counts the convolutions that compute in FP16, tried on small graphs.

    >>> exercise_3(lambda model: 0)
    'On one convolution in FP16 and one in FP32 it says 0.'
    """
    if not callable(answer):
        return f"Expected a function that takes a model, got {type(answer).__name__}."
    import onnx

    for what, (right, nodes) in _GRAPHS.items():
        model = onnx.parser.parse_model(_NET + nodes)
        before = model.SerializeToString(deterministic=True)
        found = answer(model)
        if hint := wrong_type(found, int, "a whole number"):
            return f"On {what}: {hint}"
        if found != right:
            return f"On {what} it says {found}."
        if model.SerializeToString(deterministic=True) != before:
            return "The model that was handed in has changed; only look at it."
    return None
