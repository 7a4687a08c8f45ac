"""Exercises of lesson 08: a line of a label file, anchors within reach, average precision by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.course.exercises import close, wrong_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["exercise_1", "exercise_2", "exercise_3"]

OBJECT_WH = (20.0, 90.0)
LABELS = (
    ((10, 20, 50, 100), (200, 160), 0),
    ((0, 0, 640, 480), (640, 480), 2),
    ((31, 7, 38, 19), (57, 91), 11),
)
LISTS: tuple[tuple[list[bool], int], ...] = (
    ([True, False, True, False], 3),
    ([True, True], 2),
    ([False, True, True, False, True], 4),
    ([], 3),
    ([False, False], 1),
)


def exercise_1(answer: object) -> str | None:
    """A function `(box_xyxy, size_wh, class_id) -> str`, a line of a YOLO label file.

    >>> exercise_1("0 0.1 0.1 0.2 0.2")
    'Expected a function of box_xyxy, size_wh and class_id, got str.'
    """
    if not callable(answer):
        return f"Expected a function of box_xyxy, size_wh and class_id, got {type(answer).__name__}."
    return next((hint for case in LABELS if (hint := _label_hint(answer, *case))), None)


def _label_hint(
    function: Callable[..., Any], box: Sequence[float], size_wh: tuple[int, int], class_id: int
) -> str | None:
    line = function(list(box), size_wh, class_id)
    if line is ...:
        return "Waiting for your function: it still returns `...`."
    if not isinstance(line, str):
        return f"Expected a text, got {type(line).__name__}."
    case = f"For the box {list(box)} of a picture of {size_wh[0]}x{size_wh[1]}"
    words = line.split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return f"{case} not every word is a number: {line!r}"
    if len(numbers) != 5:
        return f"{case} expected five numbers, got {len(numbers)}."
    if words[0] != str(class_id):
        return f"{case} the first number is the class, {class_id}."
    x0, y0, x1, y1 = box
    width, height = size_wh
    right = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)
    if all(close(a, b, 1e-3) for a, b in zip(numbers[1:], right, strict=True)):
        return None
    if max(numbers[1:]) > 1:
        return f"{case} a number is above 1: they are shares of the picture's sides."
    if close(numbers[1], x0 / width, 1e-3):
        return f"{case} the first two are the centre, not the corner."
    return f"{case} something else comes out: centre x, centre y, width, height; x by width, y by height."


def exercise_2(answer: object) -> str | None:
    """How many of the official anchors can learn an object of 20x90 pixels.

    >>> exercise_2(9.5)
    'Expected a whole number, got float.'
    """
    if hint := wrong_type(answer, int, "a whole number"):
        return hint
    worst = _worst_factors()
    if answer == int((worst < 4).sum()):
        return None
    if answer == int((worst >= 4).sum()):
        return "That is how many can not."
    return "For each anchor the larger factor of the two sides, 1/5 being a factor of 5, too; then count."


def _worst_factors() -> NDArray[np.float64]:
    from helpers.family import COCO_ANCHORS_TINY

    ratio = np.array(OBJECT_WH) / np.array(COCO_ANCHORS_TINY).reshape(-1, 2)
    return np.asarray(np.maximum(ratio, 1 / ratio).max(1), np.float64)


def exercise_3(answer: object) -> str | None:
    """A function `(right, objects) -> float`, the average precision at 101 recalls.

    >>> exercise_3(0.55)
    'Expected a function of right and objects, got float.'
    """
    if not callable(answer):
        return f"Expected a function of right and objects, got {type(answer).__name__}."
    return next((hint for case in LISTS if (hint := _ap_hint(answer, *case))), None)


def _ap_hint(function: Callable[..., Any], right: list[bool], objects: int) -> str | None:
    value = function(list(right), objects)
    if value is ...:
        return "Waiting for your function: it still returns `...`."
    if not isinstance(value, int | float | np.floating):
        return f"Expected a number, got {type(value).__name__}."
    value = float(value)
    case = f"For {right} and {objects} objects"
    hits = np.cumsum(np.array(right, bool))
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / objects
    grid = np.linspace(0, 1, 101)
    lifted = [precision[recall >= at].max(initial=0.0) for at in grid]
    if close(value, float(np.mean(lifted)), 0.002):
        return None
    raw = [precision[np.argmax(recall >= at)] if (recall >= at).any() else 0.0 for at in grid]
    if close(value, float(np.mean(raw)), 0.002):
        return f"{case} the curve is not lifted: take the best precision at that recall or beyond."
    if len(right) and close(value, float(precision.mean()), 0.002):
        return f"{case} that is the mean over the detections; take it over the 101 recalls."
    return f"{case} something else comes out: a recall that is never reached counts 0."
