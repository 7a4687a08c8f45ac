"""The precision-recall curve, point by point, of a case worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.detections import Detections
from helpers.training.curves import PrecisionRecall, precision_recall
from helpers.training.evaluator import tables

pytest.importorskip("faster_coco_eval")
OBJECTS = Detections([[0, 0, 40, 40], [60, 0, 100, 40], [0, 60, 40, 100]], [1, 1, 1], [1, 1, 1])
BOXES = [[0, 0, 40, 40], [2, 0, 42, 40], [60, 0, 92, 40], [70, 70, 110, 110]]
FOUND = Detections(BOXES, [0.9, 0.8, 0.6, 0.4], [1, 1, 1, 1])


def curve(found: Detections = FOUND, **more: float) -> PrecisionRecall:
    return precision_recall(tables([OBJECTS], [found], 2), 1, "WBC", **more)


def test_nothing_found() -> None:
    empty = curve(Detections.empty())
    assert (empty.ap, empty.highest_recall, empty.best_score) == (0.0, 0.0, 0.0)


def test_a_class_that_does_not_occur_has_no_curve() -> None:
    assert (precision_recall(tables([OBJECTS], [FOUND], 2), 0, "RBC").precision == -1).all()


def test_by_hand() -> None:
    """Right at 0.9 and 0.6, wrong at 0.8 and 0.4: precision 1 to recall 1/3, 2/3 to recall 2/3, then 0."""
    got = curve()
    assert got.recall == pytest.approx(np.arange(101) / 100)
    assert got.precision == pytest.approx([1] * 34 + [2 / 3] * 33 + [0] * 34, abs=1e-9)
    assert got.scores == pytest.approx([0.9] * 34 + [0.6] * 33 + [0] * 34, abs=1e-6)
    assert (got.name, got.ap, got.highest_recall) == ("WBC", pytest.approx(56 / 101), pytest.approx(0.66))


def test_a_stricter_overlap() -> None:
    """The third box overlaps by 0.8 and is wrong at 0.85."""
    assert curve(iou=0.8).ap == pytest.approx(56 / 101)
    assert curve(iou=0.85).ap == pytest.approx(34 / 101)


def test_the_best_score_balances_precision_and_recall() -> None:
    """F1 is 2*1*0.33/1.33 = 0.50 at score 0.9 and 2*(2/3)*0.66/(1.327) = 0.66 at score 0.6."""
    assert curve().best_score == pytest.approx(0.6)
    assert curve(FOUND[[0, 1]]).best_score == pytest.approx(0.9)
