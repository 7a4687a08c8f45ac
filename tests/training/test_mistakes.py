"""Each kind of mistake, at and beside its limits."""

from __future__ import annotations

import pytest
from random_boxes import pictures

from helpers.detections import Detections
from helpers.training.evaluator import match_pairs
from helpers.training.mistakes import KINDS, Mistake, count_mistakes, find_mistakes

pytest.importorskip("faster_coco_eval")
CELL = Detections([[0, 0, 10, 10]], [1], [0])


def found(*rows: tuple[list[float], int, float]) -> Detections:
    return Detections([box for box, *_ in rows], [score for *_, score in rows], [c for _, c, _ in rows])


@pytest.mark.parametrize(
    ("boxes", "kinds"),
    [
        ([], ["missed"]),
        ([([0, 0, 10, 10], 0, 0.9)], []),
        ([([0, 0, 10, 10], 0, 0.25)], ["missed"]),  # no more than the threshold
        ([([0, 0, 10, 5], 0, 0.9)], []),  # overlap 0.5 is enough
        ([([0, 0, 10, 4.9], 0, 0.9)], ["loose"]),
        ([([0, 0, 10, 1], 0, 0.9)], ["loose"]),  # overlap 0.1
        ([([0, 0, 10, 0.9], 0, 0.9)], ["background", "missed"]),
        ([([0, 0, 10, 10], 0, 0.9), ([0, 0, 10, 9], 0, 0.8)], ["doubled"]),
        ([([0, 0, 10, 10], 0, 0.9), ([0, 0, 10, 5], 0, 0.8)], ["doubled"]),
        ([([0, 0, 10, 10], 0, 0.9), ([0, 0, 10, 4], 0, 0.8)], ["loose"]),
        ([([0, 0, 10, 10], 1, 0.9)], ["confused"]),
        ([([0, 0, 10, 5], 1, 0.9)], ["confused"]),
        ([([0, 0, 10, 4], 1, 0.9)], ["background", "missed"]),
        ([([0, 0, 10, 10], 1, 0.9), ([0, 0, 10, 10], 0, 0.8)], ["confused"]),  # found all the same
        ([([50, 50, 60, 60], 0, 0.9), ([0, 0, 10, 10], 0, 0.8)], ["background"]),
    ],
)
def test_kinds(boxes: list[tuple[list[float], int, float]], kinds: list[str]) -> None:
    assert [each.kind for each in find_mistakes([CELL], [found(*boxes)])] == kinds


def test_no_pictures_and_nothing_in_them() -> None:
    nothing = Detections.empty()
    assert find_mistakes([], []) == find_mistakes([nothing], [nothing]) == []
    assert [each.kind for each in find_mistakes([nothing], [CELL])] == ["background"]


def test_what_a_mistake_knows() -> None:
    truth = Detections([[0, 0, 10, 10], [50, 50, 60, 60]], [1, 1], [0, 1])
    boxes = found(([50, 50, 60, 58], 0, 0.75), ([0, 0, 4, 10], 0, 0.5))
    confused, loose, *rest = find_mistakes([CELL, truth], [CELL, boxes])
    assert confused == Mistake("confused", 1, (50, 50, 60, 58), 0, 0.75, 1, pytest.approx(0.8))
    assert loose == Mistake("loose", 1, (0, 0, 4, 10), 0, 0.5, 0, pytest.approx(0.4))
    assert rest == []


def test_a_missed_object() -> None:
    truth = Detections([[0, 0, 10, 10], [50, 50, 60, 60]], [1, 1], [0, 1])
    (missed,) = find_mistakes([truth], [CELL])
    assert missed == Mistake("missed", 0, (50, 50, 60, 60), 1, 0.0, 1, 0.0)


def test_limits_can_be_changed() -> None:
    near = found(([0, 0, 10, 7], 0, 0.9))
    assert find_mistakes([CELL], [near], iou_threshold=0.7) == []
    assert [m.kind for m in find_mistakes([CELL], [near], iou_threshold=0.75)] == ["loose"]
    limits = {"iou_threshold": 0.9, "loose_threshold": 0.75}
    assert [m.kind for m in find_mistakes([CELL], [near], **limits)] == ["background", "missed"]


def test_right_and_wrong_are_all_there_is() -> None:
    truth, boxes = pictures(7)
    mistakes = find_mistakes(truth, boxes, score_threshold=0.3)
    kept = [each.above(0.3) for each in boxes]
    right = sum(len(pairs) for pairs in match_pairs(truth, kept))
    counts = count_mistakes(mistakes)
    assert tuple(counts) == KINDS
    assert min(counts.values()) > 0
    assert right + sum(counts.values()) - counts["missed"] == sum(len(each) for each in kept)
    assert counts["missed"] <= sum(len(each) for each in truth) - right
