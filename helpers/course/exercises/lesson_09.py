"""Exercises of lesson 09: the size of a batch, a job on paper, a question to the results."""

from __future__ import annotations

import math
from typing import Any

from helpers.course.exercises import close, wrong_type

__all__ = ["exercise_1", "exercise_2", "exercise_3"]

BATCH = 8
PICTURES, PICTURE_MB, CORES, PER_CORE_S, STORAGE_MB_S, START_S = 2_000_000, 0.5, 20 * 16, 4, 300, 90


def exercise_1(answer: object) -> str | None:
    """Bytes of eight pictures as the network's input.

    >>> exercise_1("much")
    'Expected a whole number, got str.'
    """
    from helpers.course.picker import current_model

    if hint := wrong_type(answer, int, "a whole number"):
        return hint
    values = BATCH * 3 * math.prod(current_model().size_wh)
    hints = {
        values: "These are its numbers; how many bytes has a float32?",
        values * 4 // BATCH: "This is one picture.",
        values * 4 // 3: "Three channels: red, green, blue.",
        values * 2: "That would be FP16; this graph's input is float32.",
    }
    if answer == values * 4:
        return None
    return hints.get(int(str(answer)), "Pictures x channels x height x width x bytes of a number.")


def exercise_2(answer: object) -> str | None:
    """Seconds of a job that its storage holds up.

    >>> exercise_2(0)
    'The start-up alone takes longer.'
    """
    if hint := wrong_type(answer, (int, float), "a number of seconds"):
        return hint
    seconds = float(str(answer))
    work = PICTURES / (CORES * PER_CORE_S), PICTURES * PICTURE_MB / STORAGE_MB_S
    slower, quicker = max(work), min(work)
    if close(seconds, START_S + slower, 1.0):
        return None
    if seconds < START_S:
        return "The start-up alone takes longer."
    if close(seconds, slower, 1.0):
        return "And the time until everything is up?"
    if close(seconds, START_S + quicker, 1.0) or close(seconds, quicker, 1.0):
        return "So fast are the cores; can the storage keep up with them?"
    if close(seconds, START_S + slower + quicker, 1.0):
        return "Reading and computing happen at the same time: the slower of the two counts."
    return "Pictures a second: once from the cores, once from the storage. Then plan() as in the lesson."


def _row(path: str, scores: list[float], error: str | None = None) -> dict[str, Any]:
    boxes = [[0.0, 0.0, 9.0, 9.0]] * len(scores)
    ids, names = [0] * len(scores), ["RBC"] * len(scores)
    return {
        "path": path, "bytes": 1, "modified_ns": 1, "width": None if error else 640,
        "height": None if error else 480, "boxes_xyxy": boxes, "scores": scores, "class_ids": ids,
        "names": names, "error": error, "model": "", "versions": "",
    }  # fmt: skip


def exercise_3(answer: object) -> str | None:
    """A function `rows -> paths` that picks errors and pictures whose best score is below 0.5.

    >>> exercise_3([])
    'Expected a function of rows, got list.'
    """
    if not callable(answer):
        return f"Expected a function of rows, got {type(answer).__name__}."
    rows = [
        _row("z.jpg", [0.4, 0.45]), _row("sure.jpg", [0.4, 0.9]), _row("torn.jpg", [], "cut short"),
        _row("empty.jpg", []), _row("edge.jpg", [0.5]), _row("a.jpg", [0.49]),
    ]  # fmt: skip
    try:
        found, nothing = answer(rows), answer([])
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        return f"The function fails: {type(error).__name__}: {error}"
    if not isinstance(found, list) or nothing != []:
        return "Expected a list of paths; an empty one for no rows."
    return _hint_on_paths(found)


def _hint_on_paths(found: list[object]) -> str | None:
    if found == ["z.jpg", "torn.jpg", "a.jpg"]:
        return None
    hints = {
        "empty.jpg": "A picture in which nothing was found, and that has no error, is not one of them.",
        "sure.jpg": "One good box is enough: the best score counts.",
        "edge.jpg": "A best score of exactly 0.5 is not below 0.5.",
    }
    for path, hint in hints.items():
        if path in found:
            return hint
    if "torn.jpg" not in found:
        return "A picture with an error is to be looked at, too."
    if sorted(map(str, found)) == ["a.jpg", "torn.jpg", "z.jpg"]:
        return "The right ones; keep the order of the rows."
    return "Paths, each once: row['path'] of the rows in question."
