"""The one currency: validation, order, overlap, matching."""

import dataclasses

import numpy as np
import pytest

from helpers.detections import Detections, class_name, iou_matrix, match

NAMES = ("RBC", "WBC", "Platelets")


def some(*rows):
    return Detections.from_rows(np.array(rows, np.float64).reshape(-1, 6))


THREE = some((0, 0, 10, 10, 0.5, 1), (5, 5, 9, 9, 0.9, 0), (20, 30, 60, 40, 0.5, 0))


def test_empty():
    for nothing in (Detections.empty(), Detections([], [], []), some(), some((1, 2, 3, 4, 0, 0))):
        assert len(nothing) == 0
        assert nothing == Detections.empty()
        assert (nothing.boxes_xyxy.shape, nothing.scores.shape, nothing.class_ids.shape) == (
            (0, 4),
            (0,),
            (0,),
        )
        assert nothing.to_rows().shape == (0, 6)
        assert nothing.sorted() == nothing.above(0.5) == nothing.clipped((4, 4)) == nothing[:3] == nothing
        assert nothing.summary(NAMES) == "nothing found"
        assert nothing.to_table().split() == ["class", "score", "x0", "y0", "x1", "y1"]
        assert iou_matrix(nothing.boxes_xyxy, THREE.boxes_xyxy).shape == (0, 3)
        assert match(nothing, THREE) == match(THREE, nothing) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 2, 3]], [1], [1]), r"boxes_xyxy: expected shape \[n, 4\], got \[1, 3\]"),
        (([1, 2, 3, 4], [1], [1]), r"boxes_xyxy: expected shape \[n, 4\], got \[4\]"),
        (([[1, 2, 3, 4]], [1, 2], [1]), r"scores: expected shape \[1\].*got \[2\]"),
        (([[1, 2, 3, 4]], [[1]], [1]), r"scores: expected shape \[1\].*got \[1, 1\]"),
        (([[1, 2, 3, 4]], [1], []), r"class_ids: expected shape \[1\].*got \[0\]"),
        (([[1, 2, 3, 4], [1, 2, np.nan, 4]], [1, 1], [1, 1]), "finite values, got .*nan.* at row 1"),
        (([[1, 2, 3, 4]], [np.inf], [1]), "finite values, got .*inf.* at row 0"),
        (([[1, 2, 3, 4]], [1], [1.5]), r"class_ids: expected whole numbers from 0, got \[1.5\]"),
        (([[1, 2, 3, 4]], [1], [-1]), "class_ids: expected whole numbers"),
        (([[1, 2, 3, 4]], [1], [np.nan]), "class_ids: expected whole numbers"),
        (([[1, 2, 3, 4]], [1], [np.inf]), "class_ids: expected whole numbers"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Detections(*arguments)


@pytest.mark.parametrize("rows", [[[1, 2, 3, 4, 5]], [1, 2, 3, 4, 5, 6], np.zeros((1, 100, 6))])
def test_refuses_rows(rows):
    with pytest.raises(ValueError, match=r"rows: expected shape \[n, 6\]"):
        Detections.from_rows(rows)


def test_arrays_are_frozen_copies():
    boxes = np.array([[1, 2, 3, 4]], np.float32)
    found = Detections(boxes, [0.5], [2])
    boxes[:] = 0
    assert found.boxes_xyxy.tolist() == [[1, 2, 3, 4]]
    assert (found.boxes_xyxy.dtype, found.scores.dtype, found.class_ids.dtype) == (
        np.float32,
        np.float32,
        np.int64,
    )
    for values in (found.boxes_xyxy, found.scores, found.class_ids):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.scores = values
    with pytest.raises(TypeError, match="unhashable"):
        hash(found)


def test_equality():
    assert some((1, 2, 3, 4, 0.5, 0)) == some((1, 2, 3, 4, 0.5, 0))
    for other in ((1, 2, 3, 5, 0.5, 0), (1, 2, 3, 4, 0.25, 0), (1, 2, 3, 4, 0.5, 1)):
        assert some((1, 2, 3, 4, 0.5, 0)) != some(other)
    assert THREE[:2] != THREE
    assert THREE != "boxes"


def test_rows_there_and_back(rng):
    rows = np.column_stack(
        (rng.uniform(-9, 700, (300, 4)), rng.uniform(0.01, 1, 300), rng.integers(0, 80, 300))
    )
    rows = rows.astype(np.float32)
    assert np.array_equal(Detections.from_rows(rows).to_rows(), rows)
    padded = np.zeros((500, 6), np.float32)
    padded[::2][:150], padded[1::2][:150] = rows[:150], rows[150:]
    assert sorted(Detections.from_rows(padded).to_rows().tolist()) == sorted(rows.tolist())


def test_sorted_is_the_same_for_any_order(rng):
    many = some(*[(x, y, 9, 9, s, c) for x in (1, 2) for y in (0, 3) for s in (0.25, 0.5) for c in (1, 0)])
    expected = many.sorted()
    assert expected.scores.tolist() == sorted(many.scores.tolist(), reverse=True)
    assert expected[:8].class_ids.tolist() == [0] * 4 + [1] * 4
    assert expected[:4].boxes_xyxy[:, :2].tolist() == [[1, 0], [1, 3], [2, 0], [2, 3]]
    for _ in range(5):
        assert many[rng.permutation(len(many))].sorted() == expected


def test_above_is_strict():
    assert THREE.above(0.5) == THREE[[1]]
    assert THREE.above(0.0) == THREE
    assert len(THREE.above(1.0)) == 0


@pytest.mark.parametrize("chosen", [slice(1, 3), [1, 2], np.array([False, True, True]), np.array([1, 2])])
def test_picks(chosen):
    assert THREE[chosen].to_rows().tolist() == THREE.to_rows()[1:].tolist()


def test_clipped():
    found = some((-5, -6, 7, 8, 0.5, 0), (90, 95, 120, 130, 0.5, 0), (-9, 50, -2, 60, 0.5, 0)).clipped(
        (100, 110)
    )
    assert found.boxes_xyxy.tolist() == [[0, 0, 7, 8], [90, 95, 100, 110], [0, 50, 0, 60]]


def test_words():
    assert THREE.summary(NAMES) == "2 RBC, 1 WBC"
    assert THREE.summary() == "2 class 0, 1 class 1"
    assert repr(THREE) == "Detections(3: 2 class 0, 1 class 1)"
    assert [class_name(NAMES, index) for index in (0, 2, 3, -1)] == [
        "RBC",
        "Platelets",
        "class 3",
        "class -1",
    ]


def test_table():
    assert THREE.to_table(NAMES).splitlines() == [
        "class score    x0    y0    x1    y1",
        "RBC    0.90     5     5     9     9",
        "RBC    0.50    20    30    60    40",
        "WBC    0.50     0     0    10    10",
    ]
    assert THREE.to_table(NAMES, limit=1).splitlines()[1:] == [
        "RBC    0.90     5     5     9     9",
        "... and 2 more",
    ]


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0),
        ((0, 0, 10, 10), (30, 40, 50, 60), 0),
        ((0, 0, 10, 4), (5, 2, 15, 6), 10 / 70),
        ((-10, -8, 0, 0), (-5, -8, 5, 0), 40 / 120),
        ((3, 3, 3, 9), (0, 0, 10, 10), 0),
        ((9, 9, 1, 1), (0, 0, 10, 10), 0),
        ((5, 5, 5, 5), (5, 5, 5, 5), 0),
    ],
)
def test_iou(a, b, iou):
    assert iou_matrix([a], [b]).tolist() == [[pytest.approx(iou)]]
    assert iou_matrix([b], [a]).tolist() == [[pytest.approx(iou)]]


def test_iou_counts_pixels(rng):
    """Against the definition: boxes painted on whole pixels."""
    low = rng.integers(0, 20, (12, 2))
    boxes = np.concatenate((low, low + rng.integers(1, 15, (12, 2))), axis=1)
    masks = np.zeros((12, 40, 40), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    expected = [[(a & b).sum() / (a | b).sum() for b in masks[5:]] for a in masks[:5]]
    np.testing.assert_allclose(iou_matrix(boxes[:5], boxes[5:]), expected, rtol=1e-12)


def test_match_takes_the_best_overlap_first_and_each_box_once():
    expected = some((0, 0, 10, 10, 1, 0), (0, 0, 10, 8, 1, 0), (50, 50, 60, 60, 1, 1))
    found = some(
        (0, 0, 10, 9, 0.9, 0), (0, 0, 10, 10, 0.1, 0), (50, 50, 60, 60, 0.9, 0), (51, 50, 60, 60, 0.9, 1)
    )
    pairs = match(found, expected, 0.5)
    assert [(i, j) for i, j, _ in pairs] == [(0, 1), (1, 0), (3, 2)]
    assert [iou for _, _, iou in pairs] == pytest.approx([8 / 9, 1, 0.9])
    assert [(i, j) for i, j, _ in match(found, expected, 0.95)] == [(1, 0)]


def test_match_never_pairs_boxes_apart():
    assert match(some((0, 0, 1, 1, 1, 0)), some((5, 5, 6, 6, 1, 0)), 0.0) == []
