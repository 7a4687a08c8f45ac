"""The checkers of lesson 09: right answers, likely wrong ones, and hints that give nothing away."""

import pytest

from helpers.course.exercises import lesson_09
from helpers.course.exercises.lesson_09 import exercise_1, exercise_2, exercise_3

BYTES = 8 * 3 * 640 * 640 * 4


def review(rows):
    return [r["path"] for r in rows if r["error"] or (r["scores"] and max(r["scores"]) < 0.5)]


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (BYTES, None),
        (None, "Expected a whole number"),
        (float(BYTES), "Expected a whole number"),
        (BYTES // 4, "how many bytes"),
        (BYTES // 8, "one picture"),
        (BYTES // 3, "Three channels"),
        (BYTES // 2, "FP16"),
        (BYTES + 1, "Pictures x channels"),
        (0, "Pictures x channels"),
    ],
)
def test_bytes(answer, hint):
    found = exercise_1(answer)
    assert found is None if hint is None else hint in found


SECONDS = 90 + 2_000_000 * 0.5 / 300


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (SECONDS, None),
        (round(SECONDS), None),
        (SECONDS + 2, "Pictures a second"),
        ("3423", "Expected a number of seconds"),
        (True, "Expected a number of seconds"),
        (0, "start-up alone"),
        (SECONDS - 90, "until everything is up"),
        (90 + 2_000_000 / 1280, "can the storage keep up"),
        (2_000_000 / 1280, "can the storage keep up"),
        (SECONDS + 2_000_000 / 1280, "the slower of the two"),
        (1e9, "Pictures a second"),
        (90, "Pictures a second"),
    ],
)
def test_seconds(answer, hint):
    found = exercise_2(answer)
    assert found is None if hint is None else hint in found


@pytest.mark.parametrize(
    ("right", "hint"),
    [
        (SECONDS, None),
        (SECONDS - 90, "until everything is up"),
        (90 + 2_000_000 / 1280, "can the storage keep up"),
        (2_000_000 / 1280, "can the storage keep up"),
        (SECONDS + 2_000_000 / 1280, "the slower of the two"),
    ],
)
def test_a_second_more_or_less_is_as_good(right, hint):
    for near in (right - 0.9, right + 0.9):
        found = exercise_2(near)
        assert found is None if hint is None else hint in found
    for far in (right - 1.5, right + 1.5):
        assert "Pictures a second" in exercise_2(far)


def test_the_lessons_plan_gives_the_answer():
    """The function of the lesson, with the numbers of the task."""
    reading, computing = 300 / 0.5, 20 * 16 * 4
    assert exercise_2(90 + 2_000_000 / min(computing, reading)) is None


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (review, None),
        ([], "Expected a function of rows, got list"),
        (lambda rows: None, "Expected a list"),
        (lambda rows: {"z.jpg": 1} if rows else [], "Expected a list"),
        (lambda rows: review(rows) or ["x"], "empty one for no rows"),
        (lambda rows: rows[0]["paths"], "KeyError"),
        (lambda rows: [r["path"] for r in rows if max(r["scores"]) < 0.5], "ValueError"),
        (lambda rows: [r["path"] for r in rows if max(r["scores"], default=0) < 0.5], "nothing was found"),
        (
            lambda rows: [r["path"] for r in rows if r["error"] or min(r["scores"], default=1) < 0.5],
            "best score",
        ),
        (
            lambda rows: [r["path"] for r in rows if r["error"] or max(r["scores"], default=1) <= 0.5],
            "exactly 0.5",
        ),
        (lambda rows: [r["path"] for r in rows if max(r["scores"], default=1) < 0.5], "with an error"),
        (lambda rows: sorted(review(rows)), "keep the order"),
        (lambda rows: review(rows)[1:] + review(rows)[:1], "keep the order"),
        (lambda rows: review(rows)[:-1], "each once"),
        (lambda rows: review(rows) * 2, "each once"),
    ],
)
def test_paths(answer, hint):
    found = exercise_3(answer)
    assert found is None if hint is None else hint in found


def raising(kind):
    """A function that fails in this way."""

    def answer(*_):
        raise kind("for a reason")

    return answer


@pytest.mark.parametrize("kind", [TypeError, ValueError, KeyError, AttributeError, IndexError])
def test_what_a_function_may_fail_with(kind):
    assert f"The function fails: {kind.__name__}: " in exercise_3(raising(kind))


def test_the_rows_are_like_those_of_a_job():
    seen = []
    exercise_3(seen.append)
    box, size = [0.0, 0.0, 9.0, 9.0], {"width": 640, "height": 480}
    texts = {"model": "", "versions": "", "bytes": 1, "modified_ns": 1}
    kinds = {"z.jpg": [0.4, 0.45], "sure.jpg": [0.4, 0.9], "torn.jpg": [], "empty.jpg": []}
    kinds |= {"edge.jpg": [0.5], "a.jpg": [0.49]}
    assert seen[0] == [
        {
            "path": path, "scores": scores, "boxes_xyxy": [box] * len(scores), "class_ids": [0] * len(scores),
            "names": ["RBC"] * len(scores), "error": None, **size, **texts,
        }
        | ({"error": "cut short", "width": None, "height": None} if path == "torn.jpg" else {})
        for path, scores in kinds.items()
    ]  # fmt: skip


def test_the_rows_have_the_columns_of_a_job():
    pytest.importorskip("pyarrow")
    from helpers.scale_parts import schema

    seen = []
    exercise_3(seen.append)
    assert set(seen[0][0]) == set(schema().names)


def test_hints_do_not_give_the_answer_away():
    for wrong in (BYTES // 4, BYTES // 8, BYTES // 3, 0):
        assert str(BYTES) not in exercise_1(wrong)
    for wrong in (0, 2_000_000 / 1280, 1e9):
        assert str(round(SECONDS)) not in exercise_2(wrong)
    assert lesson_09.__all__ == ["exercise_1", "exercise_2", "exercise_3"]
