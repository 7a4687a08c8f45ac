"""Average precision of cases whose answer is known by hand, and suppression box by box."""

from __future__ import annotations

import math

import numpy as np
import pytest

from helpers.detections import Detections
from helpers.training.datasets import Sample
from helpers.training.evaluation import evaluate

pytest.importorskip("faster_coco_eval")
NAMES = ("RBC", "WBC")


def sample(boxes: list[list[float]], class_ids: list[int], number: int = 0) -> Sample:
    return Sample.of(np.full((100, 120, 3), number, np.uint8), boxes, class_ids)


def answers(*found: Detections):
    return lambda image: found[int(image[0, 0, 0])]


def test_no_pictures() -> None:
    with pytest.raises(ValueError, match="annotations: expected at least one picture"):
        evaluate(lambda _: Detections.empty(), [], NAMES)


def test_nothing_found() -> None:
    report = evaluate(lambda _: Detections.empty(), [sample([[0, 0, 50, 50]], [1])], NAMES)
    assert (report.ap, report.ap50, report.recall) == (0.0, 0.0, 0.0)
    assert math.isnan(report.precision)
    assert dict(report.ap_per_class) == {"WBC": 0.0}


def test_nothing_to_find() -> None:
    report = evaluate(lambda _: Detections([[0, 0, 9, 9]], [0.9], [0]), [sample([], [])], NAMES)
    assert math.isnan(report.ap)
    assert (report.precision, report.objects) == (0.0, 0)
    assert math.isnan(report.recall)


def test_perfect() -> None:
    boxes = [[0, 0, 20, 20], [30, 30, 80, 80]]
    report = evaluate(lambda _: Detections(boxes, [0.9, 0.8], [0, 1]), [sample(boxes, [0, 1])], NAMES)
    assert [
        round(v, 9) for v in (report.ap, report.ap50, report.ap75, report.ap_small, report.ap_medium)
    ] == [1.0] * 5
    assert math.isnan(report.ap_large)
    assert (report.precision, report.recall) == (1.0, 1.0)


def test_by_hand() -> None:
    """Two objects; found in order of score: hit, miss, hit. Precision 1 up to recall 0.5, then 2/3.

    The 101 recalls asked for are 0, 0.01 ... 1: 51 of them reach 0.5 at precision 1, 50 are at 2/3.
    """
    truth = [sample([[0, 0, 40, 40]], [0], 0), sample([[50, 50, 90, 90]], [0], 1)]
    found = (
        Detections([[0, 0, 40, 40], [70, 0, 110, 40]], [0.9, 0.8], [0, 0]),
        Detections([[50, 50, 90, 90]], [0.1], [0]),
    )
    report = evaluate(answers(*found), truth, NAMES)
    assert report.ap50 == pytest.approx((51 + 50 * 2 / 3) / 101, abs=1e-6)
    assert report.ap == pytest.approx(report.ap50, abs=1e-6)
    assert (report.precision, report.recall) == (0.5, 0.5)  # the third scores below 0.25
    assert (report.pictures, report.objects) == (2, 2)


@pytest.mark.parametrize(
    ("width", "overlaps_reached"), [(40, 10), (36, 9), (31, 6), (26, 4), (20, 1), (19, 0)]
)
def test_overlap_thresholds(width: int, overlaps_reached: int) -> None:
    """A box `width`/40 as wide as its object has exactly that overlap; IoU equal to a threshold counts."""
    report = evaluate(
        lambda _: Detections([[0, 0, width, 40]], [0.9], [0]), [sample([[0, 0, 40, 40]], [0])], NAMES
    )
    assert report.ap == pytest.approx(overlaps_reached / 10, abs=1e-6)


def test_the_wrong_class_is_a_miss() -> None:
    box = [[0, 0, 40, 40]]
    report = evaluate(lambda _: Detections(box, [0.9], [1]), [sample(box, [0])], NAMES)
    assert (report.ap50, report.precision, report.recall) == (0.0, 0.0, 0.0)


def test_a_second_box_on_one_object_is_a_miss() -> None:
    found = Detections([[0, 0, 40, 40], [0, 0, 40, 39]], [0.9, 0.8], [0, 0])
    report = evaluate(lambda _: found, [sample([[0, 0, 40, 40]], [0])], NAMES)
    assert (report.precision, report.recall) == (0.5, 1.0)


def test_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    report = evaluate(lambda _: Detections.empty(), [sample([[0, 0, 50, 50]], [1])], NAMES)
    assert capfd.readouterr() == ("", "")
    assert report.to_table().splitlines()[1] == "WBC             0.0    0.0"
