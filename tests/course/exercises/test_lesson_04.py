"""Lesson 04's exercises: right answers pass, wrong ones get a hint, `...` waits."""

import numpy as np
import onnx
import pytest
from onnx import helper

from helpers.course import exercises
from helpers.course.exercises import lesson_04

INT64 = onnx.TensorProto.INT64


def add_count(
    model, *, column=4, kind=INT64, keepdims=0, name="count", in_place=False, valid=True, change=False,
    declared=None,
):  # fmt: skip
    """The right answer; every argument makes it wrong in one way."""
    edited = model if in_place else onnx.ModelProto()
    if not in_place:
        edited.CopyFrom(model)
    constants = {"c/column": np.array(column), "c/zero": np.float32(0), "c/axes": np.array([1])}
    edited.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array(v), n) for n, v in constants.items() if n != "c/zero" or valid
    )
    table = model.graph.output[0].name
    if change:
        edited.graph.node.append(helper.make_node("Neg", [table], ["negative"]))
        edited.graph.output[0].name = "negative"
    edited.graph.node.extend([
        helper.make_node("Gather", [table, "c/column"], ["c/scores"], axis=2),
        helper.make_node("Greater", ["c/scores", "c/zero"], ["c/filled"]),
        helper.make_node("Cast", ["c/filled"], ["c/ones"], to=kind),
        helper.make_node("ReduceSum", ["c/ones", "c/axes"], [name], keepdims=keepdims),
    ])  # fmt: skip
    shape = declared or ([1, 1] if keepdims else [1])
    edited.graph.output.append(helper.make_tensor_value_info(name, kind, shape))
    return edited


def always_hundred(model):
    edited = onnx.ModelProto()
    edited.CopyFrom(model)
    edited.graph.initializer.append(onnx.numpy_helper.from_array(np.array([100]), "hundred"))
    edited.graph.node.append(helper.make_node("Identity", ["hundred"], ["count"]))
    edited.graph.output.append(helper.make_tensor_value_info("count", INT64, [1]))
    return edited


RIGHT = [
    (1, [5, 4, 0, 1, 2, 3]),
    (1, (5, 4, 0, 1, 2, 3)),
    (1, np.array([5, 4, 0, 1, 2, 3])),
    (1, [-1, -2, 0, 1, 2, 3]),
    (1, [-1, -2, -6, -5, -4, -3]),
    (2, 100),
    (3, add_count),
]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_right(capsys, number, answer):
    assert exercises.check("04", number, answer)
    assert capsys.readouterr().out == f"exercise 04.{number}: right\n"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_waiting(capsys, number):
    assert not exercises.check("04", number, ...)
    assert "waiting for your answer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ("540123", "list"),
        (None, "list"),
        ([5, 4, 0, 1, 2], "six"),
        ([5.0, 4, 0, 1, 2, 3], "whole"),
        ([6, 5, 0, 1, 2, 3], "does not exist"),
        ([2, 3, 4, 5, 1, 0], "taken from"),
        ([0, 1, 2, 3, 5, 4], "x0, y0, x1, y1, class, score"),
        ([4, 5, 0, 1, 2, 3], "score, class"),
    ],
)
def test_wrong_columns(answer, word):
    hint = lesson_04.exercise_1(answer)
    assert hint
    assert word in hint
    assert "5, 4, 0, 1, 2, 3" not in hint


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (0, "reports with zeros"),
        *((each, "which rows pass") for each in (-1, 1, 99, 300)),
        *((each, "whole number") for each in ("100", 100.0, True, None)),
    ],
)
def test_wrong_count_of_boxes(answer, word):
    hint = lesson_04.exercise_2(answer)
    assert word in hint
    assert "100" not in hint


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (5, "function"),
        (lambda _: None, "NoneType"),
        (lambda model: model, "1 output;"),
        (lambda model: add_count(model, name="number"), "called count"),
        (lambda model: add_count(model, in_place=True), "copy"),
        (lambda model: add_count(model, valid=False), "does not work"),
        (lambda model: add_count(model, keepdims=1), "shape [1, 1]"),
        (lambda model: add_count(model, declared=[3]), "does not work"),
        (lambda model: add_count(model, kind=onnx.TensorProto.INT32), "int32"),
        (lambda model: add_count(model, column=5), "it says"),
        (lambda model: add_count(model, change=True), "first output"),
        (always_hundred, "With 0 detections and 100 slots it says 100"),
    ],
)
def test_wrong_edits(answer, word):
    hint = lesson_04.exercise_3(answer)
    assert hint
    assert word in hint


def test_both_graphs_are_tried():
    seen = []

    def only_the_first(model):
        slots = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
        seen.append((model.opset_import[0].version, slots))
        return add_count(model) if len(seen) == 1 else always_hundred(model)

    assert "With 0 detections and 7 slots it says 100" in lesson_04.exercise_3(only_the_first)
    assert seen == [(18, 100), (17, 7)]


def test_from_no_detections_to_more_than_there_are_slots(monkeypatch):
    seen = []
    monkeypatch.setattr(lesson_04, "_count_of", lambda _, slots, filled: seen.append((slots, filled)))
    assert lesson_04.exercise_3(add_count) is None
    expected = [(100, filled) for filled in (0, 1, 99, 100, 140)]
    assert seen == expected + [(7, filled) for filled in (0, 1, 6, 7, 47)]


class Session:
    """Hands out what it is told to, and remembers what it was given."""

    def __init__(self, table, count):
        self.table, self.count = table, count

    def run(self, _, feeds):
        self.rows = feeds["rows"]
        return self.table, self.count


@pytest.mark.parametrize("shape", [(1, 6, 6), (1, 5, 7)])
def test_a_table_of_another_shape(shape):
    table = np.zeros(shape, np.float32)
    table[0, :3, 4] = 0.5
    assert "first output" in lesson_04._count_of(Session(table, np.array([3])), 5, 3)


def test_only_scores_tell_that_a_slot_is_filled():
    table = np.zeros((1, 5, 6), np.float32)
    table[0, :3, 4] = 0.5
    session = Session(table, np.array([3]))
    assert lesson_04._count_of(session, 5, 3) is None
    assert not session.rows[:, :6].any()
    np.testing.assert_allclose(session.rows[:, 6], [0.02, 0.5, 0.98], rtol=1e-6)


def test_what_the_readers_function_raises_reaches_the_reader():
    with pytest.raises(ZeroDivisionError):
        lesson_04.exercise_3(lambda _: 1 / 0)
