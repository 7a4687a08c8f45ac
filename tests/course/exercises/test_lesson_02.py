"""Lesson 02's exercises: what is right passes, what is wrong gets a hint that does not give it away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from helpers.course import exercises
from helpers.course.exercises import lesson_02
from helpers.patches.nms import add_nms


def decode(t, cell_xy, stride, anchor_wh):  # type: ignore[no-untyped-def]
    s = 1 / (1 + np.exp(-np.asarray(t, float)))
    centre = (2 * s[:2] - 0.5 + cell_xy) * stride
    half = (2 * s[2:]) ** 2 * anchor_wh / 2
    return (*(centre - half), *(centre + half))


def graph(size_wh: tuple[int, int] = (320, 256), *, boxes: int = 20, score: float = 0.5) -> onnx.ModelProto:
    """An end-to-end graph of three nodes with an input of this size."""
    raw = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["": 18]>
        raw (float[1, 3, {size_wh[1]}, {size_wh[0]}] images) => (float[1, n, 8] output)
        <int64[3] shape = {{1, -1, 8}}> {{ output = Reshape(images, shape) }}""")
    return add_nms(raw, score_threshold=score, max_detections=boxes).model


@pytest.mark.parametrize("number", [1, 2, 3])
def test_waits(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert exercises.check("02", number, ...) is False
    assert "waiting" in capsys.readouterr().out


def test_right_answers() -> None:
    assert lesson_02.exercise_1(10647) is None
    assert lesson_02.exercise_2(decode) is None
    assert lesson_02.exercise_2(lambda *given: np.array(decode(*given))) is None
    assert lesson_02.exercise_3(graph()) is None


@pytest.mark.parametrize(
    ("answer", "hint"),
    [(3549, "boxes does each"), (25200, "Count"), (10647.0, "whole number"), (True, "whole")],
)
def test_number_of_candidates(answer: object, hint: str) -> None:
    found = lesson_02.exercise_1(answer)
    assert found
    assert hint in found
    assert "10647" not in found


def as_centre_and_size(*given):  # type: ignore[no-untyped-def]
    x0, y0, x1, y1 = decode(*given)
    return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0


def without_the_half_cell(t, cell_xy, stride, anchor_wh):  # type: ignore[no-untyped-def]
    return np.array(decode(t, cell_xy, stride, anchor_wh)) + stride / 2


def half_as_large(*given):  # type: ignore[no-untyped-def]
    x, y, w, h = as_centre_and_size(*given)
    return x - w / 4, y - h / 4, x + w / 4, y + h / 4


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (as_centre_and_size, "into corners"),
        (without_the_half_cell, "the centre is not"),
        (half_as_large, "the size is not"),
        (lambda *given: (*decode(*given)[:3], 0.0), "Neither"),
        (lambda *_: (0, 0, 0, 0), "Neither"),
        (lambda *_: (1, 2), "got 2"),
        (lambda t: t, "TypeError"),
        ([1, 2, 3, 4], "Expected a function"),
    ],
)
def test_decode(answer: Callable[..., object], hint: str) -> None:
    found = lesson_02.exercise_2(answer)
    assert found
    assert hint in found


def with_limits(numbers: list[float] | None) -> onnx.ModelProto:
    """The graph with other limits on the number of boxes: several, or none that is known."""
    model = graph()
    for tensor in model.graph.initializer:
        if tensor.name == "nms/max_detections":
            if numbers is None:
                tensor.name = "elsewhere"
            else:
                tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(numbers), tensor.name))
    return model


def raising(kind: type[Exception]) -> Callable[..., object]:
    """A function that fails in this way."""

    def answer(*_: object) -> object:
        raise kind("for a reason")

    return answer


@pytest.mark.parametrize(
    "kind", [ArithmeticError, AttributeError, IndexError, NameError, TypeError, ValueError]
)
def test_what_a_function_may_fail_with(kind: type[Exception]) -> None:
    found = lesson_02.exercise_2(raising(kind))
    assert found == f"Your function stopped with {kind.__name__}: for a reason"


@pytest.mark.parametrize(
    ("off", "word"), [(0.009, None), (-0.009, None), (0.015, "centre"), (-0.015, "centre")]
)
def test_how_near_is_near_enough(off: float, word: str | None) -> None:
    found = lesson_02.exercise_2(lambda *given: np.array(decode(*given)) + off)
    assert found is None if word is None else word in str(found)


def test_what_a_function_is_tried_on() -> None:
    seen = []

    def answer(*given):  # type: ignore[no-untyped-def]
        seen.append(given)
        return decode(*given)

    assert lesson_02.exercise_2(answer) is None
    assert seen == [
        ((0.0, 0.0, 0.0, 0.0), (10, 4), 32, (60, 40)),
        ((-1.5, 0.7, 0.4, -0.8), (0, 19), 16, (33, 23)),
        ((2.0, -2.0, 1.2, 0.3), (79, 3), 8, (10, 13)),
    ]


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (graph((256, 320)), "wrong way round"),
        (graph((640, 640)), "640 wide"),
        (graph(boxes=100), "look at max_detections"),
        (graph(score=0.35), "look at score_threshold"),
        (graph(boxes=21), "look at max_detections"),
        (onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
            g (float[1, 3, 256] x) => (float[1, 3, 256] y) { y = Abs(x) }"""), "one input [B, 3, H, W]"),
        (onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
            g (float[1, 3, 256, 320] x, float[1] z) => (float[1, 3, 256, 320] y) { y = Add(x, z) }"""),
         "one input [B, 3, H, W]"),
        (onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
            g (float[1, 3, 256, 320] x) => (float[n, 6] y) <int64[2] s = {-1, 6}> { y = Reshape(x, s) }"""),
         "still missing"),
        (onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
            g (float[1, 3, 256, 320] x) => (float[n, 7] y)
            <int64[2] s = {-1, 7}, float[1, 1, 4] b = {1, 2, 3, 4}, float[1, 1, 1] c = {1},
             int64 m = {20}, float i = {0.65}>
            { k = NonMaxSuppression(b, c, m, i) y = Reshape(x, s) }"""), "no NonMaxSuppression"),
        (with_limits([20, 20]), "look at max_detections"),
        (with_limits(None), "look at max_detections"),
        (onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
            g (float[1, 1, 256, 320] x) => (float[n, 7] y) <int64[2] s = {-1, 7}> { y = Reshape(x, s) }"""),
         "one input [B, 3, H, W]"),
        (onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
            g (float[1, 3, 256, 320] x) => (float[1, n, 7] y) <int64[3] s = {1, -1, 7}>
            { y = Reshape(x, s) }"""), "still missing"),
        ("small.onnx", "ModelProto"),
        (onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
            g (float[2] x) => (float[2] y) { y = Abs(x) }"""),
         "one input [B, 3, H, W]"),
        (onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
            g (float[1, 3, 256, 320] x) => (float[1, 3, 256, 320] y) { y = Abs(x) }"""), "still missing"),
        (onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
            g (float[1, 3, 256, 320] x) => (float[n, 7] y) <int64[2] s = {-1, 7}> { y = Reshape(x, s) }"""),
         "no NonMaxSuppression"),
    ],
)  # fmt: skip
def test_small_graph(answer: object, hint: str) -> None:
    found = lesson_02.exercise_3(answer)
    assert found
    assert hint in found
