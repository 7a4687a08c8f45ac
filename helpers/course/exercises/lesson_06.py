"""Exercises of lesson 06: the letterbox by hand, counting boxes, the way back into the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.course.exercises import close, wrong_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["exercise_1", "exercise_2", "exercise_3"]

PICTURE_WH, SIZE_WH, POINT_XY = (1280, 720), (640, 640), (1000, 300)
SCORE, FIRST_SEED, COUNT = 0.5, 9010, 6


def exercise_1(answer: object) -> str | None:
    """Where a point of a picture lands in the network's square.

    >>> exercise_1(0.5)
    'Expected a pair (x, y), got float.'
    """
    from helpers.images import letterbox

    if hint := wrong_type(answer, (tuple, list, np.ndarray), "a pair (x, y)"):
        return hint
    pair = np.asarray(answer).tolist()
    if len(pair) != 2 or not all(isinstance(value, int | float) for value in pair):
        return "Expected two numbers, x and y."
    box = letterbox(np.zeros((PICTURE_WH[1], PICTURE_WH[0], 3), np.uint8), SIZE_WH)
    x, y = box.boxes_to_input([*POINT_XY, *POINT_XY])[0, :2].tolist()
    near = [close(value, right, 1.0) for value, right in zip(pair, (x, y), strict=True)]
    if all(near):
        return None
    if close(pair[0], y, 1.0) and close(pair[1], x, 1.0):
        return "x comes first, then y."
    if near[0] and close(pair[1], y - box.pad_xy[1], 1.0):
        return "Scaled rightly; but the content is centred: how much grey lies above it?"
    if near[0]:
        return "x is right. For y, add the grey above the content: half of what the content leaves free."
    return "One scale for both sides, the smaller of the two ratios; then add the grey on that side."


def exercise_2(answer: object) -> str | None:
    """Which of six smears shows the most boxes above 0.5; any of them where several do.

    >>> exercise_2(3)
    'Expected a name such as "smear-9000", got int.'
    """
    if hint := wrong_type(answer, str, 'a name such as "smear-9000"'):
        return hint
    counts = _counts()
    if answer not in counts:
        return f"Expected one of {', '.join(counts)}."
    if counts[str(answer)] == max(counts.values()):
        return None
    return "Another has more: len(detector.detect(picture.image_bgr).above(0.5)) for each, then the largest."


def _counts() -> dict[str, int]:
    from helpers.course.needs import require
    from helpers.course.picker import current_model
    from helpers.course.pictures import drawn
    from helpers.detector import Detector

    detector = Detector(require(current_model(), "ultralytics"), providers="cpu")
    smears = drawn(COUNT, first_seed=FIRST_SEED)
    return {smear.name: len(detector.detect(smear.image_bgr).above(SCORE)) for smear in smears}


def exercise_3(answer: object) -> str | None:
    """A function `(rows [100, 6], picture_wh, size_wh) -> boxes_xyxy [n, 4]` in the picture's pixels.

    >>> exercise_3("no function")
    'Expected a function of rows, picture_wh and size_wh, got str.'
    """
    if not callable(answer):
        return f"Expected a function of rows, picture_wh and size_wh, got {type(answer).__name__}."
    cases = (((640, 640), 3), ((1280, 720), 4), ((300, 800), 2), ((500, 400), 0))
    return next((hint for case in cases if (hint := _hint(answer, *case))), None)


def _hint(function: Callable[..., Any], picture_wh: tuple[int, int], count: int) -> str | None:
    from helpers.images import letterbox

    box = letterbox(np.zeros((picture_wh[1], picture_wh[0], 3), np.uint8), SIZE_WH)
    expected, rows = _case(picture_wh, count, box)
    result = function(rows.copy(), picture_wh, SIZE_WH)
    if result is ...:
        return "Waiting for your function: it still returns `...`."
    case = f"For a picture of {picture_wh[0]}x{picture_wh[1]}"
    got = np.asarray(result)
    if got.shape != (count, 4) and got.size + count > 0:
        padded = " Drop the rows whose score is 0." if len(got.shape) == 2 and len(got) == len(rows) else ""
        return f"{case} with {count} boxes, expected shape [{count}, 4], got {list(got.shape)}.{padded}"
    if count == 0 or np.allclose(got, expected, atol=1.5):
        return None
    limits = np.array([*picture_wh, *picture_wh])
    if np.allclose(got.clip(0, limits), expected, atol=1.5):
        return f"{case} a box reaches beyond it: move every corner inside."
    shifted = np.array([*box.pad_xy, *box.pad_xy]) / box.scale
    if np.allclose((got - shifted)[0], expected[0], atol=1.5):
        return f"{case} everything sits too far to one side: subtract the grey before you divide."
    return f"{case} the boxes are somewhere else: subtract the grey, then divide by the scale."


def _case(
    picture_wh: tuple[int, int], count: int, box: Any
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Boxes in the picture, the last one reaching beyond it, and the 100 rows that a graph would give."""
    width, height = picture_wh
    places = np.linspace(0.1, 0.7, max(count, 1))[:count, None]
    boxes = places * [width, height, width, height] + [0, 0, 0.2 * width, 0.25 * height]
    if count:
        boxes[-1, 2:] = [width + 9, height + 7]
    rows = np.zeros((100, 6), np.float32)
    rows[:count, :4] = box.boxes_to_input(boxes)
    rows[:count, 4] = np.linspace(0.9, 0.4, max(count, 1))[:count]
    return boxes.clip(0, [width, height, width, height]), rows
