"""The confusion matrix of a detector: which class was taken for which, what was missed, what was made up.

Boxes are paired by the evaluator without regard to their class: by falling score, each detection takes the
free object that it overlaps most. What is left over goes to *nothing there* and to *missed*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from helpers.table import Table
from helpers.training.evaluator import match_pairs
from helpers.wording import Name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from helpers.detections import Detections

__all__ = ["BACKGROUND", "MISSED", "ConfusionMatrix", "confusion_matrix"]

BACKGROUND, MISSED = "nothing there", "missed"


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """Counts of objects by what they are and what they were taken for.

    Attributes:
        names: of the classes.
        counts: `int64[C+1, C+1]`: row is the truth, column what was found; the last row holds
            detections where nothing is, the last column objects that were missed; the corner is 0.
        score_threshold: detections above it were counted.
        iou_threshold: the least overlap of a pair.
    """

    names: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    score_threshold: float
    iou_threshold: float

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """`float64[C+1, C+1]`: each row as shares of 1; zeros where it is empty."""
        total = self.counts.sum(axis=1, keepdims=True)
        shares = np.zeros(self.counts.shape)
        np.divide(self.counts, total, out=shares, where=total > 0)
        return shares

    @property
    def confused(self) -> int:
        """How many objects were found, but as something else."""
        inner = self.counts[:-1, :-1]
        return int(inner.sum() - np.trace(inner))

    def to_table(self) -> Table:
        """Rows of the truth, columns of what was found."""
        names = [Name(name) for name in self.names]
        rows = zip((*names, BACKGROUND), self.counts.tolist(), strict=True)
        return Table(("truth \\ found", *names, MISSED), tuple((name, *row) for name, row in rows))


def confusion_matrix(
    truth: Sequence[Detections],
    found: Sequence[Detections],
    names: Sequence[str],
    *,
    score_threshold: float = 0.25,
    iou_threshold: float = 0.5,
) -> ConfusionMatrix:
    r"""Count, over pictures, what was taken for what.

    Args:
        truth: for each picture its objects.
        found: for each picture what a detector found.
        names: of the classes, by class id.
        score_threshold: detections that score no more are left out.
        iou_threshold: the least overlap of a pair.

    Raises:
        ValueError: a class without a name.

    >>> from helpers.detections import Detections
    >>> truth = Detections([[0, 0, 9, 9], [20, 20, 29, 29]], [1, 1], [0, 1])
    >>> found = Detections([[0, 0, 9, 9], [50, 50, 59, 59]], [0.9, 0.9], [1, 0])
    >>> print(confusion_matrix([truth], [found], ["RBC", "WBC"]).to_table())
    truth \ found  RBC  WBC  missed
    RBC              0    1       0
    WBC              0    0       1
    nothing there    1    0       0
    """
    kept = [each.above(score_threshold) for each in found]
    classes = len(names)
    highest = max((int(each.class_ids.max()) for each in (*truth, *kept) if len(each)), default=-1)
    if highest >= classes:
        raise ValueError(
            f"names: expected a name for class {highest}, got {classes} names; pass the names of all classes"
        )
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    pairs = match_pairs(truth, kept, iou_threshold=iou_threshold, same_class=False)
    for objects, boxes, (rows, items) in zip(truth, kept, (each.T for each in pairs), strict=True):
        np.add.at(counts, (objects.class_ids[items], boxes.class_ids[rows]), 1)
        np.add.at(counts[:, classes], np.delete(objects.class_ids, items), 1)
        np.add.at(counts[classes], np.delete(boxes.class_ids, rows), 1)
    return ConfusionMatrix(tuple(names), counts, score_threshold, iou_threshold)
