"""Exercises of lesson 02: export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helpers.course.exercises import wrong_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

SIDE, STRIDES, ANCHORS = 416, (8, 16, 32), 3
_WANTED = {"max_detections": 20.0, "score_threshold": 0.5}


def exercise_1(answer: object) -> str | None:
    """Number of candidates that three levels give at 416 x 416.

    >>> exercise_1("many")
    'Expected a whole number, got str.'
    """
    if hint := wrong_type(answer, int, "a whole number"):
        return hint
    cells = sum((SIDE // stride) ** 2 for stride in STRIDES)
    if answer == cells:
        return "Those are the cells. How many boxes does each of them propose?"
    if answer == ANCHORS * cells:
        return None
    return "Count the cells of each grid (416 divided by its stride, squared), then the anchors of a cell."


def exercise_2(answer: object) -> str | None:
    """A function that decodes four logits to corners.

    >>> exercise_2(3)
    'Expected a function decode(t, cell_xy, stride, anchor_wh), got int.'
    """
    if not callable(answer):
        return f"Expected a function decode(t, cell_xy, stride, anchor_wh), got {type(answer).__name__}."
    cases: tuple[tuple[tuple[float, ...], tuple[int, int], int, tuple[int, int]], ...] = (
        ((0.0, 0.0, 0.0, 0.0), (10, 4), 32, (60, 40)),
        ((-1.5, 0.7, 0.4, -0.8), (0, 19), 16, (33, 23)),
        ((2.0, -2.0, 1.2, 0.3), (79, 3), 8, (10, 13)),
    )
    for t, cell_xy, stride, anchor_wh in cases:
        try:
            found = [float(value) for value in answer(t, cell_xy, stride, anchor_wh)]
        except (ArithmeticError, AttributeError, IndexError, NameError, TypeError, ValueError) as error:
            return f"Your function stopped with {type(error).__name__}: {error}"
        if hint := _corner_hint(found, _corners(t, cell_xy, stride, anchor_wh)):
            return hint
    return None


def _corners(
    t: Sequence[float], cell_xy: Sequence[int], stride: int, anchor_wh: Sequence[int]
) -> list[float]:
    import numpy as np

    s = 1 / (1 + np.exp(-np.asarray(t, np.float64)))
    centre = (2 * s[:2] - 0.5 + np.asarray(cell_xy)) * stride
    half = (2 * s[2:]) ** 2 * np.asarray(anchor_wh) / 2
    return [*(centre - half).tolist(), *(centre + half).tolist()]


def _corner_hint(found: list[float], right: list[float]) -> str | None:
    """What is wrong with four corners; None if nothing is (to a hundredth of a pixel)."""
    if len(found) != 4:
        return f"Expected four values x0, y0, x1, y1, got {len(found)}."

    def near(a: Sequence[float], b: Sequence[float]) -> bool:
        return all(abs(x - y) <= 0.01 for x, y in zip(a, b, strict=True))

    if near(found, right):
        return None
    centre = [(right[i] + right[i + 2]) / 2 for i in (0, 1)]
    size = [right[i + 2] - right[i] for i in (0, 1)]
    if near(found, [*centre, *size]):
        return "That is centre and size, and right; now turn it into corners."
    if near([found[i + 2] - found[i] for i in (0, 1)], size):
        return (
            "The size is right, the centre is not: look at the half cell, and at where the stride comes in."
        )
    if near([(found[i] + found[i + 2]) / 2 for i in (0, 1)], centre):
        return "The centre is right, the size is not: it grows with the square, and starts from the anchor."
    return "Neither centre nor size is right yet. Sigmoid first, then the two formulas of 'One row by hand'."


def exercise_3(answer: object) -> str | None:
    """An end-to-end graph for 320 x 256 with at most 20 boxes above 0.5.

    >>> exercise_3("small.onnx")
    'Expected an onnx.ModelProto, got str.'
    """
    import onnx

    if hint := wrong_type(answer, onnx.ModelProto, "an onnx.ModelProto"):
        return hint
    model: onnx.ModelProto = answer  # type: ignore[assignment]
    shapes = [
        [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    ]
    if len(shapes) != 2 or shapes[0][1:2] != [3] or len(shapes[0]) != 4:
        return "Expected a graph with one input [B, 3, H, W] and one output."
    if shapes[0][2:] == [320, 256]:
        return "Width and height are the wrong way round: size_wh has the width first."
    if shapes[0][2:] != [256, 320]:
        return f"Its input is {shapes[0][3]} wide and {shapes[0][2]} high."
    if shapes[1][-1:] != [7] or len(shapes[1]) != 2:
        return "Its output is not [M, 7]: the NMS is still missing."
    return _limits_hint(model)


def _limits_hint(model: onnx.ModelProto) -> str | None:
    """Whether the limits inside the graph's NMS are the ones asked for."""
    from helpers.patches import constant_value

    node = next((node for node in model.graph.node if node.op_type == "NonMaxSuppression"), None)
    if node is None or len(node.input) < 5:
        return "There is no NonMaxSuppression with a score threshold in it."
    for (name, wanted), source in zip(_WANTED.items(), (node.input[2], node.input[4]), strict=True):
        value = constant_value(model, source)
        if value is None or value.size != 1 or abs(float(value.ravel()[0]) - wanted) > 1e-6:
            return f"The size is right; look at {name} once more."
    return None
