"""Lesson 08's exercises: right answers pass, wrong ones get a hint, `...` waits."""

import numpy as np
import pytest

from helpers.course import exercises
from helpers.course.exercises import lesson_08


def label(box, size_wh, class_id):
    (x0, y0, x1, y1), (width, height) = box, size_wh
    shares = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height
    return f"{class_id} " + " ".join(f"{share:.4f}" for share in shares)


def corner(box, size_wh, class_id):
    (x0, y0, x1, y1), (width, height) = box, size_wh
    return f"{class_id} {x0 / width} {y0 / height} {(x1 - x0) / width} {(y1 - y0) / height}"


def pixels(box, size_wh, class_id):
    x0, y0, x1, y1 = box
    return f"{class_id} {(x0 + x1) / 2} {(y0 + y1) / 2} {x1 - x0} {y1 - y0}"


def crossed(box, size_wh, class_id):
    return label(box, size_wh[::-1], class_id)


def classless(box, size_wh, class_id):
    return label(box, size_wh, 0)


def curve(right, objects):
    hits = np.cumsum(right)
    return hits / np.arange(1, len(hits) + 1), hits / objects


def ap(right, objects):
    precision, recall = curve(right, objects)
    return float(np.mean([precision[recall >= at].max(initial=0) for at in np.linspace(0, 1, 101)]))


def unlifted(right, objects):
    precision, recall = curve(right, objects)
    grid = np.linspace(0, 1, 101)
    return float(np.mean([precision[np.argmax(recall >= at)] if (recall >= at).any() else 0 for at in grid]))


def of_detections(right, objects):
    return float(curve(right, objects)[0].mean()) if right else 0.0


def reached_only(right, objects):
    precision, recall = curve(right, objects)
    grid = [at for at in np.linspace(0, 1, 101) if (recall >= at).any()]
    return float(np.mean([precision[recall >= at].max() for at in grid])) if grid else 0.0


def check(number, answer, capsys):
    done = exercises.check("08", number, answer)
    return done, capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "answer"),
    [(1, label), (2, 5), (3, ap), (3, lambda right, objects: np.float64(ap(right, objects)))],
)
def test_right(capsys, number, answer):
    assert check(number, answer, capsys) == (True, f"exercise 08.{number}: right\n")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_waiting(capsys, number):
    done, said = check(number, ..., capsys)
    assert not done
    assert "waiting for your answer" in said


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("0 1 1 1 1", "a function"),
        (lambda *_: ..., "Waiting"),
        (lambda *_: [0, 0.1], "a text, got list"),
        (lambda *_: "0 a b c d", "not every word"),
        (lambda *_: "0 0.5", "five numbers, got 2"),
        (corner, "centre, not the corner"),
        (pixels, "shares"),
        (crossed, "x by width"),
        (classless, "the class, 2"),
    ],
)
def test_wrong_label(answer, words):
    assert words in (lesson_08.exercise_1(answer) or "")


def test_the_labels_that_are_tried():
    seen = []

    def answer(*given):
        seen.append(given)
        return label(*given)

    assert lesson_08.exercise_1(answer) is None
    assert seen == [
        ([10, 20, 50, 100], (200, 160), 0),
        ([0, 0, 640, 480], (640, 480), 2),
        ([31, 7, 38, 19], (57, 91), 11),
    ]


@pytest.mark.parametrize(("off", "words"), [(0.0009, None), (0.0015, "something else")])
def test_how_near_is_near_enough(off, words):
    def answer(*given):
        class_id, *shares = label(*given).split()
        return " ".join([class_id, *(str(float(share) - off) for share in shares)])

    found = lesson_08.exercise_1(answer)
    assert found is None if words is None else words in found


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ("1.5 0.5 0.5 0.5", "shares"),
        ("0.5 0.5 0.5 1.5", "shares"),
        ("1 1 1 1", "something else"),
        ("0.5 0.5 0.5 0.5", "something else"),
    ],
)
def test_one_number_above_one_is_no_share(shares, words):
    assert words in lesson_08.exercise_1(lambda *_: f"0 {shares}")


@pytest.mark.parametrize(("off", "right"), [(0.0015, True), (-0.0015, True), (0.003, False), (-0.003, False)])
def test_how_near_an_average_is_near_enough(off, right):
    found = lesson_08.exercise_3(lambda hits, objects: ap(hits, objects) + off)
    assert (found is None) == right


def test_a_class_above_one_is_no_share():
    found = lesson_08.exercise_1(lambda *given: "2 0.9 0.9 0.9 0.9" if given[2] else label(*given))
    assert "something else" in found


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("5", "a whole number"),
        (5.0, "a whole number"),
        (True, "a whole number"),
        (4, "can not"),
        (9, "factor"),
    ],
)
def test_wrong_count(answer, words):
    hint = lesson_08.exercise_2(answer) or ""
    assert words in hint
    assert " 5 " not in hint.replace("factor of 5", "")


def test_the_lists_that_are_tried():
    seen = []

    def answer(right, objects):
        seen.append((right, objects))
        return ap(right, objects)

    assert lesson_08.exercise_3(answer) is None
    yes, no = True, False
    assert seen == [
        ([yes, no, yes, no], 3), ([yes, yes], 2), ([no, yes, yes, no, yes], 4), ([], 3), ([no, no], 1),
    ]  # fmt: skip


def test_nothing_found_has_no_mean():
    found = lesson_08.exercise_3(lambda right, objects: ap(right, objects) if right else 0.5)
    assert "For [] and 3 objects something else" in found


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (0.55, "a function"),
        (lambda *_: ..., "Waiting"),
        (lambda *_: "0.5", "a number, got str"),
        (unlifted, "not lifted"),
        (of_detections, "101 recalls"),
        (reached_only, "counts 0"),
        (lambda right, objects: ap(right, objects + 1), "something else"),
    ],
)
def test_wrong_ap(answer, words):
    assert words in (lesson_08.exercise_3(answer) or "")
