"""Lesson 05's exercises: right answers pass, wrong ones get a hint, `...` waits."""

import json

import onnx
import pytest

from helpers.course import exercises
from helpers.course.exercises import lesson_05

HALF = onnx.TensorProto.FLOAT16


def read_engine(data):
    length = int.from_bytes(data[:4], "little")
    if 0 < length <= len(data) - 4:
        try:
            return json.loads(data[4 : 4 + length]), data[4 + length :]
        except ValueError:
            pass
    return {}, data


def in_half(model):
    known = onnx.shape_inference.infer_shapes(model).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*known.value_info, *known.output)}
    return sum(node.op_type == "Conv" and kinds[node.output[0]] == HALF for node in model.graph.node)


def big_endian(data):
    length = int.from_bytes(data[:4], "big")
    return (json.loads(data[4 : 4 + length]), data[4 + length :]) if length < 1000 else ({}, data)


def first_byte(data):
    return json.loads(data[4 : 4 + data[0]]), data[4 + data[0] :]


def plan_without_length(data):
    header, plan = read_engine(data)
    return header, plan[4:] if not header else plan


def half_weights(model):
    return sum(tensor.data_type == HALF for tensor in model.graph.initializer)


def small_inputs(model):
    return sum(node.op_type == "Conv" and node.input[1] == "small" for node in model.graph.node)


def spoils(model):
    found = in_half(model)
    del model.graph.node[:]
    return found


@pytest.mark.parametrize(("number", "answer"), [(1, 11), (2, read_engine), (3, in_half)])
def test_right(capsys, number, answer):
    assert exercises.check("05", number, answer)
    assert capsys.readouterr().out == f"exercise 05.{number}: right\n"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_waiting(capsys, number):
    assert not exercises.check("05", number, ...)
    assert "waiting for your answer" in capsys.readouterr().out


def test_classes_are_640_apart_and_a_step_of_4_is_fine():
    assert (lesson_05._OFFSET, lesson_05._STEP) == (640, 4)


@pytest.mark.parametrize(
    ("answer", "word"),
    [("11", "str"), (11.0, "float"), (True, "bool"), (12, "last ones"), (79, "largest x"), (0, "largest x")],
)
def test_wrong_class(answer, word):
    hint = lesson_05.exercise_1(answer)
    assert hint
    assert word in hint
    assert "11" not in hint


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ({}, "function"),
        (lambda _: None, "NoneType"),
        (lambda data: [{}, data], "list"),
        (lambda data: ({}, data, 0), "two things"),
        (lambda data: ({}, data), "the header that comes back"),
        (lambda data: (read_engine(data)[0], data), "the plan that comes back"),
        (lambda data: (read_engine(data)[0], bytearray(read_engine(data)[1])), "the plan that comes back"),
        (big_endian, "the header that comes back"),
        (plan_without_length, "With a plan and no header"),
    ],
)
def test_wrong_readers(answer, word):
    hint = lesson_05.exercise_2(answer)
    assert hint
    assert word in hint


HEADER = {"names": {"0": "Zelle", "1": "Plättchen"}, "stride": 32, "args": {"nms": True}}
LONG = HEADER | {"names": {str(number): f"class {number}" for number in range(80)}}
SMALL = b"\x08\x00\x00\x00" + b"\xff\xfe\xfd" * 9


def test_the_engines_that_are_read():
    cases = lesson_05._engines()
    assert [(header, plan) for _, _, header, plan in cases] == [
        (HEADER, b"ftrt\x00plan"), (LONG, b"ftrt\x00plan"), (HEADER, b"\xff\x00"), ({}, b"ftrt" + bytes(60)),
        ({}, SMALL), ({}, b""),
    ]  # fmt: skip
    assert ["Plättchen".encode() in data for _, data, _, _ in cases] == [False, False, True, *[False] * 3]


def test_what_the_readers_function_raises_reaches_the_reader():
    with pytest.raises(json.JSONDecodeError):
        lesson_05.exercise_2(first_byte)
    with pytest.raises(ZeroDivisionError):
        lesson_05.exercise_3(lambda _: 1 / 0)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (3, "function"),
        (lambda _: None, "NoneType"),
        (lambda _: 1, "On an FP32 graph it says 1"),
        (half_weights, "it says 1"),
        (small_inputs, "two convolutions in FP16"),
        (spoils, "has changed"),
    ],
)
def test_wrong_counts(answer, word):
    hint = lesson_05.exercise_3(answer)
    assert hint
    assert word in hint
