"""What a detector found: the one value that every stage of the course hands to the next.

Boxes are corners `x0, y0, x1, y1` in pixels, the origin at the picture's upper left corner.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Detections", "class_name", "iou_matrix", "match"]


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """Boxes of one picture, with a score and a class each. The arrays are copies and cannot be written to.

    Args:
        boxes_xyxy: `float32[n, 4]`, corners in pixels.
        scores: `float32[n]`, 0 to 1.
        class_ids: `int64[n]`, 0 or more.

    Raises:
        ValueError: wrong shapes, unequal lengths, values not finite, classes that are no whole numbers.

    >>> found = Detections([[10, 20, 30, 60]], [0.9], [1])
    >>> len(found), found.boxes_xyxy.dtype, found.summary(["RBC", "WBC"])
    (1, dtype('float32'), '1 WBC')
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]

    if TYPE_CHECKING:  # what may be handed in is wider than what is stored

        def __init__(self, boxes_xyxy: ArrayLike, scores: ArrayLike, class_ids: ArrayLike) -> None: ...

    def __post_init__(self) -> None:
        """Validate, convert and freeze the three arrays."""
        boxes_xyxy = np.array(self.boxes_xyxy, np.float32)
        if boxes_xyxy.shape == (0,):
            boxes_xyxy = boxes_xyxy.reshape(0, 4)
        if boxes_xyxy.ndim != 2 or boxes_xyxy.shape[1] != 4:
            raise ValueError(
                f"boxes_xyxy: expected shape [n, 4], got {list(boxes_xyxy.shape)}; one row a box"
            )
        scores = _column("scores", self.scores, len(boxes_xyxy))
        class_ids = _column("class_ids", self.class_ids, len(boxes_xyxy))
        rows = np.column_stack((boxes_xyxy, scores))
        if not np.isfinite(rows).all():
            bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise ValueError(
                f"boxes_xyxy, scores: expected finite values, got {rows[bad].tolist()} at row {bad}"
            )
        if ((class_ids < 0) | (class_ids != np.round(class_ids)) | ~np.isfinite(class_ids)).any():
            raise ValueError(f"class_ids: expected whole numbers from 0, got {class_ids.tolist()}")
        self._freeze("boxes_xyxy", boxes_xyxy)
        self._freeze("scores", scores.astype(np.float32))
        self._freeze("class_ids", class_ids.astype(np.int64))

    def _freeze(self, name: str, values: NDArray[np.generic]) -> None:
        values.setflags(write=False)
        object.__setattr__(self, name, values)

    @classmethod
    def empty(cls) -> Detections:
        """Nothing found.

        >>> Detections.empty().boxes_xyxy.shape
        (0, 4)
        """
        return cls([], [], [])

    @classmethod
    def from_rows(cls, rows: ArrayLike) -> Detections:
        """Read rows `[n, 6]` of `x0, y0, x1, y1, score, class`; rows with score 0 are padding.

        >>> len(Detections.from_rows([[0, 0, 9, 9, 0.5, 2], [0, 0, 0, 0, 0, 0]]))
        1
        """
        table = np.asarray(rows, np.float64)
        if table.size == 0:
            return cls.empty()
        if table.ndim != 2 or table.shape[1] != 6:
            raise ValueError(
                f"rows: expected shape [n, 6] (x0, y0, x1, y1, score, class), got {list(table.shape)}"
            )
        table = table[table[:, 4] != 0]
        return cls(table[:, :4], table[:, 4], table[:, 5])

    def to_rows(self) -> NDArray[np.float32]:
        """The inverse of `from_rows`: `float32[n, 6]` of `x0, y0, x1, y1, score, class`."""
        return np.column_stack((self.boxes_xyxy, self.scores, self.class_ids)).astype(np.float32)

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.scores)

    def __getitem__(self, chosen: slice | NDArray[np.bool_] | NDArray[np.integer] | list[int]) -> Detections:
        """The boxes that a slice, a mask `bool[n]` or a list of positions picks."""
        picked = np.arange(len(self))[chosen]
        return Detections(self.boxes_xyxy[picked], self.scores[picked], self.class_ids[picked])

    def __eq__(self, other: object) -> bool:
        """Exactly the same boxes, scores and classes, in the same order."""
        if not isinstance(other, Detections):
            return NotImplemented
        pairs = ("boxes_xyxy", "scores", "class_ids")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in pairs)

    __hash__ = None  # type: ignore[assignment]  # compared by its arrays, so not a key

    def above(self, score: float) -> Detections:
        """The boxes that score more than `score`."""
        return self[self.scores > score]

    def sorted(self) -> Detections:
        """Best score first; ties by class, then by corners, so that the order is the same everywhere."""
        keys = (*self.boxes_xyxy.T[::-1], self.class_ids, -self.scores)
        return self[np.lexsort(keys)]

    def clipped(self, size_wh: tuple[int, int]) -> Detections:
        """Every corner moved into a picture of `size_wh` pixels.

        >>> Detections([[-5, 2, 30, 90]], [0.9], [0]).clipped((20, 40)).boxes_xyxy.tolist()
        [[0.0, 2.0, 20.0, 40.0]]
        """
        limits = np.array([*size_wh, *size_wh], np.float32)
        return Detections(np.clip(self.boxes_xyxy, 0, limits), self.scores, self.class_ids)

    def summary(self, names: Sequence[str] = ()) -> str:
        """Boxes per class in words, in the order of the classes.

        >>> Detections.empty().summary()
        'nothing found'
        """
        counts = sorted(Counter(self.class_ids.tolist()).items())
        return ", ".join(f"{count} {class_name(names, index)}" for index, count in counts) or "nothing found"

    def to_table(self, names: Sequence[str] = (), limit: int | None = None) -> str:
        """A text table, best score first, rounded to hundredths and pixels; `limit` cuts it and says so."""
        best = self.sorted()
        rows = [("class", "score", "x0", "y0", "x1", "y1")]
        for box, score, index in list(zip(best.boxes_xyxy, best.scores, best.class_ids, strict=True))[:limit]:
            corners = (f"{round(float(value))}" for value in box)
            rows.append((class_name(names, int(index)), f"{score:.2f}", *corners))  # type: ignore[arg-type]
        width = max(len(row[0]) for row in rows)
        lines = [f"{row[0]:<{width}}" + "".join(f"{cell:>6}" for cell in row[1:]) for row in rows]
        hidden = len(self) - (len(rows) - 1)
        return "\n".join([*lines, f"... and {hidden} more"] if hidden else lines)

    def __repr__(self) -> str:
        """One short line; the arrays are attributes."""
        return f"Detections({len(self)}: {self.summary()})"


def _column(name: str, values: ArrayLike, count: int) -> NDArray[np.float64]:
    column = np.array(values, np.float64)
    if column.shape != (count,):
        raise ValueError(f"{name}: expected shape [{count}], one value a box, got {list(column.shape)}")
    return column


def class_name(names: Sequence[str], class_id: int) -> str:
    """Name of a class, or `class 7` where the list of names does not reach.

    >>> class_name(["RBC", "WBC"], 1), class_name([], 7)
    ('WBC', 'class 7')
    """
    return names[class_id] if 0 <= class_id < len(names) else f"class {class_id}"


def iou_matrix(a_xyxy: ArrayLike, b_xyxy: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of every box of `a_xyxy [n, 4]` with every box of `b_xyxy [m, 4]`: `[n, m]`.

    A box without area overlaps nothing.

    >>> iou_matrix([[0, 0, 10, 10]], [[0, 0, 10, 5], [20, 20, 30, 30]]).tolist()
    [[0.5, 0.0]]
    """
    a = np.asarray(a_xyxy, np.float64).reshape(-1, 4)
    b = np.asarray(b_xyxy, np.float64).reshape(-1, 4)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    area_a, area_b = (np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1) for boxes in (a, b))
    union = area_a[:, None] + area_b[None, :] - shared
    iou: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou


def match(
    found: Detections, expected: Detections, iou_threshold: float = 0.5
) -> list[tuple[int, int, float]]:
    """Pair boxes of the same class, the best overlap first, each box at most once.

    Returns:
        `(position in found, position in expected, iou)` for every pair, in the order of `found`.

    >>> one = Detections([[0, 0, 10, 10]], [0.9], [0])
    >>> match(one, one), match(one, Detections.empty())
    ([(0, 0, 1.0)], [])
    """
    iou = iou_matrix(found.boxes_xyxy, expected.boxes_xyxy)
    allowed = (found.class_ids[:, None] == expected.class_ids[None, :]) & (iou >= iou_threshold) & (iou > 0)
    candidates = sorted((-float(iou[i, j]), int(i), int(j)) for i, j in np.argwhere(allowed))
    pairs: list[tuple[int, int, float]] = []
    used_found: set[int] = set()
    used_expected: set[int] = set()
    for negative_iou, i, j in candidates:
        if i not in used_found and j not in used_expected:
            pairs.append((i, j, -negative_iou))
            used_found.add(i)
            used_expected.add(j)
    return sorted(pairs)
