"""The mistakes of a detector, one by one and by kind, so that they can be looked at.

| kind | what happened |
|---|---|
| missed | an object that no detection was given, nor came close to |
| doubled | a box on an object that a better-scored one has taken |
| confused | a box on an object of another class |
| loose | a box near an object of its class, but overlapping it too little |
| background | a box where nothing of the kind is |

Source: after Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors"
(arXiv:2008.08115), whose kind "both" (loose on another class) is counted as background here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from helpers.detections import iou_matrix
from helpers.training.evaluator import Pairs, match_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from helpers.detections import Detections

__all__ = ["KINDS", "Mistake", "count_mistakes", "find_mistakes"]

KINDS = ("missed", "doubled", "confused", "loose", "background")


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    Attributes:
        kind: one of `KINDS`.
        picture: its number.
        box_xyxy: the detection in pixels; of a missed object, the object.
        class_id: of that box.
        score: of the detection; 0 for a missed object.
        truth_id: the object concerned, a row of the picture's truth; -1 where there is none.
        iou: the overlap of the two; 0 where there is none.
    """

    kind: str
    picture: int
    box_xyxy: tuple[float, float, float, float]
    class_id: int
    score: float = 0.0
    truth_id: int = -1
    iou: float = 0.0


def find_mistakes(
    truth: Sequence[Detections],
    found: Sequence[Detections],
    *,
    score_threshold: float = 0.25,
    iou_threshold: float = 0.5,
    loose_threshold: float = 0.1,
) -> list[Mistake]:
    """Name every mistake, picture by picture.

    Args:
        truth: for each picture its objects.
        found: for each picture what a detector found.
        score_threshold: detections that score no more are left out.
        iou_threshold: overlap from which a detection is right.
        loose_threshold: overlap from which it is about that object at all.

    Returns:
        For each picture the wrong detections, best score first, then the missed objects.

    >>> from helpers.detections import Detections
    >>> truth = Detections([[0, 0, 10, 10], [50, 50, 60, 60]], [1, 1], [0, 0])
    >>> found = Detections([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 8]], [0.9, 0.8, 0.7], [0, 0, 1])
    >>> [(each.kind, each.truth_id) for each in find_mistakes([truth], [found])]
    [('doubled', 0), ('confused', 0), ('missed', 1)]
    """
    kept = [each.above(score_threshold).sorted() for each in found]
    pairs = match_pairs(truth, kept, iou_threshold=iou_threshold)
    limits = iou_threshold, loose_threshold
    return [
        mistake
        for number, (objects, boxes, right) in enumerate(zip(truth, kept, pairs, strict=True))
        for mistake in _in_picture(number, objects, boxes, right.T, limits)
    ]


def count_mistakes(mistakes: Sequence[Mistake]) -> dict[str, int]:
    """How many of each kind, all kinds named.

    >>> count_mistakes([])
    {'missed': 0, 'doubled': 0, 'confused': 0, 'loose': 0, 'background': 0}
    """
    counts = Counter(each.kind for each in mistakes)
    return {kind: counts[kind] for kind in KINDS}


def _in_picture(
    number: int, objects: Detections, boxes: Detections, right: Pairs, limits: tuple[float, float]
) -> Iterator[Mistake]:
    rows, items = right
    iou = iou_matrix(boxes.boxes_xyxy, objects.boxes_xyxy)
    same = boxes.class_ids[:, None] == objects.class_ids[None, :]
    explained = set(items.tolist())
    for row in np.delete(np.arange(len(boxes)), rows).tolist():
        kind, item = _kind(iou[row], same[row], *limits)
        if kind in ("confused", "loose"):
            explained.add(item)
        corners = tuple(boxes.boxes_xyxy[row].tolist())
        score, overlap = float(boxes.scores[row]), float(iou[row, item]) if item >= 0 else 0.0
        yield Mistake(kind, number, corners, int(boxes.class_ids[row]), score, item, overlap)
    for item in sorted(set(range(len(objects))) - explained):
        corners = tuple(objects.boxes_xyxy[item].tolist())
        yield Mistake("missed", number, corners, int(objects.class_ids[item]), truth_id=item)


def _kind(
    iou: npt.NDArray[np.float64], same: npt.NDArray[np.bool_], right: float, loose: float
) -> tuple[str, int]:
    """Kind of a detection that was given no object, and the object it is about; `iou`, `same` are `[T]`."""
    rules = ("doubled", same, right), ("confused", ~same, right), ("loose", same, loose)
    for kind, allowed, least in rules:
        overlap = np.where(allowed, iou, -1.0)
        if overlap.size and overlap.max() >= least:
            return kind, int(overlap.argmax())
    return "background", -1
