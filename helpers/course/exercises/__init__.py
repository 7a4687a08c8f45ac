"""Check a reader's answers: right, or a hint that does not give the answer away.

Each lesson has a file `lesson_NN.py` here with functions `exercise_1`, `exercise_2`, `exercise_3`. Each takes
the answer and returns None if it is right, else a hint. In a lesson:

>>> from helpers.course import exercises
>>> _ = exercises.check("02", 1, ...)
exercise 02.1: waiting for your answer
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from helpers.course.place import say

__all__ = ["check", "close", "wrong_type"]


def check(lesson: str, number: int, answer: Any) -> bool:
    """Check one answer and say the result.

    Args:
        lesson: Two digits, as in the lesson's file name.
        number: Of the exercise, from 1.
        answer: The reader's answer; `...` stands for none yet.

    Returns:
        Whether it is right.

    Raises:
        ValueError: There is no such exercise.
    """
    checker = _find(lesson, number)
    label = f"exercise {lesson}.{number}"
    if answer is ...:
        say(f"{label}: waiting for your answer")
        return False
    hint = checker(answer)
    say(f"{label}: right" if hint is None else f"{label}: not yet. {hint}")
    return hint is None


def _find(lesson: str, number: int) -> Callable[[Any], str | None]:
    try:
        module = import_module(f"helpers.course.exercises.lesson_{lesson}")
        checker: Callable[[Any], str | None] = getattr(module, f"exercise_{number}")
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(
            f"exercise: expected a lesson and number that exist, got {lesson}.{number}"
        ) from error
    return checker


def wrong_type(answer: Any, expected: type | tuple[type, ...], example: str) -> str | None:
    """A hint for an answer of the wrong type, else None; checkers begin with it.

    >>> wrong_type("58", int, "a whole number")
    'Expected a whole number, got str.'
    """
    if isinstance(answer, expected) and not (isinstance(answer, bool) and expected is not bool):
        return None
    return f"Expected {example}, got {type(answer).__name__}."


def close(answer: float, right: float, tolerance: float) -> bool:
    """True if the answer is within `tolerance` of what is right.

    >>> close(0.351, 0.35, 0.01)
    True
    """
    return abs(float(answer) - right) <= tolerance
