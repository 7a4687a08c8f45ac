"""The confusion matrix, cell by cell, and against the evaluator's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from random_boxes import pictures

from helpers.detections import Detections
from helpers.training.confusion import confusion_matrix
from helpers.training.evaluator import _content, _records

pytest.importorskip("faster_coco_eval")
NAMES = ("RBC", "WBC", "Platelets")
NOTHING = Detections.empty()


def at(*rows: tuple[float, int, float]) -> Detections:
    """Boxes of 10x10 pixels: left edge, class, score."""
    return Detections(
        [[x, 0, x + 10, 10] for x, _, _ in rows], [s for *_, s in rows], [c for _, c, _ in rows]
    )


@pytest.mark.parametrize(
    ("truth", "found", "cells"),
    [
        ([NOTHING], [NOTHING], {}),
        ([], [], {}),
        ([at((0, 1, 1))], [NOTHING], {(1, 3): 1}),
        ([NOTHING], [at((0, 2, 0.9))], {(3, 2): 1}),
        ([at((0, 0, 1))], [at((0, 0, 0.9))], {(0, 0): 1}),
        ([at((0, 0, 1))], [at((0, 2, 0.9))], {(0, 2): 1}),
        ([at((0, 0, 1))], [at((0, 0, 0.25))], {(0, 3): 1}),  # no more than the threshold: not counted
        ([at((0, 0, 1))], [at((5, 0, 0.9))], {(0, 3): 1, (3, 0): 1}),  # overlap of a third
        ([at((0, 0, 1))], [at((0, 0, 0.8), (0, 1, 0.9))], {(0, 1): 1, (3, 0): 1}),  # the better takes it
        ([at((0, 0, 1)), at((0, 1, 1))], [at((0, 0, 0.9))] * 2, {(0, 0): 1, (1, 0): 1}),
        ([at((0, 0, 1), (50, 0, 1), (90, 2, 1))], [at((0, 0, 0.9), (50, 1, 0.9))],
         {(0, 0): 1, (0, 1): 1, (2, 3): 1}),
    ],
)  # fmt: skip
def test_cells(truth: list[Detections], found: list[Detections], cells: dict[tuple[int, int], int]) -> None:
    matrix = confusion_matrix(truth, found, NAMES)
    assert {tuple(place): int(matrix.counts[tuple(place)]) for place in np.argwhere(matrix.counts)} == cells
    assert (matrix.names, matrix.score_threshold, matrix.iou_threshold) == (NAMES, 0.25, 0.5)


def test_every_object_and_every_detection_is_counted_once() -> None:
    truth, found = pictures(5)
    matrix = confusion_matrix(truth, found, NAMES, score_threshold=0.4, iou_threshold=0.6)
    ids = np.concatenate([each.class_ids for each in truth])
    kept = np.concatenate([each.class_ids[each.scores > 0.4] for each in found])
    assert matrix.counts[:3].sum(1).tolist() == np.bincount(ids, minlength=3).tolist()
    assert matrix.counts[:, :3].sum(0).tolist() == np.bincount(kept, minlength=3).tolist()
    assert matrix.confused == matrix.counts[:3, :3].sum() - matrix.counts[:3, :3].trace() > 0


def test_the_evaluators_own_matrix() -> None:
    """faster-coco-eval derives one, too: rows of the truth, last columns made up and missed."""
    from faster_coco_eval import COCO
    from faster_coco_eval.extra import PreviewResults

    truth, found = pictures(6)
    labels: Any = COCO({"info": {}, **_content(truth, 3)})
    own = PreviewResults(labels, labels.loadRes(_records(found)), min_score=0, iou_tresh=0.5)
    theirs = own.compute_confusion_matrix()
    ours = confusion_matrix(truth, found, NAMES, score_threshold=0.0).counts
    assert ours[:3, :3].tolist() == theirs[:, :3].tolist()
    assert ours[3, :3].tolist() == theirs[:, 3].tolist()
    assert ours[:3, 3].tolist() == theirs[:, 4].tolist()


def test_shares() -> None:
    truth = at((0, 0, 1), (50, 0, 1), (90, 0, 1), (130, 1, 1))
    matrix = confusion_matrix([truth], [at((0, 0, 0.9), (50, 1, 0.9))], NAMES)
    assert matrix.shares[0] == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3])
    assert matrix.shares[1].tolist() == [0, 0, 0, 1]
    assert matrix.shares[2:].tolist() == [[0] * 4] * 2


def test_table() -> None:
    lines = str(confusion_matrix([at((0, 0, 1))], [at((50, 1, 0.9))], NAMES).to_table()).splitlines()
    assert [line.split() for line in lines] == [
        ["truth", "\\", "found", "RBC", "WBC", "Platelets", "missed"],
        ["RBC", "0", "0", "0", "1"],
        ["WBC", "0", "0", "0", "0"],
        ["Platelets", "0", "0", "0", "0"],
        ["nothing", "there", "0", "1", "0", "0"],
    ]


def test_a_class_without_a_name() -> None:
    with pytest.raises(ValueError, match="names: expected a name for class 2, got 2 names"):
        confusion_matrix([at((0, 0, 1))], [at((0, 2, 0.9))], NAMES[:2])
