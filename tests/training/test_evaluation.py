"""Average precision of cases whose answer is known by hand, and suppression box by box."""

from __future__ import annotations

import math

import numpy as np
import pytest

from helpers.detections import Detections
from helpers.training.datasets import Sample
from helpers.training.evaluation import evaluate, score_detections

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
    assert "nan" not in report.to_table()
    assert report.to_table().splitlines()[-2:] == [
        "AP75 -; small -, medium -, large -",
        "precision 0.000, recall -",
    ]


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


def test_average_precision_worked_out_on_paper() -> None:
    """Lesson 08's example: 3 objects, 4 detections, by falling score right, wrong, right, wrong.

    | score | right | found of 3 | precision            |
    |-------|-------|------------|----------------------|
    | 0.9   | yes   | 1          | 1/1                  |
    | 0.8   | no    | 1          | 1/2                  |
    | 0.6   | yes   | 2          | 2/3                  |
    | 0.4   | no    | 2          | 2/4                  |

    Lifted to the best precision at that recall or beyond: 1 up to recall 1/3, 2/3 up to recall 2/3, then 0.
    The 101 recalls 0, 0.01 ... 1: 0 to 0.33 are 34, 0.34 to 0.66 are 33, the other 34 are not reached.
    So AP50 = (34 * 1 + 33 * 2/3 + 34 * 0) / 101 = 56/101 = 0.5545.
    The first box overlaps its object by 1, the third by 0.8 (32 of 40 columns): it is right at 0.50 to 0.80,
    seven of the ten overlaps. At the other three only the first counts: 34/101.
    So AP = (7 * 56 + 3 * 34) / 1010 = 494/1010.
    """
    objects = Detections([[0, 0, 40, 40], [60, 0, 100, 40], [0, 60, 40, 100]], [1, 1, 1], [0, 0, 0])
    boxes = [[0, 0, 40, 40], [2, 0, 42, 40], [60, 0, 92, 40], [70, 70, 110, 110]]
    found = Detections(boxes, [0.9, 0.8, 0.6, 0.4], [0, 0, 0, 0])
    report = score_detections([objects], [found], NAMES, score_threshold=0.5)
    assert report.ap50 == pytest.approx(56 / 101, abs=1e-9)
    assert report.ap75 == pytest.approx(56 / 101, abs=1e-9)
    assert report.ap == pytest.approx(494 / 1010, abs=1e-9)
    assert (report.precision, report.recall) == pytest.approx((2 / 3, 2 / 3))
    assert report.curves["RBC"].ap == pytest.approx(56 / 101, abs=1e-9)


def test_sizes() -> None:
    """Under 32x32 is small, over 96x96 large; 20x20 is found, 40x40 is not, 100x100 is."""
    boxes = [[0, 0, 20, 20], [30, 0, 70, 40], [0, 100, 100, 200]]
    report = score_detections(
        [Detections(boxes, [1, 1, 1], [0, 0, 0])], [Detections(boxes[::2], [0.9, 0.8], [0, 0])], NAMES
    )
    assert [report.ap_small, report.ap_medium, report.ap_large] == pytest.approx([1, 0, 1], abs=1e-9)


def test_classes_apart() -> None:
    """The mean is over the classes that occur; each has its own figure, at the overlap asked for."""
    truth = Detections([[0, 0, 40, 40], [50, 50, 90, 90]], [1, 1], [0, 2])
    found = Detections([[0, 0, 40, 40], [50, 50, 82, 90]], [0.9, 0.9], [0, 2])
    report = score_detections([truth], [found], ["a", "b", "c"])
    assert dict(report.ap_per_class) == pytest.approx({"a": 1.0, "c": 0.7}, abs=1e-9)
    assert dict(report.ap50_per_class) == pytest.approx({"a": 1.0, "c": 1.0}, abs=1e-9)
    assert report.ap == pytest.approx(0.85, abs=1e-9)
    assert list(report.curves) == ["a", "c"]


@pytest.mark.parametrize(
    ("truth", "found", "names", "words"),
    [
        ([], [], NAMES, "one value a picture"),
        ([Detections.empty()], [], NAMES, "got 1 and 0"),
        ([Detections([[0, 0, 9, 9]], [1], [2])], [Detections.empty()], NAMES, "a name for class 2, got 2"),
        ([Detections.empty()], [Detections([[0, 0, 9, 9]], [1], [7])], NAMES, "a name for class 7"),
    ],
)
def test_refused(
    truth: list[Detections], found: list[Detections], names: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        score_detections(truth, found, names)


def test_the_report_keeps_what_it_was_made_of() -> None:
    truth = Detections([[0, 0, 40, 40]], [1], [0])
    found = Detections([[0, 0, 40, 40], [0, 0, 40, 39]], [0.3, 0.9], [1, 0])
    report = score_detections([truth], [found], NAMES)
    assert report.found[0].scores.tolist() == pytest.approx([0.9, 0.3])
    assert report.confusion().counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert report.confusion(0.5).counts.sum() == 1
    assert [each.kind for each in report.mistakes()] == ["confused"]
    assert report.mistakes(0.5) == []
    assert "found" not in repr(report)


def test_precision_counts_what_scores_above_the_threshold() -> None:
    truth = Detections([[0, 0, 40, 40]], [1], [0])
    found = Detections([[0, 0, 40, 40], [50, 50, 90, 90]], [0.9, 0.25], [0, 0])
    assert score_detections([truth], [found], NAMES, 0.25).precision == 1.0
    assert score_detections([truth], [found], NAMES, 0.2).precision == 0.5


def test_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    report = evaluate(lambda _: Detections.empty(), [sample([[0, 0, 50, 50]], [1])], NAMES)
    assert capfd.readouterr() == ("", "")
    assert report.to_table().splitlines()[1] == "WBC             0.0    0.0"


def test_a_crowded_picture_counts_up_to_300_detections() -> None:
    """150 objects, all found: COCO's own limit of 100 a picture would say two thirds."""
    corners = np.array([[10 * (n % 15), 10 * (n // 15)] for n in range(150)], float)
    crowd = Detections(np.hstack([corners, corners + 9]), np.linspace(0.9, 0.3, 150), [0] * 150)
    assert score_detections([crowd], [crowd], NAMES).ap == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(("width", "ap75"), [(31, 1.0), (29, 0.0)])
def test_ap75_is_at_overlap_075(width: int, ap75: float) -> None:
    """Overlaps of 0.775 and 0.725."""
    found, truth = Detections([[0, 0, width, 40]], [0.9], [0]), Detections([[0, 0, 40, 40]], [1], [0])
    report = score_detections([truth], [found], NAMES)
    assert (report.ap50, report.ap75) == pytest.approx((1.0, ap75), abs=1e-9)
