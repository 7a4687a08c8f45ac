"""Parity: the comparer itself, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.detections import Detections
from helpers.parity import BoxParity, Ladder, Tolerance, compare_detections, compare_tensors, reference_nms


def boxes(*rows):
    """Detections from `(x0, score, class)`: boxes 10 by 10 at y 0."""
    return Detections(
        [[x, 0, x + 10, 10] for x, _, _ in rows], [s for _, s, _ in rows], [c for _, _, c in rows]
    )


def test_no_predictions_give_no_rows():
    assert reference_nms(np.zeros((0, 85))).shape == (0, 7)
    assert reference_nms(np.zeros((9, 6))).shape == (0, 7)


# cx, cy, w, h, objectness, class 0, class 1
PREDICTIONS = np.array(
    [
        [10, 10, 10, 10, 0.8, 1.0, 0.0],  # 0.8, class 0
        [11, 10, 10, 10, 0.9, 1.0, 0.0],  # 0.9, class 0, overlaps it by 9/11
        [10, 10, 10, 10, 0.7, 0.0, 1.0],  # 0.7, class 1, in the same place
        [90, 10, 10, 10, 0.6, 0.5, 0.4],  # 0.3, class 0
        [50, 50, 10, 10, 0.5, 1.0, 0.0],  # 0.5, class 0, far off
    ]
)
CASES = [
    ({}, [0.9, 0.7, 0.5]),
    ({"iou_threshold": 0.82}, [0.9, 0.8, 0.7, 0.5]),
    ({"iou_threshold": 0.81}, [0.9, 0.7, 0.5]),
    ({"score_threshold": 0.25}, [0.9, 0.7, 0.5, 0.3]),
    ({"score_threshold": 0.5}, [0.9, 0.7]),
    ({"max_detections": 2}, [0.9, 0.7]),
    ({"class_offset": 0.0}, [0.9, 0.5]),
    ({"class_offset": 640.0}, [0.9, 0.7, 0.5]),
    ({"class_offset": 40.0}, [0.9, 0.7]),
]


@pytest.mark.parametrize(("options", "scores"), CASES, ids=str)
def test_reference_nms_by_hand(options, scores):
    rows = reference_nms(PREDICTIONS, **options)
    np.testing.assert_allclose(rows[:, 6], scores, rtol=1e-6)
    np.testing.assert_array_equal(rows[0, :6], [0, 6, 5, 16, 15, 0])


def test_one_class_scores_by_objectness():
    rows = reference_nms([[5, 5, 4, 4, 0.9, 0.1]])
    np.testing.assert_allclose(rows, [[0, 3, 3, 7, 7, 0, 0.9]], rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 9, 85), (9, 5), (9,)])
def test_reference_nms_takes_one_picture(shape):
    with pytest.raises(ValueError, match=r"predictions: expected \[N, 5 \+ C\]"):
        reference_nms(np.zeros(shape))


def test_tensors():
    assert compare_tensors([], []).max_abs == 0
    same = compare_tensors([[1, np.nan, np.inf]], [[1, np.nan, np.inf]])
    assert (same.max_abs, same.mean_abs) == (0, 0)
    assert "max 0, mean 0" in str(same)
    apart = compare_tensors([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.5, 4.25]])
    assert (apart.max_abs, apart.mean_abs, apart.worst_at) == (0.5, 0.1875, (1, 0))
    assert str(apart) == "[2, 2]: max 0.5 at [1, 0], mean 0.19"
    assert compare_tensors([1.0, np.nan], [1.0, 2.0]).max_abs == np.inf
    with pytest.raises(ValueError, match=r"b: expected shape \[1\], as a has, got \[2\]"):
        compare_tensors([1], [1, 2])


def test_boxes_without_any():
    assert compare_detections(Detections.empty(), Detections.empty()) == BoxParity(0, 0, 0, 1.0, 0.0, 0.0)


def test_boxes_pair_within_their_class():
    a = boxes((0, 0.9, 0), (50, 0.8, 1), (90, 0.5, 0))
    b = boxes((1, 0.875, 0), (50, 0.8, 1), (90, 0.5, 1))
    parity = compare_detections(a, b)
    assert (parity.matched, parity.only_a, parity.only_b) == (2, 1, 1)
    assert parity.worst_iou == pytest.approx(9 / 11)
    assert parity.worst_score_diff == pytest.approx(0.025, abs=1e-6)
    assert parity.worst_corner_px == 1.0
    assert not parity.within(Tolerance(corner_px=5, score=1))


@pytest.mark.parametrize(
    ("parity", "agrees"),
    [
        (BoxParity(3, 0, 0, 1.0, 1e-4, 0.05), True),
        (BoxParity(3, 0, 0, 1.0, 1.1e-4, 0.0), False),
        (BoxParity(3, 0, 0, 1.0, 0.0, 0.051), False),
        (BoxParity(3, 1, 0, 1.0, 0.0, 0.0), False),
        (BoxParity(3, 0, 1, 1.0, 0.0, 0.0), False),
        (BoxParity(3, 1, 1, 1.0, 0.0, 0.0), False),
    ],
)
def test_within(parity, agrees):
    assert parity.within(Tolerance()) is agrees


def test_a_ladder_compares_each_stage_with_the_first():
    ladder = Ladder()
    assert ladder.agrees
    ladder.add("PyTorch", boxes((0, 0.9, 0), (50, 0.8, 1)))
    ladder.add("ONNX", boxes((0.03125, 0.9, 0), (50, 0.8, 1)))
    ladder.add("patched", boxes((0.0625, 0.9, 0), (50, 0.8, 1)), Tolerance(corner_px=0.1))
    assert ladder.agrees
    ladder.add("broken", boxes((0, 0.9, 0)))
    assert not ladder.agrees
    rows = ladder.table().rows
    assert [row[0] for row in rows] == ["PyTorch", "ONNX", "patched", "broken"]
    assert rows[0][-1] == "the reference"
    assert rows[1][2:] == ("2", "<0.1", "0", "0.05 px, 0.0001", "yes")
    assert rows[2][-2:] == ("0.1 px, 0.0001", "yes")
    assert rows[3][-1] == "NO: 1 lost, 0 new"
    assert "NO: 1 lost" in str(ladder)
    assert ladder._repr_html_().count("<tr>") == 5
