"""Exercises of lesson 00: the raw graph's rows, counting boxes, the largest box."""

from __future__ import annotations

from typing import Any

from helpers.course.exercises import wrong_type

__all__ = ["exercise_1", "exercise_2", "exercise_3"]

SCORE = 0.6


def exercise_1(answer: object) -> str | None:
    """How many rows the raw graph puts out for one picture.

    >>> exercise_1("many")
    'Expected a whole number, got str.'
    """
    if hint := wrong_type(answer, int, "a whole number"):
        return hint
    shape = _raw_shape()
    if answer == shape[1]:
        return None
    if answer in shape:
        return (
            "That number is in the shape, but it counts something else: the order is pictures, rows, columns."
        )
    return "Look at the file without an ending after the model's name, column 'shape out', second number."


def _raw_shape() -> list[Any]:
    from helpers.artifacts import describe_onnx
    from helpers.course.needs import require
    from helpers.course.picker import current_model

    shape: list[Any] = describe_onnx(require(current_model(), "raw"))["outputs"][0]["shape"]
    return shape


def exercise_2(answer: object) -> str | None:
    """How many boxes score above 0.6 in the model's first picture.

    >>> exercise_2(2.5)
    'Expected a whole number, got float.'
    """
    if hint := wrong_type(answer, int, "a whole number"):
        return hint
    found = _boxes_of_first_picture()
    if answer == len(found.above(SCORE)):
        return None
    if answer == len(found):
        return "These are all boxes; keep those above 0.6, then count."
    return "len(detector.detect(image_bgr).above(0.6)) counts them; is it the first of model.pictures(1)?"


def _boxes_of_first_picture() -> Any:
    from helpers.course.needs import require
    from helpers.course.picker import current_model
    from helpers.detector import Detector

    model = current_model()
    return Detector(require(model, "ultralytics"), providers="cpu").detect(model.pictures(1)[0].image_bgr)


def exercise_3(answer: object) -> str | None:
    """A function from `Detections` to the class id of the largest box, None where there is none.

    >>> exercise_3(7)
    'Expected a function of Detections, got int.'
    """
    from helpers.detections import Detections

    if not callable(answer):
        return f"Expected a function of Detections, got {type(answer).__name__}."
    tall = Detections([[0, 0, 10, 90], [5, 5, 35, 35], [0, 0, 50, 2]], [0.9, 0.5, 0.7], [2, 0, 1])
    moved = Detections([[200, 200, 220, 220], [0, 0, 30, 30]], [0.9, 0.4], [5, 3])
    first = answer(tall)
    if first is ...:
        return "Waiting for your function: it still returns `...`."
    if first is None or answer(moved) is None:
        return "It returned None although there are boxes."
    if first != 2:
        return "Area is width times height: (x1 - x0) * (y1 - y0). Return the class id, not the row."
    if answer(moved) != 3:
        return "A box far from the corner is not larger for it, nor one with a better score: subtract x0, y0."
    try:
        nothing = answer(Detections.empty())
    except (ValueError, IndexError) as error:
        return f"With no boxes at all it raised {type(error).__name__}: treat that case first."
    return None if nothing is None else "With no boxes at all it should return None."
