"""Do two stages agree? Tensor by tensor, box by box, and as a ladder from PyTorch to the last file.

`reference_nms` is the plain reading of what the graph's NMS should do, for one picture, in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from helpers.detections import Detections, iou_matrix, match
from helpers.table import Table

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["BoxParity", "Ladder", "TensorParity", "Tolerance", "compare_detections", "compare_tensors"]
__all__ += ["reference_nms"]


def reference_nms(
    predictions: ArrayLike,
    *,
    iou_threshold: float = 0.65,
    score_threshold: float = 0.35,
    max_detections: int = 100,
    class_offset: float | None = None,
) -> NDArray[np.float32]:
    """Greedy non-maximum suppression of one picture's raw predictions, best class per box only.

    Args:
        predictions: `[N, 5 + C]`: `cx, cy, w, h` in pixels, objectness, class scores; with `C = 1`
            objectness alone is the score.
        iou_threshold: a box that overlaps a better one by more is dropped.
        score_threshold: only boxes that score more are considered.
        max_detections: the best so many are kept.
        class_offset: `None` compares boxes of the same class only; a number moves boxes by
            `class x class_offset` pixels instead and compares all, as the official exporter does.

    Returns:
        `float32[M, 7]`: 0, `x0, y0, x1, y1`, class, score; best score first, ties as before.

    >>> reference_nms([[5, 5, 4, 4, 0.5, 0.1, 1.0], [5, 5, 4, 4, 0.4, 0.1, 1.0]]).tolist()
    [[0.0, 3.0, 3.0, 7.0, 7.0, 1.0, 0.5]]
    """
    table = np.asarray(predictions, np.float32)
    if table.ndim != 2 or table.shape[1] < 6:
        raise ValueError(f"predictions: expected [N, 5 + C], got {list(table.shape)}; hand in one picture's")
    centre, half, classes = table[:, :2], table[:, 2:4] / 2, table[:, 5:]
    boxes_xyxy = np.concatenate((centre - half, centre + half), axis=1)
    class_ids = classes.argmax(axis=1)
    scores = table[:, 4] * (classes.max(axis=1) if classes.shape[1] > 1 else np.float32(1))
    shifted = boxes_xyxy + (class_ids[:, None] * (class_offset or 0)).astype(np.float32)
    waiting = np.argsort(-scores, kind="stable")
    waiting = waiting[scores[waiting] > score_threshold]
    kept: list[int] = []
    while len(waiting) and len(kept) < max_detections:
        best, waiting = int(waiting[0]), waiting[1:]
        kept.append(best)
        rivals = iou_matrix(shifted[best], shifted[waiting])[0] > iou_threshold
        if class_offset is None:
            rivals &= class_ids[waiting] == class_ids[best]
        waiting = waiting[~rivals]
    columns = (np.zeros(len(kept)), boxes_xyxy[kept], class_ids[kept], scores[kept])
    return np.column_stack(columns).astype(np.float32)


@dataclass(frozen=True)
class TensorParity:
    """How far two tensors are apart; `worst_at` is the position of the largest difference."""

    shape: tuple[int, ...]
    max_abs: float
    mean_abs: float
    worst_at: tuple[int, ...]

    def __str__(self) -> str:
        """One line, rounded."""
        where = f" at {list(self.worst_at)}" if self.max_abs else ""
        return f"{list(self.shape)}: max {self.max_abs:.2g}{where}, mean {self.mean_abs:.2g}"


def compare_tensors(a: ArrayLike, b: ArrayLike) -> TensorParity:
    """Absolute differences of two tensors of one shape; a NaN on one side is infinitely far.

    Raises:
        ValueError: the shapes differ.

    >>> compare_tensors([[1.0, 2.0]], [[1.0, 2.5]])
    TensorParity(shape=(1, 2), max_abs=0.5, mean_abs=0.25, worst_at=(0, 1))
    """
    left, right = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if left.shape != right.shape:
        raise ValueError(f"b: expected shape {list(left.shape)}, as a has, got {list(right.shape)}")
    if left.size == 0:
        return TensorParity(left.shape, 0.0, 0.0, ())
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    difference = np.abs(np.subtract(left, right, out=np.zeros_like(left), where=~same))
    difference[np.isnan(difference)] = np.inf
    worst_at = np.unravel_index(difference.argmax(), left.shape)
    place = tuple(int(index) for index in worst_at)
    return TensorParity(left.shape, float(difference.max()), float(difference.mean()), place)


@dataclass(frozen=True)
class Tolerance:
    """What still counts as equal: corners in pixels, scores as they are; every box must have its partner."""

    corner_px: float = 0.05
    score: float = 1e-4


@dataclass(frozen=True)
class BoxParity:
    """How two sets of boxes pair up; the worst figures are those of matched pairs (1, 0, 0 without any)."""

    matched: int
    only_a: int
    only_b: int
    worst_iou: float
    worst_score_diff: float
    worst_corner_px: float

    def within(self, tolerance: Tolerance) -> bool:
        """No box without a partner, and no pair further apart than allowed."""
        close = self.worst_corner_px <= tolerance.corner_px and self.worst_score_diff <= tolerance.score
        return close and self.only_a == self.only_b == 0


def compare_detections(a: Detections, b: Detections, iou_threshold: float = 0.5) -> BoxParity:
    """Pair the boxes of `a` with those of the same class in `b`, best overlap first: how well do they fit?

    >>> one, moved = (Detections([[x, 0, x + 9, 9]], [0.9], [0]) for x in (0, 0.5))
    >>> compare_detections(one, moved).worst_corner_px
    0.5
    """
    pairs = match(a, b, iou_threshold)
    left, right = [i for i, _, _ in pairs], [j for _, j, _ in pairs]
    corners = np.abs(a.boxes_xyxy[left].astype(np.float64) - b.boxes_xyxy[right])
    scores = np.abs(a.scores[left].astype(np.float64) - b.scores[right])
    worst_iou = min((iou for _, _, iou in pairs), default=1.0)
    alone = (len(a) - len(pairs), len(b) - len(pairs))
    return BoxParity(
        len(pairs), *alone, worst_iou, float(scores.max(initial=0)), float(corners.max(initial=0))
    )


@dataclass
class Ladder:
    """Stages of one picture's detections, each compared with the first; shows itself as a table.

    >>> ladder = Ladder()
    >>> ladder.add("PyTorch", Detections([[0, 0, 9, 9]], [0.9], [0]))
    >>> ladder.add("ONNX", Detections([[0, 0, 9, 9.01]], [0.9], [0]))
    >>> print(ladder)
    stage    boxes  matched  worst corner px  worst score diff  allowed          agrees
    PyTorch  1      -        -                -                 -                the reference
    ONNX     1      1        <0.1             0                 0.05 px, 0.0001  yes
    """

    tolerance: Tolerance = field(default_factory=Tolerance)
    rungs: list[tuple[str, Detections, BoxParity | None, Tolerance]] = field(default_factory=list)

    def add(self, stage: str, detections: Detections, tolerance: Tolerance | None = None) -> None:
        """Add a stage; the first is the reference. `tolerance` holds for this stage alone."""
        parity = compare_detections(self.rungs[0][1], detections) if self.rungs else None
        self.rungs.append((stage, detections, parity, tolerance or self.tolerance))

    @property
    def agrees(self) -> bool:
        """Every stage within its tolerance of the first."""
        return all(parity is None or parity.within(allowed) for _, _, parity, allowed in self.rungs)

    def table(self) -> Table:
        """One row a stage; differences as powers of ten, which are the same on every machine."""
        header = ("stage", "boxes", "matched", "worst corner px", "worst score diff", "allowed", "agrees")
        rows: list[tuple[str, ...]] = []
        for stage, found, parity, allowed in self.rungs:
            if parity is None:
                rows.append((stage, str(len(found)), "-", "-", "-", "-", "the reference"))
                continue
            limits = f"{allowed.corner_px:g} px, {allowed.score:g}"
            verdict = "yes" if parity.within(allowed) else f"NO: {parity.only_a} lost, {parity.only_b} new"
            figures = (_decade(parity.worst_corner_px), _decade(parity.worst_score_diff))
            rows.append((stage, str(len(found)), str(parity.matched), *figures, limits, verdict))
        return Table(header, tuple(rows))

    def __str__(self) -> str:
        """The table as text."""
        return str(self.table())

    def _repr_html_(self) -> str:
        """The table for a notebook."""
        return self.table()._repr_html_()


def _decade(value: float) -> str:
    """The power of ten above a difference: digits below it are noise of the machine."""
    return f"<{10.0 ** (np.floor(np.log10(value)) + 1):g}" if value > 0 else "0"
