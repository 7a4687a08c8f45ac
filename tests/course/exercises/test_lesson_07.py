"""Lesson 07's exercises: right answers pass, wrong ones get a hint, `...` waits."""

import numpy as np
import pytest

from helpers.course import exercises
from helpers.course.exercises import lesson_07


def quantise(x, low, high):
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    zero = round(-low / scale)
    return np.clip(np.rint(np.asarray(x) / scale) + zero, 0, 255).astype(np.uint8), scale, zero


def in_float(model):
    unpacked = {name for n in model.graph.node if n.op_type == "DequantizeLinear" for name in n.output}
    return [n.name for n in model.graph.node if n.op_type == "Conv" and n.input[1] not in unpacked]


def narrow(x, low, high):
    scale = (high - low) / 255
    zero = round(-low / scale)
    return np.clip(np.rint(np.asarray(x) / scale) + zero, 0, 255).astype(np.uint8), scale, zero


def cutting(x, low, high):
    _, scale, zero = quantise(x, low, high)
    return np.clip(np.floor(np.asarray(x) / scale) + zero, 0, 255).astype(np.uint8), scale, zero


def wrapping(x, low, high):
    _, scale, zero = quantise(x, low, high)
    return (np.rint(np.asarray(x) / scale) + zero).astype(np.int64).astype(np.uint8), scale, zero


def wrapping_above(x, low, high):
    _, scale, zero = quantise(x, low, high)
    steps = np.maximum(np.rint(np.asarray(x) / scale) + zero, 0)
    return steps.astype(np.int64).astype(np.uint8), scale, zero


def in_256(x, low, high):
    _, scale, zero = quantise(x, low, high)
    scale *= 255 / 256
    return np.clip(np.rint(np.asarray(x) / scale) + zero, 0, 255).astype(np.uint8), scale, zero


def uncentred(x, low, high):
    """A zero point between the steps."""
    _, scale, _ = quantise(x, low, high)
    zero = -min(low, 0.0) / scale + 0.3
    return np.clip(np.rint(np.asarray(x) / scale + zero), 0, 255).astype(np.uint8), scale, zero


def off_by_one(x, low, high):
    steps, scale, zero = quantise(x, low, high)
    return steps, scale, min(zero + 1, 255)


def all_convolutions(model):
    return [n.name for n in model.graph.node if n.op_type == "Conv"]


def by_picture(model):
    unpacked = {name for n in model.graph.node if n.op_type == "DequantizeLinear" for name in n.output}
    return [n.name for n in model.graph.node if n.op_type == "Conv" and n.input[0] not in unpacked]


def spoils(model):
    found = in_float(model)
    del model.graph.node[:]
    return found


@pytest.mark.parametrize(("number", "answer"), [(1, quantise), (2, in_float), (3, 64)])
def test_right(capsys, number, answer):
    assert exercises.check("07", number, answer)
    assert capsys.readouterr().out == f"exercise 07.{number}: right\n"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_waiting(capsys, number):
    assert not exercises.check("07", number, ...)
    assert "waiting for your answer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (3, "function"),
        (lambda *_: 0, "three things"),
        (lambda *given: (*quantise(*given), 0), "three things"),
        (lambda *given: (quantise(*given)[0].tolist(), *quantise(*given)[1:]), "array of uint8"),
        (lambda x, low, high: (quantise(x, low, high)[0].astype(int), 1.0, 0), "array of uint8"),
        (lambda x, low, high: (quantise(x, low, high)[0][:3], 1.0, 0), "same shape"),
        (narrow, "does the range contain 0"),
        (uncentred, "whole number"),
        (cutting, "half a step"),
        (wrapping, "cut off"),
        (wrapping_above, "cut off"),
        (in_256, "255 steps"),
        (off_by_one, "0 does not come back"),
    ],
)
def test_wrong_bytes(answer, word):
    hint = lesson_07.exercise_1(answer)
    assert hint
    assert word in hint


def test_the_ranges_and_numbers_that_are_tried():
    seen = []

    def answer(x, low, high):
        seen.append((low, high, x.dtype, len(x), x.min(), x.max(), x[20]))
        return quantise(x, low, high)

    assert lesson_07.exercise_1(answer) is None
    ends = [(-1.0, 4.1, -2.0, 5.1), (0.0, 1.0, -1.0, 2.0), (2.0, 6.0, -1.0, 7.0), (-8.0, -2.0, -9.0, 1.0)]
    assert seen == [
        (low, high, np.float32, 41, np.float32(least), np.float32(most), 0) for low, high, least, most in ends
    ]


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ([], "function"),
        (lambda _: 1, "int"),
        (lambda _: [], "a graph without pairs it says []"),
        (all_convolutions, "only convolution is in bytes"),
        (by_picture, "float weight"),
        (spoils, "has changed"),
    ],
)
def test_wrong_names(answer, word):
    hint = lesson_07.exercise_2(answer)
    assert hint
    assert word in hint


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ("64", "str"),
        (True, "bool"),
        (129, "unsigned"),
        (128, "two are added"),
        (63, "largest"),
        (65, "largest"),
    ],
)
def test_wrong_magnitude(answer, word):
    hint = lesson_07.exercise_3(answer)
    assert hint
    assert word in hint
    assert "64" not in hint
