"""Lesson 01's exercises: what is right passes, what is wrong gets a hint that does not give it away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.course import exercises
from helpers.course.exercises import lesson_01
from helpers.family import VARIANTS

BASE = VARIANTS["yolov7"]


def folded(dense, point):
    kernel = dense.clone()
    kernel[:, :, 1, 1] += point[:, :, 0, 0] + torch.eye(len(dense))
    return kernel


def padded(dense, point):
    identity = torch.eye(len(dense))[:, :, None, None]
    return dense + torch.nn.functional.pad(point + identity, (1, 1, 1, 1))


def without_identity(dense, point):
    return dense + torch.nn.functional.pad(point, (1, 1, 1, 1))


def to_every_channel(dense, point):
    return dense + torch.nn.functional.pad(point + 1, (1, 1, 1, 1))


def twice(dense, point):
    return folded(dense, 2 * point)


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (1, 100 * (1 - 97.2 / 115.8)),
        (1, 16.1),
        (1, np.float64(16.06)),
        (2, replace(BASE, depth=2, width=0.75)),
        (2, replace(BASE, width=0.75)),
        (2, replace(VARIANTS["yolov7x"], depth=2, width=0.75)),
        (3, folded),
        (3, padded),
    ],
)
def test_right(number, answer, capsys):
    assert exercises.check("01", number, answer)
    assert capsys.readouterr().out == f"exercise 01.{number}: right\n"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_waiting(number, capsys):
    assert not exercises.check("01", number, ...)
    assert "waiting for your answer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ("16.1", "a number"),
        (True, "a number"),
        (0.1606, "in per cent"),
        (-16.06, "the sign"),
        (19.14, "the base"),
        (18.6, "in millions"),
        (83.94, "what is left"),
        (50, "The difference"),
    ],
)
def test_wrong_percentage(answer, word):
    hint = lesson_01.exercise_1(answer)
    assert hint is not None
    assert word in hint
    assert "16" not in hint


@pytest.mark.parametrize(
    ("right", "word", "off"),
    [
        (16.062, None, 0.06),
        (0.16062, "in per cent", 0.0006),
        (-16.062, "the sign", 0.06),
        (19.136, "the base", 0.06),
        (18.6, "in millions", 0.06),
        (83.938, "what is left", 0.06),
    ],
)
def test_how_near_is_near_enough(right, word, off):
    """A figure with one decimal is right, a figure further off is something else."""
    for near in (right - 0.9 * off, right + 0.9 * off):
        hint = lesson_01.exercise_1(near)
        assert hint is None if word is None else word in hint
    for far in (right - 1.2 * off, right + 1.2 * off):
        assert "The difference of the two" in lesson_01.exercise_1(far)


@pytest.mark.parametrize(
    ("millions", "word"), [(19.9, "too few"), (20.0, ""), (30.0, ""), (30.1, "too many")]
)
def test_the_bounds(monkeypatch, millions, word):
    monkeypatch.setattr(lesson_01, "_millions", lambda _: millions)
    assert word in (lesson_01.exercise_2(BASE) or "")
    assert bool(lesson_01.exercise_2(BASE)) == bool(word)


def test_parameters_are_those_of_eighty_classes():
    assert lesson_01._millions(BASE) == pytest.approx(36.905, abs=0.001)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (BASE.name, "a Variant"),
        (BASE, "too many"),
        (VARIANTS["yolov7-tiny"], "too few"),
        (replace(BASE, width=0.001), "cannot be built"),
        (replace(BASE, levels=((128, 128),)), "cannot be built"),
        (replace(BASE, anchors_px=()), "cannot be built"),
        (replace(BASE, levels=()), "cannot be built"),
    ],
)
def test_wrong_variant(answer, word):
    assert word in (lesson_01.exercise_2(answer) or "")


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (torch.zeros(1), "a function"),
        (lambda *_: ..., "Waiting"),
        (lambda *_: 3, "a tensor"),
        (lambda _, point: point, "of shape"),
        (lambda dense, _: dense, "3x3 alone"),
        (without_identity, "identity is missing"),
        (to_every_channel, "not to all the others"),
        (lambda dense, point: dense + point, "no neighbours"),
        (twice, "centre is not right"),
    ],
)
def test_wrong_kernel(answer, word):
    assert word in (lesson_01.exercise_3(answer) or "")


def test_a_function_may_change_what_it_is_given():
    def in_place(dense, point):
        dense[:, :, 1, 1] += point[:, :, 0, 0] + torch.eye(len(dense))
        return dense

    assert lesson_01.exercise_3(in_place) is None
