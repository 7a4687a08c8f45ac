"""Lesson 06's exercises: right answers pass, wrong ones get a hint, `...` waits."""

import numpy as np
import pytest

from helpers.course import exercises
from helpers.course.exercises import lesson_06
from helpers.detections import Detections
from helpers.images import letterbox

COUNTS = {"smear-9010": 7, "smear-9011": 12, "smear-9012": 12}


def parts(picture_wh, size_wh):
    picture, size = np.array(picture_wh), np.array(size_wh)
    scale = (size / picture).min()
    return scale, np.tile((size - picture * scale) / 2, 2), np.tile(picture, 2)


def right(rows, picture_wh, size_wh):
    scale, grey, limits = parts(picture_wh, size_wh)
    return ((rows[rows[:, 4] > 0, :4] - grey) / scale).clip(0, limits)


def padded(rows, picture_wh, size_wh):
    scale, grey, limits = parts(picture_wh, size_wh)
    return ((rows[:, :4] - grey) / scale).clip(0, limits)


def unclipped(rows, picture_wh, size_wh):
    scale, grey, _ = parts(picture_wh, size_wh)
    return (rows[rows[:, 4] > 0, :4] - grey) / scale


def grey_kept(rows, picture_wh, size_wh):
    scale, _, limits = parts(picture_wh, size_wh)
    return (rows[rows[:, 4] > 0, :4] / scale).clip(0, limits)


def grey_unscaled(rows, picture_wh, size_wh):
    scale, grey, limits = parts(picture_wh, size_wh)
    return (rows[rows[:, 4] > 0, :4] / scale - grey).clip(0, limits)


def check(number, answer, capsys):
    done = exercises.check("06", number, answer)
    return done, capsys.readouterr().out


@pytest.fixture
def _counts(monkeypatch):
    monkeypatch.setattr(lesson_06, "_counts", lambda: COUNTS)


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (1, (500, 290)),
        (1, [500.4, 289.6]),
        (1, np.array([500.0, 290.0])),
        (2, "smear-9011"),
        (2, "smear-9012"),
        (3, right),
        (3, lambda rows, picture_wh, size_wh: right(rows, picture_wh, size_wh).tolist()),
    ],
)
@pytest.mark.usefixtures("_counts")
def test_right(capsys, number, answer):
    assert check(number, answer, capsys) == (True, f"exercise 06.{number}: right\n")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_waiting(capsys, number):
    done, said = check(number, ..., capsys)
    assert not done
    assert "waiting for your answer" in said


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (290, "a pair"),
        ("500, 290", "a pair"),
        ((500,), "two numbers"),
        ((500, 290, 1), "two numbers"),
        (("500", "290"), "two numbers"),
        ([500, None], "two numbers"),
        ((290, 500), "x comes first"),
        ((500, 150), "how much grey"),
        ((500, 267), "For y"),
        ((1000, 300), "One scale"),
    ],
)
def test_wrong_point(answer, word):
    hint = lesson_06.exercise_1(answer)
    assert hint is not None
    assert word in hint
    assert "290" not in hint


@pytest.mark.parametrize(
    ("point", "word"),
    [((500, 290), None), ((290, 500), "x comes first"), ((500, 150), "how much grey"), ((500, 9), "For y")],
)
def test_a_pixel_more_or_less_is_as_good(point, word):
    for near in ((0.9, 0.9), (-0.9, 0.9), (0.9, -0.9), (-0.9, -0.9)):
        hint = lesson_06.exercise_1(np.array(point) + near)
        assert hint is None if word is None else word in hint
    for far in ((1.2, 0), (-1.2, 0)):
        hint = lesson_06.exercise_1(np.array(point) + far)
        assert "One scale" in hint
    for far in ((0, 1.2), (0, -1.2)):
        hint = lesson_06.exercise_1(np.array(point) + far)
        assert ("One scale" if point[0] == 290 else "For y") in hint


@pytest.mark.parametrize(
    ("answer", "word"), [(11, "a name"), ("smear-1", "one of"), ("smear-9010", "Another has more")]
)
@pytest.mark.usefixtures("_counts")
def test_wrong_name(answer, word):
    assert word in (lesson_06.exercise_2(answer) or "")


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (right(np.zeros((0, 6)), (9, 9), (9, 9)), "a function"),
        (lambda *_: ..., "Waiting"),
        (padded, "score is 0"),
        (lambda *_: None, "expected shape [3, 4], got []."),
        (lambda rows, *given: right(rows, *given) if rows[:, 4].any() else [7], "[0, 4], got [1]."),
        (lambda *given: right(*given) + 2, "somewhere else"),
        (unclipped, "reaches beyond"),
        (grey_kept, "subtract the grey before"),
        (grey_unscaled, "somewhere else"),
        (lambda rows, *_: rows[rows[:, 4] > 0, :4], "reaches beyond"),
    ],
)
def test_wrong_way_back(answer, word):
    assert word in (lesson_06.exercise_3(answer) or "")


@pytest.mark.parametrize("answer", [lambda *_: None, lambda *_: np.zeros((3, 5)), lambda *_: np.zeros(100)])
def test_padding_is_named_only_where_it_is_there(answer):
    assert "Drop the rows" not in lesson_06.exercise_3(answer)


def test_a_pixel_in_a_box_is_as_good():
    assert lesson_06.exercise_3(lambda *given: right(*given) - 1.2) is None


@pytest.mark.parametrize("count", [0, 1, 4])
def test_the_rows_of_a_case(count):
    box = letterbox(np.zeros((720, 1280, 3), np.uint8), (640, 640))
    boxes, rows = lesson_06._case((1280, 720), count, box)
    starts = np.array([0.1, 0.3, 0.5, 0.7][:count])[:, None]
    beyond = starts * [1280, 720, 1280, 720] + [0, 0, 256, 180]
    beyond[-1:, 2:] = [1289, 727]
    np.testing.assert_allclose(boxes, beyond.clip(0, [1280, 720, 1280, 720]))
    np.testing.assert_allclose(rows[:count, :4], beyond / 2 + [0, 140, 0, 140], rtol=1e-6)
    scores = {0: [], 1: [0.9], 4: [0.9, 11 / 15, 17 / 30, 0.4]}[count]
    np.testing.assert_allclose(rows[:count, 4], scores, rtol=1e-6)
    assert (rows.shape, rows.dtype) == ((100, 6), np.float32)
    assert not rows[count:].any()


def test_an_empty_table_may_have_any_empty_form():
    def listed(rows, picture_wh, size_wh):
        return [] if not rows[:, 4].any() else right(rows, picture_wh, size_wh)

    assert lesson_06.exercise_3(listed) is None


def test_what_a_function_is_tried_on():
    seen = []

    def answer(rows, picture_wh, size_wh):
        scores = rows[rows[:, 4] > 0, 4]
        seen.append((picture_wh, size_wh, rows.shape, scores.astype(float).round(2).tolist()))
        return right(rows, picture_wh, size_wh)

    assert lesson_06.exercise_3(answer) is None
    square, table = (640, 640), (100, 6)
    assert seen == [
        ((640, 640), square, table, [0.9, 0.65, 0.4]),
        ((1280, 720), square, table, [0.9, 0.73, 0.57, 0.4]),
        ((300, 800), square, table, [0.9, 0.4]),
        ((500, 400), square, table, []),
    ]


def test_the_model_counts_the_smears(monkeypatch):
    above, limits = Detections.above, set()
    monkeypatch.setattr(Detections, "above", lambda self, score: limits.add(score) or above(self, score))
    counts = lesson_06._counts()
    assert 0.5 in limits
    assert list(counts) == [f"smear-{seed}" for seed in range(9010, 9016)]
    assert lesson_06.exercise_2(max(counts, key=counts.get)) is None
