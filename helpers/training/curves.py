"""Precision against recall: what a detector pays for finding more.

Going down the scores, every detection that is right moves the recall up, every wrong one pulls the precision
down. The protocol then lifts each point to the best precision at its recall or beyond, and reads that curve
at the 101 recalls 0, 0.01 ... 1: the mean of those is the average precision.

Source: Lin et al., "Microsoft COCO", arXiv:1405.0312, after Everingham et al., "The Pascal VOC
Challenge" (2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PrecisionRecall", "precision_recall"]


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """The curve of one class at one overlap, as the evaluator tabulates it.

    Attributes:
        name: of the class.
        recall: `float64[101]`: 0, 0.01 ... 1.
        precision: `float64[101]`: the best precision at that recall or beyond; 0 where it is not reached.
        scores: `float64[101]`: the score to go down to for that recall; 0 where it is not reached.
    """

    name: str
    recall: npt.NDArray[np.float64]
    precision: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]

    @property
    def ap(self) -> float:
        """Average precision: the mean of the curve."""
        return float(self.precision.mean())

    @property
    def highest_recall(self) -> float:
        """The largest of the 101 recalls that is reached; 0 where nothing right was found."""
        return float(self.recall[self.precision > 0].max(initial=0.0))

    @property
    def best_score(self) -> float:
        """The score threshold with the best balance of the two (F1, their harmonic mean)."""
        total = self.precision + self.recall
        f1 = np.divide(2 * self.precision * self.recall, total, out=np.zeros_like(total), where=total > 0)
        return float(self.scores[f1.argmax()])


def precision_recall(run: Any, category: int, name: str, *, iou: float = 0.5) -> PrecisionRecall:
    """Read the curve of a class from an evaluator that `helpers.training.evaluator.tables` has run.

    Args:
        run: the evaluator.
        category: class id; a class without objects has no curve, all its precisions are -1.
        name: of the class.
        iou: overlap from which a detection is right: 0.50, 0.55 ... 0.95.

    >>> from helpers.detections import Detections
    >>> from helpers.training.evaluator import tables
    >>> truth = Detections([[0, 0, 9, 9], [20, 20, 29, 29]], [1, 1], [0, 0])
    >>> curve = precision_recall(tables([truth], [truth[:1]], 1), 0, "cell")  # one of two is found
    >>> curve.highest_recall, round(curve.ap, 3)
    (0.5, 0.505)
    """
    at = round((iou - 0.5) / 0.05), slice(None), category, 0, -1
    precision, scores = run.eval["precision"][at], run.eval["scores"][at]
    return PrecisionRecall(name, np.array(run.params.recThrs), precision.copy(), scores.copy())
