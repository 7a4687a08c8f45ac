"""The exercise checks: right, a hint, or waiting; never a crash on a wrong type."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

from helpers.course import exercises

LESSONS = [
    module.name for module in pkgutil.iter_modules(exercises.__path__) if module.name.startswith("lesson_")
]


@pytest.fixture
def lesson(monkeypatch):
    def checker(answer):
        return exercises.wrong_type(answer, int, "a whole number") or (
            None if answer == 3 else "Count again."
        )

    monkeypatch.setattr(exercises, "_find", lambda lesson, number: checker)


@pytest.mark.parametrize(
    ("answer", "right", "said"),
    [
        (..., False, "exercise 02.1: waiting for your answer\n"),
        (3, True, "exercise 02.1: right\n"),
        (4, False, "exercise 02.1: not yet. Count again.\n"),
        ("3", False, "exercise 02.1: not yet. Expected a whole number, got str.\n"),
        (True, False, "exercise 02.1: not yet. Expected a whole number, got bool.\n"),
    ],
)
def test_what_is_said(lesson, capsys, answer, right, said):
    assert exercises.check("02", 1, answer) is right
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(("name", "number"), [("77", 1), ("", 1), ("02", 9)])
def test_an_exercise_that_does_not_exist(name, number):
    with pytest.raises(ValueError, match="expected a lesson and number that exist"):
        exercises.check(name, number, 1)


@pytest.mark.parametrize("name", LESSONS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_lesson_has_three_that_answer_nonsense_with_a_hint(name, number):
    checker = getattr(import_module(f"helpers.course.exercises.{name}"), f"exercise_{number}")
    for nonsense in (None, "nonsense", object(), [], {}, -1):
        hint = checker(nonsense)
        assert isinstance(hint, str), nonsense
        assert hint.strip()


def test_close():
    assert exercises.close(0.349, 0.35, 0.01)
    assert not exercises.close(0.30, 0.35, 0.01)
