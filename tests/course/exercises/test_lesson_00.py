"""Lesson 00's exercises: right answers pass, wrong ones get a hint, `...` waits."""

import numpy as np
import pytest

from helpers.course import exercises
from helpers.course.exercises import lesson_00
from helpers.detections import Detections

FOUND = Detections([[0, 0, 9, 9]] * 3, [0.9, 0.61, 0.5], [0, 0, 0])


@pytest.fixture(autouse=True)
def _no_model(monkeypatch):
    monkeypatch.setattr(lesson_00, "_raw_shape", lambda: [1, 25200, 8])
    monkeypatch.setattr(lesson_00, "_boxes_of_first_picture", lambda: FOUND)


def largest(found):
    if len(found) == 0:
        return None
    sides = found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]
    return int(found.class_ids[np.argmax(sides.prod(axis=1))])


def at(found, values):
    return int(found.class_ids[values.argmax()])


@pytest.mark.parametrize(("number", "answer"), [(1, 25200), (2, 2), (3, largest)])
def test_right(capsys, number, answer):
    assert exercises.check("00", number, answer)
    assert capsys.readouterr().out == f"exercise 00.{number}: right\n"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_waiting(capsys, number):
    assert not exercises.check("00", number, ...)
    assert "waiting for your answer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (25201, "Look at the file"),
        (1, "counts something else"),
        (8, "counts something else"),
        *((each, "a whole number") for each in ("25200", None, True, 25200.0, [25200])),
    ],
)
def test_wrong_rows(answer, word):
    hint = lesson_00.exercise_1(answer)
    assert word in hint
    assert "25200" not in hint


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (3, "all boxes"),
        (1, "counts them"),
        (0, "counts them"),
        *((each, "a whole number") for each in ("2", None, 2.0)),
    ],
)
def test_wrong_count(answer, word):
    assert word in lesson_00.exercise_2(answer)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (5, "function"),
        (lambda _: ..., "Waiting"),
        (lambda _: None, "None although"),
        (lambda found: None if len(found) == 3 else 3, "None although"),
        (lambda found: 2 if len(found) == 3 else None, "None although"),
        (lambda found: True, "Area"),
        (lambda found: 0, "Area"),
        (lambda found: at(found, found.boxes_xyxy[:, 2] - found.boxes_xyxy[:, 0]), "Area"),
        (lambda found: at(found, found.boxes_xyxy[:, 2] * found.boxes_xyxy[:, 3]), "Area"),
        (lambda found: at(found, found.scores), "far from the corner"),
        (lambda found: largest(found) if len(found) > 0 else at(found, found.scores), "no boxes at all"),
        (lambda found: -1 if len(found) == 0 else largest(found), "no boxes at all"),
    ],
)
def test_wrong_function(answer, word):
    assert word in (lesson_00.exercise_3(answer) or "")


@pytest.mark.parametrize("kind", [ValueError, IndexError])
def test_no_boxes_may_be_what_a_function_fails_on(kind):
    def answer(found):
        if len(found) == 0:
            raise kind("nothing to choose from")
        return largest(found)

    expected = f"With no boxes at all it raised {kind.__name__}: treat that case first."
    assert lesson_00.exercise_3(answer) == expected


def test_what_the_function_is_tried_on():
    seen = []

    def answer(found):
        seen.append(found)
        return largest(found)

    assert lesson_00.exercise_3(answer) is None
    tall = Detections([[0, 0, 10, 90], [5, 5, 35, 35], [0, 0, 50, 2]], [0.9, 0.5, 0.7], [2, 0, 1])
    moved = Detections([[200, 200, 220, 220], [0, 0, 30, 30]], [0.9, 0.4], [5, 3])
    kinds = {len(found): found for found in seen}
    assert kinds == {3: tall, 2: moved, 0: Detections.empty()}


def test_the_model_is_asked_for_its_shape_and_its_boxes(monkeypatch):
    monkeypatch.undo()
    assert lesson_00.exercise_1(25199)
    assert lesson_00.exercise_2(-1)
